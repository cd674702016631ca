"""Preventive plans as data: when work is due, on which machines, and what it stands in for. Pure.

    definition (TOML or JSON) ──parse──> Plan ──as_json──> the same definition

A plan has one or more *triggers*; whichever comes first makes it due. Due days are days of the site's own calendar: no
hour, and so no daylight saving, is in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from maintenance.errors import BadPlan
from maintenance.job_plans import Text, code, listed, number, text, whole

MOST_DAYS = 3660
MOST_EVERY = {"day": 3660, "week": 520, "month": 120}
DAYS_OF = {"day": 1, "week": 7, "month": 28}  # at least
MOST_ASSETS = 100
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Unit(StrEnum):
    """What a calendar counts."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Mode(StrEnum):
    """FIXED: counted from the first day, whatever happened. FLOATING: counted from when the work was last done."""

    FIXED = "fixed"
    FLOATING = "floating"


class Relation(StrEnum):
    """How a signal lies to its limit."""

    ABOVE = "above"
    BELOW = "below"


class Repairs(StrEnum):
    """Whether other orders that did the same job plan's work count as done."""

    COUNT = "count"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Calendar:
    """Every so many units from ``first`` on. ``weekdays``: moved on to the next of these (none: any day). ``nth``: with
    months and one weekday, the nth of the month (−1 the last) instead of the same day."""

    every: int
    unit: Unit
    first: date
    mode: Mode = Mode.FIXED
    weekdays: tuple[int, ...] = ()
    nth: int = 0


@dataclass(frozen=True, slots=True)
class Meter:
    """Every so much on a meter (its asset's first one with this code) since the work was last done."""

    meter: str
    every: float


@dataclass(frozen=True, slots=True)
class Condition:
    """While a signal of the first asset lies above or below a limit (canonical unit) for so many hours; at most once in
    ``pause_days``."""

    signal: str
    relation: Relation
    limit: float
    hours: float = 0.0
    pause_days: int = 7


Trigger = Calendar | Meter | Condition


@dataclass(frozen=True, slots=True)
class Season:
    """From a (month, day) to another, both included; it may go over the turn of the year."""

    begins: tuple[int, int]
    ends: tuple[int, int]

    def holds(self, day: date) -> bool:
        at = (day.month, day.day)
        if self.begins <= self.ends:
            return self.begins <= at <= self.ends
        return at >= self.begins or at <= self.ends


@dataclass(frozen=True, slots=True)
class Plan:
    """``assets``: codes; several are a route, visited by one order. ``lead_days``: the order is opened so long before
    it is due. ``tolerance_days``: done so much earlier or later is as good. ``absorbs``: plans whose work it holds."""

    code: str
    title: Text
    assets: tuple[str, ...]
    triggers: tuple[Trigger, ...]
    job_plan: str = ""
    lead_days: int = 0
    tolerance_days: int = 0
    absorbs: tuple[str, ...] = ()
    season: Season | None = None
    priority: int = 3
    kind: str = "preventive"
    repairs: Repairs = Repairs.COUNT


FIELDS = frozenset(
    {"title", "assets", "calendar", "meter", "condition", "job_plan", "lead_days", "tolerance_days", "absorbs",
     "season", "priority", "kind", "repairs"}
)  # fmt: skip


def parse(name: str, data: Mapping[str, Any]) -> Plan:
    """A plan from its definition. Raises BadPlan with a sentence."""
    unknown = sorted(set(data) - FIELDS)
    if unknown:
        raise BadPlan(f"A plan has no field {unknown[0]!r}. It has {', '.join(sorted(FIELDS))}.")
    plan = Plan(
        code=code("code", name),
        title=text("title", data.get("title")),
        assets=_codes("assets", data.get("assets", [])),
        triggers=_triggers(data),
        job_plan=code("job_plan", data.get("job_plan", ""), needed=False),
        lead_days=whole("lead_days", data.get("lead_days", 0), 0, 365),
        tolerance_days=whole("tolerance_days", data.get("tolerance_days", 0), 0, 365),
        absorbs=_codes("absorbs", data.get("absorbs", [])),
        season=None if data.get("season") is None else _season(data["season"]),
        priority=whole("priority", data.get("priority", 3), 1, 5),
        kind=_one_of("kind", data.get("kind", "preventive"), ("preventive", "inspection")),
        repairs=Repairs(_one_of("repairs", data.get("repairs", "count"), tuple(Repairs))),
    )
    _check(plan)
    return plan


