"""What happens at the marks of a clock: an event, word to the people that the mark names, and what it does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection

from core import jobs
from tickets import engineers, sla_policy, store
from tickets.chain import time_text
from tickets.model import SYSTEM, Step, Text, Ticket
from tickets.notify import NoticeKind, planners, tell
from tickets.routing import on_shift
from tickets.sla import Clock, Do, Mark, Passed

WITHDRAWN = "sla_withdrawn"
JOB = {Do.RAISE: "sla.raise", Do.REASSIGN: "sla.reassign"}


def record(conn: Connection, ticket: Ticket, clock: Clock, passed: Sequence[Passed], *, now: datetime) -> Ticket:
    """Write and tell what a clock passed, in order, on the locked ticket."""
    silent = any(each.mark is None for each in passed)  # the event of the breach says it for the marks at its time
    steps = [
        Step(_kind(clock, each).value, details=_details(clock, each))
        for each in passed
        if not (silent and _at_breach(clock, each.mark))
    ]
    ticket = store.save(conn, ticket, SYSTEM, now, *steps)
    for each in passed:
        if each.mark is not None:
            _act(conn, ticket, clock, each, each.mark, now)
    return ticket


def withdrawn(conn: Connection, ticket: Ticket, clock: Clock, *, at: datetime, now: datetime) -> Ticket:
    """Say openly that a breach was none: the work had been done in time, its word came late."""
    details = {
        "clock": clock.kind.value,
        "due_at": None if clock.due_at is None else time_text(clock.due_at),
        "breached_at": None if clock.breached_at is None else time_text(clock.breached_at),
        "device_at": time_text(at),
    }
    ticket = store.save(conn, ticket, SYSTEM, now, Step(WITHDRAWN, details=details))
    users = people(conn, ticket, sla_policy.DEFAULT_WHOM, now=now)
    key = f"{WITHDRAWN}:{ticket.ticket_id}:{clock.kind.value}:{clock.round}:{ticket.event_count}"
    tell(conn, users, kind=NoticeKind.SLA_WITHDRAWN, ticket=ticket, key=key, clock=clock.kind.value, now=now)
    return ticket


def _kind(clock: Clock, each: Passed) -> NoticeKind:
    if each.mark is None or _at_breach(clock, each.mark):
        return NoticeKind.SLA_BREACHED
    before = each.mark.after(clock.target) < clock.target
    return NoticeKind.SLA_WARNING if before else NoticeKind.SLA_ESCALATED


def _at_breach(clock: Clock, mark: Mark | None) -> bool:
    return mark is not None and mark.do is Do.NOTICE and mark.after(clock.target) == clock.target


def _details(clock: Clock, each: Passed) -> dict[str, Any]:
    details: dict[str, Any] = {
        "clock": clock.kind.value,
        "due_at": time_text(clock.due_at) if clock.due_at else None,
        "target_s": clock.target.total_seconds(),
        "round": clock.round,
    }
    if each.mark is not None:
        details |= {"mark": each.mark.key, "mark_at": time_text(each.at), "whom": list(each.mark.whom)}
    return details


def _act(conn: Connection, ticket: Ticket, clock: Clock, each: Passed, mark: Mark, now: datetime) -> None:
    kind = _kind(clock, each)
    key = f"{kind.value}:{ticket.ticket_id}:{clock.kind.value}:{clock.round}:{mark.key}"
    users = people(conn, ticket, mark.whom, now=now)
    tell(conn, users, kind=kind, ticket=ticket, key=key, clock=clock.kind.value, extra=_words(mark), now=now)
    if mark.do in JOB:
        payload = {"ticket_id": ticket.ticket_id, "clock": clock.kind.value, "mark": mark.key}
        jobs.later(conn, JOB[mark.do], payload, key=f"{JOB[mark.do]}:{key}")


def _words(mark: Mark) -> Text:
    if mark.fraction is not None:
        share = f"{mark.fraction * 100:g} %"
        return {"en": f"{share} of the time is used", "zh": f"已用去时限的 {share}"}
    minutes = abs(mark.offset.total_seconds()) / 60
    if not minutes:
        return {"en": "The time is over", "zh": "时限已到"}
    if mark.offset.total_seconds() < 0:
        return {"en": f"{minutes:g} working minutes are left", "zh": f"还剩 {minutes:g} 分钟工作时间"}
    return {"en": f"{minutes:g} working minutes too late", "zh": f"已超时 {minutes:g} 分钟工作时间"}


# -- people -----------------------------------------------------------------------------------------------------------


def people(conn: Connection, ticket: Ticket, whom: Iterable[str], *, now: datetime) -> list[int | None]:
    """The users that these words mean for the ticket now; where they mean nobody at all, its planners."""
    found: list[int | None] = []
    for who in whom:
        found += _users(conn, ticket, *sla_policy.recipient(who), now)
    return found if any(user is not None for user in found) or not list(whom) else [*planners(conn)]


def _users(conn: Connection, ticket: Ticket, sort: str, name: str, now: datetime) -> list[int | None]:
    if sort == "assignee":
        return [ticket.assignee_user_id]
    if sort == "planners":
        return [*planners(conn)]
    if sort == "requester":
        return [ticket.requester_id]
    if sort == "on_call":
        return [*on_call(conn, ticket, now)]
    return [*(_team(conn, ticket.asset_id) if sort == "team" else _members(conn, sort, name))]


def on_call(conn: Connection, ticket: Ticket, now: datetime) -> list[int]:
    """Engineers on shift now, or on call by the roster, who have the ticket's skill."""
    zone = engineers.site_zone(conn)
    there = {
        each.engineer_id
        for each in engineers.candidates(conn, now=now)
        if (each.on_call or (each.shifts and on_shift(each.shifts, zone=zone, now=now)))
        and ticket.skill in (None, *each.skills)
    }
    rows = conn.execute(
        "select user_id from engineers where engineer_id = any(%s) and user_id is not null", (list(there),)
    )
    return [row[0] for row in rows]


def _members(conn: Connection, sort: str, name: str) -> list[int]:
    rows = conn.execute(
        """select m.user_id from memberships m join users u using (user_id)
           where m.site_id = current_site() and u.disabled_at is null
             and ((%s = 'role' and m.role = %s) or (%s = 'user' and m.user_id::text = %s)) order by 1""",
        (sort, name, sort, name),
    )
    return [row[0] for row in rows]


def _team(conn: Connection, asset_id: int | None) -> list[int]:
    """The members of the team that looks after the asset, or after the nearest one above it that has a team."""
    rows = conn.execute(
        """with recursive up as (
             select asset_id, parent_id, 0 as depth from assets where asset_id = %s
             union all
             select a.asset_id, a.parent_id, up.depth + 1 from assets a join up on a.asset_id = up.parent_id
             where up.depth < 20)
           select m.user_id from team_members m join users u using (user_id)
           where u.disabled_at is null and m.team_id = (
             select t.team_id from up join asset_teams t using (asset_id) order by up.depth limit 1) order by 1""",
        (asset_id,),
    )
    return [row[0] for row in rows]
