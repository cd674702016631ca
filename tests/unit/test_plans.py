"""Plans: due days equal a slow reference, none is lost or doubled, nested and overlapping ones make no second visit."""

from __future__ import annotations

import calendar as months
import time
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maintenance import plans_due, plans_model, plans_schedule
from maintenance.errors import BadPlan
from maintenance.plans_due import Fate, History, Level, Why
from maintenance.plans_model import Calendar, Meter, Mode, Plan, Season, Unit
from maintenance.plans_schedule import Standing

DAY = timedelta(days=1)
T0 = date(2026, 3, 2)  # a Monday
TITLE = {"en": "Service", "zh": "保养"}


def plan(code: str = "PM", *triggers: plans_model.Trigger, **more: object) -> Plan:
    values: dict[str, object] = {"assets": ("P-101",), **more}
    return Plan(code, TITLE, triggers=triggers, **values)  # type: ignore[arg-type]


calendars = st.builds(
    Calendar,
    every=st.integers(1, 4),
    unit=st.sampled_from(Unit),
    first=st.dates(date(2024, 1, 1), date(2026, 6, 30)),
    mode=st.just(Mode.FIXED),
    weekdays=st.sets(st.integers(0, 6), max_size=3).map(lambda days: tuple(sorted(days))),
)
nths = st.builds(
    Calendar,
    every=st.integers(1, 4),
    unit=st.just(Unit.MONTH),
    first=st.dates(date(2024, 1, 1), date(2026, 6, 30)),
    weekdays=st.integers(0, 6).map(lambda day: (day,)),
    nth=st.sampled_from([-1, 1, 2, 3, 4]),
)
seasons = st.none() | st.builds(
    Season, begins=st.sampled_from([(10, 1), (2, 29), (4, 15)]), ends=st.sampled_from([(3, 31), (6, 30), (12, 31)])
)


def slow_fixed(cal: Calendar, season: Season | None, start: date, end: date) -> list[date]:
    """Asks of every day whether the plan names it, moved days included."""

    def named(day: date) -> bool:
        if day < cal.first and not cal.nth:
            return False
        if cal.unit is Unit.MONTH:
            apart = (day.year - cal.first.year) * 12 + day.month - cal.first.month
            last = months.monthrange(day.year, day.month)[1]
            return apart >= 0 and apart % cal.every == 0 and day.day == min(cal.first.day, last)
        return (day - cal.first).days % (cal.every * (7 if cal.unit is Unit.WEEK else 1)) == 0

    def nth(day: date) -> bool:
        apart = (day.year - cal.first.year) * 12 + day.month - cal.first.month
        same = [
            each
            for each in range(1, months.monthrange(day.year, day.month)[1] + 1)
            if day.replace(day=each).weekday() == cal.weekdays[0]
        ]
        wanted = same[-1] if cal.nth < 0 else same[cal.nth - 1]
        return apart >= 0 and apart % cal.every == 0 and day.day == wanted

    def moved(day: date) -> bool:
        if not cal.weekdays:
            return named(day)
        if day.weekday() not in cal.weekdays:
            return False
        back = day
        while True:
            if named(back):
                return True
            back -= DAY
            if back.weekday() in cal.weekdays:
                return False

    every = [start + i * DAY for i in range((end - start).days + 1)]
    return [day for day in every if (nth(day) if cal.nth else moved(day)) and (season is None or season.holds(day))]