def as_json(plan: Plan) -> dict[str, Any]:
    """The definition: what is as it would be anyway is left out."""
    kinds: dict[type, str] = {Calendar: "calendar", Meter: "meter", Condition: "condition"}
    triggers: dict[str, list[dict[str, Any]]] = {}
    for trigger in plan.triggers:
        triggers.setdefault(kinds[type(trigger)], []).append(_trigger_json(trigger))
    given: dict[str, Any] = {
        "title": dict(plan.title),
        "assets": list(plan.assets),
        **triggers,
        "job_plan": plan.job_plan,
        "lead_days": plan.lead_days,
        "tolerance_days": plan.tolerance_days,
        "absorbs": list(plan.absorbs),
        "season": None if plan.season is None else [_day_text(plan.season.begins), _day_text(plan.season.ends)],
        "priority": plan.priority,
        "kind": plan.kind,
        "repairs": plan.repairs.value,
    }
    usual = {"priority": 3, "kind": "preventive", "repairs": "count", "lead_days": 0, "tolerance_days": 0}
    return {
        name: value for name, value in given.items() if value not in ([], "", None) and usual.get(name, ...) != value
    }


def refuse_circle(absorbs: Mapping[str, Sequence[str]]) -> None:
    """Raise BadPlan when a plan would absorb itself through others."""
    settled: set[str] = set()

    def walk(at: str, way: tuple[str, ...]) -> None:
        if at in way:
            raise BadPlan(f"These plans would absorb one another in a circle: {' > '.join((*way, at))}.")
        if at not in settled:
            for below in absorbs.get(at, ()):
                walk(below, (*way, at))
            settled.add(at)

    for start in absorbs:
        walk(start, ())


# -- inside -----------------------------------------------------------------------------------------------------------


def _check(plan: Plan) -> None:
    if not 1 <= len(plan.assets) <= MOST_ASSETS:
        raise BadPlan(f"A plan names from 1 to {MOST_ASSETS} assets.")
    if not plan.triggers:
        raise BadPlan("A plan needs a calendar, a meter or a condition, else it is never due.")
    if plan.code in plan.absorbs:
        raise BadPlan(f"{plan.code} cannot absorb itself.")
    for trigger in plan.triggers:
        if isinstance(trigger, Calendar):
            _check_pace(plan, trigger)


def _check_pace(plan: Plan, calendar: Calendar) -> None:
    """An order is opened after the one before it was due, and nothing is near two due days at once."""
    shortest = calendar.every * DAYS_OF[calendar.unit]
    if plan.lead_days >= shortest or 2 * plan.tolerance_days >= shortest:
        raise BadPlan(
            f"{plan.code} is due every {calendar.every} {calendar.unit.value}(s): its lead time must be shorter than "
            f"that, and its tolerance shorter than half of it."
        )


def _triggers(data: Mapping[str, Any]) -> tuple[Trigger, ...]:
    found: list[Trigger] = [_calendar(each) for each in _some("calendar", data)]
    found += [_meter(each) for each in _some("meter", data)]
    found += [_condition(each) for each in _some("condition", data)]
    return tuple(found)


