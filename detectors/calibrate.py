"""Scores → surprise: −log10 of a tail probability, the same for every detector. Pure.

A detector gives a *nominal* surprise x (the tail of its own model: Gauss, χ²). Real machines have heavier tails than
models, so x is set against what the healthy machine did before: how often x went over ``OVER``, and how far. Two
rules keep this honest:

- **refractory**: an excursion counts once, with its peak, when it has ended. A degradation, which never ends by
  itself, therefore never teaches that degradations are normal;
- **never bolder than the model**: a quiet history makes no small deviation alarming.

Source: peaks over threshold with an exponential tail (Coles, An Introduction to Statistical Modeling of Extreme
Values, ch. 4), with a prior of the model's own tail.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from detectors.jit import inner, kernel
from plant.model import Floats

OVER = 2.0  # nominal surprise above which the tail is learnt
ENDED = 1.0  # an excursion ends below this
NOMINAL_EXCESS = 1.0 / math.log(10.0)  # mean excess of an exact surprise
PRIOR_PEAKS = 4.0
PRIOR_ROWS = 1_000.0
CAP = 50.0
PEAK_CAP = 8.0  # one peak teaches at most this much
ALARMING = 5.0  # one row in a hundred thousand: findings begin here

# state: rows, rows spent in ended excursions, ended excursions, sum of their excesses, current peak, current length
ROWS, SPENT, PEAKS, EXCESS, PEAK, LENGTH = range(6)
SIZE = 6


def empty(tails: int) -> Floats:
    """State of ``tails`` calibrated scores: float64[tails, SIZE]."""
    return np.zeros((tails, SIZE))


@inner
def surprise(state: Floats, x: float, patience: float) -> float:
    """Calibrated surprise of nominal surprise ``x`` (≥ 0), then learn it; ``state`` is one tail's float64[SIZE].

    An alarming excursion longer than ``patience`` rows is taken for a fault, not for a tail.
    """
    if not np.isfinite(x):
        return np.nan
    share = (state[SPENT] + 0.01 * PRIOR_ROWS) / (state[ROWS] + PRIOR_ROWS)
    base = min(-math.log10(share), OVER)
    mean = (state[EXCESS] + PRIOR_PEAKS * NOMINAL_EXCESS) / (state[PEAKS] + PRIOR_PEAKS)
    scale = NOMINAL_EXCESS / max(mean, NOMINAL_EXCESS)
    calibrated = x * base / OVER if x <= OVER else base + (x - OVER) * scale
    _learn(state, x, patience)
    return float(min(calibrated, CAP))


@inner
def _learn(state: Floats, x: float, patience: float) -> None:
    state[ROWS] += 1.0
    if state[LENGTH] == 0.0:
        if x > OVER:
            state[LENGTH] = 1.0
            state[PEAK] = x
        return
    if x >= ENDED:
        state[LENGTH] += 1.0
        state[PEAK] = max(state[PEAK], x)
        return
    if state[LENGTH] <= patience or state[PEAK] < ALARMING:
        state[SPENT] += state[LENGTH]
        state[PEAKS] += 1.0
        state[EXCESS] += min(state[PEAK], PEAK_CAP) - OVER
    state[LENGTH] = 0.0


@inner
def normal_surprise(t: float) -> float:
    """−log10 P(|Z| > t) of a standard normal Z; the asymptotic series where erfc underflows."""
    a = abs(t)
    if a < 8.0:
        return -math.log10(math.erfc(a / math.sqrt(2.0)))
    tail = a * a / 2.0 + math.log(a * math.sqrt(math.pi / 2.0)) + 1.0 / (a * a)
    return tail / math.log(10.0)


@inner
def chi2_surprise(value: float, freedom: int) -> float:
    """−log10 P(χ²_freedom > value) by Wilson and Hilferty's cube root (1931); 0 when there is no freedom."""
    if freedom <= 0 or value <= 0.0:
        return 0.0
    spread = 2.0 / (9.0 * freedom)
    t = ((value / freedom) ** (1.0 / 3.0) - 1.0 + spread) / math.sqrt(spread)
    if t < 0.0:
        return 0.0
    return max(normal_surprise(t) + math.log10(2.0), 0.0)


@inner
def one_of(x: float, tries: float) -> float:
    """Surprise of the best of ``tries`` scores (Bonferroni), never below 0."""
    return max(x - math.log10(max(tries, 1.0)), 0.0)


@kernel
def calibrate_rows(state: Floats, nominal: Floats, judged: npt.NDArray[np.bool_], patience: float) -> Floats:
    """Best calibrated surprise of each row from ``nominal`` float64[n, tails]; NaN where not judged.

    Rows before the baseline stands teach as well: whatever happens then is healthy, however long it lasts.
    """
    n, tails = nominal.shape
    best = np.full(n, np.nan)
    for i in range(n):
        for tail in range(tails):
            value = surprise(state[tail], nominal[i, tail], patience if judged[i] else np.inf)
            if judged[i] and np.isfinite(value):
                value = one_of(value, float(tails))
                best[i] = value if not np.isfinite(best[i]) else max(best[i], value)
    return best
