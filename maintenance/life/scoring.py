"""What became of a prediction, as a score; and many scores as a calibration. Pure.

A failure scores fully. A machine that was repaired in time, or of which nothing more is known, lived at least until
then: that can refute a prediction (it outlived P90), never confirm it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from maintenance.model import Forecast
from plant.model import Floats

LEVELS = (0.1, 0.5, 0.9)
LEAST_LIVES = 20  # failures of different machines or times before their record corrects what is said


class Outcome(StrEnum):
    FAILED = "failed"
    FOUND = "found"  # the fault was there and was repaired before it failed
    CENSORED = "censored"


@dataclass(frozen=True, slots=True)
class Score:
    """``held``: inside P10..P90 (None: cannot be told). ``pinball_h`` hours and ``place`` 0..1 (in what the model
    itself said) only of failures."""

    held: bool | None
    pinball_h: float | None
    place: float | None


def score(forecast: Forecast, *, lived_h: float, outcome: Outcome) -> Score:
    """Score a forecast by the hours the machine lived after it was made (≥ 0)."""
    if outcome is not Outcome.FAILED:
        return Score(False if lived_h > forecast.p90_h else None, None, None)
    said = np.array([forecast.p10_h, forecast.p50_h, forecast.p90_h])
    place = float(uncorrected(forecast).failure(np.array([lived_h]))[0])
    return Score(bool(forecast.p10_h <= lived_h <= forecast.p90_h), float(np.mean(pinball(said, lived_h))), place)


def uncorrected(forecast: Forecast) -> Forecast:
    """What the model itself said; corrections are learnt from that, not from one another."""
    if forecast.base_h is None:
        return forecast
    p10, p50, p90 = forecast.base_h
    return replace(forecast, p10_h=p10, p50_h=p50, p90_h=p90, base_h=None)


def pinball(said_h: Floats, lived_h: float) -> Floats:
    """Loss of the quantiles LEVELS: what is missed, weighted so that the true quantile costs least (Koenker 1978)."""
    missed, levels = lived_h - said_h, np.array(LEVELS)
    return np.maximum(levels * missed, (levels - 1.0) * missed)


@dataclass(frozen=True, slots=True)
class Places:
    """Where failures fell in what had been said of them (probability integral transform), a weight each.

    A life spoken of a hundred times counts once: ``weight`` sums to 1 over each life, ``lives`` is their number.
    """

    place: Floats
    weight: Floats
    lives: int


def corrected(forecast: Forecast, places: Places) -> Forecast:
    """The forecast with its quantiles moved to where such failures really fell (conformal, by rank).

    Unchanged before LEAST_LIVES lives; P10 ≤ P50 ≤ P90 stays, and the probability within the horizon follows.
    """
    if places.lives < LEAST_LIVES:
        return forecast
    levels = [_rank(places, level) for level in LEVELS]
    p10, p50, p90 = (float(each) for each in np.maximum.accumulate(forecast.moment(np.array(levels))))
    base = (forecast.p10_h, forecast.p50_h, forecast.p90_h)
    moved = replace(forecast, p10_h=p10, p50_h=p50, p90_h=p90, base_h=base)
    return replace(moved, p_fail=float(moved.failure(np.array([forecast.horizon_h]))[0]))


def places(rows: Sequence[tuple[int, float]]) -> Places:
    """From (life, place) of every prediction that a failure scored."""
    if not rows:
        return Places(np.empty(0), np.empty(0), 0)
    lives, place = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], np.float64)
    _, number, count = np.unique(lives, return_inverse=True, return_counts=True)
    order = np.argsort(place, kind="stable")
    return Places(place[order], (1.0 / count[number])[order], len(count))


def _rank(known: Places, level: float) -> float:
    """The place below which a share ``level`` of failures fell, as far out again as one more life asks."""
    shares = np.cumsum(known.weight) / known.weight.sum()
    beyond = 0.5 / (known.lives + 1.0)
    careful = level + (beyond if level > 0.5 else -beyond if level < 0.5 else 0.0)
    at = int(np.searchsorted(shares, min(max(careful, 0.0), 1.0)))
    return float(known.place[min(at, len(shares) - 1)])
