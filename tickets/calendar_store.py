"""SQL of business calendars: edited, versioned, one of them the site's default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import Stale
from tickets import calendars, policies, words
from tickets.policies import Dated, Listed
from tickets.policy_store import Version, refuse_never
from tickets.rows import one

MOST_HOLIDAYS = 1000
ROW: LiteralString = """
  select calendar_id, version, name, timezone, hours, holidays, is_default, changed_at, changed_by from calendars """


@dataclass(frozen=True, slots=True)
class CalendarRow:
    """A calendar as it is kept and edited; see ``tickets.calendars.parse`` for hours and holidays."""

    calendar_id: int
    version: int
    name: str
    timezone: str
    hours: Mapping[str, Any]
    holidays: Sequence[Any]
    is_default: bool
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A calendar as somebody wishes it."""

    name: str
    timezone: str
    hours: Mapping[str, Any]
    holidays: Sequence[Any]

    def parsed(self) -> calendars.Calendar:
        """Raises BadCalendar, InvalidFields."""
        words.text("name", self.name, longest=64)
        if len(self.holidays) > MOST_HOLIDAYS:
            raise words.refuse("holidays", f"A calendar holds at most {MOST_HOLIDAYS} holidays.", code="too_long")
        words.plain("holidays", list(self.holidays))
        return calendars.parse(self.timezone, self.hours, self.holidays)


def rows(conn: Connection) -> list[CalendarRow]:
    """The site's calendars by name."""
    return [CalendarRow(*row) for row in conn.execute(ROW + "order by name")]


def row(conn: Connection, calendar_id: int) -> CalendarRow:
    """One calendar; raises NotFound."""
    return CalendarRow(*one(conn, ROW + "where calendar_id = %s", (calendar_id,), missing=_gone(calendar_id)))


def versions(conn: Connection, calendar_id: int) -> list[Version]:
    """What the calendar has been, newest first."""
    found = conn.execute(
        """select version, changed_at, changed_by,
             jsonb_build_object('timezone', timezone, 'hours', hours, 'holidays', holidays)
           from calendar_versions where calendar_id = %s order by version desc""",
        (calendar_id,),
    )
    return [Version(*each) for each in found]


def create(conn: Connection, wanted: Wanted, *, by: str, now: datetime) -> CalendarRow:
    """A new calendar; the site's first one is its default. Raises BadCalendar, InvalidFields."""
    wanted.parsed()
    found = conn.execute(
        """insert into calendars (name, timezone, hours, holidays, changed_at, changed_by, is_default)
           select %s, %s, %s, %s, %s, %s, not exists (select 1 from calendars where is_default)
           on conflict (site_id, name) do nothing returning calendar_id""",
        (wanted.name, wanted.timezone, Jsonb(dict(wanted.hours)), Jsonb(list(wanted.holidays)), now, by),
    ).fetchone()
    if found is None:
        raise words.refuse("name", f"There is a calendar {wanted.name!r} already.", code="taken")
    return row(conn, found[0])


def change(conn: Connection, calendar_id: int, wanted: Wanted, *, version: int, by: str, now: datetime) -> CalendarRow:
    """Other hours from now on: a clock that runs keeps the version it began on. Raises Stale, BadCalendar."""
    for each in draft(conn, calendar_id, wanted):
        refuse_never(each, now)
    (current,) = one(
        conn,
        "select version from calendars where calendar_id = %s for update",
        (calendar_id,),
        missing=_gone(calendar_id),
    )
    if current != version:
        raise Stale(f"The calendar was changed meanwhile: it is at version {current}.", given_version=version)
    if conn.execute(
        "select 1 from calendars where name = %s and calendar_id <> %s", (wanted.name, calendar_id)
    ).fetchone():
        raise words.refuse("name", f"There is a calendar {wanted.name!r} already.", code="taken")
    conn.execute(
        """update calendars set name = %s, timezone = %s, hours = %s, holidays = %s, changed_at = %s, changed_by = %s
           where calendar_id = %s""",
        (wanted.name, wanted.timezone, Jsonb(dict(wanted.hours)), Jsonb(list(wanted.holidays)), now, by, calendar_id),
    )
    return row(conn, calendar_id)


def make_default(conn: Connection, calendar_id: int) -> CalendarRow:
    """Policies that name no calendar run on this one from now on."""
    row(conn, calendar_id)
    conn.execute("update calendars set is_default = false where is_default")
    conn.execute("update calendars set is_default = true where calendar_id = %s", (calendar_id,))
    return row(conn, calendar_id)


def draft(conn: Connection, calendar_id: int, wanted: Wanted) -> list[Listed]:
    """The policies in force as they would be on the changed calendar."""
    current = row(conn, calendar_id)
    changed = Dated(wanted.parsed(), calendar_id, current.version + 1)
    return [
        replace(each, dated=changed) if each.dated.calendar_id == calendar_id else each
        for each in policies.listed(conn)
    ]


def _gone(calendar_id: int) -> str:
    return f"There is no calendar {calendar_id} on this site."
