"""Several signals at once: the same verdicts however the rows are cut, faults found alone and against the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.stream.baseline import Baseline, variance_ratio
from detectors.stream.multivariate import Start, StreamJudge, Verdicts
from detectors.stream.parameters import DEFAULT
from plant.model import Floats

LEARNT, JUDGED = 400, 600


def machine(rows: int, *, seed: int = 0) -> Floats:
    """Load and what follows it: a current, a flow, and a temperature that wanders by itself."""
    chance = np.random.default_rng(seed)
    load = chance.normal(size=rows)
    wandering = np.cumsum(chance.normal(scale=0.1, size=rows))
    noise = chance.normal(scale=0.1, size=(rows, 2))
    return np.column_stack([load, 2.0 * load + noise[:, 0], 5.0 - load + noise[:, 1], 60.0 + wandering])


ROWS = machine(LEARNT + JUDGED)
BASELINE = Baseline.learn(ROWS[:LEARNT])


def verdicts(rows: Floats, *, baseline: Baseline = BASELINE) -> Verdicts:
    return StreamJudge(baseline, start=Start.AFTER_BASELINE).update(rows)


def broken(column: int, by: float, *, start: int = 200, end: int = JUDGED) -> Floats:
    rows = ROWS[LEARNT:].copy()
    rows[start:end, column] += by
    return rows


def test_a_healthy_machine_is_left_alone() -> None:
    found = verdicts(ROWS[LEARNT:])
    assert not found.state.any() and not found.changed.any()
    assert found.shares.sum(axis=1) == pytest.approx(np.ones(JUDGED))


def test_on_a_healthy_machine_a_surprise_is_as_rare_as_it_says() -> None:
    rows = machine(30_000 + LEARNT, seed=3)
    found = verdicts(rows[LEARNT:], baseline=Baseline.learn(rows[:LEARNT])).surprise
    assert np.mean(found >= 1.0) == pytest.approx(0.1, rel=0.2)
    assert np.mean(found >= 2.0) == pytest.approx(0.01, rel=0.3)


def test_a_fault_that_only_the_other_signals_show_is_found_and_named() -> None:
    rows = broken(1, 0.6)  # a third of the signal's own spread
    found = verdicts(rows)
    assert not found.state[:200].any() and found.state[215:].mean() > 0.95
    assert found.shares[220:, 1].mean() > 0.4 > found.shares[220:, 3].mean()
    assert found.changed[200:220].any() and not found.changed[:200].any()


def test_a_fault_ends_when_it_is_over_and_the_change_back_is_told() -> None:
    found = verdicts(broken(2, 3.0, start=200, end=300))
    assert found.state[215:300].all() and not found.state[330:].any()
    assert found.changed[200:215].any() and found.changed[300:315].any()


def test_a_signal_that_wanders_is_believed_less() -> None:
    assert variance_ratio(ROWS[:LEARNT])[3] > 10.0 > 2.0 > variance_ratio(ROWS[:LEARNT])[0]
    spread = BASELINE.spread[:4] * BASELINE.scale
    assert spread[3] > 5.0 * ROWS[:LEARNT, 3].std()


def test_the_regression_is_doubted_where_it_was_not_learnt() -> None:
    rows = ROWS[LEARNT:].copy()
    rows[200:] += np.array(
        [6.0, 12.0, -6.0, 0.0]
    )  # a load never seen: the law holds, the coefficients are a little off
    unlike = replace(BASELINE, parameters=replace(DEFAULT, doubt=0.0))
    residual_only = replace(unlike, spread=np.where(np.arange(8) < 4, np.inf, BASELINE.spread))
    doubting = replace(residual_only, parameters=DEFAULT)
    assert (
        verdicts(rows, baseline=doubting).evidence[230:].max()
        < verdicts(rows, baseline=residual_only).evidence[230:].max()
    )


def test_missing_values_say_nothing() -> None:
    rows = ROWS[LEARNT:].copy()
    rows[100:300, 1] = np.nan
    found = verdicts(rows)
    assert not found.state.any() and np.isfinite(found.evidence).all() and np.isfinite(found.surprise).all()
    assert verdicts(np.full((50, 4), np.nan)).evidence.max() < 4.5


def test_a_signal_that_stood_still_in_the_baseline_is_never_judged() -> None:
    rows = np.column_stack([ROWS, np.full(len(ROWS), 7.0)])
    rows[LEARNT + 200 :, 4] = 9.0
    found = verdicts(rows[LEARNT:], baseline=Baseline.learn(rows[:LEARNT]))
    assert not found.state.any() and found.shares[:, 4].max() == 0.0


def test_a_baseline_of_a_few_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 40 rows"):
        Baseline.learn(ROWS[:39])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, JUDGED), max_size=5), st.integers(0, 3))
def test_cutting_a_stream_anywhere_changes_no_verdict(cuts: list[int], column: int) -> None:
    rows = broken(column, 2.0)
    whole, judge = verdicts(rows), StreamJudge(BASELINE, start=Start.AFTER_BASELINE)
    parts = [judge.update(part) for part in np.split(rows, sorted(cuts))]
    for name in ("evidence", "surprise", "state", "changed", "shares"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))


@settings(max_examples=10, deadline=None)
@given(st.integers(1, JUDGED))
def test_what_comes_later_changes_no_verdict_and_a_dumped_judge_goes_on(end: int) -> None:
    rows = broken(1, 2.0)
    whole, judge = verdicts(rows), StreamJudge(BASELINE, start=Start.AFTER_BASELINE)
    first = judge.update(rows[:end])
    np.testing.assert_array_equal(first.evidence, whole.evidence[:end])
    np.testing.assert_array_equal(first.state, whole.state[:end])
    twin = StreamJudge(BASELINE)
    twin.load(judge.dump())
    np.testing.assert_array_equal(twin.update(rows[end:]).surprise, whole.surprise[end:])


def test_an_afresh_run_knows_nothing_of_the_end_of_the_baseline() -> None:
    late = ROWS[:LEARNT].copy()
    late[-50:] += 3.0
    baseline = Baseline.learn(late)
    fresh = StreamJudge(baseline).update(ROWS[LEARNT:])
    assert fresh.evidence[0] < verdicts(ROWS[LEARNT:], baseline=baseline).evidence[0]
