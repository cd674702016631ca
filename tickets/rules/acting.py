"""Running a list of actions: all of it or nothing, in the caller's transaction, each write knowing its cause."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection

from core.errors import MillwrightError
from tickets import cause, verbs
from tickets.model import Actor, ActorKind
from tickets.rules.chain import Chain
from tickets.rules.model import Action, Rule
from tickets.rules.runs import Outcome
from tickets.rules.world import World

Doer = Callable[["Act", Mapping[str, Any]], dict[str, Any]]
DOERS: dict[str, Doer] = {}  # filled by tickets.rules.actions
REFUSALS = (MillwrightError, psycopg.DataError, psycopg.IntegrityError)


@dataclass(frozen=True, slots=True)
class Act:
    """What an action needs to know. ``path`` leads to its list through the schedules around it."""

    conn: Connection
    rule: Rule
    world: World
    actor: Actor
    chain: Chain
    path: tuple[int, ...]
    now: datetime

    @property
    def ticket_id(self) -> int:
        return self.world.ticket_id

    @property
    def key(self) -> str:
        """Names this effect, so that telling it again is the same."""
        return f"rule:{self.rule.rule_id}:{self.ticket_id}:{self.world.happening.seq}:{'.'.join(map(str, self.path))}"


@dataclass(frozen=True, slots=True)
class Result:
    """How a list of actions ended."""

    outcome: Outcome
    sentence: str
    done: list[dict[str, Any]]


def actor_of(rule: Rule) -> Actor:
    """The rule as the one who acts."""
    return Actor(ActorKind.RULE, rule.rule_id, rule.code)


def perform(
    conn: Connection, rule: Rule, world: World, *, actions: Sequence[Action], chain: Chain, path: tuple[int, ...]
) -> Result:
    """Do the actions in order; when one is refused, none was done, and the sentence says which and why."""
    from_here = chain.then(rule.rule_id, world.ticket_id)
    done: list[dict[str, Any]] = []
    try:
        with cause.because(from_here), verbs.attempt(conn):
            for i, action in enumerate(actions):
                act = Act(conn, rule, world, actor_of(rule), from_here, (*path, i), world.now)
                done.append({"do": action.do, **DOERS[action.do](act, action.args)})
    except REFUSALS as error:
        place = actions[len(done)].do if len(done) < len(actions) else "at the end"
        return Result(Outcome.FAILED, f"{place}: {sentence(error)}", [])
    return Result(Outcome.DONE, "", done)


def sentence(error: Exception) -> str:
    """What a person is told of a refusal."""
    return error.message if isinstance(error, MillwrightError) else " ".join(str(error).split())[:300]


def behind(conn: Connection, root: str) -> list[int]:
    """The user who made the change that began a chain (``root``: ref and seq of its event); nobody: no person did."""
    ref, _, seq = root.partition("#")
    rows = conn.execute(
        """select e.actor_id from tickets t join ticket_events e using (ticket_id)
           where t.ref = %s and e.seq::text = %s and e.actor_id is not null and e.actor_kind in ('person', 'agent')""",
        (ref, seq),
    )
    return [user_id for (user_id,) in rows]
