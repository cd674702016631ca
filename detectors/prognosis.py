"""Remaining useful life from a health curve, with an interval. Pure; chance comes in as a seed.

Degradation d = 1 − health is modelled as a power of time since its onset, d = a·tᵇ, for several shapes b at once
(Gebraeel et al., residual-life distributions from degradation signals, 2005, use the exponential of the same idea).
Each shape weighs as much as its fit earns; scale and onset are drawn from their uncertainty; the functional limit is
d = 1. The quantiles are of that mixture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plant.model import Floats

MODEL = "power-trend"
VERSION = "1"
SHAPES = np.array([0.7, 1.0, 1.5, 2.0, 3.0])
FEWEST_POINTS = 4
MOST_INDEPENDENT = 12.0  # neighbouring points of a smoothed curve say nearly the same
LEAST_SCALE_ERROR = 0.15  # of a: no curve is a power law to the last digit
LEAST_NOISE = 0.01  # of health
ONSET_ERROR = 0.1  # of the time since onset: the detector notices late
DRAWS = 400


@dataclass(frozen=True, slots=True)
class RemainingLife:
    """Quantiles of the remaining life in hours from ``now``, and the probability of failure within the horizon."""

    p10_h: float
    p50_h: float
    p90_h: float
    p_fail_horizon: float
    model: str
    version: str


def remaining_life(at_h: Floats, health: Floats, *, now_h: float, horizon_h: float, seed: int) -> RemainingLife | None:
    """When a health curve reaches 0.

    ``at_h`` float64[n] hours, rising, beginning at the onset of the deviation; ``health`` float64[n], 1 as new … 0 at
    the functional limit; NaN is left out. ``now_h`` on the same axis. None when there are fewer than four points or
    the curve does not fall.

    >>> hours = np.arange(0.0, 50.0, 5.0)
    >>> life = remaining_life(hours, 1 - hours / 100, now_h=45.0, horizon_h=48.0, seed=1)
    >>> life is not None and 40 < life.p50_h < 70 and life.p10_h <= life.p50_h <= life.p90_h
    True
    """
    known = np.isfinite(at_h) & np.isfinite(health)
    hours = at_h[known] - (at_h[known][0] if known.any() else 0.0)
    damage = np.clip(1.0 - health[known], 0.0, 2.0)
    if len(hours) < FEWEST_POINTS or hours[-1] <= 0.0 or not _falls(hours, damage):
        return None
    ends = _failure_times(hours, damage, np.random.default_rng(seed))
    left = np.maximum(ends - (now_h - at_h[known][0]), 0.0)
    if damage[-1] >= 1.0:
        left = np.minimum(left, 0.0)
    p10, p50, p90 = (float(q) for q in np.quantile(left, [0.1, 0.5, 0.9]))
    return RemainingLife(p10, p50, p90, float(np.mean(left <= horizon_h)), MODEL, VERSION)


def _falls(hours: Floats, damage: Floats) -> bool:
    """Whether the later half is worse than the earlier by more than its own scatter."""
    half = len(hours) // 2
    early, late = damage[:half], damage[half:]
    scatter = float(np.std(damage) / np.sqrt(len(damage)))
    return bool(np.median(late) > np.median(early) + 0.1 * scatter and np.median(late) > 0.0)


def _failure_times(hours: Floats, damage: Floats, rng: np.random.Generator) -> Floats:
    """Draws of the time from onset to d = 1, float64[DRAWS], hours."""
    weight = 0.25 + 0.75 * hours / hours[-1]  # the recent course says most about the coming one
    scales, errors, misfits = (np.empty(len(SHAPES)) for _ in range(3))
    for i, shape in enumerate(SHAPES):
        x = hours**shape
        power = float(np.sum(weight * x * x))
        scales[i] = np.sum(weight * x * damage) / power
        misfits[i] = np.sum(weight * (damage - scales[i] * x) ** 2) / np.sum(weight) + LEAST_NOISE**2
        errors[i] = np.sqrt(misfits[i] * np.sum(weight) / power / min(len(hours), MOST_INDEPENDENT))
    independent = min(float(len(hours)), MOST_INDEPENDENT)
    chance = (misfits / misfits.min()) ** (-independent / 2.0)
    chosen = rng.choice(len(SHAPES), size=DRAWS, p=chance / chance.sum())
    spread = np.hypot(errors[chosen], LEAST_SCALE_ERROR * scales[chosen])
    scale = np.maximum(scales[chosen] + spread * rng.standard_normal(DRAWS), 1e-3 * scales[chosen])
    shift = ONSET_ERROR * hours[-1] * rng.uniform(-1.0, 1.0, DRAWS)
    ends: Floats = np.maximum((1.0 / scale) ** (1.0 / SHAPES[chosen]) + shift, 0.0)
    return ends
