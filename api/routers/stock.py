"""Stores, parts, what is where, what orders use, what is asked for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import Field

from api import own
from api.deps import Ctx, VersionIfAny, router
from api.policies import allow
from api.shapes import (
    Code,
    Cursor,
    Id,
    Input,
    Limit,
    Line,
    Moment,
    Number,
    Output,
    Page,
    Ref,
    When,
    Whole,
    page,
    position,
)
from tickets import stock, stores

routes = router("stock")
READ, USE, MANAGE = [allow("stock.read")], [allow("stock.use")], [allow("stock.manage")]
Quantity = Annotated[Number, Field(gt=0, le=1_000_000)]
Level = Annotated[Number, Field(ge=0, le=1_000_000)]
Any_ = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,63})$")]


class StoreBody(Input):
    code: Code
    name: Line
    allow_negative: bool = False


class StoreShown(Output):
    """`version` is what If-Match wants of who changes it."""

    store_id: int
    code: str
    name: str
    allow_negative: bool
    version: int
    changed_by: str


class PartBody(Input):
    """`price` of one, in the site's currency; `lead_s` until ordered ones come; a quantity is a multiple of `smallest`
    (left out: as it was; at first whole pieces of what is counted)."""

    code: Code
    name: Line
    unit: Annotated[str, Field(min_length=1, max_length=16)] = "pcs"
    price: Annotated[Number, Field(ge=0, le=1e9)] = 0
    lead_s: Annotated[Whole, Field(ge=0, le=63_072_000)] = 604_800
    smallest: Annotated[Number, Field(ge=1e-9, le=1e6)] | None = None


class PartShown(Output):
    part_id: int
    code: str
    name: str
    unit: str
    price: float
    lead_s: int
    smallest: float | None
    version: int
    changed_by: str


class LevelShown(Output):
    """`free` = on hand less reserved; `asked_for`: in purchase requests."""

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
    asked_for: float


class LevelBody(Input):
    """Below `minimum` as many as lead to `target` are asked for."""

    store_id: Ref
    part_id: Ref
    minimum: Level
    target: Level


class Received(Input):
    """`correct` may take some away: give a negative quantity."""

    store_id: Ref
    part_id: Ref
    quantity: Annotated[Number, Field(ge=-1_000_000, le=1_000_000)]
    kind: Literal["receive", "correct"] = "receive"


class LineShown(Output):
    store_id: int
    store: str
    part_id: int
    code: str
    name: str
    unit: str
    reserved: float
    consumed: float
    amount: float


class Booking(Input):
    """`store_id` null: where most of them are (reserve), or where they are reserved (consume)."""

    move: Literal["reserve", "release", "consume", "return"]
    part_id: Ref
    store_id: Ref | None = None
    quantity: Quantity
    client_id: Annotated[
        str | None, Field(max_length=64, description="The phone's own; repeats are told by the key.")
    ] = None


class KitLineShown(Output):
    """`version`: of the kit of this class and mode, the same in all its lines."""

    kit_id: int
    asset_class: str
    mode: str
    part_id: int
    code: str
    quantity: float
    version: int
    changed_by: str


class KitPart(Input):
    part_id: Ref
    quantity: Quantity


class KitBody(Input):
    """What jobs of this class and failure mode need; `*` is any."""

    asset_class: Any_
    mode: Any_
    parts: Annotated[list[KitPart], Field(max_length=100)]


class PurchaseShown(Output):
    request_id: int
    store_id: int
    part_id: int
    code: str
    name: str
    quantity: float
    status: str
    made_at: Moment
    expected_at: Moment | None


class Settled(Input):
    status: Literal["ordered", "received", "cancelled"]
    expected_at: When | None = None


@routes.get("/stores", dependencies=READ)
def list_stores(ctx: Ctx) -> Page[StoreShown]:
    """Every store."""
    return Page(items=[StoreShown.model_validate(each) for each in stores.stores(ctx.conn)])


@routes.put("/stores", dependencies=MANAGE)
def put_store(ctx: Ctx, response: Response, body: StoreBody, version: VersionIfAny) -> StoreShown:
    """A new store, or other words for the one of this code, of which If-Match says the version that you saw."""
    made = stores.put_store(ctx.conn, **body.model_dump(), version=version, by=ctx.person.name)
    response.headers["etag"] = f'"{made.version}"'
    return StoreShown.model_validate(made)


@routes.get("/parts", dependencies=READ)
def list_parts(
    ctx: Ctx, q: Annotated[str, Query(max_length=100)] = "", limit: Limit = 50, cursor: Cursor = None
) -> Page[PartShown]:
    """Parts whose code or name holds `q`."""
    found = stores.parts(ctx.conn, q=q, after=position(cursor, start=0), limit=limit + 1)
    return page([PartShown.model_validate(each) for each in found], limit, "part_id")


@routes.put("/parts", dependencies=MANAGE)
def put_part(ctx: Ctx, response: Response, body: PartBody, version: VersionIfAny) -> PartShown:
    """A new part, or other words for the one of this code, of which If-Match says the version that you saw."""
    made = stores.put_part(ctx.conn, **body.model_dump(), version=version, by=ctx.person.name)
    response.headers["etag"] = f'"{made.version}"'
    return PartShown.model_validate(made)


@routes.get("/stock", dependencies=READ)
def list_stock(
    ctx: Ctx,
    part_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    store_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Page[LevelShown]:
    """What is where, what of it is promised, and what is asked for."""
    found = stores.levels(ctx.conn, part_id=part_id, store_id=store_id)
    return Page(items=[LevelShown.model_validate(each) for each in found])


@routes.put("/stock/levels", status_code=204, dependencies=MANAGE)
def put_level(ctx: Ctx, body: LevelBody) -> None:
    """When to ask for more of a part in a store, and up to how many."""
    stores.set_level(ctx.conn, **body.model_dump())


@routes.post("/stock/receive", status_code=204, dependencies=MANAGE)
def receive(ctx: Ctx, body: Received) -> None:
    """Put parts on the shelf, or correct a count."""
    stock.receive(ctx.conn, ctx.actor, **body.model_dump(), now=ctx.now)


@routes.get("/tickets/{ticket_id}/parts", dependencies=READ)
def list_ticket_parts(ctx: Ctx, ticket_id: Id) -> Page[LineShown]:
    """What the order has reserved and used."""
    own.readable(ctx, ticket_id)
    return Page(items=[LineShown.model_validate(each) for each in stock.lines(ctx.conn, ticket_id)])


@routes.post("/tickets/{ticket_id}/parts", dependencies=USE)
def book_part(ctx: Ctx, ticket_id: Id, body: Booking) -> Page[LineShown]:
    """Reserve, release, use or give back; never more than there is, unless the store allows it."""
    given: dict[str, Any] = {"part_id": body.part_id, "quantity": body.quantity, "now": ctx.now}
    if body.move == "reserve":
        stock.reserve(ctx.conn, ctx.actor, ticket_id, store_id=body.store_id, **given)
    elif body.move == "consume":
        stock.consume(ctx.conn, ctx.actor, ticket_id, store_id=body.store_id, **given)
    else:
        back = stock.release if body.move == "release" else stock.give_back
        store_id = body.store_id or stock.store_of(ctx.conn, ticket_id, body.part_id)
        back(ctx.conn, ctx.actor, ticket_id, store_id=store_id, **given)
    return list_ticket_parts(ctx, ticket_id)


@routes.get("/kits", dependencies=READ)
def list_kits(ctx: Ctx) -> Page[KitLineShown]:
    """What jobs need, by asset class and failure mode."""
    return Page(items=[KitLineShown.model_validate(each) for each in stores.kits(ctx.conn)])


@routes.put("/kits", dependencies=MANAGE)
def put_kit(ctx: Ctx, body: KitBody, version: VersionIfAny) -> Page[KitLineShown]:
    """Replace the kit of a class and mode; where there is one already, If-Match says which version you saw."""
    wanted = [(each.part_id, each.quantity) for each in body.parts]
    given: dict[str, Any] = {"version": version, "by": ctx.person.name}
    stores.set_kit(ctx.conn, asset_class=body.asset_class, mode=body.mode, wanted=wanted, **given)
    return list_kits(ctx)


@routes.get("/purchase-requests", dependencies=READ)
def list_purchases(ctx: Ctx, settled: bool = False) -> Page[PurchaseShown]:
    """What is asked for; `settled`: what has come or was cancelled."""
    return Page(items=[PurchaseShown.model_validate(each) for each in stores.purchases(ctx.conn, settled=settled)])


@routes.patch("/purchase-requests/{request_id}", status_code=204, dependencies=MANAGE)
def settle_purchase(ctx: Ctx, request_id: Id, body: Settled) -> None:
    """Ordered, received (goes onto the shelf), or cancelled."""
    stores.settle(ctx.conn, ctx.actor, request_id, status=body.status, expected_at=body.expected_at, now=ctx.now)
