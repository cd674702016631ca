"""Remaining life: honest, ordered, repeatable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.prognosis import remaining_life
from plant.model import Floats


def curve(power: float, life_h: float, share: float, *, seed: int = 0, noise: float = 0.01) -> tuple[Floats, Floats]:
    """Health every half hour of the first ``share`` of a life that ends at ``life_h``."""
    at_h = np.arange(0.0, life_h * share, 0.5)
    damage = (at_h / life_h) ** power + noise * np.random.default_rng(seed).standard_normal(len(at_h))
    return at_h, np.clip(1.0 - damage, 0.0, 1.0)


@given(
    power=st.floats(1.0, 3.0),
    life_h=st.floats(20.0, 500.0),
    share=st.floats(0.2, 1.2),
    seed=st.integers(0, 1000),
    horizons=st.tuples(st.floats(0, 50), st.floats(0, 500)),
)
@settings(max_examples=80, deadline=None)
def test_quantiles_are_ordered_and_probability_grows_with_the_horizon(
    power: float, life_h: float, share: float, seed: int, horizons: tuple[float, float]
) -> None:
    at_h, health = curve(power, life_h, share, seed=seed, noise=0.03)
    near, far = sorted(horizons)
    lives = [remaining_life(at_h, health, now_h=at_h[-1], horizon_h=h, seed=seed) for h in (near, far)]
    if lives[0] is None:
        assert lives[1] is None
        return
    for life in lives:
        assert life is not None
        assert 0.0 <= life.p10_h <= life.p50_h <= life.p90_h
        assert np.isfinite(life.p90_h)
        assert 0.0 <= life.p_fail_horizon <= 1.0
    assert lives[0].p_fail_horizon <= lives[1].p_fail_horizon  # type: ignore[union-attr]


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0, 2.6])
def test_the_interval_covers_the_truth(power: float) -> None:
    covered = 0
    for seed in range(20):
        at_h, health = curve(power, 100.0, 0.7, seed=seed)
        life = remaining_life(at_h, health, now_h=at_h[-1], horizon_h=24.0, seed=seed)
        assert life is not None
        covered += life.p10_h <= 100.0 - at_h[-1] <= life.p90_h
    assert covered >= 14  # of 20 at 80 %


def test_it_narrows_towards_the_end() -> None:
    widths = []
    for share in (0.4, 0.9):
        at_h, health = curve(2.0, 100.0, share)
        life = remaining_life(at_h, health, now_h=at_h[-1], horizon_h=24.0, seed=1)
        assert life is not None
        widths.append(life.p90_h - life.p10_h)
    assert widths[1] < widths[0] / 2


def test_the_same_seed_gives_the_same_answer() -> None:
    at_h, health = curve(1.6, 80.0, 0.6)
    answers = [remaining_life(at_h, health, now_h=at_h[-1], horizon_h=24.0, seed=s) for s in (5, 5, 6)]
    assert answers[0] == answers[1] != answers[2]


def test_time_that_passes_without_news_shortens_life() -> None:
    at_h, health = curve(2.0, 100.0, 0.6)
    now = remaining_life(at_h, health, now_h=at_h[-1], horizon_h=24.0, seed=1)
    later = remaining_life(at_h, health, now_h=at_h[-1] + 20.0, horizon_h=24.0, seed=1)
    assert now is not None
    assert later is not None
    assert later.p50_h == pytest.approx(now.p50_h - 20.0, abs=3.0)
    assert later.p_fail_horizon > now.p_fail_horizon


def test_the_end_is_the_end() -> None:
    at_h, health = curve(1.0, 50.0, 1.3, noise=0.0)
    life = remaining_life(at_h, health, now_h=at_h[-1], horizon_h=24.0, seed=1)
    assert life is not None
    assert life.p50_h == 0.0
    assert life.p_fail_horizon > 0.9


@pytest.mark.parametrize(
    "health", [[], [1.0, 0.9, 0.8], [1.0] * 30, [np.nan] * 30, [0.995] * 30], ids=["none", "few", "new", "nan", "noise"]
)
def test_too_little_to_go_by(health: list[float]) -> None:
    at_h = np.arange(len(health), dtype=np.float64)
    assert remaining_life(at_h, np.array(health, np.float64), now_h=40.0, horizon_h=24.0, seed=1) is None
