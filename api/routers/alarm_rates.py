"""How many false alarms a plant puts up with: asked of the site, an asset class or an asset."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.deps import Ctx, Version, VersionIfAny, router
from api.policies import allow
from api.shapes import Id, Input, Moment, Number, Output, Page, Ref
from detectors import asked
from plant import assets

routes = router("alarms")

ClassCode = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]*$")]


class RateBody(Input):
    """At most `alarms_month` alarms an asset and month of 30 days, by each detector that judges by chance alone. Of one
    asset, or of a class, or, with neither, of the site."""

    alarms_month: Annotated[Number, Field(ge=asked.LEAST, le=asked.MOST, examples=[1.0])]
    asset_class: ClassCode | None = None
    asset_id: Ref | None = None


class RateShown(Output):
    """`version` is what If-Match wants."""

    asked_id: int
    asset_class: str | None
    asset_id: int | None
    alarms_month: float
    version: int
    changed_by: str
    changed_at: Moment


class RateOfAsset(Output):
    """What counts for one asset, in alarms a month: its own, its class's or the site's."""

    asset_id: int
    alarms_month: float


@routes.get("/alarm-rates", dependencies=[allow("alarm.read")])
def list_rates(ctx: Ctx) -> Page[RateShown]:
    """All that is asked on this site; where nothing is, one alarm an asset and month counts."""
    return Page(items=[RateShown.model_validate(each) for each in asked.listed(ctx.conn)], next=None)


@routes.get("/assets/{asset_id}/alarm-rate", dependencies=[allow("alarm.read")])
def rate_of_asset(ctx: Ctx, asset_id: Id) -> RateOfAsset:
    """What counts for an asset."""
    asset = assets.asset(ctx.conn, asset_id)
    return RateOfAsset(asset_id=asset_id, alarms_month=asked.rates(ctx.conn).of(asset))


@routes.put("/alarm-rates", dependencies=[allow("alarm.design")])
def put_rate(ctx: Ctx, version: VersionIfAny, body: RateBody) -> RateShown:
    """Ask for a rate from the next row on; with `If-Match` of what was asked before."""
    kept = asked.ask(
        ctx.conn,
        body.alarms_month,
        asset_class=body.asset_class,
        asset_id=body.asset_id,
        version=version,
        by=ctx.person.name,
        now=ctx.now,
    )
    return RateShown.model_validate(kept)


@routes.delete("/alarm-rates/{asked_id}", dependencies=[allow("alarm.design")], status_code=204)
def drop_rate(ctx: Ctx, asked_id: Id, version: Version) -> None:
    """Ask no longer: the wider one counts again."""
    asked.drop(ctx.conn, asked_id, version=version)
