"""After a surprise a new plan is proposed by itself, or adopted at once where the site says so.

    P1 order, absence ──> soon ──job──┐
    every minute ──> watch ───────────┴──> look: what does the standing plan not hold with that no plan has answered?
                      └ visits that overrun end later      └──> a proposal (few jobs move) ──> planners are told

What is looked at is the site, not the message: a job that is lost, killed or delivered twice changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from psycopg import Connection

from core import jobs
from core.errors import Conflict
from tickets.dispatch import people, planning, surprises
from tickets.dispatch.planning import PlanRow
from tickets.dispatch.replan import SHARE
from tickets.dispatch.surprises import WAITING, Overdue, Reason
from tickets.hooks import Change
from tickets.model import SYSTEM, Text, Ticket, TicketKind
from tickets.notify import NoticeKind, planners, tell_of
from tickets.verbs import attempt

LOOK = "dispatch.look"
WATCH_S = 60.0
LEAST_MORE = timedelta(minutes=15)
URGENT = 1


class Replanning(StrEnum):
    """What a site wants after a surprise."""

    OFF = "off"
    PROPOSE = "propose"
    ADOPT = "adopt"


class Ending(StrEnum):
    """What became of a plan that was made by itself."""

    PROPOSED = "proposed"
    TOO_MUCH = "too_much"  # the site adopts, but not that much
    ADOPTED = "adopted"
    FAILED = "failed"


def on_event(conn: Connection, change: Change) -> None:
    """An order that becomes urgent, or opens so, is looked at as soon as this commits."""
    if _urgent(change.ticket) and not (change.before is not None and _urgent(change.before)):
        soon(conn)


def soon(conn: Connection) -> None:
    """Look whether the plan that stands still holds, once this commits; without such a plan there is nothing to do."""
    row = conn.execute("select current_site() from plans where status = 'accepted'").fetchone()
    if row is not None:
        jobs.later(conn, LOOK, {}, key=f"{LOOK}:{row[0]}")


@jobs.every(seconds=WATCH_S, name="dispatch.watch")
def watch(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a handler's signature
    """Let visits that overrun end later, and look where something has happened that no plan answers."""
    if people.settings(conn).replanning == Replanning.OFF:
        return
    for each in surprises.overdue(conn, now):
        planning.overrun(conn, each.ticket_id, extra_s=_more_s(each, now))
    if surprises.unanswered(conn, surprises.reasons(conn, now)):
        soon(conn)


@jobs.job(LOOK)
def look(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a handler's signature
    """Make a proposal for what the plan that stands does not hold with; nothing new: nothing is done."""
    conn.execute("select pg_advisory_xact_lock(hashtext(%s), current_site())", (LOOK,))
    wanted = people.settings(conn).replanning
    if wanted == Replanning.OFF or planning.under_way(conn, now):
        return
    found = surprises.reasons(conn, now)
    if not surprises.unanswered(conn, found):
        return
    planning.retire(conn)
    plan_id = planning.begin(conn, cause=found[0].cause, user_id=None, seconds=None, now=now)
    planning.make(conn, {"plan_id": plan_id}, now)
    plan = planning.get(conn, plan_id)
    _tell(conn, plan, found, _end(conn, plan, wanted, now), now)


# -- inside -----------------------------------------------------------------------------------------------------------


def _urgent(ticket: Ticket) -> bool:
    return ticket.priority == URGENT and ticket.kind is not TicketKind.REQUEST and ticket.status in WAITING


def _more_s(each: Overdue, now: datetime) -> int:
    """Until a quarter of the visit from now, so that not every minute moves it again."""
    more = now - each.ends + max(LEAST_MORE, each.lasting / 4)
    return int(more.total_seconds())


def _end(conn: Connection, plan: PlanRow, wanted: str, now: datetime) -> Ending:
    if plan.status != "draft":
        return Ending.FAILED
    if wanted != Replanning.ADOPT:
        return Ending.PROPOSED
    if plan.moved > SHARE:
        return Ending.TOO_MUCH
    try:
        with attempt(conn):
            planning.accept(conn, SYSTEM, plan.plan_id, now=now)
    except Conflict:
        return Ending.PROPOSED  # the site has moved on meanwhile
    return Ending.ADOPTED


TITLES: dict[Ending, Text] = {
    Ending.PROPOSED: {"en": "The plan does not hold: please look at a new one", "zh": "计划有变：请查看新的方案"},
    Ending.ADOPTED: {"en": "The plan was changed by itself", "zh": "计划已自动调整"},
    Ending.FAILED: {"en": "The plan does not hold, and no new one could be made", "zh": "计划有变，但未能生成新方案"},
}
TITLES[Ending.TOO_MUCH] = TITLES[Ending.PROPOSED]
SAID: dict[str, Text] = {
    "emergency": {"en": "{name} is urgent", "zh": "{name} 为紧急工单"},
    "sickness": {"en": "{name} is away", "zh": "{name} 缺勤"},
    "overrun": {"en": "{name} takes longer", "zh": "{name} 超出计划时长"},
}
MOVED: Text = {"en": "{share:.0%} of the planned jobs move.", "zh": "已排作业中有 {share:.0%} 变动。"}
MUCH: Text = {"en": " That is too much to adopt by itself.", "zh": "变动过多，未自动采用。"}
JOINS = (("en", ", ", ". "), ("zh", "，", "。"))
MOST_SAID = 5


def _tell(conn: Connection, plan: PlanRow, found: list[Reason], ending: Ending, now: datetime) -> None:
    body = {
        lang: comma.join(SAID[each.cause][lang].format(name=each.name) for each in found[:MOST_SAID])
        + stop
        + ("" if ending is Ending.FAILED else MOVED[lang].format(share=plan.moved))
        + (MUCH[lang] if ending is Ending.TOO_MUCH else "")
        for lang, comma, stop in JOINS
    }
    users, key = planners(conn), f"replan:{plan.plan_id}"
    tell_of(conn, users, kind=NoticeKind.REPLAN, title=TITLES[ending], body=body, key=key, now=now)
