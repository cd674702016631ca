"""The bank: a small memory for every signal, updated in one compiled call per batch. Pure.

    value ──> deviation from a slow robust baseline ──> short and long memory, CUSUM, quantiles, novelty map

96 bytes a signal. Every value is scored against the memory of the values before it and then learnt, so that any cut
of the stream gives the same numbers. The baseline is winsorised and stands still while the long memory is away from
it: a slow degradation is not learnt as normal. Sources: EWMA and CUSUM charts (ISO 7870-4, ISO 7870-6); streaming
quantiles by stochastic approximation (Tierney 1983); novelty as the distance to the nearest value seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.jit import inner, kernel
from plant.model import Floats

STATE = np.dtype(
    [
        ("count", "u4"),  # values learnt, at most 2^32 - 1
        ("calm", "u4"),  # values in a row with a short memory near the baseline
        ("mean", "f8"),
        ("scale", "f8"),
        ("short", "f8"),  # memories of the winsorised deviation, in units of the scale
        ("long", "f8"),
        ("level", "f8"),  # like short, hardly winsorised: the size of the deviation
        ("up", "f8"),  # two-sided CUSUM
        ("down", "f8"),
        ("low", "f8"),  # streaming quantiles 1 % and 99 % of the deviation
        ("high", "f8"),
        ("seen_below", "u8"),  # novelty map: 64 cells of a quarter scale on either side of the baseline
        ("seen_above", "u8"),
    ]
)
Bank = npt.NDArray[Any]  # structured array of dtype STATE

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
    """A bank that has seen nothing."""
    return np.zeros(signals, dtype=STATE)


def update(state: Bank, signal_index: npt.NDArray[np.int32], values: Floats, *, memory: Memory) -> Floats:
    """Score, then learn ``values[i]`` of signal ``signal_index[i]``, in the order given; NaN is skipped.

    Returns evidence float64[n, COLUMNS]: deviation, short, long, level and novelty in scales of the signal, and
    the larger CUSUM with its sign. Rows of skipped values and of signals with fewer than ``FIRST`` values are NaN.
    """
    evidence = np.empty((len(values), COLUMNS))
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
    evidence: Floats,
) -> None:
    for i in range(len(values)):
        step(state, signal_index[i], values[i], short_rate, long_rate, calm, 0.0, True, evidence[i])


@inner
def step(
    state: Bank,
    j: int,
    value: float,
    short_rate: float,
    long_rate: float,
    calm: int,
    least_scale: float,
    learns: bool,
    evidence: Floats,
) -> None:
    """One value of signal ``j``: fill ``evidence`` float64[COLUMNS], then learn.

    Deviations are counted in scales, but a scale is at least ``least_scale``; the baseline moves if ``learns``.
    """
    evidence[:] = np.nan
    if not np.isfinite(value):
        return
    s = state[j]
    if s["count"] < FIRST:
        _first_values(s, value)
        return
    size = max(max(s["scale"], least_scale), 1e-12 * max(1.0, abs(s["mean"])))
    deviation = (value - s["mean"]) / size
    winsorised = min(max(deviation, -WINSOR), WINSOR)
    s["short"] += short_rate * (winsorised - s["short"])
    s["long"] += long_rate * (winsorised - s["long"])
    stride = max(LEVEL_STRIDE, abs(s["level"]))
    s["level"] += short_rate * min(max(deviation - s["level"], -stride), stride)
    s["up"] = min(max(s["up"] + winsorised - SLACK, 0.0), CUSUM_CAP)
    s["down"] = min(max(s["down"] - winsorised - SLACK, 0.0), CUSUM_CAP)
    _forget_when_calm(s, calm)
    evidence[DEVIATION] = deviation
    evidence[SHORT] = s["short"]
    evidence[LONG] = s["long"]
    evidence[LEVEL] = s["level"]
    evidence[CUSUM] = s["up"] if s["up"] >= s["down"] else -s["down"]
    evidence[NOVELTY] = _novelty(s, deviation)
    _mark(s, deviation)
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
def _forget_when_calm(s: Any, calm: int) -> None:
    """Back near the baseline for as long as the long memory reaches: drop what it still remembers."""
    s["calm"] = s["calm"] + 1 if abs(s["short"]) < 1.0 else 0
    if s["calm"] >= calm and abs(s["long"]) > abs(s["short"]):
        s["long"] = s["short"]
        s["up"] = 0.0
        s["down"] = 0.0


@inner
def _learn(s: Any, value: float, deviation: float, winsorised: float, size: float) -> None:
    n = s["count"] + 1
    rate = 1.0 / n if n < REFERENCE else SLOWEST
    s["mean"] += rate * winsorised * size
    s["scale"] += rate * (1.2533 * min(abs(value - s["mean"]), WINSOR * size) - s["scale"])
    quantile_rate = max(rate, 1.0 / 1000.0) * 5.0
    s["low"] += quantile_rate * (TAIL - (1.0 if deviation < s["low"] else 0.0))
    s["high"] += quantile_rate * ((1.0 if deviation > s["high"] else 0.0) - TAIL)
    s["count"] = n if n < 4_294_967_295 else s["count"]


@inner
def _cell(deviation: float) -> int:
    return int(min(abs(deviation) / CELL, CELLS - 1.0))


@inner
def _mark(s: Any, deviation: float) -> None:
    bit = np.uint64(1) << np.uint64(_cell(deviation))
    if deviation < 0:
        s["seen_below"] = s["seen_below"] | bit
    else:
        s["seen_above"] = s["seen_above"] | bit


@inner
def _novelty(s: Any, deviation: float) -> float:
    """Distance from ``deviation`` to the nearest cell seen towards the baseline, in scales; 0 when seen itself."""
    seen = s["seen_below"] if deviation < 0 else s["seen_above"]
    cell = _cell(deviation)
    for back in range(cell + 1):
        if (seen >> np.uint64(cell - back)) & np.uint64(1):
            return back * CELL
    return abs(deviation)
