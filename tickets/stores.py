"""SQL of stores, parts, levels, kits and purchase requests; and what opening and closing an order does to its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection

from core.errors import Conflict, NotFound
from tickets import marks, quantities, stock
from tickets.hooks import Change
from tickets.model import Actor, Ticket, TicketKind
from tickets.rows import one, refuse_unseen


@dataclass(frozen=True, slots=True)
class Store:
    store_id: int
    code: str
    name: str
    allow_negative: bool
    version: int = 1
    changed_by: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    part_id: int
    code: str
    name: str
    unit: str
    price: float
    lead_s: int
    smallest: float | None  # what a quantity is a multiple of; None: as the unit says
    version: int = 1
    changed_by: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """A part in a store."""

    store_id: int
    store: str
    part_id: int
    code: str
    name: str
    unit: str
    price: float
    on_hand: float
    reserved: float
    free: float
    minimum: float
    target: float
    asked_for: float  # in purchase requests that are open or ordered


@dataclass(frozen=True, slots=True)
class KitLine:
    kit_id: int
    asset_class: str
    mode: str
    part_id: int
    code: str
    quantity: float
    version: int  # of the kit that the line belongs to
    changed_by: str


@dataclass(frozen=True, slots=True)
class Purchase:
    request_id: int
    store_id: int
    part_id: int
    code: str
    name: str
    quantity: float
    status: str
    made_at: datetime
    expected_at: datetime | None


NEXT = {"open": ("ordered", "received", "cancelled"), "ordered": ("received", "cancelled")}


STORES: LiteralString = "select store_id, code, name, allow_negative, version, changed_by from stores "
PARTS: LiteralString = "select part_id, code, name, unit, price, lead_s, smallest, version, changed_by from parts "


def stores(conn: Connection) -> list[Store]:
    """Every store."""
    return [Store(*row) for row in conn.execute(STORES + "order by code")]


def put_store(
    conn: Connection, *, code: str, name: str, allow_negative: bool, version: int | None = None, by: str = ""
) -> Store:
    """A new store, or new words for the one of this code, of which ``version`` was seen.

    Raises IfMatchMissing, Stale; Conflict where levels forbid it.
    """
    found = conn.execute(STORES + "where code = %s for update", (code,)).fetchone()
    if found:
        _refuse_unseen(Store(*found), version)
    row = conn.execute(
        """insert into stores (code, name, allow_negative, changed_by) values (%s, %s, %s, %s)
           on conflict (site_id, code) do update set name = excluded.name, allow_negative = excluded.allow_negative,
             changed_by = excluded.changed_by where stores.version = %s
           returning store_id, code, name, allow_negative, version, changed_by""",
        (code, name, allow_negative, by, version),
    ).fetchone()
    made = Store(*_won(row, code))
    _allow_below(conn, made)
    return made


def _allow_below(conn: Connection, store: Store) -> None:
    if not store.allow_negative:
        below = conn.execute(
            "select 1 from stock_levels where store_id = %s and (on_hand < 0 or on_hand < reserved) limit 1",
            (store.store_id,),
        ).fetchone()
        if below:
            raise Conflict("Some parts of this store are below nothing. Correct them first.")
    conn.execute(
        "update stock_levels set allow_negative = %s where store_id = %s", (store.allow_negative, store.store_id)
    )


def _refuse_unseen(found: Store | Part, version: int | None) -> None:
    refuse_unseen(found.code, standing=found.version, given=version, current=asdict(found))


def _won(row: tuple[Any, ...] | None, code: str) -> tuple[Any, ...]:
    if row is None:
        raise Conflict(f"Somebody else is adding {code} at this moment. Look again.")
    return row


def parts(conn: Connection, *, q: str = "", after: int = 0, limit: int = 50) -> list[Part]:
    """Parts whose code or name holds ``q``, by id."""
    pattern = "%" + q.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
    rows = conn.execute(
        PARTS + "where part_id > %s and (code ilike %s or name ilike %s) order by part_id limit %s",
        (after, pattern, pattern, limit),
    )
    return [Part(*row) for row in rows]


def put_part(
    conn: Connection,
    *,
    code: str,
    name: str,
    unit: str,
    price: float,
    lead_s: int,
    smallest: float | None = None,
    version: int | None = None,
    by: str = "",
) -> Part:
    """A new part, or new words for the one of this code, of which ``version`` was seen. Raises as `put_store`.

    ``smallest``: what a quantity of it is a multiple of; None keeps what was declared.
    """
    least = quantities.declared(smallest)
    found = conn.execute(PARTS + "where code = %s for update", (code,)).fetchone()
    if found:
        _refuse_unseen(Part(*found), version)
    row = conn.execute(
        """insert into parts (code, name, unit, price, lead_s, smallest, changed_by)
           values (%s, %s, %s, %s, %s, %s, %s)
           on conflict (site_id, code) do update set name = excluded.name, unit = excluded.unit,
             price = excluded.price, lead_s = excluded.lead_s, changed_by = excluded.changed_by,
             smallest = coalesce(excluded.smallest, parts.smallest)
             where parts.version = %s
           returning part_id, code, name, unit, price, lead_s, smallest, version, changed_by""",
        (code, name, unit, price, lead_s, least, by, version),
    ).fetchone()
    return Part(*_won(row, code))


def set_level(conn: Connection, *, store_id: int, part_id: int, minimum: float, target: float) -> None:
    """When to ask for more, and up to how many. Raises NotFound."""
    done = conn.execute(
        """insert into stock_levels (store_id, part_id, minimum, target, allow_negative)
           select s.store_id, p.part_id, %s, %s, s.allow_negative from stores s, parts p
           where s.store_id = %s and p.part_id = %s
           on conflict (store_id, part_id) do update set minimum = excluded.minimum, target = excluded.target""",
        (minimum, target, store_id, part_id),
    )
    if done.rowcount == 0:
        raise NotFound("There is no such part or store on this site.")


def levels(conn: Connection, *, part_id: int | None = None, store_id: int | None = None) -> list[Level]:
    """What is where."""
    rows = conn.execute(
        """select l.store_id, s.code, l.part_id, p.code, p.name, p.unit, p.price, l.on_hand, l.reserved,
             l.on_hand - l.reserved, l.minimum, l.target,
             coalesce((select sum(r.quantity) from purchase_requests r where r.store_id = l.store_id
               and r.part_id = l.part_id and r.status in ('open', 'ordered')), 0)
           from stock_levels l join stores s using (store_id) join parts p using (part_id)
           where (%(part)s::int is null or l.part_id = %(part)s) and (%(store)s::int is null or l.store_id = %(store)s)
           order by p.code, s.code""",
        {"part": part_id, "store": store_id},
    )
    return [Level(*row) for row in rows]


def kits(conn: Connection) -> list[KitLine]:
    """What jobs need, by class and mode ('*' is any)."""
    rows = conn.execute(
        """select k.kit_id, k.class, k.mode, k.part_id, p.code, k.quantity, v.version, v.changed_by
           from kits k join parts p using (part_id) join kit_versions v using (class, mode)
           order by k.class, k.mode, p.code"""
    )
    return [KitLine(*row) for row in rows]


def set_kit(
    conn: Connection,
    *,
    asset_class: str,
    mode: str,
    wanted: Sequence[tuple[int, float]],
    version: int | None = None,
    by: str = "",
) -> None:
    """Replace what jobs of this class and mode need, of which ``version`` was seen.

    Raises NotFound for a strange part, InvalidFields for half a piece, IfMatchMissing where there is a kit, Stale.
    """
    known = {row[0] for row in conn.execute("select part_id from parts")}
    strange = [part_id for part_id, _ in wanted if part_id not in known]
    if strange:
        raise NotFound(f"There is no part {strange[0]} on this site.")
    for part_id, quantity in wanted:
        stock.refuse_odd(conn, part_id, quantity)
    _number_kit(conn, asset_class, mode, version=version, by=by)
    conn.execute("delete from kits where class = %s and mode = %s", (asset_class, mode))
    for part_id, quantity in wanted:
        conn.execute(
            """insert into kits (class, mode, part_id, quantity) values (%s, %s, %s, %s)
               on conflict (site_id, class, mode, part_id) do update set quantity = excluded.quantity""",
            (asset_class, mode, part_id, quantity),
        )


def _number_kit(conn: Connection, asset_class: str, mode: str, *, version: int | None, by: str) -> None:
    """Count on. Whoever comes at the same time waits here, and is then asked for the version that they saw."""
    (standing,) = one(
        conn,
        """insert into kit_versions (class, mode, changed_by) values (%s, %s, %s) on conflict (site_id, class, mode)
           do update set version = kit_versions.version + 1 returning version""",
        (asset_class, mode, by),
    )
    lines = [each for each in kits(conn) if (each.asset_class, each.mode) == (asset_class, mode)]
    if lines:
        parts = [{"part_id": each.part_id, "code": each.code, "quantity": each.quantity} for each in lines]
        current = {"version": standing - 1, "changed_by": lines[0].changed_by, "parts": parts}
        name = f"The kit of {asset_class} and {mode}"
        refuse_unseen(name, standing=standing - 1, given=version, current=current)
    conn.execute("update kit_versions set changed_by = %s where class = %s and mode = %s", (by, asset_class, mode))


def purchases(conn: Connection, *, settled: bool = False) -> list[Purchase]:
    """Purchase requests that are open or ordered (or, ``settled``, the last hundred others)."""
    rows = conn.execute(
        """select r.request_id, r.store_id, r.part_id, p.code, p.name, r.quantity, r.status, r.made_at, r.expected_at
           from purchase_requests r join parts p using (part_id)
           where (r.status in ('open', 'ordered')) <> %s order by r.request_id desc limit 100""",
        (settled,),
    )
    return [Purchase(*row) for row in rows]


def settle(
    conn: Connection, actor: Actor, request_id: int, *, status: str, expected_at: datetime | None, now: datetime
) -> None:
    """Ordered (with when it is expected), received (goes onto the shelf) or cancelled. Raises NotFound, Conflict."""
    was, store_id, part_id, quantity = one(
        conn,
        "select status, store_id, part_id, quantity from purchase_requests where request_id = %s for update",
        (request_id,),
        missing=f"There is no purchase request {request_id} on this site.",
    )
    if status not in NEXT.get(was, ()):
        raise Conflict(f"A request that is {was} cannot become {status}.")
    conn.execute(
        """update purchase_requests set status = %s, expected_at = coalesce(%s, expected_at),
             settled_at = case when %s in ('received', 'cancelled') then %s::timestamptz end where request_id = %s""",
        (status, expected_at, status, now, request_id),
    )
    if status == "received":
        stock.receive(conn, actor, store_id=store_id, part_id=part_id, quantity=quantity, now=now)


def on_event(conn: Connection, change: Change) -> None:
    """A work order that opens reserves its kit, where the site wants that."""
    ticket = change.ticket
    if change.before is not None or ticket.asset_id is None or ticket.kind is TicketKind.REQUEST:
        return
    if marks.kept(conn, "kits", lambda: _kits_at_open(conn)):
        stock.reserve_kit(conn, ticket, now=change.now)


def _kits_at_open(conn: Connection) -> bool:
    return conn.execute("select 1 from dispatch_settings where kits_at_open").fetchone() is not None


def on_closed(conn: Connection, ticket: Ticket, now: datetime) -> None:
    """What a finished order had promised is free again."""
    stock.release_all(conn, ticket, now=now)
