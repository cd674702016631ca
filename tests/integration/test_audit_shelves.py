"""Movements of stock that were altered past the program are named; a plan is no record, its visits' orders are."""

from __future__ import annotations

from typing import LiteralString

import pytest
from psycopg import Connection

from core.database import Database
from tests.integration.test_stock import Shop, shop
from tests.integration.tickets_world import NOW
from tickets import audit, service, shelves, stock

ALTERED: dict[str, LiteralString] = {
    "changed": "update stock_moves set quantity = 3 where seq = 1",
    "deleted": "delete from stock_moves where seq = 2",
    "does not lead": "update stock_moves set on_hand = 90 where seq = 2",
    "the last was changed": "delete from stock_moves where seq = 4",
    "on_hand is": "update stock_levels set on_hand = on_hand + 5",
    "reserved is": "update stock_levels set reserved = reserved + 1",
    "were deleted": "delete from stock_moves where seq is not null",
    "was deleted and movements": "delete from stock_levels",
}


@pytest.fixture
def at(database: Database, site: int) -> Shop:
    """A shelf with four movements, of an order and of nobody's."""
    with database.tx(site_id=site) as conn:
        made = shop(conn)
        for quantity in (3, 1):
            stock.reserve(
                conn, made.world.planner, made.ticket.ticket_id, part_id=made.bearing, quantity=quantity, now=NOW
            )
        stock.consume(conn, made.world.planner, made.ticket.ticket_id, part_id=made.bearing, quantity=2, now=NOW)
        service.assign(conn, made.world.planner, made.ticket.ticket_id, assignee_id=made.world.lin_id, now=NOW)
    return made


def found(conn: Connection) -> list[str]:
    return [*shelves.verify(conn).problems, *shelves.orphans(conn)]


def test_what_nobody_touched_is_whole(database: Database, site: int, at: Shop) -> None:
    with database.tx(site_id=site) as conn:
        stock.receive(conn, at.world.planner, store_id=at.store, part_id=at.seal, quantity=2, now=NOW)
        seen = shelves.verify(conn)
        assert (seen.problems, seen.shelves, seen.moves, seen.uncovered) == ((), 2, 5, 0)
        assert shelves.verify(conn, seen.last or (0, 0)).last is None
        assert (shelves.verify(conn, part=1).shelves, list(shelves.orphans(conn))) == (1, [])


def test_what_was_altered_is_named(superuser: Connection, at: Shop) -> None:
    superuser.execute("set session_replication_role = replica")
    for told, change in ALTERED.items():
        with superuser.transaction(force_rollback=True):
            superuser.execute(change)
            problems = found(superuser)
            assert any(told in each for each in problems), (told, problems)
    assert found(superuser) == []


def test_a_movement_of_an_older_version_is_not_covered_and_the_chain_goes_on_from_it(
    superuser: Connection, database: Database, site: int, at: Shop
) -> None:
    superuser.execute("update stock_moves set seq = null, hash = null, prev_hash = null, on_hand = null")
    superuser.execute("update stock_levels set moves = 0, head_hash = ''")
    with database.tx(site_id=site) as conn:
        stock.reserve(conn, at.world.planner, at.ticket.ticket_id, part_id=at.bearing, quantity=1, now=NOW)
        seen = shelves.verify(conn)
    assert (seen.problems, seen.moves, seen.uncovered) == ((), 1, 4)


def test_the_movement_of_an_order_is_held_by_its_timeline_too(superuser: Connection, at: Shop) -> None:
    superuser.execute("update stock_moves set quantity = 9 where kind = 'consume'")
    told = audit.ticket(superuser, at.ticket.ticket_id, now=NOW).problems
    assert [each for each in told if "stock_moves.quantity" in each], told


def test_a_plan_is_no_record_but_what_it_did_to_an_order_is(superuser: Connection, at: Shop) -> None:
    """The stated boundary: plans and their visits are proposals; who is to do an order is in its timeline."""
    superuser.execute(
        """insert into plans (site_id, seconds, origin, horizon_s, made_at)
           select site_id, 1, %(now)s, 60, %(now)s from sites limit 1""",
        {"now": NOW},
    )
    assert not audit.ticket(superuser, at.ticket.ticket_id, now=NOW).problems
    superuser.execute("update tickets set assignee_id = null where ticket_id = %s", (at.ticket.ticket_id,))
    assert any("assignee_id" in each for each in audit.ticket(superuser, at.ticket.ticket_id, now=NOW).problems)
