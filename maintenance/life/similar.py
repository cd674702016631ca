"""Remaining life by the machines of the class that went the same way before. Pure.

    damage so far ──> aligned with each past curve where it had come as far ──> what was left there, by likeness
                                                   growth laws beside them ──┘  (a few lives are few)

Source: trajectory similarity (Wang, Yu, Siegel and Lee 2008), as a mixture whose members are log-normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from maintenance.model import Forecast
from plant.model import Floats

MODEL, VERSION = "fleet-similarity", "1"
LEAST_PAST = 3
LAWS_COUNT = 3.0  # lives that the growth laws weigh
LOOKS = np.linspace(0.0, 1.0, 9)  # back over the span seen
LIKE = 0.08  # of damage: curves further apart than this are hardly alike
SCATTER = 0.25  # of ln(hours left) between machines that look the same
GRID = (np.arange(40) + 0.5) / 40  # of probability
LEAST_H = 0.01


@dataclass(frozen=True, slots=True)
class Past:
    """One machine's way to its failure: ``damage`` (0 new … 1 failed) float64[n] at ascending ``at_h``, and its end."""

    at_h: Floats
    damage: Floats
    end_h: float


def forecast(at_h: Floats, health: Floats, past: Sequence[Past], *, laws: Forecast) -> Forecast | None:
    """The laws' forecast, drawn towards what was left of similar machines; None with fewer than LEAST_PAST of them.

    ``health`` (1 … 0) float64[n] at ascending ``at_h`` float64[n], n ≥ 2, the last one now.
    """
    known = np.isfinite(health)
    if len(past) < LEAST_PAST or known.sum() < 2:
        return None
    at_h, damage = at_h[known], np.maximum.accumulate(1.0 - np.clip(health[known], 0.0, 1.0))
    left, weight = np.array([_aligned(at_h, damage, each) for each in past]).T
    hours = np.concatenate([(np.maximum(left, LEAST_H)[:, None] * np.exp(SCATTER * ndtri(GRID))).ravel(),
                            laws.moment(GRID)])  # fmt: skip
    weights = np.concatenate([np.repeat(weight, len(GRID)), np.full(len(GRID), LAWS_COUNT)])
    return _of(hours, weights, laws)


def _aligned(at_h: Floats, damage: Floats, past: Past) -> tuple[float, float]:
    """(hours left where ``past`` had come as far, likeness 0..1 of the way there)."""
    worn = np.maximum.accumulate(past.damage)
    reached = float(np.interp(damage[-1], worn, past.at_h)) if worn[-1] > worn[0] else float(past.at_h[-1])
    back = LOOKS * (at_h[-1] - at_h[0])
    mine = np.interp(at_h[-1] - back, at_h, damage)
    theirs = np.interp(reached - back, past.at_h, worn)
    return max(past.end_h - reached, 0.0), float(np.exp(-0.5 * np.mean((mine - theirs) ** 2) / LIKE**2))


def _of(hours: Floats, weights: Floats, laws: Forecast) -> Forecast:
    order = np.argsort(hours, kind="stable")
    shares = np.cumsum(weights[order]) / weights.sum()
    at = np.minimum(np.searchsorted(shares, (0.1, 0.5, 0.9)), len(hours) - 1)
    p10, p50, p90 = (float(each) for each in hours[order][at])
    within = min(float(weights[hours <= laws.horizon_h].sum() / weights.sum()), 1.0)
    return Forecast(p10, p50, p90, within, laws.horizon_h, MODEL, VERSION)
