"""Samples → grid rows of one asset. Pure.

The grid is aligned to multiples of the step since the epoch, so that any cut of the stream gives the same rows:

    (after, until] ──> cell ends g = i·step ──> last good value within (g − step, g], else held for a while
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from detectors.base import Frame
from plant.model import Floats, Int64s, Quality, Role, SampleBatch, Signal

HOLD_PERIODS = 2  # a value stands for this many nominal periods after its own time
SECOND_US = 1_000_000

Bools = npt.NDArray[np.bool_]


def grid_step_us(signals: Sequence[Signal]) -> int:
    """Step of an asset's grid: the median of its signals' nominal periods, at least one second."""
    periods = [signal.period_s for signal in signals if signal.period_s > 0]
    median = float(np.median(periods)) if periods else 60.0
    return max(SECOND_US, round(median * SECOND_US))


def look_back_us(signals: Sequence[Signal], *, step_us: int) -> int:
    """How far before ``after_us`` samples must be given so that held values are the same for every cut."""
    return max((_hold_us(signal, step_us) for signal in signals), default=0) + step_us


def build_frames(
    batch: SampleBatch,
    signals: Sequence[Signal],
    *,
    after_us: int,
    until_us: int,
    step_us: int,
) -> Frame:
    """Grid rows with cell end in (after_us, until_us], oldest first.

    ``batch`` holds samples of these signals in any order, from ``look_back_us`` before ``after_us`` on; later and
    foreign ones are ignored. A value is held for two periods (of the signal, or of the grid for a faster one).
    """
    first = after_us // step_us + 1
    at_us = np.arange(first, until_us // step_us + 1, dtype=np.int64) * step_us
    values = np.full((len(at_us), len(signals)), np.nan)
    bad = np.zeros((len(at_us), len(signals)), dtype=np.bool_)
    state = np.full(len(at_us), -1, dtype=np.int16)
    for column, signal in enumerate(signals):
        times, heard, good = _series_of(batch, signal.signal_id, until_us)
        hold_us = _hold_us(signal, step_us)
        values[:, column], fresh = _last_before(at_us, times[good], heard[good], hold_us=hold_us, step_us=step_us)
        bad[:, column] = _only_bad(at_us, times[~good], fresh, step_us=step_us)
        values[bad[:, column], column] = np.nan
        if signal.role is Role.STATE:
            state[:] = _codes(values[:, column])
    asset_id = signals[0].asset_id if signals else 0
    return Frame(asset_id, signals, at_us, values, bad, state)


def _hold_us(signal: Signal, step_us: int) -> int:
    return HOLD_PERIODS * max(step_us, round(signal.period_s * SECOND_US))


def _series_of(batch: SampleBatch, signal_id: int, until_us: int) -> tuple[Int64s, Floats, Bools]:
    rows = np.flatnonzero((batch.signal_id == signal_id) & (batch.at_us <= until_us))
    rows = rows[np.argsort(batch.at_us[rows], kind="stable")]
    heard = batch.value[rows]
    good = (batch.quality[rows] != Quality.BAD) & np.isfinite(heard)
    return batch.at_us[rows], heard, good


def _last_before(at_us: Int64s, times: Int64s, heard: Floats, *, hold_us: int, step_us: int) -> tuple[Floats, Bools]:
    """Last value at or before each cell end if not older than ``hold_us``; and whether it lies within the cell."""
    if len(times) == 0:
        return np.full(len(at_us), np.nan), np.zeros(len(at_us), dtype=np.bool_)
    index = np.searchsorted(times, at_us, side="right") - 1
    known = index >= 0
    age = at_us - times[np.maximum(index, 0)]
    values = np.where(known & (age < hold_us), heard[np.maximum(index, 0)], np.nan)
    return values, known & (age < step_us)


def _only_bad(at_us: Int64s, times: Int64s, fresh: Bools, *, step_us: int) -> Bools:
    if len(times) == 0:
        return np.zeros(len(at_us), dtype=np.bool_)
    index = np.searchsorted(times, at_us, side="right") - 1
    came = (index >= 0) & (at_us - times[np.maximum(index, 0)] < step_us)
    return came & ~fresh


def _codes(values: Floats) -> npt.NDArray[np.int16]:
    known = np.isfinite(values) & (np.abs(values) < 30_000)
    return np.where(known, np.rint(np.where(known, values, -1)), -1).astype(np.int16)
