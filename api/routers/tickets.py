"""Tickets: lists, detail, and the verbs. The ticket core decides; this only shapes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import Field

from api import ticket_view
from api.deps import Context, Ctx, Version, router
from api.own import readable, writable
from api.policies import Grant, allow
from api.shapes import Change, Code, Cursor, Id, Input, Limit, Line, Page, Prose, Ref, When, Whole, changes, position
from api.ticket_view import EventShown, TicketDetail, TicketItem
from core.errors import Forbidden, Invalid
from tickets import fields as custom_fields
from tickets import merging, service, store
from tickets.model import Audience, Ticket, TicketKind, Verdict
from tickets.store import Filter, Which

routes = router("tickets")
READ = [allow("ticket.read")]
REPORTED = (TicketKind.REQUEST, TicketKind.INCIDENT)  # what requesters and agents may open
ETAG: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {"description": 'The version, `"7"`, for If-Match.', "schema": {"type": "string"}}}}
}

Priority = Annotated[Whole, Field(ge=1, le=5, description="1 = most urgent")]
Status = Annotated[str, Query(pattern="^[a-z_]{1,32}(,[a-z_]{1,32}){0,15}$", description="One or more, by commas.")]
Kinds = Annotated[str, Query(pattern="^[a-z-]{1,32}(,[a-z-]{1,32}){0,7}$", description="One or more, by commas.")]
DeviceTime = Annotated[
    When | None, Field(description="When it was done, by the plant time of a device that was offline; null: now.")
]
Assignee = Annotated[str, Query(pattern="^(me|[0-9]{1,9})$", description="`me` or an engineer's id.")]


Custom = Annotated[dict[str, Any], Field(max_length=200, description="The site's own fields; see `GET /fields`.")]


class NewTicket(Input):
    kind: TicketKind
    title: Annotated[Line, Field(examples=["Strange noise at pump P-101"])]
    description: Prose = ""
    asset_id: Ref | None = None
    mode: Code | None = None
    priority: Priority = 3
    fields: Annotated[Custom, Field(default_factory=dict)]


class TicketChange(Change):
    """``fields`` are merged key by key; null removes one. ``mode`` can be given where there is none."""

    title: Line | None = None
    description: Prose | None = None
    priority: Priority | None = None
    skill: Code | None = None
    mode: Code | None = None
    fields: Custom | None = None


class Given(Input):
    """What a step asks for; see `allowed[].requires`."""

    verdict: Verdict | None = None
    failure_code: Code | None = None
    note: Prose | None = None
    reason: Annotated[str, Field(max_length=1000)] | None = None


class Move(Input):
    to: Annotated[str, Field(pattern="^[a-z_]{1,32}$", examples=["accepted"])]
    fields: Given = Given()
    at: DeviceTime = None
    custom: Annotated[Custom, Field(default_factory=dict)]


class Assignment(Input):
    """null: whom routing finds."""

    engineer_id: Ref | None = None


class Comment(Input):
    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    audience: Audience = Audience.INTERNAL
    at: DeviceTime = None


@routes.get("/tickets", dependencies=READ)
def list_tickets(
    ctx: Ctx,
    request: Request,
    status: Status | None = None,
    kind: Kinds | None = None,
    assignee: Assignee | None = None,
    asset_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    q: Annotated[str, Query(max_length=200, description="Part of ref, title or description.")] = "",
    open: Annotated[bool | None, Query(description="true: open ones; false: finished ones")] = None,  # noqa: A002
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[TicketItem]:
    """Tickets, newest first. A requester sees the own ones.

    `field.KEY=value` filters by the site's own field KEY; a number takes a range too: `2..7`, `3..`.
    """
    custom = {name[6:]: value for name, value in request.query_params.items() if name.startswith("field.")}
    wanted = Filter(
        which=Which.ALL if open is None else Which.OPEN if open else Which.FINISHED,
        statuses=tuple(status.split(",")) if status else (),
        kinds=tuple(kind.split(",")) if kind else (),
        assignee_id=_assignee(ctx, assignee),
        requester_id=ctx.person.user_id if ctx.grant is Grant.OWN else None,
        asset_id=asset_id,
        q=q,
        fields=custom_fields.filters(ctx.conn, custom),
    )
    found = store.find(ctx.conn, wanted, limit=limit, cursor=cursor)
    return Page(items=ticket_view.items(ctx, found.items), next=found.next)


@routes.post("/tickets", status_code=201, dependencies=[allow("ticket.create")])
def open_ticket(ctx: Ctx, response: Response, body: NewTicket) -> TicketDetail:
    """Open a ticket; 200 with the open order when this asset and failure mode already have one."""
    if (ctx.grant is Grant.OWN or ctx.role == "agent") and body.kind not in REPORTED:
        raise Forbidden("Your role may open requests and incidents; a planner makes orders of them.")
    opened = service.open(
        ctx.conn, ctx.actor, **body.model_dump(), channel="web", requester_id=ctx.person.user_id, now=ctx.now
    )
    response.headers["location"] = f"/api/v1/tickets/{opened.ticket.ticket_id}"
    if not opened.created:
        response.status_code = 200
    return _answer(ctx, response, opened.ticket)


@routes.get("/tickets/{ticket_id}", dependencies=READ, responses=ETAG)
def get_ticket(ctx: Ctx, response: Response, ticket_id: Id) -> TicketDetail:
    """One ticket with everything its screen needs."""
    return _answer(ctx, response, readable(ctx, ticket_id))


@routes.patch("/tickets/{ticket_id}", dependencies=[allow("ticket.edit")], responses=ETAG)
def change_ticket(ctx: Ctx, response: Response, ticket_id: Id, version: Version, body: TicketChange) -> TicketDetail:
    """Edit title, description, priority, skill or fields, or name the failure mode where none was."""
    writable(ctx, ticket_id)
    named = changes(body)
    empty = [name for name, value in named.items() if value is None]
    if empty:
        raise Invalid(f"`{empty[0]}` cannot be null; leave it out to keep it.")
    return _answer(
        ctx, response, service.patch(ctx.conn, ctx.actor, ticket_id, changes=named, version=version, now=ctx.now)
    )


@routes.post("/tickets/{ticket_id}/transition", dependencies=[allow("ticket.transition")], responses=ETAG)
def move_ticket(ctx: Ctx, response: Response, ticket_id: Id, version: Version, body: Move) -> TicketDetail:
    """Move a ticket along its life cycle; `allowed` of the ticket says where to, and what it requires."""
    writable(ctx, ticket_id)
    given = body.fields.model_dump(mode="json", exclude_none=True)
    moved = service.transition(
        ctx.conn,
        ctx.actor,
        ticket_id,
        to=body.to,
        version=version,
        fields=given,
        custom=body.custom,
        at=body.at,
        now=ctx.now,
    )
    return _answer(ctx, response, moved)


@routes.post("/tickets/{ticket_id}/assign", dependencies=[allow("ticket.assign")], responses=ETAG)
def assign_ticket(ctx: Ctx, response: Response, ticket_id: Id, version: Version, body: Assignment) -> TicketDetail:
    """Give a ticket to an engineer, or let routing choose."""
    writable(ctx, ticket_id)
    given = service.assign(ctx.conn, ctx.actor, ticket_id, assignee_id=body.engineer_id, version=version, now=ctx.now)
    return _answer(ctx, response, given)


@routes.post("/tickets/{ticket_id}/comments", status_code=201, dependencies=[allow("ticket.comment")])
def comment(ctx: Ctx, ticket_id: Id, body: Comment) -> EventShown:
    """Say something: `internal` for the crew, `requester` for the requester too. `@login` tells that person.

    What is said on a merged ticket is said on the one that it was merged into.
    """
    before = readable(ctx, ticket_id)
    if ctx.grant is Grant.OWN and body.audience is Audience.INTERNAL:
        body.audience = Audience.REQUESTER
    before = merging.standing(ctx.conn, before)
    said = service.comment(
        ctx.conn, ctx.actor, before.ticket_id, text=body.text, audience=body.audience, at=body.at, now=ctx.now
    )
    events = store.timeline(ctx.conn, said.ticket_id, after=before.event_count)
    return ticket_view.event(events[-1])


@routes.get("/tickets/{ticket_id}/events", dependencies=READ)
def timeline(ctx: Ctx, ticket_id: Id, limit: Limit = 200, cursor: Cursor = None) -> Page[EventShown]:
    """The append-only timeline, oldest first; each entry holds the hash of the one before."""
    readable(ctx, ticket_id)
    audience = Audience.REQUESTER if ctx.grant is Grant.OWN else None
    after = position(cursor, start=0)
    found = store.timeline(ctx.conn, ticket_id, audience=audience, after=min(after, 2**31 - 1))
    following = str(found[limit - 1].seq) if len(found) > limit else None
    return Page(items=[ticket_view.event(each) for each in found[:limit]], next=following)


def _assignee(ctx: Context, wanted: str | None) -> int | None:
    if wanted is None:
        return None
    return int(wanted) if wanted != "me" else ctx.engineer_id or 0


def _answer(ctx: Context, response: Response, ticket: Ticket) -> TicketDetail:
    response.headers["etag"] = f'"{ticket.version}"'
    return ticket_view.detail(ctx, ticket)
