"""Parts of an order: promised, used, given back. Never less than nothing, unless the store allows it.

    reserve  release  consume  give_back          each: the ticket's row, then one row of stock, then the event

What is on hand changes by one conditional UPDATE, which whoever comes second waits for; the table's own check is the
net beneath it. Costs go onto the ticket. What falls below its minimum is asked for once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

from psycopg import Connection

from core.errors import NotFound
from tickets import quantities, service, shelves, store, words
from tickets.errors import NotAllowed, NotYours, ShortOfStock
from tickets.model import SYSTEM, Actor, ActorKind, Late, Ticket
from tickets.notify import NoticeKind, planners, tell_of
from tickets.rows import one
from tickets.shelf_chain import Move
from tickets.verbs import verb

PLANNERS = frozenset({"planner", "manager", "admin"})
MACHINES = frozenset({ActorKind.SYSTEM, ActorKind.RULE, ActorKind.DETECTOR})
MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """One part of an order."""

    store_id: int
    store: str
    part_id: int
    code: str
    name: str
    unit: str
    reserved: float
    consumed: float
    amount: float  # what the consumed ones cost


@dataclass(frozen=True, slots=True)
class Shelf:
    """A part in a store, its row locked."""

    store_id: int
    part_id: int
    code: str
    name: str
    price: float
    on_hand: float
    reserved: float
    moves: int  # so far
    head_hash: bytes  # of the last


@verb
def reserve(
    conn: Connection,
    actor: Actor,
    ticket_id: int,
    *,
    part_id: int,
    quantity: float,
    now: datetime,
    store_id: int | None = None,
) -> Ticket:
    """Promise parts to the order, from the store with the most of them unless one is named.

    Raises ShortOfStock, NotFound, NotYours, NotAllowed, TicketClosed, InvalidFields.
    """
    ticket = _ticket(conn, actor, ticket_id, quantity)
    refuse_odd(conn, part_id, quantity)
    shelf = _take(conn, _place(conn, part_id, store_id), part_id, hand=0.0, promised=quantity)
    _line(conn, ticket, shelf, reserved=quantity)
    return _told(conn, actor, ticket, shelf, kind="reserve", quantity=quantity, amount=0.0, now=now)


@verb
def release(
    conn: Connection, actor: Actor, ticket_id: int, *, part_id: int, store_id: int, quantity: float, now: datetime
) -> Ticket:
    """Take a promise back, at most what the order has reserved. Raises as :func:`reserve`."""
    ticket = _ticket(conn, actor, ticket_id, quantity)
    if _held(conn, ticket, store_id, part_id).reserved < quantity:
        raise ShortOfStock("The order has not reserved that many.")
    shelf = _take(conn, store_id, part_id, hand=0.0, promised=-quantity)
    _line(conn, ticket, shelf, reserved=-quantity)
    return _told(conn, actor, ticket, shelf, kind="release", quantity=quantity, amount=0.0, now=now)


@verb
def consume(
    conn: Connection,
    actor: Actor,
    ticket_id: int,
    *,
    part_id: int,
    quantity: float,
    now: datetime,
    store_id: int | None = None,
) -> Ticket:
    """Use parts: first what the order has reserved there, then what is free. Also for work that is already done.

    Raises as :func:`reserve`.
    """
    ticket = _ticket(conn, actor, ticket_id, quantity)
    refuse_odd(conn, part_id, quantity)
    store_id = _place(conn, part_id, store_id or _reserved_at(conn, ticket, part_id))
    kept = min(_held(conn, ticket, store_id, part_id).reserved, quantity)
    shelf = _take(conn, store_id, part_id, hand=-quantity, promised=-kept)
    amount = round(quantity * shelf.price, 2)
    _line(conn, ticket, shelf, reserved=-kept, consumed=quantity, amount=amount)
    return _told(conn, actor, ticket, shelf, kind="consume", quantity=quantity, amount=amount, now=now)


@verb
def give_back(
    conn: Connection, actor: Actor, ticket_id: int, *, part_id: int, store_id: int, quantity: float, now: datetime
) -> Ticket:
    """Put parts back that the order had used, for what they cost it. Raises as :func:`reserve`."""
    ticket = _ticket(conn, actor, ticket_id, quantity)
    line = _held(conn, ticket, store_id, part_id)
    if line.consumed < quantity:
        raise ShortOfStock("The order has not used that many.")
    shelf = _take(conn, store_id, part_id, hand=quantity, promised=0.0)
    amount = -round(line.amount * quantity / line.consumed, 2)
    _line(conn, ticket, shelf, consumed=-quantity, amount=amount)
    return _told(conn, actor, ticket, shelf, kind="return", quantity=quantity, amount=amount, now=now)


def receive(
    conn: Connection,
    actor: Actor,
    *,
    store_id: int,
    part_id: int,
    quantity: float,
    now: datetime,
    kind: str = "receive",
) -> Shelf:
    """Put parts on the shelf (``correct``: may also take some away). Raises ShortOfStock, NotFound, InvalidFields."""
    if kind != "correct" or quantity == 0:
        _refuse_odd(quantity)
    place = _place(conn, part_id, store_id)
    refuse_odd(conn, part_id, quantity)
    shelf = _take(conn, place, part_id, hand=quantity, promised=0.0)
    _moved(conn, actor, shelf, kind=kind, quantity=quantity, ticket_id=None, now=now)
    return shelf


def lines(conn: Connection, ticket_id: int) -> list[Line]:
    """What the order has reserved and used."""
    rows = conn.execute(
        """select l.store_id, s.code, l.part_id, p.code, p.name, p.unit, l.reserved, l.consumed, l.amount
           from ticket_parts l join stores s using (store_id) join parts p using (part_id)
           where l.ticket_id = %s and (l.reserved > 0 or l.consumed > 0) order by p.code, s.code""",
        (ticket_id,),
    )
    return [Line(*row) for row in rows]


def store_of(conn: Connection, ticket_id: int, part_id: int) -> int:
    """Where the order has this part from; raises NotFound."""
    found = [line.store_id for line in lines(conn, ticket_id) if line.part_id == part_id]
    if not found:
        raise NotFound("The order has none of this part.")
    return found[0]


# -- the order and the kit --------------------------------------------------------------------------------------------


def kit(conn: Connection, ticket: Ticket) -> list[tuple[int, float]]:
    """What the job needs: (part, quantity), by machine class and failure mode, where the narrowest line counts, or
    as its job plans say, whichever is more."""
    rows = conn.execute(
        """select part_id, max(quantity) from (
             (select distinct on (k.part_id) k.part_id, k.quantity from kits k join assets a on a.asset_id = %s
              where k.class in (a.class, '*') and k.mode in (%s, '*')
              order by k.part_id, (k.class = '*')::int + (k.mode = '*')::int)
             union all select part_id, quantity from ticket_kits where ticket_id = %s) needed
           group by part_id order by part_id""",
        (ticket.asset_id, ticket.mode or "*", ticket.ticket_id),
    )
    return [(part_id, quantity) for part_id, quantity in rows]


def reserve_kit(conn: Connection, ticket: Ticket, *, now: datetime) -> list[int]:
    """Reserve what the job's kit names; returns the parts there was not enough of, which the timeline names too."""
    short = []
    for part_id, needed in kit(conn, ticket):
        quantity = quantities.enough(needed, _least(conn, part_id)[2])
        place = _best_place(conn, part_id, quantity)
        if place is None:
            short.append(part_id)
        else:
            reserve(conn, SYSTEM, ticket.ticket_id, part_id=part_id, store_id=place, quantity=quantity, now=now)
    if short:
        codes = [row[0] for row in conn.execute("select code from parts where part_id = any(%s) order by 1", (short,))]
        service.record(conn, SYSTEM, ticket.ticket_id, kind="kit_short", details={"parts": codes}, now=now)
    return short


