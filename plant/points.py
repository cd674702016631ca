"""Points of a plot: what neighbouring samples come to together. Pure; columns of numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plant.model import Floats, Int64s


@dataclass(frozen=True, slots=True)
class Points:
    """Columns of equal length by time: a bucket's start, how many samples, their mean and extremes."""

    at_us: Int64s
    count: Int64s
    mean: Floats
    low: Floats
    high: Floats

    def __len__(self) -> int:
        return len(self.at_us)

    def between(self, start_us: int, end_us: int) -> Points:
        """Those with start ≤ at < end."""
        return self.rows(slice(*np.searchsorted(self.at_us, [start_us, end_us]).tolist()))

    def rows(self, rows: slice | Int64s) -> Points:
        """Some of them."""
        return Points(self.at_us[rows], self.count[rows], self.mean[rows], self.low[rows], self.high[rows])


def fold(points: Points, width_us: int, *, origin_us: int = 0) -> Points:
    """Put neighbours together that fall into the same bucket of ``width_us``, counted from ``origin_us``."""
    if not len(points):
        return points
    cell = (points.at_us - origin_us) // width_us
    starts = np.flatnonzero(np.diff(cell, prepend=cell[0] - 1))
    count = np.add.reduceat(points.count, starts)
    share = points.count / np.repeat(count, np.diff(starts, append=len(cell)))  # before the sum, which might overflow
    low, high = np.minimum.reduceat(points.low, starts), np.maximum.reduceat(points.high, starts)
    mean = np.clip(np.add.reduceat(points.mean * share, starts), low, high)
    return Points(origin_us + cell[starts] * width_us, count, mean, low, high)


def overlay(base: Points, fresh: Points) -> Points:
    """``base`` with the buckets of ``fresh``, which are at least as good where they know at least as many samples."""
    at_us = np.concatenate([base.at_us, fresh.at_us])
    count = np.concatenate([base.count, fresh.count])
    newer = np.repeat([0, 1], [len(base), len(fresh)])
    order = np.lexsort((newer, count, at_us))
    last = np.flatnonzero(np.diff(at_us[order], append=np.iinfo(np.int64).max))
    both = Points(
        at_us,
        count,
        np.concatenate([base.mean, fresh.mean]),
        np.concatenate([base.low, fresh.low]),
        np.concatenate([base.high, fresh.high]),
    )
    return both.rows(order[last])
