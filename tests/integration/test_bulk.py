"""Bulk edits: a rehearsal writes nothing and foretells what happens; all or each; the way back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from psycopg import Connection

from tests.integration import tickets_world
from tests.integration.tickets_world import NOW, World
from tickets import bulk, chain, fields, service, store
from tickets.bulk import AlreadyUndone, BulkRefused, Chosen, How, VersionMissing
from tickets.errors import InvalidFields
from tickets.model import Ticket

LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def world(conn: Connection) -> World:
    return tickets_world.build(conn)


def orders(conn: Connection, world: World, number: int = 3) -> list[Ticket]:
    return [tickets_world.order(conn, world, mode=f"mode{n}", priority=3) for n in range(number)]


def all_of(tickets: list[Ticket]) -> list[Chosen]:
    return [Chosen(each.ticket_id, each.version) for each in tickets]


def state(conn: Connection) -> list[object]:
    tables = ("tickets", "ticket_events", "notifications", "bulk_changes", "search_dirty", "sla_clocks", "pgqueuer")
    return [
        conn.execute(f"select count(*), md5(string_agg(x::text, '' order by x::text)) from {each} x").fetchall()  # type: ignore[arg-type]  # noqa: S608
        for each in tables
    ]


def test_a_rehearsal_foretells_and_writes_nothing(conn: Connection, world: World) -> None:
    tickets = orders(conn, world)
    service.transition(conn, world.planner, tickets[1].ticket_id, to="cancelled", fields={"reason": "x"}, now=NOW)
    changes = {"set": {"priority": 1}, "add_tags": ["night"], "assign": world.wang_id}
    chosen = [Chosen(each.ticket_id) for each in tickets] + [Chosen(999)]
    before = state(conn)
    foretold = bulk.rehearse(conn, world.planner, chosen=chosen, changes=changes, now=LATER)
    assert state(conn) == before
    assert [row.code for row in foretold] == [None, "ticket_closed", None, "not_found"]
    assert foretold[0].after["tags"] == ["night"] and foretold[0].after["assignee_id"] == world.wang_id
    assert foretold[0].before["priority"] == 3
    with pytest.raises(VersionMissing, match="4 of 4 tickets"):
        bulk.apply(conn, world.planner, chosen=chosen, changes=changes, how=How.EACH, now=LATER)
    assert state(conn) == before
    seen = [Chosen(each.ticket_id, each.version) for each in foretold[:3]] + [Chosen(999, 1)]
    foretold[3] = replace(foretold[3], version=1, version_after=1)
    foretold[1] = replace(foretold[1], version_after=foretold[1].version)  # refused: it is as it was seen
    _, done = bulk.apply(conn, world.planner, chosen=seen, changes=changes, how=How.EACH, now=LATER)
    assert done == foretold


def test_all_or_nothing(conn: Connection, world: World) -> None:
    tickets = orders(conn, world)
    service.patch(conn, world.planner, tickets[2].ticket_id, changes={"title": "Other"}, now=NOW)
    before = store.get(conn, tickets[0].ticket_id)
    with pytest.raises(BulkRefused) as refused, bulk.savepoint(conn):
        bulk.apply(
            conn, world.planner, chosen=all_of(tickets), changes={"set": {"priority": 1}}, how=How.ALL, now=LATER
        )
    assert [(each["ticket_id"], each["code"]) for each in refused.value.extra["errors"]] == [
        (tickets[2].ticket_id, "stale")
    ]
    assert store.get(conn, tickets[0].ticket_id) == before


def test_undo_takes_back_by_new_events_and_spares_what_changed_since(conn: Connection, world: World) -> None:
    tickets = orders(conn, world)
    changes = {"set": {"priority": 1, "title": "All"}, "add_tags": ["oil"], "assign": world.wang_id, "comment": "Why"}
    bulk_id, _ = bulk.apply(conn, world.planner, chosen=all_of(tickets), changes=changes, how=How.ALL, now=LATER)
    service.patch(conn, world.planner, tickets[1].ticket_id, changes={"title": "Mine"}, now=LATER)
    rows = bulk.undo(conn, world.planner, bulk_id, now=LATER)
    assert [row.refused is None for row in rows] == [True, False, True]
    assert "changed meanwhile" in (rows[1].refused or "")
    for was in (tickets[0], tickets[2]):
        now = store.get(conn, was.ticket_id)
        assert (now.priority, now.title, now.tags, now.assignee_id) == (3, was.title, (), was.assignee_id)
        assert now.event_count > was.event_count + 4
        assert chain.replay(store.timeline(conn, was.ticket_id)) == chain.row_of(now)
    assert store.get(conn, tickets[1].ticket_id).title == "Mine"
    with pytest.raises(AlreadyUndone):
        bulk.undo(conn, world.planner, bulk_id, now=LATER)


def test_an_undo_that_is_refused_for_every_ticket_is_not_used_up(conn: Connection, world: World) -> None:
    kept = fields.define(conn, key="batch", label={"en": "Batch", "zh": "批次"}, type="text")
    ticket = orders(conn, world, 1)[0]
    tickets = [service.patch(conn, world.planner, ticket.ticket_id, changes={"fields": {"batch": "a"}}, now=NOW)]
    changes = {"set": {"priority": 1, "fields": {"batch": "b"}}}
    bulk_id, _ = bulk.apply(conn, world.planner, chosen=all_of(tickets), changes=changes, how=How.ALL, now=LATER)
    fields.retire(conn, kept.field_id or 0, at=LATER)
    assert [row.refused is None for row in bulk.undo(conn, world.planner, bulk_id, now=LATER)] == [False]
    assert store.get(conn, ticket.ticket_id).priority == 1
    fields.retire(conn, kept.field_id or 0, at=None)
    assert [row.refused for row in bulk.undo(conn, world.planner, bulk_id, now=LATER)] == [None]
    assert store.get(conn, ticket.ticket_id).priority == 3


def test_a_skill_is_set_a_mode_named_once_and_both_taken_back(conn: Connection, world: World) -> None:
    named, bare = tickets_world.order(conn, world), tickets_world.order(conn, world, mode=None)
    changes = {"set": {"skill": "welding", "mode": "seal_leak"}}
    bulk_id, rows = bulk.apply(
        conn, world.planner, chosen=all_of([named, bare]), changes=changes, how=How.EACH, now=LATER
    )
    assert [row.code for row in rows] == ["invalid_fields", None]
    assert rows[1].after == {"skill": "welding", "mode": "seal_leak"}
    bulk.undo(conn, world.planner, bulk_id, now=LATER)
    left = store.get(conn, bare.ticket_id)
    assert (left.skill, left.mode) == (bare.skill, None)
    assert store.verify_chain(conn, bare.ticket_id) == []


def test_a_hold_is_taken_back_and_a_cancelled_order_is_not(conn: Connection, world: World) -> None:
    held, gone = orders(conn, world, 2)
    hold = {"transition": {"to": "on_hold", "fields": {"reason": "waiting_parts"}}}
    cancel = {"transition": {"to": "cancelled", "fields": {"reason": "twice"}}}
    first, _ = bulk.apply(conn, world.planner, chosen=all_of([held]), changes=hold, how=How.ALL, now=NOW)
    second, _ = bulk.apply(conn, world.planner, chosen=all_of([gone]), changes=cancel, how=How.ALL, now=NOW)
    assert bulk.undo(conn, world.planner, first, now=LATER)[0].after["status"] == "assigned"
    assert "cannot be taken back" in (bulk.undo(conn, world.planner, second, now=LATER)[0].refused or "")


def test_an_engineer_gets_no_further_than_one_by_one(conn: Connection, world: World) -> None:
    mine, theirs = orders(conn, world, 2)
    service.assign(conn, world.planner, theirs.ticket_id, assignee_id=world.wang_id, now=NOW)
    chosen = [Chosen(mine.ticket_id), Chosen(theirs.ticket_id)]
    rows = bulk.rehearse(conn, world.lin, chosen=chosen, changes={"set": {"description": "x"}}, now=NOW)
    assert [row.code for row in rows] == [None, "not_yours"]


@pytest.mark.parametrize(
    "changes",
    [{}, {"status": "closed"}, {"set": {"version": 3}}, {"add_tags": "x"}, {"transition": "closed"}, [], None],
)
def test_changes_that_make_no_sense_are_refused(conn: Connection, world: World, changes: object) -> None:
    with pytest.raises(InvalidFields):
        bulk.rehearse(conn, world.planner, chosen=[Chosen(1)], changes=changes, now=NOW)  # type: ignore[arg-type]
