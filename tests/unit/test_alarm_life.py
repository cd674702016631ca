"""The alarm machine as a whole: any sequence of events, and the limits of dead band, delays and shelves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from maintenance import alarms, tunings
from maintenance.alarms import Alarm, AlarmState, Order, Shelf, Tuning
from maintenance.errors import IllegalAlarmMove
from maintenance.model import Policy
from maintenance.tunings import Row

T0 = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
POLICY = Policy()
TUNING = Tuning(off_delay=timedelta(seconds=30))


class Life(RuleBasedStateMachine):
    """An alarm and what is known of it independently: who deviates, since when, who shelved it until when."""

    def __init__(self) -> None:
        super().__init__()
        self.now = T0
        self.alarm: Alarm = alarms.raised("a", started_at=T0 - HOUR, at=T0)
        self.deviating = {"a"}
        self.paused: datetime | None = None
        self.returns = 0
        self.shelf_end: datetime | None = None

    @rule(seconds=st.integers(0, 5000))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(source=st.sampled_from("ab"))
    def deviates(self, source: str) -> None:
        cleared = self.alarm.state is AlarmState.CLEARED
        if self.paused is not None and (cleared or self.now - self.paused >= TUNING.off_delay):
            self.returns += 1
        self.alarm = alarms.deviates(self.alarm, source, at=self.now, tuning=TUNING)
        self.deviating.add(source)
        self.paused = None
        self._shelf_may_end()

    @rule(source=st.sampled_from("ab"))
    def normal(self, source: str) -> None:
        before = self.alarm
        self.alarm = alarms.normal(self.alarm, source, at=self.now)
        self.deviating.discard(source)
        if not self.deviating and self.paused is None:
            self.paused = self.now
            if before.shelf is Shelf.ONCE:
                self.shelf_end = None

    @rule(order=st.sampled_from(Order))
    def tick(self, order: Order) -> None:
        self.alarm = alarms.tick(self.alarm, now=self.now, order=order, policy=POLICY)
        self._shelf_may_end()
        if self.alarm.state is AlarmState.CLEARED:
            self.deviating = set()
            self.shelf_end = None

    @precondition(lambda self: self.alarm.state is not AlarmState.CLEARED)
    @rule(hours=st.integers(1, 700), shelf=st.sampled_from(Shelf))
    def shelve(self, hours: int, shelf: Shelf) -> None:
        until = self.now + hours * HOUR
        self.alarm = alarms.shelve(
            self.alarm, by="Wang", until=until, reason="cable", now=self.now, policy=POLICY, shelf=shelf
        )
        self.shelf_end = until

    @precondition(lambda self: self.alarm.state is AlarmState.SHELVED)
    @rule()
    def unshelve(self) -> None:
        self.alarm = alarms.unshelve(self.alarm)
        self.shelf_end = None

    @precondition(lambda self: self.alarm.state is not AlarmState.SHELVED)
    @rule()
    def unshelve_what_is_not(self) -> None:
        with pytest.raises(IllegalAlarmMove):
            alarms.unshelve(self.alarm)

    @rule()
    def acknowledge(self) -> None:
        if self.alarm.state in (AlarmState.ACTIVE, AlarmState.ACKNOWLEDGED):
            self.alarm = alarms.acknowledge(self.alarm, by="Li", at=self.now)
        else:
            with pytest.raises(IllegalAlarmMove):
                alarms.acknowledge(self.alarm, by="Li", at=self.now)

    def _shelf_may_end(self) -> None:
        if self.shelf_end is not None and self.now >= self.shelf_end:
            self.shelf_end = None

    @invariant()
    def what_deviates_is_known(self) -> None:
        assert self.alarm.deviating == self.deviating
        assert (self.alarm.returned_at is None) == (self.paused is None)
        assert self.alarm.returns == self.returns

    @invariant()
    def a_shelf_has_an_owner_a_reason_and_an_end(self) -> None:
        shelved = self.alarm.state is AlarmState.SHELVED
        assert shelved == (self.shelf_end is not None) == (self.alarm.shelved_until is not None)
        assert shelved == (self.alarm.shelved_by is not None) == (self.alarm.shelve_reason is not None)
        assert shelved or self.alarm.shelf is Shelf.TIMED

    @invariant()
    def cleared_is_quiet(self) -> None:
        cleared = self.alarm.state is AlarmState.CLEARED
        assert cleared == (self.alarm.cleared_at is not None)
        assert not cleared or (not self.alarm.deviating and self.alarm.returned_at is not None)

    @invariant()
    def times_are_in_order(self) -> None:
        assert self.alarm.onset_at is not None
        assert self.alarm.onset_at <= self.alarm.deviating_since <= self.alarm.last_at <= self.now


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# -- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pause_s", "returns"), [(29, 0), (29.999999, 0), (30, 1), (31, 1)])
def test_a_pause_shorter_than_the_off_delay_is_none(pause_s: float, returns: int) -> None:
    alarm = alarms.normal(alarms.raised("a", started_at=T0, at=T0), "a", at=T0 + SECOND)
    again = alarms.deviates(alarm, "a", at=T0 + SECOND + timedelta(seconds=pause_s), tuning=TUNING)
    assert again.returns == returns and again.returned_at is None
    assert (again.deviating_since == T0) == (returns == 0)


def test_a_cleared_alarm_that_comes_back_is_a_return_whatever_the_off_delay() -> None:
    alarm = alarms.cleared(alarms.normal(alarms.raised("a", started_at=T0, at=T0), "a", at=T0 + SECOND), at=T0 + SECOND)
    again = alarms.deviates(alarm, "a", at=T0 + 2 * SECOND, tuning=Tuning(off_delay=HOUR))
    assert again.state is AlarmState.ACTIVE and again.returns == 1


@pytest.mark.parametrize(("health", "inside"), [(0.75, True), (0.51, True), (0.5, False), (0.49, False)])
def test_the_dead_band_is_below_the_health_at_the_return(health: float, inside: bool) -> None:
    alarm = alarms.normal(alarms.raised("a", started_at=T0, at=T0), "a", at=T0 + HOUR)
    tuning = Tuning(dead_band=0.25)
    assert alarms.in_dead_band(alarm, before=0.75, health=health, tuning=tuning) is inside
    deviating = alarms.deviates(alarm, "a", at=T0 + 2 * HOUR)
    assert not alarms.in_dead_band(deviating, before=0.75, health=health, tuning=tuning)


@pytest.mark.parametrize("health", [0.0, 0.74, 0.75, 0.76, 1.0])
def test_without_a_dead_band_every_deviation_counts(health: float) -> None:
    alarm = alarms.normal(alarms.raised("a", started_at=T0, at=T0), "a", at=T0 + HOUR)
    assert not alarms.in_dead_band(alarm, before=0.75, health=health, tuning=alarms.DEFAULT)


def test_the_onset_is_that_of_this_deviation() -> None:
    alarm = alarms.normal(alarms.raised("a", started_at=T0 - HOUR, at=T0), "a", at=T0 + HOUR)
    again = alarms.deviates(alarm, "a", at=T0 + 3 * HOUR, started_at=T0 + 2 * HOUR)
    assert (alarm.onset_at, again.onset_at) == (T0 - HOUR, T0 + 2 * HOUR)
    assert again.started_at == T0 - HOUR


def test_one_shot_shelves_end_with_the_deviation_and_timed_ones_do_not() -> None:
    for shelf, state in ((Shelf.ONCE, AlarmState.ACTIVE), (Shelf.TIMED, AlarmState.SHELVED)):
        alarm = alarms.shelve(
            alarms.raised("a", started_at=T0, at=T0), by="Li", until=T0 + 9 * HOUR, reason="cable", now=T0,
            policy=POLICY, shelf=shelf,
        )  # fmt: skip
        assert alarms.normal(alarm, "a", at=T0 + HOUR).state is state


def test_shelving_again_extends() -> None:
    alarm = alarms.raised("a", started_at=T0, at=T0)
    for owner, hours in (("Li", 2), ("Wang", 8)):
        alarm = alarms.shelve(alarm, by=owner, until=T0 + hours * HOUR, reason="cable", now=T0, policy=POLICY)
    assert alarms.tick(alarm, now=T0 + 7 * HOUR, order=Order.NONE, policy=POLICY).shelved_by == "Wang"
    assert alarms.tick(alarm, now=T0 + 8 * HOUR, order=Order.NONE, policy=POLICY).state is AlarmState.ACTIVE


def test_the_more_special_word_counts() -> None:
    said = [
        Row("", "", {"on_delay_s": 10, "stale_h": 12}),
        Row("pump", "", {"on_delay_s": 20}),
        Row("", "flow", {"on_delay_s": 30, "dead_band": 0.1}),
        Row("pump", "flow", {"dead_band": 0.2}),
        Row("fan", "flow", {"on_delay_s": 99}),
    ]
    found = tunings.resolve(said, asset_class="pump", signal="flow")
    assert (found.on_delay, found.dead_band, found.stale) == (30 * SECOND, 0.2, 12 * HOUR)
    assert tunings.resolve(said, asset_class="pump", signal="x").on_delay == 20 * SECOND
    assert tunings.resolve([], asset_class="pump", signal="x") == alarms.DEFAULT
