"""What listeners hear of a verb: every write once, in order, when the outermost verb has ended."""

from __future__ import annotations

import pytest
from psycopg import Connection

from tests.integration import tickets_world
from tests.integration.tickets_world import NOW, World
from tickets import cause, chain, hooks, service, store
from tickets.cause import Cause
from tickets.errors import TicketClosed
from tickets.hooks import Change
from tickets.model import SYSTEM, Late
from tickets.verbs import verb


@pytest.fixture
def world(conn: Connection, site: int) -> World:
    return tickets_world.build(conn)


def heard_kinds(heard: list[Change]) -> list[str]:
    return [event.kind for change in heard for event in change.events]


def test_an_opening_is_told_with_all_that_it_wrote(conn: Connection, world: World) -> None:
    heard: list[Change] = []
    with hooks.only(on_event=lambda _conn, change: heard.append(change)):
        ticket = tickets_world.order(conn, world)
    assert heard_kinds(heard) == ["opened", "assigned"]
    assert heard[0].before is None and heard[1].before == heard[0].ticket
    assert heard[-1].ticket == ticket and ticket.status == "assigned"


def test_what_a_listener_does_is_told_too_and_returned(conn: Connection, world: World) -> None:
    heard: list[Change] = []

    def raise_priority(conn: Connection, change: Change) -> None:
        heard.append(change)
        if change.before is None:
            with cause.because(Cause(f"{change.ticket.ref}#1", (7,))):
                service.patch(conn, SYSTEM, change.ticket.ticket_id, changes={"priority": 1}, now=NOW)

    with hooks.only(on_event=raise_priority):
        ticket = tickets_world.order(conn, world)
    assert heard_kinds(heard) == ["opened", "assigned", "edited"]
    assert ticket.priority == 1
    assert [change.cause for change in heard] == [None, None, Cause(f"{ticket.ref}#1", (7,))]
    events = store.timeline(conn, ticket.ticket_id)
    assert [event.body.get("cause") for event in events] == [None, None, {"root": f"{ticket.ref}#1", "rules": [7]}]
    assert store.verify_chain(conn, ticket.ticket_id) == []


def test_nothing_is_told_of_what_failed(conn: Connection, world: World) -> None:
    heard: list[Change] = []

    @verb
    def half(conn: Connection) -> None:
        tickets_world.order(conn, world)
        raise LookupError

    with hooks.only(on_event=lambda _conn, change: heard.append(change)), pytest.raises(LookupError):
        half(conn)
    assert heard == []


def test_a_record_changes_columns_and_replays(conn: Connection, world: World) -> None:
    ticket = tickets_world.order(conn, world)
    changes = {"cost": 12.5, "tags": ("pump", "oil"), "downtime_s": 60.0}
    ticket = service.record(
        conn, world.lin, ticket.ticket_id, kind="labour", details={"hours": 1}, changes=changes, now=NOW
    )
    assert (ticket.cost, ticket.tags, ticket.downtime_s, ticket.version) == (12.5, ("pump", "oil"), 60.0, 3)
    assert chain.replay(store.timeline(conn, ticket.ticket_id)) == chain.row_of(ticket)


def test_a_record_after_the_end_is_taken_only_by_name(conn: Connection, world: World) -> None:
    ticket = tickets_world.order(conn, world)
    fields = {"reason": "not needed"}
    service.transition(conn, world.planner, ticket.ticket_id, to="cancelled", fields=fields, now=NOW)
    with pytest.raises(TicketClosed):
        service.record(conn, world.lin, ticket.ticket_id, kind="labour", details={}, now=NOW)
    late = service.record(conn, world.lin, ticket.ticket_id, kind="labour", details={}, late=Late.TAKEN, now=NOW)
    assert late.event_count == 4
