"""A state machine over the whole life cycle against a small reference model; the timeline always is the truth.

The model knows a table of legal steps, who owns the ticket, and the intervals in which the clocks ran. Nothing else.
Every sequence is a transaction that is rolled back, so that the last finds the tables as small as the first. Of the
timeline each step reads what is new and checks it; the end of a sequence reads and checks all of it once more.
`MILLWRIGHT_MACHINE=2000x50` runs so many sequences of so many steps.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg import Connection

from core.database import Database
from core.errors import MillwrightError, Stale
from tests.integration import tickets_world
from tests.integration.tickets_world import DONE, NOW, World, order
from tickets import audit, chain, clocks, service, sla, store
from tickets.hooks import only
from tickets.model import SYSTEM, Actor, Event, Ticket

WORK = {
    "assigned": {"accepted", "on_hold"},
    "accepted": {"arrived", "on_hold"},
    "arrived": {"on_hold", "done"},
    "reopened": {"accepted", "arrived"},
    "on_hold": set(),
}
PLAN = {
    "accepted": {"assigned"},
    "arrived": {"assigned"},
    "reopened": {"assigned"},
    "verifying": {"closed", "reopened"},
}
STATES = [
    "new", "assigned", "accepted", "arrived", "on_hold", "done", "verifying", "reopened", "closed", "cancelled"
]  # fmt: skip
BEGINNINGS = [
    "",
    "accepted",
    "on_hold",
    "accepted arrived on_hold",
    "accepted arrived done",
    "accepted arrived done reopened",
    "accepted on_hold accepted arrived done reopened accepted arrived",
    "accepted arrived done closed",
    "cancelled",
]
PAUSING = {"waiting_parts", "waiting_window", "waiting_access"}
FIELDS = {**DONE, "reason": "waiting_parts"}
SEQUENCES, STEPS = map(int, os.environ.get("MILLWRIGHT_MACHINE", "54x25").split("x"))
WHO = st.sampled_from(["lin", "wang", "planner", "requester", "system"])


class RolledBack(Exception):
    """Takes a sequence back."""


class Guard:
    """Telemetry that leaves the decision to the test."""

    def begin(self, conn: Connection, ticket: Ticket, now: datetime) -> None:
        assert ticket.status == "verifying"


class Intervals:
    """Reference of one clock: the stretches in which it ran."""

    def __init__(self, start: datetime) -> None:
        self.closed: list[tuple[datetime, datetime]] = []
        self.since: datetime | None = start

    def run(self, now: datetime) -> None:
        self.since = self.since or now

    def rest(self, now: datetime) -> None:
        if self.since is not None:
            self.closed.append((self.since, now))
            self.since = None

    def used(self, now: datetime) -> timedelta:
        spans = self.closed + ([(self.since, now)] if self.since else [])
        return sum((end - start for start, end in spans), timedelta(0))


class LifeCycle(RuleBasedStateMachine):
    """Drives one order by anybody's hand."""

    database: Database
    site: int
    world: World
    beginning: str
    visited: set[str]  # over all runs

    def __init__(self) -> None:
        super().__init__()
        self.undo = ExitStack()
        self.undo.enter_context(suppress(RolledBack))
        self.conn = self.undo.enter_context(self.database.tx(site_id=self.site))
        self.undo.enter_context(only(close_guard=Guard()))
        self.seen: list[Event] = []

    def teardown(self) -> None:
        try:
            if self.seen:
                row, events = store.get(self.conn, self.ticket_id), store.timeline(self.conn, self.ticket_id)
                assert events == self.seen
                assert list(chain.problems(row, events)) == []
                beside = audit.ticket(self.conn, self.ticket_id, now=self.now)
                assert (beside.problems, beside.uncovered.total()) == ([], 0)
        finally:
            self.undo.__exit__(RolledBack, RolledBack(), None)

    @initialize(minutes=st.integers(0, 60))
    def open(self, minutes: int) -> None:
        """An order that has come some way already, so that every state is a common starting point."""
        self.now = NOW
        ticket = order(self.conn, self.world, priority=1)
        self.ticket_id, self.version = ticket.ticket_id, ticket.version
        self.status, self.owner, self.held, self.events = "assigned", "lin", "", ticket.event_count
        self.clock = {"response": Intervals(NOW), "resolution": Intervals(NOW)}
        self.met: set[str] = set()
        for to in self.beginning.split():
            self.now += timedelta(minutes=minutes)
            who = "planner" if to == "cancelled" else "system" if self.status == "verifying" else self.owner
            self.move(who=who, to=to, reason="waiting_parts", stale=False)

    @rule(minutes=st.integers(0, 300))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(who=WHO, to=st.sampled_from(STATES), reason=st.sampled_from([*sorted(PAUSING), "lunch"]), stale=st.booleans())
    def move(self, who: str, to: str, reason: str, stale: bool) -> None:
        version = self.version - 1 if stale else self.version
        fields: Mapping[str, Any] = {**FIELDS, "reason": reason}
        try:
            ticket = service.transition(
                self.conn, self.actor(who), self.ticket_id, to=to, version=version, fields=fields, now=self.now
            )
        except Stale:
            assert stale
        except MillwrightError:
            assert not stale
            assert not self.legal(who, to), (self.status, who, to)
        else:
            assert self.legal(who, to), (self.status, who, to)
            self.arrive(to, reason)
            self.version = ticket.version

    @precondition(lambda self: self.status not in ("closed", "cancelled"))
    @rule(data=st.data(), reason=st.sampled_from([*sorted(PAUSING), "lunch"]), minutes=st.integers(0, 90))
    def go_on(self, data: st.DataObject, reason: str, minutes: int) -> None:
        """A legal step after a while, so that the deep states are reached too; giving up only now and then."""
        self.now += timedelta(minutes=minutes)
        people = [self.owner, "planner", "system"]
        ways = [(who, to) for who in people for to in STATES if to != "cancelled" and self.legal(who, to)]
        who, to = data.draw(st.sampled_from(ways))
        self.move(who=who, to=to, reason=reason, stale=False)

    @precondition(lambda self: self.status != "closed")
    @rule(who=WHO, whom=st.sampled_from(["lin", "wang"]))
    def assign(self, who: str, whom: str) -> None:
        ident = self.world.lin_id if whom == "lin" else self.world.wang_id
        standing = self.held if self.status == "on_hold" else self.status
        legal = who in ("planner", "system") and standing in ("new", "assigned", "accepted", "arrived", "reopened")
        try:
            ticket = service.assign(self.conn, self.actor(who), self.ticket_id, assignee_id=ident, now=self.now)
        except MillwrightError:
            assert not legal
            return
        assert legal
        self.owner = whom
        if self.status == "on_hold":
            self.held = "assigned"
        else:
            self.arrive("assigned", "")
        self.version = ticket.version

    @rule(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=5).filter(str.strip))
    def comment(self, text: str) -> None:
        said = service.comment(
            self.conn, self.actor("planner"), self.ticket_id, text=text, audience="internal", now=self.now
        )
        assert said.version == self.version

    @precondition(lambda self: self.status not in ("closed", "cancelled"))
    @rule(fields=st.dictionaries(st.sampled_from("abc"), st.none() | st.floats(-1e9, 1e9)))
    def edit(self, fields: dict[str, float | None]) -> None:
        ticket = service.patch(
            self.conn, self.actor("planner"), self.ticket_id, changes={"fields": fields}, now=self.now
        )
        self.version = ticket.version

    @precondition(lambda self: self.status not in ("closed", "cancelled"))
    @rule(cost=st.integers(0, 10**6), tags=st.lists(st.sampled_from(["oil", "泵"]), max_size=2))
    def record(self, cost: int, tags: list[str]) -> None:
        """What another room writes: no step of the life cycle, and no clock moves."""
        changes = {"cost": cost / 4, "tags": tuple(tags)}
        ticket = service.record(
            self.conn, self.actor("lin"), self.ticket_id, kind="walked", details={}, changes=changes, now=self.now
        )
        assert (ticket.cost, ticket.tags) == (cost / 4, tuple(tags))
        self.version = ticket.version

    @invariant()
    def the_timeline_is_the_row(self) -> None:
        row = store.get(self.conn, self.ticket_id)
        self.look()
        assert chain.replay(self.seen) == chain.row_of(row)
        assert [event.prev_hash for event in self.seen[1:]] == [event.hash for event in self.seen[:-1]]
        assert [event.seq for event in self.seen] == list(range(1, row.event_count + 1))
        assert (row.status, row.version) == (self.status, self.version)
        assert row.assignee_id == (self.world.lin_id if self.owner == "lin" else self.world.wang_id)

    @invariant()
    def the_clocks_used_what_they_ran(self) -> None:
        for kept in clocks.of(self.conn, self.ticket_id):
            assert sla.used(kept.clock, self.now) == self.clock[kept.clock.kind].used(self.now), kept.clock.kind

    @invariant()
    def each_mark_is_recorded_once(self) -> None:
        clocks.sweep(self.conn, self.now)
        self.look()
        marks = [(event.kind, event.body["clock"]) for event in self.seen if event.kind.startswith("sla_")]
        assert len(marks) == len(set(marks))
        for kind, limit in (("response", timedelta(minutes=30)), ("resolution", timedelta(hours=8))):
            assert (("sla_breached", kind) in marks) == (self.clock[kind].used(self.now) >= limit)

    def look(self) -> None:
        """Read the events that nobody has seen yet."""
        new = store.timeline(self.conn, self.ticket_id, after=len(self.seen))
        assert all(chain.event_hash(event) == event.hash for event in new)
        self.seen += new

    # the model

    def actor(self, who: str) -> Actor:
        return SYSTEM if who == "system" else getattr(self.world, who)

    def legal(self, who: str, to: str) -> bool:
        work = WORK.get(self.status, set()) | ({self.held} if self.status == "on_hold" else set())
        if to == "cancelled":
            return who == "planner" and self.status not in ("closed", "cancelled")
        if to in PLAN.get(self.status, set()):
            return who in ("planner", "system")
        return to in work and (who == "planner" or who == self.owner)

    def arrive(self, to: str, reason: str) -> None:
        response, resolution = self.clock["response"], self.clock["resolution"]
        if to == "on_hold":
            self.held = self.status
        if to in ("accepted", "arrived", "done", "closed", "cancelled"):
            response.rest(self.now)
            self.met.add("response")
        if to in ("done", "closed", "cancelled"):
            resolution.rest(self.now)
        elif to == "on_hold" and reason in PAUSING:
            response.rest(self.now)
            resolution.rest(self.now)
        elif to != "on_hold":
            resolution.run(self.now)
            if "response" not in self.met:
                response.run(self.now)
        self.status = "verifying" if to == "done" else to
        self.visited.add(self.status)


def test_any_sequence_of_steps_agrees_with_the_model(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        world = tickets_world.build(conn)
    visited: set[str] = set()
    for beginning in BEGINNINGS:
        bound = {"database": database, "site": site, "world": world, "beginning": beginning, "visited": visited}
        run_state_machine_as_test(
            type("Bound", (LifeCycle,), bound),
            settings=settings(
                max_examples=-(-SEQUENCES // len(BEGINNINGS)),
                stateful_step_count=STEPS,
                deadline=None,
                phases=[Phase.explicit, Phase.generate],  # shrinking on a database outlasts the test's time limit
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
    assert visited == set(STATES) - {"new", "done"}  # nothing was agreed on for want of trying
