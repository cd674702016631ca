"""The decision: act in time, never in haste, with reasons in both languages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.base import FindingKind
from maintenance import alarms, decide, sentences
from maintenance.alarms import Alarm
from maintenance.decide import Mute, MuteWhy, OrderStage, Situation
from maintenance.model import Action, Cost, Forecast, Policy

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
POLICY = Policy()
COST = Cost(1_000, 20_000)


def persisting(findings: int = 5) -> Alarm:
    alarm = alarms.raised("bank", started_at=T0 - HOUR, at=T0)
    for _ in range(findings - 1):
        alarm = alarms.deviates(alarm, "bank", at=T0)
    return alarm


def forecast(p_fail: float, p10_h: float = 100) -> Forecast:
    return Forecast(p10_h, 2 * p10_h, 4 * p10_h, p_fail, 168, "trend", "1")


def situation(**changes: object) -> Situation:
    plain = Situation(FindingKind.MACHINE, persisting(), T0 + 3 * HOUR, 0.8, COST, 0.8)
    return replace(plain, **changes)  # type: ignore[arg-type]


def keys(given_: Situation) -> tuple[Action, list[str]]:
    made = decide.decide(given_, POLICY)
    return made.action, [reason.key for reason in made.reasons]


@pytest.mark.parametrize(
    ("changes", "action", "key"),
    [
        ({"forecast": forecast(0.5)}, Action.OPEN, "worth"),
        ({"forecast": forecast(0.01)}, Action.WAIT, "not_worth"),
        ({"forecast": forecast(0.01), "health": 0.4}, Action.OPEN, "worn"),
        ({"forecast": forecast(0.01), "at": T0 + 48 * HOUR}, Action.OPEN, "waited"),
        ({"forecast": None}, Action.OPEN, "no_forecast"),
        ({"forecast": forecast(0.9), "at": T0 + HOUR}, Action.WAIT, "not_yet"),
        ({"forecast": forecast(0.9), "alarm": persisting(1)}, Action.WAIT, "not_yet"),
        ({"alarm": persisting(1), "at": T0 + 6 * HOUR}, Action.OPEN, "no_forecast"),
        ({"forecast": forecast(0.1), "precision": 0.2}, Action.WAIT, "not_worth"),
        ({"order": OrderStage.PLANNED}, Action.UPDATE, "order_open"),
        ({"order": OrderStage.VERIFYING}, Action.NONE, "verifying"),
        ({"kind": FindingKind.SENSOR, "alarm": persisting(1), "at": T0}, Action.OPEN, "sensor"),
        ({"alarm": alarms.normal(persisting(), "bank", at=T0)}, Action.NONE, "ended"),
        (
            {"alarm": alarms.normal(persisting(), "bank", at=T0), "order": OrderStage.PLANNED},
            Action.NONE,
            "ended_order_kept",
        ),
        (
            {"mute": Mute(MuteWhy.NOTHING_FOUND, T0 + 24 * HOUR, 0.8), "forecast": forecast(0.9)},
            Action.NONE,
            "muted_nothing_found",
        ),
        ({"mute": Mute(MuteWhy.REJECTED, T0 + 24 * HOUR, 0.8)}, Action.NONE, "muted_rejected"),
        ({"mute": Mute(MuteWhy.REJECTED, T0 + HOUR, 0.8)}, Action.OPEN, "no_forecast"),
        ({"mute": Mute(MuteWhy.REJECTED, T0 + 24 * HOUR, 0.8), "health": 0.55}, Action.OPEN, "no_forecast"),
        ({"repaired_at": T0}, Action.NONE, "before_repair"),
        ({"repaired_at": T0 - 2 * HOUR}, Action.OPEN, "no_forecast"),
    ],
)
def test_the_rules(changes: dict[str, object], action: Action, key: str) -> None:
    made, reasons = keys(situation(**changes))
    assert (made, key in reasons) == (action, True), reasons


def test_a_shelved_alarm_is_quiet_but_its_open_order_goes_on() -> None:
    shelved = alarms.shelve(persisting(), by="Wang", until=T0 + 9 * HOUR, reason="test", now=T0, policy=POLICY)
    assert keys(situation(alarm=shelved)) == (Action.NONE, ["shelved"])
    assert keys(situation(alarm=shelved, order=OrderStage.WORKING))[0] is Action.UPDATE


@given(
    st.builds(
        Situation,
        kind=st.sampled_from(FindingKind),
        alarm=st.builds(persisting, st.integers(1, 9)),
        at=st.integers(0, 100).map(lambda hours: T0 + hours * HOUR),
        health=st.floats(0, 1),
        cost=st.builds(Cost, st.floats(0, 1e5), st.floats(0, 1e6)),
        precision=st.floats(0, 1),
        forecast=st.none() | st.builds(forecast, st.floats(0, 1), st.floats(0, 1e4)),
        order=st.sampled_from(OrderStage),
        mute=st.none() | st.builds(Mute, st.sampled_from(MuteWhy), st.just(T0 + 50 * HOUR), st.floats(0, 1)),
        repaired_at=st.none() | st.just(T0),
    )
)
def test_every_decision_says_why_in_both_languages(given_: Situation) -> None:
    made = decide.decide(given_, POLICY)
    assert made.reasons
    for reason in made.reasons:
        said = sentences.reason(reason)
        assert said["en"] and said["zh"] and said != sentences.say("generic")
    assert made.action is not Action.OPEN or given_.order is OrderStage.NONE


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_surer_failure_is_never_waited_for_when_a_less_sure_one_is_not(one: float, other: float) -> None:
    low, high = sorted((one, other))
    if keys(situation(forecast=forecast(low)))[0] is Action.OPEN:
        assert keys(situation(forecast=forecast(high)))[0] is Action.OPEN


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 5))
def test_more_at_stake_is_never_less_urgent(one: float, other: float, criticality: int) -> None:
    low, high = sorted((one, other))
    assert decide.priority(high, criticality=criticality) <= decide.priority(low, criticality=criticality)
    assert decide.priority(low, criticality=5) <= decide.priority(low, criticality=criticality)


@given(st.floats(0, 1e5))
def test_the_deadline_lies_before_the_failure_and_after_now(p10_h: float) -> None:
    due = decide.deadline(forecast(0.5, p10_h), at=T0, now=T0, policy=POLICY)
    assert due is not None and due >= T0 + POLICY.deadline_least
    assert due <= T0 + timedelta(hours=p10_h) or due == T0 + POLICY.deadline_least
    assert decide.deadline(None, at=T0, now=T0, policy=POLICY) is None


def test_a_deadline_moves_only_when_the_forecast_moved_much() -> None:
    old = T0 + 100 * HOUR
    assert not decide.moved(old, T0 + 90 * HOUR, now=T0, policy=POLICY)
    assert decide.moved(old, T0 + 60 * HOUR, now=T0, policy=POLICY)
    assert decide.moved(None, old, now=T0, policy=POLICY)


def test_severity_follows_health() -> None:
    assert [decide.severity(health) for health in (1.0, 0.75, 0.5, 0.1)] == [4, 3, 2, 1]


def test_a_policy_that_waits_at_any_health_waits_for_a_machine_at_its_limit_too() -> None:
    """0 of health is no health below 0: where forecasts are learnt from failures, they decide alone."""
    at_limit = situation(forecast=forecast(0.01), health=0.0)
    assert decide.decide(at_limit, replace(Policy(), act_health=0.0)).action is Action.WAIT
    assert decide.decide(at_limit, Policy()).action is Action.OPEN
