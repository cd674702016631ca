"""Operating states that nobody declared: a signal that keeps to two levels and goes to and fro between them. Pure.

A machine that runs and stands, or works at two speeds, has a baseline for each. A fault is not taken for a state: it
comes once, a state comes again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plant.model import Floats

EMPTY = 0.5  # share of a signal's whole range between its two levels in which it is never found
LEAST_SHARE = 0.1  # of the rows at either level
LEAST_VISITS = 3  # stays at either level
LEAST_STAY = 5.0  # rows, on average: what is left at once is noise


@dataclass(frozen=True, slots=True)
class Split:
    """A row is at the upper level when ``signal`` (its column) lies above ``border``."""

    signal: int
    border: float

    def codes(self, rows: Floats, last: int) -> npt.NDArray[np.int16]:
        """0 or 1 of each of ``rows`` float64[n,k]; a missing value leaves it where it was (``last`` before them)."""
        column = rows[:, self.signal]
        known = np.isfinite(column)
        place = np.maximum.accumulate(np.where(known, np.arange(len(column)), -1))
        found = np.where(place >= 0, column[np.maximum(place, 0)] > self.border, last == 1)
        return found.astype(np.int16)


def find(rows: Floats) -> Split | None:
    """The clearest split of normal ``rows`` float64[n,k] in time order; None when the asset has one state."""
    found = [each for each in (_split(column, j) for j, column in enumerate(rows.T)) if each is not None]
    return max(found, key=lambda each: each[0])[1] if found else None


def _split(column: Floats, signal: int) -> tuple[float, Split] | None:
    """How much of the range is empty between the levels, and the split; None when these are not two levels."""
    heard = column[np.isfinite(column)]
    ordered = np.sort(heard)
    if len(ordered) < 2 or ordered[-1] <= ordered[0]:
        return None
    gaps = np.diff(ordered)
    widest = int(np.argmax(gaps))
    share = float(gaps[widest] / (ordered[-1] - ordered[0]))
    border = float(ordered[widest] + gaps[widest] / 2)
    high = heard > border
    stays = 1 + int(np.count_nonzero(high[1:] != high[:-1]))
    both = min(high.mean(), 1 - high.mean()) >= LEAST_SHARE
    lasting = stays >= 2 * LEAST_VISITS and len(heard) / stays >= LEAST_STAY
    return (share, Split(signal, border)) if share >= EMPTY and both and lasting else None
