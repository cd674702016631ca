"""Healed, still ill, or a question for a person."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance import sentences, verify
from maintenance.model import VerifyPolicy
from maintenance.verify import Observation, Status, Track, Watch

POLICY = VerifyPolicy()
HOUR = timedelta(hours=1)


def track(before: float, after: float, *, hours: float = 20, seed: int = 1, noise: float = 0.1) -> Track:
    chance = np.random.default_rng(seed)
    cells = int(hours * 12)
    return Track(
        signal_id=seed,
        share=1.0,
        direction=0,
        before=before + noise * chance.standard_normal(144),
        after=after + noise * chance.standard_normal(cells),
        after_h=np.arange(1, cells + 1) / 12,
    )


def judge(*tracks: Track, hours: float = 20, elapsed_h: float | None = None, watch: Watch = Watch.QUIET) -> Status:
    elapsed = timedelta(hours=hours if elapsed_h is None else elapsed_h)
    return verify.assess(Observation(tracks, hours, elapsed, watch), POLICY).status


@pytest.mark.parametrize(
    ("before", "after", "watch", "wanted"),
    [
        (2.0, 0.0, Watch.QUIET, Status.HEALTHY),
        (2.0, 0.2, Watch.OLD, Status.HEALTHY),  # the detector's memory does not reopen a good repair
        (-2.0, -0.1, Watch.QUIET, Status.HEALTHY),
        (2.0, 0.0, Watch.FRESH, Status.RUNNING),  # something else began: not proven
        (2.0, 2.0, Watch.OLD, Status.UNHEALTHY),
        (2.0, 2.4, Watch.QUIET, Status.UNHEALTHY),
        (0.4, 0.4, Watch.QUIET, Status.UNHEALTHY),  # a sham inside the limits is a sham
        (0.4, 0.02, Watch.QUIET, Status.HEALTHY),
        (2.0, 1.0, Watch.QUIET, Status.RUNNING),  # half healed: wait, then ask
        (2.0, 1.0, Watch.FRESH, Status.UNHEALTHY),
        (0.0, 0.0, Watch.QUIET, Status.HEALTHY),  # nothing to measure: the detectors decide
        (0.0, 0.0, Watch.OLD, Status.UNHEALTHY),
        (2.0, -3.0, Watch.QUIET, Status.RUNNING),  # healed past the other limit is not healthy
    ],
)
def test_what_is_left_of_the_deviation_decides(before: float, after: float, watch: Watch, wanted: Status) -> None:
    assert judge(track(before, after), watch=watch) is wanted


@given(st.floats(0, 4), st.floats(-4, 4), st.floats(-4, 4), st.sampled_from(Watch))
def test_nothing_is_said_before_enough_running_data(hours: float, before: float, after: float, watch: Watch) -> None:
    if hours < POLICY.unhealthy / HOUR:
        assert judge(track(before, after, hours=hours), hours=hours, watch=watch) is Status.RUNNING


def test_a_sham_shows_sooner_than_a_cure_is_believed() -> None:
    assert judge(track(1.5, 1.5, hours=5), hours=5) is Status.UNHEALTHY
    assert judge(track(1.5, 0.0, hours=5), hours=5) is Status.RUNNING
    assert judge(track(1.5, 0.0, hours=12.1), hours=12.1) is Status.HEALTHY


def test_a_fault_that_comes_back_is_seen_behind_good_hours() -> None:
    whole = track(1.5, 0.0, hours=20)
    relapse = np.where(whole.after_h > 14, 1.5, whole.after)
    back = Track(1, 1.0, 1, whole.before, relapse, whole.after_h)
    assert judge(back) is Status.UNHEALTHY


def test_after_the_limit_a_person_is_asked() -> None:
    assert judge(track(2.0, 1.0), elapsed_h=72) is Status.NEEDS_PERSON
    stopped = Track(1, 1.0, 1, np.full(9, 2.0), np.empty(0), np.empty(0))
    assert judge(stopped, hours=0, elapsed_h=71) is Status.RUNNING
    assert judge(stopped, hours=0, elapsed_h=72) is Status.NEEDS_PERSON
    assert judge(hours=0, elapsed_h=72) is Status.NEEDS_PERSON


def test_a_machine_that_ran_late_is_still_judged() -> None:
    assert judge(track(2.0, 0.0), elapsed_h=200) is Status.HEALTHY
    assert judge(track(2.0, 2.0), elapsed_h=200) is Status.UNHEALTHY


def test_signals_count_by_their_share() -> None:
    def weighted(share: float, after: float, seed: int) -> Track:
        plain = track(1.0, after, seed=seed)
        return Track(seed, share, 1, plain.before, plain.after, plain.after_h)

    assert judge(weighted(0.9, 0.0, 1), weighted(0.1, 0.9, 2)) is Status.HEALTHY
    assert judge(weighted(0.1, 0.0, 1), weighted(0.9, 0.9, 2)) is Status.UNHEALTHY


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0, 40), st.floats(0, 100), st.sampled_from(Watch))
def test_every_answer_says_why(before: float, after: float, hours: float, more: float, watch: Watch) -> None:
    seen = Observation((track(before, after, hours=hours),), hours, timedelta(hours=hours + more), watch)
    made = verify.assess(seen, POLICY)
    assert made.reasons and len(made.signals) == 1
    for reason in made.reasons:
        assert sentences.reason(reason, group="verify") != sentences.say("generic")
    assert not (made.status is Status.HEALTHY and made.left is not None and made.left > POLICY.healed)


def test_a_sensor_that_is_gone_since_the_repair_is_asked_about_and_never_closed_over() -> None:
    """The other signals are well; the one that convinced nobody can see."""
    seen = track(2.0, 0.0)
    gone = Track(9, 1.0, 1, np.full(144, 2.0), np.empty(0), np.empty(0), "bearing_temp")
    assert judge(seen, gone) is Status.RUNNING
    assert judge(seen, gone, elapsed_h=80) is Status.NEEDS_PERSON
    assessment = verify.assess(Observation((seen, gone), 20, 80 * HOUR, Watch.QUIET), POLICY)
    assert "bearing_temp" in sentences.reason(assessment.reasons[0], group="verify")["en"]
    now_and_then = Track(9, 1.0, 1, np.full(144, 2.0), np.zeros(60), np.arange(1, 61) / 3, "bearing_temp")
    assert judge(seen, now_and_then) is Status.RUNNING  # a quarter of the data is no proof
    assert judge(track(2.0, 2.0), gone) is Status.UNHEALTHY  # what is seen may still be ill
    assert judge(seen, Track(9, 1.0, 1, np.empty(0), np.empty(0), np.empty(0))) is Status.HEALTHY  # never seen
