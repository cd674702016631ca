"""From the site's rows to a problem: open orders, people, windows, parts, and what of the standing plan is frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import Connection

from plant import stops
from plant.stops import Book
from tickets import engineers, stock, store
from tickets.dispatch import people
from tickets.dispatch.model import Engineer, Job, Need, Place, Plan, Problem, Span, Visit
from tickets.routing import Candidate

MOST_JOBS = 400
DAY_S = 86_400
AT_WORK = "arrived"
PLANNABLE = ("new", "assigned", "accepted", "arrived", "reopened")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A problem, and the plan that stands, both from ``origin`` on."""

    origin: datetime
    problem: Problem
    standing: Plan
    standing_id: int | None


def draw(conn: Connection, *, origin: datetime, frozen_until: datetime | None = None) -> Drawn:
    """The site as a problem. What the standing plan starts by ``frozen_until`` stays (None: the site's period)."""
    setting = people.settings(conn)
    horizon_s = setting.horizon_days * DAY_S
    until = origin + timedelta(seconds=horizon_s)
    row = conn.execute("select plan_id from plans where status = 'accepted'").fetchone()
    standing = visits(conn, row[0], origin) if row else ()
    limit = _seconds(frozen_until or origin + timedelta(hours=setting.frozen_hours), origin)
    crew = _people(conn, origin, until)
    pinned = _pinned(conn, row[0]) if row else set()
    held = _at_work(conn, standing)
    frozen = _frozen(standing, pinned=pinned, limit=limit, crew=crew, held=held)
    jobs = _jobs(conn, origin=origin, until=until, frozen=frozen)
    known = {job.job_id for job in jobs}
    problem = Problem(crew, jobs, horizon_s, speed_m_s=setting.travel_m_s)
    kept = tuple(visit for visit in standing if visit.job_id in known and visit.end_s > 0)
    return Drawn(origin, problem, Plan(kept), row[0] if row else None)


def visits(conn: Connection, plan_id: int, origin: datetime) -> tuple[Visit, ...]:
    """A plan's visits, in seconds after ``origin``."""
    rows = conn.execute(
        "select ticket_id, engineer_id, starts, ends from visits where plan_id = %s order by starts, engineer_id",
        (plan_id,),
    )
    return tuple(Visit(job, who, _seconds(starts, origin), _seconds(ends, origin)) for job, who, starts, ends in rows)


def _pinned(conn: Connection, plan_id: int) -> set[int]:
    """Orders whose visits somebody fixed by hand."""
    return {row[0] for row in conn.execute("select ticket_id from visits where plan_id = %s and frozen", (plan_id,))}


def _at_work(conn: Connection, standing: tuple[Visit, ...]) -> list[Visit]:
    """Visits of orders that somebody has arrived at."""
    ids = [visit.job_id for visit in standing]
    query = "select ticket_id from tickets where status = %s and ticket_id = any(%s)"
    there = {row[0] for row in conn.execute(query, (AT_WORK, ids))}
    return [visit for visit in standing if visit.job_id in there]


def _frozen(
    standing: tuple[Visit, ...], *, pinned: set[int], limit: int, crew: tuple[Engineer, ...], held: list[Visit]
) -> Mapping[int, tuple[Visit, ...]]:
    """Visits not yet over that start within the frozen period or were fixed, unless somebody of the crew is away, or
    ``held`` by a visit that takes longer."""
    away = {one.engineer_id: one.absences for one in crew}
    by_job: dict[int, list[Visit]] = {}
    for visit in standing:
        if visit.end_s > 0 and (visit.start_s <= limit or visit.job_id in pinned):
            by_job.setdefault(visit.job_id, []).append(visit)
    return {
        job_id: tuple(those)
        for job_id, those in by_job.items()
        if all(v.engineer_id in away for v in those)
        and not any(span.begins_s < v.end_s and v.start_s < span.ends_s for v in those for span in away[v.engineer_id])
        and not any(_collide(v, other) for v in those for other in held)
    }


def _collide(visit: Visit, other: Visit) -> bool:
    apart = visit.end_s <= other.start_s or other.end_s <= visit.start_s
    return visit.engineer_id == other.engineer_id and visit.job_id != other.job_id and not apart


# -- people -----------------------------------------------------------------------------------------------------------


def _people(conn: Connection, origin: datetime, until: datetime) -> tuple[Engineer, ...]:
    crew = engineers.crew(conn, now=origin)
    homes = {row[0]: Place(row[1], row[2]) for row in conn.execute("select engineer_id, x_m, y_m from engineers")}
    away: dict[int, list[Span]] = {}
    for each in people.stretches(conn, "absences", begins=origin, ends=until):
        away.setdefault(each.owner_id, []).append(_span(each.begins, each.ends, origin))
    held: dict[int, dict[str, int | None]] = {}
    for each_held in people.certificates(conn):
        ends = None if each_held.valid_until is None else _seconds(each_held.valid_until, origin)
        held.setdefault(each_held.engineer_id, {})[each_held.code] = ends
    return tuple(
        Engineer(
            one.engineer_id,
            one.name,
            homes[one.engineer_id],
            one.skills,
            _shifts(one, crew.zone, origin=origin, until=until),
            tuple(away.get(one.engineer_id, ())),
            held.get(one.engineer_id, {}),
        )
        for one in crew.people
    )


