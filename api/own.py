"""Whose ticket it is: what a caller's grant reaches."""

from __future__ import annotations

from api.deps import Context
from api.policies import Grant
from core.errors import NotFound
from tickets import store, watchers
from tickets.errors import NotYours
from tickets.model import Audience, Ticket


def readable(ctx: Context, ticket_id: int) -> Ticket:
    """The ticket, if the caller may see it: of somebody else only what one follows is there. Raises NotFound."""
    ticket = store.get(ctx.conn, ticket_id)
    user_id = ctx.person.user_id
    if ctx.grant is Grant.OWN and ticket.requester_id != user_id and not watchers.follows(ctx.conn, ticket_id, user_id):
        raise NotFound(f"There is no ticket {ticket_id} on this site.")
    return ticket


def writable(ctx: Context, ticket_id: int) -> Ticket:
    """The ticket, if the caller's right reaches it. Raises NotFound, NotYours."""
    ticket = readable(ctx, ticket_id)
    if ctx.grant is Grant.ASSIGNED and (ctx.engineer_id is None or ticket.assignee_id != ctx.engineer_id):
        raise NotYours
    return ticket


def shown_to(ctx: Context) -> Audience | None:
    """Whose part of a ticket the caller sees; None = all of it."""
    return Audience.REQUESTER if ctx.grant is Grant.OWN else None
