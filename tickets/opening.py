"""Opening a ticket: one open order for a fault, its clocks and its engineer in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection

from core.errors import Conflict, NotFound
from tickets import assigning, checklist_store, clock_rows, clocks, definitions, marks, store, words
from tickets import fields as custom_fields
from tickets.beside import Beside
from tickets.held import CLOCKS, WATCHERS
from tickets.hooks import hooks
from tickets.model import ASSIGNED, Actor, ActorKind, Audience, Opened, Step, Ticket, TicketKind
from tickets.rows import one
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
    origin: int | None = None,
) -> Opened:
    """Open a ticket with its event, SLA clocks, timers, engineer and notices, all on this connection.

    While (asset, mode) has an open ticket that one is returned with ``created`` False; what a person or agent reported
    is then added to its timeline. A future ``deadline`` sets the resolution clock, as a forecast asks; ``origin`` is
    the ticket out of which this one is made, and guards count the costs of both.
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
    }
    strangers = _strangers(conn, asset_id, requester_id)
    values["fields"] = custom_fields.opened(conn, words.kind(kind), fields or {}, actor=actor)
    if strangers:
        raise NotFound(strangers[0])
    for _ in range(ATTEMPTS):
        found = store.open_for(conn, asset_id, mode) if asset_id is not None and mode is not None else None
        if found is not None:
            return Opened(_report_again(conn, actor, found, values, now), created=False)
        ticket = _create(conn, actor, values, deadline, now, origin=origin)
        if ticket is not None:
            return Opened(ticket, created=True)
    raise Conflict("Orders for this fault are being opened and closed at this moment. Try again.")


def _create(
    conn: Connection,
    actor: Actor,
    values: Mapping[str, Any],
    deadline: datetime | None,
    now: datetime,
    *,
    origin: int | None = None,
) -> Ticket | None:
    """Everything is asked and decided first, then written in one statement: numbers are given out one at a time."""
    flow = definitions.for_kind(conn, values["kind"])
    planned = clocks.plan(conn, values, deadline=deadline, now=now)
    decision = assigning.decide(conn, values, flow, now) if values["kind"] in ROUTED else None
    more = [hook(conn, values, now) for hook in hooks.on_opening]
    row = {
        **values,
        **clocks.due_columns(planned),
        "status": flow.initial,
        "opened_at": now,
        "lifecycle_id": flow.lifecycle_id,
        "assignment_reasons": (),
    }

    def beside(ticket: Ticket, followed: store.Followed) -> Sequence[Beside | None]:
        notice = decision.notice(ticket, now) if decision is not None and followed is store.Followed.YES else None
        return clocks.beside(planned, flow.states[ticket.status], now), notice, *(each(ticket) for each in more)

    def rows(status: str) -> Mapping[str, Any]:
        return {CLOCKS: clock_rows.opened(clocks.opened(planned, flow.states[status], now)), WATCHERS: {}}

    opening = store.Opening(ASSIGNED, None if decision is None else decision.step, beside, rows, origin)
    return store.create(conn, actor, values=row, details={"to": flow.initial}, opening=opening, now=now)


def _report_again(conn: Connection, actor: Actor, found: Ticket, values: Mapping[str, Any], now: datetime) -> Ticket:
    """People's words are never dropped; a detector's repeated findings are counted on its alarm instead."""
    if actor.kind not in (ActorKind.PERSON, ActorKind.AGENT):
        return found
    said = {name: values[name] for name in ("kind", "title", "description", "priority", "channel", "requester_id")}
    step = Step("reported_again", details=said, audience=Audience.REQUESTER)
    return store.save(conn, store.lock(conn, found.ticket_id), actor, now, step)


def _strangers(conn: Connection, asset_id: int | None, requester_id: int | None) -> list[str]:
    """What the site does not have. A foreign key looks past the site's policy, so ids are looked up through it first;
    what else an opening asks of the site in a row comes along."""
    asset, asset_class, person, *mark = one(conn, STRANGERS, {"asset": asset_id, "person": requester_id})
    marks.known(conn, marks.Marks(*mark))
    if asset_id is not None:
        checklist_store.class_known(conn, asset_id, asset_class)
    found = [(asset_id, asset, f"There is no asset {asset_id} on this site.")]
    found.append((requester_id, person, f"There is no user {requester_id} on this site."))
    return [sentence for ident, known, sentence in found if ident is not None and not known]


STRANGERS: LiteralString = """
  select a.asset_id is not null, a.class,
    exists (select 1 from memberships where user_id = %(person)s::int and site_id = current_site()),
    (select mark from definition_marks), (select mark from rule_marks)
  from (values (1)) always left join assets a on a.asset_id = %(asset)s::int"""
