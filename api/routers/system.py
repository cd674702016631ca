"""What runs, how fast data comes in, what is held back: the planner's and administrator's view of the instance."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request
from pydantic import Field

from api import health
from api.deps import Ctx, router
from api.policies import allow
from api.shapes import Moment, Output

routes = router("system")


class PartShown(Output):
    """A part of the process tree: starting, running, waiting (to start again) or stopped."""

    name: str
    state: str
    since: Moment
    restarts: int
    detail: Annotated[str | None, Field(description="How it last ended.")]


class SourceShown(Output):
    source: str
    kind: str
    state: str
    samples_s: float
    last_seen: Moment | None
    lag_s: float | None
    samples: int
    duplicates: int
    quarantined: int


class System(Output):
    """``lag_s``: the newest sample's age at arrival, of the worst source; ``detector_lag_s``: judgement behind data."""

    version: str
    parts: list[PartShown]
    lag_s: float | None
    detector_lag_s: float | None
    rates: list[SourceShown]
    samples_total: int
    quarantine: dict[str, int]
    tickets: dict[str, int]


@routes.get("/system", dependencies=[allow("system.read")])
def system(request: Request, ctx: Ctx) -> System:
    """Parts, sources, lag, quarantine."""
    status = health.fresh_status(request.app.state.settings.data_dir)
    rates = [SourceShown.model_validate(each) for each in health.sources(ctx.conn)]
    heard = [each.lag_s for each in rates if each.lag_s is not None and each.samples_s > 0]
    return System(
        version=request.app.version,
        parts=[
            PartShown(name=p.name, state=p.state, since=p.since, restarts=p.restarts, detail=p.last_exit)
            for p in (status.parts if status else ())
        ],
        lag_s=max(heard, default=None),
        detector_lag_s=health.detector_lag_s(ctx.conn),
        rates=rates,
        samples_total=sum(each.samples for each in rates),
        quarantine=health.quarantine_counts(ctx.conn),
        tickets=health.ticket_counts(ctx.conn),
    )
