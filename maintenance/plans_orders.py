"""Orders of plans: opened for a due day, shared by plans that are due together, added to one that is open already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from psycopg import Connection

from maintenance import job_plans_store, plans_due, plans_schedule, plans_store, sentences
from maintenance.errors import AlreadyDecided
from maintenance.plans_due import Fate, History, Ruling, Slot, Why
from maintenance.plans_store import Kept
from tickets import service
from tickets.model import SYSTEM, Ticket

CHANNEL = "plan"
LONGEST_TITLE = 300
DAY = timedelta(days=1)


def serve(
    conn: Connection, kept: Kept, ruling: Ruling, *, family: Sequence[Kept], known: Mapping[str, History],
    zone: ZoneInfo, now: datetime,
) -> int:  # fmt: skip
    """See that there is an order for this due day, and for what is due with it; returns the ticket."""
    slot = Slot(kept.code, ruling.due, kept.plan.tolerance_days)
    standing = _open_order(conn, kept, slot, family)
    if standing is not None:
        _add(conn, standing, kept, replace(ruling, why=Why.MERGED), now=now)
        return standing
    members = _members(conn, kept, slot, family, known)
    ticket = _open(conn, members, zone=zone, now=now)
    for each, member in members:
        why = Why.DUE if each.plan_id == kept.plan_id else Why.MERGED
        by = "" if why is Why.DUE else kept.code
        _add(conn, ticket, each, Ruling(member.due, Fate.OPENED, why, by=by), now=now)
    return ticket


def machines(conn: Connection, ticket: Ticket) -> set[int]:
    """The assets that an order is about."""
    rows = conn.execute("select asset_id from ticket_assets where ticket_id = %s", (ticket.ticket_id,))
    return {row[0] for row in rows} | ({ticket.asset_id} if ticket.asset_id is not None else set())


# -- inside -----------------------------------------------------------------------------------------------------------


def _members(
    conn: Connection, kept: Kept, slot: Slot, family: Sequence[Kept], known: Mapping[str, History]
) -> list[tuple[Kept, Slot]]:
    """The plan, and those whose next due day lets one visit do for both; their rows are locked."""
    plans = {each.code: each.plan for each in family}
    found = [(kept, slot)]
    for each in family:
        other = None if each.plan_id == kept.plan_id else _slot(each, known[each.code])
        if other is None or not all(plans_schedule.related(each.plan, member.plan) for member, _ in found):
            continue
        if plans_schedule.is_absorbed(other, plans_schedule.coming(each.code, plans, known)):
            continue
        if plans_due.join([mine for _, mine in found], other) is not None and _lock(conn, each):
            found.append((each, other))
    return found


def _slot(kept: Kept, history: History) -> Slot | None:
    due = plans_due.next_due(kept.plan, history)
    if due is None or history.state != "active" or history.open is not None:
        return None
    return None if plans_due.is_done(kept.plan, history, due) else Slot(kept.code, due, kept.plan.tolerance_days)


def _lock(conn: Connection, kept: Kept) -> bool:
    """Never waits: who holds the plan's row is looking after it."""
    row = conn.execute(
        "select version from pm_plans where plan_id = %s and state = 'active' for update skip locked", (kept.plan_id,)
    ).fetchone()
    return row is not None and row[0] == kept.version


def _open_order(conn: Connection, kept: Kept, slot: Slot, family: Sequence[Kept]) -> int | None:
    """An order of plans of the same machines that is not done, whose time suits; its row is locked, without waiting."""
    plans = {each.plan_id: each for each in family}
    rows = conn.execute(
        """select o.ticket_id, o.plan_id, o.due from pm_occurrences o join tickets t using (ticket_id)
           where o.plan_id = any(%s) and o.state = 'opened' and t.status <> all(%s) order by o.ticket_id""",
        (list(plans), list(plans_store.FINISHED)),
    ).fetchall()
    for ticket_id in dict.fromkeys(row[0] for row in rows):
        theirs = [(plans[row[1]], row[2]) for row in rows if row[0] == ticket_id]
        suits = all(plans_schedule.related(kept.plan, each.plan) for each, _ in theirs)
        slots = [Slot(each.code, due, each.plan.tolerance_days) for each, due in theirs]
        if suits and plans_due.join(slots, slot) is not None and _lock_ticket(conn, ticket_id):
            return int(ticket_id)
    return None


def _lock_ticket(conn: Connection, ticket_id: int) -> bool:
    row = conn.execute(
        "select status from tickets where ticket_id = %s for update skip locked", (ticket_id,)
    ).fetchone()
    return row is not None and row[0] not in plans_store.FINISHED


def _open(conn: Connection, members: Sequence[tuple[Kept, Slot]], *, zone: ZoneInfo, now: datetime) -> int:
    """One order for all of them, named after the first; due at the end of the last day that suits all."""
    kept = members[0][0]
    day = max(min(slot.due for _, slot in members), max(slot.earliest for _, slot in members))
    deadline = _end_of(min(slot.latest for _, slot in members), zone)
    title = {language: f"{kept.plan.title[language]} · {kept.plan.assets[0]}" for language in kept.plan.title}
    text = _text(members, day)
    job = job_plans_store.newest(conn, kept.plan.job_plan) if kept.plan.job_plan else None
    opened = service.open(
        conn,
        SYSTEM,
        kind=kept.plan.kind,
        title=title["en"][:LONGEST_TITLE],
        description=text["en"],
        asset_id=kept.asset_ids[0],
        priority=min(each.plan.priority for each, _ in members),
        skill=(job.plan.skill or None) if job else None,
        channel=CHANNEL,
        fields={"title_zh": title["zh"][:LONGEST_TITLE], "description_zh": text["zh"]},
        deadline=deadline if deadline > now else None,
        now=now,
    )
    return opened.ticket.ticket_id


def _add(conn: Connection, ticket_id: int, kept: Kept, ruling: Ruling, *, now: datetime) -> None:
    """The due day is this order's: its row, the machines, the job plan, and a line on the order's timeline."""
    readings = plans_store.readings_now(conn, kept, now=now)
    if not plans_store.record(conn, kept, ruling, ticket_id=ticket_id, readings=readings, now=now):
        raise AlreadyDecided
    for asset_id in kept.asset_ids:
        conn.execute(
            "insert into ticket_assets (ticket_id, asset_id) values (%s, %s) on conflict do nothing",
            (ticket_id, asset_id),
        )
    details = {"plan": kept.code, "due": ruling.due.isoformat(), "title": dict(kept.plan.title)}
    service.record(conn, SYSTEM, ticket_id, kind="plan", details=details, now=now)
    job = job_plans_store.newest(conn, kept.plan.job_plan) if kept.plan.job_plan else None
    if job is not None and job.state == "active":
        job_plans_store.apply(conn, SYSTEM, ticket_id, job.code, now=now)
    plans_store.look_again(conn, kept.plan_id, at=now + timedelta(hours=1))


def _text(members: Sequence[tuple[Kept, Slot]], day: date) -> dict[str, str]:
    machines_ = list(dict.fromkeys(asset for each, _ in members for asset in each.plan.assets))
    said = sentences.say("plan.order", {"day": day.isoformat(), "assets": ", ".join(machines_)})
    return {
        language: "\n".join([said[language], *(f"- {each.code}: {each.plan.title[language]}" for each, _ in members)])
        for language in said
    }


def _end_of(day: date, zone: ZoneInfo) -> datetime:
    after = day + DAY
    return datetime(after.year, after.month, after.day, tzinfo=zone)
