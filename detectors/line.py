"""One asset under judgement: its chain and companions, how far it has come, and the samples that still stand. Pure.

    samples, requests ──> grid rows ──> chain, companions ──> findings and bands later than what was said before

The rows are the same however the stream is cut, and rows on which nothing at all was heard are left out; so a line
that starts from a snapshot and replays comes to the same state, and says nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.base import Band, Finding, Frame
from detectors.chain import Chain, create_chain
from detectors.classic.engine import Classic
from detectors.classic.model import InForce
from detectors.companions import Companions
from detectors.frames import HOLD_PERIODS, SECOND_US, build_frames, grid_step_us
from detectors.snapshot import Array, pack, parts
from plant.model import Asset, Int64s, Quality, SampleBatch, Signal

KIND = "line 1"
CLASSIC = "alarm rules"
BESIDE = "beside "  # a companion's part of the state
LAYOUT = 2  # of the memories; counted up when they are kept in another form


class Action(StrEnum):
    """What somebody did to a machine, for its detectors."""

    RELEARN = "relearn"  # repaired, verified: a new baseline
    INTERVENTION = "intervention"  # worked on: the same baseline, the evidence anew


@dataclass(frozen=True, slots=True)
class Request:
    """An action at a time; ``done`` requests still count when history is replayed."""

    request_id: int
    action: Action
    at_us: int
    done: bool


@dataclass(frozen=True, slots=True)
class Said:
    """What one advance gives: findings and bands not said before, rows judged, requests carried out."""

    findings: Sequence[Finding]
    bands: Sequence[Band]
    rows: int
    carried_out: Sequence[int]


class Line:
    """Call ``advance`` with consecutive stretches of samples."""

    def __init__(self, asset: Asset, signals: Sequence[Signal], *, position_us: int, muted_us: int) -> None:
        self.asset, self.signals = asset, signals
        self.step_us = grid_step_us(signals)
        self.position_us = position_us // self.step_us * self.step_us
        self.muted_us = muted_us  # findings up to here were said by an earlier run
        self.rows_since_snapshot = 0
        self._chain: Chain = create_chain(asset.asset_id, asset.site_id, asset.asset_class, signals)
        self._companions = Companions(asset, signals)
        self._classic = Classic(asset, signals)
        self._standing = np.zeros((3, len(signals)))  # last good sample of each signal: known, time, value
        self._standing_us = np.zeros(len(signals), dtype=np.int64)

    @property
    def version(self) -> str:
        """Of the state: the chain's version and a fingerprint of the signals."""
        return fingerprint(self._chain.version, self.signals)

    def advance(self, batch: SampleBatch, requests: Sequence[Request], *, until_us: int) -> Said:
        """Judge the rows up to ``until_us``; ``batch`` holds the samples of (position, until] of these signals."""
        until_us = max(until_us // self.step_us * self.step_us, self.position_us)
        frame = self._frame(batch, until_us)
        findings: list[Finding] = []
        bands: list[Band] = []
        carried_out: list[int] = []
        start = 0
        for request in requests:
            if request.at_us > until_us:
                break
            end = int(np.searchsorted(frame.at_us, request.at_us, side="right"))
            self._judge(frame, start, end, findings, bands)
            start = max(start, end)
            findings += self._carry_out(request, frame)
            if not request.done:
                carried_out.append(request.request_id)
        self._judge(frame, start, len(frame), findings, bands)
        self._stand(batch, until_us)
        self.position_us = until_us
        self.rows_since_snapshot += len(frame)
        return Said(findings, bands, len(frame), carried_out)

    def skip_to(self, next_us: int) -> None:
        """Nothing was heard until ``next_us``: go there at once, unless values are still held."""
        held_us = HOLD_PERIODS * max(self.step_us, *(round(s.period_s * SECOND_US) for s in self.signals))
        if self.position_us - int(self._standing_us.max()) > held_us:
            self.position_us = max(self.position_us, (next_us - 1) // self.step_us * self.step_us)

    def ask(self, alarms_month: float) -> None:
        """At most so many alarms a month of each companion that can be asked, from the next row on."""
        self._companions.ask(alarms_month)

    def take_broken(self) -> Mapping[str, str]:
        """Companions that broke since this was asked last, and why."""
        return self._companions.take_broken()

    def take_rules(self, rules: Sequence[InForce]) -> None:
        """The alarm rules of the site, from the next row on; what one remembers waits for it when loaded before."""
        self._classic.take(rules)

    def dump(self) -> bytes:
        beside = {f"{BESIDE}{name}": _octets(state) for name, state in self._companions.dump().items()}
        own: dict[str, Array] = {
            "chain": _octets(self._chain.dump()),
            CLASSIC: _octets(self._classic.dump()),
            "standing": self._standing,
            "standing_us": self._standing_us,
        }
        return pack(KIND, {**own, **beside})

    def load(self, state: bytes) -> None:
        """Raises ValueError when the state does not fit."""
        found = parts(KIND, state)
        if not {"chain", "standing", "standing_us"} <= found.keys() or len(found["standing"]) != self._standing.nbytes:
            raise ValueError("the state has another shape: it is not one of a line with these signals")
        self._chain.load(found["chain"])
        self._standing[...] = np.frombuffer(found["standing"], np.float64).reshape(self._standing.shape)
        self._standing_us[...] = np.frombuffer(found["standing_us"], np.int64)
        if CLASSIC in found:
            self._classic.load(found[CLASSIC])
        beside = {name.removeprefix(BESIDE): data for name, data in found.items() if name.startswith(BESIDE)}
        self._companions.load(beside)

    def _judge(self, frame: Frame, start: int, end: int, findings: list[Finding], bands: list[Band]) -> None:
        if end <= start:
            return
        rows = _rows(frame, start, end)
        judgement = self._chain.update(rows)
        beside = [*self._companions.update(rows), *self._classic.update(rows).findings]
        said = sorted([*judgement.findings, *beside], key=lambda finding: finding.at)
        findings += [f for f in said if _us(f) > self.muted_us]
        bands += [band for band in judgement.bands if band.at_us > self.muted_us]

    def _carry_out(self, request: Request, frame: Frame) -> list[Finding]:
        if request.action is Action.RELEARN:
            self._chain.relearn(request.at_us)
            self._companions.relearn(request.at_us)
            self._classic.relearn(request.at_us)
        else:
            self._chain.intervene(request.at_us)
            self._companions.intervene(request.at_us)
            self._classic.intervene(request.at_us)
        none = _rows(frame, 0, 0)
        ended = [
            *self._chain.update(none).findings,
            *self._companions.update(none),
            *self._classic.update(none).findings,
        ]
        return [f for f in ended if not request.done or _us(f) > self.muted_us]

    def _frame(self, batch: SampleBatch, until_us: int) -> Frame:
        """Grid rows of (position, until], without those on which nothing was heard."""
        known = np.flatnonzero(self._standing[0] > 0)
        ids = np.array([self.signals[int(j)].signal_id for j in known], dtype=np.int32)
        held = SampleBatch(
            np.concatenate([ids, batch.signal_id]),
            np.concatenate([self._standing_us[known], batch.at_us]),
            np.concatenate([self._standing[2][known], batch.value]),
            np.concatenate([np.full(len(known), Quality.GOOD, np.uint8), batch.quality]),
        )
        frame = build_frames(held, self.signals, after_us=self.position_us, until_us=until_us, step_us=self.step_us)
        heard = np.isfinite(frame.values).any(axis=1) | frame.bad.any(axis=1)
        return frame if heard.all() else _choose(frame, np.flatnonzero(heard))

    def _stand(self, batch: SampleBatch, until_us: int) -> None:
        """Remember the last good sample of each signal, for rows that come after this stretch."""
        good = (batch.quality != Quality.BAD) & np.isfinite(batch.value) & (batch.at_us <= until_us)
        for j, signal in enumerate(self.signals):
            mine = np.flatnonzero(good & (batch.signal_id == signal.signal_id))
            if len(mine):
                newest = mine[np.flatnonzero(batch.at_us[mine] == batch.at_us[mine].max())[-1]]
                if not self._standing[0, j] or batch.at_us[newest] >= self._standing_us[j]:
                    self._standing[:, j] = 1.0, 0.0, batch.value[newest]
                    self._standing_us[j] = batch.at_us[newest]


def fingerprint(version: str, signals: Sequence[Signal]) -> str:
    """Changes when a snapshot of these signals would no longer fit."""
    words: list[object] = [LAYOUT]
    words += [(s.signal_id, s.quantity, s.unit, s.low, s.high, s.period_s, s.role.value) for s in signals]
    return f"{version}:{hashlib.sha256(msgspec.json.encode(words)).hexdigest()[:16]}"


def _octets(state: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(state, dtype=np.uint8)


def _us(finding: Finding) -> int:
    return round(finding.at.timestamp() * 1_000_000)


def _rows(frame: Frame, start: int, end: int) -> Frame:
    part = slice(start, end)
    return replace(
        frame, at_us=frame.at_us[part], values=frame.values[part], bad=frame.bad[part], state=frame.state[part]
    )


def _choose(frame: Frame, rows: Int64s) -> Frame:
    return replace(
        frame, at_us=frame.at_us[rows], values=frame.values[rows], bad=frame.bad[rows], state=frame.state[rows]
    )