def _shifts(one: Candidate, zone: ZoneInfo, *, origin: datetime, until: datetime) -> tuple[Span, ...]:
    """The weekly shifts as times; without any they are there day by day. What has passed of a shift is gone."""
    found = []
    day = origin.astimezone(zone).date() - timedelta(days=1)
    while day <= until.astimezone(zone).date():
        for shift in one.shifts:
            if shift.weekday == day.weekday():
                last = day + timedelta(days=1) if shift.ends <= shift.starts else day
                begins = datetime.combine(day, shift.starts, zone)
                found.append(_span(begins, datetime.combine(last, shift.ends, zone), origin))
        if not one.shifts:
            begins = datetime.combine(day, datetime.min.time(), zone)
            found.append(_span(begins, begins + timedelta(days=1), origin))
        day += timedelta(days=1)
    horizon = _seconds(until, origin)
    clipped = (Span(max(span.begins_s, 0), min(span.ends_s, horizon)) for span in found)
    return tuple(sorted(span for span in clipped if span.ends_s > span.begins_s))


# -- orders -----------------------------------------------------------------------------------------------------------


def _jobs(
    conn: Connection, *, origin: datetime, until: datetime, frozen: Mapping[int, tuple[Visit, ...]]
) -> tuple[Job, ...]:
    rows = conn.execute(
        """select t.ticket_id, t.ref, t.asset_id, t.priority, t.resolve_by, t.skill, n.duration_s, n.crew, n.level,
             n.certificates, n.after, n.ready_at
           from tickets t left join job_needs n using (ticket_id)
           where t.status = any(%s) and t.kind <> 'request'
           order by t.priority, t.resolve_by nulls last, t.ticket_id limit %s""",
        (list(PLANNABLE), MOST_JOBS),
    ).fetchall()
    parents: dict[int, int | None] = dict(conn.execute("select asset_id, parent_id from assets").fetchall())
    places = {row[0]: Place(row[1], row[2]) for row in conn.execute("select asset_id, x_m, y_m from asset_places")}
    book = stops.book(conn)
    overridden = {row[0] for row in conn.execute("select ticket_id from window_overrides")}
    several: dict[int, list[int]] = {}
    for ticket_id, asset_id in conn.execute("select ticket_id, asset_id from ticket_assets"):
        several.setdefault(ticket_id, []).append(asset_id)
    blocked = _blockers(conn)
    kits = bool(conn.execute("select 1 from kits union all select 1 from ticket_kits limit 1").fetchone())
    known = {row[0] for row in rows}
    found = []
    for row in rows:
        line = _line(row[2], parents)
        standing = sorted({*several.get(row[0], ()), *([] if row[2] is None else [row[2]])})
        after = {other for other in (*(row[10] or ()), *blocked.get(row[0], ())) if other in known}
        found.append(
            Job(
                row[0],
                row[1],
                next((places[asset] for asset in line if asset in places), Place(0.0, 0.0)),
                row[6] or 3600,
                row[3],
                None if row[4] is None else _seconds(row[4], origin),
                () if row[5] is None else (Need(row[5], row[8] or 1),),
                tuple(row[9] or ()),
                row[7] or 1,
                _ready(conn, row, origin) if kits or row[11] else 0,
                () if row[0] in overridden else _windows(book, standing, origin, until),
                tuple(sorted(after)),
                frozen.get(row[0], ()),
            )
        )
    return tuple(found)


def _line(asset_id: int | None, parents: Mapping[int, int | None]) -> list[int]:
    """The asset and those above it."""
    line: list[int] = []
    while asset_id is not None and asset_id not in line:
        line.append(asset_id)
        asset_id = parents.get(asset_id)
    return line


def _windows(book: Book, asset_ids: Sequence[int], origin: datetime, until: datetime) -> tuple[Span, ...]:
    """Nothing: the machines may always stand. Those with windows, but none in this time, may not: a window too short
    for anything says so."""
    restricted = [asset_id for asset_id in asset_ids if book.is_restricted(asset_id)]
    if not restricted:
        return ()
    found = book.common(restricted, start=origin, end=until)
    return tuple(_span(each.start, each.end, origin) for each in found) or (Span(0, 0),)


def _ready(conn: Connection, row: tuple[Any, ...], origin: datetime) -> int:
    if row[11] is not None:
        return max(_seconds(row[11], origin), 0)
    return max(_seconds(stock.ready_at(conn, store.get(conn, row[0]), now=origin), origin), 0)


def _blockers(conn: Connection) -> Mapping[int, list[int]]:
    found: dict[int, list[int]] = {}
    for before, after in conn.execute("select from_id, to_id from ticket_links where kind = 'blocks'"):
        found.setdefault(after, []).append(before)
    return found


def _seconds(when: datetime, origin: datetime) -> int:
    return round((when - origin).total_seconds())


def _span(begins: datetime, ends: datetime, origin: datetime) -> Span:
    return Span(_seconds(begins, origin), _seconds(ends, origin))
