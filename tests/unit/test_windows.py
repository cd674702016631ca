"""Production windows: stops lie in them, cost what they say, follow the wall clock, and never overlap."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant import windows
from plant.errors import BadWindow
from plant.model import Window
from plant.windows import Kind, Opening, Rule, Weekly

T0 = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
H = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe"]

stretches = st.lists(
    st.tuples(st.integers(0, 200), st.integers(1, 30), st.sampled_from([0.0, 50.0, 400.0])).map(
        lambda each: Opening(T0 + each[0] * H, T0 + (each[0] + each[1]) * H, each[2])
    ),
    max_size=8,
)


@given(stretches, st.integers(0, 220), st.integers(1, 40))
def test_the_next_stop_is_the_first_that_fits(openings: list[Opening], after: int, hours: int) -> None:
    def stands(hour: int) -> bool:
        return any(each.start <= T0 + hour * H < each.end for each in openings)

    slow = next((h for h in range(after, 240) if all(stands(h + i) for i in range(hours))), None)
    found = windows.next_stop(openings, after=T0 + after * H, lasting=hours * H)
    assert (found.start if found else None) == (None if slow is None else T0 + slow * H)
    if found:
        assert found.end - found.start == hours * H
        assert windows.may_stop(openings, found.start, found.end)
        costs = [min(e.cost_h for e in openings if e.start <= found.start + i * H < e.end) for i in range(hours)]
        assert windows.stop_cost(openings, found.start, found.end) == pytest.approx(sum(costs))
        assert found.cost_h == pytest.approx(sum(costs) / hours)


weeklies = st.builds(
    Weekly,
    zone=st.sampled_from(ZONES),
    weekdays=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    opens_min=st.sampled_from([0, 60, 120, 150, 360, 1320, 1425]),
    lasts_min=st.sampled_from([30, 60, 480, 1440]),
    first=st.dates(date(2026, 1, 1), date(2026, 12, 1)),
    last=st.none() | st.dates(date(2027, 1, 1), date(2027, 2, 1)),
    every_weeks=st.integers(1, 3),
)


@settings(max_examples=60)
@given(weeklies, st.integers(-60 * 1440, 340 * 1440))
def test_a_weekly_window_is_open_when_the_wall_clock_says_so(weekly: Weekly, minutes: int) -> None:
    """Another way to ask: from the instant to the wall, except in the nights of a change."""
    instant = T0 + minutes * MINUTE
    zone = ZoneInfo(weekly.zone)
    wall = instant.astimezone(zone)
    if any((instant + shift * H).astimezone(zone).utcoffset() != wall.utcoffset() for shift in (-26, 26)):
        return
    naive = wall.replace(tzinfo=None)
    monday = weekly.first - timedelta(days=weekly.first.weekday())

    def begins(day: date) -> bool:
        held = weekly.first <= day and (weekly.last is None or day <= weekly.last)
        return held and day.weekday() in weekly.weekdays and (day - monday).days // 7 % weekly.every_weeks == 0

    slow = False
    for back in range(3):
        day = naive.date() - timedelta(days=back)
        opens = datetime.combine(day, datetime.min.time()) + weekly.opens_min * MINUTE
        slow = slow or (begins(day) and opens <= naive < opens + weekly.lasts_min * MINUTE)
    rule = Rule(1, weekly)
    found = windows.occurrences(rule, start=instant, end=instant + MINUTE)
    assert any(each.start <= instant < each.end for each in found) == slow


def test_a_night_of_the_change_is_longer_or_shorter() -> None:
    rule = Rule(1, Weekly("Europe/Berlin", (5,), 22 * 60, 8 * 60, date(2026, 1, 1)))
    spring, autumn = datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)
    lengths = [next(windows.occurrences(rule, start=day, end=day + 24 * H)) for day in (spring, autumn)]
    assert [each.end - each.start for each in lengths] == [7 * H, 9 * H]


def test_a_machine_without_windows_may_always_stop_and_less_dearly_in_a_shutdown() -> None:
    shutdown = Rule(1, Window(T0 + 10 * H, T0 + 20 * H), 0.0, Kind.SHUTDOWN)
    openings = windows.spread([shutdown], start=T0, end=T0 + 100 * H, always_h=100.0)
    assert windows.stop_cost(openings, T0 + 8 * H, T0 + 12 * H) == pytest.approx(200.0)
    assert windows.may_stop(openings, T0 + 90 * H, T0 + 99 * H)


def test_its_own_windows_replace_those_above_and_every_shutdown_above_holds() -> None:
    line = Rule(1, Window(T0, T0 + H))
    unit = Rule(2, Window(T0 + 5 * H, T0 + 6 * H))
    shutdown = Rule(1, Window(T0 + 50 * H, T0 + 60 * H), 0.0, Kind.SHUTDOWN)
    rules = {1: [line, shutdown], 2: [unit]}
    assert windows.inherited(rules, [3, 2, 1]) == [shutdown, unit]
    assert windows.inherited(rules, [4, 1]) == [shutdown, line]
    openings = windows.spread(windows.inherited(rules, [3, 2, 1]), start=T0, end=T0 + 100 * H)
    assert not windows.may_stop(openings, T0, T0 + H)
    assert windows.longest(openings) == 10 * H


@settings(max_examples=40, deadline=None)
@given(weeklies, weeklies)
def test_a_clash_is_what_two_spreads_show(one: Weekly, other: Weekly) -> None:
    mine, theirs = Rule(1, one), Rule(1, other)
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
    a = list(windows.occurrences(mine, start=start, end=end))
    b = list(windows.occurrences(theirs, start=start, end=end))
    edges = sorted([(each.start, each.end, 0) for each in a] + [(each.start, each.end, 1) for each in b])
    slow = any(x[1] > y[0] and x[2] != y[2] for x, y in pairwise(edges))
    assert (windows.clash(mine, [theirs]) is not None) == slow


def test_other_machines_and_other_kinds_do_not_clash() -> None:
    mine = Rule(1, Window(T0, T0 + 5 * H))
    assert windows.clash(mine, [Rule(2, mine.when), Rule(1, mine.when, kind=Kind.SHUTDOWN)]) is None
    assert windows.clash(mine, [Rule(1, Window(T0 + 4 * H, T0 + 9 * H))]) is not None
    assert windows.clash(mine, [Rule(1, Window(T0 + 5 * H, T0 + 9 * H))]) is None


WEEK = Weekly("UTC", (0,), 0, 60, date(2026, 1, 5))


@pytest.mark.parametrize(
    "rule",
    [
        Rule(1, Window(T0, T0)),
        Rule(1, Window(T0, T0 - H)),
        Rule(1, Window(T0, T0 + H), -1.0),
        Rule(1, Window(T0, T0 + H), float("nan")),
        Rule(1, Weekly("Mars/Base", (0,), 0, 60, date(2026, 1, 5))),
        Rule(1, Weekly("UTC", (), 0, 60, date(2026, 1, 5))),
        Rule(1, Weekly("UTC", (7,), 0, 60, date(2026, 1, 5))),
        Rule(1, Weekly("UTC", (0,), 1440, 60, date(2026, 1, 5))),
        Rule(1, Weekly("UTC", (0,), 0, 0, date(2026, 1, 5))),
        Rule(1, Weekly("UTC", (0, 1), 0, 1441, date(2026, 1, 5))),
        Rule(1, Weekly("UTC", (0,), 0, 60, date(2026, 1, 5), date(2026, 1, 4))),
        Rule(1, Weekly("UTC", (0,), 0, 60, date(2026, 1, 5), None, 0)),
    ],
)
def test_what_cannot_be_meant_is_refused(rule: Rule) -> None:
    with pytest.raises(BadWindow):
        windows.check(rule)


def test_a_good_rule_passes() -> None:
    windows.check(Rule(1, WEEK, 10.0))


def test_patterns_that_meet_only_after_years_are_found() -> None:
    one = Rule(1, Weekly("UTC", (0,), 480, 120, date(2026, 1, 5), None, 51))
    other = Rule(1, Weekly("UTC", (0,), 540, 120, date(2026, 1, 12), None, 52))
    found = windows.clash(one, [other])
    assert found is not None
    weeks = (found[1].start.date() - date(2026, 1, 5)).days // 7
    assert weeks % 51 == 0 and (weeks - 1) % 52 == 0 and weeks > 120
    even = Rule(1, Weekly("UTC", (0,), 480, 120, date(2026, 1, 5), None, 2))
    odd = Rule(1, Weekly("UTC", (0,), 480, 120, date(2026, 1, 12), None, 52))
    assert windows.clash(even, [odd]) is None
