"""Business calendars: when working time passes. Pure.

An instant is open iff the wall clock of the calendar's zone then shows an hour that is open: a skipped hour never
counts, a repeated one counts twice. The instants of a UTC day are cut where the zone's offset changes, so that each
piece is plain arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tickets.errors import BadCalendar

DAY = timedelta(days=1)
ZERO = timedelta(0)
HORIZON = timedelta(days=3660)
MIDNIGHT = 1440
EVERY_DAY = range(7)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Open hours in a time zone: weekday (Monday = 0) → (start, end) in minutes of the day, sorted, disjoint."""

    zone: ZoneInfo
    hours: Mapping[int, tuple[tuple[int, int], ...]]
    holidays: frozenset[date] = frozenset()

    @property
    def always(self) -> bool:
        return not self.holidays and all(self.hours.get(day) == ((0, MIDNIGHT),) for day in EVERY_DAY)


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open stretch of open time, UTC."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.start


AROUND_THE_CLOCK = Calendar(ZoneInfo("UTC"), dict.fromkeys(EVERY_DAY, ((0, MIDNIGHT),)))


def parse(timezone: str, hours: Mapping[str, Any], holidays: list[str] | tuple[str, ...] = ()) -> Calendar:
    """A calendar from a row: ``{"0": [["08:00", "17:00"]]}``, ends up to "24:00". Raises BadCalendar."""
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadCalendar(f"There is no time zone {timezone!r}. Use an IANA name such as Europe/Berlin.") from error
    try:
        parsed = {int(day): tuple(sorted((_minute(a), _minute(b)) for a, b in spans)) for day, spans in hours.items()}
        closed = frozenset(date.fromisoformat(text) for text in holidays)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadCalendar(f"The calendar's hours or holidays cannot be read: {error}.") from error
    _refuse_bad_hours(parsed)
    return Calendar(zone, parsed, closed)


def _minute(text: str) -> int:
    if text == "24:00":
        return MIDNIGHT
    at = time.fromisoformat(text)
    return at.hour * 60 + at.minute


def _refuse_bad_hours(hours: Mapping[int, tuple[tuple[int, int], ...]]) -> None:
    if not set(hours) <= set(EVERY_DAY):
        raise BadCalendar("Weekdays are 0 (Monday) to 6 (Sunday).")
    if not any(hours.values()):
        raise BadCalendar("A calendar needs at least one open hour a week, else nothing would ever be due.")
    for spans in hours.values():
        edges = [edge for span in spans for edge in span]
        if edges != sorted(edges) or any(start == end for start, end in spans):
            raise BadCalendar("Open hours of a day must not overlap, and each must end after it starts.")


def spans(calendar: Calendar, start: datetime, end: datetime) -> Iterator[Span]:
    """The open stretches between two instants, in order."""
    at = start
    while at < end:
        stop = min(end, _next_utc_midnight(at))
        for piece_start, piece_end, offset in _pieces(calendar.zone, at, stop):
            yield from _open_in_piece(calendar, piece_start, piece_end, offset)
        at = stop


def elapsed(calendar: Calendar, start: datetime, end: datetime) -> timedelta:
    """Open time between two instants; zero when ``end`` is not after ``start``."""
    if calendar.always:
        return max(end - start, ZERO)
    return sum((span.length for span in spans(calendar, start, end)), ZERO)


def due(calendar: Calendar, start: datetime, amount: timedelta) -> datetime:
    """The first instant by which ``amount`` of open time has passed since ``start``."""
    if calendar.always or amount <= ZERO:
        return start + max(amount, ZERO)
    left = amount
    for span in spans(calendar, start, start + HORIZON):
        if span.length >= left:
            return span.start + left
        left -= span.length
    raise BadCalendar(f"Within {HORIZON.days} days the calendar has not enough open time.")


def is_open(calendar: Calendar, at: datetime) -> bool:
    """Whether working time passes at this instant."""
    return elapsed(calendar, at, at + timedelta(microseconds=1)) > ZERO


def _next_utc_midnight(at: datetime) -> datetime:
    utc = at.astimezone(UTC)
    return datetime.combine(utc.date(), time(0), UTC) + DAY


def _pieces(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """Cut at most a day of instants where the zone's offset changes (at most once a day, on a whole second)."""
    before, after = _offset(zone, start), _offset(zone, end - timedelta(microseconds=1))
    if before == after:
        yield start, end, before
        return
    change = _change(zone, start, end)
    yield start, change, before
    yield change, end, after


def _change(zone: ZoneInfo, start: datetime, end: datetime) -> datetime:
    whole = datetime.combine(start.astimezone(UTC).date(), time(0), UTC)
    low, high = 0, int(DAY.total_seconds())
    before = _offset(zone, start)
    low = int((start - whole).total_seconds())
    high = min(high, int((end - whole).total_seconds()) + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, whole + timedelta(seconds=middle)) == before:
            low = middle
        else:
            high = middle
    return whole + timedelta(seconds=high)


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or ZERO


def _open_in_piece(calendar: Calendar, start: datetime, end: datetime, offset: timedelta) -> Iterator[Span]:
    """Open stretches of a piece with one offset: local time is UTC plus the offset throughout."""
    day = (start + offset).astimezone(UTC).date()
    last = (end + offset).astimezone(UTC).date()
    while day <= last:
        midnight = datetime.combine(day, time(0), UTC) - offset
        for first, until in () if day in calendar.holidays else calendar.hours.get(day.weekday(), ()):
            opens, closes = midnight + timedelta(minutes=first), midnight + timedelta(minutes=until)
            if max(opens, start) < min(closes, end):
                yield Span(max(opens, start), min(closes, end))
        day += DAY
