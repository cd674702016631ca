"""One alarm rule on one machine: its conditions with their memory, and the turns of its alarm. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.base import Finding, FindingKind, Frame, Sentence
from detectors.classic import timers
from detectors.classic.model import About, AlarmRule, Condition, InForce, Kind
from detectors.episodes import Turn
from detectors.findings import HOUR_US, moment
from detectors.frames import grid_step_us
from plant import units
from plant.model import Asset, Floats, Int64s, Role, Signal

SURPRISE = 6.0  # declared, not measured: a person said so
HEALTH = {1: 0.2, 2: 0.4, 3: 0.65, 4: 0.9}  # severity → what decisions read as the health that is left
REPEAT_US = 1_800_000_000
KINDS = {kind: code for code, kind in enumerate(Kind)}
TOWARDS = {Kind.HIGH: 1, Kind.RISE: 1, Kind.LOW: -1, Kind.FALL: -1, Kind.CHANGE: 0, Kind.MISSING: 0}
STOPPED = (0, 2)

Rows = npt.NDArray[np.int64]
Number = TypeVar("Number", np.int64, np.float64)


class Kept(msgspec.Struct, array_like=True):
    """The memory of one rule as bytes."""

    turn: list[int]
    marks: bytes
    heard: bytes
    window: bytes


class Judge:
    """``rows`` is called with consecutive frames. Groups whose signals the machine has not are left out."""

    def __init__(self, force: InForce, asset: Asset, signals: Sequence[Signal]) -> None:
        self.force, self._asset, self._signals = force, asset, signals
        groups = force.rule.groups_for(signals)
        self._conditions: list[Condition] = [each for group in groups for each in group.all]
        ends = np.cumsum([len(group.all) for group in groups], dtype=np.int64)
        self._groups = [range(int(end) - len(group.all), int(end)) for end, group in zip(ends, groups, strict=True)]
        codes = [each.code for each in signals]
        self._columns = [codes.index(each.signal) for each in self._conditions]
        self._stateful = force.rule.while_running and any(each.role is Role.STATE for each in signals)
        self._gap_us = max(timers.GAP_US, timers.GAP_ROWS * grid_step_us(signals))
        self._declare()
        self.forget()

    @property
    def concerns(self) -> bool:
        """Whether the machine has the signals of any group."""
        return bool(self._groups)

    def forget(self) -> None:
        """Every timer begins anew."""
        c = len(self._conditions)
        self._marks = np.zeros((c, max(self._limits.shape[1], 1), 3), np.int64)
        self._heard = np.zeros(c, np.int64)
        self._window = np.full((c, timers.CELLS, 3), -1.0)
        self._active, self._started_us, self._told_us = False, 0, 0
        self._ended_us = 0

    def relearn(self, at_us: int) -> None:
        """Somebody repaired: what lasts ends now, and timers begin anew."""
        active, started_us = self._active, self._started_us
        self.forget()
        if active:
            self._ended_us, self._started_us = at_us, started_us

    def rows(self, frame: Frame) -> list[Finding]:
        """What the rule says of these rows, of those in its time only."""
        found = [self._end(self._ended_us)] if self._ended_us else []
        self._ended_us = 0
        start, end = self._mine(frame.at_us)
        if end > start:
            found += self._judge(frame, start, end)
        if self._active and end < len(frame):
            found.append(self._end(int(frame.at_us[end])))
            self.forget()
        return found

    def dump(self) -> Kept:
        turn = [int(self._active), self._started_us, self._told_us, self._ended_us]
        return Kept(turn, self._marks.tobytes(), self._heard.tobytes(), self._window.tobytes())

    def load(self, kept: Kept) -> None:
        """Raises ValueError when the memory does not fit."""
        self._marks = _array(kept.marks, self._marks)
        self._heard = _array(kept.heard, self._heard)
        self._window = _array(kept.window, self._window)
        active, self._started_us, self._told_us, self._ended_us = kept.turn
        self._active = bool(active)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _declare(self) -> None:
        """The conditions as arrays, in the signals' canonical units."""
        c, most = len(self._conditions), max((len(each.steps) for each in self._conditions), default=1)
        self._kinds = np.array([KINDS[each.kind] for each in self._conditions], np.int64)
        self._limits, self._waits = np.full((c, most), np.nan), np.zeros((c, most), np.int64)
        self._bands, self._over = np.zeros(c), np.zeros(c, np.int64)
        for j, (each, column) in enumerate(zip(self._conditions, self._columns, strict=True)):
            scale, offset = _conversion(each, self._signals[column])
            self._bands[j], self._over[j] = each.dead_band * abs(scale), round(each.over_s * 1e6)
            for s, step in enumerate(each.steps):
                level = each.kind in (Kind.HIGH, Kind.LOW)
                self._limits[j, s] = step.limit * scale + (offset if level else 0.0)
                self._waits[j, s] = round(step.for_s * 1e6)

    def _mine(self, at_us: Int64s) -> tuple[int, int]:
        until_us = self.force.until_us
        start = int(np.searchsorted(at_us, self.force.from_us, side="left"))
        return start, len(at_us) if until_us is None else int(np.searchsorted(at_us, until_us, side="left"))

    def _judge(self, frame: Frame, start: int, end: int) -> list[Finding]:
        at_us = np.ascontiguousarray(frame.at_us[start:end])
        values = np.ascontiguousarray(np.where(frame.bad, np.nan, frame.values)[start:end, self._columns])
        values[~np.isfinite(values)] = np.nan
        runs = ~np.isin(frame.state[start:end], STOPPED) if self._stateful else np.ones(end - start, np.bool_)
        told, since, compared = timers.judge(
            self._kinds, self._limits, self._waits, self._bands, self._over,
            (self._marks, self._heard, self._window), at_us, values, runs, self._gap_us,
        )  # fmt: skip
        whole = self._combine(told)
        return self._turns(at_us, whole, told, since, compared)

    def _combine(self, told: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Any of the groups, each of which is all of its conditions; unknown where it hangs on what is missing."""
        parts = []
        for group in self._groups:
            mine = told[:, list(group)]
            unsure = np.where((mine == timers.UNKNOWN).any(axis=1), timers.UNKNOWN, timers.YES)
            parts.append(np.where((mine == timers.NO).any(axis=1), timers.NO, unsure))
        said = np.stack(parts, axis=1)
        unsure = np.where((said == timers.UNKNOWN).any(axis=1), timers.UNKNOWN, timers.NO)
        return np.asarray(np.where((said == timers.YES).any(axis=1), timers.YES, unsure), np.int8)

    def _turns(
        self, at_us: Int64s, whole: npt.NDArray[np.int8], told: npt.NDArray[np.int8], since: Rows, compared: Floats
    ) -> list[Finding]:
        """Only the rows at which something may turn are looked at one by one."""
        found = []
        for i in np.flatnonzero((whole == timers.YES) | ((whole == timers.NO) & self._may_end(whole))):
            now_us = int(at_us[i])
            if whole[i] == timers.NO:
                if self._active:
                    self._active = False
                    found.append(self._end(now_us))
                continue
            holding = self._holding(told[i])
            if not self._active:
                self._active, self._started_us = True, min(int(since[i, j]) for j in holding)
            elif now_us - self._told_us < REPEAT_US:
                continue
            self._told_us = now_us
            found.append(self._finding(now_us, holding, compared[i]))
        return found

    def _may_end(self, whole: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
        """Rows right after one that held, and the first one that says no while the alarm lasts."""
        before = np.concatenate([[timers.YES if self._active else timers.NO], whole[:-1]])
        known = np.where(before == timers.UNKNOWN, -1, np.arange(len(whole)))
        last = np.maximum.accumulate(known)
        return np.asarray((last < 0) | (before[np.maximum(last, 0)] == timers.YES), np.bool_)

    def _holding(self, told: npt.NDArray[np.int8]) -> list[int]:
        """The conditions of the first group that holds."""
        return list(next(group for group in self._groups if all(told[j] == timers.YES for j in group)))

    def _finding(self, at_us: int, holding: list[int], compared: Floats) -> Finding:
        ids = [self._signals[self._columns[j]].signal_id for j in holding]
        rule, first = self.force.rule, self._conditions[holding[0]]
        directions = {i: TOWARDS[self._conditions[j].kind] for i, j in zip(ids, holding, strict=True)}
        sentence = self._sentence(first, holding[0], at_us, compared)
        return self._say(at_us, Turn.BEGINS, directions, HEALTH[rule.severity], sentence)

    def _sentence(self, condition: Condition, j: int, at_us: int, compared: Floats) -> Sentence:
        signal = self._signals[self._columns[j]]
        words: dict[str, str | float] = {
            "rule": self.force.rule.name, "signal": signal.name or signal.code, "unit": signal.unit,
            "hours": round(max(at_us - self._started_us, 0) / HOUR_US, 3), "check": self.force.rule.advice,
        }  # fmt: skip
        if condition.kind is Kind.MISSING:
            return Sentence("alarm_rule.missing", words)
        passed = self._passed(j, float(compared[j]))
        words |= {"value": float(compared[j]), "limit": passed, "minutes": round(condition.over_s / 60.0, 2)}
        return Sentence(f"alarm_rule.{condition.kind.value}", words)

    def _passed(self, j: int, value: float) -> float:
        """The farthest limit that the value is beyond; within the dead band the nearest one."""
        known = self._limits[j][np.isfinite(self._limits[j])]
        sign = -1.0 if self._kinds[j] == timers.LOW else 1.0
        beyond = known[sign * value > sign * known]
        return float(beyond[-1] if len(beyond) else known[0])

    def _end(self, at_us: int) -> Finding:
        words: dict[str, str | float] = {"rule": self.force.rule.name}
        ids = [self._signals[column].signal_id for column in self._columns]
        return self._say(at_us, Turn.ENDS, dict.fromkeys(ids, 0), 1.0, Sentence("alarm_rule.ended", words))

    def _say(self, at_us: int, turn: Turn, directions: dict[int, int], health: float, sentence: Sentence) -> Finding:
        rule, sensor = self.force.rule, self.force.rule.about is About.SENSOR
        mode = _sensor_mode(rule) if sensor else rule.failure_mode or None
        return Finding(
            detector=f"rule:{rule.code}",
            version=str(self.force.version),
            kind=FindingKind.SENSOR if sensor else FindingKind.MACHINE,
            asset_id=self._asset.asset_id,
            site_id=self._asset.site_id,
            failure_mode=mode,
            started_at=moment(min(self._started_us or at_us, at_us)),
            at=moment(at_us),
            surprise=0.0 if turn is Turn.ENDS else SURPRISE,
            active=turn is not Turn.ENDS,
            contributions=dict.fromkeys(directions, 1.0 / len(directions)),
            directions=directions,
            health=1.0 if sensor else health,
            sentence=sentence,
        )


def _sensor_mode(rule: AlarmRule) -> str:
    """What the sensor suffers from: silence where only that was asked for."""
    kinds = {each.kind for group in rule.any for each in group.all}
    return "silent" if kinds == {Kind.MISSING} else "rule"


def _conversion(condition: Condition, signal: Signal) -> tuple[float, float]:
    if condition.kind is Kind.MISSING:
        return 1.0, 0.0
    way = units.conversion(signal.quantity, condition.unit)
    return way.scale, way.offset


def _array(data: bytes, like: npt.NDArray[Number]) -> npt.NDArray[Number]:
    if len(data) != like.nbytes:
        raise ValueError(f"memory of an alarm rule has {len(data)} bytes, expected {like.nbytes}")
    return np.frombuffer(data, dtype=like.dtype).reshape(like.shape).copy()
