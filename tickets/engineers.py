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
from tickets import marks
from tickets.routing import LEVEL_NAMES, Candidate, Ranking, Shift, rank, there
from tickets.rows import one

# Who there is changes rarely and is kept by the process; what they have in hand is asked for at every opening, of those
# who come into question. Row-level security lets an index compare ints and times.
PEOPLE: LiteralString = """
  select s.timezone, coalesce((select d.routing from dispatch_settings d), 'automatic'), e.engineer_id, e.user_id,
    e.name, e.skills, e.x_m, e.y_m,
    coalesce((select json_agg(json_build_array(h.weekday, h.starts, h.ends) order by h.shift_id) from shifts h
       where h.engineer_id = e.engineer_id), '[]')
  from sites s left join engineers e on e.active where s.site_id = current_site() order by e.engineer_id"""
HANDS: LiteralString = """
  select e.engineer_id,
    (select count(*) from tickets t where t.assignee_id = e.engineer_id
       and t.status not in ('closed', 'cancelled', 'done', 'verifying')),
    coalesce((select f.fixes from proven_fixes f where f.engineer_id = e.engineer_id and f.mode = %(mode)s), 0),
    (select max(a.ends) from absences a
       where a.engineer_id = e.engineer_id and a.begins <= %(now)s and a.ends > %(now)s),
    exists (select 1 from on_call c where c.engineer_id = e.engineer_id and c.begins <= %(now)s and c.ends > %(now)s),
    exists (select 1 from asset_teams at join team_members m using (team_id)
       where at.asset_id = %(asset_id)s and m.user_id = e.user_id),
    p.x_m, p.y_m
  from unnest(%(ids)s::int[], %(users)s::int[]) as e(engineer_id, user_id)
  left join asset_places p on p.asset_id = %(asset_id)s"""


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
    refuse_levels(skills)
    (engineer_id,) = one(
        conn,
        """insert into engineers (name, skills, user_id) values (%s, %s, %s)
           on conflict (site_id, user_id) do update set name = excluded.name, skills = excluded.skills,
             version = engineers.version + 1
           returning engineer_id""",
        (name, Jsonb(dict(skills)), user_id),
    )
    return int(engineer_id)


def refuse_levels(skills: Mapping[str, int]) -> None:
    """Raise Invalid for a skill without a name or of another level."""
    if any(not skill or level not in LEVEL_NAMES for skill, level in skills.items()):
        raise Invalid("A skill has a name and a level of 1, 2 or 3.")


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


@dataclass(frozen=True, slots=True)
class _Person:
    """What of an engineer changes rarely."""

    candidate: Candidate
    user_id: int | None
    x_m: float
    y_m: float


def crew(
    conn: Connection,
    *,
    now: datetime,
    asset_id: int | None = None,
    mode: str | None = None,
    skill: str | None = None,
) -> Crew:
    """Everybody with shifts, load, absence, and what they are to this machine and failure mode.

    With ``skill`` only those who have it: of the others no more is known than who they are.
    """
    zone, routing, people = marks.kept(conn, "people", lambda: _people(conn))
    asked = [each for each in people if skill is None or skill in each.candidate.skills]
    wanted = {
        "now": now,
        "asset_id": asset_id,
        "mode": mode,
        "ids": [each.candidate.engineer_id for each in asked],
        "users": [each.user_id for each in asked],
    }
    hands = {row[0]: row[1:] for row in conn.execute(HANDS, wanted)} if asked else {}
    found = tuple(_candidate(each, hands.get(each.candidate.engineer_id)) for each in people)
    return Crew(zone, found, {each.candidate.engineer_id: each.user_id for each in people}, routing)


def _people(conn: Connection) -> tuple[ZoneInfo, Routing, tuple[_Person, ...]]:
    rows = conn.execute(PEOPLE).fetchall()
    if not rows:
        raise NotFound("There is no such site.")
    return ZoneInfo(rows[0][0]), Routing(rows[0][1]), tuple(_person(row[2:]) for row in rows if row[2] is not None)


def _person(row: tuple[Any, ...]) -> _Person:
    ident, user_id, name, skills, x_m, y_m, shifts = row
    hours = tuple(Shift(day, time.fromisoformat(starts), time.fromisoformat(ends)) for day, starts, ends in shifts)
    return _Person(Candidate(ident, name, skills, hours, 0), user_id, x_m, y_m)


def candidates(conn: Connection, *, now: datetime) -> list[Candidate]:
    """Active engineers of the site with shifts and open jobs (those waiting for telemetry are off their hands)."""
    return list(crew(conn, now=now).people)


def _candidate(person: _Person, hands: tuple[Any, ...] | None) -> Candidate:
    if hands is None:
        return person.candidate
    jobs, fixes, away_until, on_call, of_team, x_m, y_m = hands
    way_m = None if x_m is None else hypot(x_m - person.x_m, y_m - person.y_m)
    one = person.candidate
    return Candidate(
        one.engineer_id, one.name, one.skills, one.shifts, jobs, fixes, way_m, away_until, on_call, of_team
    )


def site_zone(conn: Connection) -> ZoneInfo:
    """The current site's time zone."""
    (name,) = one(conn, "select timezone from sites where site_id = current_site()", missing="There is no such site.")
    return ZoneInfo(name)
