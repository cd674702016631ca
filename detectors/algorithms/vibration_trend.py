"""A lasting rise of vibration, hour by hour, on any signal of a machine: wear of bearings and gears. Pure.

Needs nothing but levels (RMS, mean absolute value, envelope), no waveform: a slow signal of one value in ten minutes
will do. Where the machine has setpoints or a state the level is set against what they let expect (``context``), else
it is taken as it is. One finding at a time an asset names the signals that rose, the most risen first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from detectors import bank
from detectors.base import Finding, FindingKind, Frame, Judgement, Sentence
from detectors.context import Context
from detectors.episodes import Turn
from detectors.findings import HOUR_US, moment
from detectors.frames import grid_step_us
from detectors.pace import pace_of
from detectors.snapshot import Array, pack, restore
from detectors.vibration import levels
from plant.model import Floats, Role, Signal

NAME = "vibration_trend"
VERSION = "1"
COMPANION = True  # judges beside the default chain (see ``detectors.companions``)
QUANTITIES = frozenset({"vibration_velocity", "vibration_acceleration", "acceleration_envelope", "displacement"})
LOST = math.log(4.0)  # four times the usual level: from zone A into zone D of ISO 20816-3
NAMED = 0.2  # a signal that rose less than this share of the most risen one is not blamed


class VibrationTrend:
    """The vibration levels of one asset (see ``Detector``)."""

    name = NAME
    version = VERSION

    def __init__(self, *, asset_id: int, site_id: int, signals: Sequence[Signal]) -> None:
        self._asset_id, self._site_id = asset_id, site_id
        self._pace = pace_of(grid_step_us(signals))
        measured = [each for each in signals if each.role is Role.MEASURED]
        self._signals = [each for each in measured if each.quantity in QUANTITIES]
        self._columns = [signals.index(each) for each in self._signals]
        self._among = [measured.index(each) for each in self._signals]
        self._context = Context(signals, self._pace) if len(measured) < len(signals) else None
        self._levels = levels.empty(len(self._signals))
        self._last = np.full((2, len(self._signals)), np.nan)  # rise of the log level, and what context lets expect

    def update(self, frame: Frame) -> Judgement:
        log_level, expected = self._log_levels(frame)
        surprise, turns, started, rises = levels.advance(self._levels, frame.at_us, log_level, self._pace.repeat_rows)
        found = self._ended()
        for i in np.flatnonzero(turns):
            self._last[0], self._last[1] = rises[i], expected[i]
            turn, at_us = Turn(int(turns[i])), int(frame.at_us[i])
            found.append(self._finding(turn, at_us, started_us=int(started[i]), surprise=float(surprise[i])))
        return Judgement(found, (), surprise)

    def relearn(self, at_us: int) -> None:
        levels.forget(self._levels, at_us=at_us)
        if self._context is not None:
            self._context.relearn(at_us)

    def intervene(self, at_us: int) -> None:
        levels.rest(self._levels, at_us=at_us)

    def dump(self) -> bytes:
        return pack(f"{NAME} {VERSION}", self._arrays())

    def load(self, state: bytes) -> None:
        restore(f"{NAME} {VERSION}", self._arrays(), state)

    def _arrays(self) -> Mapping[str, Array]:
        context = {} if self._context is None else self._context.arrays()
        return {**levels.arrays(self._levels), "last": self._last, **context}

    def _log_levels(self, frame: Frame) -> tuple[Floats, Floats]:
        """Log of each level over what its context lets expect, and that; float64[n,k], NaN where it cannot tell."""
        heard = frame.values[:, self._columns]
        expected = np.ones(heard.shape)
        if self._context is not None:
            residuals = self._context.advance(frame, np.isfinite(frame.values) & ~frame.bad)
            told = np.isfinite(residuals.evidence[:, self._among, bank.DEVIATION])
            expected = np.where(told, residuals.expected[:, self._among], np.nan)
        usable = ~frame.bad[:, self._columns] & (heard > 0.0) & (expected > 0.0)  # false for NaN
        ratio = np.divide(heard, expected, out=np.ones(heard.shape), where=usable)
        return np.where(usable, np.log(ratio), np.nan), expected

    def _ended(self) -> list[Finding]:
        """The finding that a repair ended, said once."""
        at_us, started_us = (int(self._levels.episode[each]) for each in (levels.ENDED_US, levels.STARTED_US))
        self._levels.episode[levels.ENDED_US] = 0
        return [self._finding(Turn.ENDS, at_us, started_us=started_us, surprise=0.0)] if at_us else []

    def _finding(self, turn: Turn, at_us: int, *, started_us: int, surprise: float) -> Finding:
        rise = np.maximum(np.nan_to_num(self._last[0]), 1e-9)
        weight = np.where(rise >= NAMED * rise.max(), rise, 0.0) ** 2
        ids, shares = [each.signal_id for each in self._signals], weight / weight.sum()
        return Finding(
            detector=NAME,
            version=VERSION,
            kind=FindingKind.MACHINE,
            asset_id=self._asset_id,
            site_id=self._site_id,
            failure_mode=None,
            started_at=moment(min(started_us, at_us)),
            at=moment(at_us),
            surprise=surprise,
            active=turn is not Turn.ENDS,
            contributions={each: float(share) for each, share in zip(ids, shares, strict=True) if share > 0},
            directions=dict.fromkeys(ids, 1),
            health=max(0.0, 1.0 - float(rise.max()) / LOST),
            sentence=self._sentence(turn, int(np.argmax(rise)), hours=max(at_us - started_us, 0) / HOUR_US),
        )

    def _sentence(self, turn: Turn, leader: int, *, hours: float) -> Sentence:
        signal = self._signals[leader]
        words: dict[str, str | float] = {"signal": signal.name or signal.code, "unit": signal.unit}
        if turn is Turn.ENDS:
            return Sentence("recovered", words)
        rise, expected = (float(row[leader]) for row in self._last)
        usual = math.exp(self._levels.seen[leader, levels.USUAL]) * (expected if np.isfinite(expected) else 1.0)
        words |= {"value": usual * math.exp(rise), "usual": usual, "hours": round(hours, 1)}
        return Sentence(NAME, {**words, "percent": round(100.0 * math.expm1(rise))})


def create(
    *,
    asset_id: int,
    site_id: int,
    asset_class: str,  # noqa: ARG001
    signals: Sequence[Signal],
) -> VibrationTrend | None:
    """The vibration levels of one asset (see ``DetectorFactory``); None when it has none."""
    if not any(each.role is Role.MEASURED and each.quantity in QUANTITIES for each in signals):
        return None
    return VibrationTrend(asset_id=asset_id, site_id=site_id, signals=signals)
