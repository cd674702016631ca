"""What is usual at this time of the day, and how much of the signal that explains. Bounded memory. Pure.

The day has 288 cells of five minutes. A value is set against the mean of its cell on earlier days (a visit of a cell
teaches when it is over, so that fast signals are not compared with themselves a second ago). The share of the
variance that the time of day explains says how far this evidence is to be believed: nothing for a signal without days.
"""

from __future__ import annotations

import numpy as np

from detectors.jit import inner
from plant.model import Floats

CELLS = 288
DAY_S = 86_400
LEAST_DAYS = 2.0
LEAST_ROWS = 100.0  # rows judged before the explained share counts
LATEST = 0.1  # a day is worth at least this much of a cell's mean

# a memory is float64[HEADER + 2 · CELLS]: the header, the cells' means, the cells' days
CELL, SUM, ROWS, JUDGED, MEAN, PLAIN, DAILY = range(7)
HEADER = 7


def empty() -> Floats:
    memory = np.zeros(HEADER + 2 * CELLS)
    memory[CELL] = -1.0
    return memory


@inner
def deviation(memory: Floats, at_s: int, value: float, rate: float) -> tuple[float, float]:
    """Deviation of ``value`` from the usual at ``at_s`` (NaN: not known yet) and the explained share 0..1, then learn.

    ``rate`` is what one row teaches the variances.
    """
    cell = int((at_s % DAY_S) * CELLS // DAY_S)
    if cell != int(memory[CELL]):
        _leave(memory)
        memory[CELL] = cell
    memory[SUM] += value
    memory[ROWS] += 1.0
    off, share = np.nan, 0.0
    if memory[HEADER + CELLS + cell] >= LEAST_DAYS:
        off = value - memory[HEADER + cell]
        if memory[JUDGED] > LEAST_ROWS and memory[PLAIN] > 0.0:
            share = max(1.0 - memory[DAILY] / memory[PLAIN], 0.0)
        memory[JUDGED] += 1.0
        step = max(rate, 1.0 / memory[JUDGED])
        memory[MEAN] += step * (value - memory[MEAN])
        memory[PLAIN] += step * ((value - memory[MEAN]) ** 2 - memory[PLAIN])
        memory[DAILY] += step * (off * off - memory[DAILY])
    return off, share


@inner
def _leave(memory: Floats) -> None:
    """The visit of a cell is over: its mean counts as one day."""
    cell = int(memory[CELL])
    if cell < 0 or memory[ROWS] == 0.0:
        return
    memory[HEADER + CELLS + cell] += 1.0
    step = max(LATEST, 1.0 / memory[HEADER + CELLS + cell])
    memory[HEADER + cell] += step * (memory[SUM] / memory[ROWS] - memory[HEADER + cell])
    memory[SUM] = memory[ROWS] = 0.0
