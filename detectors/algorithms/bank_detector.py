"""Each signal against its own healthy past: sudden, short and long deviations of its residual. Pure.

Three scores a row, each the worst over the signals: the value itself (tail and novelty), the short memory and the
long one. Slow drifts show in the long memory long before any fixed limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from detectors import bank, calibrate, scoring
from detectors.context import Residuals
from detectors.jit import kernel
from detectors.machine import MachineDetector
from detectors.pace import Pace, long_reach, short_reach
from detectors.snapshot import Array
from plant.model import Floats, Int64s, Signal

NAME = "bank"
VERSION = "1"
TAILS = 3
SEEN = 3.0  # a deviation seen before is worth at most this many sigmas


class BankScorer:
    """The bank's evidence as calibrated surprise."""

    name = NAME

    def __init__(self, signals: int, pace: Pace) -> None:
        self._pace = pace
        self._spread = scoring.empty_spread(signals)
        self._tails = calibrate.empty(TAILS)

    def score(self, residuals: Residuals) -> Floats:
        nominal = _nominal(self._pace, residuals.row, residuals.evidence, residuals.learns, self._spread)
        judged = np.asarray(residuals.judged.any(axis=1))
        return calibrate.calibrate_rows(self._tails, nominal, judged, float(2 * self._pace.persist_rows))

    def arrays(self) -> Mapping[str, Array]:
        return {f"{NAME}.spread": self._spread, f"{NAME}.tails": self._tails}


def create(*, asset_id: int, site_id: int, asset_class: str, signals: Sequence[Signal]) -> MachineDetector:
    """The bank alone as a detector of one asset (see ``DetectorFactory``)."""
    return MachineDetector(
        NAME,
        VERSION,
        asset_id=asset_id,
        site_id=site_id,
        asset_class=asset_class,
        signals=signals,
        scorers=(BankScorer,),
    )


@kernel
def _nominal(pace: Pace, count: Int64s, evidence: Floats, learns: npt.NDArray[np.bool_], spread: Floats) -> Floats:
    """Nominal surprise float64[n, TAILS] of value, short and long memory; NaN until the spreads mean something."""
    n, k, _ = evidence.shape
    nominal = np.full((n, TAILS), np.nan)
    for i in range(n):
        worst = np.full(TAILS, -1.0)
        short_rows, long_rows = short_reach(pace, count[i]), long_reach(pace, count[i])
        for j in range(k):
            row = evidence[i, j]
            if np.isfinite(row[bank.LONG]) and spread[j, scoring.COUNT] >= long_rows:
                point = min(abs(row[bank.DEVIATION]), SEEN + row[bank.NOVELTY])
                worst[0] = max(worst[0], point)
                worst[1] = max(worst[1], abs(scoring.deviate(spread[j], row[bank.SHORT], scoring.SHORT, short_rows)))
                worst[2] = max(worst[2], abs(scoring.deviate(spread[j], row[bank.LONG], scoring.LONG, long_rows)))
            if learns[i]:
                scoring.learn_spread(spread[j], row, long_rows)
        for tail in range(TAILS):
            if worst[tail] >= 0.0:
                nominal[i, tail] = calibrate.one_of(calibrate.normal_surprise(worst[tail]), float(k))
    return nominal
