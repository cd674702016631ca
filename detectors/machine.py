"""Context → scorers → episodes → findings: the part that all detectors of machine faults share. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from detectors import bank, episodes, findings
from detectors.base import Band, Finding, Frame, Judgement
from detectors.context import Context, Residuals
from detectors.context_state import Bools
from detectors.episodes import Turn
from detectors.frames import grid_step_us
from detectors.pace import Pace, pace_of
from detectors.scoring import Scorer
from detectors.snapshot import Array, pack, restore
from plant.model import Floats, Signal

BAND_SIGMAS = 4.0


class MachineDetector:
    """One asset's detector of machine faults, made of one or more scorers over the same residuals.

    At most one finding is active at a time: signals and scorers that deviate together are one case.
    """

    def __init__(
        self,
        name: str,
        version: str,
        *,
        asset_id: int,
        site_id: int,
        asset_class: str,
        signals: Sequence[Signal],
        scorers: Sequence[Callable[[int, Pace], Scorer]],
    ) -> None:
        self.name, self.version = name, version
        self.asset_class = asset_class
        self._voice = findings.Voice(name, version, asset_id, site_id)
        self.pace = pace_of(grid_step_us(signals))
        self.context = Context(signals, self.pace)
        self._measured = [signals[column] for column in self.context.measured]
        self._scorers = [scorer(len(self._measured), self.pace) for scorer in scorers]
        self._episode = episodes.empty()
        self._size = np.zeros((3, len(self._measured)))  # last level, expected value and sigma of each signal

    def update(self, frame: Frame) -> Judgement:
        judgement, _ = self.judge(frame, np.isfinite(frame.values) & ~frame.bad)
        return judgement

    def judge(self, frame: Frame, trusted: Bools) -> tuple[Judgement, Residuals]:
        """Like ``update`` with values that are not ``trusted`` bool[n, signals] left out; and the residuals."""
        residuals = self.context.advance(frame, trusted)
        surprise = self._surprise(residuals)
        turns = episodes.advance(self.pace, self._episode, residuals.row, surprise)
        said = self._ended() + self._findings(residuals, surprise, turns)
        bands = self._bands(residuals)
        return Judgement(said, bands, surprise), residuals

    def relearn(self, at_us: int) -> None:
        self.context.relearn(at_us)
        self._end_at(at_us)

    def intervene(self, at_us: int) -> None:
        """Somebody worked on the machine at ``at_us``: keep the baseline, gather the evidence anew; findings end."""
        self.context.forget_evidence(at_us)
        self._end_at(at_us)

    def dump(self) -> bytes:
        return pack(self._kind, self.arrays())

    def load(self, state: bytes) -> None:
        restore(self._kind, self.arrays(), state)

    def arrays(self) -> Mapping[str, Array]:
        """The whole state, as views that may be written to."""
        own: dict[str, Array] = {"episode": self._episode, "size": self._size}
        own.update(self.context.arrays())
        for scorer in self._scorers:
            own.update(scorer.arrays())
        return own

    @property
    def _kind(self) -> str:
        return f"{self.name} {self.version}"

    def _surprise(self, residuals: Residuals) -> Floats:
        scores = np.stack([scorer.score(residuals) for scorer in self._scorers])
        best = np.fmax.reduce(scores, axis=0)
        return np.asarray(np.maximum(best - np.log10(len(self._scorers)), 0.0), np.float64)

    def _end_at(self, at_us: int) -> None:
        if self._episode[episodes.ACTIVE]:
            self._episode[episodes.ENDED_US] = at_us
        self._episode[[episodes.ACTIVE, episodes.HOT_BITS, episodes.CALM_BITS]] = 0

    def _ended(self) -> list[Finding]:
        """The finding that a repair ended, said once."""
        at_us = int(self._episode[episodes.ENDED_US])
        if at_us == 0:
            return []
        self._episode[episodes.ENDED_US] = 0
        started_us = int(self._episode[episodes.STARTED_US])
        size = findings.Size(self._measured, *self._size)
        return [self._voice.machine(size, turn=Turn.ENDS, started_us=started_us, at_us=at_us, surprise=0.0)]

    def _findings(self, residuals: Residuals, surprise: Floats, turns: npt.NDArray[np.int8]) -> list[Finding]:
        said = []
        for i in np.flatnonzero(turns):
            self._take_size(residuals, int(i))
            size = findings.Size(self._measured, *self._size)
            if turns[i] == Turn.BEGINS:
                since = residuals.since_us[i, size.leader]
                self._episode[episodes.STARTED_US] = since if since > 0 else residuals.at_us[i]
            said.append(
                self._voice.machine(
                    size,
                    turn=Turn(int(turns[i])),
                    started_us=int(self._episode[episodes.STARTED_US]),
                    at_us=int(residuals.at_us[i]),
                    surprise=float(surprise[i]),
                )
            )
        return said

    def _take_size(self, residuals: Residuals, i: int) -> None:
        known = np.isfinite(residuals.evidence[i, :, bank.LEVEL])
        self._size[0] = np.where(known, residuals.evidence[i, :, bank.LEVEL], 0.0)
        self._size[1] = residuals.expected[i]
        self._size[2] = residuals.sigma[i]

    def _bands(self, residuals: Residuals) -> list[Band]:
        """What each judged signal should read, at most every ``band_rows`` rows."""
        on_beat = residuals.at_us // self.pace.step_us % self.pace.band_rows == 0
        rows, columns = np.nonzero(residuals.judged & on_beat[:, None])
        half = BAND_SIGMAS * residuals.sigma[rows, columns]
        expected = residuals.expected[rows, columns]
        return [
            Band(self._measured[j].signal_id, int(residuals.at_us[i]), float(e), float(e - h), float(e + h))
            for i, j, e, h in zip(rows, columns, expected, half, strict=True)
        ]
