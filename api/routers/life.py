"""How good predictions were, failures that happened, and the models learnt from them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field

from api.deps import Ctx, router
from api.policies import allow
from api.shapes import Id, Input, Limit, Moment, Output, Page, Prose, Ref, When
from maintenance.life import failures, learned, outcomes

routes = router("life")
READ = [allow("prediction.read")]


class RecordShown(Output):
    """Of ``judged`` predictions ``held`` were right: the machine failed between P10 and P90. One that was repaired in
    time can only be refuted (it outlived P90). ``coverage`` (0.8 is meant) and ``pinball_h`` count each failure once;
    null before the first. ``corrected``: failures enough, so that new forecasts are moved to where such fell."""

    model: Annotated[str, Field(examples=["growth-laws", "fleet-similarity", "run-to-failure"])]
    asset_class: str
    predictions: int
    waiting: int
    judged: int
    held: int
    failures: int
    found: int
    coverage: float | None
    pinball_h: float | None
    corrected: bool


class ModelShown(Output):
    """A model learnt from ``lives`` that ended in this failure mode; it stands until a newer one does."""

    life_model_id: int
    asset_class: str
    mode: str
    number: int
    signals: list[str]
    step_h: float
    lives: int
    made_at: Moment


class FailureIn(Input):
    """``failed_at`` is plant time; ``mode`` one of the machine's class."""

    mode: Annotated[str, Field(min_length=1, max_length=200, examples=["bearing_wear"])]
    failed_at: When
    ticket_id: Ref | None = None
    note: Annotated[Prose, Field(max_length=2000)] = ""


class FailureShown(Output):
    failure_id: int
    asset_id: int
    mode: str
    failed_at: Moment
    ticket_id: int | None
    note: str
    recorded_by: str
    recorded_at: Moment


@routes.get("/prediction-records", dependencies=READ)
def list_records(
    ctx: Ctx,
    model: Annotated[str | None, Query(max_length=100)] = None,
    asset_class: Annotated[str | None, Query(max_length=100)] = None,
) -> Page[RecordShown]:
    """Every prediction is kept and scored against what happened: the record of each model on each class."""
    found = outcomes.records(ctx.conn, model=model, asset_class=asset_class)
    return Page(items=[RecordShown.model_validate(each) for each in found])


@routes.get("/life-models", dependencies=READ)
def list_models(ctx: Ctx) -> Page[ModelShown]:
    """The models that stand, learnt from this plant's failures."""
    return Page(items=[ModelShown.model_validate(each) for each in learned.all_standing(ctx.conn)])


@routes.get("/failures", dependencies=READ)
def list_failures(
    ctx: Ctx, asset_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None, limit: Limit = 100
) -> Page[FailureShown]:
    """Recorded failures, newest first."""
    found = failures.recorded(ctx.conn, asset_id=asset_id, limit=limit)
    return Page(items=[FailureShown.model_validate(each) for each in found])


@routes.post("/assets/{asset_id}/failures", status_code=201, dependencies=[allow("failure.record")])
def record_failure(ctx: Ctx, asset_id: Id, body: FailureIn) -> FailureShown:
    """The machine has failed: what had been predicted is scored, and models learn from it. The same again is one."""
    made = failures.record(
        ctx.conn, ctx.person.name, asset_id, mode=body.mode, failed_at=body.failed_at, now=ctx.now,
        ticket_id=body.ticket_id, note=body.note,
    )  # fmt: skip
    return FailureShown.model_validate(made)
