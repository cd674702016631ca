"""Any nonconformity score → surprise, −log10 of a tail probability, online: score first, then learn. Pure.

    raw ≥ 0 ──> histogram on a log axis (fading) ──> rank below the tail, peaks over threshold beyond ──> surprise
    surprise ──> limit of the asked rate (moves with every alarm) ──> alarm

The histogram makes ranks free of any scale; beyond its last twentieth a generalised Pareto tail (moments, shrunk
towards a mildly heavy one) says how far out a value is that was never seen. An excursion teaches when it has ended; one
longer than the patience is a fault and hardly teaches; a single peak is worth at most ten mean excesses. So a fault
neither becomes normal while it lasts nor bends the tail much.

Sources: Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World (conformal p-values); Coles, An Introduction
to Statistical Modeling of Extreme Values, ch. 4; Gibbs and Candès, Adaptive Conformal Inference Under Distribution
Shift (2021) for the limit.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from detectors.jit import inner, kernel
from detectors.stream.parameters import Parameters
from plant.model import Floats

BINS = 256
PER_OCTAVE = 8.0
LOWEST = -12.0  # log2 of the first edge: scores below 1/4096 are nothing

# state of one calibrated score: header, the histogram, then the bins of an excursion that has not ended
TOTAL, WEIGHT, GROWTH, PATIENCE, LENGTH = range(5)
HEADER = 5
WAITING = HEADER + BINS
MOST_WAITING = 256
SIZE = WAITING + MOST_WAITING

TAIL = 0.05  # share of the rows whose excesses make the tail
LEAST_PEAKS = 10.0  # fewer give no tail: the rank alone speaks
SHAPE = 0.2  # prior of the tail's shape, as if seen in LEAST_PEAKS peaks
PEAK_CAP = 10.0
EXCURSION = 2.0  # surprise at which a row belongs to an excursion
CAP = 30.0
HEAVIEST = 1e100  # weights grow instead of counts fading; brought back to 1 here

# state of one limit
OFFSET, GAIN, WAIT, RUN = range(4)
LIMIT_SIZE = 4
FARTHEST = 1.0  # a limit leaves the calibrated surprise by at most a decade


def empty(scores: int, parameters: Parameters) -> Floats:
    """State of ``scores`` calibrated scores: float64[scores, SIZE]; each row goes to ``surprise``."""
    state = np.zeros((scores, SIZE))
    state[:, WEIGHT] = 1.0
    state[:, GROWTH] = 2.0 ** (1.0 / parameters.memory_rows)
    state[:, PATIENCE] = min(parameters.patience_rows, MOST_WAITING)
    return state


def empty_limit(parameters: Parameters) -> Floats:
    """State of one limit: float64[LIMIT_SIZE]."""
    state = np.zeros(LIMIT_SIZE)
    state[GAIN], state[WAIT] = parameters.gain, parameters.patience_rows
    return state


@inner
def surprise(state: Floats, raw: float) -> float:
    """Calibrated surprise of a score ``raw`` ≥ 0, then learn it; NaN gives NaN and teaches nothing.

    ``state`` float64[SIZE] is one row of ``empty``.
    """
    if not np.isfinite(raw):
        return np.nan
    value = look(state, raw)
    learn(state, raw, value)
    return value


@inner
def look(state: Floats, raw: float) -> float:
    """Surprise of ``raw`` by what was learnt so far; changes nothing."""
    place = _place(raw)
    cell = int(place)
    above = 0.0
    for i in range(BINS - 1, cell, -1):
        above += state[HEADER + i]
    above += (1.0 - (place - cell)) * state[HEADER + cell]
    total, weight = state[TOTAL], state[WEIGHT]
    if above >= TAIL * total or TAIL * total < LEAST_PEAKS * weight:
        return -math.log10((above + weight) / (total + weight))
    return _beyond(state, raw, cell)


@inner
def learn(state: Floats, raw: float, value: float) -> None:
    """Learn ``raw``, whose surprise was ``value``: an excursion when it has ended, a too long one hardly."""
    cell = int(_place(raw))
    if value < EXCURSION:
        _ended(state)
        _teach(state, cell, 1.0)
    else:
        state[LENGTH] += 1.0
        if state[LENGTH] > state[PATIENCE]:
            _teach(state, cell, 1.0 / state[PATIENCE])
        else:
            state[WAITING + int(state[LENGTH]) - 1] = cell
    state[WEIGHT] *= state[GROWTH]
    if state[WEIGHT] > HEAVIEST:
        for i in range(HEADER, WAITING):
            state[i] /= state[WEIGHT]
        state[TOTAL] /= state[WEIGHT]
        state[WEIGHT] = 1.0


@inner
def _ended(state: Floats) -> None:
    if state[LENGTH] <= state[PATIENCE]:
        for i in range(int(state[LENGTH])):
            _teach(state, int(state[WAITING + i]), 1.0)
    state[LENGTH] = 0.0


@inner
def _teach(state: Floats, cell: int, share: float) -> None:
    state[HEADER + cell] += share * state[WEIGHT]
    state[TOTAL] += share * state[WEIGHT]


@inner
def _place(raw: float) -> float:
    """Bin and share of the bin below ``raw``, in [0, BINS)."""
    if raw <= 0.0:
        return 0.0
    return min(max(PER_OCTAVE * (math.log2(raw) - LOWEST), 0.0), BINS - 1e-6)


@inner
def _edge(cell: float) -> float:
    return float(2.0 ** (LOWEST + cell / PER_OCTAVE))


@inner
def _beyond(state: Floats, raw: float, cell: int) -> float:
    """Surprise of a score of bin ``cell`` in the tail: the rank of the farthest edge below it that enough rows went
    over, and from there on the generalised Pareto tail over the edge that leaves TAIL of the rows above."""
    least, share = LEAST_PEAKS * state[WEIGHT], TAIL * state[TOTAL]
    above, anchor, known = 0.0, -1, 0.0
    first = BINS
    while first > 0 and above + state[HEADER + first - 1] <= share:
        first -= 1
        above += state[HEADER + first]
        if anchor < 0 and first <= cell and above >= least:
            anchor, known = first, above
    left = (share - above) / state[HEADER + first - 1]
    edge = _edge(first - left)  # inside the bin, where exactly TAIL are above
    mean, square = _excess(state, first - 1, share - above, edge)
    shape, scale = _tail_of(mean, square, share / state[WEIGHT])
    value = math.log10(1.0 + shape * max(raw - edge, 0.0) / scale) / shape
    if anchor < 0:
        return min(value - math.log10(TAIL), CAP)
    nearer = math.log10(1.0 + shape * max(_edge(anchor) - edge, 0.0) / scale) / shape
    return min(value - nearer - math.log10(known / state[TOTAL]), CAP)


@inner
def _excess(state: Floats, cell: int, weight: float, edge: float) -> tuple[float, float]:
    """Mean and mean square of what lies above ``edge``; of bin ``cell`` only ``weight`` does."""
    half = 0.5 * (_edge(cell + 1.0) - edge)
    total, first, second = weight, weight * half, weight * half * half
    for i in range(cell + 1, BINS):
        count = state[HEADER + i]
        if count > 0.0:
            excess = min(_edge(i + 0.5) - edge, PEAK_CAP * (first + count * half) / (total + count) + half)
            total, first, second = total + count, first + count * excess, second + count * excess * excess
    return first / total, second / total


@inner
def _tail_of(mean: float, square: float, peaks: float) -> tuple[float, float]:
    """Shape and scale by moments, the shape shrunk towards SHAPE and kept in [0.02, 0.6]."""
    variance = max(square - mean * mean, 1e-12 * mean * mean + 1e-300)
    shape = 0.5 * (1.0 - mean * mean / variance)
    shape = (min(max(shape, -0.5), 0.6) * peaks + SHAPE * LEAST_PEAKS) / (peaks + LEAST_PEAKS)
    shape = max(shape, 0.02)
    return shape, max(mean * (1.0 - shape), 1e-300)


@inner
def alarm(limit: Floats, value: float, rate: float) -> bool:
    """Is ``value`` an alarm at the asked ``rate`` (alarms a row)? Then move the limit. NaN: no, and no move.

    ``limit`` is ``empty_limit``. Every row moves it by GAIN · (alarm − rate), so that on normal data the rate got is
    the rate asked whatever the score's drift or autocorrelation. Alarms in a row move it when they have ended; longer
    than the patience, a fault, they do not.
    """
    if not np.isfinite(value):
        return False
    if value >= limit[OFFSET] - math.log10(rate):
        limit[RUN] += 1.0
        return True
    ended = limit[RUN] if limit[RUN] <= limit[WAIT] else 0.0
    moved = limit[OFFSET] + limit[GAIN] * (ended - rate * (1.0 + ended))
    limit[OFFSET] = min(max(moved, -FARTHEST), FARTHEST)
    limit[RUN] = 0.0
    return False


@kernel
def surprises(state: Floats, raw: Floats) -> Floats:
    """``surprise`` of each of ``raw`` float64[n], oldest first."""
    out = np.empty(len(raw))
    for i in range(len(raw)):
        out[i] = surprise(state, raw[i])
    return out


@kernel
def alarms(limit: Floats, values: Floats, rate: float) -> npt.NDArray[np.bool_]:
    """``alarm`` of each of ``values`` float64[n]: bool[n]."""
    out = np.empty(len(values), np.bool_)
    for i in range(len(values)):
        out[i] = alarm(limit, values[i], rate)
    return out