@settings(max_examples=150, deadline=None)
@given(calendars | nths, seasons)
def test_fixed_due_days_equal_a_slow_reference(cal: Calendar, season: Season | None) -> None:
    until = T0 + 500 * DAY
    found, history, wanted = [], History(T0), plan("PM", cal, season=season)
    while (due := plans_due.next_due(wanted, history)) is not None and due <= until:
        found.append(due)
        history = History(T0, settled=due)
    assert found == slow_fixed(cal, season, T0, until)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(calendars, min_size=1, max_size=2),
    st.booleans(),
    st.integers(0, 3),
    st.integers(0, 10),
    st.lists(st.tuples(st.integers(0, 15), st.integers(0, 40)), min_size=60, max_size=60),
)
def test_no_due_day_is_lost_or_doubled_whatever_is_done_when(
    cals: list[Calendar], floats: bool, tolerance: int, lead: int, life: list[tuple[int, int]]
) -> None:
    """A year of rounds at odd intervals; orders are done late, early, or never."""
    triggers: list[plans_model.Trigger] = [*cals]
    if floats:
        triggers.append(Calendar(3, Unit.WEEK, T0, Mode.FLOATING))
    wanted = plan("PM", *triggers, tolerance_days=tolerance, lead_days=lead)
    history, today, kept, ends = History(T0), T0, [], None
    for pause, work in life:
        today += pause * DAY
        if today > T0 + 365 * DAY:
            break
        if ends is not None and today >= ends:
            history, ends = plans_due.finish(history, ends), None
        rulings = plans_due.rulings(wanted, history, today=today, bigger={})
        assert sum(each.fate is Fate.OPENED for each in rulings) <= (history.open is None)
        for each in rulings:
            assert each.due - max(lead, tolerance) * DAY <= today
            history = plans_due.settle(wanted, history, each)
            if each.fate is Fate.OPENED:
                ends = today + work * DAY
        kept += rulings
        assert plans_due.rulings(wanted, history, today=today, bigger={}) == []  # once is once
    dues = [each.due for each in kept]
    assert dues == sorted(set(dues))
    settled = history.settled or T0 - DAY
    fixed = {day for cal in cals for day in slow_fixed(cal, None, T0, settled)}
    assert fixed <= set(dues)
    if not floats:
        assert fixed == set(dues)


def test_a_floating_plan_counts_from_when_it_was_done() -> None:
    wanted = plan("PM", Calendar(2, Unit.WEEK, T0, Mode.FLOATING))
    assert plans_due.next_due(wanted, History(T0)) == T0
    assert plans_due.next_due(wanted, History(T0, settled=T0, open=T0)) is None
    assert plans_due.next_due(wanted, History(T0, settled=T0, done=T0 + 5 * DAY)) == T0 + 19 * DAY
    assert plans_due.next_due(wanted, History(T0, settled=T0)) == T0 + 14 * DAY  # its order was cancelled


def test_a_meter_is_due_when_it_will_be_reached() -> None:
    wanted = plan("PM", Meter("hours", 500.0))
    level = Level(total=1300.0, at=T0, per_day=20.0, base=1000.0)
    assert plans_due.next_due(wanted, History(T0, levels={"hours": level})) == T0 + 10 * DAY
    assert plans_due.next_due(wanted, History(T0, levels={"hours": Level(1600, T0, 20, 1000)})) == T0
    assert plans_due.next_due(wanted, History(T0, levels={"hours": Level(1300, T0, 0, 1000)})) is None
    done = plans_due.finish(History(T0, levels={"hours": level}), T0 + 10 * DAY)
    assert plans_due.next_due(wanted, done) == T0 + 35 * DAY


def test_whichever_comes_first() -> None:
    both = plan("PM", Meter("hours", 500.0), Calendar(1, Unit.MONTH, T0 + 20 * DAY))
    soon, late = Level(1300, T0, 20, 1000), Level(1300, T0, 2, 1000)
    assert plans_due.next_due(both, History(T0, levels={"hours": soon})) == T0 + 10 * DAY
    assert plans_due.next_due(both, History(T0, levels={"hours": late})) == T0 + 20 * DAY


def test_while_an_order_is_open_or_the_plan_is_paused_nothing_is_opened() -> None:
    wanted = plan("PM", Calendar(1, Unit.WEEK, T0))
    still = History(T0, settled=T0, open=T0)
    assert plans_due.rulings(wanted, still, today=T0 + 6 * DAY, bigger={}) == []
    (one,) = plans_due.rulings(wanted, still, today=T0 + 7 * DAY, bigger={})
    assert (one.fate, one.why, one.about) == (Fate.SUPPRESSED, Why.ORDER_OPEN, T0)
    paused = plans_due.rulings(wanted, History(T0, state="paused"), today=T0 + 8 * DAY, bigger={})
    assert [each.why for each in paused] == [Why.PAUSED] * 2


def test_after_a_standstill_one_order_is_opened_and_the_rest_is_missed() -> None:
    wanted = plan("PM", Calendar(1, Unit.WEEK, T0), tolerance_days=1)
    found = plans_due.rulings(wanted, History(T0), today=T0 + 30 * DAY, bigger={})
    assert [each.fate for each in found] == [Fate.MISSED] * 4 + [Fate.OPENED]
    assert found[-1].due == T0 + 28 * DAY


