"""Stock: never below nothing under eight writers, costs on the ticket, kits, one purchase request and one notice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from core.database import Database
from tests.integration.tickets_world import HOUR, NOW, World, build, order
from tickets import service, stock, store, stores
from tickets.errors import InvalidFields, NotAllowed, NotYours, ShortOfStock
from tickets.hooks import hooks, only
from tickets.model import SYSTEM, Ticket


@dataclass(frozen=True, slots=True)
class Shop:
    world: World
    ticket: Ticket
    store: int
    bearing: int
    seal: int


def shop(conn: Connection, *, stock_of: float = 10) -> Shop:
    world = build(conn)
    main = stores.put_store(conn, code="main", name="Main", allow_negative=False).store_id
    bearing = stores.put_part(conn, code="6205", name="Bearing", unit="pcs", price=40, lead_s=86_400).part_id
    seal = stores.put_part(conn, code="SEAL", name="Seal", unit="pcs", price=5, lead_s=3 * 86_400).part_id
    if stock_of:
        stock.receive(conn, world.planner, store_id=main, part_id=bearing, quantity=stock_of, now=NOW)
    return Shop(world, order(conn, world), main, bearing, seal)


def level(conn: Connection, at: Shop, part: int | None = None) -> tuple[float, float]:
    found = [each for each in stores.levels(conn) if each.part_id == (part or at.bearing)]
    return (found[0].on_hand, found[0].reserved) if found else (0, 0)


def test_reserve_consume_return_keeps_stock_costs_and_timeline(conn: Connection) -> None:
    at = shop(conn)
    lin, ident = at.world.lin, at.ticket.ticket_id
    stock.reserve(conn, lin, ident, part_id=at.bearing, quantity=4, now=NOW)
    assert level(conn, at) == (10, 4)
    used = stock.consume(conn, lin, ident, part_id=at.bearing, quantity=3, now=NOW)
    assert (level(conn, at), used.cost) == ((7, 1), 120)
    back = stock.give_back(conn, lin, ident, part_id=at.bearing, store_id=at.store, quantity=1, now=NOW)
    assert (level(conn, at), back.cost) == ((8, 1), 80)
    stock.release(conn, lin, ident, part_id=at.bearing, store_id=at.store, quantity=1, now=NOW)
    assert level(conn, at) == (8, 0)
    (line,) = stock.lines(conn, ident)
    assert (line.reserved, line.consumed, line.amount) == (0, 2, 80)
    assert store.verify_chain(conn, ident) == []
    moves = conn.execute("select kind, quantity from stock_moves where ticket_id = %s order by move_id", (ident,))
    assert moves.fetchall() == [("reserve", 4), ("consume", 3), ("return", 1), ("release", 1)]


def test_what_is_not_there_is_not_given(conn: Connection) -> None:
    at = shop(conn, stock_of=2)
    ident = at.ticket.ticket_id
    other = order(conn, at.world, asset_id=at.world.motor)
    stock.reserve(conn, at.world.planner, other.ticket_id, part_id=at.bearing, quantity=1, now=NOW)
    with pytest.raises(ShortOfStock, match="Only 1 of 6205"):
        stock.consume(conn, at.world.lin, ident, part_id=at.bearing, quantity=2, now=NOW)
    with pytest.raises(ShortOfStock):
        stock.give_back(conn, at.world.lin, ident, part_id=at.bearing, store_id=at.store, quantity=1, now=NOW)
    with pytest.raises(ShortOfStock):
        stock.release(conn, at.world.lin, ident, part_id=at.bearing, store_id=at.store, quantity=1, now=NOW)
    assert level(conn, at) == (2, 1)


def test_a_store_may_allow_less_than_nothing(conn: Connection) -> None:
    at = shop(conn, stock_of=1)
    van = stores.put_store(conn, code="van", name="Van", allow_negative=True).store_id
    stock.consume(conn, at.world.lin, at.ticket.ticket_id, part_id=at.bearing, store_id=van, quantity=2, now=NOW)
    assert [each.on_hand for each in stores.levels(conn, store_id=van)] == [-2]


@pytest.mark.parametrize("quantity", [0, -1, float("nan"), float("inf"), 1e9])
def test_odd_quantities_are_refused(conn: Connection, quantity: float) -> None:
    at = shop(conn)
    with pytest.raises(InvalidFields):
        stock.reserve(conn, at.world.lin, at.ticket.ticket_id, part_id=at.bearing, quantity=quantity, now=NOW)


def test_who_may_book(conn: Connection) -> None:
    at = shop(conn)
    with pytest.raises(NotYours):
        stock.consume(conn, at.world.wang, at.ticket.ticket_id, part_id=at.bearing, quantity=1, now=NOW)
    with pytest.raises(NotAllowed):
        stock.consume(conn, at.world.requester, at.ticket.ticket_id, part_id=at.bearing, quantity=1, now=NOW)


def test_who_had_the_order_books_what_they_used_when_their_phone_comes_back(conn: Connection) -> None:
    at = shop(conn)
    service.assign(conn, at.world.planner, at.ticket.ticket_id, assignee_id=at.world.wang_id, now=NOW)
    stock.consume(conn, at.world.lin, at.ticket.ticket_id, part_id=at.bearing, quantity=1, now=NOW)
    assert level(conn, at) == (9, 0)


def test_eight_writers_never_take_more_than_there_is(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        at = shop(conn, stock_of=20)
        others = [order(conn, at.world, asset_id=at.world.motor, mode=f"m{number}") for number in range(7)]
        tickets = [each.ticket_id for each in (at.ticket, *others)]

    def work(number: int) -> float:
        chance, taken = Random(number), 0.0
        for _ in range(12):
            try:
                with database.tx(site_id=site) as conn:
                    if chance.random() < 0.3:
                        stock.reserve(conn, at.world.planner, tickets[number], part_id=at.bearing, quantity=1, now=NOW)
                    else:
                        stock.consume(conn, at.world.planner, tickets[number], part_id=at.bearing, quantity=1, now=NOW)
                        taken += 1
            except ShortOfStock:
                continue
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = sum(pool.map(work, range(8)))
    with database.tx(site_id=site) as conn:
        on_hand, reserved = level(conn, at)
        row = conn.execute("select sum(reserved), sum(consumed) from ticket_parts").fetchone()
        assert row == (reserved, taken)
        assert on_hand == 20 - taken
        assert on_hand - reserved == 0  # 8 x 12 wishes for 20 parts
        assert sum(store.get(conn, each).cost for each in tickets) == taken * 40


def test_the_table_itself_refuses_less_than_nothing(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        shop(conn)
    with pytest.raises(psycopg.errors.CheckViolation), database.tx(site_id=site) as conn:
        conn.execute("update stock_levels set on_hand = reserved - 1")


def test_below_the_minimum_one_request_and_one_notice(conn: Connection) -> None:
    at = shop(conn)
    stores.set_level(conn, store_id=at.store, part_id=at.bearing, minimum=8, target=12)
    for _ in range(4):
        stock.consume(conn, at.world.lin, at.ticket.ticket_id, part_id=at.bearing, quantity=1, now=NOW)
    (wanted,) = stores.purchases(conn)
    assert (wanted.code, wanted.quantity, wanted.status) == ("6205", 5, "open")
    told = conn.execute("select count(*) from notifications where kind = 'stock_low'").fetchone()
    assert told == (1,)
    stores.settle(conn, at.world.planner, wanted.request_id, status="ordered", expected_at=NOW + HOUR, now=NOW)
    stores.settle(conn, at.world.planner, wanted.request_id, status="received", expected_at=None, now=NOW)
    assert level(conn, at) == (11, 0)
    assert stores.purchases(conn) == []
    with pytest.raises(Exception, match="cannot become"):
        stores.settle(conn, at.world.planner, wanted.request_id, status="received", expected_at=None, now=NOW)


def test_a_kit_is_reserved_at_opening_and_freed_at_the_end(conn: Connection) -> None:
    at = shop(conn)
    service.transition(conn, at.world.planner, at.ticket.ticket_id, to="cancelled", fields={"reason": "test"}, now=NOW)
    stores.set_kit(conn, asset_class="pump", mode="bearing_wear", wanted=[(at.bearing, 2), (at.seal, 1)])
    conn.execute("insert into dispatch_settings (kits_at_open) values (true)")
    with only(on_event=stores.on_event):
        ticket = order(conn, at.world)
        assert level(conn, at) == (10, 2)
        kinds = [
            row[0] for row in conn.execute("select kind from ticket_events where ticket_id = %s", (ticket.ticket_id,))
        ]
        assert "kit_short" in kinds
        assert stock.ready_at(conn, ticket, now=NOW) == NOW + timedelta(days=3)  # the seal's lead time
        stores.on_closed(conn, ticket, NOW)
        assert level(conn, at) == (10, 0)
        assert store.verify_chain(conn, ticket.ticket_id) == []


def test_the_narrowest_kit_line_counts(conn: Connection) -> None:
    at = shop(conn)
    stores.set_kit(conn, asset_class="*", mode="*", wanted=[(at.bearing, 1), (at.seal, 1)])
    stores.set_kit(conn, asset_class="pump", mode="bearing_wear", wanted=[(at.bearing, 2)])
    assert stock.kit(conn, at.ticket) == [(at.bearing, 2), (at.seal, 1)]


def test_a_hundred_random_moves_balance(conn: Connection) -> None:
    at = shop(conn, stock_of=30)
    chance, ident = Random(7), at.ticket.ticket_id
    reserved = consumed = 0.0
    for _ in range(100):
        quantity, kind = chance.randint(1, 4), chance.choice(("reserve", "release", "consume", "give_back"))
        free, place = 30 - consumed - reserved, {"store_id": at.store}
        fits = {
            "reserve": quantity <= free, "release": quantity <= reserved,
            "consume": quantity - min(reserved, quantity) <= free, "give_back": quantity <= consumed,
        }[kind]  # fmt: skip
        try:
            getattr(stock, kind)(conn, SYSTEM, ident, part_id=at.bearing, quantity=quantity, now=NOW, **place)
        except ShortOfStock:
            assert not fits
            continue
        assert fits
        if kind == "consume":
            reserved, consumed = reserved - min(reserved, quantity), consumed + quantity
        else:
            reserved += {"reserve": quantity, "release": -quantity}.get(kind, 0)
            consumed -= quantity if kind == "give_back" else 0
        assert level(conn, at) == (30 - consumed, reserved)
    assert store.get(conn, ident).cost == pytest.approx(consumed * 40)


def test_the_hooks_are_wired() -> None:
    from api import up

    before = hooks.copy()
    try:
        up.wire()
        assert stores.on_event in hooks.on_event
        assert stores.on_closed in hooks.on_closed
    finally:
        hooks.become(before)


def test_pieces_come_whole_and_what_is_measured_as_fine_as_was_declared(conn: Connection) -> None:
    at = shop(conn)
    lin, ident, planner = at.world.lin, at.ticket.ticket_id, at.world.planner
    for quantity in (0.5, 2.5, 1e-9, 1e-12, 5e-324):
        with pytest.raises(InvalidFields, match="6205"):
            stock.reserve(conn, lin, ident, part_id=at.bearing, quantity=quantity, now=NOW)
        with pytest.raises(InvalidFields, match="6205"):
            stock.consume(conn, lin, ident, part_id=at.bearing, quantity=quantity, now=NOW)
        with pytest.raises(InvalidFields, match="6205"):
            stock.receive(conn, planner, store_id=at.store, part_id=at.bearing, quantity=quantity, now=NOW)
        with pytest.raises(InvalidFields, match="6205"):
            stores.set_kit(conn, asset_class="pump", mode="*", wanted=[(at.bearing, quantity)])
    with pytest.raises(InvalidFields, match="come whole"):
        stock.receive(conn, planner, store_id=at.store, part_id=at.bearing, quantity=-0.5, kind="correct", now=NOW)
    assert level(conn, at) == (10, 0)
    put: dict[str, Any] = {"name": "Oil", "price": 3, "lead_s": 1}
    oil = stores.put_part(conn, code="OIL", unit="l", **put)
    stock.receive(conn, planner, store_id=at.store, part_id=oil.part_id, quantity=2.5, now=NOW)
    stock.consume(conn, lin, ident, part_id=oil.part_id, quantity=0.3, now=NOW)
    with pytest.raises(InvalidFields, match="smallest quantity of OIL is 1e-09 l"):
        stock.consume(conn, lin, ident, part_id=oil.part_id, quantity=1e-12, now=NOW)
    shim = stores.put_part(conn, code="SHIM", unit="pcs", smallest=0.25, **put)
    stock.receive(conn, planner, store_id=at.store, part_id=shim.part_id, quantity=0.75, now=NOW)
    with pytest.raises(InvalidFields, match=r"multiples of 0\.25 pcs"):
        stock.receive(conn, planner, store_id=at.store, part_id=shim.part_id, quantity=0.3, now=NOW)
    assert stores.put_part(conn, code="SHIM", unit="pcs", version=shim.version, **put).smallest == 0.25


def test_a_kit_of_an_older_version_that_names_half_a_piece_takes_a_whole_one(conn: Connection) -> None:
    at = shop(conn)
    conn.execute("insert into kits (class, mode, part_id, quantity) values ('pump', '*', %s, 1.5)", (at.bearing,))
    assert stock.reserve_kit(conn, at.ticket, now=NOW) == [] and level(conn, at) == (10, 2)
