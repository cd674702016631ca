"""Which detector versions may open orders, what each has shown, and the person who lets it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import Field

from api.deps import Ctx, Version, router
from api.policies import allow
from api.shapes import Id, Input, Moment, Output, Ref
from maintenance import gate, gate_release
from maintenance.gate import Gated, Standing
from maintenance.grounds import Ground, Grounds

routes = router("gate")
READ, DECIDE = [allow("gate.read")], [allow("gate.decide")]

StandingWord = Literal["live", "review", "shadow"]


class FiguresShown(Output):
    """Over `days`: orders that it opened or would have opened (`shadow` of these), how many were right (before a
    recorded failure, or confirmed) and wrong; `lead_h` is the median to the failure, `false_month` per machine."""

    days: float
    orders: int
    shadow: int
    right: int
    wrong: int
    lead_h: float | None
    false_month: float


class GateShown(Output):
    """A detector's version. `row_version` is what If-Match wants."""

    gate_id: int
    detector: str
    version: str
    standing: StandingWord
    row_version: int
    changed_by: str
    changed_at: Moment
    reason: str
    figures: FiguresShown


class ChangeShown(Output):
    standing: StandingWord
    changed_by: str
    changed_at: Moment
    reason: str
    figures: dict[str, Any]
    grounds: str
    backtest_id: int | None


class StandingWanted(Input):
    """What lets a version (`live`): what it showed in shadow, a back-test of it that is done and judged the
    configuration as it is now, or a person who overrides for the reason given."""

    standing: StandingWord
    grounds: Literal["shadow", "backtest", "override"] = "shadow"
    backtest_id: Ref | None = None
    reason: Annotated[str, Field(min_length=1, max_length=1000, examples=["9 of 10 right in 60 days of shadow"])]


@routes.get("/maintenance/gate", dependencies=READ)
def list_gate(ctx: Ctx, days: Annotated[float, Query(ge=1, le=730)] = 90) -> list[GateShown]:
    """Every detector version that was heard on the site, with what it has shown in the last days."""
    return [_shown(ctx, each, days) for each in gate.listed(ctx.conn)]


@routes.put("/maintenance/gate/{gate_id}/standing", dependencies=DECIDE)
def change_standing(ctx: Ctx, response: Response, gate_id: Id, version: Version, body: StandingWanted) -> GateShown:
    """Let a version open orders, let it propose only, or keep it in shadow."""
    relied = Grounds(Ground(body.grounds), body.backtest_id)
    made = gate_release.change(
        ctx.conn, gate_id, Standing(body.standing), by=ctx.person.login, reason=body.reason, version=version,
        now=ctx.now, relied=relied,
    )  # fmt: skip
    response.headers["etag"] = f'"{made.row_version}"'
    return _shown(ctx, made, 90)


@routes.get("/maintenance/gate/{gate_id}/changes", dependencies=READ)
def gate_changes(ctx: Ctx, gate_id: Id) -> list[ChangeShown]:
    """Who let it and who stopped it, newest first, with what it had shown by then."""
    gate.get(ctx.conn, gate_id)
    return [ChangeShown.model_validate(each) for each in gate.changes(ctx.conn, gate_id)]


def _shown(ctx: Ctx, kept: Gated, days: float) -> GateShown:
    found = gate.figures(ctx.conn, kept.detector, kept.version, since=ctx.now - timedelta(days=days), until=ctx.now)
    return GateShown(
        gate_id=kept.gate_id,
        detector=kept.detector,
        version=kept.version,
        standing=kept.standing.value,
        row_version=kept.row_version,
        changed_by=kept.changed_by,
        changed_at=kept.changed_at,
        reason=kept.reason,
        figures=FiguresShown.model_validate(gate.as_json(found)),
    )
