"""How fast are many rules? A mixed set of them over recorded events, for benchmarks and for whoever is curious."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import Any

from psycopg import Connection

from tickets.model import Actor, TicketKind
from tickets.rules import forms, service
from tickets.rules.matching import Library, judge, library
from tickets.rules.model import Form, Rule, Status
from tickets.rules.rehearsal import recorded
from tickets.rules.world import World

Clock = Callable[[], float]
KINDS = tuple(TicketKind)
EVENTS = ("opened", "transition", "assigned", "edited", "comment")
STATES = ("new", "assigned", "accepted", "arrived", "done", "closed")
SINCE = datetime(1970, 1, 1, tzinfo=UTC)
TAG = [{"do": "tag", "add": ["seen"]}]
# one in three begins with nothing to look up and is always asked; the conditions are of the length people write
OPEN_ENDED = (
    "ticket.title.contains('leak {n}') || ticket.description.contains('drip {n}')",
    "ticket.description.matches('(?i)leak|drip {n}')",
    "ticket.cost > {n}00.0 && ticket.status != before.status",
    "has(fields.line) && fields.line == 'L{n}' || ticket.priority < 1",
)
LOOKED_UP = (
    "ticket.kind == '{kind}' && ticket.priority <= 2 && ticket.title.contains('{n}')",
    "ticket.status == '{state}' && now - ticket.opened_at > duration('{n}h')",
    "ticket.mode == 'mode_{n}' && ticket.kind in ['{kind}', 'incident']",
    "ticket.skill == 'skill_{n}' && actor.kind != 'rule'",
    "ticket.asset_id == {n} && ticket.status != before.status",
    "ticket.priority == 1 && ticket.kind == '{kind}' && ticket.title.startsWith('{n}')",
)


def definitions(count: int, *, seed: int = 1) -> list[tuple[str, Mapping[str, Any]]]:
    """(code, definition) of a mixed set of rules."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    found: list[tuple[str, Mapping[str, Any]]] = []
    for n in range(count):
        text = chance.choice(OPEN_ENDED if n % 3 == 0 else LOOKED_UP)
        text = (
            text.replace("{n}", str(n))
            .replace("{kind}", chance.choice(KINDS))
            .replace("{state}", chance.choice(STATES))
        )
        on = sorted(chance.sample(EVENTS, chance.choice((1, 1, 2))))
        found.append((f"speed-{n:04d}", {"when": {"on": on}, "if": text, "then": TAG}))
    return found


def compiled(count: int, *, seed: int = 1) -> Library:
    """The same, ready to be asked."""
    made = [forms.parse(code, Form.RULE, data) for code, data in definitions(count, seed=seed)]
    return library([Rule(n + 1, 1, Status.ENABLED, each) for n, each in enumerate(made)])


def rule_events_s(
    conn: Connection,
    *,
    rules: int = 200,
    events: int = 5_000,
    seed: int = 1,
    clock: Clock = time.perf_counter,
) -> float:
    """Events a second through ``rules`` rules: world, index, expressions; over recorded events of the site.

    Reading the events is not counted; writing them is the ticket core's own figure. Fewer events are asked
    several times.
    """
    worlds = list(islice(recorded(conn, SINCE), events))
    asked = list(islice(cycle(worlds), events))
    return len(asked) / max(seconds(compiled(rules, seed=seed), asked, clock=clock), 1e-9)


def seconds(active: Library, worlds: Iterable[World], *, clock: Clock = time.perf_counter) -> float:
    """How long asking takes; a world keeps nothing of an earlier asking."""
    fresh = [world.fresh() for world in worlds]
    began = clock()
    for world in fresh:
        for rule in active.index.candidates(world):
            judge(rule, world)
    return clock() - began


def enable(conn: Connection, actor: Actor, count: int, *, now: datetime, seed: int = 1) -> None:
    """Put such rules in force on the current site, for measuring verbs with them."""
    for code, data in definitions(count, seed=seed):
        kept = service.make(conn, actor, code=code, form=Form.RULE, definition=data, now=now - timedelta(days=1))
        service.enable(conn, actor, kept.rule_id, now=now)
