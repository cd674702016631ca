"""The order that looks for a common cause: what it says, who is in it and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from detectors.base import FindingKind
from maintenance import grouping_store, orders, sentences, store
from maintenance.decide import OrderStage
from maintenance.grouping_scan import WIDTHS_S, Burst
from maintenance.grouping_store import Group, Member
from maintenance.model import Policy, Reason, Words
from plant import assets
from tickets import service
from tickets import store as tickets_store
from tickets.model import SYSTEM, TicketKind

NAME = "grouping"
SKILLS = {"power": "electrical", "network": "instrumentation", "air": "mechanical", "water": "mechanical"}
LISTED = 200  # members that the order itself lists; the group has them all
PRIORITIES = {5: 1, 4: 2}  # highest criticality of a member → priority
PRIORITY = 3


def open_common(conn: Connection, group: Group, burst: Burst, members: Sequence[Member], *, now: datetime) -> None:
    """Open it, or add to the one that is open for the same place; it lists its members and why they are."""
    scope = scope_name(conn, group)
    values: dict[str, str | float | Words] = {
        "scope": scope,
        "count": burst.machines,
        "watched": group.monitored,
        "seconds": max(1.0, round(burst.last_s - burst.first_s)),
        "usual": sentences.pace(burst.expected, max(burst.last_s - burst.first_s, WIDTHS_S[0])),
        "medium": sentences.say(f"medium.{group.medium or 'tree'}"),
    }
    title, why = sentences.say("group.title", values), sentences.say("group.why", values)
    opened = service.open(
        conn,
        orders.detector(NAME),
        kind=TicketKind.SENSOR_FAULT if group.kind == FindingKind.SENSOR else TicketKind.INSPECTION,
        title=title["en"][: orders.LONGEST_TITLE],
        description=why["en"],
        asset_id=group.asset_id,
        mode=f"common:{group.medium or 'tree'}",
        priority=_priority(conn, members),
        skill=SKILLS.get(group.medium, "instrumentation" if group.kind == FindingKind.SENSOR else "mechanical"),
        channel=orders.CHANNEL,
        fields={
            "title_zh": title["zh"][: orders.LONGEST_TITLE],
            "description_zh": why["zh"],
        },
        now=now,
    )
    grouping_store.carry(conn, group.group_id, opened.ticket.ticket_id)
    body = {"text": why, "group_id": group.group_id, "members": _listed(conn, group, members, scope)}
    service.note_evidence(conn, orders.detector(NAME), opened.ticket.ticket_id, kind="group", body=body, now=now)


def waits(conn: Connection, group: Group) -> Reason:
    """Why a member has no order of its own."""
    row = conn.execute(
        """select (select ref from tickets where ticket_id = %s),
             (select count(distinct asset_id) from alarm_group_members where group_id = %s)""",
        (group.ticket_id, group.group_id),
    ).fetchone()
    ref, count = row or (None, 0)
    return Reason("grouped", {"ref": ref, "count": float(count)} if ref else {})


def note(conn: Connection, group: Group, reason: Reason, *, now: datetime) -> None:
    """One sentence on the common order while it is open."""
    ticket = orders.lock(conn, group.ticket_id)
    if ticket is not None and orders.stage(ticket) is not OrderStage.NONE:
        orders.note(conn, ticket, NAME, reason, group="group", now=now)


def note_end(conn: Connection, group: Group, held: Sequence[Member], policy: Policy, *, now: datetime) -> None:
    """The cause seems over: who is back, and from when on a member counts by itself."""
    back = sum(not each.deviates for each in held)
    hours = max(policy.persist, timedelta(seconds=2 * group.spread_s)) / timedelta(hours=1)
    note(conn, group, Reason("ended", {"back": back, "count": len(held), "hours": hours}), now=now)


def cancelled(conn: Connection, group: Group) -> bool:
    """Whether a person has said that there is no common cause."""
    row = conn.execute("select status from tickets where ticket_id = %s", (group.ticket_id,)).fetchone()
    return row is not None and row[0] == "cancelled"


def merge(conn: Connection, pairs: Sequence[tuple[int, int]], *, now: datetime) -> int:
    """Close single sensor orders in favour of the common one; what somebody has just begun stays.

    Their alarms let go of them first: this is no word of a person about the alarm.
    """
    done = 0
    for ticket_id, into_id in pairs:
        ticket = tickets_store.lock(conn, ticket_id)
        if orders.stage(ticket) is not OrderStage.PLANNED:
            continue
        for kept in store.alarms_of_ticket(conn, ticket_id):
            store.save_alarm(conn, replace(kept, ticket_id=None))
        text = sentences.say("group.merged", {"ref": tickets_store.get(conn, into_id).ref})
        fields = {"verdict": "sensor", "evidence": {"text": text}}
        service.transition(conn, SYSTEM, ticket_id, to="closed", fields=fields, now=now)
        done += 1
    return done


def scope_name(conn: Connection, group: Group) -> str | Words:
    """What the members have in common, by its code."""
    return sentences.say("group.site") if group.asset_id is None else assets.asset(conn, group.asset_id).code


def _priority(conn: Connection, members: Sequence[Member]) -> int:
    row = conn.execute(
        "select max(criticality) from assets where asset_id = any(%s)", ([each.asset_id for each in members],)
    ).fetchone()
    return PRIORITIES.get(row[0] if row else 0, PRIORITY)


def _listed(conn: Connection, group: Group, members: Sequence[Member], scope: str | Words) -> list[dict[str, Any]]:
    listed = members[:LISTED]
    known = assets.assets_of(conn, {each.asset_id for each in listed})
    first = min((each.onset_at for each in members), default=group.first_at)
    return [
        {
            "alarm_id": each.alarm_id,
            "asset": known[each.asset_id].code if each.asset_id in known else "",
            "onset_at": each.onset_at.isoformat(),
            "why": sentences.say(
                "group.member", {"seconds": round((each.onset_at - first).total_seconds()), "scope": scope}
            ),
        }
        for each in listed
    ]