def release_all(conn: Connection, ticket: Ticket, *, now: datetime) -> None:
    """What a finished order had promised is free again."""
    for line in lines(conn, ticket.ticket_id):
        if line.reserved > 0:
            args: dict[str, Any] = {"part_id": line.part_id, "store_id": line.store_id, "quantity": line.reserved}
            release(conn, SYSTEM, ticket.ticket_id, **args, now=now)


def ready_at(conn: Connection, ticket: Ticket, *, now: datetime) -> datetime:
    """When the parts of the job's kit are there: now, or when the last of the missing ones is expected."""
    ready = now
    for part_id, quantity in kit(conn, ticket):
        (mine,) = one(
            conn,
            "select coalesce(sum(reserved + consumed), 0) from ticket_parts where ticket_id = %s and part_id = %s",
            (ticket.ticket_id, part_id),
        )
        if mine < quantity and _best_place(conn, part_id, quantity - mine) is None:
            ready = max(ready, _expected(conn, part_id, now))
    return ready


# -- inside -----------------------------------------------------------------------------------------------------------


def _ticket(conn: Connection, actor: Actor, ticket_id: int, quantity: float) -> Ticket:
    _refuse_odd(quantity)
    ticket = store.lock(conn, ticket_id)
    if actor.kind in MACHINES or actor.part in PLANNERS:
        return ticket
    if actor.part != "engineer":
        raise NotAllowed("Only planners and the assigned engineer book parts.")
    if actor.actor_id is None or (ticket.assignee_user_id != actor.actor_id and not _was_theirs(conn, ticket, actor)):
        raise NotYours
    return ticket