def test_a_bigger_one_within_the_tolerance_absorbs() -> None:
    month = plan("MONTH", Calendar(1, Unit.MONTH, T0), tolerance_days=3)
    (one,) = plans_due.rulings(month, History(T0), today=T0, bigger={"YEAR": [T0 + 3 * DAY]})
    assert (one.fate, one.why, one.by) == (Fate.SUPPRESSED, Why.ABSORBED, "YEAR")
    (other,) = plans_due.rulings(month, History(T0), today=T0, bigger={"YEAR": [T0 + 4 * DAY]})
    assert other.fate is Fate.OPENED


def test_the_year_absorbs_the_month_in_the_weeks_to_come() -> None:
    year = plan("YEAR", Calendar(12, Unit.MONTH, T0 + 100 * DAY), absorbs=("QUARTER",), tolerance_days=10)
    quarter = plan("QUARTER", Calendar(3, Unit.MONTH, T0), absorbs=("MONTH",), tolerance_days=10)
    month = plan("MONTH", Calendar(1, Unit.MONTH, T0 + DAY), tolerance_days=10)
    standings = [Standing(each, History(T0)) for each in (month, quarter, year)]
    found = plans_schedule.forecast(standings, today=T0, until=T0 + 364 * DAY)
    days = [visit.day for visit in found.visits]
    assert len(days) == 12
    assert len(set(days)) == 12
    by = {code: sum(slot.code == code for visit in found.visits for slot in visit.plans) for code in ("YEAR", "MONTH")}
    assert by == {"YEAR": 1, "MONTH": 8}
    assert {ruling.why for _, ruling in found.spared} == {Why.ABSORBED, Why.DONE_BEFORE}


def test_what_is_overdue_is_visited_today_and_an_open_order_counts_once() -> None:
    week = plan("WEEK", Calendar(1, Unit.WEEK, T0), tolerance_days=1)
    late = Standing(week, History(T0, settled=T0, open=T0))
    found = plans_schedule.forecast([late], today=T0 + 9 * DAY, until=T0 + 20 * DAY)
    assert [visit.day for visit in found.visits] == [T0 + 14 * DAY]
    assert [(ruling.due, ruling.why) for _, ruling in found.spared] == [(T0 + 7 * DAY, Why.DONE_BEFORE)]
    never = Standing(week, History(T0))
    found = plans_schedule.forecast([never], today=T0 + 3 * DAY, until=T0 + 8 * DAY)
    assert [visit.day for visit in found.visits] == [T0 + 3 * DAY, T0 + 7 * DAY]


