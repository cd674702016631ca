"""Meters: running hours and counts, with their readings."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Response
from pydantic import Field

from api.deps import Ctx, Version, router
from api.policies import allow
from api.shapes import Code, Id, Input, Line, Moment, Number, Output, Page, Ref, When
from maintenance import meters
from maintenance.errors import BadReading
from maintenance.meters import Meter, Rate

routes = router("meters")
READ, EDIT, RECORD = [allow("meter.read")], [allow("plan.edit")], [allow("meter.record")]
Unit = Annotated[str, Field(min_length=1, max_length=16)]


class MeterBody(Input):
    """`counter`: the signal's value is the meter's; `running_hours`: hours during which the state is not 0."""

    asset_id: Ref
    code: Code
    name: Line
    unit: Unit
    way: Literal["by_hand", "counter", "running_hours"] = "by_hand"
    signal_id: Ref | None = None


class MeterWords(Input):
    name: Line
    unit: Unit


class MeterShown(Output):
    """`per_day`: what comes in a day, over the last four weeks; null: not known yet."""

    meter_id: int
    version: int
    asset_id: int
    asset: str
    code: str
    name: str
    unit: str
    way: str
    signal_id: int | None
    total: float | None
    value: float | None
    read_at: Moment | None
    per_day: float | None


class ReadingBody(Input):
    """`at` null: now. `replaced`: the meter was changed or starts again, its total goes on."""

    value: Annotated[Number, Field(ge=0, le=1e12)]
    at: When | None = None
    replaced: bool = False


class ReadingShown(Output):
    at: Moment
    value: float
    total: float
    by_name: str


@routes.get("/meters", dependencies=READ)
def list_meters(ctx: Ctx, asset_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None) -> Page[MeterShown]:
    """The meters of an asset, or of all, with their newest reading."""
    found = meters.find(ctx.conn, asset_id)
    rates = meters.rates(ctx.conn, [each.meter_id for each in found], now=ctx.now)
    return Page(items=[_shown(each, rates.get(each.meter_id)) for each in found])


@routes.post("/meters", status_code=201, dependencies=EDIT)
def add_meter(ctx: Ctx, response: Response, body: MeterBody) -> MeterShown:
    """A new meter."""
    made = meters.create(ctx.conn, **body.model_dump(), now=ctx.now)
    response.headers["etag"] = f'"{made.version}"'
    return _shown(made, None)


@routes.put("/meters/{meter_id}", dependencies=EDIT)
def rename_meter(ctx: Ctx, response: Response, meter_id: Id, version: Version, body: MeterWords) -> MeterShown:
    """Other words for it."""
    made = meters.rename(ctx.conn, meter_id, name=body.name, unit=body.unit, version=version)
    response.headers["etag"] = f'"{made.version}"'
    return _shown(made, None)


@routes.post("/meters/{meter_id}/readings", status_code=201, dependencies=RECORD)
def add_reading(ctx: Ctx, meter_id: Id, body: ReadingBody) -> MeterShown:
    """A reading by hand."""
    at = body.at or ctx.now
    if at > ctx.now:
        raise BadReading("A reading is of now or before, not of the future.")
    made = meters.record(ctx.conn, meter_id, value=body.value, at=at, by_name=ctx.person.name, replaced=body.replaced)
    return _shown(made, meters.rates(ctx.conn, [meter_id], now=ctx.now).get(meter_id))


@routes.get("/meters/{meter_id}/readings", dependencies=READ)
def list_readings(ctx: Ctx, meter_id: Id) -> Page[ReadingShown]:
    """The newest two hundred, newest first."""
    return Page(items=[ReadingShown.model_validate(each) for each in meters.readings(ctx.conn, meter_id)])


def _shown(meter: Meter, rate: Rate | None) -> MeterShown:
    named = {name: getattr(meter, name) for name in MeterShown.model_fields if name != "per_day"}
    return MeterShown(**named, per_day=rate.per_day if rate else None)
