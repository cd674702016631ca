"""How long what is kept, and what a change would take before it is made."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.deps import Ctx, router
from api.policies import allow
from api.shapes import Input, Output, Whole
from plant import retention
from plant.tiers import DEFAULT, MOST_DAYS, Tier

routes = router("retention")

Days = Annotated[
    Annotated[Whole, Field(ge=1, le=MOST_DAYS)] | None, Field(description="null = for ever", examples=[90])
]


class TierShown(Output):
    """Days that each kind of data of a class is kept; null = for ever."""

    name: str
    raw_days: int | None
    minute_days: int | None
    hour_days: int | None
    wave_days: int | None


class TierWanted(Input):
    """`name` is `*`, `role:measured`, `role:setpoint`, `role:state` or a quantity; the narrowest counts."""

    name: Annotated[str, Field(min_length=1, max_length=64, examples=["vibration_velocity"])]
    raw_days: Days
    minute_days: Days
    hour_days: Days
    wave_days: Days


class Retention(Output):
    """The site's tiers. `built_in` holds for what none of them names."""

    tiers: list[TierShown]
    built_in: TierShown


class Wanted(Input):
    """All tiers of the site: what is not named falls back to the built-in tier."""

    tiers: Annotated[list[TierWanted], Field(max_length=100)]

    def parsed(self) -> list[Tier]:
        """As the store has them."""
        return [Tier(**each.model_dump()) for each in self.tiers]


class LossShown(Output):
    """What a class would lose: `samples` of good or uncertain quality on so many `days`; `bytes` is about right."""

    name: str
    days: int
    samples: int
    rollups: int
    waves: int
    bytes: int


class Preview(Output):
    """What would go at once; no class that loses nothing is listed."""

    classes: list[LossShown]
    bytes: int


@routes.get("/retention", dependencies=[allow("retention.read")])
def get_retention(ctx: Ctx) -> Retention:
    """How long this site keeps samples, rollups and waveforms."""
    return Retention(
        tiers=[TierShown.model_validate(each) for each in retention.tiers(ctx.conn)],
        built_in=TierShown.model_validate(DEFAULT),
    )


@routes.post("/retention/preview", dependencies=[allow("retention.read")])
def preview_retention(ctx: Ctx, body: Wanted) -> Preview:
    """What these tiers would delete now; nothing is changed."""
    losses = retention.preview(ctx.conn, body.parsed(), now=ctx.now)
    return Preview(
        classes=[LossShown.model_validate(each) for each in losses], bytes=sum(each.bytes for each in losses)
    )


@routes.put("/retention", dependencies=[allow("retention.edit")])
def put_retention(ctx: Ctx, body: Wanted) -> Retention:
    """Make these the site's tiers. What they do not keep is deleted within about an hour, and for good."""
    retention.replace(ctx.conn, body.parsed())
    return get_retention(ctx)
