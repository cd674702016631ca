"""From hand to hand: an engineer takes an order out of the pool, or hands theirs over; and who has proven what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg import Connection

from tickets import assigning, definitions, engineers, lifecycle, store, words
from tickets.errors import AlreadyTaken, LacksSkill, NotAllowed, NotYours
from tickets.model import ASSIGNED, CLOSED, NEW, ON_HOLD, SYSTEM, VERIFYING, Actor, Text, Ticket, TicketKind, Verdict
from tickets.routing import skill_name
from tickets.rows import one
from tickets.store import Filter, Page, Which
from tickets.verbs import verb

PLANNERS = frozenset({"planner", "manager", "admin"})
AT_WORK = frozenset({ASSIGNED, "accepted", "arrived", "reopened", ON_HOLD})
TAKEN: Text = {"en": "Took it from the pool", "zh": "从工单池领取"}


def pool(conn: Connection, *, limit: int, cursor: str | None) -> Page:
    """Orders that nobody has, newest first."""
    kinds = tuple(kind.value for kind in TicketKind if kind is not TicketKind.REQUEST)
    return store.find(conn, Filter(Which.OPEN, statuses=(NEW,), kinds=kinds), limit=limit, cursor=cursor)


@verb
def grab(conn: Connection, actor: Actor, ticket_id: int, *, now: datetime) -> Ticket:
    """The engineer that the actor is takes an unassigned order; who comes first has it.

    Raises AlreadyTaken, LacksSkill, NotAllowed, IllegalTransition, NotFound.
    """
    ticket = store.lock(conn, ticket_id)
    engineer_id = _engineer(conn, actor)
    if ticket.assignee_id is not None or ticket.status != NEW or ticket.kind is TicketKind.REQUEST:
        raise AlreadyTaken(f"{ticket.ref} is {ticket.status}; it is not in the pool any more.")
    flow = definitions.of(conn, ticket)
    lifecycle.permit(flow, _with_somebody(ticket), SYSTEM, to=ASSIGNED)
    reasons = _fitting(conn, ticket, engineer_id, now)
    return assigning.give(conn, actor, ticket, flow, engineer_id, (TAKEN, *reasons), {"how": "grab"}, now)


@verb
def hand_over(
    conn: Connection,
    actor: Actor,
    ticket_id: int,
    *,
    note: str,
    to: int | None = None,
    version: int | None = None,
    now: datetime,
) -> Ticket:
    """The assigned engineer (or a planner) gives the order to another, or (None) to whom routing finds, with a note.

    Clocks go on as with any assignment. Raises NotYours, NotAllowed, LacksSkill, AlreadyTaken, Stale, InvalidFields.
    """
    said = words.text("note", note, longest=2000)
    ticket = store.lock(conn, ticket_id, version=version)
    _refuse_strangers(actor, ticket)
    if ticket.status not in AT_WORK or ticket.assignee_id is None:
        raise AlreadyTaken(f"{ticket.ref} is {ticket.status}; there is nothing to hand over.")
    flow = definitions.of(conn, ticket)
    assigning.permit(flow, ticket, SYSTEM)
    ranking = assigning.suggested(conn, ticket, now, but_not=frozenset({ticket.assignee_id}))
    if to is None:
        if ranking.best is None:
            raise LacksSkill("There is nobody else who can do it. Ask a planner.")
        to = ranking.best.engineer_id
    if to == ticket.assignee_id:
        raise words.refuse("to", "The order is theirs already.")
    reasons = _fitting(conn, ticket, to, now)
    handed: Text = {"en": f"Handed over by {actor.name}: {said}", "zh": f"{actor.name} 移交：{said}"}
    details = {"how": "hand_over", "note": said}
    return assigning.give(conn, actor, ticket, flow, to, (handed, *reasons), details, now)


def on_transition(conn: Connection, before: Ticket, ticket: Ticket, now: datetime) -> None:  # noqa: ARG001 - a hook
    """An order that telemetry let close is a proven fix of its mode by its engineer."""
    proven = before.status == VERIFYING and ticket.status == CLOSED and ticket.verdict is Verdict.CONFIRMED
    if proven and ticket.assignee_id is not None and ticket.mode is not None:
        conn.execute(
            """insert into proven_fixes (engineer_id, mode, fixes) values (%s, %s, 1)
               on conflict (engineer_id, mode) do update set fixes = proven_fixes.fixes + 1""",
            (ticket.assignee_id, ticket.mode),
        )


def proven(conn: Connection) -> list[Mapping[str, Any]]:
    """Who has fixed what, verified, most often first."""
    rows = conn.execute(
        """select f.engineer_id, e.name, f.mode, f.fixes from proven_fixes f join engineers e using (engineer_id)
           order by f.fixes desc, e.name, f.mode"""
    )
    return [dict(zip(("engineer_id", "name", "mode", "fixes"), row, strict=True)) for row in rows]


def _engineer(conn: Connection, actor: Actor) -> int:
    found = engineers.of_user(conn, actor.actor_id) if actor.actor_id is not None else None
    if found is None:
        raise NotAllowed("Only engineers take orders from the pool.")
    return found


def _refuse_strangers(actor: Actor, ticket: Ticket) -> None:
    if actor.part in PLANNERS:
        return
    if actor.part != "engineer":
        raise NotAllowed("Only planners and the assigned engineer hand an order over.")
    if actor.actor_id is None or ticket.assignee_user_id != actor.actor_id:
        raise NotYours


def _fitting(conn: Connection, ticket: Ticket, engineer_id: int, now: datetime) -> tuple[Text, ...]:
    """The engineer's reasons in the ranking; raises LacksSkill where they are not in it."""
    one(
        conn,
        "select 1 from engineers where engineer_id = %s and active",
        (engineer_id,),
        missing=f"There is no active engineer {engineer_id} on this site.",
    )
    for choice in assigning.suggested(conn, ticket, now).choices:
        if choice.engineer_id == engineer_id:
            return choice.reasons
    raise LacksSkill(f"This order needs the skill “{skill_name(ticket.skill or '')['en']}”.")


def _with_somebody(ticket: Ticket) -> Ticket:
    return replace(ticket, assignee_id=ticket.assignee_id or 0)
