"""Who does it: by the planner's word or by routing, always with the reasons kept on the ticket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import Connection

from tickets import definitions, engineers, gates, lifecycle, store
from tickets.beside import Beside
from tickets.clocks import enter, settle
from tickets.engineers import Routing
from tickets.lifecycle import Lifecycle
from tickets.model import ASSIGNED, ON_HOLD, Actor, Step, Text, Ticket
from tickets.notify import NoticeKind, beside, planners, tell
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


@dataclass(frozen=True, slots=True)
class Decision:
    """What the site does with what is opened: the step, and who is told why."""

    step: Step
    kind: NoticeKind
    people: tuple[int | None, ...]
    why: Text

    def notice(self, ticket: Ticket, now: datetime) -> Beside | None:
        """For the statement that writes the ticket as the step leaves it."""
        key = f"{self.kind.value}:{ticket.ticket_id}:{ticket.event_count}"
        return beside(self.people, kind=self.kind, ticket=ticket, key=key, extra=self.why, now=now)


def decide(conn: Connection, values: Mapping[str, Any], flow: Lifecycle, now: datetime) -> Decision:
    """Assign what is opened with these columns, hand it to the planner, or put it into the pool; reads only."""
    asked = {name: values[name] for name in ("asset_id", "mode", "skill")}
    crew = engineers.crew(conn, **asked, now=now)
    if crew.routing is not Routing.AUTOMATIC:
        return _left(conn, crew.routing)
    ranking = rank(crew.people, skill=values["skill"], priority=values["priority"], zone=crew.zone, now=now)
    if ranking.best is None:
        step = _unassigned(ranking)
        return Decision(step, NoticeKind.UNASSIGNED, tuple(planners(conn)), ranking.nobody or ranking.reasons[0])
    best, reasons = ranking.best.engineer_id, ranking.reasons
    changes = {"assignee_id": best, "assignment_reasons": reasons, "status": ASSIGNED}
    step = Step("assigned", changes, {**_found_by(ranking), "from": flow.initial, "to": ASSIGNED})
    return Decision(step, NoticeKind.ASSIGNED, (crew.users[best],), _joined(reasons))


def _left(conn: Connection, routing: Routing) -> Decision:
    """It stays as it is until somebody gives or takes it; planners are told of what waits for them."""
    why = WAITING[routing]
    people = tuple(planners(conn)) if routing is Routing.PUSH else ()
    step = Step("pooled", {"assignment_reasons": (why,)}, {"how": routing.value})
    return Decision(step, NoticeKind.UNASSIGNED, people, why)


def by_routing(conn: Connection, actor: Actor, ticket: Ticket, flow: Lifecycle, now: datetime) -> Ticket:
    """Assign to the best of the ranking, or note why there is nobody and tell the planners."""
    return _by_ranking(conn, actor, ticket, flow, suggested(conn, ticket, now), now)


def _by_ranking(
    conn: Connection, actor: Actor, ticket: Ticket, flow: Lifecycle, ranking: Ranking, now: datetime
) -> Ticket:
    if ranking.best is None:
        return _nobody(conn, actor, ticket, ranking, now)
    return give(conn, actor, ticket, flow, ranking.best.engineer_id, ranking.reasons, _found_by(ranking), now)


def _found_by(ranking: Ranking) -> dict[str, Any]:
    return {"how": "routing", "ranking": [_place(choice) for choice in ranking.choices[:SHOWN]]}


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
    ticket = settle(conn, ticket, now)
    changes: dict[str, Any] = {"assignee_id": engineer_id, "assignment_reasons": reasons}
    if ticket.status == ON_HOLD:
        changes["held_from"] = ASSIGNED  # the next one has to accept it first
    else:
        if ticket.status != ASSIGNED:
            gates.refuse_unapproved(conn, ticket, ASSIGNED)
        changes["status"] = ASSIGNED
        changes |= enter(conn, ticket, flow.states[ASSIGNED], reason=None, now=now)
    details = {**details, "from": ticket.status, "to": changes.get("status", ticket.status)}
    ticket = store.save(conn, ticket, actor, now, Step("assigned", changes, details))
    _tell(conn, ticket, former, reasons, now)
    return ticket


def _nobody(conn: Connection, actor: Actor, ticket: Ticket, ranking: Ranking, now: datetime) -> Ticket:
    ticket = store.save(conn, ticket, actor, now, _unassigned(ranking))
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


def _unassigned(ranking: Ranking) -> Step:
    return Step("unassigned", {"assignment_reasons": ranking.reasons}, {"reasons": list(ranking.reasons)})


def _joined(reasons: tuple[Text, ...]) -> Text:
    return {lang: sep.join(reason[lang] for reason in reasons) for lang, sep in (("en", "; "), ("zh", "；"))}


def _tell(conn: Connection, ticket: Ticket, former: int | None, reasons: tuple[Text, ...], now: datetime) -> None:
    extra = _joined(reasons)
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
