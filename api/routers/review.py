"""The planner's review queue, and for every prediction its cost curve and the path of its decision."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field

from api.deps import Ctx, Version, router
from api.policies import allow
from api.shapes import Id, Input, Limit, Line, Moment, Output, Page, Ref, When, Words
from api.shown import AssetShown, Contribution, ModeShown, TicketShown
from maintenance import decision_path, moments, review, review_queue
from tickets.model import Ticket

routes = router("review")
READ, DECIDE = [allow("review.read")], [allow("review.decide")]

State = Literal["open", "snoozed", "decided"]


class CostShown(Output):
    planned: float
    failure: float
    currency: str


class MomentShown(Output):
    """The best moment to begin, what is expected to be spent then, and what beginning now would cost."""

    start_at: Moment
    what: Annotated[str, Field(examples=["window"], description="now, window or wait")]
    total: float
    now_total: float


class ProposalShown(Output):
    """A predicted failure that waits for a planner. `version` is what If-Match wants; `risk` is the expected loss in
    the currency of `cost`; `why` says why nobody opens it alone: policy, unproven or gate."""

    review_id: int
    version: int
    state: str
    why: str
    alarm_id: int
    prediction_id: int | None
    asset: AssetShown
    mode: ModeShown
    proposed_at: Moment
    due_at: Moment
    detected_at: Moment
    owner: str | None
    reason: str | None
    decided_by: str | None
    decided_at: Moment | None
    risk: float
    health: float
    detector: str
    p10_h: float | None
    p50_h: float | None
    p90_h: float | None
    p_fail_horizon: float | None
    horizon_h: float | None
    made_at: Moment | None
    cost: CostShown | None
    moment: MomentShown | None
    sentence: Words
    contributions: list[Contribution]
    reasons: list[Words]
    ticket: TicketShown | None


class OrderNear(Output):
    ticket_id: int
    ref: str
    status: str
    title: str


class ProposalDetail(ProposalShown):
    """With the open orders on its machine, one of which may carry it."""

    orders: list[OrderNear]


class Queue(Page[ProposalShown]):
    """`open` and `snoozed`: how many there are of each."""

    open: int
    snoozed: int


class Merge(Input):
    ticket_id: Ref


class Snooze(Input):
    """`owner` looks at it; `until` is plant time, at most 90 days ahead."""

    owner: Line
    until: When
    reason: Annotated[str, Field(max_length=1000)] = ""


class Reject(Input):
    """`nothing_found` and `sensor` become labels of the detector; `known` and `not_worth` only silence the alarm."""

    why: review.Rejection
    reason: Annotated[str, Field(min_length=3, max_length=1000, examples=["cleaned yesterday, the reading is right"])]


class PointShown(Output):
    """Work that begins then: the chance to have failed before, and the expected cost in its parts."""

    hours: float
    start_at: Moment
    p_fail: float
    total: float
    failure: float
    work: float
    stopping: float
    travel: float
    parts: float
    life: float
    in_window: bool


class AlternativeShown(PointShown):
    what: str
    chosen: bool


class WindowShown(Output):
    start_at: Moment
    end_at: Moment


class PolicyUsed(Output):
    policy_id: int
    version: int


class CurveShown(Output):
    """The expected cost of every candidate moment, `now`, `window` and `wait` compared; money in `currency`."""

    prediction_id: int
    at: Moment
    currency: str
    start_at: Moment
    what: str
    chosen: PointShown
    alternatives: list[AlternativeShown]
    points: list[PointShown]
    windows: list[WindowShown]
    lead_h: float
    travel: float
    cost: CostShown
    stakes: dict[str, float | None]
    forecast: dict[str, Any]
    policies: list[PolicyUsed]
    reasons: list[Words]


class DecisionShown(Output):
    at: Moment
    action: str
    reasons: list[Words]
    ticket: TicketShown | None


class PathShown(Output):
    """How a prediction led to its decision: who saw what, what was forecast by which model, under which policies, what
    was decided and why. `moment` is null where there was no forecast to weigh."""

    prediction_id: int
    alarm_id: int
    asset: AssetShown
    mode: ModeShown
    made_at: Moment
    detector: str
    detector_version: str | None
    sentence: Words
    health: float
    p10_h: float | None
    p50_h: float | None
    p90_h: float | None
    p_fail_horizon: float | None
    horizon_h: float
    model: str
    version: str
    risk: float
    cost: CostShown
    moment: MomentShown | None
    policies: list[PolicyUsed]
    decisions: list[DecisionShown]


@routes.get("/review", dependencies=READ)
def list_review(
    ctx: Ctx,
    state: State = "open",
    q: Annotated[str | None, Query(max_length=100, description="in machine, place and failure mode")] = None,
    limit: Limit = 20,
) -> Queue:
    """What waits for a planner, highest risk first; or what is snoozed, or has been decided."""
    found = review_queue.items(ctx.conn, state=state, now=ctx.now, search=q, limit=limit)
    items = [ProposalShown.model_validate(each) for each in found]
    return Queue(items=items, **review_queue.counts(ctx.conn, ctx.now))


@routes.get("/review/{review_id}", dependencies=READ)
def get_review_item(ctx: Ctx, review_id: Id) -> ProposalDetail:
    """One proposal with the orders that may carry it."""
    return _detail(ctx, review_id)


@routes.post("/review/{review_id}/accept", dependencies=DECIDE)
def accept_proposal(ctx: Ctx, review_id: Id, version: Version) -> TicketShown:
    """Open the order. Who comes second is told who was first and which order it is."""
    return _ticket(review.accept(ctx.conn, ctx.actor, review_id, version=version, now=ctx.now))


@routes.post("/review/{review_id}/merge", dependencies=DECIDE)
def merge_proposal(ctx: Ctx, review_id: Id, version: Version, body: Merge) -> TicketShown:
    """Let an open order carry it."""
    return _ticket(review.merge(ctx.conn, ctx.actor, review_id, body.ticket_id, version=version, now=ctx.now))


@routes.post("/review/{review_id}/snooze", dependencies=DECIDE)
def snooze_proposal(ctx: Ctx, review_id: Id, version: Version, body: Snooze) -> ProposalDetail:
    """Out of the queue until then, with an owner."""
    review.snooze(
        ctx.conn, review_id, owner=body.owner, until=body.until, reason=body.reason, version=version, now=ctx.now
    )
    return _detail(ctx, review_id)


@routes.post("/review/{review_id}/reject", dependencies=DECIDE)
def reject_proposal(ctx: Ctx, review_id: Id, version: Version, body: Reject) -> ProposalDetail:
    """It is no order; the reason is a label."""
    review.reject(ctx.conn, ctx.actor, review_id, why=body.why, reason=body.reason, version=version, now=ctx.now)
    return _detail(ctx, review_id)


@routes.get("/predictions/{prediction_id}/curve", dependencies=[allow("prediction.read")])
def get_curve(ctx: Ctx, prediction_id: Id) -> CurveShown:
    """When the work is best done, and what every other moment would cost; drawn from what was known then."""
    return CurveShown.model_validate(moments.shown(ctx.conn, prediction_id))


@routes.get("/predictions/{prediction_id}", dependencies=[allow("prediction.read")])
def get_prediction(ctx: Ctx, prediction_id: Id) -> PathShown:
    """One prediction with the path of its decision, old ones too."""
    return PathShown.model_validate(decision_path.of(ctx.conn, prediction_id))


def _detail(ctx: Ctx, review_id: int) -> ProposalDetail:
    return ProposalDetail.model_validate(review_queue.item(ctx.conn, review_id))


def _ticket(ticket: Ticket) -> TicketShown:
    return TicketShown(ticket_id=ticket.ticket_id, ref=ticket.ref, status=ticket.status)
