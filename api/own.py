"""Whose ticket it is: what a caller's grant reaches."""

from __future__ import annotations

from api.deps import Context
from api.policies import Grant
from core.errors import NotFound
from tickets import store
from tickets.model import Audience, Ticket


def readable(ctx: Context, ticket_id: int) -> Ticket:
    """The ticket, if the caller may see it; somebody else's request is as good as missing. Raises NotFound."""
    ticket = store.get(ctx.conn, ticket_id)
    if ctx.grant is Grant.OWN and ticket.requester_id != ctx.person.user_id:
        raise NotFound(f"There is no ticket {ticket_id} on this site.")
    return ticket


def shown_to(ctx: Context) -> Audience | None:
    """Whose part of a ticket the caller sees; None = all of it."""
    return Audience.REQUESTER if ctx.grant is Grant.OWN else None
