"""The hygiene figures equal a recomputation by the plainest means, for any moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance import alarms_hygiene
from maintenance.alarms_hygiene import Figure, Limits, Move, Span, Standing, Told

T0 = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SPAN = Span(T0, T0 + timedelta(hours=2), people=2)
moves = st.lists(
    st.tuples(
        st.integers(0, 7199), st.integers(1, 4), st.sampled_from(["raised", "back", "normal"]), st.integers(1, 4)
    ),
    max_size=120,
).map(lambda rows: [Move(alarm, alarm, T0 + at * SECOND, what, level) for at, alarm, what, level in sorted(rows)])


def figures(found: list[Told]) -> dict[Figure, Told]:
    return {each.figure: each for each in found}


@given(moves)
def test_figures_equal_a_recomputation(said: list[Move]) -> None:
    found = figures(alarms_hygiene.report(said, [], SPAN, Limits()))
    came = [each for each in said if each.what != "normal"]
    slots = [sum(T0 + n * 600 * SECOND <= each.at < T0 + (n + 1) * 600 * SECOND for each in came) for n in range(12)]
    per_alarm = sorted((sum(each.alarm_id == n for each in came) for n in range(1, 5)), reverse=True)
    assert found[Figure.ALARMS].value == len(came)
    assert found[Figure.PER_SLOT].value == pytest.approx(len(came) / 12 / 2)
    assert found[Figure.PEAK].value == max(slots)
    assert found[Figure.FLOOD_SHARE].value == pytest.approx(sum(count > 10 for count in slots) / 12)
    assert found[Figure.TOP_TEN].value == pytest.approx(sum(per_alarm[:10]) / len(came) if came else 0)
    for figure, levels in ((Figure.HIGH, {1}), (Figure.MEDIUM, {2}), (Figure.LOW, {3, 4})):
        share = sum(each.severity in levels for each in came) / len(came) if came else 0
        assert found[figure].value == pytest.approx(share)
    chatter = {
        each.alarm_id
        for each in came
        if sum(o.alarm_id == each.alarm_id and timedelta(0) <= o.at - each.at < 60 * SECOND for o in came) >= 3
    }
    assert set(found[Figure.CHATTERING].behind) == chatter and found[Figure.CHATTERING].value == len(chatter)
    brief = sum(
        any(
            o.what == "normal" and o.alarm_id == each.alarm_id and timedelta(0) <= o.at - each.at < 60 * SECOND
            for o in said
        )
        for each in came
    )
    assert found[Figure.FLEETING].value == brief


@given(moves)
def test_the_rows_behind_a_count_add_up_to_it(said: list[Move]) -> None:
    found = figures(alarms_hygiene.report(said, [], SPAN, Limits()))
    for figure in (Figure.ALARMS, Figure.PEAK, Figure.FLEETING):
        assert sum(found[figure].behind.values()) == found[figure].value
    for figure in (Figure.CHATTERING, Figure.STALE, Figure.SHELVED, Figure.HELD):
        assert len(found[figure].behind) == found[figure].value


@pytest.mark.parametrize(("gap_s", "chatters"), [(29.5, True), (30.0, False), (30.5, False)])
def test_three_within_a_minute_chatter(gap_s: float, chatters: bool) -> None:
    came = [Move(1, 1, T0 + n * gap_s * SECOND, "back", 2) for n in range(3)]
    assert bool(alarms_hygiene.chattering(came, least=3)) is chatters


@pytest.mark.parametrize(("count", "flood"), [(10, 0), (11, 1)])
def test_a_flood_is_more_than_ten(count: int, flood: int) -> None:
    said = [Move(n, n, T0 + n * SECOND, "raised", 2) for n in range(count)]
    found = figures(alarms_hygiene.report(said, [], SPAN, Limits()))
    assert found[Figure.FLOOD_SHARE].value == pytest.approx(flood / 12)
    assert alarms_hygiene.flood_begins(0, count) is bool(flood)
    assert not alarms_hygiene.flood_begins(11, 0)
    assert [alarms_hygiene.flood_over(recent) for recent in (4, 5)] == [True, False]


@pytest.mark.parametrize(("hours", "stale"), [(23.99, 0), (24, 0), (24.01, 1)])
def test_stale_is_longer_than_a_day_without_change(hours: float, stale: int) -> None:
    since = SPAN.end - timedelta(hours=hours)
    others = [
        Standing(2, 2, "shelved", since, True, ""),
        Standing(3, 3, "active", since, False, ""),
        Standing(4, 4, "active", since, True, "grouped"),
    ]
    found = figures(alarms_hygiene.report([], [Standing(1, 1, "active", since, True, ""), *others], SPAN, Limits()))
    assert found[Figure.STALE].value == stale
    assert found[Figure.SHELVED].behind == {2: 1.0} and found[Figure.HELD].behind == {4: 1.0}


def test_nothing_is_well() -> None:
    assert all(each.met in (None, True) for each in alarms_hygiene.report([], [], SPAN, Limits()))
