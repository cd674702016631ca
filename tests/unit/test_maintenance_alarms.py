"""The alarm machine under any sequence of events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance import alarms
from maintenance.alarms import Alarm, AlarmState, Order
from maintenance.errors import BadShelf, IllegalAlarmMove
from maintenance.model import Policy

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
POLICY = Policy()


def fresh() -> Alarm:
    return alarms.raised("bank", started_at=T0 - HOUR, at=T0)


events = st.lists(
    st.tuples(
        st.sampled_from(["deviates", "normal", "tick", "tick-order", "acknowledge", "shelve"]),
        st.sampled_from(["bank", "multivariate"]),
        st.integers(0, 36),
    ),
    max_size=40,
)


def play(steps: list[tuple[str, str, int]]) -> list[tuple[datetime, Alarm]]:
    alarm, now, seen = fresh(), T0, []
    for what, source, hours in steps:
        now += hours * HOUR
        try:
            if what == "deviates":
                alarm = alarms.deviates(alarm, source, at=now)
            elif what == "normal":
                alarm = alarms.normal(alarm, source, at=now)
            elif what == "acknowledge":
                alarm = alarms.acknowledge(alarm, by="Wang", at=now)
            elif what == "shelve":
                alarm = alarms.shelve(alarm, by="Wang", until=now + 5 * HOUR, reason="test", now=now, policy=POLICY)
            else:
                order = Order.OPEN if what == "tick-order" else Order.NONE
                alarm = alarms.tick(alarm, now=now, order=order, policy=POLICY)
        except IllegalAlarmMove:
            assert alarm.state in (AlarmState.CLEARED, AlarmState.SHELVED)
        seen.append((now, alarm))
    return seen


@given(events)
def test_an_alarm_always_makes_sense(steps: list[tuple[str, str, int]]) -> None:
    for now, alarm in play(steps):
        assert (alarm.state is AlarmState.CLEARED) == (alarm.cleared_at is not None)
        assert (alarm.state is AlarmState.SHELVED) == (alarm.shelved_until is not None)
        assert (alarm.shelved_until is None) == (alarm.shelved_by is None)
        assert not (alarm.deviating and alarm.returned_at)
        assert alarm.deviating or alarm.returned_at
        assert alarm.started_at <= alarm.raised_at <= alarm.deviating_since <= alarm.last_at <= now


@given(events)
def test_no_alarm_clears_while_something_deviates(steps: list[tuple[str, str, int]]) -> None:
    before = fresh()
    for _, alarm in play(steps):
        if alarm.state is AlarmState.CLEARED and before.state is not AlarmState.CLEARED:
            assert not before.deviating
        before = alarm


@given(events, st.integers(0, 100))
def test_a_deviation_always_opens_a_cleared_alarm(steps: list[tuple[str, str, int]], hours: int) -> None:
    alarm = play([*steps, ("tick", "bank", 0)])[-1][1]
    again = alarms.deviates(alarm, "bank", at=alarm.last_at + hours * HOUR)
    assert again.state is not AlarmState.CLEARED and again.returned_at is None
    assert again.raised_at == alarm.raised_at and again.findings == alarm.findings + 1


def test_it_clears_only_after_the_dead_time_and_without_an_open_order() -> None:
    ended = alarms.normal(fresh(), "bank", at=T0 + HOUR)
    soon, later = T0 + 1.9 * HOUR, T0 + 2 * HOUR
    assert alarms.tick(ended, now=soon, order=Order.NONE, policy=POLICY).state is AlarmState.ACTIVE
    assert alarms.tick(ended, now=later, order=Order.OPEN, policy=POLICY).state is AlarmState.ACTIVE
    assert alarms.tick(ended, now=later, order=Order.NONE, policy=POLICY).cleared_at == later


def test_it_waits_for_the_last_detector() -> None:
    both = alarms.deviates(fresh(), "multivariate", at=T0)
    one = alarms.normal(both, "bank", at=T0 + HOUR)
    assert one.returned_at is None
    assert alarms.normal(one, "multivariate", at=T0 + 2 * HOUR).returned_at == T0 + 2 * HOUR


def test_chatter_is_one_alarm() -> None:
    alarm = fresh()
    for hour in range(1, 20):
        alarm = alarms.tick(
            alarms.normal(alarm, "bank", at=T0 + hour * HOUR),
            now=T0 + (hour + 1) * HOUR,
            order=Order.NONE,
            policy=POLICY,
        )
        assert alarms.same(alarm, T0 + (hour + 2) * HOUR, POLICY)
        alarm = alarms.deviates(alarm, "bank", at=T0 + (hour + 2) * HOUR)
    assert alarm.returns == 19 and alarm.raised_at == T0
    gone = alarms.cleared(alarm, at=T0)
    assert not alarms.same(gone, T0 + POLICY.reopen_within + timedelta(seconds=1), POLICY)


def test_a_shelf_has_an_owner_a_reason_and_an_end() -> None:
    for by, until, reason in [
        ("", T0 + HOUR, "why"),
        ("Wang", T0 + HOUR, " "),
        ("Wang", T0, "why"),
        ("Wang", T0 + timedelta(days=31), "why"),
    ]:
        with pytest.raises(BadShelf):
            alarms.shelve(fresh(), by=by, until=until, reason=reason, now=T0, policy=POLICY)
    shelved = alarms.shelve(fresh(), by="Wang", until=T0 + 2 * HOUR, reason="why", now=T0, policy=POLICY)
    assert alarms.deviates(shelved, "bank", at=T0 + HOUR).state is AlarmState.SHELVED
    assert alarms.deviates(shelved, "bank", at=T0 + 2 * HOUR).state is AlarmState.ACTIVE


def test_only_an_active_alarm_is_acknowledged() -> None:
    seen = alarms.acknowledge(fresh(), by="Wang", at=T0)
    assert seen.acked_by == "Wang" and alarms.acknowledge(seen, by="Li", at=T0) == seen
    with pytest.raises(IllegalAlarmMove):
        alarms.acknowledge(alarms.cleared(seen, at=T0), by="Wang", at=T0)
