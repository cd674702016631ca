"""SQL of the people who do the work: engineers, their shifts, and how much they have in hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum
from math import hypot
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import Invalid, NotFound
from tickets.routing import Candidate, Ranking, Shift, rank, there
from tickets.rows import one

# one round trip, since every opening asks it; row-level security lets an index compare ints and times
CANDIDATES: LiteralString = """
  select s.timezone, e.engineer_id, e.name, e.skills, e.user_id,
    (select count(*) from tickets t where t.assignee_id = e.engineer_id
       and t.status not in ('closed', 'cancelled', 'done', 'verifying')),
    coalesce((select json_agg(json_build_array(h.weekday, h.starts, h.ends) order by h.shift_id) from shifts h
       where h.engineer_id = e.engineer_id), '[]'),
    coalesce((select f.fixes from proven_fixes f where f.engineer_id = e.engineer_id and f.mode = %(mode)s), 0),
    (select max(a.ends) from absences a
       where a.engineer_id = e.engineer_id and a.begins <= %(now)s and a.ends > %(now)s),
    exists (select 1 from on_call c where c.engineer_id = e.engineer_id and c.begins <= %(now)s and c.ends > %(now)s),
    exists (select 1 from asset_teams at join team_members m using (team_id)
       where at.asset_id = %(asset_id)s and m.user_id = e.user_id),
    p.x_m - e.x_m, p.y_m - e.y_m, coalesce((select d.routing from dispatch_settings d), 'automatic')
  from sites s left join engineers e on e.active left join asset_places p on p.asset_id = %(asset_id)s
  where s.site_id = current_site() order by e.engineer_id"""


class Routing(StrEnum):
    """How a site hands out what is opened."""

    AUTOMATIC = "automatic"  # routing assigns at once
    PUSH = "push"  # a planner assigns
    POOL = "pool"  # who can and comes first takes it


@dataclass(frozen=True, slots=True)
class Engineer:
    """An engineer of the current site."""

    engineer_id: int
    user_id: int | None
    name: str
    skills: Mapping[str, int]  # skill → level 1..3
    on_shift: bool
    open_jobs: int


def create(conn: Connection, *, name: str, skills: Mapping[str, int], user_id: int | None) -> int:
    """A new engineer (or new name and skills of the one that this user is); returns the id. Raises Invalid."""
    if any(not skill or level not in (1, 2, 3) for skill, level in skills.items()):
        raise Invalid("A skill has a name and a level of 1, 2 or 3.")
    (engineer_id,) = one(
        conn,
        """insert into engineers (name, skills, user_id) values (%s, %s, %s)
           on conflict (site_id, user_id) do update set name = excluded.name, skills = excluded.skills
           returning engineer_id""",
        (name, Jsonb(dict(skills)), user_id),
    )
    return int(engineer_id)


def set_shifts(conn: Connection, engineer_id: int, shifts: Sequence[Shift]) -> None:
    """Replace an engineer's weekly shifts."""
    conn.execute("delete from shifts where engineer_id = %s", (engineer_id,))
    for shift in shifts:
        conn.execute(
            "insert into shifts (engineer_id, weekday, starts, ends) values (%s, %s, %s, %s)",
            (engineer_id, shift.weekday, shift.starts, shift.ends),
        )


def roster(conn: Connection, *, now: datetime) -> list[Engineer]:
    """Every active engineer with load and whether they are there."""
    found = crew(conn, now=now)
    return [
        Engineer(
            person.engineer_id,
            found.users[person.engineer_id],
            person.name,
            person.skills,
            there(person, zone=found.zone, now=now) == now,
            person.open_jobs,
        )
        for person in found.people
    ]


def of_user(conn: Connection, user_id: int) -> int | None:
    """The engineer that a user is on this site."""
    row = conn.execute("select engineer_id from engineers where user_id = %s and active", (user_id,)).fetchone()
    return row[0] if row else None


def suggest(
    conn: Connection,
    *,
    skill: str | None,
    priority: int,
    now: datetime,
    but_not: frozenset[int] = frozenset(),
    asset_id: int | None = None,
    mode: str | None = None,
) -> Ranking:
    """Who should do a job of this skill and priority at this machine and failure mode, best first, with reasons."""
    found = crew(conn, now=now, asset_id=asset_id, mode=mode)
    people = [person for person in found.people if person.engineer_id not in but_not]
    return rank(people, skill=skill, priority=priority, zone=found.zone, now=now)


@dataclass(frozen=True, slots=True)
class Crew:
    """The active engineers of the site as routing sees them, its time zone, and how it hands out work."""

    zone: ZoneInfo
    people: tuple[Candidate, ...]
    users: Mapping[int, int | None]
    routing: Routing


def crew(conn: Connection, *, now: datetime, asset_id: int | None = None, mode: str | None = None) -> Crew:
    """Everybody with shifts, load, absence, and what they are to this machine and failure mode."""
    rows = conn.execute(CANDIDATES, {"now": now, "asset_id": asset_id, "mode": mode}).fetchall()
    if not rows:
        raise NotFound("There is no such site.")
    people = [row for row in rows if row[1] is not None]
    people_of = tuple(_candidate(row) for row in people)
    return Crew(ZoneInfo(rows[0][0]), people_of, {row[1]: row[4] for row in people}, Routing(rows[0][-1]))


def candidates(conn: Connection, *, now: datetime) -> list[Candidate]:
    """Active engineers of the site with shifts and open jobs (those waiting for telemetry are off their hands)."""
    return list(crew(conn, now=now).people)


def _candidate(row: tuple[Any, ...]) -> Candidate:
    _, ident, name, skills, _, jobs, shifts, fixes, away_until, on_call, of_team, x_m, y_m, _ = row
    hours = tuple(Shift(day, time.fromisoformat(starts), time.fromisoformat(ends)) for day, starts, ends in shifts)
    way_m = None if x_m is None else hypot(x_m, y_m)
    return Candidate(ident, name, skills, hours, jobs, fixes, way_m, away_until, on_call, of_team)


def site_zone(conn: Connection) -> ZoneInfo:
    """The current site's time zone."""
    (name,) = one(conn, "select timezone from sites where site_id = current_site()", missing="There is no such site.")
    return ZoneInfo(name)
