"""Reports by the clock: a saved report becomes a file at its hour on the site's clock, and its readers get a notice.

    report_schedules.next_at ──(every 30 s)──> job reports.run ──> report_files ──> notices

A worker that was down makes up for one file, not for every one it missed. What fails is said on the schedule and to its
owner; the next hour tries again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

from psycopg import Connection

from core.database import savepoint
from core.errors import MillwrightError, NotFound
from core.jobs import every, job, later
from tickets import reports_files, saved, views, words
from tickets.errors import NotAllowed
from tickets.model import Actor, Text
from tickets.notify import NoticeKind, tell_of
from tickets.rows import one, refuse_stale
from tickets.saved import Kind

LOOK_S = 30.0
KEPT = 20  # files of a schedule
MOST_READERS = 50
STANDING = ("format", "locale", "every", "hour", "recipients", "paused", "version", "changed_by")
READERS = ("engineer", "planner", "manager", "admin")
SELECT: LiteralString = """
  select r.schedule_id, r.saved_id, s.name, r.owner_id, r.format, r.locale, r.every, r.hour, r.recipients, r.next_at,
         r.last_at, r.last_error, r.paused, r.version, r.changed_by
  from report_schedules r join saved s using (saved_id) """
TITLE: Text = {"en": "Report “{name}” is ready", "zh": "报表“{name}”已生成"}
FAILED: Text = {"en": "Report “{name}” could not be made", "zh": "报表“{name}”生成失败"}


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a saved report becomes a file; ``recipients`` are users. ``hour`` on the site's clock."""

    schedule_id: int
    saved_id: int
    name: str
    owner_id: int
    format: str
    locale: str
    every: str
    hour: int
    recipients: list[int]
    next_at: datetime
    last_at: datetime | None
    last_error: str | None
    paused: bool
    version: int
    changed_by: str


@dataclass(frozen=True, slots=True)
class Reader:
    """A person of the crew."""

    user_id: int
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Made:
    """A file that is ready; ``bytes`` its size."""

    file_id: int
    name: str
    due_at: datetime
    made_at: datetime
    bytes: int


def add(
    conn: Connection,
    actor: Actor,
    *,
    saved_id: int,
    format: str,  # noqa: A002 - its name outside
    locale: str,
    every: str,
    hour: int,
    recipients: Sequence[int],
    now: datetime,
) -> Schedule:
    """A new schedule of a report that the actor may see. Raises NotFound, InvalidFields."""
    if saved.get(conn, actor, saved_id).kind is not Kind.REPORT:
        raise NotFound(f"There is no saved report {saved_id}.")
    readers = _readers(conn, recipients)
    (schedule_id,) = one(
        conn,
        """insert into report_schedules (saved_id, owner_id, format, locale, every, hour, recipients, next_at,
             changed_by)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s) returning schedule_id""",
        (
            saved_id,
            actor.actor_id,
            format,
            locale,
            every,
            hour,
            readers,
            following(now, every, hour, views.zone(conn)),
            actor.name,
        ),
    )
    return get(conn, schedule_id)


def change(
    conn: Connection,
    actor: Actor,
    schedule_id: int,
    *,
    changes: Mapping[str, Any],
    now: datetime,
    version: int | None = None,
) -> Schedule:
    """Another form, rhythm or readers; ``paused`` makes no file until it is false. What was missed is not made up for.

    Raises NotFound, NotAllowed, InvalidFields, and Stale unless ``version`` fits.
    """
    wanted = replace(_own(conn, actor, schedule_id, version), **changes)
    conn.execute(
        """update report_schedules set format = %s, locale = %s, every = %s, hour = %s, recipients = %s, paused = %s,
             next_at = %s, version = version + 1, changed_by = %s where schedule_id = %s""",
        (
            wanted.format,
            wanted.locale,
            wanted.every,
            wanted.hour,
            _readers(conn, wanted.recipients),
            wanted.paused,
            following(now, wanted.every, wanted.hour, views.zone(conn)),
            actor.name,
            schedule_id,
        ),
    )
    return get(conn, schedule_id)