def _some(name: str, data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """One trigger, or a list of them."""
    given = data.get(name, [])
    given = [given] if isinstance(given, Mapping) else listed(name, given)
    if not all(isinstance(each, Mapping) for each in given):
        raise BadPlan(f"{name} is a table of fields, or a list of such.")
    return list(given)


def _refuse_unknown(name: str, data: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(set(data) - known)
    if unknown:
        raise BadPlan(f"{name} has no field {unknown[0]!r}. It has {', '.join(sorted(known))}.")


def _calendar(data: Mapping[str, Any]) -> Calendar:
    _refuse_unknown("calendar", data, frozenset({"every", "unit", "first", "mode", "weekdays", "nth"}))
    unit = Unit(_one_of("unit", data.get("unit"), tuple(Unit)))
    names = [_one_of("weekdays", each, WEEKDAYS) for each in listed("weekdays", data.get("weekdays", []))]
    weekdays = tuple(sorted({WEEKDAYS.index(each) for each in names}))
    nth = data.get("nth", 0)
    if nth not in (-1, 0, 1, 2, 3, 4) or isinstance(nth, bool):
        raise BadPlan("nth is 1 to 4, or -1 for the last.")
    if nth and (unit is not Unit.MONTH or len(weekdays) != 1):
        raise BadPlan("nth goes with months and one weekday.")
    return Calendar(
        every=whole("every", data.get("every"), 1, MOST_EVERY[unit]),
        unit=unit,
        first=_day("first", data.get("first")),
        mode=Mode(_one_of("mode", data.get("mode", "fixed"), tuple(Mode))),
        weekdays=weekdays,
        nth=nth,
    )


def _meter(data: Mapping[str, Any]) -> Meter:
    _refuse_unknown("meter", data, frozenset({"meter", "every"}))
    return Meter(code("meter", data.get("meter")), number("every", data.get("every")))


def _condition(data: Mapping[str, Any]) -> Condition:
    _refuse_unknown("condition", data, frozenset({"signal", "relation", "limit", "hours", "pause_days"}))
    return Condition(
        signal=code("signal", data.get("signal")),
        relation=Relation(_one_of("relation", data.get("relation"), tuple(Relation))),
        limit=number("limit", data.get("limit"), above=-1e12, most=1e12),
        hours=number("hours", data.get("hours", 0.0), above=-1e-9, most=744.0),
        pause_days=whole("pause_days", data.get("pause_days", 7), 1, 365),
    )


def _trigger_json(trigger: Trigger) -> dict[str, Any]:
    if isinstance(trigger, Meter):
        return {"meter": trigger.meter, "every": trigger.every}
    if isinstance(trigger, Condition):
        return {
            "signal": trigger.signal,
            "relation": trigger.relation.value,
            "limit": trigger.limit,
            "hours": trigger.hours,
            "pause_days": trigger.pause_days,
        }
    found: dict[str, Any] = {
        "every": trigger.every,
        "unit": trigger.unit.value,
        "first": trigger.first.isoformat(),
        "mode": trigger.mode.value,
    }
    if trigger.weekdays:
        found["weekdays"] = [WEEKDAYS[each] for each in trigger.weekdays]
    return found | ({"nth": trigger.nth} if trigger.nth else {})


def _codes(name: str, value: Any) -> tuple[str, ...]:
    found = tuple(code(name, each) for each in listed(name, value))
    if len(set(found)) < len(found):
        raise BadPlan(f"{name} names each one once.")
    return found


def _one_of(name: str, value: Any, known: Sequence[str]) -> str:
    if value not in known:
        raise BadPlan(f"{name} is one of {', '.join(known)}, not {value!r}.")
    return str(value)


def _day(name: str, value: Any) -> date:
    try:
        found = value if isinstance(value, date) else date.fromisoformat(str(value))
    except ValueError as error:
        raise BadPlan(f"{name} is a day such as 2026-03-01, not {value!r}.") from error
    if not 1970 <= found.year < 2200:
        raise BadPlan(f"{name} lies between 1970 and 2200.")
    return found


def _season(value: Any) -> Season:
    given = listed("season", value)
    if len(given) != 2:
        raise BadPlan("season is its first and last day, such as 10-01 and 04-30.")
    days = [_day("season", f"2000-{each}") for each in given]
    return Season((days[0].month, days[0].day), (days[1].month, days[1].day))


def _day_text(day: tuple[int, int]) -> str:
    return f"{day[0]:02d}-{day[1]:02d}"
