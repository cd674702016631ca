"""Many signals, one judgement a row: how surprising, whether a fault lasts, where it changed, whose doing it is. Pure.

Each signal and each residual of a signal given the others (``baseline``) has a chart: a short memory, less a level that
follows it slowly. The largest squared deviate of all charts is the nonconformity of a row. A residual is doubted the
more the farther the other signals are from where its regression was learnt (leverage): coefficients learnt on signals
that wander foretell little elsewhere.

- *evidence*: −log10 of the nominal tail probability of the farthest chart. Nominal, because some hundred rows of a
  baseline do not show how likely one row in ten thousand is.
- *surprise*: the nonconformity calibrated online (``calibrator``), taught by the baseline first; what a rate is asked
  of.
- *state*: begins when the evidence reaches the limit, ends after ``calm_rows`` below half of it. While it lasts the
  level stands still, so a fault does not become normal.
- *changed*: the same charts around a level that jumps to where the signals are whenever a change is told.

Sources: Lowry et al., A multivariate EWMA control chart (1992); Hawkins, Multivariate quality control based on
regression-adjusted variables (1991).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from detectors.calibrate import normal_surprise
from detectors.jit import inner, kernel
from detectors.stream import calibrator
from detectors.stream.baseline import Baseline
from plant.model import Floats

# state of a judge: header, then short memories, levels, levels since the last change (2k each)
LASTING, CALM, SINCE = range(3)
HEADER = 3


class Start(Enum):
    """Where the rows to judge begin."""

    AFTER_BASELINE = "after_baseline"  # the next row after those learnt from
    AFRESH = "afresh"  # another run of the same asset


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Of n rows of k signals: ``evidence`` and ``surprise`` float64[n], ``state`` bool[n] (a fault lasts), ``changed``
    bool[n], ``shares`` float64[n,k] of the signals, each row summing to 1."""

    evidence: Floats
    surprise: Floats
    state: npt.NDArray[np.bool_]
    changed: npt.NDArray[np.bool_]
    shares: Floats


class StreamJudge:
    """Judges rows one after another; cutting them into other batches changes nothing."""

    def __init__(self, baseline: Baseline, *, start: Start = Start.AFRESH, limit: float | None = None) -> None:
        """``limit``: evidence at which a fault begins, by default ``Parameters.fault_evidence``."""
        parameters = baseline.parameters
        self._baseline = baseline
        self._limit = parameters.fault_evidence if limit is None else limit
        self._settings = np.array(
            [
                parameters.short_share,
                parameters.level_rows,
                parameters.doubt / len(baseline.charts),
                parameters.calm_rows,
                parameters.refractory_rows,
            ]
        )
        self._tail = calibrator.empty(1, parameters)[0]
        self._memory = _empty(len(baseline.mean))
        self._teach()
        if start is Start.AFRESH:
            self._memory = _empty(len(baseline.mean))

    def update(self, rows: Floats) -> Verdicts:
        """Judge float64[n,k] in the baseline's units, oldest first; NaN = missing, which says nothing."""
        z = (np.asarray(rows, dtype=np.float64) - self._baseline.mean) / self._baseline.scale
        return Verdicts(*_judge(z, *self._learnt(), self._settings, self._tail, self._limit, self._memory))

    def restart(self) -> None:
        """The next row begins another run of the machine: short memories begin at the levels, no fault lasts."""
        charts = self._memory[HEADER:].reshape(3, -1)  # short memories, levels, levels since the last change
        charts[[0, 2]] = charts[1]
        self._memory[:HEADER] = 0.0, 0.0, np.inf

    def dump(self) -> Floats:
        """The state, to go on from with ``load``: float64[HEADER + 6k + calibrator.SIZE]."""
        return np.concatenate([self._memory, self._tail])

    def load(self, state: Floats) -> None:
        """Go on from the dumped state of a judge with the same baseline."""
        self._memory[:], self._tail[:] = state[: len(self._memory)], state[len(self._memory) :]

    def _learnt(self) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        baseline = self._baseline
        return baseline.coefficients, baseline.centre, baseline.precision, baseline.spread, baseline.residual

    def _teach(self) -> None:
        """Walk the baseline: teaches the tail, and leaves the state after its last row."""
        charts, warm = self._baseline.charts, self._baseline.parameters.warm_rows
        _teach(charts, *self._learnt()[2:], self._settings, self._tail, warm, self._memory)


def _empty(signals: int) -> Floats:
    memory = np.zeros(HEADER + 6 * signals)
    memory[SINCE] = np.inf
    return memory


@kernel
def _teach(
    charts: Floats,
    precision: Floats,
    spread: Floats,
    residual: Floats,
    settings: Floats,
    tail: Floats,
    warm: int,
    memory: Floats,
) -> None:
    n, width = charts.shape
    short, level, since_change = _parts(memory, width)
    deviates = np.zeros(width)
    for i in range(n):
        short += settings[0] * (charts[i] - short)
        farthest = _farthest(short, level, precision, spread, residual, settings[2], deviates)
        if i >= warm:
            calibrator.surprise(tail, farthest)
        level += (short - level) / settings[1]
    since_change[:] = level


