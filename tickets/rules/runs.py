"""SQL of the run log: what each rule did and why, and the counts that limit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from tickets.rules.model import Rule
from tickets.rules.world import World

KEPT = timedelta(days=90)
MOST_ROWS = 1_000_000  # of a site; the oldest go first
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LONGEST_SENTENCE = 1_000


class Outcome(StrEnum):
    """How a run ended."""

    DONE = "done"
    WAITING = "waiting"  # its actions come later
    NOT = "not"  # the condition did not hold; kept only where the rule's log is "all"
    ERROR = "error"  # the condition could not be evaluated
    FAILED = "failed"  # an action was refused; none of the list was kept
    LIMITED = "limited"
    REPEATED = "repeated"  # it had run for this ticket in this chain
    ENDLESS = "endless"  # the chain was cut


RAN = (Outcome.DONE.value, Outcome.WAITING.value, Outcome.FAILED.value)


@dataclass(frozen=True, slots=True)
class Run:
    """A line of the log."""

    run_id: int
    rule_id: int
    code: str
    version: int
    ticket_id: int | None
    ref: str | None
    seq: int
    event: str
    at: datetime
    outcome: Outcome
    sentence: str
    actions: list[dict[str, Any]]
    root: str
    depth: int
    took_us: int


def note(
    conn: Connection,
    rule: Rule,
    world: World,
    *,
    outcome: Outcome,
    root: str,
    depth: int,
    took_us: int,
    sentence: str = "",
    actions: Sequence[dict[str, Any]] = (),
) -> None:
    """Write one line."""
    conn.execute(
        """insert into rule_runs (rule_id, version, ticket_id, seq, event, at, outcome, sentence, actions, root, depth,
             took_us) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            rule.rule_id,
            rule.version,
            world.ticket_id,
            world.happening.seq,
            world.happening.kind,
            world.now,
            outcome.value,
            sentence.replace("\x00", "")[:LONGEST_SENTENCE],
            Jsonb(list(actions)),
            root,
            depth,
            took_us,
        ),
    )


def over_limit(conn: Connection, rule: Rule, world: World) -> str | None:
    """The sentence of the limit that the rule has reached, if any. Writers at the same moment do not see each other."""
    limits = rule.definition.limits
    row = conn.execute(
        """select (select count(*) from (select 1 from rule_runs where rule_id = %(rule)s and at > %(minute)s
                     and outcome = any(%(ran)s) limit %(per_minute)s) a),
                  (select count(*) from (select 1 from rule_runs where rule_id = %(rule)s and at > %(hour)s
                     and ticket_id = %(ticket)s and outcome = any(%(ran)s) limit %(per_ticket)s) b)""",
        {
            "rule": rule.rule_id,
            "ticket": world.ticket_id,
            "minute": world.now - MINUTE,
            "hour": world.now - HOUR,
            "ran": list(RAN),
            "per_minute": limits.per_minute,
            "per_ticket": limits.per_ticket_hour,
        },
    ).fetchone()
    in_minute, for_ticket = row or (0, 0)
    if in_minute >= limits.per_minute:
        return f"It ran {in_minute} times within a minute, which is its limit."
    if for_ticket >= limits.per_ticket_hour:
        return f"It ran {for_ticket} times for this ticket within an hour, which is its limit."
    return None


def told_lately(conn: Connection, rule: Rule, outcome: Outcome, now: datetime) -> bool:
    """Whether the log has such a line of the last minute: a flood of the same is one line a minute."""
    row = conn.execute(
        "select 1 from rule_runs where rule_id = %s and at > %s and outcome = %s limit 1",
        (rule.rule_id, now - MINUTE, outcome.value),
    ).fetchone()
    return row is not None


def listed(
    conn: Connection,
    *,
    rule_id: int | None = None,
    ticket_id: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Run]:
    """The log, newest first; ``before`` a run id."""
    rows = conn.execute(
        """select n.run_id, n.rule_id, r.code, n.version, n.ticket_id, t.ref, n.seq, n.event, n.at, n.outcome,
             n.sentence, n.actions, n.root, n.depth, n.took_us
           from rule_runs n join rules r using (rule_id) left join tickets t using (ticket_id)
           where (%(rule)s::int is null or n.rule_id = %(rule)s)
             and (%(ticket)s::int is null or n.ticket_id = %(ticket)s)
             and (%(before)s::bigint is null or n.run_id < %(before)s)
           order by n.run_id desc limit %(limit)s""",
        {"rule": rule_id, "ticket": ticket_id, "before": before, "limit": limit},
    )
    return [_run(row) for row in rows]


def _run(row: tuple[Any, ...]) -> Run:
    values = dict(zip(Run.__slots__, row, strict=True))
    return Run(**{**values, "outcome": Outcome(values["outcome"])})


def forget(conn: Connection, now: datetime) -> int:
    """Delete what is older than KEPT or beyond MOST_ROWS; returns how many lines."""
    old = conn.execute("delete from rule_runs where at < %s", (now - KEPT,)).rowcount
    many = conn.execute(
        """delete from rule_runs
           where run_id <= (select run_id from rule_runs order by run_id desc offset %s limit 1)""",
        (MOST_ROWS,),
    )
    return old + many.rowcount
