"""Following a ticket and ceasing to, with the timeline told."""

from __future__ import annotations

from datetime import datetime

from psycopg import Connection

from tickets import service, store, watchers
from tickets.errors import NotAllowed
from tickets.model import Actor, Audience, Late, Ticket
from tickets.rows import one
from tickets.verbs import verb
from tickets.watchers import Why

SENT_BY = frozenset({"planner", "manager", "admin", "rule", "system"})


@verb
def follow(conn: Connection, actor: Actor, ticket_id: int, *, user_id: int, now: datetime) -> Ticket:
    """Let a user follow a ticket: oneself, or anybody by a planner's or a rule's word. Raises NotAllowed, NotFound."""
    _permit(actor, user_id)
    name = _member(conn, user_id)
    ticket = store.lock(conn, ticket_id)
    why = Why.ASKED if actor.actor_id == user_id else Why.NAMED
    if not watchers.add(conn, ticket_id, [user_id], why=why, now=now):
        return ticket
    return _told(conn, actor, ticket_id, "watching", name, now)


@verb
def unfollow(conn: Connection, actor: Actor, ticket_id: int, *, user_id: int, now: datetime) -> Ticket:
    """Let a user follow it no more. Raises NotAllowed, NotFound."""
    _permit(actor, user_id)
    ticket = store.lock(conn, ticket_id)
    if not watchers.remove(conn, ticket_id, user_id):
        return ticket
    return _told(conn, actor, ticket_id, "unwatched", _member(conn, user_id), now)


def _permit(actor: Actor, user_id: int) -> None:
    if actor.actor_id != user_id and actor.part not in SENT_BY:
        raise NotAllowed("Planners let others follow a ticket; you may follow it yourself.")


def _member(conn: Connection, user_id: int) -> str:
    query = """select u.name from users u join memberships m using (user_id)
               where u.user_id = %s and m.site_id = current_site()"""
    return str(one(conn, query, (user_id,), missing=f"There is no user {user_id} on this site.")[0])


def _told(conn: Connection, actor: Actor, ticket_id: int, kind: str, name: str, now: datetime) -> Ticket:
    return service.record(
        conn, actor, ticket_id, kind=kind, details={"name": name}, audience=Audience.INTERNAL, late=Late.TAKEN, now=now
    )
