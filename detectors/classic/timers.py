"""The row loop of alarm rules: limits with dead bands, timers that step down, changes over a window, silence. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.jit import inner, kernel
from plant.model import Floats, Int64s

Int8s = npt.NDArray[np.int8]

HIGH, LOW, RISE, FALL, CHANGE, MISSING = range(6)
NO, YES, UNKNOWN = 0, 1, -1
CELLS = 64  # a window of change is kept in so many cells, each with its lowest and highest value

# mark of one step: beyond its limit, since when, when last seen so
ON, SINCE_US, LAST_US = range(3)
# cell of a window: its number, lowest, highest
NUMBER, LOWEST, HIGHEST = range(3)
GAP_US, GAP_ROWS = 300_000_000, 3  # a timer outlives rows without a value for its own wait, and for this at least


@kernel
def judge(
    kinds: Int64s,
    limits: Floats,
    waits_us: Int64s,
    bands: Floats,
    over_us: Int64s,
    memory: tuple[Int64s, Int64s, Floats],
    at_us: Int64s,
    values: Floats,
    runs: npt.NDArray[np.bool_],
    gap_us: int,
) -> tuple[Int8s, Int64s, Floats]:
    """int8[n, c] (no, yes, unknown) of each condition at each row, since when (µs), and the number compared.

    ``kinds``, ``bands``, ``over_us`` [c]; ``limits``, ``waits_us`` [c, s], unused steps are NaN; ``values`` [n, c] in
    canonical units, NaN where missing; rows where ``runs`` is false end every timer; ``gap_us``: how long a timer
    outlives rows without a value at least.
    """
    marks, heard_us, window = memory
    n, c = values.shape
    told, since = np.zeros((n, c), np.int8), np.zeros((n, c), np.int64)
    compared = np.full((n, c), np.nan)
    for i in range(n):
        for j in range(c):
            if not runs[i]:
                marks[j, :, ON] = 0
                window[j, :, NUMBER] = -1.0
                heard_us[j] = at_us[i]
                continue
            value = values[i, j]
            if kinds[j] == MISSING:
                told[i, j] = _missing(heard_us, j, value, at_us[i], waits_us[j, 0])
                since[i, j] = heard_us[j]
                continue
            if not np.isfinite(value):
                told[i, j] = UNKNOWN
                continue
            far = _far(kinds[j], window[j], value, at_us[i], over_us[j])
            compared[i, j] = value if kinds[j] <= LOW else far
            told[i, j], since[i, j] = _steps(
                marks[j], limits[j], waits_us[j], bands[j], kinds[j], far, at_us[i], gap_us
            )
    return told, since, compared


@inner
def _missing(heard_us: Int64s, j: int, value: float, at_us: int, wait_us: int) -> int:
    if np.isfinite(value) or heard_us[j] == 0:
        heard_us[j] = at_us
    return YES if at_us - heard_us[j] >= wait_us else NO


@inner
def _far(kind: int, window: Floats, value: float, at_us: int, over_us: int) -> float:
    """What is compared with the limits: the value, towards the limit's side, or its change within the window."""
    if kind == HIGH:
        return value
    if kind == LOW:
        return -value
    cell_us = max(over_us // (CELLS - 1), 1)
    number = float(at_us // cell_us)
    lowest = highest = value
    for k in range(CELLS):
        if window[k, NUMBER] >= 0.0 and 0.0 <= number - window[k, NUMBER] < CELLS:
            lowest, highest = min(lowest, window[k, LOWEST]), max(highest, window[k, HIGHEST])
    k = int(number % CELLS)
    if window[k, NUMBER] != number:
        window[k, NUMBER], window[k, LOWEST], window[k, HIGHEST] = number, value, value
    window[k, LOWEST], window[k, HIGHEST] = min(window[k, LOWEST], value), max(window[k, HIGHEST], value)
    rise, fall = value - lowest, highest - value
    if kind == RISE:
        return float(rise)
    return float(fall) if kind == FALL else float(max(rise, fall))


@inner
def _steps(
    marks: Int64s, limits: Floats, waits_us: Int64s, band: float, kind: int, far: float, at_us: int, gap_us: int
) -> tuple[int, int]:
    """Whether any step was exceeded for its time, and since when."""
    told, since_us = NO, 0
    sign = -1.0 if kind == LOW else 1.0
    for s in range(len(limits)):
        if np.isnan(limits[s]):
            break
        limit, mark = sign * limits[s], marks[s]
        if mark[ON] == 1 and at_us - mark[LAST_US] > max(waits_us[s], gap_us):
            mark[ON] = 0
        if mark[ON] == 0 and far > limit:
            mark[ON], mark[SINCE_US] = 1, at_us
        elif mark[ON] == 1 and far <= limit - band:
            mark[ON] = 0
        if mark[ON] == 1:
            mark[LAST_US] = at_us
            if at_us - mark[SINCE_US] >= waits_us[s]:
                since_us = mark[SINCE_US] if told == NO else min(since_us, mark[SINCE_US])
                told = YES
    return told, since_us
