"""When a deviation begins, goes on and ends: persistence before, hysteresis after. Pure."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from detectors.calibrate import ALARMING
from detectors.jit import inner, kernel
from detectors.pace import Pace, reach
from plant.model import Floats, Int64s

CALM = 2.0  # surprise below which a row counts towards the end
BEGIN_SHARE = 0.8
END_SHARE = 0.9

# state
ACTIVE, HOT_BITS, CALM_BITS, QUIET_ROWS, STARTED_US, ENDED_US = range(6)
SIZE = 6


class Turn(IntEnum):
    """What happens at a row."""

    NOTHING = 0
    BEGINS = 1
    GOES_ON = 2
    ENDS = 3


def empty() -> Int64s:
    """State of one episode: int64[SIZE]."""
    return np.zeros(SIZE, dtype=np.int64)


@kernel
def advance(pace: Pace, state: Int64s, count: Int64s, surprise: Floats) -> npt.NDArray[np.int8]:
    """Turn int8[n] of each row, ``count`` int64[n] being the asset's rows so far. Rows with NaN are skipped.

    Windows are counted in judged rows, at most 62.
    """
    turns = np.zeros(len(surprise), dtype=np.int8)
    for i in range(len(surprise)):
        if not np.isfinite(surprise[i]):
            continue
        persist = int(reach(count[i], min(10.0, pace.persist_rows), pace.persist_rows))
        recover = int(reach(count[i], min(10.0, pace.recover_rows), pace.recover_rows))
        hot = 1 if surprise[i] >= ALARMING else 0
        calm = 1 if surprise[i] < CALM else 0
        state[HOT_BITS] = ((state[HOT_BITS] << 1) | hot) & ((1 << persist) - 1)
        state[CALM_BITS] = ((state[CALM_BITS] << 1) | calm) & ((1 << recover) - 1)
        turns[i] = _turn(state, persist, recover, pace.repeat_rows)
    return turns


@inner
def _turn(state: Int64s, persist: int, recover: int, repeat: int) -> int:
    state[QUIET_ROWS] += 1
    if state[ACTIVE] == 0:
        if _ones(state[HOT_BITS]) < BEGIN_SHARE * persist:
            return 0
        state[ACTIVE] = 1
        state[CALM_BITS] = 0
        state[QUIET_ROWS] = 0
        return 1
    if _ones(state[CALM_BITS]) >= END_SHARE * recover:
        state[ACTIVE] = 0
        state[HOT_BITS] = 0
        return 3
    if state[QUIET_ROWS] >= repeat:
        state[QUIET_ROWS] = 0
        return 2
    return 0


@inner
def _ones(bits: int) -> int:
    count = 0
    while bits:
        bits &= bits - 1
        count += 1
    return count
