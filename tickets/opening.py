"""Opening a ticket: one open order for a fault, its clocks and its engineer in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg import Connection

from core.errors import Conflict, NotFound
from tickets import assigning, clocks, definitions, store, words
from tickets import fields as custom_fields
from tickets.model import ASSIGNED, SYSTEM, Actor, ActorKind, Audience, Opened, Step, Ticket, TicketKind
from tickets.rows import one
from tickets.rules import guards
from tickets.verbs import verb

ATTEMPTS = 5
ROUTED = frozenset(TicketKind) - {TicketKind.REQUEST}  # a request waits for a planner first


@verb
def open(  # noqa: A001 - the verb of the ticket core
    conn: Connection,
    actor: Actor,
    *,
    kind: TicketKind | str,
    title: str,
    now: datetime,
    description: str = "",
    asset_id: int | None = None,
    mode: str | None = None,
    priority: int = 3,
    skill: str | None = None,
    channel: str = "web",
    requester_id: int | None = None,
    fields: Mapping[str, Any] | None = None,
    deadline: datetime | None = None,
) -> Opened:
    """Open a ticket with its event, SLA clocks, timers, engineer and notices, all on this connection.

    While (asset, mode) has an open ticket that one is returned with ``created`` False; what a person or agent reported
    is then added to its timeline. A future ``deadline`` sets the resolution clock, as a forecast asks.
    Raises InvalidFields, NotFound.
    """
    values = {
        "kind": words.kind(kind),
        "title": words.title(title),
        "description": words.text("description", description, needed=False),
        "priority": words.priority(priority),
        "asset_id": asset_id,
        "mode": words.code("mode", mode),
        "skill": words.code("skill", skill),
        "channel": words.text("channel", channel, longest=64),
        "requester_id": requester_id,
        "fields": custom_fields.opened(conn, words.kind(kind), fields or {}, actor=actor),
    }
    _refuse_strangers(conn, asset_id, requester_id)
    for _ in range(ATTEMPTS):
        found = store.open_for(conn, asset_id, mode) if asset_id is not None and mode is not None else None
        if found is not None:
            return Opened(_report_again(conn, actor, found, values, now), created=False)
        ticket = _create(conn, actor, values, deadline, now)
        if ticket is not None:
            return Opened(ticket, created=True)
    raise Conflict("Orders for this fault are being opened and closed at this moment. Try again.")


def _create(
    conn: Connection, actor: Actor, values: Mapping[str, Any], deadline: datetime | None, now: datetime
) -> Ticket | None:
    flow = definitions.for_kind(conn, values["kind"])
    planned = clocks.plan(conn, values, deadline=deadline, now=now)
    row = {
        **values,
        **clocks.due_columns(planned),
        "status": flow.initial,
        "opened_at": now,
        "lifecycle_id": flow.lifecycle_id,
        "assignment_reasons": (),
    }
    ticket = store.create(conn, actor, values=row, details={"to": flow.initial}, now=now)
    if ticket is None:
        return None
    clocks.keep(conn, ticket.ticket_id, planned)
    if ticket.kind in ROUTED and not guards.holds(conn, ticket, to=ASSIGNED, actor=SYSTEM, now=now):
        ticket = assigning.at_opening(conn, SYSTEM, ticket, flow, now)
    return ticket


def _report_again(conn: Connection, actor: Actor, found: Ticket, values: Mapping[str, Any], now: datetime) -> Ticket:
    """People's words are never dropped; a detector's repeated findings are counted on its alarm instead."""
    if actor.kind not in (ActorKind.PERSON, ActorKind.AGENT):
        return found
    said = {name: values[name] for name in ("kind", "title", "description", "priority", "channel", "requester_id")}
    step = Step("reported_again", details=said, audience=Audience.REQUESTER)
    return store.save(conn, store.lock(conn, found.ticket_id), actor, now, step)


def _refuse_strangers(conn: Connection, asset_id: int | None, requester_id: int | None) -> None:
    """A foreign key looks past the site's policy, so ids are looked up through it first."""
    if asset_id is None and requester_id is None:
        return
    asset, person = one(
        conn,
        """select %(asset)s::int is null or exists (select 1 from assets where asset_id = %(asset)s),
             %(person)s::int is null
               or exists (select 1 from memberships where user_id = %(person)s and site_id = current_site())""",
        {"asset": asset_id, "person": requester_id},
    )
    if not asset:
        raise NotFound(f"There is no asset {asset_id} on this site.")
    if not person:
        raise NotFound(f"There is no user {requester_id} on this site.")
