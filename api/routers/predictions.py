"""Predicted failures ranked by risk, and how good the detectors are."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.deps import Ctx, router
from api.policies import allow
from api.shapes import Limit, Moment, Output, Page, Words
from api.shown import AssetShown, Contribution, ModeShown, TicketShown
from maintenance import queries

routes = router("predictions")


class Cost(Output):
    planned: float
    failure: float
    currency: str


class Decision(Output):
    action: Annotated[str, Field(examples=["open"], description="open, update, wait or none")]
    reasons: list[Words]


class PredictionShown(Output):
    """Remaining life in plant hours (P10, P50, P90; null: not within reach), risk = expected loss in the currency."""

    prediction_id: int
    alarm_id: int
    asset: AssetShown
    mode: ModeShown
    made_at: Moment
    detected_at: Moment
    p10_h: float | None
    p50_h: float | None
    p90_h: float | None
    p_fail_horizon: float | None
    horizon_h: float
    risk: float
    health: float | None
    cost: Cost | None
    sentence: Words
    contributions: list[Contribution]
    ticket: TicketShown | None
    decision: Decision | None
    model: str
    version: str


class Interval(Output):
    """Between which shares the true precision lies with 90 % probability (Jeffreys)."""

    low: float
    high: float


class AssetPrecision(Output):
    asset_id: int
    asset_code: str
    mode: str | None = None
    verdicts: dict[str, int]
    precision: float | None
    right: int
    judged: int
    interval: Interval


class DetectorShown(Output):
    """Verdicts of engineers on its orders; ``precision`` is null before the first."""

    detector: str
    version: str
    findings: int
    alarms: int
    orders: int
    verdicts: dict[str, int]
    precision: float | None
    right: int
    judged: int
    interval: Interval
    by_asset: list[AssetPrecision]


@routes.get("/predictions", dependencies=[allow("prediction.read")])
def list_predictions(ctx: Ctx, limit: Limit = 100) -> Page[PredictionShown]:
    """The newest prediction of every open alarm, highest risk first."""
    found = queries.predictions(ctx.conn, limit=limit)
    return Page(items=[PredictionShown.model_validate(each) for each in found])


@routes.get("/detectors", dependencies=[allow("detector.read")])
def list_detectors(ctx: Ctx) -> Page[DetectorShown]:
    """Every detector that ever spoke, and how often it was right, by asset."""
    return Page(items=[DetectorShown.model_validate(each) for each in queries.detectors(ctx.conn)])
