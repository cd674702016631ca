"""All signals of an asset together: Hotelling's T² on the memories of the residuals (MEWMA). Pure.

Several signals that each move a little, or two that move against their habit, are more than any of them alone.
Sources: Lowry et al., A multivariate EWMA control chart (1992); shrinkage of the correlation as in Ledoit and Wolf.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from detectors import bank, calibrate, scoring
from detectors.context import Residuals
from detectors.jit import inner, kernel
from detectors.machine import MachineDetector
from detectors.pace import Pace, long_reach, short_reach
from detectors.snapshot import Array
from plant.model import Floats, Int64s, Signal

NAME = "multivariate"
VERSION = "1"
TAILS = 2
WINSOR = 4.0
SHRINK = 0.3
REFRESH_ROWS = 256  # healthy rows between two inversions of the correlation
MEMORY_ROWS = 3_000.0


class MultivariateScorer:
    """T² of the short and of the long memories as calibrated surprise."""

    name = NAME

    def __init__(self, signals: int, pace: Pace) -> None:
        self._pace = pace
        self._spread = scoring.empty_spread(signals)
        self._tails = calibrate.empty(TAILS)
        self._correlation = np.eye(signals)
        self._inverse = np.eye(signals)
        self._rows = np.zeros(1, dtype=np.int64)

    def score(self, residuals: Residuals) -> Floats:
        nominal = _nominal(
            self._pace,
            residuals.row,
            residuals.evidence,
            residuals.learns,
            self._spread,
            self._correlation,
            self._inverse,
            self._rows,
        )
        judged = np.asarray(residuals.judged.any(axis=1))
        return calibrate.calibrate_rows(self._tails, nominal, judged, float(2 * self._pace.persist_rows))

    def arrays(self) -> Mapping[str, Array]:
        return {
            f"{NAME}.spread": self._spread,
            f"{NAME}.tails": self._tails,
            f"{NAME}.correlation": self._correlation,
            f"{NAME}.inverse": self._inverse,
            f"{NAME}.rows": self._rows,
        }


def create(*, asset_id: int, site_id: int, asset_class: str, signals: Sequence[Signal]) -> MachineDetector:
    """T² alone as a detector of one asset (see ``DetectorFactory``)."""
    return MachineDetector(
        NAME,
        VERSION,
        asset_id=asset_id,
        site_id=site_id,
        asset_class=asset_class,
        signals=signals,
        scorers=(MultivariateScorer,),
    )


@kernel
def _nominal(
    pace: Pace,
    count: Int64s,
    evidence: Floats,
    learns: npt.NDArray[np.bool_],
    spread: Floats,
    correlation: Floats,
    inverse: Floats,
    rows: Int64s,
) -> Floats:
    """Nominal surprise float64[n, TAILS]; NaN until the spreads mean something."""
    n, k, _ = evidence.shape
    nominal = np.full((n, TAILS), np.nan)
    short = np.zeros(k)
    long = np.zeros(k)
    for i in range(n):
        freedom = 0
        short_rows, long_rows = short_reach(pace, count[i]), long_reach(pace, count[i])
        for j in range(k):
            row = evidence[i, j]
            short[j] = 0.0
            long[j] = 0.0
            if np.isfinite(row[bank.LONG]) and spread[j, scoring.COUNT] >= long_rows:
                freedom += 1
                short[j] = scoring.deviate(spread[j], row[bank.SHORT], scoring.SHORT, short_rows)
                long[j] = scoring.deviate(spread[j], row[bank.LONG], scoring.LONG, long_rows)
        if freedom > 0:
            nominal[i, 0] = calibrate.chi2_surprise(_distance(inverse, short), freedom)
            nominal[i, 1] = calibrate.chi2_surprise(_distance(inverse, long), freedom)
        if learns[i]:
            _learn(evidence[i], spread, correlation, inverse, rows, long_rows)
    return nominal


@inner
def _distance(inverse: Floats, t: Floats) -> float:
    total = 0.0
    for a in range(len(t)):
        for b in range(len(t)):
            total += t[a] * inverse[a, b] * t[b]
    return total


@inner
def _learn(
    evidence: Floats,
    spread: Floats,
    correlation: Floats,
    inverse: Floats,
    rows: Int64s,
    long_rows: float,
) -> None:
    k = len(spread)
    rows[0] += 1
    rate = max(1.0 / (rows[0] + 30.0), 1.0 / MEMORY_ROWS)
    for a in range(k):
        scoring.learn_spread(spread[a], evidence[a], long_rows)
        for b in range(k):
            x, y = evidence[a, bank.DEVIATION], evidence[b, bank.DEVIATION]
            if np.isfinite(x) and np.isfinite(y):
                product = min(max(x, -WINSOR), WINSOR) * min(max(y, -WINSOR), WINSOR)
                correlation[a, b] += rate * (product - correlation[a, b])
    if rows[0] % REFRESH_ROWS == 0 or rows[0] == REFRESH_ROWS // 8:
        _invert(_shrunk(correlation), inverse)


@inner
def _shrunk(correlation: Floats) -> Floats:
    """Correlation matrix, shrunk towards independence so that it is safe to invert."""
    k = len(correlation)
    shrunk = np.zeros((k, k))
    for a in range(k):
        shrunk[a, a] = 1.0
        for b in range(k):
            if a != b:
                size = np.sqrt(max(correlation[a, a], 1e-6) * max(correlation[b, b], 1e-6))
                rho = min(max(correlation[a, b] / size, -1.0), 1.0)
                shrunk[a, b] = (1.0 - SHRINK) * rho
    return shrunk


@inner
def _invert(matrix: Floats, inverse: Floats) -> None:
    """Gauss and Jordan without pivoting: safe for a positive definite matrix, and compiles in no time."""
    k = len(matrix)
    for a in range(k):
        for b in range(k):
            inverse[a, b] = 1.0 if a == b else 0.0
    for a in range(k):
        scale = 1.0 / matrix[a, a]
        for b in range(k):
            matrix[a, b] *= scale
            inverse[a, b] *= scale
        for c in range(k):
            if c != a:
                factor = matrix[c, a]
                for b in range(k):
                    matrix[c, b] -= factor * matrix[a, b]
                    inverse[c, b] -= factor * inverse[a, b]
