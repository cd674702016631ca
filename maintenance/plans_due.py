"""When is a plan due, and what becomes of a due day? Pure: days in, days out.

Plan + History ──next_due──▶ day
               ──rulings───▶ opened | suppressed, because … | missed, because …
Slots of several plans ──join──▶ one visit where their tolerances meet
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum
from math import ceil, inf

from maintenance.plans_model import Calendar, Condition, Meter, Mode, Plan, Season, Trigger, Unit

DAY = timedelta(days=1)
FURTHEST = 3660  # days ahead that are looked at
MOST_RULINGS = 400  # at once


@dataclass(frozen=True, slots=True)
class Level:
    """A meter: ``total`` on day ``at``, so much more ``per_day``; ``base``: its total when the work was settled."""

    total: float
    at: date
    per_day: float
    base: float

    def on(self, day: date) -> float:
        """The total that is expected on a day."""
        return self.total + self.per_day * (day - self.at).days


@dataclass(frozen=True, slots=True)
class History:
    """What happened to a plan so far. ``settled``: the last due day that was decided; ``done``: the day the work was
    last done; ``open``: the due day of an order that is not done; ``held``: a condition is met since that day."""

    since: date
    settled: date | None = None
    done: date | None = None
    open: date | None = None
    state: str = "active"
    levels: Mapping[str, Level] = field(default_factory=dict)
    held: date | None = None


class Fate(StrEnum):
    """What becomes of a due day."""

    OPENED = "opened"
    SUPPRESSED = "suppressed"
    MISSED = "missed"


class Why(StrEnum):
    """The reason of a fate."""

    DUE = "due"
    MERGED = "merged"  # onto an order of another plan
    DONE_BEFORE = "done_before"  # within the tolerance
    ORDER_OPEN = "order_open"
    ABSORBED = "absorbed"
    PAUSED = "paused"
    NOT_LOOKED = "not_looked"  # it passed while nothing ran


@dataclass(frozen=True, slots=True)
class Ruling:
    """``about``: the day that the reason speaks of; ``by``: the plan that it speaks of."""

    due: date
    fate: Fate
    why: Why
    about: date | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """A plan that is due, give or take its tolerance."""

    code: str
    due: date
    tolerance: int

    @property
    def earliest(self) -> date:
        return self.due - self.tolerance * DAY

    @property
    def latest(self) -> date:
        return self.due + self.tolerance * DAY


# -- due days ---------------------------------------------------------------------------------------------------------


def next_due(plan: Plan, history: History) -> date | None:
    """The first due day after the last settled one, by whichever trigger comes first; None: none in sight."""
    found = [due for trigger in plan.triggers if (due := _due(trigger, plan.season, history)) is not None]
    return min(found, default=None)


def settle(plan: Plan, history: History, ruling: Ruling) -> History:
    """The history once a due day is decided."""
    reset = reset_by(plan, history, ruling)
    levels = {code: _based(level, ruling.due) if code in reset else level for code, level in history.levels.items()}
    if ruling.fate is Fate.OPENED:
        return replace(history, settled=ruling.due, open=ruling.due, levels=levels, held=None)
    return replace(history, settled=ruling.due, levels=levels)


def reset_by(plan: Plan, history: History, ruling: Ruling) -> set[str]:
    """The meters that count anew from a due day: all when an order is opened, else those that had been reached."""
    every = {each.meter: each.every for each in plan.triggers if isinstance(each, Meter)}
    return {
        code
        for code, level in history.levels.items()
        if ruling.fate is Fate.OPENED or level.on(max(ruling.due, level.at)) >= level.base + every.get(code, inf) - 1e-9
    }


def finish(history: History, day: date) -> History:
    """The history once the work was done on a day."""
    levels = {code: _based(level, day) for code, level in history.levels.items()}
    done = day if history.done is None else max(history.done, day)
    return replace(history, done=done, open=None, levels=levels)


def _based(level: Level, day: date) -> Level:
    return replace(level, base=max(level.base, level.on(max(day, level.at))))


def is_done(plan: Plan, history: History, due: date) -> bool:
    """Whether the work was last done so late that it stands for this due day too."""
    return history.done is not None and due <= history.done + plan.tolerance_days * DAY


def rulings(plan: Plan, history: History, *, today: date, bigger: Mapping[str, Sequence[date]]) -> list[Ruling]:
    """What is to be decided today, at most MOST_RULINGS, oldest first. ``bigger``: when plans that absorb this one
    come. At most one is opened, and none while an order is open."""
    found: list[Ruling] = []
    while len(found) < MOST_RULINGS and (due := next_due(plan, history)) is not None:
        ruling = _rule(plan, history, due, today=today, bigger=bigger)
        if ruling is None:
            break
        found.append(ruling)
        history = settle(plan, history, ruling)
    return found


def look_on(plan: Plan, history: History) -> date | None:
    """The day on which something may be to be decided next."""
    due = next_due(plan, history)
    if due is None or history.open is not None or history.state != "active":
        return due
    return due - plan.lead_days * DAY


def join(slots: Sequence[Slot], other: Slot) -> date | None:
    """The day on which one visit suits all of them; None: there is none."""
    every = [*slots, other]
    day = max(min(each.due for each in every), max(each.earliest for each in every))
    return day if day <= min(each.latest for each in every) else None


# -- inside -----------------------------------------------------------------------------------------------------------


def _rule(
    plan: Plan, history: History, due: date, *, today: date, bigger: Mapping[str, Sequence[date]]
) -> Ruling | None:
    if is_done(plan, history, due):
        return Ruling(due, Fate.SUPPRESSED, Why.DONE_BEFORE, history.done)
    if history.state != "active":
        return Ruling(due, Fate.SUPPRESSED, Why.PAUSED) if due <= today else None
    if history.open is not None:
        return Ruling(due, Fate.SUPPRESSED, Why.ORDER_OPEN, history.open) if due <= today else None
    if due - plan.lead_days * DAY > today:
        return None
    for code, days in bigger.items():
        near = next((day for day in days if abs((day - due).days) <= plan.tolerance_days), None)
        if near is not None:
            return Ruling(due, Fate.SUPPRESSED, Why.ABSORBED, near, code)
    if due + plan.tolerance_days * DAY < today and _follows(plan, due, today):
        return Ruling(due, Fate.MISSED, Why.NOT_LOOKED, today)
    return Ruling(due, Fate.OPENED, Why.DUE)


def _follows(plan: Plan, due: date, today: date) -> bool:
    """Whether a later fixed day is to be opened too: then that one is, and not both."""
    after = History(since=due, settled=due)
    fixed = (each for each in plan.triggers if isinstance(each, Calendar) and each.mode is Mode.FIXED)
    following = [day for each in fixed if (day := _due(each, plan.season, after)) is not None]
    return bool(following) and min(following) - plan.lead_days * DAY <= today


def _due(trigger: Trigger, season: Season | None, history: History) -> date | None:
    after = history.since - DAY if history.settled is None else max(history.settled, history.since - DAY)
    if isinstance(trigger, Calendar) and trigger.mode is Mode.FIXED:
        return next((day for day in _fixed(trigger, after) if season is None or season.holds(day)), None)
    if history.open is not None:
        return None
    found = _counted(trigger, history, after)
    return None if found is None else _in_season(season, max(found, after + DAY))


def _counted(trigger: Trigger, history: History, after: date) -> date | None:
    """Counted from when the work was last done, or its last due day settled without."""
    if isinstance(trigger, Condition):
        return _by_condition(trigger, history)
    if isinstance(trigger, Meter):
        level = history.levels.get(trigger.meter)
        return None if level is None else _reached(level, level.base + trigger.every)
    bases = [day for day in (history.done, history.settled) if day is not None]
    if not bases:
        return next(iter(_fixed(trigger, after)), None) if trigger.first <= after else _on(trigger, trigger.first)
    return _floated(trigger, max(bases))


def _by_condition(trigger: Condition, history: History) -> date | None:
    if history.held is None:
        return None
    bases = [day for day in (history.done, history.settled) if day is not None]
    return max(history.held, max(bases) + trigger.pause_days * DAY) if bases else history.held


def _reached(level: Level, target: float) -> date | None:
    if level.total >= target:
        return level.at
    if level.per_day <= 0:
        return None
    days = ceil((target - level.total) / level.per_day - 1e-9)
    return level.at + days * DAY if days <= FURTHEST else None


def _in_season(season: Season | None, day: date) -> date | None:
    """The day, or the first of the next season."""
    if season is None or season.holds(day):
        return day
    begins = (day + offset * DAY for offset in range(1, 8 * 366))
    return next((each for each in begins if season.holds(each)), None)


def _floated(calendar: Calendar, base: date) -> date:
    if calendar.unit is not Unit.MONTH:
        return _on(calendar, base + calendar.every * (7 if calendar.unit is Unit.WEEK else 1) * DAY)
    months = calendar.every
    while (found := _on(calendar, _months_on(base, months, base.day))) <= base:
        months += 1
    return found


def _fixed(calendar: Calendar, after: date) -> Iterator[date]:
    """The due days after a day, each once."""
    last, horizon = after, max(after, calendar.first) + FURTHEST * DAY
    k = _count_before(calendar, after)
    while True:
        day = _kth(calendar, k)
        if day > horizon:
            return
        if day > last:
            last = day
            yield day
        k += 1


def _kth(calendar: Calendar, k: int) -> date:
    if calendar.unit is Unit.MONTH:
        return _on(calendar, _months_on(calendar.first, k * calendar.every, calendar.first.day))
    return _on(calendar, calendar.first + k * calendar.every * (7 if calendar.unit is Unit.WEEK else 1) * DAY)


def _count_before(calendar: Calendar, after: date) -> int:
    """A count whose day lies at or before ``after``, a week or a month to spare for what weekdays move."""
    if calendar.unit is Unit.MONTH:
        months = (after.year - calendar.first.year) * 12 + after.month - calendar.first.month
        return max((months - 1) // calendar.every - 1, 0)
    step = calendar.every * (7 if calendar.unit is Unit.WEEK else 1)
    return max(((after - calendar.first).days - 7) // step, 0)


def _on(calendar: Calendar, day: date) -> date:
    """The day itself, or where the weekday rule moves it."""
    if not calendar.weekdays:
        return day
    if calendar.nth:
        return _nth(day, calendar.weekdays[0], calendar.nth)
    while day.weekday() not in calendar.weekdays:
        day += DAY
    return day


def _nth(day: date, weekday: int, nth: int) -> date:
    first = day.replace(day=1)
    found = first + ((weekday - first.weekday()) % 7 + 7 * (max(nth, 1) - 1)) * DAY
    while nth < 0 and (found + 7 * DAY).month == day.month:
        found += 7 * DAY
    return found


def _months_on(day: date, months: int, of_month: int) -> date:
    """So many months later, on that day of the month or on its last."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (of_month, 30, 29, 28):
        try:
            return date(year, month + 1, min(last, of_month))
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")
