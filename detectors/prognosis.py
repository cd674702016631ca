"""Health so far → remaining life with its uncertainty. Pure; the same seed gives the same answer.

    damage = 1 − health ──> growth laws (power, exponential; several onsets) ──> weights by fit ──> P10/P50/P90

No single law is believed: each is fitted with one free factor, weighted by how well it explains the curve, and drawn
from with the uncertainty of its factor. Failure is where damage reaches 1, give or take. Sources: Meeker and Escobar,
Statistical Methods for Reliability Data, ch. 13 (degradation paths); Hoeting et al., Bayesian model averaging (1999).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from plant.model import Floats

MODEL, VERSION = "growth-laws", "1"
LEAST_POINTS = 4
LEAST_DAMAGE = 0.02  # below this a trend is noise
POWERS = (1.0, 1.3, 1.6, 2.0, 2.5, 3.0)
RATES = (1.5, 2.5, 3.5)  # exponents over the span seen
LATE = (0.0, 0.15, 0.35, 0.7)  # onset before the first point, in spans seen: faults are found late
INDEPENDENT = 12.0  # neighbouring points say the same: at most this many count
NOISE = 0.02  # least error of one health value
SCATTER = 0.1  # of the remaining life itself: no machine follows a law
LIMIT = 0.12  # and of the damage at which it fails: limits are conventions
DRAWS = 600
LONGEST_SPANS = 100.0


@dataclass(frozen=True, slots=True)
class Life:
    """Remaining life in hours (P10 ≤ P50 ≤ P90, all ≥ 0) and the probability of failure within the horizon."""

    p10_h: float
    p50_h: float
    p90_h: float
    p_fail_horizon: float
    model: str = MODEL
    version: str = VERSION


@dataclass(frozen=True, slots=True)
class _Law:
    """damage(t) = factor · shape(t): its fit to the curve, and when damage reaches 1."""

    onset_h: float
    span_h: float
    power: float | None  # None: exponential
    rate: float
    factor: float
    factor_sd: float
    misfit: float  # mean squared error

    def failure_h(self, factors: Floats, limits: Floats) -> Floats:
        """Time at which damage reaches the limit, for each factor and limit (> 0)."""
        level = limits / factors
        if self.power is not None:
            return np.asarray(self.onset_h + self.span_h * level ** (1.0 / self.power), np.float64)
        return np.asarray(self.onset_h + self.span_h * np.log1p(level) / self.rate, np.float64)


def remaining_life(at_h: Floats, health: Floats, *, now_h: float, horizon_h: float, seed: int) -> Life | None:
    """Remaining life at ``now_h`` from health (1 = as new … 0 = functional limit) at ascending times ``at_h``.

    None while there is too little to go by: fewer than ``LEAST_POINTS`` points, no time between them, or no damage.
    """
    known = np.isfinite(health)
    at_h, damage = at_h[known], 1.0 - np.clip(health[known], 0.0, 1.0)
    if len(at_h) < LEAST_POINTS or at_h[-1] <= at_h[0] or damage[-1] < LEAST_DAMAGE:
        return None
    laws = list(_laws(at_h, damage))
    left = np.sort(np.maximum(_draw(laws, at_h, now_h, np.random.default_rng(seed)), 0.0))
    p10, p50, p90 = (float(v) for v in np.quantile(left, (0.1, 0.5, 0.9)))
    return Life(p10, p50, p90, float(np.mean(left <= horizon_h)))


def _laws(at_h: Floats, damage: Floats) -> Iterator[_Law]:
    span = float(at_h[-1] - at_h[0])
    weight = np.linspace(0.3, 1.0, len(at_h))  # what was lately counts more
    weight *= len(at_h) / weight.sum()
    for late in LATE:
        onset = float(at_h[0]) - late * span
        u = (at_h - onset) / span
        for power in POWERS:
            yield _fit(u**power, damage, weight, onset, span, power, 0.0)
        for rate in RATES:
            yield _fit(np.expm1(rate * u), damage, weight, onset, span, None, rate)


def _fit(
    shape: Floats, damage: Floats, weight: Floats, onset: float, span: float, power: float | None, rate: float
) -> _Law:
    size = float(np.sum(weight * shape * shape))
    factor = max(float(np.sum(weight * shape * damage)) / size, 1e-9)
    misfit = float(np.mean(weight * (damage - factor * shape) ** 2))
    independent = min(len(damage), INDEPENDENT) / len(damage)
    factor_sd = float(np.sqrt((misfit + NOISE**2) / (size * independent)))
    return _Law(onset, span, power, rate, factor, factor_sd, misfit)


def _draw(laws: list[_Law], at_h: Floats, now_h: float, rng: np.random.Generator) -> Floats:
    """Remaining hours float64[DRAWS], a share from each law by its weight."""
    misfits = np.array([law.misfit for law in laws])
    noise = float(misfits.min()) + NOISE**2
    weights = np.exp(-0.5 * min(len(at_h), INDEPENDENT) * (misfits - misfits.min()) / noise)
    chosen = rng.choice(len(laws), size=DRAWS, p=weights / weights.sum())
    away, scatter = rng.standard_normal(DRAWS), np.exp(SCATTER * rng.standard_normal(DRAWS))
    limits = np.exp(LIMIT * rng.standard_normal(DRAWS))
    span = float(at_h[-1] - at_h[0])
    left = np.empty(DRAWS)
    for number, law in enumerate(laws):
        mine = chosen == number
        factors = np.maximum(law.factor + law.factor_sd * away[mine], 1e-3 * law.factor)
        left[mine] = (law.failure_h(factors, limits[mine]) - now_h) * scatter[mine]
    return np.asarray(np.minimum(left, LONGEST_SPANS * span), np.float64)
