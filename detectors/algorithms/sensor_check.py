"""Is it the sensor? Silent, bad, out of range, stuck: never a machine fault. Pure.

Each fault is a run of rows on which something holds (no value, no change, …). A run of length L is as surprising as
the sensor's own history makes it: L · −log10(q), where q is the share of such rows so far. A sensor that repeats
itself by nature, or loses every fifth message, therefore needs longer runs; one that never had noise is never stuck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from detectors.base import Finding, Frame, Judgement
from detectors.episodes import Turn
from detectors.findings import Voice
from detectors.frames import grid_step_us
from detectors.jit import inner, kernel
from detectors.pace import Pace, pace_of
from detectors.snapshot import Array, pack, restore
from plant.model import Floats, Int64s, Role, Signal

NAME = "sensor_check"
VERSION = "1"

Bools = npt.NDArray[np.bool_]


class Fault(IntEnum):
    """What may hold on a row; the name in lower case is the finding's failure mode."""

    SILENT = 0
    BAD_QUALITY = 1
    OUT_OF_RANGE = 2
    STUCK = 3


FAULTS = len(Fault)
LEAST_ROWS = np.array([2, 3, 3, 10], dtype=np.int64)
ALARMING = 6.0
SUSPECT = 3.0  # from here on the value is not used, long before anything is said
NOISY_ROWS = 30  # changes a signal must have shown before it can be stuck
RESTLESS = 0.5  # a signal that repeats itself more often than this may well stand still
HISTORY_ROWS = 20.0
BACK_ROWS = 10  # rows without the fault that end it
CAP = 50.0
MARGIN = 0.01  # of the range

BY_LONGEST = -1.0  # setpoints: stuck when standing still three times as long as ever before
LONGEST_LEAST = 20.0
LONGEST_HISTORY = 2_000
LONGEST_CHANGES = 300

# state of one (signal, fault): rows looked at, rows in ended runs, current run, rows back, active, start, quiet rows,
# longest ended run
LOOKED, HELD, RUN, BACK, ACTIVE, STARTED_US, QUIET, LONGEST = range(8)
SIZE = 8


class SensorCheck:
    """The sensor check of one asset; ``scan`` also says which values may be trusted."""

    name = NAME
    version = VERSION

    def __init__(self, *, asset_id: int, site_id: int, signals: Sequence[Signal]) -> None:
        self._voice = Voice(NAME, VERSION, asset_id, site_id)
        self._signals = signals
        self._pace = pace_of(grid_step_us(signals))
        self._runs = np.zeros((len(signals), FAULTS, SIZE), dtype=np.int64)
        self._last = np.full(len(signals), np.nan)
        self._settle = np.zeros(1, dtype=np.int64)
        self._limits = _limits(signals)
        self._stuckable = np.array([_may_stick(s, self._pace) for s in signals], dtype=np.float64)
        self._stateful = any(signal.role is Role.STATE for signal in signals)

    def update(self, frame: Frame) -> Judgement:
        found, _, surprise = self.scan(frame)
        return Judgement(found, (), surprise)

    def scan(self, frame: Frame) -> tuple[list[Finding], Bools, Floats]:
        """Findings, values to trust bool[n, signals], and the worst surprise of each row float64[n]."""
        n, k = frame.values.shape
        trusted = np.zeros((n, k), dtype=np.bool_)
        surprise = np.zeros((n, k, FAULTS))
        turns = np.zeros((n, k, FAULTS), dtype=np.int8)
        started = np.zeros((n, k, FAULTS), dtype=np.int64)
        _scan(
            self._pace,
            self._stateful,
            (self._limits, self._stuckable, LEAST_ROWS),
            (self._runs, self._last, self._settle),
            (frame.at_us, frame.values, frame.bad, frame.state),
            (trusted, surprise, turns, started),
        )
        found = [
            self._voice.sensor(
                self._signals[j],
                Fault(f).name.lower(),
                turn=Turn(int(turns[i, j, f])),
                started_us=int(started[i, j, f]),
                at_us=int(frame.at_us[i]),
                surprise=float(surprise[i, j, f]),
                value=float(frame.values[i, j]),
            )
            for i, j, f in zip(*np.nonzero(turns), strict=True)
        ]
        return found, trusted, surprise.max(axis=(1, 2), initial=0.0)

    def relearn(self, at_us: int) -> None:
        """Keep what is known of the sensors: a repair of the machine changes none."""

    def dump(self) -> bytes:
        return pack(f"{NAME} {VERSION}", self.arrays())

    def load(self, state: bytes) -> None:
        restore(f"{NAME} {VERSION}", self.arrays(), state)

    def arrays(self) -> Mapping[str, Array]:
        return {f"{NAME}.runs": self._runs, f"{NAME}.last": self._last, f"{NAME}.settle": self._settle}


def create(*, asset_id: int, site_id: int, asset_class: str, signals: Sequence[Signal]) -> SensorCheck:  # noqa: ARG001
    """The sensor check of one asset (see ``DetectorFactory``)."""
    return SensorCheck(asset_id=asset_id, site_id=site_id, signals=signals)


def _limits(signals: Sequence[Signal]) -> Floats:
    """Range float64[2, k], wider by a hundredth: noise around the end of a range is no fault (cf. NAMUR NE 43)."""
    low = np.array([-np.inf if signal.low is None else signal.low for signal in signals], dtype=np.float64)
    high = np.array([np.inf if signal.high is None else signal.high for signal in signals], dtype=np.float64)
    margin = np.where(np.isfinite(low) & np.isfinite(high), MARGIN * (high - low), 0.0)
    return np.stack([low - margin, high + margin])