plans = st.lists(
    st.tuples(
        calendars | nths,
        st.booleans(),
        st.integers(0, 5),
        st.sampled_from([("P-101",), ("P-102",), ("P-101", "P-102")]),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(plans, st.integers(20, 300))
def test_schedules_keep_every_due_day_once_and_visit_nothing_twice(
    wanted: list[tuple[Calendar, bool, int, tuple[str, ...], bool]], days: int
) -> None:
    made: list[Plan] = []
    for i, (cal, floats, tolerance, assets, absorbs) in enumerate(wanted):
        mode = Mode.FLOATING if floats else Mode.FIXED
        below = (f"PM-{i - 1}",) if absorbs and i and set(made[i - 1].assets) <= set(assets) else ()
        trigger = Calendar(cal.every, cal.unit, cal.first, mode, cal.weekdays, cal.nth)
        made.append(plan(f"PM-{i}", trigger, assets=assets, tolerance_days=tolerance, absorbs=below))
    until = T0 + days * DAY
    found = plans_schedule.forecast([Standing(each, History(T0)) for each in made], today=T0, until=until)
    bigger = plans_schedule.bigger_of({each.code: each for each in made})
    visits = {(slot.code, slot.due): visit.day for visit in found.visits for slot in visit.plans}
    for each in made:
        served = [slot.due for visit in found.visits for slot in visit.plans if slot.code == each.code]
        spared = [ruling.due for code, ruling in found.spared if code == each.code]
        assert len(served + spared) == len(set(served + spared))
        calendar = each.triggers[0]
        assert isinstance(calendar, Calendar)
        if calendar.mode is Mode.FIXED:  # independent: every due day of the year has its place
            within = {day for day in served + spared if day <= until}
            assert within == set(slow_fixed(calendar, None, T0, until))
        for due in served:
            assert abs((visits[each.code, due] - due).days) <= each.tolerance_days
    for code, ruling in found.spared:
        big = made[int(ruling.by.removeprefix("PM-"))].triggers[0] if ruling.by else None
        if isinstance(big, Calendar) and big.mode is Mode.FIXED:
            assert ruling.by in bigger[code]
            assert ruling.about is not None
            assert (ruling.by, ruling.about) in visits or ruling.about > until or spared_too(found, ruling)
    for one in found.visits:
        for other in found.visits:
            if one is not other and one.day == other.day:
                assert not (set(one.assets) <= set(other.assets)) or overlapping(one, other)


def spared_too(found: plans_schedule.Forecast, ruling: plans_due.Ruling) -> bool:
    """The bigger one was itself absorbed by a bigger one still, or done before."""
    return any(code == ruling.by and other.due == ruling.about for code, other in found.spared)


def overlapping(one: plans_schedule.Visit, other: plans_schedule.Visit) -> bool:
    """A route whose machines only partly meet another's stays a visit of its own."""
    both = [set(plan_assets) for plan_assets in (one.assets, other.assets)]
    return both[0] != both[1]


def test_two_thousand_plans_over_a_year_take_no_five_seconds() -> None:
    made = []
    for i in range(2000):
        unit = (Unit.WEEK, Unit.MONTH, Unit.MONTH, Unit.WEEK)[i % 4]
        trigger = Calendar((1, 1, 12, 2)[i % 4], unit, T0 + (i % 97) * DAY, weekdays=(0, 1, 2, 3, 4))
        below = (f"PM-{i - 1}",) if i % 4 == 2 else ()
        made.append(plan(f"PM-{i}", trigger, assets=(f"A-{i // 4}",), tolerance_days=2, absorbs=below))
    began = time.process_time()
    found = plans_schedule.forecast([Standing(each, History(T0)) for each in made], today=T0, until=T0 + 364 * DAY)
    assert time.process_time() - began < 5
    assert len(found.visits) > 20_000


def test_a_definition_comes_back_as_it_was() -> None:
    data = {
        "title": {"en": "Yearly", "zh": "年检"},
        "assets": ["P-101", "P-102"],
        "calendar": [
            {"every": 1, "unit": "month", "first": "2026-03-02", "mode": "fixed", "weekdays": ["mon"], "nth": -1}
        ],
        "meter": [{"meter": "hours", "every": 500.0}],
        "condition": [
            {"signal": "dp", "relation": "above", "limit": 1.5, "hours": 2.0, "pause_days": 7},
        ],
        "job_plan": "PUMP-YEAR",
        "lead_days": 7,
        "tolerance_days": 3,
        "absorbs": ["PM-MONTH"],
        "season": ["10-01", "04-30"],
    }
    assert plans_model.as_json(plans_model.parse("PM-YEAR", data)) == data


CAL = {"every": 1, "unit": "week", "first": "2026-03-02"}
GOOD = {"title": "Service", "assets": ["P-101"], "calendar": CAL}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"calendar": []}, "never due"),
        ({"assets": []}, "from 1 to"),
        ({"assets": ["A", "A"]}, "once"),
        ({"colour": "red"}, "no field"),
        ({"calendar": {**CAL, "every": 0}}, "every is a whole number"),
        ({"calendar": {**CAL, "every": True}}, "every is a whole number"),
        ({"calendar": {**CAL, "first": "2026-02-30"}}, "first is a day"),
        ({"calendar": {**CAL, "unit": "moon"}}, "unit is one of"),
        ({"calendar": {**CAL, "nth": 2}}, "nth goes with months"),
        ({"lead_days": 7}, "lead time must be shorter"),
        ({"tolerance_days": 4}, "tolerance shorter"),
        ({"absorbs": ["PM"]}, "absorb itself"),
        ({"meter": {"meter": "h", "every": -1}}, "every is a number"),
        ({"meter": {"meter": "h", "every": float("nan")}}, "every is a number"),
        ({"condition": {"signal": "dp", "relation": "near", "limit": 1}}, "relation is one of"),
        ({"season": ["10-01"]}, "season is its first and last day"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(change: dict[str, object], says: str) -> None:
    with pytest.raises(BadPlan, match=says):
        plans_model.parse("PM", {**GOOD, **change})


def test_a_circle_of_absorbing_plans_is_refused() -> None:
    with pytest.raises(BadPlan, match="A > B > A"):
        plans_model.refuse_circle({"A": ("B",), "B": ("A",)})