def _was_theirs(conn: Connection, ticket: Ticket, actor: Actor) -> bool:
    """What somebody used before the order went to another is booked when their phone comes back."""
    row = conn.execute(
        """select 1 from ticket_events v join engineers e on e.user_id = %s
           where v.ticket_id = %s and v.kind = 'assigned' and v.body->'after'->>'assignee_id' = e.engineer_id::text
           limit 1""",
        (actor.actor_id, ticket.ticket_id),
    ).fetchone()
    return row is not None


def _refuse_odd(quantity: float) -> None:
    if not (isfinite(quantity) and 0 < quantity <= MOST):
        raise words.refuse("quantity", "quantity is a number above 0.")


def refuse_odd(conn: Connection, part_id: int, quantity: float) -> None:
    """Raise InvalidFields where the part is not counted so finely, NotFound where there is no such part."""
    code, unit, least = _least(conn, part_id)
    quantities.refuse_odd(code, unit, quantity=quantity, least=least)


def _least(conn: Connection, part_id: int) -> tuple[str, str, float]:
    """A part's code and unit, and the smallest quantity of it."""
    code, unit, declared = one(
        conn,
        "select code, unit, smallest from parts where part_id = %s",
        (part_id,),
        missing=f"There is no part {part_id} in any store.",
    )
    return code, unit, quantities.smallest(unit, declared)


def _place(conn: Connection, part_id: int, store_id: int | None) -> int:
    """The store asked for (with a row for the part), or the one that has most."""
    if store_id is None:
        row = conn.execute(
            "select store_id from stock_levels where part_id = %s order by on_hand - reserved desc, store_id limit 1",
            (part_id,),
        ).fetchone()
        if row is None:
            raise NotFound(f"There is no part {part_id} in any store.")
        return int(row[0])
    (allowed,) = one(
        conn,
        "select s.allow_negative from stores s join parts p on p.part_id = %s where s.store_id = %s",
        (part_id, store_id),
        missing="There is no such part or store on this site.",
    )
    conn.execute(
        "insert into stock_levels (store_id, part_id, allow_negative) values (%s, %s, %s) on conflict do nothing",
        (store_id, part_id, allowed),
    )
    return store_id


def _best_place(conn: Connection, part_id: int, quantity: float) -> int | None:
    row = conn.execute(
        """select store_id from stock_levels where part_id = %s and on_hand - reserved >= %s
           order by on_hand - reserved desc, store_id limit 1""",
        (part_id, quantity),
    ).fetchone()
    return row[0] if row else None


def _reserved_at(conn: Connection, ticket: Ticket, part_id: int) -> int | None:
    row = conn.execute(
        """select store_id from ticket_parts where ticket_id = %s and part_id = %s and reserved > 0
           order by reserved desc limit 1""",
        (ticket.ticket_id, part_id),
    ).fetchone()
    return row[0] if row else None


def _held(conn: Connection, ticket: Ticket, store_id: int, part_id: int) -> Line:
    found = [each for each in lines(conn, ticket.ticket_id) if (each.store_id, each.part_id) == (store_id, part_id)]
    return found[0] if found else Line(store_id, "", part_id, "", "", "", 0.0, 0.0, 0.0)


