"""When may a machine stop, and what does it cost? Production windows and shutdowns. Pure.

    single Rule  ─┐
    weekly Rule  ─┴─ spread ─▶ [Opening] ──▶ next_stop  may_stop  stop_cost  longest

Times are aware; lengths are ``timedelta``; costs are of one hour of standing, in the site's currency. A weekly rule is
told in wall time of its zone: a window from 22:00 to 06:00 is nine hours long in the night that daylight saving ends. A
wall time that the change skips is the same one after it; one that comes twice is the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from math import isfinite, lcm
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from plant.errors import BadWindow
from plant.model import Window

DAY = timedelta(days=1)
WEEK_MINUTES = 7 * 1440
MOST_WEEKS = 52
LOOKED_AHEAD = timedelta(days=800)  # two turns of daylight saving


class Kind(StrEnum):
    """A *window*: the machine may stop, and outside of its windows it may not. A *shutdown*: it stands anyway."""

    WINDOW = "window"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class Opening(Window):
    """A stretch in which a machine may stop; ``cost_h``: what an hour of standing costs in it."""

    cost_h: float = 0.0
    kind: Kind = Kind.WINDOW


@dataclass(frozen=True, slots=True)
class Weekly:
    """On these weekdays (Monday = 0) of every so many weeks, counted from the week of ``first``, from a minute of the
    day on for so many minutes, on local days ``first`` to ``last`` (both included; None: for ever)."""

    zone: str
    weekdays: tuple[int, ...]
    opens_min: int
    lasts_min: int
    first: date
    last: date | None = None
    every_weeks: int = 1


@dataclass(frozen=True, slots=True)
class Rule:
    """What somebody declared for one asset and all below it: a single stretch, or a weekly pattern."""

    asset_id: int
    when: Window | Weekly
    cost_h: float = 0.0
    kind: Kind = Kind.WINDOW
    note: str = ""


# -- asking -----------------------------------------------------------------------------------------------------------


def next_stop(windows: Iterable[Window], *, after: datetime, lasting: timedelta) -> Opening | None:
    """The earliest stop of this length from ``after`` on that lies in the windows; None: none is long enough.

    Windows that touch or overlap are one; the stop's ``cost_h`` is the mean over it. No windows at all are no stop: a
    machine that may always stop has one opening over the whole time that is looked at.
    """
    given = sorted(_openings(windows), key=lambda each: each.start)
    for stretch in stretches(given):
        start = max(stretch.start, after)
        if start + lasting <= stretch.end:
            end = start + lasting
            hours = lasting / timedelta(hours=1)
            mean = (stop_cost(given, start, end) or 0.0) / hours if hours else 0.0
            return Opening(start, end, mean, _kind(given, start))
    return None


def may_stop(windows: Iterable[Window], start: datetime, end: datetime) -> bool:
    """Whether the machine may stand all the time from ``start`` to ``end``."""
    return any(each.start <= start and end <= each.end for each in stretches(_openings(windows)))


def stop_cost(windows: Iterable[Window], start: datetime, end: datetime) -> float | None:
    """What standing from ``start`` to ``end`` costs, the cheapest opening counting; None: it may not stand then."""
    given = list(_openings(windows))
    if not may_stop(given, start, end):
        return None
    edges = sorted({start, end, *(edge for each in given for edge in (each.start, each.end) if start < edge < end)})
    return sum(_rate(given, a) * ((b - a) / timedelta(hours=1)) for a, b in pairwise(edges))


def longest(windows: Iterable[Window]) -> timedelta:
    """The longest time that the machine may stand without a break."""
    return max((each.end - each.start for each in stretches(_openings(windows))), default=timedelta(0))


def stretches(windows: Iterable[Window]) -> list[Window]:
    """The windows in order, those that touch or overlap put together."""
    found: list[Window] = []
    for each in sorted(windows, key=lambda window: window.start):
        if found and each.start <= found[-1].end:
            found[-1] = Window(found[-1].start, max(found[-1].end, each.end))
        else:
            found.append(Window(each.start, each.end))
    return found


def overlap(one: Iterable[Window], other: Iterable[Window]) -> list[Window]:
    """When both hold: two machines that have to stop for one visit."""
    found = (
        Window(max(a.start, b.start), min(a.end, b.end))
        for a in stretches(one)
        for b in stretches(other)
        if max(a.start, b.start) < min(a.end, b.end)
    )
    return stretches(found)


# -- rules ------------------------------------------------------------------------------------------------------------


def spread(rules: Iterable[Rule], *, start: datetime, end: datetime, always_h: float = 0.0) -> list[Opening]:
    """The openings of a machine that overlap the time asked for, whole and in order.

    ``rules`` are those that hold for it (:func:`inherited`). Without any *window* among them it may always stop, for
    ``always_h`` an hour, and for less in a cheaper shutdown.
    """
    kept = list(rules)
    found = [opening for rule in kept for opening in occurrences(rule, start=start, end=end)]
    if not any(rule.kind is Kind.WINDOW for rule in kept):
        found.append(Opening(start, end, always_h))
    return sorted(found, key=lambda each: (each.start, each.end, each.cost_h))


def inherited(rules: Mapping[int, Sequence[Rule]], line: Sequence[int]) -> list[Rule]:
    """What holds for a machine: the windows of the nearest asset that has any, and every shutdown above it.

    ``line``: the machine and those above it, nearest first; ``rules``: by asset.
    """
    found = [rule for asset in line for rule in rules.get(asset, ()) if rule.kind is Kind.SHUTDOWN]
    for asset in line:
        windows = [rule for rule in rules.get(asset, ()) if rule.kind is Kind.WINDOW]
        if windows:
            return found + windows
    return found


def occurrences(rule: Rule, *, start: datetime, end: datetime) -> Iterator[Opening]:
    """The openings of one rule that overlap ``start`` … ``end``, in order."""
    spans = [(rule.when.start, rule.when.end)] if isinstance(rule.when, Window) else _weekly(rule.when, start, end)
    for opens, closes in spans:
        if opens < end and start < closes:
            yield Opening(opens, closes, rule.cost_h, rule.kind)


def check(rule: Rule) -> None:
    """Raises BadWindow for a rule that cannot be meant."""
    if not (isfinite(rule.cost_h) and rule.cost_h >= 0):
        raise BadWindow("Standing costs 0 or more an hour. Give a cost that is not negative.")
    if isinstance(rule.when, Weekly):
        _check_weekly(rule.when)
    elif rule.when.end <= rule.when.start:
        raise BadWindow("A window ends after it begins. Give an end that is later than the beginning.")


def clash(rule: Rule, others: Sequence[Rule]) -> tuple[Rule, Opening] | None:
    """The first rule of the same asset and kind that overlaps, and when it does; None: none.

    Two weekly rules are compared until their pattern comes again (the weeks that both count by, and two turns of
    daylight saving), as far as both hold; a weekly and a single one over the single one.
    """
    for other in others:
        if (other.asset_id, other.kind) == (rule.asset_id, rule.kind):
            meeting = _meeting(rule, other)
            if meeting is not None:
                return other, meeting
    return None


# -- inside -----------------------------------------------------------------------------------------------------------


def _openings(windows: Iterable[Window]) -> Iterator[Opening]:
    for each in windows:
        yield each if isinstance(each, Opening) else Opening(each.start, each.end)


def _rate(openings: Iterable[Opening], at: datetime) -> float:
    return min((each.cost_h for each in openings if each.start <= at < each.end), default=0.0)


def _kind(openings: Iterable[Opening], at: datetime) -> Kind:
    there = [each for each in openings if each.start <= at < each.end]
    return min(there, key=lambda each: each.cost_h).kind if there else Kind.WINDOW


def _weekly(weekly: Weekly, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    zone = ZoneInfo(weekly.zone)
    monday = weekly.first - DAY * weekly.first.weekday()
    earliest = start.astimezone(zone).date() - timedelta(minutes=weekly.lasts_min) - 2 * DAY
    day = max(weekly.first, earliest)
    until = end.astimezone(zone).date()
    until = until if weekly.last is None else min(until, weekly.last)
    while day <= until:
        if day.weekday() in weekly.weekdays and (day - monday).days // 7 % weekly.every_weeks == 0:
            opens = _wall(day, weekly.opens_min, zone)
            closes = _wall(day, weekly.opens_min + weekly.lasts_min, zone)
            if opens < closes:
                yield opens, closes
        day += DAY


def _wall(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """The instant of a wall time; ``minute`` may reach beyond the day."""
    local = datetime.combine(day, time(0)) + timedelta(minutes=minute)
    return local.replace(tzinfo=zone).astimezone(UTC)


def _check_weekly(weekly: Weekly) -> None:
    try:
        ZoneInfo(weekly.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadWindow(f"There is no time zone {weekly.zone!r}. Use an IANA name such as Europe/Berlin.") from error
    if not weekly.weekdays or not set(weekly.weekdays) <= set(range(7)):
        raise BadWindow("A weekly window names weekdays from 0 (Monday) to 6 (Sunday).")
    if not 0 <= weekly.opens_min < 1440 or not 1 <= weekly.lasts_min <= WEEK_MINUTES:
        raise BadWindow("A weekly window opens at a minute of the day and lasts from one minute to one week.")
    if not 1 <= weekly.every_weeks <= MOST_WEEKS:
        raise BadWindow(f"A weekly window comes every 1 to {MOST_WEEKS} weeks.")
    if weekly.last is not None and weekly.last < weekly.first:
        raise BadWindow("The last day of a weekly window does not lie before its first.")
    _check_itself(weekly)


def _check_itself(weekly: Weekly) -> None:
    """A pattern may not overlap itself, say 30 hours from every day's morning on."""
    days = sorted(set(weekly.weekdays))
    following = [*days[1:], days[0] + 7 * weekly.every_weeks]
    if any((after - day) * 1440 < weekly.lasts_min for day, after in zip(days, following, strict=True)):
        raise BadWindow("The weekly window lasts into its own next one. Make it shorter, or name fewer weekdays.")


