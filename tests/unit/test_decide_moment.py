"""The best moment: parts add up, windows are used, a worse forecast never makes waiting better."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance import decide_moment
from maintenance.decide_moment import Parts, Stakes, Stretch, What, cost_curve
from maintenance.model import Cost, Forecast
from plant.windows import Opening

COST = Cost(2_000, 30_000)
STAKES = Stakes(precision=0.9, work_h=4, stop_cost_h=500, look_share=0.3)
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def forecast(middle_h: float, spread: float = 2.0) -> Forecast:
    return Forecast(middle_h / spread, middle_h, middle_h * spread, 0.5, 168, "laws", "1")


hours = st.floats(1, 2_000)
stakes = st.builds(
    Stakes,
    precision=st.floats(0.05, 1),
    down_h=st.floats(0, 72),
    down_cost_h=st.floats(0, 3_000),
    work_h=st.floats(0, 12),
    stop_cost_h=st.floats(0, 2_000),
    expedite=st.none() | st.floats(0, 5_000),
    expedite_h=st.floats(0, 48),
    look_share=st.floats(0, 1),
    unwarned=st.floats(0, 1),
    doubt=st.floats(0, 0.3),
    seen_h=st.floats(0, 500),
)
windows = st.lists(
    st.tuples(st.floats(-50, 900), st.floats(1, 60), st.floats(0, 100)).map(lambda w: Stretch(w[0], w[0] + w[1], w[2])),
    max_size=6,
)


@given(hours, st.floats(1.05, 6), stakes, windows, st.floats(0, 400), st.floats(0, 900))
def test_every_part_is_a_cost_and_the_chosen_moment_is_the_cheapest(
    middle: float, spread: float, at: Stakes, when: list[Stretch], lead_h: float, travel: float
) -> None:
    curve = cost_curve(forecast(middle, spread), COST, when, lead_h=lead_h, travel=travel, stakes=at)
    first = lead_h if at.expedite is None else min(lead_h, at.expedite_h)
    assert curve.points[0].hours == pytest.approx(first)
    assert curve.chosen.total == min(each.total for each in curve.points)
    for each in curve.points:
        parts = (each.failure, each.work, each.stopping, each.travel, each.parts, each.life)
        assert min(parts) >= -1e-6 and 0 <= each.p_fail <= at.precision + 1e-9
        assert each.total == pytest.approx(sum(parts))
    for one, other in pairwise(curve.points):
        assert one.hours < other.hours and one.p_fail <= other.p_fail + 1e-9
        assert one.failure <= other.failure + 1e-6 and one.life >= other.life - 1e-6
    for alternative in (curve.window, curve.wait):
        assert alternative is None or alternative.total >= curve.chosen.total


@given(hours, stakes, windows)
def test_waiting_longer_is_never_wiser_with_less_life_left(middle: float, at: Stakes, when: list[Stretch]) -> None:
    long, short = (
        cost_curve(forecast(each), COST, when, stakes=replace(at, doubt=0.0)) for each in (2 * middle, middle)
    )
    fails = {each.hours: each.p_fail for each in long.points}
    for each in short.points:
        if each.hours in fails:
            assert each.p_fail >= fails[each.hours] - 1e-9


def test_a_window_is_worth_waiting_for_when_nothing_presses() -> None:
    curve = cost_curve(forecast(400), COST, [Stretch(48, 60)], stakes=STAKES)
    assert curve.what is What.WINDOW and 48 <= curve.chosen.hours <= 56 and curve.chosen.in_window
    assert curve.chosen.stopping == 0 and curve.now.stopping > 1_500
    assert curve.wait is not None and curve.wait.total > curve.chosen.total


def test_a_failure_at_the_door_does_not_wait_for_the_window() -> None:
    curve = cost_curve(forecast(20), COST, [Stretch(48, 60)], stakes=STAKES)
    assert curve.what is What.NOW


@pytest.mark.parametrize("middle", [20, 60, 100, 200, 400, 900])
def test_what_comes_before_the_next_look_is_not_waiting(middle: float) -> None:
    for share in (0.2, 0.5, 1.0):
        at = replace(STAKES, precision=share)
        curve = cost_curve(forecast(middle), COST, [], stakes=at)
        before_the_look = curve.chosen.hours < curve.now.hours + at.look_again_h
        assert curve.what is (What.NOW if before_the_look else What.WAIT)


def test_a_long_life_is_not_thrown_away() -> None:
    dear = replace(STAKES, life_h=2_000, stop_cost_h=0)
    curve = cost_curve(forecast(900, 1.2), COST, [], stakes=dear)
    assert curve.what is What.WAIT and 100 < curve.chosen.hours < 900
    assert curve.now.life > curve.chosen.life


def test_a_doubtful_alarm_is_looked_at_later_than_a_sure_one() -> None:
    sure, doubtful = (
        cost_curve(forecast(300), COST, [], stakes=replace(STAKES, precision=q)).chosen.hours for q in (0.99, 0.3)
    )
    assert doubtful >= sure


def test_nothing_begins_before_the_parts_are_there() -> None:
    curve = cost_curve(forecast(100), COST, [], lead_h=72, stakes=STAKES)
    assert curve.points[0].hours == 72 and curve.points[0].parts == 0
    hasty = cost_curve(forecast(100), COST, [], lead_h=72, stakes=replace(STAKES, expedite=800, expedite_h=10))
    assert hasty.points[0].hours == 10 and hasty.points[0].parts > 700 and hasty.chosen.hours < 72


def test_parts_are_ordered_in_time_or_expedited() -> None:
    quick = replace(STAKES, expedite=800, expedite_h=10)

    def asked(middle: float, lead_h: float, at: Stakes) -> Parts:
        curve = cost_curve(forecast(middle), COST, [], lead_h=lead_h, stakes=at)
        return decide_moment.parts_now(curve, COST, lead_h=lead_h, stakes=at)

    assert asked(60, 72, quick) is Parts.EXPEDITE
    assert asked(500, 72, STAKES) is Parts.ORDER
    assert asked(20_000, 24, replace(STAKES, send_back=5_000, precision=0.1, doubt=0)) is Parts.LATER
    assert asked(60, 0, STAKES) is Parts.LATER


def test_an_older_forecast_has_less_ahead_of_it() -> None:
    fresh, old = (cost_curve(forecast(300), COST, [], age_h=age, stakes=STAKES) for age in (0.0, 250.0))
    assert old.points[10].p_fail > fresh.points[10].p_fail


def test_openings_become_hours() -> None:
    hour = timedelta(hours=1)
    made = decide_moment.stretches([Opening(T0 - 5 * hour, T0 - hour), Opening(T0 + hour, T0 + 3 * hour, 7.0)], T0)
    assert made == (Stretch(1.0, 3.0, 7.0),)


def test_standing_costs_what_its_windows_cost() -> None:
    curve = cost_curve(forecast(5_000), COST, [Stretch(10, 20, 100), Stretch(14, 30, 50)], stakes=STAKES)
    at = {round(each.hours, 6): each for each in curve.points}
    going = 0.9 * (1 - at[10.0].p_fail / 0.9) + 0.1 * 2.718281828 ** (-10 / STAKES.clears_h)
    assert at[10.0].stopping == pytest.approx(going * 400, rel=1e-3)
    assert at[0.0].stopping == pytest.approx(4 * 500, rel=1e-3)
