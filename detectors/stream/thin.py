"""Grid rows → rows that judges of streams judge: one a minute at most, each the mean of what was heard in it. Pure.

Judges count in rows: memories, patience and the asked rate. Rows of a second would make memories of a few hours, and
"once in a month" would be one row in millions, which no memory knows. A row is closed by the last grid row of its
cell, or by the first one after it; so a stream may be cut anywhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.jit import inner, kernel
from plant.model import Floats, Int64s

LEAST_STEP_US = 60_000_000
CELL, STATE = range(2)  # of ``head``, then how many values each signal has


def step_us(grid_step_us: int) -> int:
    """Length of a row: the grid's own step, or a minute."""
    return max(grid_step_us, LEAST_STEP_US)


def empty(signals: int) -> tuple[Int64s, Floats]:
    """The open row: int64[2 + k] and the sums float64[k]."""
    head = np.zeros(2 + signals, np.int64)
    head[CELL] = -1
    return head, np.zeros(signals)


@kernel
def rows(
    head: Int64s, sums: Floats, at_us: Int64s, values: Floats, state: npt.NDArray[np.int16], step: int
) -> tuple[Int64s, Floats, npt.NDArray[np.int16]]:
    """Closed rows: index int64[m] of the grid row that closed each, means float64[m,k] (NaN = nothing heard) and the
    last state int16[m]. A grid row of which no value is finite opens none."""
    n, k = values.shape
    closed, means = np.empty(2 * n, np.int64), np.empty((2 * n, k))
    codes, m = np.empty(2 * n, np.int16), 0
    for i in range(n):
        cell = (at_us[i] - 1) // step
        if head[CELL] >= 0 and head[CELL] != cell:
            m = _close(head, sums, i, closed, means, codes, m)
        heard = False
        for j in range(k):
            if np.isfinite(values[i, j]):
                heard = True
                sums[j] += values[i, j]
                head[2 + j] += 1
        if heard:
            head[CELL], head[STATE] = cell, state[i]
        if head[CELL] >= 0 and at_us[i] % step == 0:
            m = _close(head, sums, i, closed, means, codes, m)
    return closed[:m], means[:m], codes[:m]


@inner
def _close(
    head: Int64s, sums: Floats, row: int, closed: Int64s, means: Floats, codes: npt.NDArray[np.int16], m: int
) -> int:
    closed[m], codes[m] = row, head[STATE]
    for j in range(len(sums)):
        means[m, j] = sums[j] / head[2 + j] if head[2 + j] else np.nan
    head[CELL] = -1
    head[2:] = 0
    sums[:] = 0.0
    return m + 1
