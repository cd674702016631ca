"""Scores of any scale and tail become surprises that mean what they say, and the asked rate is what comes."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.stream import calibrator
from detectors.stream.parameters import DEFAULT
from plant.model import Floats

ROWS = 40_000
CHANCE = np.random.default_rng(7)
NORMAL = {
    "normal": np.abs(CHANCE.normal(size=ROWS)),
    "heavy": np.abs(CHANCE.standard_t(3, size=ROWS)),
    "many": CHANCE.chisquare(40, size=ROWS),
    "tiny": 1e-3 * CHANCE.exponential(size=ROWS),
    "huge": 1e4 * CHANCE.exponential(size=ROWS),
}


def surprises(raw: Floats) -> Floats:
    return calibrator.surprises(calibrator.empty(1, DEFAULT)[0], raw)


@pytest.mark.parametrize("name", NORMAL)
def test_a_surprise_is_as_rare_as_it_says(name: str) -> None:
    found = surprises(NORMAL[name])[1000:]
    assert np.mean(found >= 1.0) == pytest.approx(0.1, rel=0.15)
    assert np.mean(found >= 2.0) == pytest.approx(0.01, rel=0.25)
    assert 0.0003 < np.mean(found >= 3.0) < 0.002


def test_farther_out_is_more_surprising_however_far() -> None:
    state = calibrator.empty(1, DEFAULT)[0]
    calibrator.surprises(state, NORMAL["normal"])
    twin = [calibrator.surprises(state.copy(), np.array([raw]))[0] for raw in (1.0, 3.0, 5.0, 8.0, 20.0, 100.0)]
    assert twin == sorted(twin) and len(set(twin)) == len(twin)


def test_it_scores_and_then_learns() -> None:
    whole = surprises(NORMAL["heavy"][:3000])
    assert np.array_equal(whole[:1234], surprises(NORMAL["heavy"][:1234]))


def test_a_missing_score_gives_none_and_teaches_nothing() -> None:
    raw = NORMAL["normal"][:2000]
    holes = np.insert(raw, np.arange(0, 2000, 7), np.nan)
    found = surprises(holes)
    assert np.array_equal(found[np.isfinite(holes)], surprises(raw))
    assert np.isnan(found[np.isnan(holes)]).all()


def test_a_long_fault_does_not_become_normal() -> None:
    raw = NORMAL["normal"][:6000].copy()
    raw[3000:4000] = 9.0
    found = surprises(raw)
    assert (found[3000:4000] > 2.0).mean() > 0.95
    assert np.mean(found[4000:] >= 2.0) > 0.003  # and what is rare stays rare


def test_the_rate_got_is_the_rate_asked_even_where_the_surprise_is_wrong() -> None:
    walk = np.convolve(CHANCE.normal(size=ROWS + 19), np.ones(20) / 20, "valid")
    drifting = np.abs(walk) * np.linspace(1.0, 2.0, ROWS)
    found = surprises(drifting)
    for rate in (0.003, 0.01):
        told = calibrator.alarms(calibrator.empty_limit(DEFAULT), found, rate)[1000:]
        assert told.mean() == pytest.approx(rate, rel=0.25)


def test_a_fault_does_not_silence_the_limit() -> None:
    found = surprises(np.concatenate([NORMAL["normal"][:5000], np.full(3000, 30.0)]))
    told = calibrator.alarms(calibrator.empty_limit(DEFAULT), found, 0.001)
    assert told[5000:5500].mean() > 0.95