def _meeting(one: Rule, other: Rule) -> Opening | None:
    start, end = _common(one, other)
    if end <= start:
        return None
    mine, theirs = list(occurrences(one, start=start, end=end)), list(occurrences(other, start=start, end=end))
    i = j = 0
    while i < len(mine) and j < len(theirs):
        opens, closes = max(mine[i].start, theirs[j].start), min(mine[i].end, theirs[j].end)
        if opens < closes:
            return Opening(opens, closes)
        if mine[i].end <= theirs[j].end:
            i += 1
        else:
            j += 1
    return None


def _common(one: Rule, other: Rule) -> tuple[datetime, datetime]:
    spans = [_validity(one), _validity(other)]
    start = max(span[0] for span in spans)
    weeks = lcm(*(each.when.every_weeks for each in (one, other) if isinstance(each.when, Weekly)))
    return start, min(*(span[1] for span in spans), start + LOOKED_AHEAD + 7 * weeks * DAY)


def _validity(rule: Rule) -> tuple[datetime, datetime]:
    if isinstance(rule.when, Window):
        return rule.when.start, rule.when.end
    first = datetime.combine(rule.when.first, time(0), UTC) - DAY
    if rule.when.last is None:
        return first, datetime.max.replace(tzinfo=UTC) - 60 * 366 * DAY
    return first, datetime.combine(rule.when.last, time(0), UTC) + 2 * DAY + timedelta(minutes=rule.when.lasts_min)
