"""Who is to be sent, as planners see and edit them: skills, shifts, certificates, absences, on-call duty, home.

    staff(conn) ─> Member(version) ─> a planner edits ─> change(conn, …, version) ─> the next version, or Stale

Absences and on-call duty are rows of their own, added and taken back one by one: they do not count as a change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import Invalid
from tickets import engineers, marks
from tickets.dispatch import people
from tickets.dispatch.people import Stretch
from tickets.routing import Candidate, Shift, there
from tickets.rows import one, refuse_stale, refuse_unseen

AHEAD = timedelta(days=36_500)  # of absences and duties: all that are not over
MOST_SHIFTS = 100
FACTS: LiteralString = """
  select e.engineer_id, coalesce(u.login, ''), e.x_m, e.y_m, e.feed_since, e.version, e.changed_by
  from engineers e left join users u using (user_id) where e.active"""


@dataclass(frozen=True, slots=True)
class Held:
    """A certificate; None: for ever."""

    code: str
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class Member:
    """An engineer with all that planning knows of them. Without shifts they count as always there."""

    engineer_id: int
    user_id: int | None
    login: str
    name: str
    skills: Mapping[str, int]
    on_shift: bool
    open_jobs: int
    shifts: tuple[Shift, ...]
    certificates: tuple[Held, ...]
    absences: tuple[Stretch, ...]  # that are not over
    on_call: tuple[Stretch, ...]
    x_m: float
    y_m: float
    feed_since: datetime | None  # of the calendar's address; None: there is none
    version: int
    changed_by: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What a planner says of an engineer."""

    name: str
    skills: Mapping[str, int]
    shifts: Sequence[Shift]
    certificates: Sequence[tuple[str, datetime | None]]
    x_m: float
    y_m: float


def staff(conn: Connection, *, now: datetime) -> list[Member]:
    """Every active engineer."""
    found = engineers.crew(conn, now=now)
    facts = {row[0]: row[1:] for row in conn.execute(FACTS)}
    held = _by_owner((each.engineer_id, Held(each.code, each.valid_until)) for each in people.certificates(conn))
    away, duty = (_stretches(conn, table, now) for table in ("absences", "on_call"))
    return [
        _member(each, found, facts[each.engineer_id], [of.get(each.engineer_id, ()) for of in (held, away, duty)], now)
        for each in found.people
    ]


def _member(
    each: Candidate, crew: engineers.Crew, facts: tuple[Any, ...], parts: Sequence[Any], now: datetime
) -> Member:
    login, *rest = facts
    is_there = there(each, zone=crew.zone, now=now) == now
    who = (each.engineer_id, crew.users[each.engineer_id], login, each.name, each.skills)
    return Member(*who, is_there, each.open_jobs, each.shifts, *parts, *rest)


def get(conn: Connection, engineer_id: int, *, now: datetime) -> Member:
    """One; raises NotFound."""
    missing = f"There is no engineer {engineer_id} on this site."
    one(conn, "select 1 from engineers where engineer_id = %s and active", (engineer_id,), missing=missing)
    return next(each for each in staff(conn, now=now) if each.engineer_id == engineer_id)


def enlist(
    conn: Connection,
    user_id: int,
    *,
    name: str,
    skills: Mapping[str, int],
    shifts: Sequence[Shift],
    version: int | None,
    by: str,
    now: datetime,
) -> Member:
    """Make a user an engineer, or change who they are as one. Raises Invalid, and for one who is an engineer already
    IfMatchMissing without a version and Stale unless it fits."""
    query = "select engineer_id from engineers where user_id = %s and active for update"
    standing = conn.execute(query, (user_id,)).fetchone()
    if standing is not None:
        found = get(conn, standing[0], now=now)
        refuse_unseen(found.name, standing=found.version, given=version, current=_plain(found))
    engineer_id = engineers.create(conn, name=name, skills=skills, user_id=user_id)
    engineers.set_shifts(conn, engineer_id, shifts)
    conn.execute("update engineers set changed_by = %s where engineer_id = %s", (by, engineer_id))
    marks.changed(conn)
    return get(conn, engineer_id, now=now)


def change(conn: Connection, engineer_id: int, wanted: Terms, *, version: int | None, by: str, now: datetime) -> Member:
    """Replace what is said of an engineer. Raises NotFound, Invalid, and Stale unless ``version`` fits."""
    engineers.refuse_levels(wanted.skills)
    _refuse_double(wanted)
    lock(conn, engineer_id, version=version, now=now)
    conn.execute(
        """update engineers set name = %s, skills = %s, x_m = %s, y_m = %s, version = version + 1, changed_by = %s
           where engineer_id = %s""",
        (wanted.name, Jsonb(dict(wanted.skills)), wanted.x_m, wanted.y_m, by, engineer_id),
    )
    engineers.set_shifts(conn, engineer_id, wanted.shifts)
    people.set_certificates(conn, engineer_id, wanted.certificates)
    marks.changed(conn)
    return get(conn, engineer_id, now=now)


def lock(conn: Connection, engineer_id: int, *, version: int | None, now: datetime) -> None:
    """Keep others from changing an engineer until this is over. Raises NotFound, and Stale unless ``version`` fits."""
    conn.execute("select 1 from engineers where engineer_id = %s for update", (engineer_id,))
    found = get(conn, engineer_id, now=now)
    refuse_stale(found.name, standing=found.version, given=version, current=_plain(found))


def touched(conn: Connection, engineer_id: int, *, by: str) -> None:
    """A part of what is said of them was changed by itself."""
    conn.execute(
        "update engineers set version = version + 1, changed_by = %s where engineer_id = %s", (by, engineer_id)
    )
    marks.changed(conn)


def _refuse_double(wanted: Terms) -> None:
    codes = [code for code, _ in wanted.certificates]
    if len(set(codes)) < len(codes):
        raise Invalid("A certificate is named once.")


def _plain(found: Member) -> dict[str, Any]:
    shifts = [[each.weekday, f"{each.starts:%H:%M}", f"{each.ends:%H:%M}"] for each in found.shifts]
    held = {each.code: each.valid_until and each.valid_until.isoformat() for each in found.certificates}
    place = {"x_m": found.x_m, "y_m": found.y_m}
    named = {"name": found.name, "skills": dict(found.skills), "version": found.version, "changed_by": found.changed_by}
    return named | {"shifts": shifts, "certificates": held} | place


def _stretches(conn: Connection, table: str, now: datetime) -> dict[int, tuple[Any, ...]]:
    found = people.stretches(conn, table, begins=now, ends=now + AHEAD)
    return _by_owner((each.owner_id, each) for each in found)


def _by_owner(pairs: Iterable[tuple[int, Any]]) -> dict[int, tuple[Any, ...]]:
    gathered: dict[int, list[Any]] = defaultdict(list)
    for owner_id, thing in pairs:
        gathered[owner_id].append(thing)
    return {owner_id: tuple(things) for owner_id, things in gathered.items()}
