"""Who does it: by the planner's word or by routing, always with the reasons kept on the ticket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg import Connection

from tickets import definitions, engineers, gates, lifecycle, store
from tickets.clocks import enter, settle
from tickets.engineers import Routing
from tickets.lifecycle import Lifecycle
from tickets.model import ASSIGNED, ON_HOLD, Actor, Step, Text, Ticket
from tickets.notify import NoticeKind, planners, tell
from tickets.routing import Choice, Ranking, rank, skill_name
from tickets.rows import one
from tickets.verbs import verb

SHOWN = 5  # places of the ranking kept in the event
WAITING: Mapping[Routing, Text] = {
    Routing.PUSH: {"en": "Waits for a planner to assign it.", "zh": "等待计划员指派。"},
    Routing.POOL: {"en": "In the pool: whoever can takes it.", "zh": "在工单池中：由合适的人员领取。"},
}


@verb
def assign(
    conn: Connection,
    actor: Actor,
    ticket_id: int,
    *,
    assignee_id: int | None = None,
    version: int | None = None,
    now: datetime,
) -> Ticket:
    """Give the ticket to an engineer, or (None) to whom routing finds; on hold it stays on hold.

    Nobody suitable: it stays as it is with the reason, and the planners are told.
    Raises Stale, IllegalTransition, NotAllowed, NotFound.
    """
    ticket = store.lock(conn, ticket_id, version=version)
    flow = definitions.of(conn, ticket)
    permit(flow, ticket, actor)
    if assignee_id is None:
        return by_routing(conn, actor, ticket, flow, now)
    return _by_word(conn, actor, ticket, flow, assignee_id, now)


def permit(flow: Lifecycle, ticket: Ticket, actor: Actor) -> None:
    """Raise unless the actor may assign the ticket as it stands."""
    standing = ticket.held_from if ticket.status == ON_HOLD and ticket.held_from else ticket.status
    someone = replace(ticket, status=standing, assignee_id=ticket.assignee_id or 0)
    lifecycle.permit(flow, someone, actor, to=ASSIGNED)


def at_opening(conn: Connection, actor: Actor, ticket: Ticket, flow: Lifecycle, now: datetime) -> Ticket:
    """What the site does with what is opened: assign it, hand it to the planner, or put it into the pool."""
    crew = engineers.crew(conn, asset_id=ticket.asset_id, mode=ticket.mode, now=now)
    if crew.routing is not Routing.AUTOMATIC:
        return _waits(conn, actor, ticket, crew.routing, now)
    ranking = rank(crew.people, skill=ticket.skill, priority=ticket.priority, zone=crew.zone, now=now)
    return _by_ranking(conn, actor, ticket, flow, ranking, now)


def by_routing(conn: Connection, actor: Actor, ticket: Ticket, flow: Lifecycle, now: datetime) -> Ticket:
    """Assign to the best of the ranking, or note why there is nobody and tell the planners."""
    return _by_ranking(conn, actor, ticket, flow, suggested(conn, ticket, now), now)


def _by_ranking(
    conn: Connection, actor: Actor, ticket: Ticket, flow: Lifecycle, ranking: Ranking, now: datetime
) -> Ticket:
    if ranking.best is None:
        return _nobody(conn, actor, ticket, ranking, now)
    details = {"how": "routing", "ranking": [_place(choice) for choice in ranking.choices[:SHOWN]]}
    return give(conn, actor, ticket, flow, ranking.best.engineer_id, ranking.reasons, details, now)


def suggested(conn: Connection, ticket: Ticket, now: datetime, *, but_not: frozenset[int] = frozenset()) -> Ranking:
    """Who should do this ticket, best first."""
    return engineers.suggest(
        conn,
        skill=ticket.skill,
        priority=ticket.priority,
        asset_id=ticket.asset_id,
        mode=ticket.mode,
        but_not=but_not,
        now=now,
    )


def _by_word(
    conn: Connection, actor: Actor, ticket: Ticket, flow: Lifecycle, assignee_id: int, now: datetime
) -> Ticket:
    one(
        conn,
        "select 1 from engineers where engineer_id = %s and active",
        (assignee_id,),
        missing=f"There is no active engineer {assignee_id} on this site.",
    )
    ranking = suggested(conn, ticket, now)
    known = next((choice.reasons for choice in ranking.choices if choice.engineer_id == assignee_id), None)
    chosen: Text = {"en": f"Chosen by {actor.name}", "zh": f"由{actor.name}指定"}
    name = skill_name(ticket.skill or "")
    unskilled: Text = {"en": f"Has no entry for the skill “{name['en']}”", "zh": f"未登记“{name['zh']}”技能"}
    reasons = (chosen, *(known if known is not None else (unskilled,)))
    return give(conn, actor, ticket, flow, assignee_id, reasons, {"how": "choice"}, now)


def give(
    conn: Connection,
    actor: Actor,
    ticket: Ticket,
    flow: Lifecycle,
    engineer_id: int,
    reasons: tuple[Text, ...],
    details: dict[str, Any],
    now: datetime,
) -> Ticket:
    if ticket.assignee_id == engineer_id and ticket.status == ASSIGNED:
        return ticket
    former = ticket.assignee_user_id if ticket.assignee_id != engineer_id else None
    fresh = _is_fresh(ticket, flow, now)
    ticket = ticket if fresh else settle(conn, ticket, now)
    changes: dict[str, Any] = {"assignee_id": engineer_id, "assignment_reasons": reasons}
    if ticket.status == ON_HOLD:
        changes["held_from"] = ASSIGNED  # the next one has to accept it first
    else:
        if ticket.status != ASSIGNED and not fresh:
            gates.refuse_unapproved(conn, ticket, ASSIGNED)
        changes["status"] = ASSIGNED
        changes |= {} if fresh else enter(conn, ticket, flow.states[ASSIGNED], reason=None, now=now)
    details = {**details, "from": ticket.status, "to": changes.get("status", ticket.status)}
    ticket = store.save(conn, ticket, actor, now, Step("assigned", changes, details))
    _tell(conn, ticket, former, reasons, now)
    return ticket


def _is_fresh(ticket: Ticket, flow: Lifecycle, now: datetime) -> bool:
    """Opened this moment, its clocks just begun, and being assigned stops none of them: they need not be read."""
    return ticket.event_count == 1 and ticket.opened_at == now and not flow.states[ASSIGNED].stops


def _waits(conn: Connection, actor: Actor, ticket: Ticket, routing: Routing, now: datetime) -> Ticket:
    """It stays as it is until somebody gives or takes it; planners are told of what waits for them."""
    why = WAITING[routing]
    ticket = store.save(
        conn, ticket, actor, now, Step("pooled", {"assignment_reasons": (why,)}, {"how": routing.value})
    )
    if routing is Routing.PUSH:
        key = f"unassigned:{ticket.ticket_id}:{ticket.event_count}"
        tell(conn, planners(conn), kind=NoticeKind.UNASSIGNED, ticket=ticket, key=key, extra=why, now=now)
    return ticket


def _nobody(conn: Connection, actor: Actor, ticket: Ticket, ranking: Ranking, now: datetime) -> Ticket:
    step = Step("unassigned", {"assignment_reasons": ranking.reasons}, {"reasons": list(ranking.reasons)})
    ticket = store.save(conn, ticket, actor, now, step)
    key = f"unassigned:{ticket.ticket_id}:{ticket.event_count}"
    tell(
        conn,
        planners(conn),
        kind=NoticeKind.UNASSIGNED,
        ticket=ticket,
        key=key,
        extra=ranking.nobody,
        now=now,
    )
    return ticket


def _tell(conn: Connection, ticket: Ticket, former: int | None, reasons: tuple[Text, ...], now: datetime) -> None:
    extra = {lang: sep.join(reason[lang] for reason in reasons) for lang, sep in (("en", "; "), ("zh", "；"))}
    mark = f"{ticket.ticket_id}:{ticket.event_count}"
    tell(
        conn,
        [ticket.assignee_user_id],
        kind=NoticeKind.ASSIGNED,
        ticket=ticket,
        key=f"assigned:{mark}",
        extra=extra,
        now=now,
    )
    tell(conn, [former], kind=NoticeKind.WITHDRAWN, ticket=ticket, key=f"withdrawn:{mark}", now=now)


def _place(choice: Choice) -> dict[str, Any]:
    return {
        "engineer_id": choice.engineer_id,
        "name": choice.name,
        "cost": choice.cost,
        "reasons": list(choice.reasons),
    }