def _may_stick(signal: Signal, pace: Pace) -> float:
    """Share of repeated rows up to which the signal can be called stuck; 0 = never.

    A slow signal is held on the grid and so repeats itself; codes may stand still for days, and so may setpoints
    unless they never did.
    """
    if signal.role is Role.STATE:
        return 0.0
    if signal.role is Role.SETPOINT:
        return BY_LONGEST
    period_us = max(signal.period_s * 1e6, float(pace.step_us))
    return 1.0 - (1.0 - RESTLESS) * pace.step_us / period_us


@kernel
def _scan(
    pace: Pace,
    stateful: bool,
    rules: tuple[Floats, Floats, Int64s],
    memory: tuple[Int64s, Floats, Int64s],
    rows: tuple[Int64s, Floats, Bools, npt.NDArray[np.int16]],
    out: tuple[Bools, Floats, npt.NDArray[np.int8], Int64s],
) -> None:
    limits, stuckable, least = rules
    runs, last, settle = memory
    at_us, values, bad, state = rows
    trusted, surprise, turns, started = out
    for i in range(len(at_us)):
        running = 1
        if stateful and not (state[i] == 1 or state[i] >= 3):
            running = 0
            settle[0] = pace.settle_rows
        elif settle[0] > 0:
            settle[0] -= 1
            running = 0
        heard = 0
        for j in range(values.shape[1]):
            if np.isfinite(values[i, j]):
                heard += 1
        for j in range(values.shape[1]):
            value = values[i, j]
            known = np.isfinite(value) and not bad[i, j]
            trusted[i, j] = known
            for fault in range(4):
                holds = _holds(fault, value, known, bad[i, j], last[j], limits, j, heard, running)
                fine = _run(runs[j, fault], fault, holds, at_us[i], least, stuckable[j], pace.repeat_rows)
                surprise[i, j, fault] = _surprise(runs[j, fault], fault, stuckable[j])
                turns[i, j, fault] = fine
                started[i, j, fault] = runs[j, fault, STARTED_US]
                if runs[j, fault, ACTIVE] == 1 or (runs[j, fault, RUN] > 1 and surprise[i, j, fault] >= SUSPECT):
                    trusted[i, j] = False
            if known and (value < limits[0, j] or value > limits[1, j]):
                trusted[i, j] = False
            if known and running == 1:
                last[j] = value
            elif running == 0:
                last[j] = np.nan


@inner
def _holds(
    fault: int, value: float, known: bool, bad: bool, last: float, limits: Floats, j: int, heard: int, running: int
) -> int:
    """1 = the fault shows on this row, 0 = it does not, -1 = this row cannot tell."""
    if fault == 0:
        return (0 if known or bad else 1) if heard > 0 or known or bad else -1
    if fault == 1:
        return (1 if bad else 0) if known or bad else -1
    if not known:
        return -1
    outside = value < limits[0, j] or value > limits[1, j]
    if fault == 2:
        return 1 if outside else 0
    if outside or running == 0 or not np.isfinite(last):
        return -1
    return 1 if value == last else 0


@inner
def _surprise(run: Int64s, fault: int, stuckable: float) -> float:
    """Of the current run; 0 while the history is too short to say."""
    if run[RUN] == 0 or run[LOOKED] < HISTORY_ROWS:
        return 0.0
    if fault == 3 and stuckable < 0.0:
        if run[LOOKED] < LONGEST_HISTORY or run[LOOKED] - run[HELD] < LONGEST_CHANGES:
            return 0.0
        return float(min(ALARMING / 3.0 * run[RUN] / max(run[LONGEST], LONGEST_LEAST), CAP))
    share = (run[HELD] + 1.0) / (run[LOOKED] + 2.0)
    if fault == 3 and (share > stuckable or run[LOOKED] - run[HELD] < NOISY_ROWS):
        return 0.0
    return float(min(-run[RUN] * np.log10(min(share, 1.0)), CAP))


@inner
def _run(run: Int64s, fault: int, holds: int, at_us: int, least: Int64s, stuckable: float, repeat: int) -> int:
    """Advance one run by one row; the turn: 0 nothing, 1 begins, 2 goes on, 3 ends."""
    run[QUIET] += 1
    if holds == 1:
        if run[RUN] == 0:
            run[STARTED_US] = at_us
        run[RUN] += 1
        run[BACK] = 0
    elif holds == 0:
        run[BACK] += 1
        if run[ACTIVE] == 0:
            run[LOOKED] += run[RUN] + 1  # an active run was a fault: it does not count as the sensor's habit
            run[HELD] += run[RUN]
            run[LONGEST] = max(run[LONGEST], run[RUN])
            run[RUN] = 0
    if run[ACTIVE] == 1:
        if run[BACK] >= BACK_ROWS:
            run[ACTIVE] = 0
            run[RUN] = 0
            return 3
        if run[QUIET] >= repeat:
            run[QUIET] = 0
            return 2
        return 0
    if run[RUN] >= least[fault] and _surprise(run, fault, stuckable) >= ALARMING:
        run[ACTIVE] = 1
        run[QUIET] = 0
        return 1
    return 0
