"""The judges of streams as a detector: each signal alone and all together, at the rate of alarms that was asked. Pure.

    grid rows ──> rows of a minute ──> ``StreamChain`` ──> evidence ──> limit of the asked rate ──> finding
                  running, settled          (stream/chain.py: what the benchmarks run)

Knows nothing of a machine beforehand: neither setpoints nor limits. A finding begins with an alarm and ends when
nothing is unusual any more and the signal that began it is more than half way back, or after ``GIVEN_UP_ROWS``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from detectors.base import Finding, FindingKind, Frame, Judgement, Sentence
from detectors.episodes import CALM, Turn
from detectors.findings import HOUR_US, moment
from detectors.frames import grid_step_us
from detectors.limits import functional_limit
from detectors.pace import MINUTE_US, pace_of
from detectors.snapshot import Array, pack, parts
from detectors.stream import thin
from detectors.stream.chain import CENTRE, MEAN, ROW, SPREAD, Judged, StreamChain
from detectors.stream.parameters import DEFAULT, Parameters
from plant.model import Floats, Int64s, Role, Signal

NAME = "stream"
VERSION = "1"
COMPANION = True  # judges beside the default chain (see ``detectors.companions``)
MONTH_US = 30 * 24 * HOUR_US
ALARMS_MONTH = 1.0  # unless a plant asks for another rate
SETTLE_US = 30 * MINUTE_US  # after a start nothing is judged, as in the default chain
IDLE = (0, 2)  # declared states in which a machine is not at work
CALM_ROWS = 30
REPEAT_ROWS = 30
GIVEN_UP_ROWS = 10_000  # by then calibration takes it for normal too
USUAL_SPREADS = 3.0  # mean absolute deviations to either side that a sentence calls usual
NAMED = 0.5  # a signal with less than this share of the largest surprise is not blamed

ACTIVE, STARTED_US, SINCE, HUSHED, LEADER, SEEN, RUNS_US, ENDED_US = range(8)  # of ``episode``
WAS, FAR = range(2)  # of ``size``: the leader's centre when it began, and how far it was from it


class Stream:
    """One asset's judges of streams (see ``Detector``)."""

    name = NAME
    version = VERSION

    def __init__(
        self, *, asset_id: int, site_id: int, signals: Sequence[Signal], parameters: Parameters = DEFAULT
    ) -> None:
        self._asset_id, self._site_id, self._parameters = asset_id, site_id, parameters
        self._signals = [each for each in signals if each.role is Role.MEASURED]
        self._columns = [signals.index(each) for each in self._signals]
        self._stateful = any(each.role is Role.STATE for each in signals)
        self._step_us = thin.step_us(grid_step_us(signals))
        self._asked = ALARMS_MONTH
        self._forget()
        self._episode = np.zeros(8, np.int64)
        self._size = np.zeros(2)

    def ask(self, alarms_month: float) -> None:
        """At most so many alarms a month, from the next row on (> 0)."""
        self._asked = alarms_month

    @property
    def rate(self) -> float:
        """Alarms a row that are asked for."""
        return min(self._asked * self._step_us / MONTH_US, 0.5)

    def update(self, frame: Frame) -> Judgement:
        found = self._ended()
        surprise = np.full(len(frame), np.nan)
        closed, rows, state = self._thinned(frame)
        if len(closed):
            at_us = frame.at_us[closed]
            judged = self._chain.judge(at_us // 1_000_000, rows, state if self._stateful else None)
            evidence = self._warm(judged.evidence)
            alarms = self._chain.alarms(evidence, self.rate)
            surprise[closed] = np.maximum(evidence, 0.0)
            found += self._episodes(at_us, rows, judged, evidence, alarms)
        return Judgement(found, (), surprise)

    def relearn(self, at_us: int) -> None:
        self._forget()
        self._episode[SEEN] = 0
        self.intervene(at_us)

    def intervene(self, at_us: int) -> None:
        if self._episode[ACTIVE]:
            self._episode[ENDED_US] = at_us
        self._episode[ACTIVE] = 0

    def dump(self) -> bytes:
        chain = np.frombuffer(self._chain.dump(), np.uint8)
        return pack(self._kind, {**self._arrays(), "chain": chain})

    def load(self, state: bytes) -> None:
        found = parts(self._kind, state)
        for name, array in self._arrays().items():
            if name not in found or len(found[name]) != array.nbytes:
                raise ValueError(f"part {name!r} of the state has another shape: it does not fit these signals")
        self._chain.load(found["chain"])
        for name, array in self._arrays().items():
            array[...] = np.frombuffer(found[name], array.dtype).reshape(array.shape)

    @property
    def _kind(self) -> str:
        return f"{NAME} {VERSION}"

    def _arrays(self) -> Mapping[str, Array]:
        return {"head": self._open[0], "sums": self._open[1], "episode": self._episode, "size": self._size}

    def _forget(self) -> None:
        self._chain = StreamChain(len(self._signals), parameters=self._parameters)
        self._open = thin.empty(len(self._signals))

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _thinned(self, frame: Frame) -> tuple[Int64s, Floats, npt.NDArray[np.int16]]:
        """Rows of the running machine: which grid row closed each, the values, and the state."""
        usable = np.isfinite(frame.values) & ~frame.bad & self._at_work(frame)[:, None]
        values = np.ascontiguousarray(np.where(usable, frame.values, np.nan)[:, self._columns])
        return thin.rows(*self._open, frame.at_us, values, frame.state, self._step_us)

    def _at_work(self, frame: Frame) -> npt.NDArray[np.bool_]:
        """Whether the machine runs, and has for a while."""
        if not self._stateful:
            return np.ones(len(frame), np.bool_)
        idle = np.isin(frame.state, IDLE)
        ready_us = np.maximum.accumulate(np.where(idle, frame.at_us + SETTLE_US, self._episode[RUNS_US]))
        if len(frame):
            self._episode[RUNS_US] = ready_us[-1]
        return ~idle & (frame.at_us > ready_us)

    def _warm(self, evidence: Floats) -> Floats:
        """Nothing is said before as much was seen as the default chain wants of a baseline: starts, loads, weather."""
        need = max(self._parameters.baseline_rows, pace_of(self._step_us).warm_us // self._step_us)
        seen = self._episode[SEEN] + np.arange(1, len(evidence) + 1)
        self._episode[SEEN] += len(evidence)
        return np.where(seen > need, evidence, np.nan)

    # -- findings -----------------------------------------------------------------------------------------------------

    def _episodes(
        self, at_us: Int64s, rows: Floats, judged: Judged, evidence: Floats, alarms: npt.NDArray[np.bool_]
    ) -> list[Finding]:
        if not self._episode[ACTIVE] and not alarms.any():
            return []
        said = []
        for i in range(len(at_us)):
            turn = self._turn(judged.alone[i], float(evidence[i]), bool(alarms[i]), int(at_us[i]))
            if turn is not Turn.NOTHING:
                shares = _shares(judged, i)
                said.append(self._finding(turn, int(at_us[i]), rows[i], judged.alone[i], shares, float(evidence[i])))
        return said

    def _turn(self, alone: Floats, evidence: float, alarm: bool, at_us: int) -> Turn:
        episode = self._episode
        if not episode[ACTIVE]:
            if not alarm:
                return Turn.NOTHING
            episode[[ACTIVE, STARTED_US, SINCE, HUSHED]] = 1, at_us, 0, 0
            episode[LEADER] = int(np.argmax(np.nan_to_num(alone[:, ROW])))
            self._size[WAS] = alone[episode[LEADER], CENTRE]
            self._size[FAR] = alone[episode[LEADER], MEAN] - self._size[WAS]
            return Turn.BEGINS
        episode[SINCE] += 1
        calm = not evidence >= CALM and self._is_back(alone)
        episode[HUSHED] = episode[HUSHED] + 1 if calm else 0
        if episode[HUSHED] >= CALM_ROWS or episode[SINCE] >= GIVEN_UP_ROWS:
            episode[ACTIVE] = 0
            return Turn.ENDS
        return Turn.GOES_ON if episode[SINCE] % REPEAT_ROWS == 0 else Turn.NOTHING

    def _is_back(self, alone: Floats) -> bool:
        """The signal that began it is more than half way back, or never went far."""
        leader = alone[self._episode[LEADER]]
        far = abs(self._size[FAR])
        return bool(far <= leader[SPREAD] or abs(leader[MEAN] - self._size[WAS]) < far / 2)

    def _ended(self) -> list[Finding]:
        """The finding that a repair ended, said once."""
        at_us = int(self._episode[ENDED_US])
        self._episode[ENDED_US] = 0
        if not at_us:
            return []
        k = len(self._signals)
        nothing = np.full((k, 5), np.nan)
        return [self._finding(Turn.ENDS, at_us, np.full(k, np.nan), nothing, np.full(k, 1.0 / k), 0.0)]

    def _finding(self, turn: Turn, at_us: int, row: Floats, alone: Floats, shares: Floats, evidence: float) -> Finding:
        ids = [each.signal_id for each in self._signals]
        value = np.where(np.isfinite(row), row, alone[:, MEAN])
        off = np.nan_to_num(value - alone[:, CENTRE])
        started_us = min(int(self._episode[STARTED_US]), at_us)
        return Finding(
            detector=NAME,
            version=VERSION,
            kind=FindingKind.MACHINE,
            asset_id=self._asset_id,
            site_id=self._site_id,
            failure_mode=None,
            started_at=moment(started_us),
            at=moment(at_us),
            surprise=max(evidence, 0.0) if np.isfinite(evidence) else 0.0,
            active=turn is not Turn.ENDS,
            contributions={each: float(share) for each, share in zip(ids, shares, strict=True) if share > 0},
            directions={each: int(np.sign(way)) for each, way in zip(ids, off, strict=True)},
            health=self._health(alone),
            sentence=self._sentence(turn, value, alone, shares, hours=(at_us - started_us) / HOUR_US),
        )

    def _health(self, alone: Floats) -> float:
        """1 = as usual … 0 = the short mean of some signal has reached its functional limit."""
        worst = 0.0
        for signal, (_, _, centre, spread, mean) in zip(self._signals, alone, strict=True):
            if np.isfinite(mean) and spread > 0.0:
                limit = functional_limit(signal, expected=float(centre), sigma=float(spread))
                worst = max(worst, abs(float(mean - centre)) / limit)
        return max(0.0, 1.0 - worst)

    def _sentence(self, turn: Turn, value: Floats, alone: Floats, shares: Floats, *, hours: float) -> Sentence:
        leader = int(np.argmax(shares))
        signal = self._signals[leader]
        words: dict[str, str | float] = {"signal": signal.name or signal.code, "unit": signal.unit}
        if turn is Turn.ENDS:
            return Sentence("recovered", words)
        centre, half = float(alone[leader, CENTRE]), USUAL_SPREADS * float(alone[leader, SPREAD])
        words |= {"value": float(value[leader]), "low": centre - half, "high": centre + half, "hours": round(hours, 1)}
        named = [
            self._signals[j].code for j in np.argsort(-shares, kind="stable") if shares[j] >= 1 / (2 * len(shares))
        ]
        words |= {"signals": ", ".join(named), "count": float(len(named)), "asked": self._asked}
        known = {word: each for word, each in words.items() if isinstance(each, str) or np.isfinite(each)}
        return Sentence("stream_alone" if shares[leader] >= NAMED else "stream_together", known)


def create(*, asset_id: int, site_id: int, asset_class: str, signals: Sequence[Signal]) -> Stream | None:  # noqa: ARG001
    """The judges of streams of one asset (see ``DetectorFactory``); None when nothing is measured."""
    if not any(each.role is Role.MEASURED for each in signals):
        return None
    return Stream(asset_id=asset_id, site_id=site_id, signals=signals)


def _shares(judged: Judged, i: int) -> Floats:
    """Whose doing row ``i`` is, summing to 1: by the judge that is most surprised."""
    alone, together = np.nan_to_num(judged.alone[i, :, ROW]), float(judged.together.surprise[i])
    if together > alone.max():
        return np.asarray(judged.together.shares[i], np.float64)
    weight = np.where(alone >= NAMED * alone.max(), alone, 0.0) ** 2 + 1e-12
    return np.asarray(weight / weight.sum(), np.float64)
