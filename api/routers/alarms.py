"""Alarms (ISA-18.2): active, acknowledged, shelved, cleared."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field

from api.deps import Ctx, router
from api.policies import allow
from api.shapes import Cursor, Id, Input, Limit, Moment, Output, Page, When, Words, page, position
from api.shown import AssetShown, Contribution, ModeShown, TicketShown
from core import live
from maintenance import queries, service

routes = router("alarms")
READ = [allow("alarm.read")]
NEWEST = 2**31 - 1

State = Literal["active", "acknowledged", "shelved", "cleared", "open"]
Held = Literal["grouped", "suppressed", "out_of_service", "work", "lockout", "startup", "free", "any"]


class AlarmShown(Output):
    """``started_at``: since when the deviation lasts; ``detected_at``: when it was noticed.

    ``held``: what keeps it from an order of its own (grouped, suppressed, out_of_service, work, lockout, startup), ''
    for nothing.
    """

    alarm_id: int
    asset_id: int
    asset: AssetShown
    kind: str
    mode: ModeShown | None
    state: str
    severity: int
    detector: str
    surprise: float
    health: float
    findings: int
    started_at: Moment
    detected_at: Moment
    last_at: Moment
    cleared_at: Moment | None
    acked_by: str | None
    acked_at: Moment | None
    shelved_until: Moment | None
    shelved_by: str | None
    shelve_reason: str | None
    shelf: str
    held: str
    returns: int
    returned_at: Moment | None
    chatter_at: Moment | None
    stale_at: Moment | None
    sentence: Words
    contributions: list[Contribution]
    ticket: TicketShown | None


class Diagnosis(Output):
    """``prior`` × ``likelihood`` (how many times better than an unknown fault) gives the probability; 0 = not kept."""

    mode: ModeShown
    probability: float
    prior: float = 0.0
    likelihood: float = 0.0
    why: Words


class HealthPoint(Output):
    at: Moment
    health: float


class Made(Output):
    prediction_id: int
    made_at: Moment
    p10_h: float | None
    p50_h: float | None
    p90_h: float | None
    p_fail_horizon: float | None
    horizon_h: float
    health: float | None
    risk: float
    model: str
    version: str


class Decided(Output):
    at: Moment
    action: str
    reasons: list[Words]


class AlarmDetail(AlarmShown):
    diagnosis: list[Diagnosis]
    health_curve: list[HealthPoint]
    predictions: list[Made]
    decisions: list[Decided]


class Shelve(Input):
    """``until`` is plant time."""

    until: When
    reason: Annotated[str, Field(min_length=3, max_length=1000, examples=["sensor cable on order"])]


@routes.get("/alarms", dependencies=READ)
def list_alarms(
    ctx: Ctx,
    state: Annotated[State | None, Query(description="open: all but cleared")] = None,
    asset_id: Annotated[int | None, Query(ge=1, le=NEWEST)] = None,
    severity: Annotated[int | None, Query(ge=1, le=4, description="this and worse; 1 is the worst")] = None,
    kind: Literal["machine", "sensor"] | None = None,
    held: Annotated[Held | None, Query(description="free: nothing holds it; any: something does")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[AlarmShown]:
    """Alarms, newest first."""
    before = min(position(cursor, start=NEWEST), NEWEST)
    found = queries.alarms(
        ctx.conn,
        state=state,
        asset_id=asset_id,
        severity=severity,
        kind=kind,
        held=held,
        before_id=before,
        limit=limit + 1,
    )
    return page([AlarmShown.model_validate(each) for each in found], limit, "alarm_id")


@routes.get("/alarms/{alarm_id}", dependencies=READ)
def get_alarm(ctx: Ctx, alarm_id: Id) -> AlarmDetail:
    """One alarm with its diagnosis, health curve, predictions and decisions."""
    return _detail(ctx, alarm_id)


@routes.post("/alarms/{alarm_id}/acknowledge", dependencies=[allow("alarm.acknowledge")])
def acknowledge(ctx: Ctx, alarm_id: Id) -> AlarmDetail:
    """I know of it."""
    service.acknowledge(ctx.conn, ctx.person.name, alarm_id, now=ctx.now)
    live.announce(ctx.conn, "alarm", alarm_id)
    return _detail(ctx, alarm_id)


@routes.post("/alarms/{alarm_id}/shelve", dependencies=[allow("alarm.shelve")])
def shelve(ctx: Ctx, alarm_id: Id, body: Shelve) -> AlarmDetail:
    """Do not bother me with it until then, for this reason; it comes back by itself."""
    service.shelve(ctx.conn, ctx.person.name, alarm_id, until=body.until, reason=body.reason, now=ctx.now)
    live.announce(ctx.conn, "alarm", alarm_id)
    return _detail(ctx, alarm_id)


def _detail(ctx: Ctx, alarm_id: int) -> AlarmDetail:
    found: dict[str, Any] = queries.alarm(ctx.conn, alarm_id)
    return AlarmDetail.model_validate(found)
