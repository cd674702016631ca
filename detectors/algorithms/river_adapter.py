"""Any anomaly or drift estimator of river as a detector, calibrated like every other. Pure.

    values ──> robust scale ──> estimators (of rows or signals) ──> each score calibrated ──> largest ──> episode

The setting ``river_estimators`` names them; without it this detector does not run. Scores of estimators do not
compare, so each is calibrated by itself (``stream.calibrator``) and the largest surprise speaks, less what so many of
them find by chance. Which signal is concerned is told by how far each is off its own usual value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from core.settings import settings
from detectors.base import Finding, Frame, Judgement
from detectors.episodes import CALM, Turn
from detectors.findings import HOUR_US, Size, Voice
from detectors.frames import grid_step_us
from detectors.river_models import EPOCH, SCALE, Kept, Pair, kept_rows
from detectors.snapshot import Array, pack, restore
from detectors.stream import calibrator
from detectors.stream.parameters import DEFAULT
from plant.model import Floats, Role, Signal

NAME = "river"
VERSION = "1"
COMPANION = True
WARM = 1_440  # rows before anything is said: calibration must have seen some
WINSOR = 4.0
RATE = 1.0 / 2_000.0  # of the scale, once it has seen so many rows
STOPPED = (0, 2)
SPAN_ROWS = 30.0  # one row proves little: evidence is the mean surprise of about so many
CALM_ROWS, REPEAT_ROWS, GIVEN_UP_ROWS = 30, 30, 10_000
ALARMS_MONTH = 1.0  # unless a plant asks for another rate
MONTH_US = 30 * 24 * HOUR_US
COUNT, ENDED, ACTIVE, STARTED_US, CALM_FOR, QUIET, LASTS = range(7)


class River:
    """river's estimators over the measured signals of one asset (see ``Detector``)."""

    name = NAME
    _last: Floats

    def __init__(self, names: Sequence[str], *, asset_id: int, site_id: int, signals: Sequence[Signal]) -> None:
        self.version = f"{VERSION}.{'+'.join(names)}"
        self._voice = Voice(NAME, VERSION, asset_id, site_id)
        self._signals = [each for each in signals if each.role is Role.MEASURED]
        self._columns = [signals.index(each) for each in self._signals]
        self._stateful = any(each.role is Role.STATE for each in signals)
        self._step_us = grid_step_us(signals)
        self.ask(ALARMS_MONTH)
        self._names = names
        self._forget()

    def ask(self, alarms_month: float) -> None:
        """At most so many false alarms an asset and month, from the next row on."""
        self._rate = min(alarms_month * self._step_us / MONTH_US, 0.5)

    def update(self, frame: Frame) -> Judgement:
        found = self._ended()
        surprise = np.full(len(frame), np.nan)
        values = np.where(frame.bad, np.nan, frame.values)[:, self._columns]
        for i in range(len(frame)):
            if self._stateful and frame.state[i] in STOPPED:
                continue
            surprise[i] = self._row(values[i])
            turn = self._turn(float(surprise[i]), int(frame.at_us[i]))
            if turn is not Turn.NOTHING:
                found.append(self._finding(turn, int(frame.at_us[i]), float(surprise[i])))
        return Judgement(found, (), surprise)

    def relearn(self, at_us: int) -> None:
        active, started_us = bool(self._counts[ACTIVE]), int(self._counts[STARTED_US])
        last = self._last.copy()
        self._forget()
        if active:
            self._counts[ENDED], self._counts[STARTED_US], self._last = at_us, started_us, last

    def dump(self) -> bytes:
        return pack(self._kind, self._arrays())

    def load(self, state: bytes) -> None:
        """Estimators are made anew from the rows that are kept: nothing of theirs was stored."""
        restore(self._kind, self._arrays(), state)
        count = int(self._counts[COUNT])
        for pair in self._pairs:
            pair.begin(self._rows[: kept_rows(count)], count)

    # -- inside -------------------------------------------------------------------------------------------------------

    @property
    def _kind(self) -> str:
        return f"{NAME} {self.version}"

    def _forget(self) -> None:
        k = len(self._signals)
        self._pairs = [Pair(name, k) for name in self._names]
        self._tails = calibrator.empty(sum(pair.scores for pair in self._pairs) + 1, DEFAULT)  # the last: evidence
        self._limit = calibrator.empty_limit(DEFAULT)
        self._evidence = np.zeros(1)
        self._scale = np.zeros((3, k))  # rows, centre, spread
        self._rows: Kept = np.zeros((2 * EPOCH, k), np.float32)  # since the elder began, the oldest first
        self._counts = np.zeros(7, np.int64)
        self._last = np.zeros((3, k))  # level in sigmas, expected, sigma

    def _arrays(self) -> Mapping[str, Array]:
        return {
            "tails": self._tails, "scale": self._scale, "rows": self._rows, "counts": self._counts,
            "last": self._last, "limit": self._limit, "evidence": self._evidence,
        }  # fmt: skip

    def _row(self, values: Floats) -> float:
        """Surprise of a row, then learn it; NaN while too little is known."""
        scaled = self._scaled(values)
        if not np.isfinite(scaled).any():
            return math.nan
        count = int(self._counts[COUNT])
        if count and count % EPOCH == 0 and count >= 2 * EPOCH:
            self._rows[:EPOCH] = self._rows[EPOCH:]
        raw = np.concatenate([pair.feed(scaled, count) for pair in self._pairs])
        self._counts[COUNT] = count + 1
        self._rows[kept_rows(count + 1) - 1] = scaled
        told = np.array([calibrator.surprises(self._tails[j], raw[j : j + 1])[0] for j in range(len(raw))])
        if count < WARM or not np.isfinite(told).any():
            return math.nan
        row = max(float(np.nanmax(told)) - math.log10(len(told)), 0.0)
        self._evidence += (row - self._evidence) / SPAN_ROWS
        return float(calibrator.surprises(self._tails[-1], self._evidence)[0])

    def _turn(self, surprise: float, at_us: int) -> Turn:
        """Begins with an alarm of the asked rate, ends when it has been calm, or has become what is usual."""
        if math.isnan(surprise):
            return Turn.NOTHING
        counts = self._counts
        alarm = bool(calibrator.alarms(self._limit, np.array([surprise]), self._rate)[0])
        if not counts[ACTIVE]:
            if not alarm:
                return Turn.NOTHING
            counts[[ACTIVE, STARTED_US, CALM_FOR, QUIET, LASTS]] = 1, at_us, 0, 0, 0
            return Turn.BEGINS
        counts[CALM_FOR] = counts[CALM_FOR] + 1 if surprise < CALM else 0
        counts[[QUIET, LASTS]] += 1
        if counts[CALM_FOR] >= CALM_ROWS or counts[LASTS] >= GIVEN_UP_ROWS:
            counts[ACTIVE] = 0
            return Turn.ENDS
        if counts[QUIET] < REPEAT_ROWS:
            return Turn.NOTHING
        counts[QUIET] = 0
        return Turn.GOES_ON

    def _scaled(self, values: Floats) -> Kept:
        """Each value in spreads off its usual one, then learn it; what no float64 can square is cut."""
        values = np.where(np.isfinite(values), np.clip(values, -1e150, 1e150), np.nan)
        known = np.isfinite(values)
        rows, centre, spread = self._scale
        first = known & (rows == 0)
        centre[first] = values[first]
        sigma = np.maximum(1.2533 * spread, np.maximum(1e-9 * np.abs(centre), 1e-300))
        off = np.where(known, values - centre, 0.0)
        level = np.clip(np.where(known, off / sigma, np.nan), -SCALE, SCALE)
        level[known & (rows < 2)] = 0.0
        self._last = np.stack([np.where(known, level, 0.0), centre.copy(), sigma])
        rows[known] += 1
        step = np.where(known, np.maximum(RATE, 1.0 / np.maximum(rows, 1.0)), 0.0)
        settled = (rows > 20) & (spread > 0)
        off = np.where(settled, np.clip(off, -WINSOR * spread, WINSOR * spread), off)
        centre += step * off
        spread += step * (np.abs(off) - spread)
        return level.astype(np.float32)

    def _finding(self, turn: Turn, at_us: int, surprise: float) -> Finding:
        size, started_us = Size(self._signals, *self._last), int(self._counts[STARTED_US])
        return self._voice.machine(size, turn=turn, started_us=started_us, at_us=at_us, surprise=surprise)

    def _ended(self) -> list[Finding]:
        """The finding that a repair ended, said once."""
        at_us = int(self._counts[ENDED])
        self._counts[ENDED] = 0
        return [self._finding(Turn.ENDS, at_us, 0.0)] if at_us else []


def create(*, asset_id: int, site_id: int, asset_class: str, signals: Sequence[Signal]) -> River | None:  # noqa: ARG001
    """None unless ``river_estimators`` names some. Raises RiverMissing, UnknownEstimator."""
    names = [each.strip() for each in settings().river_estimators.split(",") if each.strip()]
    if not names or all(each.role is not Role.MEASURED for each in signals):
        return None
    return River(names, asset_id=asset_id, site_id=site_id, signals=signals)


def example(*, asset_id: int, site_id: int, asset_class: str, signals: Sequence[Signal]) -> River:  # noqa: ARG001
    """What the contract tests look at."""
    names = ("anomaly.GaussianScorer",)
    return River(names, asset_id=asset_id, site_id=site_id, signals=signals)
