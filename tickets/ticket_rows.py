"""Rows of the database as tickets and events: their columns in order, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

from tickets import chain
from tickets.model import Actor, ActorKind, Audience, Event, Ticket, TicketKind, Verdict

COLUMNS: LiteralString = """
  t.ticket_id, t.site_id, t.ref, t.kind, t.status, t.priority, t.title, t.description, t.asset_id, t.mode, t.channel,
  t.requester_id, t.assignee_id, t.skill, t.opened_at, t.respond_by, t.resolve_by, t.responded_at, t.done_at,
  t.closed_at, t.held_from, t.hold_reason, t.verdict, t.failure_code, t.fields, t.lifecycle_id, t.assignment_reasons,
  t.version, t.event_count, t.head_hash, t.parent_id, t.merged_into, t.cost, t.downtime_s, t.safety, t.tags, e.name,
  e.user_id"""
FROM: LiteralString = " from tickets t left join engineers e on e.engineer_id = t.assignee_id "
SELECT: LiteralString = "select " + COLUMNS + FROM
EVENTS: LiteralString = """
  select ticket_id, site_id, seq, at, actor_kind, actor_id, actor_name, kind, audience, body, prev_hash, hash
  from ticket_events """


def read_ticket(row: Sequence[Any]) -> Ticket:
    """A ticket from the columns of SELECT."""
    values = dict(zip(Ticket.__slots__, row, strict=True))
    values["kind"] = TicketKind(values["kind"])
    values["verdict"] = Verdict(values["verdict"]) if values["verdict"] else None
    for name in chain.LISTS:
        values[name] = tuple(values[name])
    return Ticket(**values)


def read_event(row: Sequence[Any]) -> Event:
    """An event from the columns of EVENTS."""
    ticket_id, site_id, seq, at, kind, actor_id, name, what, audience, body, prev_hash, digest = row
    actor = Actor(ActorKind(kind), actor_id, name)
    return Event(ticket_id, site_id, seq, at, actor, what, Audience(audience), body, prev_hash, digest)
