"""The verbs of the ticket core: the only writer of tickets, whoever calls.

Every verb locks the row, asks the life cycle, moves the clocks, writes row and event, and tells people, on the caller's
connection: it all happens or none of it does.

    open  assign  transition  comment  note_evidence  move_deadline  patch  record
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg import Connection

import tickets.jobs  # noqa: F401 - timers need their handlers registered
from tickets import clocks, definitions, device_time, failure_codes, gates, lifecycle, store, watchers, words
from tickets import fields as custom_fields
from tickets.assigning import assign
from tickets.errors import BadDeadline, NotAllowed, NotYours, TicketClosed
from tickets.hooks import hooks
from tickets.lifecycle import Allowed, Lifecycle
from tickets.model import (
    CLOSED,
    DONE,
    ON_HOLD,
    REOPENED,
    SYSTEM,
    TERMINAL,
    VERIFYING,
    Actor,
    Audience,
    Late,
    Step,
    Text,
    Ticket,
    TicketKind,
    Verdict,
)
from tickets.notify import NoticeKind, planners, tell
from tickets.opening import open  # noqa: A004
from tickets.verbs import verb

__all__ = ["allowed", "assign", "comment", "move_deadline", "note_evidence", "open", "patch", "record", "transition"]

PLANNERS = frozenset({"planner", "manager", "admin"})
MACHINES = frozenset({"system", "rule", "detector"})
VERIFIED = frozenset({TicketKind.PREVENTIVE, TicketKind.CORRECTIVE})
AWAITING = "awaiting_approval"
EDITS = {"title", "description", "priority", "skill", "mode", "fields"}
UNDECIDED: Text = {
    "en": "Telemetry cannot tell whether the repair helped: close or reopen it by hand, with a note.",
    "zh": "遥测无法判断修复是否有效：请人工关闭或重开，并写明说明。",
}
NOTED = ("note", "reason", "verdict", "failure_code", "evidence")


def allowed(conn: Connection, actor: Actor, ticket: Ticket) -> list[Allowed]:
    """What the actor may do to the ticket now."""
    return lifecycle.allowed(definitions.of(conn, ticket), ticket, actor)


@verb
def transition(
    conn: Connection,
    actor: Actor,
    ticket_id: int,
    *,
    to: str,
    version: int | None = None,
    fields: Mapping[str, Any] | None = None,
    custom: Mapping[str, Any] | None = None,
    at: datetime | None = None,
    now: datetime,
) -> Ticket:
    """Move the ticket to the state ``to``. ``fields``: verdict, failure_code, note, reason, evidence; ``custom``: the
    site's own, as for :func:`patch`; ``at``: when it was done, by the clock of a device that was offline.

    An order with asset and mode that becomes *done* lands in *verifying* when a close guard is registered. While an
    approval is missing, one that telemetry would close stays there and closes with the approval.
    Raises Stale, IllegalTransition, NotAllowed, NotYours, MissingFields, InvalidFields, ApprovalPending, OpenChildren.
    """
    given = dict(fields or {})
    ticket = store.lock(conn, ticket_id, version=version)
    flow = definitions.of(conn, ticket)
    kept = custom_fields.edited(conn, ticket, custom, actor=actor) if custom else dict(ticket.fields)
    lifecycle.check(flow, replace(ticket, fields=kept), actor, to=to, fields=given)
    custom_fields.refuse_unfilled(conn, replace(ticket, fields=kept), actor=actor, to=to)
    failure_codes.check(conn, ticket, given.get("failure_code"))
    if _waits_to_close(actor, ticket, to) and gates.is_unapproved(conn, ticket):
        return _keep_for_approval(conn, actor, ticket, given, now)
    gates.check(conn, ticket, to)
    told = device_time.of(conn, actor, ticket, at, now=now)
    ticket = clocks.settle(conn, ticket, now, upto=told.at)
    ticket = clocks.prove(conn, ticket, flow.states[to], reason=given.get("reason"), at=told.at, now=now)
    ticket = _move(conn, actor, ticket, flow, to=to, fields=given, custom=kept, told=told, now=now)
    if to == DONE and _waits_for_telemetry(ticket, flow):
        ticket = _verify(conn, ticket, flow, now)
    return ticket


@verb
def comment(
    conn: Connection,
    actor: Actor,
    ticket_id: int,
    *,
    text: str,
    audience: Audience | str,
    at: datetime | None = None,
    now: datetime,
) -> Ticket:
    """Add a comment; it is taken in every state and does not change the version. One that tells the requester something
    restarts the update clock. ``at`` as for :func:`transition`. Raises InvalidFields, NotAllowed."""
    said = words.text("text", text)
    try:
        reader = Audience(audience)
    except ValueError as error:
        raise words.refuse("audience", "audience is internal or requester.", code="choice") from error
    ticket = store.lock(conn, ticket_id)
    if actor.part == "requester" and (reader is Audience.INTERNAL or not _takes_part(conn, actor, ticket)):
        raise NotAllowed("A requester comments on tickets that they asked for or follow, for the requester to read.")
    told = device_time.of(conn, actor, ticket, at, now=now)
    if reader is Audience.REQUESTER and actor.actor_id != ticket.requester_id:
        ticket = clocks.say(conn, ticket, at=told.at, now=now)
    named = watchers.named_in(conn, ticket_id, text=said, reader=reader, now=now)
    step = Step("comment", details={"text": said, **told.details}, audience=reader)
    ticket = store.save(conn, ticket, actor, now, step)
    watchers.on_comment(conn, actor, ticket, named=named, text=said, reader=reader, now=now)
    return ticket


@verb
def note_evidence(
    conn: Connection, actor: Actor, ticket_id: int, *, kind: str, body: Mapping[str, Any], now: datetime
) -> Ticket:
    """Add what was measured or seen (JSON) to the timeline; ``kind`` names its form. Raises InvalidFields.

    Evidence of the kind ``needs_person`` (telemetry cannot decide) is told to the planners.
    """
    words.plain("body", body)
    details = {"kind": words.text("kind", kind, longest=64), "body": dict(body)}
    ticket = store.save(conn, store.lock(conn, ticket_id), actor, now, Step("evidence", details=details))
    if kind == NoticeKind.NEEDS_PERSON:
        key = f"{kind}:{ticket_id}:{ticket.event_count}"
        tell(conn, planners(conn), kind=NoticeKind.NEEDS_PERSON, ticket=ticket, key=key, extra=UNDECIDED, now=now)
    return ticket


@verb
def move_deadline(
    conn: Connection, actor: Actor, ticket_id: int, *, resolve_by: datetime, reason: Text | str, now: datetime
) -> Ticket:
    """Move a preventive order's deadline, as its forecast moves; an event, never into the past.

    What was breached stays breached. Raises BadDeadline, NotAllowed, TicketClosed.
    """
    if actor.part not in PLANNERS | MACHINES:
        raise NotAllowed("Only planners and forecasts move a deadline.")
    ticket = store.lock(conn, ticket_id)
    _refuse_finished(ticket)
    if ticket.kind is not TicketKind.PREVENTIVE:
        raise BadDeadline(f"{ticket.ref} is {ticket.kind.value}: only preventive orders move with a forecast.")
    if ticket.status in (DONE, VERIFYING):
        raise BadDeadline(f"The work on {ticket.ref} is done; its resolution clock has stopped.")
    if resolve_by.tzinfo is None or resolve_by <= now:
        raise BadDeadline("A deadline needs a time zone and lies in the future: it is never moved into the past.")
    if resolve_by == ticket.resolve_by:
        return ticket
    ticket = clocks.settle(conn, ticket, now)
    clocks.aim(conn, ticket, resolve_by=resolve_by, now=now)
    step = Step("deadline", {"resolve_by": resolve_by}, {"reason": reason}, Audience.REQUESTER)
    return store.save(conn, ticket, actor, now, step)


@verb
def patch(
    conn: Connection,
    actor: Actor,
    ticket_id: int,
    *,
    changes: Mapping[str, Any],
    version: int | None = None,
    now: datetime,
) -> Ticket:
    """Edit title, description, priority (clocks get its targets), skill or fields (merged key by key; null removes).

    A failure mode is named where none was: the one that a ticket has ties it to what opened it.
    Planners edit all; the assigned engineer description and fields. Raises Stale, InvalidFields, NotAllowed, NotYours.
    """
    ticket = store.lock(conn, ticket_id, version=version)
    _refuse_finished(ticket)
    _refuse_editor(actor, ticket, changes)
    edited = _edits(conn, actor, ticket, changes)
    if all(getattr(ticket, name) == value for name, value in edited.items()):
        return ticket
    ticket = clocks.settle(conn, ticket, now)
    if edited.get("priority", ticket.priority) != ticket.priority:
        edited |= clocks.review(conn, replace(ticket, priority=edited["priority"]), now=now)
    return store.save(conn, ticket, actor, now, Step("edited", edited))


@verb
def record(
    conn: Connection,
    actor: Actor,
    ticket_id: int,
    *,
    kind: str,
    details: Mapping[str, Any],
    changes: Mapping[str, Any] | None = None,
    audience: Audience = Audience.INTERNAL,
    late: Late = Late.REFUSED,
    now: datetime,
) -> Ticket:
    """Add an event of some other room to the timeline, with the columns that change by it (labour, links, parts …).

    The caller has checked the right and the words. Raises TicketClosed for a finished ticket, InvalidFields.
    """
    words.plain(kind, details)
    ticket = store.lock(conn, ticket_id)
    if late is Late.REFUSED:
        _refuse_finished(ticket)
    return store.save(conn, ticket, actor, now, Step(kind, dict(changes or {}), dict(details), audience))


# -- transitions ------------------------------------------------------------------------------------------------------


def _move(
    conn: Connection,
    actor: Actor,
    ticket: Ticket,
    flow: Lifecycle,
    *,
    to: str,
    fields: dict[str, Any],
    custom: Mapping[str, Any] | None = None,
    told: device_time.Told | None = None,
    now: datetime,
) -> Ticket:
    told = told or device_time.Told(now)
    changes = _columns(ticket, flow, to=to, fields=fields, now=told.at)
    if custom is not None:
        changes["fields"] = custom
    changes |= clocks.enter(conn, ticket, flow.states[to], reason=fields.get("reason"), now=now, at=told.at)
    details = {"from": ticket.status, "to": to} | {name: fields[name] for name in NOTED if fields.get(name)}
    details |= told.details
    audience = Audience.REQUESTER if to in TERMINAL else Audience.INTERNAL
    before, ticket = ticket, store.save(conn, ticket, actor, now, Step("transition", changes, details, audience))
    _tell(conn, ticket, now)
    watchers.on_move(conn, actor, ticket, label=flow.states[to].label, now=now)
    for on_transition in hooks.on_transition:
        on_transition(conn, before, ticket, now)
    if to in TERMINAL:
        for on_closed in hooks.on_closed:
            on_closed(conn, ticket, now)
    return ticket


def _columns(ticket: Ticket, flow: Lifecycle, *, to: str, fields: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    changes: dict[str, Any] = {"status": to, "held_from": None, "hold_reason": None}
    if to == ON_HOLD:
        changes |= {"held_from": ticket.status, "hold_reason": fields.get("reason")}
    if to == DONE:
        changes["done_at"] = now
    if to == REOPENED:
        changes["done_at"] = None
    if to == DONE or fields.get("verdict"):
        verdict = fields.get("verdict")
        changes |= {"verdict": Verdict(verdict) if verdict else None, "failure_code": fields.get("failure_code")}
    if to in TERMINAL:
        changes["closed_at"] = now
    elif "response" in flow.states[to].stops and ticket.responded_at is None:
        changes["responded_at"] = now
    return changes


def _takes_part(conn: Connection, actor: Actor, ticket: Ticket) -> bool:
    mine = actor.actor_id is not None and ticket.requester_id == actor.actor_id
    return mine or (actor.actor_id is not None and watchers.follows(conn, ticket.ticket_id, actor.actor_id))


def _waits_to_close(actor: Actor, ticket: Ticket, to: str) -> bool:
    return actor.part in ("system", "detector") and ticket.status == VERIFYING and to == CLOSED


def _keep_for_approval(
    conn: Connection, actor: Actor, ticket: Ticket, given: Mapping[str, Any], now: datetime
) -> Ticket:
    details = {"kind": AWAITING, "body": dict(given.get("evidence") or {})}
    return store.save(conn, ticket, actor, now, Step("evidence", details=details))


def kept_for_approval(conn: Connection, ticket: Ticket) -> Mapping[str, Any] | None:
    """What telemetry found when only an approval was missing to close the order; None when it did not."""
    for event in reversed(store.timeline(conn, ticket.ticket_id)):
        if event.kind == "transition":
            return None
        if event.kind == "evidence" and event.body.get("kind") == AWAITING:
            return event.body.get("body") or {}
    return None


def _waits_for_telemetry(ticket: Ticket, flow: Lifecycle) -> bool:
    known = ticket.kind in VERIFIED and ticket.asset_id is not None and ticket.mode is not None
    return known and hooks.close_guard is not None and VERIFYING in flow.states


def _verify(conn: Connection, ticket: Ticket, flow: Lifecycle, now: datetime) -> Ticket:
    lifecycle.check(flow, ticket, SYSTEM, to=VERIFYING, fields={})
    ticket = _move(conn, SYSTEM, ticket, flow, to=VERIFYING, fields={}, now=now)
    if hooks.close_guard is not None:
        hooks.close_guard.begin(conn, ticket, now)
    return store.get(conn, ticket.ticket_id)


def _tell(conn: Connection, ticket: Ticket, now: datetime) -> None:
    people: dict[str, tuple[NoticeKind, list[int | None]]] = {
        "reopened": (NoticeKind.REOPENED, [ticket.assignee_user_id, *planners(conn)]),
        "closed": (NoticeKind.CLOSED, [ticket.assignee_user_id, ticket.requester_id]),
        "cancelled": (NoticeKind.CANCELLED, [ticket.assignee_user_id, ticket.requester_id]),
    }
    if ticket.status in people:
        kind, users = people[ticket.status]
        key = f"{kind.value}:{ticket.ticket_id}:{ticket.event_count}"
        tell(conn, users, kind=kind, ticket=ticket, key=key, now=now)


# -- edits ------------------------------------------------------------------------------------------------------------


def _refuse_finished(ticket: Ticket) -> None:
    if not ticket.is_open:
        raise TicketClosed(f"{ticket.ref} is {ticket.status}; its timeline is finished. Open a new ticket.")


def _mode(ticket: Ticket, given: object) -> str | None:
    if ticket.mode not in (None, given):
        raise words.refuse("mode", f"{ticket.ref} has the failure mode {ticket.mode!r}, and keeps it.")
    return words.code("mode", given)


def _refuse_editor(actor: Actor, ticket: Ticket, changes: Mapping[str, Any]) -> None:
    if actor.part in PLANNERS | MACHINES:
        return
    if actor.part != "engineer":
        raise NotAllowed("Only planners and the assigned engineer edit a ticket.")
    if actor.actor_id is None or ticket.assignee_user_id != actor.actor_id:
        raise NotYours
    if not set(changes) <= {"description", "fields"}:
        raise NotAllowed("An engineer edits the description and the fields; title and priority are the planner's.")


def _edits(conn: Connection, actor: Actor, ticket: Ticket, changes: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(changes) - EDITS)
    if unknown:
        raise words.refuse(unknown[0], f"{unknown[0]!r} cannot be edited; {', '.join(sorted(EDITS))} can.")
    edited: dict[str, Any] = {}
    if "title" in changes:
        edited["title"] = words.title(changes["title"])
    if "description" in changes:
        edited["description"] = words.text("description", changes["description"], needed=False)
    if "priority" in changes:
        edited["priority"] = words.priority(changes["priority"])
    if "skill" in changes:
        edited["skill"] = words.code("skill", changes["skill"])
    if "mode" in changes:
        edited["mode"] = _mode(ticket, changes["mode"])
    if "fields" in changes:
        edited["fields"] = custom_fields.edited(conn, ticket, changes["fields"], actor=actor)
    return edited
