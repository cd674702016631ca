"""Holidays from an iCalendar file (RFC 5545): whole-day events as the holidays of a business calendar. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from dateutil import rrule  # type: ignore[import-untyped]
from icalendar import Calendar

from tickets.errors import BadCalendar

DAY = timedelta(days=1)
MOST_BYTES = 262_144
MOST_EVENTS = 2_000
LONGEST_DAYS = 60
YEARS_AHEAD = 10
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
PLAIN = {"FREQ", "INTERVAL", "BYMONTH", "BYMONTHDAY", "BYDAY", "WKST"}


@dataclass(frozen=True, slots=True)
class Found:
    """``holidays`` as a business calendar takes them; ``skipped``: what is none, with the reason, in words."""

    holidays: tuple[dict[str, Any], ...]
    skipped: tuple[str, ...]


def holidays(text: str, *, today: date) -> Found:
    """The holidays of a file; what comes every year stays one rule, other rules are written out for ten years.

    Raises BadCalendar for what is no iCalendar file, or too large.
    """
    if len(text.encode()) > MOST_BYTES:
        raise BadCalendar(f"The file is larger than {MOST_BYTES // 1024} KB.")
    try:
        events = list(Calendar.from_ical(text).walk("VEVENT"))
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise BadCalendar(f"This is no iCalendar file: {error}.") from error
    if len(events) > MOST_EVENTS:
        raise BadCalendar(f"The file has more than {MOST_EVENTS} events.")
    found: list[dict[str, Any]] = []
    skipped: list[str] = []
    for event in events:
        name = str(event.get("SUMMARY", ""))[:100]
        try:
            found += [{**day, "name": name} if name else day for day in _days(event, today)]
        except ValueError as error:
            skipped.append(f"{name or 'An event'}: {error}")
    return Found(tuple(found), tuple(skipped))


def _days(event: Any, today: date) -> Iterator[dict[str, Any]]:
    start, days = _span(event)
    rule = event.get("RRULE")
    if rule is None:
        for offset in range(days):
            yield {"date": (start + offset * DAY).isoformat()}
        return
    yearly = _yearly(rule, start) if days == 1 and not event.get("EXDATE") else None
    if yearly is not None:
        yield yearly
        return
    for begin in _written_out(event, start, today):
        for offset in range(days):
            yield {"date": (begin + offset * DAY).isoformat()}


def _span(event: Any) -> tuple[date, int]:
    start = event.get("DTSTART")
    if start is None:
        raise ValueError("it has no start")
    first, end = start.dt, event.get("DTEND")
    if isinstance(first, datetime):
        raise ValueError("it is no whole day; enter a half day by hand")
    days = 1 if end is None else (end.dt - first).days
    if not 1 <= days <= LONGEST_DAYS:
        raise ValueError(f"it lasts {days} days")
    return first, days


def _yearly(rule: Any, start: date) -> dict[str, Any] | None:
    """A rule that a business calendar keeps as it is; None = it must be written out."""
    if rule.get("FREQ") != ["YEARLY"] or set(rule) - PLAIN or rule.get("INTERVAL", [1]) != [1]:
        return None
    by_day, months = rule.get("BYDAY"), rule.get("BYMONTH", [start.month])
    if len(months) != 1:
        return None
    if not by_day:
        days = rule.get("BYMONTHDAY", [start.day])
        plain = len(days) == 1 and int(days[0]) > 0
        return {"yearly": f"{int(months[0]):02}-{int(days[0]):02}"} if plain else None
    text = str(by_day[0])
    nth, weekday = text[:-2].lstrip("+"), text[-2:]
    if len(by_day) != 1 or nth not in ("1", "2", "3", "4", "5", "-1") or "BYMONTHDAY" in rule or "BYMONTH" not in rule:
        return None
    return {"month": int(months[0]), "weekday": WEEKDAYS.index(weekday), "nth": int(nth)}


def _written_out(event: Any, start: date, today: date) -> list[date]:
    rule = event.get("RRULE").to_ical().decode()
    if any(word in rule for word in ("SECONDLY", "MINUTELY", "HOURLY")):
        raise ValueError("it comes again within the day")
    first = datetime.combine(start, time(0))
    found = rrule.rrulestr(rule, dtstart=first, ignoretz=True)
    until = datetime.combine(today, time(0)) + YEARS_AHEAD * 366 * DAY
    without = {each.dt if not isinstance(each.dt, datetime) else each.dt.date() for each in _excluded(event)}
    days = [each.date() for each in found.xafter(first - DAY, count=MOST_EVENTS) if each <= until]
    return [day for day in days if day not in without and day.year >= today.year]


def _excluded(event: Any) -> Iterator[Any]:
    listed = event.get("EXDATE", [])
    for each in listed if isinstance(listed, list) else [listed]:
        yield from each.dts
