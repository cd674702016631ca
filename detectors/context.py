"""What a signal should read, given what the machine is asked to do. Pure.

    setpoints, state ──> context features ──> one recursive regression a signal ──> residual in sigmas ──> bank

Healthy machines start, stop, change load and stand in the sun; none of that may look like a fault. So nothing is
judged while a machine is stopped or starting, for a settling time after a start or a large setpoint step, or in a
context unlike those learnt (the regression's own leverage tells); such contexts are learnt first. Learning stands
still while any signal is suspicious, so that a slow degradation is never taken for normal.

Source: recursive least squares with leverage (Ljung, System Identification, ch. 11); the row loop is in
``context_rows``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors import bank, context_rows, context_state
from detectors.base import Frame
from detectors.context_state import LEARNT, NOT_BEFORE_US, RELEARN, Bools, Shape
from detectors.limits import material
from detectors.pace import Pace
from detectors.snapshot import Array
from plant.model import Floats, Int64s, Role, Signal

LEARN_ROWS = 20_000  # two weeks of minutes: then known contexts have set
BARE_ROWS = 40  # a baseline without any context: a flight, a cycle, a batch a row
COLD_START, WARM_START = 10.0, 2.0  # spread after a start before any was seen: temperatures take hours
KEPT_BASELINE = 1  # after a repair the old baseline counts as this many rows a coefficient
RELEARN_SHARE = 2  # and as many rows as half a warm-up are learnt before anything is judged


@dataclass(frozen=True, slots=True)
class Residuals:
    """Grid rows seen through the context, for the k measured signals.

    ``row`` int64[n] counts the asset's rows. ``expected`` float64[n,k] in the signal's unit (NaN = no expectation),
    ``sigma`` float64[n,k] the healthy spread around it, same unit; ``evidence`` float64[n,k,bank.COLUMNS] of the
    standardised residuals; ``judged`` bool[n,k]; ``learns`` bool[n]: healthy rows that teach; ``jump`` uint8[n,k] of
    ``steps.Jump``; ``since_us`` int64[n,k]: since when the deviation lasts.
    """

    at_us: Int64s
    row: Int64s
    expected: Floats
    sigma: Floats
    evidence: Floats
    judged: Bools
    learns: Bools
    jump: npt.NDArray[np.uint8]
    since_us: Int64s

    def __len__(self) -> int:
        return len(self.at_us)


class Context:
    """The context model of one asset, with the bank of its residuals."""

    def __init__(self, signals: Sequence[Signal], pace: Pace) -> None:
        self.pace = pace
        self.measured = columns_of(signals, Role.MEASURED)
        self._setpoints = columns_of(signals, Role.SETPOINT)
        self._shape = _shape_of(signals, pace)
        self._state = context_state.empty(self._shape)
        self.bank = bank.empty(len(self.measured))

    def advance(self, frame: Frame, trusted: Bools) -> Residuals:
        """Score and learn the frame's rows; values where ``trusted`` bool[n, all signals] is False are not used."""
        values = np.where(trusted, frame.values, np.nan)
        n, k = len(frame), len(self.measured)
        result = Residuals(
            at_us=frame.at_us,
            row=np.zeros(n, dtype=np.int64),
            expected=np.full((n, k), np.nan),
            sigma=np.full((n, k), np.nan),
            evidence=np.full((n, k, bank.COLUMNS), np.nan),
            judged=np.zeros((n, k), dtype=np.bool_),
            learns=np.zeros(n, dtype=np.bool_),
            jump=np.zeros((n, k), dtype=np.uint8),
            since_us=np.zeros((n, k), dtype=np.int64),
        )
        context_rows.advance(
            self.pace,
            self._shape,
            self._state,
            self.bank,
            frame.at_us,
            np.ascontiguousarray(values[:, self._setpoints]),
            np.ascontiguousarray(values[:, self.measured]),
            frame.state,
            (
                result.row,
                result.expected,
                result.sigma,
                result.evidence,
                result.judged,
                result.learns,
                result.jump,
                result.since_us,
            ),
        )
        return result

    def forget_evidence(self, at_us: int) -> None:
        """After somebody worked on the machine: keep the baseline, drop what was gathered against it."""
        for j in range(len(self.bank)):
            bank.forget(self.bank, j)
        self._state.signals["since"] = at_us

    def relearn(self, at_us: int) -> None:
        """After a repair at ``at_us``: the old baseline counts little against later rows; earlier ones do not count."""
        self.forget_evidence(at_us)
        counters, state = self._state.counters, self._state
        state.jump[:] = 0
        counters[NOT_BEFORE_US] = at_us
        counters[RELEARN] = max(BARE_ROWS, self._shape.warm_rows // RELEARN_SHARE)
        keep = KEPT_BASELINE * self._shape.features
        if counters[LEARNT] > keep:
            state.covariance[...] *= int(counters[LEARNT]) / keep
            counters[LEARNT] = keep
            self.bank["mean"] = 0.0

    def arrays(self) -> Mapping[str, Array]:
        """The state, as views that may be written to."""
        return {f"context.{name}": array for name, array in self._state._asdict().items()} | {"bank": self.bank}


def columns_of(signals: Sequence[Signal], role: Role) -> npt.NDArray[np.intp]:
    """Positions of the signals with this role."""
    return np.array([i for i, signal in enumerate(signals) if signal.role is role], dtype=np.intp)


def _shape_of(signals: Sequence[Signal], pace: Pace) -> Shape:
    setpoints = [signal for signal in signals if signal.role is Role.SETPOINT]
    measured = [signal for signal in signals if signal.role is Role.MEASURED]
    stateful = any(signal.role is Role.STATE for signal in signals)
    # Temperatures around the machine act while it is stopped too; load and speed do not.
    around = np.array([signal.quantity == "temperature" for signal in setpoints], dtype=np.bool_)
    spans = [(s.high - s.low) if s.high is not None and s.low is not None else 0.0 for s in setpoints]
    slow = np.array([s.period_s * 1e6 > 1.5 * pace.step_us for s in measured], dtype=np.bool_)
    return Shape(
        setpoints=len(setpoints),
        measured=len(measured),
        features=context_state.feature_count(around, 1 if stateful else 0),
        stateful=1 if stateful else 0,
        warm_rows=pace.warm_rows if (setpoints or stateful) else BARE_ROWS,
        warm_us=pace.warm_us if (setpoints or stateful) else 0,
        learn_rows=LEARN_ROWS if (setpoints or stateful) else 2 * BARE_ROWS,
        around=around,
        spans=np.array(spans, dtype=np.float64),
        slow=slow,
        material=np.array([material(s) for s in measured], dtype=np.float64).reshape(-1, 2),
        start_spread=np.array([COLD_START if s.quantity == "temperature" else WARM_START for s in measured]),
    )
