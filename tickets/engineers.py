"""SQL of the people who do the work: engineers, their shifts, and how much they have in hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import Invalid
from tickets.routing import Candidate, Ranking, Shift, on_shift, rank
from tickets.rows import one


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
    """Every active engineer with load and whether they are on shift."""
    zone = site_zone(conn)
    users: dict[int, int | None] = dict(conn.execute("select engineer_id, user_id from engineers").fetchall())
    return [
        Engineer(
            person.engineer_id,
            users[person.engineer_id],
            person.name,
            person.skills,
            on_shift(person.shifts, zone=zone, now=now),
            person.open_jobs,
        )
        for person in candidates(conn)
    ]


def of_user(conn: Connection, user_id: int) -> int | None:
    """The engineer that a user is on this site."""
    row = conn.execute("select engineer_id from engineers where user_id = %s and active", (user_id,)).fetchone()
    return row[0] if row else None


def suggest(
    conn: Connection, *, skill: str | None, priority: int, now: datetime, but_not: frozenset[int] = frozenset()
) -> Ranking:
    """Who should do a job of this skill and priority, best first, with reasons."""
    people = [person for person in candidates(conn) if person.engineer_id not in but_not]
    return rank(people, skill=skill, priority=priority, zone=site_zone(conn), now=now)


def candidates(conn: Connection) -> list[Candidate]:
    """Active engineers of the site with shifts and open jobs (those waiting for telemetry are off their hands)."""
    shifts: dict[int, list[Shift]] = {}
    for engineer_id, weekday, starts, ends in conn.execute(
        "select engineer_id, weekday, starts, ends from shifts order by shift_id"
    ):
        shifts.setdefault(engineer_id, []).append(Shift(weekday, starts, ends))
    rows = conn.execute(
        """select e.engineer_id, e.name, e.skills, count(t.ticket_id)
           from engineers e left join tickets t on t.assignee_id = e.engineer_id
             and t.status not in ('closed', 'cancelled', 'done', 'verifying')
           where e.active group by e.engineer_id order by e.engineer_id"""
    )
    return [Candidate(ident, name, skills, tuple(shifts.get(ident, ())), jobs) for ident, name, skills, jobs in rows]


def site_zone(conn: Connection) -> ZoneInfo:
    """The current site's time zone."""
    (name,) = one(conn, "select timezone from sites where site_id = current_site()", missing="There is no such site.")
    return ZoneInfo(name)
