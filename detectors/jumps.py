"""Readings no machine could make → sensor findings: spikes, and steps of one signal alone. Pure.

Wear takes hours; a loose wire or a shifted transmitter takes one row. The context model sees such rows first (it
knows what the reading should be), keeps them out of the machine's memories, and marks them; here they become
findings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from detectors.base import Finding
from detectors.context import Residuals
from detectors.episodes import Turn
from detectors.findings import Voice
from detectors.jit import inner, kernel
from detectors.pace import Pace
from detectors.snapshot import Array
from plant.model import Floats, Int64s, Signal

MODES = ("spike", "jump")
SPIKES = 3.0  # spikes within about two hours
FEW = 0.5
SURPRISE = 6.0  # nominal: three readings beyond ten sigmas on one signal alone

# state of one (signal, mode): active, start, quiet rows, last mark
ACTIVE, STARTED_US, QUIET, MARK = range(4)
SIZE = 4


class JumpWatch:
    """Counts marked rows of one asset's measured signals."""

    def __init__(self, voice: Voice, signals: Sequence[Signal], pace: Pace) -> None:
        self._voice, self._signals, self._pace = voice, signals, pace
        self._state = np.zeros((len(signals), len(MODES), SIZE), dtype=np.int64)
        self._count = np.zeros(len(signals))

    def watch(self, residuals: Residuals) -> list[Finding]:
        turns = np.zeros((*residuals.jump.shape, len(MODES)), dtype=np.int8)
        started = np.zeros(turns.shape, dtype=np.int64)
        seen = np.isfinite(residuals.expected)
        decay = 0.5 ** (1.0 / self._pace.long_rows)
        _watch(
            self._state,
            self._count,
            residuals.at_us,
            residuals.jump,
            seen,
            turns,
            started,
            decay,
            self._pace.repeat_rows,
        )
        return [
            self._voice.sensor(
                self._signals[j],
                MODES[mode],
                turn=Turn(int(turns[i, j, mode])),
                started_us=int(started[i, j, mode]),
                at_us=int(residuals.at_us[i]),
                surprise=SURPRISE if turns[i, j, mode] != Turn.ENDS else 0.0,
                value=float(residuals.expected[i, j]),
            )
            for i, j, mode in zip(*np.nonzero(turns), strict=True)
        ]

    def arrays(self) -> Mapping[str, Array]:
        return {"jumps.state": self._state, "jumps.count": self._count}


@kernel
def _watch(
    state: Int64s,
    count: Floats,
    at_us: Int64s,
    jump: npt.NDArray[np.uint8],
    seen: npt.NDArray[np.bool_],
    turns: npt.NDArray[np.int8],
    started: Int64s,
    decay: float,
    repeat: int,
) -> None:
    for i in range(len(at_us)):
        for j in range(jump.shape[1]):
            if not seen[i, j]:
                continue
            mark = jump[i, j]
            count[j] *= decay
            if mark == 3 and state[j, 0, MARK] == 0:
                count[j] += 1.0
            state[j, 0, MARK] = mark
            turns[i, j, 0] = _turn(state[j, 0], count[j] >= SPIKES - 0.5, count[j] < FEW, at_us[i], repeat)
            turns[i, j, 1] = _turn(state[j, 1], mark == 2, mark != 2, at_us[i], repeat)
            started[i, j, 0] = state[j, 0, STARTED_US]
            started[i, j, 1] = state[j, 1, STARTED_US]


@inner
def _turn(state: Int64s, begins: bool, ends: bool, at_us: int, repeat: int) -> int:
    state[QUIET] += 1
    if state[ACTIVE] == 0:
        if not begins:
            return 0
        state[ACTIVE] = 1
        state[STARTED_US] = at_us
        state[QUIET] = 0
        return 1
    if ends:
        state[ACTIVE] = 0
        return 3
    if state[QUIET] >= repeat:
        state[QUIET] = 0
        return 2
    return 0
