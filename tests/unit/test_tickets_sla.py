"""Calendars and clocks against small reference models: minute by minute, interval by interval."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickets import calendars, sla
from tickets.calendars import AROUND_THE_CLOCK, ZERO, Calendar, Yearly, due, elapsed, is_open, parse
from tickets.errors import BadCalendar
from tickets.sla import Clock, ClockKind, Mark, State, Terms

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = {str(day): [["08:00", "12:00"], ["13:00", "17:00"]] for day in range(5)}
NIGHT = {str(day): [["00:00", "04:00"], ["22:00", "24:00"]] for day in range(7)}
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Shanghai", "Asia/Kolkata", "Australia/Lord_Howe"]
CHANGES = [  # around changes of the clock in those zones
    datetime(2026, 3, 29, tzinfo=UTC),
    datetime(2026, 10, 25, tzinfo=UTC),
    datetime(2026, 3, 8, tzinfo=UTC),
    datetime(2026, 11, 1, tzinfo=UTC),
    datetime(2026, 4, 4, tzinfo=UTC),
    datetime(2026, 10, 3, tzinfo=UTC),
]


def berlin(*when: int, fold: int = 0) -> datetime:
    return datetime(*when, tzinfo=BERLIN, fold=fold).astimezone(UTC)  # type: ignore[arg-type,misc]


office = parse("Europe/Berlin", OFFICE, ["2026-04-06"])

# -- calendars --------------------------------------------------------------------------------------------------------


def test_office_hours_skip_lunch_night_weekend_and_holiday() -> None:
    friday, tuesday = berlin(2026, 4, 3, 11, 0), berlin(2026, 4, 7, 9, 0)
    assert elapsed(office, friday, tuesday) == 6 * HOUR  # 1 + 4 on Friday, 0 on Easter Monday, 1 on Tuesday
    assert due(office, friday, 6 * HOUR) == tuesday
    assert due(office, friday, 5 * HOUR) == berlin(2026, 4, 3, 17, 0)  # closing time, not the next opening


def test_an_hour_that_the_clock_skips_does_not_count() -> None:
    night = parse("Europe/Berlin", NIGHT)
    assert elapsed(night, berlin(2026, 3, 29, 0, 0), berlin(2026, 3, 29, 12, 0)) == 3 * HOUR
    assert due(night, berlin(2026, 3, 29, 1, 30), HOUR) == berlin(2026, 3, 29, 3, 30)


def test_an_hour_that_the_clock_repeats_counts_twice() -> None:
    night = parse("Europe/Berlin", NIGHT)
    assert elapsed(night, berlin(2026, 10, 25, 0, 0), berlin(2026, 10, 25, 12, 0)) == 5 * HOUR
    assert due(night, berlin(2026, 10, 25, 1, 30), HOUR) == berlin(2026, 10, 25, 2, 30, fold=0)
    assert due(night, berlin(2026, 10, 25, 1, 30), 2 * HOUR) == berlin(2026, 10, 25, 2, 30, fold=1)


def test_hours_that_begin_in_the_gap_begin_when_it_ends() -> None:
    gap = parse("Europe/Berlin", {"6": [["02:30", "04:00"]]})
    assert elapsed(gap, berlin(2026, 3, 29, 0, 0), berlin(2026, 3, 29, 12, 0)) == HOUR
    assert due(gap, berlin(2026, 3, 29, 0, 0), MINUTE) == berlin(2026, 3, 29, 3, 1)


def test_around_the_clock_is_plain_time() -> None:
    start = berlin(2026, 3, 28, 12, 0)
    assert elapsed(AROUND_THE_CLOCK, start, start + 3 * DAY) == 3 * DAY
    assert due(AROUND_THE_CLOCK, start, 3 * DAY) == start + 3 * DAY
    assert elapsed(AROUND_THE_CLOCK, start, start - DAY) == ZERO


@pytest.mark.parametrize(
    ("timezone", "hours", "holidays", "sentence"),
    [
        ("Mars/Olympus", OFFICE, [], "no time zone 'Mars/Olympus'"),
        ("UTC", {}, [], "at least one open hour"),
        ("UTC", {"0": []}, [], "at least one open hour"),
        ("UTC", {"7": [["08:00", "09:00"]]}, [], "Weekdays are 0"),
        ("UTC", {"0": [["08:00", "12:00"], ["11:00", "13:00"]]}, [], "must not overlap"),
        ("UTC", {"0": [["12:00", "08:00"]]}, [], "must not overlap"),
        ("UTC", {"0": [["08:00", "08:00"]]}, [], "end after it starts"),
        ("UTC", {"0": [["8 o'clock", "09:00"]]}, [], "cannot be read"),
        ("UTC", {"0": "08:00"}, [], "cannot be read"),
        ("UTC", OFFICE, ["Christmas"], "cannot be read"),
    ],
)
def test_a_calendar_that_does_not_hold_together_is_refused(
    timezone: str, hours: dict[str, object], holidays: list[str], sentence: str
) -> None:
    with pytest.raises(BadCalendar, match=sentence):
        parse(timezone, hours, holidays)


@pytest.mark.parametrize(
    ("holiday", "sentence"),
    [
        ({"yearly": "13-01"}, "cannot be read"),
        ({"month": 5, "weekday": 0, "nth": 0}, "nth counts from 1"),
        ({"month": 5, "weekday": 7, "nth": 1}, "weekday is a whole number"),
        ({"easter": "Monday"}, "easter is a whole number"),
        ({"date": "2026-12-24", "hours": [["12:00", "08:00"]]}, "must not overlap"),
        ({"date": "2026-12-24", "colour": "red"}, "no field 'colour'"),
        ({"weekday": 1}, "cannot be read"),
    ],
)
def test_a_holiday_that_cannot_be_is_refused(holiday: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadCalendar, match=sentence):
        parse("UTC", OFFICE, [holiday])


def test_holidays_come_again_every_year_and_half_days_have_their_hours() -> None:
    found = parse(
        "UTC",
        OFFICE,
        [
            {"yearly": "12-25"},
            {"yearly": "12-24", "hours": [["08:00", "12:00"]]},
            {"month": 11, "weekday": 3, "nth": 4, "name": "Thanksgiving"},
            {"month": 5, "weekday": 0, "nth": -1},
            {"easter": 1},
            {"date": "2026-12-25", "hours": [["10:00", "11:00"]]},
        ],
    )
    closed = [date(2025, 12, 25), date(2026, 11, 26), date(2026, 5, 25), date(2026, 4, 6), date(2027, 3, 29)]
    assert [found.on(day) for day in closed] == [()] * 5
    assert found.on(date(2026, 12, 24)) == ((480, 720),)
    assert found.on(date(2026, 12, 25)) == ((600, 660),)  # a date that is named counts before a yearly one
    assert found.on(date(2026, 5, 18)) == ((480, 720), (780, 1020))
    assert not found.always


def test_easter_is_when_it_was() -> None:
    known = [date(1961, 4, 2), date(2000, 4, 23), date(2008, 3, 23), date(2024, 3, 31), date(2038, 4, 25)]
    assert [calendars.easter_sunday(each.year) for each in known] == known


def test_what_never_comes_due_is_refused_instead_of_searched_for_ever() -> None:
    with pytest.raises(BadCalendar, match="not enough open time"):
        due(parse("UTC", {"0": [["08:00", "08:01"]]}), datetime(2026, 1, 1, tzinfo=UTC), 1000 * HOUR)


@st.composite
def working_calendars(draw: st.DrawFn) -> Calendar:
    hours = {}
    for day in draw(st.sets(st.integers(0, 6), min_size=1)):
        edges = sorted(draw(st.sets(st.integers(0, 48), min_size=2, max_size=6)))
        pairs = list(zip(edges[::2], edges[1::2], strict=False))
        hours[day] = tuple((a * 30, b * 30) for a, b in pairs)
    near = [change.date() + timedelta(days=days) for change in CHANGES for days in (-1, 0, 1)]
    holidays = draw(st.sets(st.sampled_from(near), max_size=2))
    half = draw(
        st.dictionaries(st.sampled_from(near), st.sampled_from([((120, 240),), ((0, 150), (600, 1440))]), max_size=2)
    )
    yearly = draw(st.lists(st.sampled_from([*map(every_year, near), EASTER_MONDAY, LAST_SUNDAY]), max_size=2))
    return Calendar(ZoneInfo(draw(st.sampled_from(ZONES))), hours, frozenset(holidays - set(half)), half, tuple(yearly))


def every_year(day: date) -> Yearly:
    return Yearly(((60, 180),), month=day.month, day=day.day)


EASTER_MONDAY = Yearly(easter=1)
LAST_SUNDAY = Yearly(((0, 180),), month=3, weekday=6, nth=-1)  # when Europe's clocks change


starts = st.builds(
    lambda day, minutes: day + minutes * MINUTE, st.sampled_from(CHANGES), st.integers(-1 * 1440, 2 * 1440)
)


def open_by_the_wall_clock(calendar: Calendar, at: datetime) -> bool:
    local = at.astimezone(calendar.zone)
    minute = local.hour * 60 + local.minute
    return any(a <= minute < b for a, b in calendar.on(local.date()))


@given(calendar=working_calendars(), start=starts, minutes=st.integers(0, 3 * 1440))
@settings(max_examples=60)
def test_elapsed_is_the_count_of_open_minutes_on_the_wall_clock(
    calendar: Calendar, start: datetime, minutes: int
) -> None:
    counted = sum(open_by_the_wall_clock(calendar, start + n * MINUTE) for n in range(minutes))
    assert elapsed(calendar, start, start + minutes * MINUTE) == counted * MINUTE
    assert is_open(calendar, start) == open_by_the_wall_clock(calendar, start)


@given(calendar=working_calendars(), start=starts, seconds=st.integers(1, 40 * 3600))
def test_due_then_elapsed_is_the_target_and_no_instant_before_is(
    calendar: Calendar, start: datetime, seconds: int
) -> None:
    target = timedelta(seconds=seconds)
    end = due(calendar, start, target)
    assert elapsed(calendar, start, end) == target
    assert elapsed(calendar, start, end - timedelta(microseconds=1)) < target


@given(
    calendar=working_calendars(),
    start=starts,
    cuts=st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=5),
)
def test_elapsed_adds_up_over_any_cuts(calendar: Calendar, start: datetime, cuts: list[float]) -> None:
    marks = [start, *(start + timedelta(seconds=cut) for cut in sorted(cuts))]
    parts = [elapsed(calendar, a, b) for a, b in itertools.pairwise(marks)]
    assert sum(parts, ZERO) == elapsed(calendar, start, marks[-1])


def test_spans_are_ordered_and_disjoint_over_a_change_of_the_clock() -> None:
    always_open = Calendar(BERLIN, dict.fromkeys(range(7), ((0, 1440),)), frozenset({date(2026, 3, 30)}))
    found = list(calendars.spans(always_open, berlin(2026, 3, 28, 0, 0), berlin(2026, 4, 1, 0, 0)))
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    assert sum((span.length for span in found), ZERO) == 71 * HOUR  # 24 + 23 + holiday + 24


# -- clocks -----------------------------------------------------------------------------------------------------------

NINE = berlin(2026, 3, 2, 9, 0)  # a Monday
THREE_QUARTERS = Terms((Mark(0.75), Mark()))
HALF = Terms((Mark(0.5), Mark()))


def clock(target: timedelta = 4 * HOUR, calendar: Calendar = office) -> Clock:
    return sla.start(Clock(ClockKind.RESOLUTION, calendar, target, THREE_QUARTERS), NINE)


def passed(moved: Clock, now: datetime) -> list[str]:
    """What the clock passes by ``now``."""
    return ["breach" if each.mark is None else each.mark.key for each in sla.passing(moved, now, now=now)[1]]


def test_a_clock_knows_its_due_and_warning_time() -> None:
    assert clock().due_at == berlin(2026, 3, 2, 14, 0)
    assert clock().next_at == berlin(2026, 3, 2, 12, 0)
    assert sla.state(clock(), NINE) is State.RUNNING
    assert sla.state(clock(), berlin(2026, 3, 2, 14, 0)) is State.BREACHED


def test_a_pause_moves_the_due_time_by_its_length_and_makes_old_timers_void() -> None:
    paused = sla.pause(clock(), NINE + HOUR)
    assert (paused.due_at, paused.next_at, sla.state(paused, NINE + 9 * DAY)) == (None, None, State.PAUSED)
    resumed = sla.resume(paused, NINE + DAY)
    assert resumed.due_at == berlin(2026, 3, 3, 12, 0)
    assert resumed.generation == clock().generation + 2
    assert sla.pause(paused, NINE + DAY) is paused
    assert sla.resume(resumed, NINE + 2 * DAY) is resumed


def test_a_stopped_clock_is_met_and_can_run_again_with_what_is_left() -> None:
    stopped = sla.stop(clock(), NINE + 2 * HOUR)
    assert sla.state(stopped, NINE + 9 * DAY) is State.MET
    assert sla.stop(stopped, NINE + 3 * HOUR) is stopped
    again = sla.resume(stopped, NINE + DAY)
    assert sla.remaining(again, NINE + DAY) == 2 * HOUR
    assert again.due_at == berlin(2026, 3, 3, 11, 0)


def test_a_clock_stopped_too_late_is_breached_for_good() -> None:
    late = sla.stop(clock(), NINE + 2 * DAY)
    assert sla.state(late, NINE + 2 * DAY) is State.BREACHED


def test_marks_and_breach_are_passed_once_in_order_and_only_while_it_runs() -> None:
    noon, late = berlin(2026, 3, 2, 12, 0), berlin(2026, 3, 2, 15, 0)
    warned, _ = sla.passing(clock(), noon, now=noon)
    assert passed(clock(), noon) == ["75%"]
    assert passed(warned, noon) == []
    assert passed(warned, late) == ["breach", "+0s"]
    assert passed(clock(), late) == ["75%", "breach", "+0s"]
    over, _ = sla.passing(clock(), late, now=late)
    assert (over.breached_at, over.breaches, over.next_at) == (late, 1, None)
    assert passed(sla.pause(clock(), NINE), late) == []
    assert passed(sla.stop(clock(), NINE), late) == []


def test_marks_before_and_after_the_breach_come_at_their_open_time() -> None:
    terms = Terms((Mark(0.5), Mark(offset=-HOUR / 2), Mark(), Mark(offset=HOUR), Mark(offset=-9 * HOUR)))
    moved = sla.start(Clock(ClockKind.RESOLUTION, office, 4 * HOUR, terms), NINE)
    times = []
    while moved.next_at is not None:
        times.append((moved.next_at, passed(moved, moved.next_at)))
        moved, _ = sla.passing(moved, moved.next_at, now=moved.next_at)
    assert times == [
        (berlin(2026, 3, 2, 11, 0), ["50%"]),
        (berlin(2026, 3, 2, 13, 30), ["-1800s"]),
        (berlin(2026, 3, 2, 14, 0), ["breach", "+0s"]),
        (berlin(2026, 3, 2, 15, 0), ["+3600s"]),
    ]  # nine hours before a target of four never come


def test_an_update_clock_counts_from_nothing_after_each_word_and_warns_anew() -> None:
    late = berlin(2026, 3, 2, 15, 0)
    over, _ = sla.passing(clock(), late, now=late)
    again = sla.restart(over, late)
    assert (again.used, again.round, again.breaches, again.breached_at) == (ZERO, 2, 1, None)
    assert again.due_at == berlin(2026, 3, 3, 10, 0)
    assert passed(again, berlin(2026, 3, 3, 9, 0)) == ["75%"]


def test_a_withdrawn_breach_leaves_what_was_rightly_said() -> None:
    late = berlin(2026, 3, 2, 15, 0)
    over, _ = sla.passing(clock(), late, now=late)
    kept = sla.withdraw(over, berlin(2026, 3, 2, 13, 30))  # 3.5 of 4 hours: the warning was right
    assert (kept.breached_at, kept.breaches, kept.fired) == (None, 0, frozenset({"75%"}))


def test_another_calendar_counts_from_now_on() -> None:
    noon = berlin(2026, 3, 2, 12, 0)
    moved = sla.recalendar(clock(), noon, AROUND_THE_CLOCK)
    assert (moved.used, moved.due_at) == (3 * HOUR, berlin(2026, 3, 2, 13, 0))


def test_a_shorter_target_never_makes_a_breach_of_the_past() -> None:
    now = berlin(2026, 3, 2, 12, 0)  # three hours used
    sharper = sla.retarget(clock(), now, target=2 * HOUR, calendar=office, terms=HALF)
    assert sharper.due_at == berlin(2026, 3, 2, 14, 0)  # as before: two hours from now would have been later
    near = sla.retarget(clock(), now, target=HOUR / 2, calendar=office, terms=HALF)
    assert near.due_at == berlin(2026, 3, 2, 13, 30)
    longer = sla.retarget(clock(), now, target=8 * HOUR, calendar=office, terms=HALF)
    assert longer.due_at == berlin(2026, 3, 3, 9, 0)
    paused = sla.retarget(sla.pause(clock(), now), now, target=8 * HOUR, calendar=office, terms=HALF)
    assert (paused.running_since, sla.remaining(paused, now)) == (None, 5 * HOUR)


def test_a_forecast_aims_the_clock_at_an_instant_whatever_the_calendar() -> None:
    now, sunday = berlin(2026, 3, 2, 12, 0), berlin(2026, 3, 8, 3, 0)
    aimed = sla.aim(clock(), now, due_at=sunday)
    assert aimed.due_at == sunday
    assert sla.used(aimed, now) == 3 * HOUR
    assert aimed.generation > clock().generation


@given(
    calendar=working_calendars(),
    start=starts,
    steps=st.lists(st.tuples(st.sampled_from(["pause", "resume", "stop"]), st.integers(0, 600)), max_size=12),
)
def test_used_is_the_sum_of_the_running_intervals(
    calendar: Calendar, start: datetime, steps: list[tuple[str, int]]
) -> None:
    """The reference keeps a list of intervals and knows nothing else."""
    moved = sla.start(Clock(ClockKind.RESPONSE, calendar, 5 * HOUR), start)
    intervals: list[tuple[datetime, datetime | None]] = [(start, None)]
    now = start
    for verb, minutes in steps:
        now += minutes * MINUTE
        moved = {"pause": sla.pause, "resume": sla.resume, "stop": sla.stop}[verb](moved, now)
        running = bool(intervals) and intervals[-1][1] is None
        if verb == "resume" and not running:
            intervals.append((now, None))
        elif verb != "resume" and running:
            intervals[-1] = (intervals[-1][0], now)
    reference = sum((elapsed(calendar, a, b or now) for a, b in intervals), ZERO)
    assert sla.used(moved, now) == reference
    if moved.running_since is not None and reference <= 5 * HOUR:
        assert moved.due_at is not None
        assert reference + elapsed(calendar, now, moved.due_at) == 5 * HOUR
