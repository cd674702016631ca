"""SLA clocks on a real database: timers, pauses, moved deadlines; each mark is recorded once, whoever comes first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

from core import clock, timers
from core.database import Database
from tests.integration import tickets_world
from tests.integration.tickets_world import DONE, HOUR, NOW, World, order, walk
from tickets import clocks, notify, service, sla, store
from tickets.hooks import Change, only
from tickets.model import SYSTEM, Ticket
from tickets.sla import State

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def world(conn: Connection) -> World:
    return tickets_world.build(conn)


@pytest.fixture(autouse=True)
def nothing_registered() -> Iterator[None]:
    with only():
        yield


def urgent(conn: Connection, world: World, **changes: Any) -> Ticket:
    """Priority 1 runs around the clock: respond in 30 min, resolve in 8 h, warning at 80 %."""
    return order(conn, world, priority=1, **changes)


def clock_of(conn: Connection, ticket: Ticket, kind: str) -> sla.Clock:
    return next(kept.clock for kept in clocks.of(conn, ticket.ticket_id) if kept.clock.kind == kind)


def state(conn: Connection, ticket: Ticket, kind: str, now: datetime) -> State:
    return sla.state(clock_of(conn, ticket, kind), now)


def ring(conn: Connection, now: datetime) -> datetime | None:
    """What the timer does at ``now``."""
    return clocks.ring(conn, now)


def marks(conn: Connection, ticket: Ticket) -> list[tuple[str, str]]:
    events = store.timeline(conn, ticket.ticket_id)
    return [(event.kind, event.body["clock"]) for event in events if event.kind.startswith("sla_")]


def test_policies_differ_by_kind_and_priority_and_fall_back(conn: Connection, world: World) -> None:
    assert urgent(conn, world).respond_by == NOW + 30 * MINUTE
    assert urgent(conn, world, kind="incident", mode="x").respond_by == NOW + 15 * MINUTE
    office = order(conn, world, mode="y")
    assert office.respond_by == NOW + 4 * HOUR
    assert office.resolve_by == datetime(
        2026, 3, 9, 9, tzinfo=NOW.tzinfo
    )  # 45 office hours: 8 + 4 × 9, then 1 on Monday
    conn.execute("delete from sla_policies")
    assert (order(conn, world, mode="z").respond_by, order(conn, world, mode="z").resolve_by) == (None, None)


def test_a_warning_then_a_breach_each_once_and_told_to_engineer_and_planner(conn: Connection, world: World) -> None:
    ticket = urgent(conn, world)
    ring(conn, NOW + 23 * MINUTE)
    assert marks(conn, ticket) == []
    ring(conn, NOW + 24 * MINUTE)
    ring(conn, NOW + 25 * MINUTE)
    assert marks(conn, ticket) == [("sla_warning", "response")]
    ring(conn, NOW + 30 * MINUTE)
    ring(conn, NOW + 31 * MINUTE)
    clocks.sweep(conn, NOW + 32 * MINUTE)
    assert marks(conn, ticket) == [("sla_warning", "response"), ("sla_breached", "response")]
    for person in (world.lin, world.planner):
        told = [notice.kind for notice in notify.inbox(conn, person.actor_id or 0)]
        assert [kind for kind in told if kind.startswith("sla_")] == ["sla_breached", "sla_warning"]
    notice = notify.inbox(conn, world.planner.actor_id or 0)[0]
    assert notice.title == {"en": f"{ticket.ref}: response time is over", "zh": f"{ticket.ref}：响应已超时"}
    assert store.verify_chain(conn, ticket.ticket_id) == []


def test_a_timer_that_comes_late_records_both_marks_in_order(conn: Connection, world: World) -> None:
    ticket = urgent(conn, world)
    ring(conn, NOW + 20 * HOUR)
    assert marks(conn, ticket) == [
        ("sla_warning", "response"),
        ("sla_breached", "response"),
        ("sla_warning", "resolution"),
        ("sla_breached", "resolution"),
    ]


def test_a_step_after_the_due_time_records_the_breach_that_no_timer_did(conn: Connection, world: World) -> None:
    ticket = walk(conn, world.lin, urgent(conn, world), "accepted", now=NOW + HOUR)
    assert marks(conn, ticket) == [("sla_warning", "response"), ("sla_breached", "response")]
    assert state(conn, ticket, "response", NOW + HOUR) is State.BREACHED
    assert state(conn, ticket, "resolution", NOW + HOUR) is State.RUNNING


def test_response_stops_at_accepted_and_its_timer_does_nothing(conn: Connection, world: World) -> None:
    ticket = urgent(conn, world)
    accepted = walk(conn, world.lin, ticket, "accepted", now=NOW + 10 * MINUTE)
    assert accepted.responded_at == NOW + 10 * MINUTE
    ring(conn, NOW + HOUR)
    assert state(conn, ticket, "response", NOW + HOUR) is State.MET
    assert marks(conn, ticket) == []


def test_the_clocks_pause_for_the_named_reasons_only(conn: Connection, world: World) -> None:
    ticket = walk(conn, world.lin, urgent(conn, world), "accepted", "on_hold", now=NOW + 10 * MINUTE)
    assert state(conn, ticket, "resolution", NOW + 90 * HOUR) is State.PAUSED
    ring(conn, NOW + 20 * HOUR)
    assert clocks.sweep(conn, NOW + 20 * HOUR) == 0
    assert marks(conn, ticket) == []
    back = walk(conn, world.lin, ticket, "accepted", now=NOW + 20 * HOUR)
    assert back.resolve_by == NOW + 20 * HOUR + 8 * HOUR - 10 * MINUTE
    busy = service.transition(
        conn, world.lin, ticket.ticket_id, to="on_hold", fields={"reason": "lunch"}, now=NOW + 21 * HOUR
    )
    assert state(conn, busy, "resolution", NOW + 21 * HOUR) is State.RUNNING
    ring(conn, NOW + 28 * HOUR)
    assert marks(conn, ticket) == [("sla_warning", "resolution"), ("sla_breached", "resolution")]


def test_resolution_stops_at_done_and_resumes_with_what_is_left_when_reopened(conn: Connection, world: World) -> None:
    ticket = walk(conn, world.lin, urgent(conn, world), "accepted", "arrived", now=NOW + MINUTE)
    ticket = walk(conn, world.lin, ticket, "done", now=NOW + HOUR)
    assert state(conn, ticket, "resolution", NOW + 90 * HOUR) is State.MET
    again = service.transition(
        conn, SYSTEM, ticket.ticket_id, to="reopened", fields={"note": "Still shaking"}, now=NOW + 30 * HOUR
    )
    assert again.resolve_by == NOW + 37 * HOUR
    assert state(conn, ticket, "response", NOW + 90 * HOUR) is State.MET
    done = walk(conn, world.lin, again, "arrived", "done", now=NOW + 31 * HOUR)
    assert sla.used(clock_of(conn, done, "resolution"), NOW + 99 * HOUR) == 2 * HOUR
    assert marks(conn, ticket) == []


def test_a_new_engineer_after_a_response_does_not_start_the_response_clock_again(
    conn: Connection, world: World
) -> None:
    ticket = walk(conn, world.lin, urgent(conn, world), "accepted", now=NOW + MINUTE)
    service.assign(conn, world.planner, ticket.ticket_id, assignee_id=world.wang_id, version=None, now=NOW + HOUR)
    assert clock_of(conn, ticket, "response").running_since is None
    assert clock_of(conn, ticket, "resolution").running_since == NOW


def test_cancelling_stops_every_clock(conn: Connection, world: World) -> None:
    ticket = urgent(conn, world)
    service.transition(conn, world.planner, ticket.ticket_id, to="cancelled", fields={"reason": "x"}, now=NOW)
    assert clocks.sweep(conn, NOW + 99 * HOUR) == 0
    assert all(kept.clock.stopped_at == NOW for kept in clocks.of(conn, ticket.ticket_id))


def test_a_forecast_sets_and_moves_the_resolution_clock_around_the_clock(conn: Connection, world: World) -> None:
    sunday = datetime(2026, 3, 8, 3, 0, tzinfo=NOW.tzinfo)
    ticket = order(conn, world, deadline=sunday)
    old = clock_of(conn, ticket, "resolution")
    assert (ticket.resolve_by, old.due_at, old.basis) == (sunday, sunday, "forecast")
    nearer = NOW + 30 * HOUR
    service.move_deadline(conn, world.detector, ticket.ticket_id, resolve_by=nearer, reason="faster", now=NOW + HOUR)
    moved = clock_of(conn, ticket, "resolution")
    assert (moved.due_at, moved.generation) == (nearer, old.generation + 1)
    ring(conn, NOW + 29 * HOUR)
    assert ("sla_breached", "resolution") not in marks(conn, ticket)
    ring(conn, nearer)
    assert marks(conn, ticket).count(("sla_breached", "resolution")) == 1
    service.move_deadline(
        conn, world.detector, ticket.ticket_id, resolve_by=NOW + 90 * HOUR, reason="slower", now=NOW + 31 * HOUR
    )
    assert state(conn, ticket, "resolution", NOW + 31 * HOUR) is State.BREACHED  # never retroactive, either way
    ring(conn, NOW + 91 * HOUR)
    assert marks(conn, ticket).count(("sla_breached", "resolution")) == 1


def test_a_forecast_of_the_past_leaves_the_policy_in_force(conn: Connection, world: World) -> None:
    assert urgent(conn, world, deadline=NOW - HOUR).resolve_by == NOW + 8 * HOUR


def test_a_deadline_on_a_ticket_without_policy_makes_its_clock(conn: Connection, world: World) -> None:
    conn.execute("delete from sla_policies")
    ticket = order(conn, world)
    service.move_deadline(conn, world.planner, ticket.ticket_id, resolve_by=NOW + HOUR, reason="visit", now=NOW)
    ring(conn, NOW + HOUR)
    assert marks(conn, ticket) == [("sla_warning", "resolution"), ("sla_breached", "resolution")]


def test_another_priority_gives_other_targets_but_no_breach_of_the_past(conn: Connection, world: World) -> None:
    ticket = order(conn, world, priority=2)  # respond in 2 h, resolve in 24 h
    raised = service.patch(
        conn, world.planner, ticket.ticket_id, changes={"priority": 1}, version=ticket.version, now=NOW + HOUR
    )
    assert raised.respond_by == NOW + HOUR + 30 * MINUTE  # half an hour from now, as the first one has passed
    assert raised.resolve_by == NOW + 8 * HOUR
    assert marks(conn, raised) == []
    ring(conn, NOW + HOUR + 30 * MINUTE)
    assert ("sla_breached", "response") in marks(conn, ticket)
    body = store.timeline(conn, ticket.ticket_id)[2].body
    assert body["after"]["priority"] == 1
    assert "resolve_by" in body["after"]


def test_a_timer_is_a_row_of_the_opening_transaction(database: Database, site: int) -> None:
    """Committed: it rings when it is due, by the plant clock. Rolled back: no timer, no ticket."""

    class Undo(Exception):
        pass

    with database.tx(site_id=site) as conn:
        world = tickets_world.build(conn)
        now = clock.load(conn).now()
    with pytest.raises(Undo), database.tx(site_id=site) as conn:
        urgent(conn, world, now=now)
        raise Undo
    with database.tx(site_id=site) as conn:
        assert conn.execute("select count(*) from sla_clocks").fetchone() == (0,)
        late = urgent(conn, world, now=now - 25 * MINUTE)  # its warning was due a minute ago, its breach is not yet
        assert conn.execute("select count(*) from pgqueuer").fetchone() == (0,)
    timers.ring_all(database)
    with database.tx(site_id=site) as conn:
        assert marks(conn, late) == [("sla_warning", "response")]
        clock.set_clock(conn, plant_now=now + 6 * MINUTE, factor=1.0)  # forward: the breach is due now
    timers.ring_all(database)
    with database.tx(site_id=site) as conn:
        clock.set_clock(conn, plant_now=now - HOUR, factor=1.0)  # back: nothing comes twice, nothing too early
    timers.ring_all(database)
    with database.tx(site_id=site) as conn:
        clock.set_clock(conn, plant_now=now + HOUR, factor=1.0)
    timers.ring_all(database)
    with database.tx(site_id=site) as conn:
        assert marks(conn, late) == [("sla_warning", "response"), ("sla_breached", "response")]
        assert store.verify_chain(conn, late.ticket_id) == []
        told = conn.execute("select count(*) from notifications where kind = 'sla_breached'").fetchone()
        assert told == (2,)  # engineer and planner


def test_the_timer_says_when_the_next_mark_is(conn: Connection, world: World) -> None:
    assert ring(conn, NOW) is None
    urgent(conn, world)
    assert ring(conn, NOW) == NOW + 24 * MINUTE
    assert ring(conn, NOW + 24 * MINUTE) == NOW + 30 * MINUTE
    assert ring(conn, NOW + 9 * HOUR) is None


def test_a_ticket_whose_marks_cannot_be_recorded_does_not_hold_up_the_others(conn: Connection, world: World) -> None:
    broken, sound = urgent(conn, world), urgent(conn, world, mode="x")

    def listener(conn: Connection, change: Change) -> None:
        if change.ticket.ticket_id == broken.ticket_id:
            raise ValueError("no")

    with only(on_event=listener):
        ring(conn, NOW + 25 * MINUTE)
    assert (marks(conn, broken), marks(conn, sound)) == ([], [("sla_warning", "response")])
    ring(conn, NOW + 26 * MINUTE)
    assert marks(conn, broken) == [("sla_warning", "response")]


def test_a_ticket_that_somebody_works_on_is_left_until_they_have_finished(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        ticket = urgent(conn, tickets_world.build(conn))
    with database.tx(site_id=site) as at_work:
        store.lock(at_work, ticket.ticket_id)
        with database.tx(site_id=site) as conn:
            following = ring(conn, NOW + 25 * MINUTE)
            assert marks(conn, ticket) == []
        assert following is not None
        assert following > NOW + 25 * MINUTE
    with database.tx(site_id=site) as conn:
        ring(conn, NOW + 25 * MINUTE)
        assert marks(conn, ticket) == [("sla_warning", "response")]


def test_the_clocks_of_a_whole_list_come_in_one_query(conn: Connection, world: World) -> None:
    tickets = [urgent(conn, world, mode=f"m{n}") for n in range(3)]
    found = clocks.of_many(conn, [*(ticket.ticket_id for ticket in tickets), 999])
    assert found == {**{ticket.ticket_id: clocks.of(conn, ticket.ticket_id) for ticket in tickets}, 999: []}


def test_done_with_everything_on_time_is_met(conn: Connection, world: World) -> None:
    ticket = walk(conn, world.lin, urgent(conn, world), "accepted", "arrived", now=NOW + MINUTE)
    done = service.transition(conn, world.lin, ticket.ticket_id, to="done", fields=DONE, now=NOW + 2 * HOUR)
    assert [sla.state(kept.clock, NOW + 9 * HOUR) for kept in clocks.of(conn, done.ticket_id)] == [State.MET, State.MET]
