"""From request to order, and the approvals on the way."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Response
from pydantic import Field

from api import ticket_view
from api.deps import Ctx, Version, router
from api.own import readable
from api.policies import allow
from api.shapes import Id, Input, Line, Moment, Output, Page, Ref, Words
from api.ticket_view import TicketDetail
from tickets import approvals, conversion
from tickets.approvals import Approval, State
from tickets.errors import NotAllowed
from tickets.model import Own, TicketKind

routes = router("approvals")
PLAN = [allow("ticket.plan")]
Reason = Annotated[str, Field(max_length=500)]


class Conversion(Input):
    kind: Literal[TicketKind.CORRECTIVE, TicketKind.PREVENTIVE, TicketKind.INSPECTION, TicketKind.INCIDENT] = (
        TicketKind.CORRECTIVE
    )
    reason: Reason = ""
    title: Line | None = None
    priority: Annotated[int, Field(ge=1, le=5)] | None = None
    skill: Annotated[str, Field(pattern=r"^[\w.:-]{1,64}$")] | None = None
    fields: Annotated[dict[str, Any], Field(max_length=200)] | None = None


class Decline(Input):
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class Demand(Input):
    """Of a role, or of one person. ``own`` allowed: who asks may give it; an administrator asks so."""

    why: Annotated[str, Field(min_length=1, max_length=500)]
    role: Literal["engineer", "planner", "manager", "admin"] | None = None
    user_id: Ref | None = None
    own: Own = Own.REFUSED


class Decision(Input):
    state: Literal["approved", "declined"]
    reason: Reason = ""


class ApprovalShown(Output):
    """``mine``: the caller decides it. ``own``: whether who asked may give it."""

    approval_id: int
    ticket_id: int
    ref: str
    title: str
    why: Words
    role: str | None
    user_name: str | None
    demanded_by: str
    demanded_at: Moment
    state: State
    decided_by: str | None
    decided_at: Moment | None
    reason: str
    own: Own
    mine: bool


@routes.post("/tickets/{ticket_id}/convert", status_code=201, dependencies=PLAN)
def convert(ctx: Ctx, response: Response, ticket_id: Id, version: Version, body: Conversion) -> TicketDetail:
    """Approve a request and open the order that it becomes, with everything it has; 200 when it became one before."""
    named = body.model_dump(exclude={"kind", "reason"}, exclude_none=True)
    opened = conversion.convert(
        ctx.conn, ctx.actor, ticket_id, kind=body.kind, reason=body.reason, version=version, changes=named, now=ctx.now
    )
    response.headers["location"] = f"/api/v1/tickets/{opened.ticket.ticket_id}"
    response.headers["etag"] = f'"{opened.ticket.version}"'
    if not opened.created:
        response.status_code = 200
    return ticket_view.detail(ctx, opened.ticket)


@routes.post("/tickets/{ticket_id}/decline", dependencies=PLAN)
def decline(ctx: Ctx, response: Response, ticket_id: Id, version: Version, body: Decline) -> TicketDetail:
    """End a request with a reason, which its requester reads."""
    ended = conversion.decline(ctx.conn, ctx.actor, ticket_id, reason=body.reason, version=version, now=ctx.now)
    response.headers["etag"] = f'"{ended.version}"'
    return ticket_view.detail(ctx, ended)


@routes.post("/tickets/{ticket_id}/approvals", status_code=201, dependencies=PLAN)
def demand(ctx: Ctx, ticket_id: Id, body: Demand) -> ApprovalShown:
    """Ask somebody to approve; until then the ticket goes no further."""
    if body.own is Own.ALLOWED and ctx.role != "admin":
        raise NotAllowed("Administrators alone let an approval be given by who asks for it.")
    asked = body.model_dump(exclude={"why"})
    found = approvals.demand(ctx.conn, ticket_id, body.why, **asked, actor=ctx.actor, now=ctx.now)
    return shown(ctx, found)


@routes.get("/approvals", dependencies=[allow("approval.read")])
def list_approvals(ctx: Ctx) -> Page[ApprovalShown]:
    """What waits for the caller's decision."""
    return Page(items=[shown(ctx, each) for each in approvals.waiting(ctx.conn, ctx.actor)])


@routes.post("/approvals/{approval_id}/decide", dependencies=[allow("approval.decide")])
def decide(ctx: Ctx, approval_id: Id, body: Decision) -> ApprovalShown:
    """Approve, or decline with a reason: only who was asked."""
    return shown(
        ctx, approvals.decide(ctx.conn, ctx.actor, approval_id, state=body.state, reason=body.reason, now=ctx.now)
    )


@routes.post("/approvals/{approval_id}/ask-again", dependencies=PLAN)
def ask_again(ctx: Ctx, approval_id: Id) -> ApprovalShown:
    """Put what was declined before its approvers once more."""
    return shown(ctx, approvals.ask_again(ctx.conn, ctx.actor, approval_id, now=ctx.now))


@routes.get("/tickets/{ticket_id}/approvals", dependencies=[allow("approval.read")])
def approvals_of(ctx: Ctx, ticket_id: Id) -> Page[ApprovalShown]:
    """What was demanded for a ticket, oldest first."""
    return Page(items=[shown(ctx, each) for each in approvals.of(ctx.conn, readable(ctx, ticket_id).ticket_id)])


def shown(ctx: Ctx, found: Approval) -> ApprovalShown:
    """The approval as the caller sees it."""
    kept = {name: getattr(found, name) for name in ApprovalShown.model_fields if name != "mine"}
    waits = found.state is State.PENDING and found.is_for(ctx.actor) and not found.is_own(ctx.actor)
    return ApprovalShown(**kept | {"why": Words(**found.why), "mine": waits})
