"""Actions for later: kept with their chain, done when due if their condition still holds, cancelled otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from core import jobs
from tickets.rows import one
from tickets.rules import chain
from tickets.rules.acting import Act
from tickets.rules.chain import Chain
from tickets.rules.expressions import Expression
from tickets.rules.model import Action, Rule

JOB = "rules.due"


@dataclass(frozen=True, slots=True)
class Timer:
    """A list of actions of a rule's version that has become due."""

    rule_id: int
    version: int
    path: tuple[int, ...]
    ticket_id: int
    seq: int
    chain: Chain


def keep(act: Act, *, after: timedelta, path: tuple[int, ...]) -> datetime:
    """Remember the list of actions at ``path`` for ``after`` from now; returns when it is due."""
    due = act.now + after
    (timer_id,) = one(
        act.conn,
        """insert into rule_timers (rule_id, version, path, ticket_id, seq, cause, due_at)
           values (%s, %s, %s, %s, %s, %s, %s) returning timer_id""",
        (
            act.rule.rule_id,
            act.rule.version,
            list(path),
            act.ticket_id,
            act.world.happening.seq,
            Jsonb(act.chain.as_payload()),
            due,
        ),
    )
    jobs.at(act.conn, due, JOB, {"timer_id": timer_id})
    return due


def overdue(conn: Connection, now: datetime, *, most: int = 500) -> list[int]:
    """Timers that nobody rang, as after a jump of the plant clock; oldest first."""
    rows = conn.execute(
        "select timer_id from rule_timers where state = 'waiting' and due_at <= %s order by due_at, timer_id limit %s",
        (now, most),
    )
    return [row[0] for row in rows]


def take(conn: Connection, timer_id: int, now: datetime) -> Timer | None:
    """The timer, its row locked, if it is due and still waits."""
    row = conn.execute(
        """select rule_id, version, path, ticket_id, seq, cause from rule_timers
           where timer_id = %s and state = 'waiting' and due_at <= %s for update skip locked""",
        (timer_id, now),
    ).fetchone()
    if row is None:
        return None
    rule_id, version, path, ticket_id, seq, cause = row
    return Timer(rule_id, version, tuple(path), ticket_id, seq, chain.kept(cause))


def settle(conn: Connection, timer_id: int, *, state: str, why: str) -> None:
    """Done or cancelled."""
    conn.execute("update rule_timers set state = %s, why = %s where timer_id = %s", (state, why[:500], timer_id))


def waiting(conn: Connection, ticket_id: int) -> list[dict[str, Any]]:
    """What rules will do to this ticket later."""
    rows = conn.execute(
        """select m.timer_id, r.code, m.due_at from rule_timers m join rules r using (rule_id)
           where m.ticket_id = %s and m.state = 'waiting' order by m.due_at limit 100""",
        (ticket_id,),
    )
    return [dict(zip(("timer_id", "code", "due_at"), row, strict=True)) for row in rows]


def at_path(rule: Rule, path: Sequence[int]) -> tuple[Expression | None, tuple[Action, ...]]:
    """The condition and the actions of the schedule there; the empty path is the rule itself (``when.after``).

    A schedule without a condition of its own has that of what stands around it.
    """
    condition, actions = rule.definition.condition, rule.definition.actions
    for place in path:
        args = actions[place].args
        condition, actions = args.get("if", condition), args["then"]
    return condition, actions
