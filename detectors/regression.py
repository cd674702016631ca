"""Recursive least squares with leverage, and how wide the healthy spread around it is. Pure, compiled."""

from __future__ import annotations

import numpy as np

from detectors.context_features import since_start
from detectors.context_state import LEARNT, ContextState, Shape
from detectors.jit import inner
from detectors.pace import MINUTE_US, Pace
from plant.model import Floats

WINSOR = 4.0
KNOWN_ROWS = 8  # rows before a residual is given
WINSOR_ROWS = 40  # rows before errors are winsorised
SIGMA_ROWS = 1_000.0
INDEPENDENT_ROWS = 30.0  # a baseline needs as many rows as hold this many independent ones
CONSTANT = 0.94  # a signal that repeats itself more often than this has no spread to judge by
AUTOCORRELATION_ROWS = 500.0
PRIOR_STARTS = 2.0
START_ROWS = 20.0  # weight of one start, in rows a minute


@inner
def dot(a: Floats, b: Floats) -> float:
    """Sum of products in index order: the same to the last bit everywhere."""
    total = 0.0
    for q in range(len(a)):
        total += a[q] * b[q]
    return total


@inner
def leverage_of(covariance: Floats, phi: Floats, gain: Floats) -> float:
    """φᵀPφ; fills ``gain`` float64[p] with Pφ."""
    total = 0.0
    for q in range(len(phi)):
        gain[q] = dot(covariance[q], phi)
        total += gain[q] * phi[q]
    return max(total, 0.0)


@inner
def autocorrelation_factor(s: ContextState) -> float:
    """How many rows count as one independent row, averaged over the signals."""
    total = 0.0
    count = 0
    for j in range(len(s.signals)):
        if s.signals[j]["vary"] > 0:
            total += s.signals[j]["covary"] / s.signals[j]["vary"]
            count += 1
    rho = min(max(total / max(count, 1), 0.0), 0.98)
    return (1.0 + rho) / (1.0 - rho)


@inner
def unfamiliarity(shape: Shape, s: ContextState, leverage: float) -> float:
    """How much wider the spread is in a context seldom seen; 1 in usual ones.

    Leverage is set against its mean on the rows learnt, p/n: a model's bias grows with it long before its variance
    does.
    """
    usual = shape.features / max(s.counters[LEARNT], 1)
    return float(np.sqrt(max(leverage / usual - 1.0, 1.0)))


@inner
def transient_factor(pace: Pace, shape: Shape, s: ContextState, j: int) -> float:
    """How much wider the spread is after a start, as far as the starts seen so far tell."""
    cold = since_start(shape, s)
    prior = PRIOR_STARTS * START_ROWS * MINUTE_US / pace.step_us
    variance = (s.starts[j, 0] + shape.start_spread[j] ** 2 * prior) / (s.starts[j, 1] + prior)
    return float(np.sqrt(1.0 + variance * cold * cold))


@inner
def spread_known(shape: Shape, s: ContextState, j: int) -> bool:
    """Whether the signal has a residual, and a spread to judge it by."""
    if s.signals[j]["known"] < KNOWN_ROWS or s.signals[j]["sigma"] <= 1e-9 * max(1e-3, abs(s.signals[j]["previous"])):
        return False
    return bool(shape.slow[j] or s.signals[j]["repeats"] <= CONSTANT * s.signals[j]["known"])


@inner
def ready(shape: Shape, s: ContextState, j: int, longer: float) -> bool:
    """Whether the signal's baseline stands."""
    return bool(s.signals[j]["known"] >= shape.warm_rows and s.signals[j]["known"] >= INDEPENDENT_ROWS * longer)


@inner
def learn(pace: Pace, shape: Shape, s: ContextState, y: Floats, phi: Floats, gain: Floats, leverage: float) -> None:
    """One step of recursive least squares, winsorised once the spread is known; NaN signals learn nothing."""
    scale = 1.0 / (1.0 + leverage)
    for j in range(len(s.signals)):
        if np.isfinite(y[j]):
            error = _learn_spread(pace, shape, s, y[j], phi, scale, j)
            for q in range(len(phi)):
                s.weights[j, q] += gain[q] * scale * error
    for q in range(len(phi)):
        for r in range(q + 1):
            s.covariance[q, r] -= gain[q] * gain[r] * scale
            s.covariance[r, q] = s.covariance[q, r]
    s.counters[LEARNT] += 1


@inner
def _learn_spread(pace: Pace, shape: Shape, s: ContextState, y: float, phi: Floats, scale: float, j: int) -> float:
    """Learn the size of the error of signal ``j``; returns the winsorised error itself."""
    if s.signals[j]["known"] == 0:
        s.weights[j, 0] = y
    if y == s.signals[j]["previous"]:
        s.signals[j]["repeats"] += 1
    s.signals[j]["previous"] = y
    s.signals[j]["known"] += 1
    error = y - dot(s.weights[j], phi)
    size = abs(error) * np.sqrt(scale)
    factor = transient_factor(pace, shape, s, j)
    if s.signals[j]["known"] > WINSOR_ROWS and s.signals[j]["sigma"] > 0:
        _learn_start(shape, s, size / s.signals[j]["sigma"], j)
        limit = WINSOR * s.signals[j]["sigma"] * factor
        if size > limit:
            error *= limit / size
            size = limit
    if s.signals[j]["known"] > 2:
        rate = max(1.0 / (s.signals[j]["known"] - 2), 1.0 / SIGMA_ROWS)
        s.signals[j]["sigma"] += rate * (1.2533 * size / factor - s.signals[j]["sigma"])
    return float(error)


@inner
def _learn_start(shape: Shape, s: ContextState, size: float, j: int) -> None:
    """``size``: error in steady sigmas, leverage taken out."""
    cold = since_start(shape, s)
    if cold > 0.1:
        excess = max(min(size, 20.0) ** 2 - 1.0, 0.0)
        s.starts[j, 0] += cold * cold * excess
        s.starts[j, 1] += cold**4


@inner
def break_chain(s: ContextState) -> None:
    """The next row does not follow this one."""
    for j in range(len(s.signals)):
        s.signals[j]["previous_z"] = np.nan


@inner
def learn_autocorrelation(s: ContextState, z: Floats) -> None:
    """Lag-one autocovariance of the standardised residuals; NaN breaks the chain."""
    rate = max(1.0 / AUTOCORRELATION_ROWS, 1.0 / (s.counters[LEARNT] + 1.0))
    for j in range(len(z)):
        now = min(max(z[j], -WINSOR), WINSOR)
        if np.isfinite(now):
            s.signals[j]["vary"] += rate * (now * now - s.signals[j]["vary"])
            if np.isfinite(s.signals[j]["previous_z"]):
                s.signals[j]["covary"] += rate * (now * s.signals[j]["previous_z"] - s.signals[j]["covary"])
        s.signals[j]["previous_z"] = now
