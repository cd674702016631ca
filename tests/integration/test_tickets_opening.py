"""What an opening asks of the database, and that what the process keeps of definitions is never old."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from benchmarks.cost import statements
from core.database import Database
from tests.integration import tickets_world
from tests.integration.tickets_world import NOW, World
from tickets import engineers, fields, service, store
from tickets.model import Ticket

MOST = 5  # reads: strangers with marks, who has what in hand; writes: number, ticket, its guides


@pytest.fixture
def world(conn: Connection, site: int) -> World:
    return tickets_world.build(conn)


def opened(conn: Connection, world: World, number: int, **more: Any) -> Ticket:
    return service.open(
        conn,
        world.planner,
        kind="corrective",
        title=f"Bearing {number}",
        asset_id=world.pump,
        skill="mechanical",
        requester_id=world.requester.actor_id,
        now=NOW + timedelta(seconds=number),
        **more,
    ).ticket


def test_an_opening_costs_few_statements_whatever_it_decides(conn: Connection, world: World) -> None:
    opened(conn, world, 1)
    with statements(conn) as sent:
        ticket = opened(conn, world, 2)
    assert len(sent) <= MOST, "\n".join(" ".join(each.split())[:100] for each in sent)
    number = next(at for at, each in enumerate(sent) if "ref_counters" in each)
    assert "insert into tickets" in sent[number + 1]  # whatever only reads comes before the number
    assert ticket.assignee_id == world.lin_id and ticket.resolve_by is not None


def test_what_is_assigned_at_its_opening_has_both_events_and_replays(conn: Connection, world: World) -> None:
    ticket = opened(conn, world, 1)
    kinds = [(each.kind, each.actor.kind.value) for each in store.timeline(conn, ticket.ticket_id)]
    assert kinds == [("opened", "person"), ("assigned", "system")] and ticket.version == 2
    assert store.verify_chain(conn, ticket.ticket_id) == [] and store.get(conn, ticket.ticket_id) == ticket
    told = conn.execute("select key from notifications where ticket_id = %s", (ticket.ticket_id,)).fetchall()
    assert told == [(f"assigned:{ticket.ticket_id}:2",)]
    clocks = conn.execute("select kind from sla_clocks where ticket_id = %s", (ticket.ticket_id,)).fetchall()
    assert {kind for (kind,) in clocks} >= {"response", "resolution"}


def test_what_is_defined_counts_for_the_next_opening(conn: Connection, world: World) -> None:
    first = opened(conn, world, 1)
    engineers.create(conn, name="Lin", skills={"electrical": 3}, user_id=world.lin.actor_id)
    fields.define(conn, key="floor", label={"en": "Floor", "zh": "楼层"}, type="integer", default=3)
    conn.execute("update sla_policies set resolution_s = resolution_s + 3600")
    second = opened(conn, world, 2)
    assert (first.assignee_id, second.assignee_id) == (world.lin_id, world.wang_id)
    assert "floor" not in first.fields and second.fields["floor"] == 3
    assert first.resolve_by and second.resolve_by and second.resolve_by > first.resolve_by + timedelta(seconds=1)


def test_what_another_process_defines_counts_and_what_is_rolled_back_does_not(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        world = tickets_world.build(conn)
        assert "floor" not in opened(conn, world, 1).fields
    with pytest.raises(RuntimeError), database.tx(site_id=site) as conn:
        fields.define(conn, key="floor", label={"en": "Floor", "zh": "楼层"}, type="integer", default=3)
        assert opened(conn, world, 2).fields["floor"] == 3
        raise RuntimeError
    with database.tx(site_id=site) as conn, database.tx(site_id=site) as other:
        assert "floor" not in opened(conn, world, 3).fields
        fields.define(other, key="floor", label={"en": "Floor", "zh": "楼层"}, type="integer", default=4)
    with database.tx(site_id=site) as conn:
        assert opened(conn, world, 4).fields["floor"] == 4


@pytest.mark.parametrize(
    "table",
    [
        "field_definitions",
        "lifecycles",
        "sla_policies",
        "calendars",
        "checklist_templates",
        "dispatch_settings",
        "engineers",
        "shifts",
        "guide_settings",
    ],
)
def test_whatever_is_kept_has_its_mark(conn: Connection, world: World, table: str) -> None:
    found = conn.execute(
        """select count(*) from pg_trigger t join pg_proc p on p.oid = t.tgfoid
           where t.tgrelid = %s::regclass and p.proname = 'mark_definitions'""",
        (table,),
    ).fetchone()
    assert found == (1,)
