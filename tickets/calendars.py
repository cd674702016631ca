"""Business calendars: when working time passes. Pure.

An instant is open iff the wall clock of the calendar's zone then shows an hour that is open: a skipped hour never
counts, a repeated one counts twice. The instants of a UTC day are cut where the zone's offset changes, so that each
piece is plain arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tickets.errors import BadCalendar

DAY = timedelta(days=1)
ZERO = timedelta(0)
HORIZON = timedelta(days=3660)
MIDNIGHT = 1440
EVERY_DAY = range(7)
HOLIDAY_FIELDS = frozenset({"date", "yearly", "easter", "month", "weekday", "nth", "hours", "name"})

Hours = tuple[tuple[int, int], ...]  # (start, end) in minutes of the day, sorted, disjoint


@dataclass(frozen=True, slots=True)
class Calendar:
    """Open hours in a time zone: weekday (Monday = 0) → hours. ``holidays`` are closed; ``special`` and ``yearly`` days
    have hours of their own, none or a half day's. A date that is named counts before a yearly one."""

    zone: ZoneInfo
    hours: Mapping[int, Hours]
    holidays: frozenset[date] = frozenset()
    special: Mapping[date, Hours] = field(default_factory=dict)
    yearly: tuple[Yearly, ...] = ()

    @property
    def always(self) -> bool:
        usual = not (self.holidays or self.special or self.yearly)
        return usual and all(self.hours.get(day) == ((0, MIDNIGHT),) for day in EVERY_DAY)

    def on(self, day: date) -> Hours:
        """The open hours of a day."""
        if day in self.special:
            return self.special[day]
        if day in self.holidays:
            return ()
        for each in self.yearly:
            if each.falls_on(day):
                return each.hours
        return self.hours.get(day.weekday(), ())


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open stretch of open time, UTC."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Yearly:
    """A day that comes every year: on a date (month, day), on the nth weekday of a month (``nth`` −1 = the last), or so
    many days after Easter Sunday."""

    hours: Hours = ()
    month: int = 0
    day: int = 0
    weekday: int = 0
    nth: int = 0
    easter: int | None = None

    def falls_on(self, day: date) -> bool:
        if self.easter is not None:
            return day - timedelta(days=self.easter) == easter_sunday((day - timedelta(days=self.easter)).year)
        if day.month != self.month:
            return False
        if not self.nth:
            return day.day == self.day
        if day.weekday() != self.weekday:
            return False
        return (day + 7 * DAY).month != self.month if self.nth < 0 else (day.day - 1) // 7 + 1 == self.nth


@cache
def easter_sunday(year: int) -> date:
    """Of the western churches (Meeus, Astronomical Algorithms, 1991, chapter 8)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    h = (19 * a + b - d - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    i, k = divmod(c, 4)
    shift = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * shift) // 451
    month, day = divmod(h + shift - 7 * m + 114, 31)
    return date(year, month, day + 1)


AROUND_THE_CLOCK = Calendar(ZoneInfo("UTC"), dict.fromkeys(EVERY_DAY, ((0, MIDNIGHT),)))


def parse(timezone: str, hours: Mapping[str, Any], holidays: Sequence[Any] = ()) -> Calendar:
    """A calendar from a row: ``{"0": [["08:00", "17:00"]]}``, ends up to "24:00". Raises BadCalendar.

    A holiday is a date, or an object that says which day it is by ``date`` ("2026-12-24"), ``yearly`` ("12-25"),
    ``month`` with ``weekday`` and ``nth``, or ``easter`` (days after Easter Sunday); its ``hours`` are those of a half
    day, none when left out; a ``name`` is for people.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadCalendar(f"There is no time zone {timezone!r}. Use an IANA name such as Europe/Berlin.") from error
    try:
        parsed = {int(day): _hours(spans) for day, spans in hours.items()}
        days = [_holiday({"date": each} if isinstance(each, str) else each) for each in holidays]
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise BadCalendar(f"The calendar's hours or holidays cannot be read: {error}.") from error
    _refuse_bad_hours(parsed)
    for _, special in days:
        _refuse_overlap(special)
    return Calendar(
        zone,
        parsed,
        frozenset(day for day, special in days if isinstance(day, date) and not special),
        {day: special for day, special in days if isinstance(day, date) and special},
        tuple(replace(day, hours=special) for day, special in days if isinstance(day, Yearly)),
    )


def _hours(spans: Sequence[Any]) -> Hours:
    return tuple(sorted((_minute(a), _minute(b)) for a, b in spans))


def _minute(text: str) -> int:
    if text == "24:00":
        return MIDNIGHT
    at = time.fromisoformat(text)
    return at.hour * 60 + at.minute


def _holiday(data: Mapping[str, Any]) -> tuple[date | Yearly, Hours]:
    unknown = sorted(set(data) - HOLIDAY_FIELDS)
    if unknown:
        raise ValueError(f"a holiday has no field {unknown[0]!r}")
    return _day(data), _hours(data.get("hours", ()))


def _day(data: Mapping[str, Any]) -> date | Yearly:
    if "date" in data:
        return date.fromisoformat(data["date"])
    if "easter" in data:
        return Yearly(easter=_within("easter", data["easter"], -100, 100))
    if "yearly" in data:
        leap = date.fromisoformat(f"2000-{data['yearly']}")
        return Yearly(month=leap.month, day=leap.day)
    nth = _within("nth", data["nth"], -1, 5)
    if nth == 0:
        raise ValueError("nth counts from 1; -1 is the last")
    return Yearly(
        month=_within("month", data["month"], 1, 12), weekday=_within("weekday", data["weekday"], 0, 6), nth=nth
    )


def _within(name: str, value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} is a whole number from {low} to {high}")
    return value


def _refuse_bad_hours(hours: Mapping[int, Hours]) -> None:
    if not set(hours) <= set(EVERY_DAY):
        raise BadCalendar("Weekdays are 0 (Monday) to 6 (Sunday).")
    if not any(hours.values()):
        raise BadCalendar("A calendar needs at least one open hour a week, else nothing would ever be due.")
    for spans in hours.values():
        _refuse_overlap(spans)


def _refuse_overlap(spans: Hours) -> None:
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
        for first, until in calendar.on(day):
            opens, closes = midnight + timedelta(minutes=first), midnight + timedelta(minutes=until)
            if max(opens, start) < min(closes, end):
                yield Span(max(opens, start), min(closes, end))
        day += DAY
