"""How tickets belong together, who follows them, who reported the same before, and what else they cost."""

from __future__ import annotations

from typing import Annotated

from fastapi import Response
from pydantic import Field

from api import ticket_view
from api.deps import Ctx, Version, router
from api.own import readable, writable
from api.policies import Grant, allow
from api.routers.approvals import ApprovalShown, shown
from api.routers.assets import Finite
from api.shapes import Id, Input, Line, Moment, Output, Page, Prose, Ref, Whole
from api.shown import TicketShown
from api.ticket_view import TicketDetail
from tickets import approvals, costs, duplicates, following, links, merging, store, watchers
from tickets.conversion import PUBLIC_OF
from tickets.costs import CostKind
from tickets.links import BY_HAND, Near
from tickets.model import TicketKind

routes = router("links")
READ = [allow("ticket.read")]
LINK = [allow("ticket.link")]
PLAN = [allow("ticket.plan")]
PUBLIC = frozenset({"converted_from", "converted_to", "duplicates", "duplicated_by"})  # what a requester sees
Hand = Annotated[str, Field(pattern="^(" + "|".join(sorted(BY_HAND)) + ")$", examples=["blocks"])]


class NearShown(Output):
    """``how``: a link read from this ticket, parent or part; ``public_state`` is what a requester is told of it."""

    link_id: int | None
    how: str
    ticket_id: int
    ref: str
    kind: str
    status: str
    title: str
    public_state: str | None = None


class WatcherShown(Output):
    user_id: int
    login: str
    name: str
    why: str


class CostShown(Output):
    line_id: int
    kind: CostKind
    amount: float
    note: str
    made_by: str
    made_at: Moment


class Around(Output):
    """What stands around a ticket. ``watching``: the caller follows it; ``cost`` holds labour and parts too."""

    ticket_id: int
    merged_into: TicketShown | None
    near: list[NearShown]
    watchers: list[WatcherShown]
    watching: bool
    approvals: list[ApprovalShown]
    cost: float | None
    cost_lines: list[CostShown]


class NewLink(Input):
    kind: Hand
    to_id: Ref


class Parent(Input):
    """null: a part of none."""

    parent_id: Ref | None


class Merge(Input):
    into_id: Ref


class Split(Input):
    seqs: Annotated[list[Ref], Field(min_length=1, max_length=100, description="Entries of the timeline.")]
    title: Line
    kind: TicketKind | None = None
    asset_id: Ref | None = None
    priority: Annotated[Whole, Field(ge=1, le=5)] | None = None


class Watch(Input):
    """Without a user: oneself."""

    user_id: Ref | None = None


class Symptom(Input):
    text: Annotated[str, Field(max_length=4000, examples=["Pump drips oil at the seal"])]
    asset_id: Ref | None = None


class Candidate(Output):
    """A ticket that may be about the same; ``score`` 0…1."""

    ticket_id: int
    ref: str
    kind: TicketKind
    status: str
    title: str
    asset_id: int | None
    opened_at: Moment
    score: float


class Again(Input):
    title: Line
    text: Prose = ""


class Joined(Output):
    ticket_id: int
    ref: str
    status: str


class NewCost(Input):
    kind: CostKind
    amount: Annotated[Finite, Field(ge=-1e8, le=1e8)]
    note: Annotated[str, Field(max_length=300)] = ""


@routes.get("/tickets/{ticket_id}/around", dependencies=READ)
def get_around(ctx: Ctx, ticket_id: Id) -> Around:
    """Links, parent and parts, watchers, approvals, other cost. A requester sees what became of the request."""
    return _around(ctx, ticket_id)


@routes.post("/tickets/{ticket_id}/links", status_code=201, dependencies=LINK)
def add_link(ctx: Ctx, ticket_id: Id, body: NewLink) -> Around:
    """Link two tickets."""
    writable(ctx, ticket_id)
    links.link(ctx.conn, ctx.actor, ticket_id, kind=body.kind, to_id=body.to_id, now=ctx.now)
    return _around(ctx, ticket_id)


@routes.delete("/tickets/{ticket_id}/links/{link_id}", dependencies=LINK)
def remove_link(ctx: Ctx, ticket_id: Id, link_id: Id) -> Around:
    """Take away a link that was made by hand."""
    writable(ctx, ticket_id)
    links.unlink(ctx.conn, ctx.actor, ticket_id, link_id, now=ctx.now)
    return _around(ctx, ticket_id)


@routes.put("/tickets/{ticket_id}/parent", dependencies=PLAN)
def set_parent(ctx: Ctx, ticket_id: Id, version: Version, body: Parent) -> Around:
    """Make a ticket a part of another. A circle is refused by name."""
    links.set_parent(ctx.conn, ctx.actor, ticket_id, parent_id=body.parent_id, version=version, now=ctx.now)
    return _around(ctx, ticket_id)


