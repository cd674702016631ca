"""Surprise: one meaning for every detector."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from detectors import calibrate
from plant.model import Floats

PATIENCE = 60.0


def calibrated(nominal: Floats, state: Floats | None = None) -> Floats:
    state = calibrate.empty(1) if state is None else state
    return calibrate.calibrate_rows(state, nominal[:, None], np.ones(len(nominal), np.bool_), PATIENCE)


@pytest.mark.parametrize("t", [0.0, 0.5, 2.0, 5.0, 7.99, 8.01, 20.0])
def test_normal_tail(t: float) -> None:
    wanted = -(stats.norm.logsf(t) + math.log(2)) / math.log(10)
    assert calibrate.calibrate_rows(calibrate.empty(1), np.zeros((1, 1)), np.ones(1, np.bool_), 1.0)[0] == 0.0
    assert calibrate.normal_surprise.py_func(t) == pytest.approx(wanted, rel=1e-3, abs=1e-9)  # type: ignore[attr-defined]


def test_an_exact_score_is_left_alone() -> None:
    """Independent rows of a model that is right: surprise s comes once in 10**s rows."""
    rng = np.random.default_rng(1)
    nominal = rng.exponential(calibrate.NOMINAL_EXCESS, 200_000)
    surprise = calibrated(nominal)
    for level in (1.0, 2.0, 3.0):
        assert np.mean(surprise[20_000:] >= level) == pytest.approx(10.0**-level, rel=0.3)


def test_heavy_tails_are_tamed() -> None:
    rng = np.random.default_rng(2)
    nominal = rng.exponential(3 * calibrate.NOMINAL_EXCESS, 100_000)
    surprise = calibrated(nominal)
    assert np.mean(nominal >= 3.0) > 0.05
    assert np.mean(surprise[10_000:] >= 3.0) < 0.005


def test_a_quiet_history_makes_nothing_bold() -> None:
    state = calibrate.empty(1)
    calibrated(np.full(50_000, 0.1), state)
    assert calibrated(np.array([2.5]), state)[0] <= 2.5


def test_a_degradation_does_not_teach_itself() -> None:
    """An excursion that never ends stays as alarming as it was."""
    rng = np.random.default_rng(3)
    state = calibrate.empty(1)
    calibrated(rng.exponential(calibrate.NOMINAL_EXCESS, 5_000), state)
    surprise = calibrated(np.linspace(2.5, 9.0, 3_000), state)
    assert surprise[-1] == pytest.approx(9.0, rel=0.1)


def test_a_fault_that_was_repaired_is_no_tail() -> None:
    state = calibrate.empty(1)
    calibrated(np.full(2_000, 0.1), state)
    before = state.copy()
    calibrated(np.concatenate([np.full(500, 9.0), [0.1]]), state)
    assert state[0, calibrate.PEAKS] == before[0, calibrate.PEAKS]
    calibrated(np.concatenate([np.full(10, 9.0), [0.1]]), state)
    assert state[0, calibrate.PEAKS] == before[0, calibrate.PEAKS] + 1
