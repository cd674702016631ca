"""The yardstick beside ours: a fixed limit at mean ± 3 standard deviations of each raw signal while running. Pure.

What a plant would set by hand after a week of data. It knows no load, no weather and no start-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulators.machines.base import RUNNING, Columns
from simulators.machines.faults import Int64s

Flags = npt.NDArray[np.bool_]
CONTEXT = frozenset({"state", "load", "speed", "ambient"})  # set or given, no symptoms


@dataclass(frozen=True, slots=True)
class Limits:
    """(low, high) per measured signal; ``rate``: share of the learning rows in which some signal was outside."""

    bounds: Mapping[str, tuple[float, float]]
    rate: float

    def outside(self, columns: Columns) -> Flags:
        """bool[n]: running, and at least one signal outside its limits. A silent sensor is not outside."""
        found: Flags = np.zeros(len(columns), np.bool_)
        for signal, (low, high) in self.bounds.items():
            values = columns.values[signal]
            found |= (values < low) | (values > high)  # NaN compares false
        return np.asarray(found & (columns.values["state"] == RUNNING), np.bool_)


def learn(columns: Columns, *, until_us: int) -> Limits:
    """Limits from the running rows before ``until_us`` (µs). Raises ValueError when there are fewer than 100."""
    rows = (columns.at_us < until_us) & (columns.values["state"] == RUNNING)
    if rows.sum() < 100:
        raise ValueError(f"only {rows.sum()} running rows to learn from")
    bounds = {}
    for signal, values in columns.values.items():
        seen = values[rows & ~np.isnan(values)]
        if signal not in CONTEXT and len(seen):
            mean, sigma = float(seen.mean()), float(seen.std())
            bounds[signal] = (mean - 3 * sigma, mean + 3 * sigma)
    past = Columns(columns.at_us[rows], {k: v[rows] for k, v in columns.values.items()})
    return Limits(bounds, float(Limits(bounds, 0.0).outside(past).mean()))


def first_crossing(limits: Limits, columns: Columns, *, after_us: int, persist: int = 3) -> int | None:
    """Time in µs of the first ``persist``-th row in a row outside after ``after_us``; None when it never comes."""
    ends = _runs(limits.outside(columns) & (columns.at_us >= after_us), persist)
    return int(columns.at_us[ends[0]]) if len(ends) else None


def alarms(limits: Limits, columns: Columns, *, after_us: int, persist: int = 3, quiet_rows: int = 60) -> int:
    """How often an alarm would begin after ``after_us``: ``persist`` rows outside, ``quiet_rows`` inside end it."""
    ends = _runs(limits.outside(columns) & (columns.at_us >= after_us), persist)
    return int(np.count_nonzero(np.diff(ends, prepend=-quiet_rows - 2) > quiet_rows))


def at_onset_ok(
    limits: Limits, columns: Columns, *, onset_us: int, window_us: int = 3_600_000_000, twin: Columns | None = None
) -> bool:
    """Whether the limit is blind to the fault in the window that begins at its onset.

    With a ``twin`` (the same machine without the fault, same rows): no row is outside that is inside for the twin.
    Without one: no more rows are outside than chance allows at the healthy rate (mean + 3 deviations of a binomial,
    and one for luck).
    """
    rows = (columns.at_us >= onset_us) & (columns.at_us < onset_us + window_us)
    outside = limits.outside(columns)[rows]
    if twin is not None:
        return not bool(np.any(outside & ~limits.outside(twin)[rows]))
    count, rate = len(outside), limits.rate
    allowed = count * rate + 3 * np.sqrt(count * rate * (1 - rate)) + 1
    return bool(outside.sum() <= allowed)


def _runs(outside: Flags, persist: int) -> Int64s:
    """Row numbers at which the ``persist`` last rows were all outside."""
    if len(outside) < persist:
        return np.empty(0, np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(outside, persist)
    return np.flatnonzero(windows.all(axis=1)).astype(np.int64) + persist - 1