@routes.post("/tickets/{ticket_id}/merge", dependencies=PLAN)
def merge(ctx: Ctx, response: Response, ticket_id: Id, version: Version, body: Merge) -> TicketDetail:
    """Close a ticket as a duplicate of another, which takes everything over and is the answer."""
    into = merging.merge(ctx.conn, ctx.actor, ticket_id, into_id=body.into_id, version=version, now=ctx.now)
    response.headers["etag"] = f'"{into.version}"'
    return ticket_view.detail(ctx, into)


@routes.post("/tickets/{ticket_id}/split", status_code=201, dependencies=PLAN)
def split(ctx: Ctx, response: Response, ticket_id: Id, body: Split) -> TicketDetail:
    """Open a linked ticket with what the chosen entries say."""
    opened = merging.split(ctx.conn, ctx.actor, ticket_id, **body.model_dump(), now=ctx.now)
    response.headers["location"] = f"/api/v1/tickets/{opened.ticket.ticket_id}"
    return ticket_view.detail(ctx, opened.ticket)


@routes.post("/tickets/duplicates", dependencies=[allow("ticket.create")])
def offer_duplicates(ctx: Ctx, body: Symptom) -> Page[Candidate]:
    """Tickets that this report may repeat: ask while somebody types."""
    found = duplicates.offer(ctx.conn, text=body.text, asset_id=body.asset_id, now=ctx.now)
    if ctx.grant is Grant.OWN:
        duplicates.remember(ctx.conn, ctx.person.user_id, found, now=ctx.now)
    return Page(items=[Candidate.model_validate(each) for each in found])


@routes.post("/tickets/{ticket_id}/reports", status_code=201, dependencies=[allow("ticket.create")])
def report_again(ctx: Ctx, ticket_id: Id, body: Again) -> Joined:
    """Add a report to the ticket that is about the same; its author follows it.

    A requester adds to what was offered to them within a day, or what they see already; no other ticket is there.
    """
    if not duplicates.was_offered(ctx.conn, ctx.person.user_id, ticket_id, now=ctx.now):
        readable(ctx, ticket_id)
    joined = duplicates.join(ctx.conn, ctx.actor, ticket_id, title=body.title, text=body.text, now=ctx.now)
    return Joined.model_validate(joined)


@routes.post("/tickets/{ticket_id}/watchers", status_code=201, dependencies=[allow("ticket.comment")])
def watch(ctx: Ctx, ticket_id: Id, body: Watch) -> Around:
    """Follow a ticket, or (planners) let somebody follow it."""
    readable(ctx, ticket_id)
    following.follow(ctx.conn, ctx.actor, ticket_id, user_id=body.user_id or ctx.person.user_id, now=ctx.now)
    return _around(ctx, ticket_id)


@routes.delete("/tickets/{ticket_id}/watchers/{user_id}", dependencies=[allow("ticket.comment")])
def unwatch(ctx: Ctx, ticket_id: Id, user_id: Id) -> Around:
    """Follow it no more."""
    readable(ctx, ticket_id)
    answer = _around(ctx, ticket_id)
    following.unfollow(ctx.conn, ctx.actor, ticket_id, user_id=user_id, now=ctx.now)
    kept = [each for each in answer.watchers if each.user_id != user_id]
    return answer.model_copy(update={"watchers": kept, "watching": answer.watching and user_id != ctx.person.user_id})


@routes.post("/tickets/{ticket_id}/costs", status_code=201, dependencies=LINK)
def add_cost(ctx: Ctx, ticket_id: Id, body: NewCost) -> Around:
    """Add a cost beside labour and parts; a negative amount takes one back."""
    writable(ctx, ticket_id)
    costs.add(ctx.conn, ctx.actor, ticket_id, kind=body.kind, amount=body.amount, note=body.note, now=ctx.now)
    return _around(ctx, ticket_id)


def _around(ctx: Ctx, ticket_id: int) -> Around:
    ticket = readable(ctx, ticket_id)
    own = ctx.grant is Grant.OWN
    into = None if ticket.merged_into is None else store.get(ctx.conn, ticket.merged_into)
    near = [each for each in links.of(ctx.conn, ticket_id) if not own or each.how in PUBLIC]
    return Around(
        ticket_id=ticket_id,
        merged_into=TicketShown.model_validate(into) if into else None,
        near=[_near(each) for each in near],
        watchers=[] if own else [WatcherShown.model_validate(each) for each in watchers.of(ctx.conn, ticket_id)],
        watching=watchers.follows(ctx.conn, ticket_id, ctx.person.user_id),
        approvals=[] if own else [shown(ctx, each) for each in approvals.of(ctx.conn, ticket_id)],
        cost=None if own else ticket.cost,
        cost_lines=[] if own else [CostShown.model_validate(each) for each in costs.of(ctx.conn, ticket_id)],
    )


def _near(found: Near) -> NearShown:
    public = PUBLIC_OF.get(found.status) if found.how == "converted_to" else None
    return NearShown.model_validate(found).model_copy(update={"public_state": public})
