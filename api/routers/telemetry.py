"""Signals over time, with what was expected of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import Query
from pydantic import Field

from api.deps import Ctx, router
from api.policies import allow
from api.shapes import Id, Output, When
from core.errors import Invalid
from plant import assets, telemetry
from plant.model import Floats, Int64s

routes = router("telemetry")
DEFAULT_SPAN = timedelta(hours=24)

Column = list[float | None]


class BandsShown(Output):
    """The limits in the plot: what a detector expected, at its own times."""

    at: list[int]
    low: Column
    expected: Column
    high: Column


class SeriesShown(Output):
    """Columns of equal length. ``at`` in ms since epoch; ``min`` and ``max`` where a point is several samples."""

    signal_id: int
    unit: str
    resolution: str
    at: Annotated[list[int], Field(examples=[[1767225600000]])]
    value: Column
    min: Column | None
    max: Column | None
    bands: BandsShown


@routes.get("/signals/{signal_id}/series", dependencies=[allow("telemetry.read")])
def get_series(
    ctx: Ctx,
    signal_id: Id,
    start: Annotated[When | None, Query(description="24 hours before `end` when missing.")] = None,
    end: Annotated[When | None, Query(description="Plant time now when missing.")] = None,
    max_points: Annotated[int, Query(ge=10, le=5000)] = 800,
) -> SeriesShown:
    """One signal in its canonical unit, start ≤ at < end, at a resolution that fits `max_points`."""
    signal = assets.signal(ctx.conn, signal_id)
    until = end or ctx.now
    since = start or until - DEFAULT_SPAN
    if since >= until:
        raise Invalid("`start` must lie before `end`.")
    found = telemetry.read(ctx.conn, [signal_id], since, until, max_points=max_points)[signal_id]
    bands = telemetry.read_bands(ctx.conn, signal_id, since, until)
    return SeriesShown(
        signal_id=signal_id,
        unit=signal.unit,
        resolution=found.resolution,
        at=_ms(found.at_us),
        value=_column(found.value),
        min=None if found.low is None else _column(found.low),
        max=None if found.high is None else _column(found.high),
        bands=BandsShown(
            at=_ms(bands.at_us), low=_column(bands.low), expected=_column(bands.expected), high=_column(bands.high)
        ),
    )


def _ms(at_us: Int64s) -> list[int]:
    shown: list[int] = (at_us // 1000).tolist()
    return shown


def _column(values: Floats) -> Column:
    """JSON has no NaN: what is no number is null."""
    return [value if abs(value) < float("inf") else None for value in values.tolist()]