@kernel
def _judge(
    rows: Floats,
    coefficients: Floats,
    centre: Floats,
    precision: Floats,
    spread: Floats,
    residual: Floats,
    settings: Floats,
    tail: Floats,
    limit: float,
    memory: Floats,
) -> tuple[Floats, Floats, npt.NDArray[np.bool_], npt.NDArray[np.bool_], Floats]:
    n, k = rows.shape
    evidence, surprise, shares = np.empty(n), np.empty(n), np.empty((n, k))
    state, changed = np.empty(n, np.bool_), np.empty(n, np.bool_)
    short, level, since_change = _parts(memory, 2 * k)
    z, deviates = np.empty(k), np.zeros(2 * k)
    for i in range(n):
        _remember(rows[i], coefficients, centre, settings[0], z, short)
        moved = _farthest(short, since_change, precision, spread, residual, settings[2], deviates)
        changed[i] = _changes(memory, _nominal(moved) >= limit, settings[4])
        since_change += (short - since_change) * (1.0 if changed[i] else 1.0 / settings[1])
        farthest = _farthest(short, level, precision, spread, residual, settings[2], deviates)
        evidence[i], surprise[i] = _nominal(farthest), calibrator.surprise(tail, farthest)
        state[i] = _lasts(memory, evidence[i], limit, settings[3])
        if not state[i]:
            level += (short - level) / settings[1]
        _share(deviates, shares[i])
    return evidence, surprise, state, changed, shares


@inner
def _nominal(farthest: float) -> float:
    return min(normal_surprise(math.sqrt(farthest)), calibrator.CAP)


@inner
def _parts(memory: Floats, width: int) -> tuple[Floats, Floats, Floats]:
    a, b = HEADER + width, HEADER + 2 * width
    return memory[HEADER:a], memory[a:b], memory[b:]


@inner
def _remember(row: Floats, coefficients: Floats, centre: Floats, share: float, z: Floats, short: Floats) -> None:
    """Move the short memories. A missing value moves none of its own; to the others it is what they foretell of it."""
    k = len(row)
    for j in range(k):
        z[j] = row[j] if np.isfinite(row[j]) else short[j]
    for j in range(k):
        if not np.isfinite(row[j]):
            z[j] = _foretold(z, coefficients, centre, j)
    for j in range(k):
        if np.isfinite(row[j]):
            unlike = z[j] - _foretold(z, coefficients, centre, j)
            short[j] += share * (z[j] - short[j])
            short[k + j] += share * (unlike - short[k + j])


@inner
def _foretold(z: Floats, coefficients: Floats, centre: Floats, signal: int) -> float:
    total = float(centre[signal])
    for other in range(len(z)):
        total += z[other] * coefficients[other, signal]
    return total


@inner
def _farthest(
    short: Floats,
    level: Floats,
    precision: Floats,
    spread: Floats,
    residual: Floats,
    doubt: float,
    deviates: Floats,
) -> float:
    """The largest squared deviate; ``deviates`` float64[2k] gets them all.

    By the precision matrix the squared distance of all signals is that of the others plus a residual's own square, so
    what is left is the leverage at which that residual was foretold.
    """
    k = len(residual)
    distance = 0.0
    for a in range(k):
        for b in range(k):
            distance += (short[a] - level[a]) * precision[a, b] * (short[b] - level[b])
    farthest = 0.0
    for j in range(k):
        moved, unlike = short[j] - level[j], short[k + j] - level[k + j]
        leverage = max(distance - (unlike / residual[j]) ** 2, 0.0)
        deviates[j] = (moved / spread[j]) ** 2
        deviates[k + j] = unlike**2 / (spread[k + j] ** 2 + doubt * leverage * residual[j] ** 2)
        farthest = max(farthest, deviates[j], deviates[k + j])
    return farthest


@inner
def _changes(memory: Floats, far: bool, refractory: float) -> bool:
    memory[SINCE] += 1.0
    if not far or memory[SINCE] < refractory:
        return False
    memory[SINCE] = 0.0
    return True


@inner
def _lasts(memory: Floats, evidence: float, limit: float, calm: float) -> bool:
    if memory[LASTING] == 0.0:
        memory[LASTING], memory[CALM] = (1.0 if evidence >= limit else 0.0), 0.0
    else:
        memory[CALM] = memory[CALM] + 1.0 if evidence < limit / 2.0 else 0.0
        if memory[CALM] >= calm:
            memory[LASTING] = 0.0
    return bool(memory[LASTING] == 1.0)


@inner
def _share(deviates: Floats, shares: Floats) -> None:
    """A signal's part is the larger of its two deviates; no deviate at all is shared alike."""
    k = len(shares)
    total = 0.0
    for j in range(k):
        shares[j] = max(deviates[j], deviates[k + j])
        total += shares[j]
    for j in range(k):
        shares[j] = shares[j] / total if total > 0.0 else 1.0 / k