def crew(conn: Connection) -> list[Reader]:
    """Who may get reports of this site."""
    rows = conn.execute(
        """select m.user_id, u.name, m.role from memberships m join users u using (user_id)
           where m.site_id = current_site() and m.role = any(%s) and u.disabled_at is null
           order by u.name, m.user_id""",
        (list(READERS),),
    )
    return [Reader(*row) for row in rows]


def _readers(conn: Connection, recipients: Sequence[int]) -> list[int]:
    readers = sorted(set(recipients))
    if not 0 < len(readers) <= MOST_READERS:
        raise words.refuse("recipients", f"From 1 to {MOST_READERS} people get a report.")
    _refuse_strangers(conn, readers)
    return readers


def _refuse_strangers(conn: Connection, readers: Sequence[int]) -> None:
    """A report shows the whole site: its readers are crew."""
    rows = conn.execute(
        """select user_id from memberships where site_id = current_site() and user_id = any(%s)
           and role = any(%s)""",
        (list(readers), list(READERS)),
    )
    strangers = sorted(set(readers) - {row[0] for row in rows})
    if strangers:
        raise words.refuse("recipients", f"User {strangers[0]} may not read reports of this site.", code="choice")


def get(conn: Connection, schedule_id: int) -> Schedule:
    """Raises NotFound."""
    missing = f"There is no schedule {schedule_id}."
    return Schedule(*one(conn, SELECT + "where r.schedule_id = %s", (schedule_id,), missing=missing))


def all_for(conn: Connection, actor: Actor) -> list[Schedule]:
    """The actor's own and those that they receive."""
    rows = conn.execute(
        SELECT + "where r.owner_id = %s or %s = any(r.recipients) order by r.schedule_id",
        (actor.actor_id, actor.actor_id),
    )
    return [Schedule(*row) for row in rows]


def remove(conn: Connection, actor: Actor, schedule_id: int, *, version: int | None = None) -> None:
    """Forget a schedule and its files. Raises NotFound, NotAllowed, Stale."""
    _own(conn, actor, schedule_id, version)
    conn.execute("delete from report_schedules where schedule_id = %s", (schedule_id,))


def _own(conn: Connection, actor: Actor, schedule_id: int, version: int | None) -> Schedule:
    conn.execute("select 1 from report_schedules where schedule_id = %s for update", (schedule_id,))
    found = get(conn, schedule_id)
    if found.owner_id != actor.actor_id and actor.part not in saved.MANAGERS:
        raise NotAllowed("Only who made this schedule, or a manager, changes or removes it.")
    current = {name: getattr(found, name) for name in STANDING}
    refuse_stale(f"The schedule of {found.name}", standing=found.version, given=version, current=current)
    return found


def files(conn: Connection, actor: Actor, schedule_id: int) -> list[Made]:
    """What was made, newest first. Raises NotFound."""
    _readable(conn, actor, schedule_id)
    rows = conn.execute(
        """select file_id, name, due_at, made_at, length(content) from report_files where schedule_id = %s
           order by due_at desc limit %s""",
        (schedule_id, KEPT),
    )
    return [Made(*row) for row in rows]


def content(conn: Connection, actor: Actor, file_id: int) -> tuple[str, str, bytes]:
    """Name, media type and bytes of a file. Raises NotFound."""
    missing = f"There is no report file {file_id}."
    schedule_id, name, media, found = one(
        conn,
        "select schedule_id, name, media, content from report_files where file_id = %s",
        (file_id,),
        missing=missing,
    )
    _readable(conn, actor, schedule_id)
    return name, media, bytes(found)


def _readable(conn: Connection, actor: Actor, schedule_id: int) -> Schedule:
    found = get(conn, schedule_id)
    if actor.actor_id not in (found.owner_id, *found.recipients) and actor.part not in saved.MANAGERS:
        raise NotFound(f"There is no schedule {schedule_id}.")
    return found


