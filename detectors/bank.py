"""The bank: a small memory for every signal, updated in one compiled call per batch. Pure.

    value ──> deviation from a slow robust baseline ──> short and long memory, CUSUM, quantiles, novelty map

64 bytes a signal: one line of a processor's cache, so that a batch in any order costs one line read and written a
value; the lines of the values that come next are fetched ahead. What is counted in scales is kept in single
precision, the baseline in double. Every value is scored against the memory of the values before it and then learnt,
so that any cut of the stream gives the same numbers. The baseline is winsorised and stands still while the long
memory is away from it: a slow degradation is not learnt as normal. Sources: EWMA and CUSUM charts (ISO 7870-4,
ISO 7870-6); streaming quantiles by stochastic approximation (Tierney 1983); novelty as the distance to the nearest
value seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.jit import folded, inner, kernel, prefetch
from plant.model import Floats

STATE = np.dtype(
    [
        ("mean", "f8"),
        ("seen_below", "u8"),  # novelty map: 64 cells of a quarter scale on either side of the baseline
        ("seen_above", "u8"),
        ("count", "u4"),  # values learnt, at most 2^32 - 1
        ("calm", "u4"),  # values in a row with a short memory near the baseline
        ("scale", "f4"),
        ("short", "f4"),  # memories of the winsorised deviation, in units of the scale
        ("long", "f4"),
        ("level", "f4"),  # like short, hardly winsorised: the size of the deviation
        ("up", "f4"),  # two-sided CUSUM
        ("down", "f4"),
        ("low", "f4"),  # streaming quantiles 1 % and 99 % of the deviation
        ("high", "f4"),
    ]
)
LINE = 64  # bytes: a signal never lies on two lines
AHEAD = 32  # values from here the line of a signal is fetched
Bank = npt.NDArray[Any]  # structured array of dtype STATE
Evidence = npt.NDArray[np.float32]

# Columns of the evidence a value gives.
DEVIATION, SHORT, LONG, LEVEL, CUSUM, NOVELTY = range(6)
COLUMNS = 6

WINSOR = 4.0  # a single value teaches at most this many scales
LEVEL_STRIDE = 30.0
SLACK = 0.5  # CUSUM allowance: half the smallest shift looked for, in scales
CUSUM_CAP = 1_000.0
CELL = 0.25  # width of a novelty cell in scales
CELLS = 64
TAIL = 0.01
FIRST = 8  # values before deviations mean anything
REFERENCE = 3_000  # values after which the baseline has set
SLOWEST = 1.0 / 50_000
AWAY = 0.75  # the long memory is away from the baseline: do not learn


@dataclass(frozen=True, slots=True)
class Memory:
    """Half-lives of the two memories, in values."""

    short: float
    long: float

    @property
    def rates(self) -> tuple[float, float]:
        return 1.0 - 0.5 ** (1.0 / self.short), 1.0 - 0.5 ** (1.0 / self.long)


def empty(signals: int) -> Bank:
    """A bank that has seen nothing, each signal on a cache line of its own."""
    raw = np.zeros(signals * LINE + LINE, dtype=np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + signals * LINE].view(STATE)


def update(
    state: Bank, signal_index: npt.NDArray[np.int32], values: Floats, *, memory: Memory, out: Evidence | None = None
) -> Evidence:
    """Score, then learn ``values[i]`` of signal ``signal_index[i]``, in the order given; NaN is skipped.

    Returns evidence float32[n, COLUMNS] (``out``, where one is given): deviation, short, long, level and novelty in
    scales of the signal, and the larger CUSUM with its sign. Rows of skipped values and of signals with fewer than
    ``FIRST`` values are NaN. Raises IndexError for a signal that the bank does not have.
    """
    if len(signal_index) and not 0 <= signal_index.min() <= signal_index.max() < len(state):
        raise IndexError(f"The bank has signals 0 to {len(state) - 1}.")
    evidence = np.empty((len(values), COLUMNS), np.float32) if out is None else out
    short_rate, long_rate = memory.rates
    _update(state, signal_index, values, short_rate, long_rate, int(memory.long), evidence)
    return evidence


@kernel
def _update(
    state: Bank,
    signal_index: npt.NDArray[np.int32],
    values: Floats,
    short_rate: float,
    long_rate: float,
    calm: int,
    evidence: Evidence,
) -> None:
    n = len(values)
    for i in range(n):
        if i + AHEAD < n:
            prefetch(state, np.int64(signal_index[i + AHEAD]))
        step(state, signal_index[i], values[i], short_rate, long_rate, calm, 0.0, True, evidence[i])


@folded
def step(
    state: Bank,
    j: int,
    value: float,
    short_rate: float,
    long_rate: float,
    calm: int,
    least_scale: float,
    learns: bool,
    evidence: Any,
) -> None:
    """One value of signal ``j``: fill ``evidence`` float[COLUMNS], then learn.

    Deviations are counted in scales, but a scale is at least ``least_scale``; the baseline moves if ``learns``.
    """
    s = state[j]
    if not np.isfinite(value) or s["count"] < FIRST:
        for column in range(COLUMNS):
            evidence[column] = np.nan
        if np.isfinite(value):
            _first_values(s, value)
        return
    size = max(max(np.float64(s["scale"]), least_scale), 1e-12 * max(1.0, abs(s["mean"])))
    deviation = (value - s["mean"]) / size
    winsorised = min(max(deviation, -WINSOR), WINSOR)
    _remember(s, deviation, winsorised, short_rate, long_rate, calm)
    evidence[DEVIATION] = deviation
    evidence[SHORT] = s["short"]
    evidence[LONG] = s["long"]
    evidence[LEVEL] = s["level"]
    evidence[CUSUM] = s["up"] if s["up"] >= s["down"] else -s["down"]
    evidence[NOVELTY] = _novelty(s, deviation)
    if learns and abs(s["long"]) <= AWAY:
        _learn(s, value, deviation, winsorised, size)


@kernel
def forget(state: Bank, j: int) -> None:
    """Drop what signal ``j`` remembers against its baseline; the baseline stays."""
    s = state[j]
    s["short"] = 0.0
    s["long"] = 0.0
    s["level"] = 0.0
    s["up"] = 0.0
    s["down"] = 0.0
    s["calm"] = 0


@inner
def _first_values(s: Any, value: float) -> None:
    """Running mean and mean absolute deviation of the first values."""
    n = s["count"] + 1
    if n > 1:
        s["scale"] += (1.2533 * abs(value - s["mean"]) - s["scale"]) / (n - 1)
    s["mean"] += (value - s["mean"]) / n
    s["count"] = n
    s["low"] = -2.3
    s["high"] = 2.3


@inner
def _remember(s: Any, deviation: float, winsorised: float, short_rate: float, long_rate: float, calm: int) -> None:
    """Both memories, the level and the CUSUM; back near the baseline for as long as the long memory reaches, they
    drop what they still remember."""
    short = s["short"] + short_rate * (winsorised - s["short"])
    long = s["long"] + long_rate * (winsorised - s["long"])
    level = np.float64(s["level"])
    stride = max(LEVEL_STRIDE, abs(level))
    up = min(max(s["up"] + winsorised - SLACK, 0.0), CUSUM_CAP)
    down = min(max(s["down"] - winsorised - SLACK, 0.0), CUSUM_CAP)
    calmly = s["calm"] + 1 if abs(short) < 1.0 else 0
    if calmly >= calm and abs(long) > abs(short):
        long, up, down = short, 0.0, 0.0
    s["short"] = short
    s["long"] = long
    s["level"] = level + short_rate * min(max(deviation - level, -stride), stride)
    s["up"] = up
    s["down"] = down
    s["calm"] = calmly


@inner
def _learn(s: Any, value: float, deviation: float, winsorised: float, size: float) -> None:
    n = s["count"] + 1
    rate = 1.0 / n if n < REFERENCE else SLOWEST
    mean = s["mean"] + rate * winsorised * size
    scale = np.float64(s["scale"])
    s["mean"] = mean
    s["scale"] = scale + rate * (1.2533 * min(abs(value - mean), WINSOR * size) - scale)
    quantile_rate = max(rate, 1.0 / 1000.0) * 5.0
    low, high = np.float64(s["low"]), np.float64(s["high"])
    s["low"] = low + quantile_rate * (TAIL - (1.0 if deviation < low else 0.0))
    s["high"] = high + quantile_rate * ((1.0 if deviation > high else 0.0) - TAIL)
    s["count"] = n if n < 4_294_967_295 else s["count"]


@inner
def _novelty(s: Any, deviation: float) -> float:
    """Distance from ``deviation`` to the nearest cell seen towards the baseline, in scales; 0 when seen itself.

    Its cell is marked as seen.
    """
    seen = s["seen_below"] if deviation < 0 else s["seen_above"]
    cell = int(min(abs(deviation) / CELL, CELLS - 1.0))
    bit = np.uint64(1) << np.uint64(cell)
    if seen & bit:
        return 0.0
    if deviation < 0:
        s["seen_below"] = seen | bit
    else:
        s["seen_above"] = seen | bit
    for back in range(1, cell + 1):
        if (seen >> np.uint64(cell - back)) & np.uint64(1):
            return back * CELL
    return abs(deviation)
