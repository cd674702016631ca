"""What a site's closed tickets teach, as this process keeps it: rebuilt from the store, brought up to date when asked.

    before this week's Monday: the newest closed MOST_LESSONS ──> four learners ──> suggestions
    since then: every closed one, in the order of closing ───────────┘

The lessons of a moment follow from the store and the week alone, so every process says the same. A ticket teaches when
it is closed and not before; one that was reopened, or came late, makes the learners begin anew. Nothing is written.

A process that answers people studies ahead: ``course`` reads what the next question would have to learn, ``study``
learns it at leisure, with no connection and no lock, and keeps it unless a question was faster.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from time import perf_counter
from typing import Any, LiteralString

from psycopg import Connection

from tickets.failure_codes import CAUSE, MECHANISM
from tickets.model import Ticket, Verdict
from tickets.rows import one
from tickets.triage.clues import Case, clues
from tickets.triage.learner import Learner
from tickets.triage.suggest import OWN, Suggestion, Target, suggestion

MOST_LESSONS = 1000
KEPT = 4  # sites of this process
LONGEST = 4000
LONGEST_VALUE = 60
FOUND_LATER = frozenset({MECHANISM, CAUSE, "alarm_id", "title_zh", "description_zh"})
PROVEN = (Verdict.CONFIRMED.value, Verdict.OTHER_FAULT.value)
Row = tuple[Any, ...]
Key = tuple[object, ...]
Place = tuple[datetime, int]  # when it was closed, and its id
LESSON: LiteralString = """
  select t.closed_at, t.ticket_id, t.title, t.description, t.kind, t.channel, a.code, a.class, t.mode, t.requester_id,
    t.tags, t.fields, t.assignee_id, t.skill, t.priority, t.verdict
  from tickets t left join assets a using (asset_id) where """
NEWEST: LiteralString = "and t.closed_at < %s order by t.closed_at desc, t.ticket_id desc limit %s"
LATER: LiteralString = (
    "and t.closed_at >= %s and (t.closed_at, t.ticket_id) > (%s, %s) order by t.closed_at, t.ticket_id"
)
COUNTS: LiteralString = " t.status = 'closed' and t.closed_at is not null and t.merged_into is null "


@dataclass(slots=True)
class Lessons:
    """What one site has taught this process in one week."""

    monday: datetime
    learners: Mapping[Target, Learner] = field(default_factory=lambda: {target: Learner() for target in Target})
    count: int = 0
    first: Place | None = None
    mark: Place | None = None
    lock: Lock = field(default_factory=Lock)

    def take(self, rows: Iterable[Row]) -> None:
        """Learn these closed tickets, in their order."""
        for row in rows:
            for target, label in _labels(row).items():
                self.learners[target].learn(clues(_case(row, without=target)), label)
            self.count += 1
            self.first, self.mark = self.first or row[:2], row[:2]


@dataclass(frozen=True, slots=True)
class Course:
    """What a question of this site and week would have to learn first."""

    key: Key
    monday: datetime
    rows: tuple[Row, ...]


_kept: OrderedDict[Key, Lessons] = OrderedDict()
_lock = Lock()


def suggest(conn: Connection, ticket: Ticket, *, now: datetime) -> list[Suggestion]:
    """Who, which skill, how urgent, what failed: what the site's closed tickets say of this one. Only reads."""
    row = one(conn, LESSON + "t.ticket_id = %s", (ticket.ticket_id,))
    active = names(conn)
    lessons = _lessons(conn, now)
    with lessons.lock:
        _refresh(conn, lessons)
        return [
            suggestion(
                target,
                lessons.learners[target],
                clues(_case(row, without=target)),
                among=active if target is Target.ENGINEER else None,
            )
            for target in Target
        ]


def names(conn: Connection) -> dict[str, str]:
    """The active engineers by the label that suggestions give them."""
    return {str(key): name for key, name in conn.execute("select engineer_id, name from engineers where active")}


