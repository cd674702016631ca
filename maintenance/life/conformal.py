"""How far off predictions of this size have been, so that an interval covers what it promises. Pure.

Residuals of predictions made for machines that had no part in the fit (cross-conformal; Vovk 2015, Barber et al. 2021)
are looked up near the predicted value (local conformal, Guan 2023; a smooth form of Mondrian groups): a machine near
its end is known better than a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plant.model import Floats

REACH = 8.0  # steps of predicted life within which residuals speak for one another
LEAST_WEIGHT = 1e-9
TAILS = np.linspace(0.0, 1.0, 11)  # ways to divide what is left out between both ends


@dataclass(frozen=True, slots=True)
class Residuals:
    """What happened less what was predicted, ascending, and what was predicted there; float64[n]."""

    predicted: Floats
    residual: Floats
    lives: float  # how many lives they come from: neighbours of one life are not independent

    @classmethod
    def of(cls, predicted: Floats, happened: Floats, *, lives: float) -> Residuals:
        found = happened - predicted
        order = np.argsort(found, kind="stable")
        return cls(predicted[order], found[order], lives)

    def quantiles(self, predicted: float, levels: Sequence[float]) -> Floats:
        """float64[levels]: what is not exceeded with each probability (ascending levels); never falling."""
        shares = self._shares(predicted)
        wanted = np.array([self._careful(level) for level in levels])
        return np.maximum.accumulate(predicted + self._at(shares, wanted))

    def interval(self, predicted: float, *, holds: float, most: float) -> tuple[float, float]:
        """The shortest (low, high) inside 0..``most`` that holds what happens (cut off there) with that probability."""
        shares, out = self._shares(predicted), 1.0 - holds
        low = predicted + self._at(shares, np.array([self._careful(out * tail) for tail in TAILS]))
        high = predicted + self._at(shares, np.array([self._careful(holds + out * tail) for tail in TAILS]))
        low, high = np.clip(low, 0.0, most), np.clip(high, 0.0, most)
        best = int(np.argmin(high - low))
        return float(low[best]), float(high[best])

    def chance(self, predicted: float, within: float) -> float:
        """P(what happens ≤ ``within``), 0..1."""
        at = int(np.searchsorted(self.residual, within - predicted, side="right"))
        return min(float(self._shares(predicted)[at - 1]), 1.0) if at else 0.0

    def _shares(self, value: float) -> Floats:
        near = np.exp(-0.5 * ((self.predicted - value) / REACH) ** 2) + LEAST_WEIGHT
        return np.asarray(np.cumsum(near) / near.sum(), np.float64)

    def _at(self, shares: Floats, levels: Floats) -> Floats:
        return self.residual[np.minimum(np.searchsorted(shares, levels), len(shares) - 1)]

    def _careful(self, level: float) -> float:
        """Further out than the plain quantile: the machine asked about is one more life that may lie anywhere, its
        share of 1/(lives + 1) divided between both tails (hierarchical conformal; Lee, Barber and Willett 2023)."""
        beyond = 0.5 / (max(self.lives, 1.0) + 1.0)
        if level > 0.5:
            return min(level + beyond, 1.0)
        return max(level - beyond, 0.0) if level < 0.5 else level