def _take(conn: Connection, store_id: int, part_id: int, *, hand: float, promised: float) -> Shelf:
    """Change what is on hand and promised, if what is free suffices. Raises ShortOfStock, NotFound."""
    row = conn.execute(
        """update stock_levels l set on_hand = on_hand + %(hand)s, reserved = greatest(reserved + %(promised)s, 0)
           from parts p where p.part_id = l.part_id and l.store_id = %(store)s and l.part_id = %(part)s
             and (l.allow_negative or on_hand + %(hand)s >= greatest(reserved + %(promised)s, 0))
           returning l.store_id, l.part_id, p.code, p.name, p.price, on_hand, reserved, moves, head_hash""",
        {"hand": hand, "promised": promised, "store": store_id, "part": part_id},
    ).fetchone()
    if row is not None:
        *known, head = row
        return Shelf(*known, head_hash=bytes(head))  # type: ignore[misc]
    code, free, where = one(
        conn,
        """select p.code, l.on_hand - l.reserved, s.code from stock_levels l join parts p using (part_id)
           join stores s using (store_id) where l.store_id = %s and l.part_id = %s""",
        (store_id, part_id),
        missing="There is no such part in this store.",
    )
    raise ShortOfStock(f"Only {free:g} of {code} are free in {where}.")


def _line(
    conn: Connection, ticket: Ticket, shelf: Shelf, *, reserved: float = 0.0, consumed: float = 0.0, amount: float = 0.0
) -> None:
    conn.execute(
        """insert into ticket_parts as l (ticket_id, store_id, part_id, reserved, consumed, amount)
           values (%s, %s, %s, greatest(%s, 0), greatest(%s, 0), %s)
           on conflict (ticket_id, store_id, part_id) do update set reserved = greatest(l.reserved + %s, 0),
             consumed = greatest(l.consumed + %s, 0), amount = l.amount + %s""",
        (ticket.ticket_id, shelf.store_id, shelf.part_id, reserved, consumed, amount, reserved, consumed, amount),
    )


def _told(
    conn: Connection,
    actor: Actor,
    ticket: Ticket,
    shelf: Shelf,
    *,
    kind: str,
    quantity: float,
    amount: float,
    now: datetime,
) -> Ticket:
    _moved(conn, actor, shelf, kind=kind, quantity=quantity, ticket_id=ticket.ticket_id, now=now)
    details: Mapping[str, Any] = {
        "move": kind,
        "part": shelf.code,
        "name": shelf.name,
        "part_id": shelf.part_id,
        "store_id": shelf.store_id,
        "quantity": quantity,
        "amount": amount,
    }
    changes = {"cost": max(round(ticket.cost + amount, 2), 0.0)} if amount else {}
    return service.record(
        conn, actor, ticket.ticket_id, kind="parts", details=details, changes=changes, late=Late.TAKEN, now=now
    )


def _moved(
    conn: Connection, actor: Actor, shelf: Shelf, *, kind: str, quantity: float, ticket_id: int | None, now: datetime
) -> None:
    what = (shelf.moves + 1, shelf.store_id, shelf.part_id, ticket_id, kind, quantity, shelf.price, now, actor.actor_id)
    shelves.append(conn, Move(*what, shelf.on_hand, shelf.reserved, shelf.head_hash))
    if kind in ("reserve", "consume", "correct"):
        _ask_for_more(conn, shelf, now)


def _ask_for_more(conn: Connection, shelf: Shelf, now: datetime) -> None:
    """Below the minimum: one purchase request and one notice, until it is settled."""
    row = conn.execute(
        """insert into purchase_requests (store_id, part_id, quantity, made_at)
           select store_id, part_id, greatest(target, minimum) - on_hand + reserved, %s from stock_levels
           where store_id = %s and part_id = %s and on_hand - reserved < minimum
           on conflict (store_id, part_id) where status in ('open', 'ordered') do nothing
           returning request_id, quantity""",
        (now, shelf.store_id, shelf.part_id),
    ).fetchone()
    if row is None:
        return
    free = shelf.on_hand - shelf.reserved
    tell_of(
        conn,
        planners(conn),
        kind=NoticeKind.STOCK_LOW,
        title={"en": f"{shelf.code} is running short", "zh": f"{shelf.code} 库存不足"},
        body={
            "en": f"{shelf.name}: {free:g} free; {row[1]:g} asked for.",
            "zh": f"{shelf.name}：可用 {free:g}，已申请采购 {row[1]:g}。",
        },
        key=f"purchase:{row[0]}",
        now=now,
    )


def _expected(conn: Connection, part_id: int, now: datetime) -> datetime:
    (expected, lead_s) = one(
        conn,
        """select (select min(r.expected_at) from purchase_requests r where r.part_id = p.part_id
             and r.status in ('open', 'ordered')), p.lead_s from parts p where p.part_id = %s""",
        (part_id,),
    )
    found: datetime = expected if expected is not None and expected > now else now + timedelta(seconds=lead_s)
    return found