def course(conn: Connection, *, now: datetime) -> Course | None:
    """What is to be learnt of the current site; None when nothing is, or it is learnt already. Only reads."""
    key, monday = _key(conn), _monday(now)
    with _lock:
        found = _kept.get(key)
        if found is not None and found.monday == monday and found.mark is not None:
            return None
    rows = _newest(conn, monday)
    rows += _later(conn, rows[-1][:2] if rows else (monday, 0))
    return Course(key, monday, tuple(rows)) if rows else None


def study(wanted: Course, *, pause: Callable[[float], bool]) -> None:
    """Learn it. ``pause`` hears after each ticket how long that took (s), waits, and says whether to stop."""
    lessons = Lessons(wanted.monday)
    for row in wanted.rows:
        began = perf_counter()
        lessons.take((row,))
        if pause(perf_counter() - began):
            return
    with _lock:
        found = _kept.get(wanted.key)
        if found is None or found.mark is None or found.monday < wanted.monday:
            _keep(wanted.key, lessons)


def _lessons(conn: Connection, now: datetime) -> Lessons:
    """Those of this site and week; new ones are empty."""
    key, monday = _key(conn), _monday(now)
    with _lock:
        found = _kept.get(key)
        if found is None or found.monday != monday:
            found = Lessons(monday)
        _keep(key, found)
        return found


def _keep(key: Key, lessons: Lessons) -> None:
    _kept[key] = lessons
    _kept.move_to_end(key)
    while len(_kept) > KEPT:
        _kept.popitem(last=False)


def _key(conn: Connection) -> Key:
    (site_id,) = one(conn, "select current_site()")
    return conn.info.host, conn.info.port, conn.info.dbname, site_id


def _monday(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=now.weekday())


def _newest(conn: Connection, monday: datetime) -> list[Row]:
    return conn.execute(LESSON + COUNTS + NEWEST, (monday, MOST_LESSONS)).fetchall()[::-1]


def _later(conn: Connection, after: Place) -> list[Row]:
    return conn.execute(LESSON + COUNTS + LATER, (after[0], *after)).fetchall()


def _refresh(conn: Connection, lessons: Lessons) -> None:
    if not _stands(conn, lessons):
        fresh = Lessons(lessons.monday)
        lessons.learners, lessons.count, lessons.first, lessons.mark = fresh.learners, 0, None, None
    if lessons.mark is None:
        lessons.take(_newest(conn, lessons.monday))
    lessons.take(_later(conn, lessons.mark or (lessons.monday, 0)))


def _stands(conn: Connection, lessons: Lessons) -> bool:
    """Whether what was learnt is still what is closed."""
    if lessons.first is None or lessons.mark is None:
        return True
    query: LiteralString = "select count(*) from tickets t where t.closed_at between %s and %s and "
    bounds: LiteralString = "(t.closed_at, t.ticket_id) >= (%s, %s) and (t.closed_at, t.ticket_id) <= (%s, %s) and "
    params = (lessons.first[0], lessons.mark[0], *lessons.first, *lessons.mark)
    (count,) = one(conn, query + bounds + COUNTS, params)
    return bool(count == lessons.count)


def _labels(row: Row) -> dict[Target, str]:
    """What the closed ticket says was right; a failure mode only where somebody found one."""
    *_, engineer, skill, priority, verdict = row
    said = {
        Target.ENGINEER: str(engineer or ""),
        Target.SKILL: skill or "",
        Target.PRIORITY: str(priority),
        Target.MODE: (row[8] or "") if verdict in PROVEN else "",
    }
    return {target: label for target, label in said.items() if label}


def _case(row: Row, *, without: Target) -> Case:
    _, _, title, description, kind, channel, asset, asset_class, mode, requester, tags, own, *_ = row
    known = {"kind": kind, "channel": channel, "asset": asset, "class": asset_class, "requester": requester}
    if without is not Target.MODE:
        known["mode"] = mode
    known |= {f"{OWN}{key}": value for key, value in own.items() if key not in FOUND_LATER and _short(value)}
    fields = {name: str(value) for name, value in known.items() if value is not None}
    text = "\n".join((title, *tags, description[:LONGEST]))
    return Case(text, fields)


def _short(value: object) -> bool:
    return isinstance(value, bool | int | str) and len(str(value)) <= LONGEST_VALUE
