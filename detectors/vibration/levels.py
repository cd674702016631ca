"""Vibration levels of one asset, hour by hour: what is usual, and which rise has lasted. Pure, compiled.

    log level a row ──> mean of each hour ──> first 72 hours: usual level and its spread
                                       └────> then, of the last 24 hours, what 80 % of them hold

Hours count only while the machine ran. Damage does not heal: a rise that lasts a day is material, one that fades
(grease on the move, a passing load, a spike) is not. Both lengths are those that the rest of the chain uses: three
days make a baseline (``pace.pace_of``) and 80 % of a window begin a finding (``episodes``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.calibrate import ALARMING, CAP
from detectors.jit import inner, kernel
from detectors.pace import HOUR_US
from detectors.snapshot import Array
from plant.model import Floats, Int64s

BASE_HOURS = 72
DAY_HOURS = 24
FADING = 4  # hours of the 24 that may lie on the other side: 80 % hold
LIMIT = math.log(1.125)  # an eighth above the usual level; benchmarks/bearing.py says how it was chosen
SPREADS = 3.0  # and at least so many spreads of the hours that made the baseline
OVER = 0.5  # share of the limit below which a rise is over

HOUR, SUM, ROWS, BASE, DAYS = range(5)  # columns of ``open``
USUAL, SPREAD, HELD, CALM = range(4)  # columns of ``seen``
ACTIVE, STARTED_US, QUIET, ENDED_US = range(4)  # of ``episode``


class Levels(NamedTuple):
    """State of k signals; every member is written in place."""

    open: Floats  # [k,5] hour under way, sum and rows in it; hours that made the baseline; hours since
    base: Floats  # [k,BASE_HOURS]
    day: Floats  # [k,DAY_HOURS] log levels of the last hours, a ring
    day_us: Int64s  # [k,DAY_HOURS] when those hours began
    seen: Floats  # [k,4] usual log level, its spread; what the last day holds above and below it
    episode: Int64s  # [4]


def empty(signals: int) -> Levels:
    """Levels of ``signals`` signals that nobody has heard."""
    levels = Levels(
        np.zeros((signals, 5)),
        np.zeros((signals, BASE_HOURS)),
        np.zeros((signals, DAY_HOURS)),
        np.zeros((signals, DAY_HOURS), dtype=np.int64),
        np.zeros((signals, 4)),
        np.zeros(4, dtype=np.int64),
    )
    forget(levels, at_us=0)
    return levels


def forget(levels: Levels, *, at_us: int) -> None:
    """Learn what is usual anew; a rise under way ends at ``at_us``."""
    levels.open[:] = 0.0
    levels.open[:, HOUR] = -1.0
    levels.seen[:] = np.nan
    if levels.episode[ACTIVE]:
        levels.episode[ENDED_US] = at_us
    levels.episode[ACTIVE] = 0


def rest(levels: Levels, *, at_us: int) -> None:
    """Keep what is usual and gather the last day anew; a rise under way ends at ``at_us``."""
    levels.open[:, [SUM, ROWS, DAYS]] = 0.0
    levels.seen[:, [HELD, CALM]] = np.nan
    if levels.episode[ACTIVE]:
        levels.episode[ENDED_US] = at_us
    levels.episode[ACTIVE] = 0


def limits(levels: Levels) -> Floats:
    """Rise of the log level float64[k] that is material; NaN while the baseline is made."""
    return np.asarray(np.maximum(LIMIT, SPREADS * levels.seen[:, SPREAD]), np.float64)


def arrays(levels: Levels) -> Mapping[str, Array]:
    """The state, as views that may be written to."""
    return {f"levels.{name}": array for name, array in levels._asdict().items()}


@kernel
def advance(
    levels: Levels, at_us: Int64s, log_level: Floats, repeat: int
) -> tuple[Floats, npt.NDArray[np.int8], Int64s, Floats]:
    """Judge rows ``log_level`` float64[n,k] (NaN = not heard, or not running) with the hours before them, then learn.

    Returns surprise float64[n] (NaN before a day after the baseline; a rise as large as its limit is alarming), the
    turn int8[n] of each row, since when the rise lasts int64[n], and the rise of the log level float64[n,k].
    """
    n, k = log_level.shape
    surprise = np.full(n, np.nan)
    turns = np.zeros(n, dtype=np.int8)
    started = np.zeros(n, dtype=np.int64)
    rises = np.full((n, k), np.nan)
    for i in range(n):
        worst, calm = -np.inf, -np.inf
        for j in range(k):
            if np.isfinite(log_level[i, j]):
                _take(levels, j, at_us[i], log_level[i, j])
            limit = max(LIMIT, SPREADS * levels.seen[j, SPREAD])
            if np.isfinite(levels.seen[j, HELD]):
                rises[i, j] = levels.seen[j, HELD]
                worst = max(worst, rises[i, j] / limit)
                calm = max(calm, levels.seen[j, CALM] / limit)
        if np.isfinite(worst):
            surprise[i] = min(ALARMING * max(worst, 0.0), CAP)
            turns[i] = _turn(levels, at_us[i], worst, calm, repeat)
            started[i] = levels.episode[STARTED_US]
    return surprise, turns, started, rises


@inner
def _take(levels: Levels, j: int, at_us: int, value: float) -> None:
    hour = (at_us - 1) // HOUR_US
    row = levels.open[j]
    if row[HOUR] != hour:
        if row[ROWS] > 0.0:
            _close(levels, j, int(row[HOUR]) * HOUR_US, row[SUM] / row[ROWS])
        row[HOUR], row[SUM], row[ROWS] = hour, 0.0, 0.0
    row[SUM] += value
    row[ROWS] += 1.0


@inner
def _close(levels: Levels, j: int, began_us: int, level: float) -> None:
    """An hour is over: it makes the baseline, or is set against it."""
    row, seen = levels.open[j], levels.seen[j]
    if row[BASE] < BASE_HOURS:
        levels.base[j, int(row[BASE])] = level
        row[BASE] += 1.0
        if row[BASE] == BASE_HOURS:
            seen[USUAL] = np.median(levels.base[j])
            seen[SPREAD] = 1.4826 * np.median(np.abs(levels.base[j] - seen[USUAL]))
        return
    place = int(row[DAYS]) % DAY_HOURS
    levels.day[j, place] = level
    levels.day_us[j, place] = began_us
    row[DAYS] += 1.0
    if row[DAYS] >= DAY_HOURS:
        ordered = np.sort(levels.day[j])
        seen[HELD] = ordered[FADING] - seen[USUAL]
        seen[CALM] = ordered[DAY_HOURS - 1 - FADING] - seen[USUAL]


@inner
def _turn(levels: Levels, at_us: int, worst: float, calm: float, repeat: int) -> int:
    episode = levels.episode
    episode[QUIET] += 1
    if episode[ACTIVE] == 0:
        if worst < 1.0:
            return 0
        episode[ACTIVE] = 1
        episode[STARTED_US] = _since(levels, at_us)
        episode[QUIET] = 0
        return 1
    if calm < OVER:
        episode[ACTIVE] = 0
        return 3
    if episode[QUIET] >= repeat:
        episode[QUIET] = 0
        return 2
    return 0


@inner
def _since(levels: Levels, at_us: int) -> int:
    """Begin of the first hour of the last day that a signal spent above its limit."""
    since = at_us
    for j in range(len(levels.seen)):
        limit = max(LIMIT, SPREADS * levels.seen[j, SPREAD])
        if levels.seen[j, HELD] >= limit:
            for place in range(DAY_HOURS):
                if levels.day[j, place] - levels.seen[j, USUAL] >= limit:
                    since = min(since, levels.day_us[j, place])
    return since