def following(now: datetime, every: str, hour: int, zone: ZoneInfo) -> datetime:
    """The next time after ``now``: each day, Monday, or first of the month, at ``hour`` on the site's clock.

    An hour that daylight saving skips falls on the one after it.
    """
    day = now.astimezone(zone).date() - timedelta(days=1)
    while True:
        day += timedelta(days=1)
        if (every == "week" and day.weekday() != 0) or (every == "month" and day.day != 1):
            continue
        at = datetime(day.year, day.month, day.day, hour, tzinfo=zone)
        if at.timestamp() > now.timestamp():
            return at


# -- the work ---------------------------------------------------------------------------------------------------------


@every(seconds=LOOK_S, name="reports.due")
def due(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a handler's signature
    """Enqueue what is due; each schedule goes on from now, however long nobody looked."""
    rows = conn.execute(
        """select schedule_id, next_at, every, hour from report_schedules where next_at <= %s and not paused
           order by schedule_id for update skip locked""",
        (now,),
    ).fetchall()
    for schedule_id, due_at, rhythm, hour in rows:
        next_at = following(now, rhythm, hour, views.zone(conn))
        conn.execute("update report_schedules set next_at = %s where schedule_id = %s", (next_at, schedule_id))
        key = f"report:{schedule_id}:{due_at.isoformat()}"
        later(conn, "reports.run", {"schedule_id": schedule_id, "due_at": due_at.isoformat()}, key=key)


@job("reports.run")
def run(conn: Connection, payload: dict[str, Any], now: datetime) -> None:
    """Make one file, once; a schedule that is gone by now wants none."""
    try:
        schedule = get(conn, payload["schedule_id"])
    except NotFound:
        return
    make(conn, schedule, due_at=datetime.fromisoformat(payload["due_at"]), now=now)


def make(conn: Connection, schedule: Schedule, *, due_at: datetime, now: datetime) -> None:
    """The file and its notices, or the reason why there is none."""
    try:
        with savepoint(conn):
            made = _file(conn, schedule, due_at, now)
    except MillwrightError as error:
        _note(conn, schedule, error.message, now)
        _tell(conn, [schedule.owner_id], schedule, FAILED, {"en": error.message, "zh": error.message}, due_at, now)
        return
    if made is not None:
        _note(conn, schedule, None, now)
        _tell(conn, schedule.recipients, schedule, TITLE, {"en": made, "zh": made}, due_at, now)


def _file(conn: Connection, schedule: Schedule, due_at: datetime, now: datetime) -> str | None:
    (body,) = one(
        conn, "select body from saved where saved_id = %s", (schedule.saved_id,), missing="The report is gone."
    )
    moment = views.moment(conn, now)
    found = reports_files.file(
        conn, body, title=schedule.name, form=schedule.format, locale=schedule.locale, moment=moment
    )
    plain = re.sub(r"[^\w.-]+", "-", schedule.name).strip("-.") or "report"
    name = f"{plain[:80]}-{due_at.astimezone(moment.zone):%Y-%m-%d}.{schedule.format}"
    row = conn.execute(
        """insert into report_files (schedule_id, due_at, made_at, name, media, content) values (%s, %s, %s, %s, %s, %s)
           on conflict (schedule_id, due_at) do nothing returning file_id""",
        (schedule.schedule_id, due_at, now, name, reports_files.MEDIA[schedule.format], found),
    ).fetchone()
    conn.execute(
        """delete from report_files where schedule_id = %s and file_id not in (
             select file_id from report_files where schedule_id = %s order by due_at desc limit %s)""",
        (schedule.schedule_id, schedule.schedule_id, KEPT),
    )
    return name if row else None


def _note(conn: Connection, schedule: Schedule, error: str | None, now: datetime) -> None:
    conn.execute(
        "update report_schedules set last_at = %s, last_error = %s where schedule_id = %s",
        (now, error, schedule.schedule_id),
    )


def _tell(
    conn: Connection,
    people: Sequence[int],
    schedule: Schedule,
    title: Text,
    body: Mapping[str, str],
    due_at: datetime,
    now: datetime,
) -> None:
    said = {locale: text.format(name=schedule.name) for locale, text in title.items()}
    key = f"report:{schedule.schedule_id}:{due_at.isoformat()}"
    tell_of(conn, people, kind=NoticeKind.REPORT, title=said, body=body, key=key, now=now)
