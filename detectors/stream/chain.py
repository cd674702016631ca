"""The judges of one asset of which nothing is known: each signal alone, and all together. Pure.

    rows ──┬─ each signal ──> ``univariate`` ─────────────────────────> row surprise, order strength
           └─ operating state ──> a baseline each ──> ``multivariate`` ──> surprise, fault lasts, changed, shares
                                                    all of these ──> evidence ──> limit of the asked rate ──> alarm

The benchmarks of plain streams and of several signals call this, and so does the detector ``stream`` of the product.
Score first, then learn, row by row; the state is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.jit import kernel
from detectors.snapshot import Array, pack, parts
from detectors.stream import calibrator, levels, univariate
from detectors.stream.baseline import Baseline
from detectors.stream.multivariate import Start, StreamJudge, Verdicts
from detectors.stream.parameters import DEFAULT, Parameters
from plant.model import Floats, Int64s

Codes = npt.NDArray[np.int16]

KIND = "stream chain 1"
MOST_STATES = 4  # with a baseline each; further ones are judged signal by signal only
ANY = -1  # the operating state is not declared
NONE_YET = -2

ROW, ORDER, CENTRE, SPREAD, MEAN = range(5)  # columns of ``Alone``


@dataclass(frozen=True, slots=True)
class Judged:
    """Of n rows of k signals. ``alone`` float64[n,k,5]: row surprise (NaN: no value), order strength, and the signal's
    centre, spread and short mean then. ``together``: of all signals (NaN and false where there is no baseline)."""

    alone: Floats
    together: Verdicts

    @property
    def evidence(self) -> Floats:
        """The largest surprise of all judges float64[n], their number counted in; NaN where none can tell."""
        k = self.alone.shape[1]
        judges = k + 1 if k > 1 else 1
        both = np.column_stack([self.alone[:, :, ROW], self.together.surprise])
        return np.asarray(np.fmax.reduce(both, axis=1) - np.log10(judges), np.float64)


class StreamChain:
    """Judges rows one after another; cutting them into other batches changes nothing."""

    def __init__(self, signals: int, *, parameters: Parameters = DEFAULT, limit: float | None = None) -> None:
        """``limit``: evidence at which a lasting fault of several signals begins, see ``StreamJudge``."""
        empty = univariate.empty(parameters)
        self._signals, self._parameters, self._limit = signals, parameters, limit
        self._alone = univariate.Memory(
            head=np.stack([empty.head] * signals),
            maps=np.stack([empty.maps] * signals),
            day=np.stack([empty.day] * signals),
            scores=np.stack([empty.scores] * signals),
            settings=empty.settings,
        )
        self._rate = calibrator.empty_limit(parameters)
        self._states: dict[int, _State] = {}
        self._split: levels.Split | None = None
        self._at = np.array([NONE_YET, 0], np.int64)  # the last row's state, and rows until it has settled

    def learn(self, rows: Floats) -> None:
        """Take normal ``rows`` float64[n,k] as the baseline; what is judged next is another run."""
        self._states[ANY] = _State(rows, StreamJudge(self._baseline(rows), limit=self._limit))

    def judge(self, at_s: Int64s, rows: Floats, state: Codes | None = None) -> Judged:
        """Judge float64[n,k] at ``at_s`` int64[n] seconds (see ``univariate.judge``), oldest first; NaN = missing.

        ``state`` int16[n] is the declared operating state, by default none.
        """
        alone = _judge_alone(self._alone, at_s, np.ascontiguousarray(rows, dtype=np.float64))
        return Judged(alone, self.together(rows, state))

    def together(self, rows: Floats, state: Codes | None = None) -> Verdicts:
        """The part of ``judge`` that looks at all signals together; call one or the other."""
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        verdicts = _nothing(*rows.shape)
        if self._signals > 1:
            self._judge_together(rows, state, verdicts)
        return verdicts

    def alarms(self, evidence: Floats, rate: float) -> npt.NDArray[np.bool_]:
        """Which rows of ``evidence`` float64[n] alarm when at most ``rate`` alarms a normal row are asked for."""
        return calibrator.alarms(self._rate, evidence, rate)

    def dump(self) -> bytes:
        return pack(KIND, {**self._fixed(), **self._of_states()})

    def load(self, state: bytes) -> None:
        """Go on from a dumped state of as many signals and the same parameters. Raises ValueError."""
        found = parts(KIND, state)
        for name, array in self._fixed().items():
            if name not in found or len(found[name]) != array.nbytes:
                raise ValueError(f"part {name!r} of the state does not fit {self._signals} signals")
            array[...] = np.frombuffer(found[name], array.dtype).reshape(array.shape)
        split = np.frombuffer(found["split"])
        self._split = levels.Split(int(split[0]), float(split[1])) if len(split) else None
        codes = np.frombuffer(found["codes"], np.int64).tolist()
        self._states = {code: self._loaded(code, found) for code in codes}

    def _fixed(self) -> Mapping[str, Array]:
        return {**self._alone._asdict(), "rate": self._rate, "at": self._at}

    def _of_states(self) -> Mapping[str, Array]:
        split = [] if self._split is None else [float(self._split.signal), self._split.border]
        found: dict[str, Array] = {"split": np.array(split), "codes": np.array(list(self._states), np.int64)}
        for code, each in self._states.items():
            found[f"rows {code}"] = each.rows
            if each.judge is not None:
                found[f"judge {code}"] = each.judge.dump()
        return found

    def _loaded(self, code: int, found: Mapping[str, bytes]) -> _State:
        rows = np.frombuffer(found[f"rows {code}"]).reshape(-1, self._signals)
        if f"judge {code}" not in found:
            return _State(rows)
        judge = StreamJudge(self._baseline(rows), limit=self._limit)
        judge.load(np.frombuffer(found[f"judge {code}"]))
        return _State(rows, judge)

    def _baseline(self, rows: Floats) -> Baseline:
        return Baseline.learn(rows, parameters=self._parameters)

    # -- all signals together -----------------------------------------------------------------------------------------

    def _judge_together(self, rows: Floats, state: Codes | None, out: Verdicts) -> None:
        start = 0
        while start < len(rows):
            code, end = self._stay(rows, state, start)
            start = self._enter(code, start, end)
            if start >= end:
                continue
            kept = self._kept(code)
            if kept is not None and kept.judge is None:
                end = start + self._gather(kept, rows[start:end])
                if state is None and code == ANY and len(kept.rows) >= self._parameters.baseline_rows:
                    self._discover(kept.rows)
            elif kept is not None and kept.judge is not None:
                _write(out, kept.judge.update(rows[start:end]), start, end)
            start = end

    def _stay(self, rows: Floats, state: Codes | None, start: int) -> tuple[int, int]:
        """The state of row ``start``, declared or discovered, and the row at which it is left."""
        if state is not None:
            mine = state[start:]
        elif self._split is not None:
            mine = self._split.codes(rows[start:], int(self._at[0]))
        else:
            return ANY, len(rows)
        left = np.flatnonzero(mine != mine[0])
        return int(mine[0]), start + (int(left[0]) if len(left) else len(mine))

    def _enter(self, code: int, start: int, end: int) -> int:
        """The first of these rows that counts: not while a state settles."""
        if code != self._at[0]:
            self._at[1] = 0 if self._at[0] == NONE_YET else self._parameters.settle_rows
            self._at[0] = code
            if (kept := self._states.get(code)) and kept.judge is not None:
                kept.judge.restart()
        waits = min(int(self._at[1]), end - start)
        self._at[1] -= waits
        return start + waits

    def _kept(self, code: int) -> _State | None:
        """What is known of a state; None when there are too many."""
        if code not in self._states and len(self._states) < MOST_STATES:
            self._states[code] = _State(np.empty((0, self._signals)))
        return self._states.get(code)

    def _gather(self, kept: _State, rows: Floats) -> int:
        """Take as many of ``rows`` as the baseline still needs, and learn when it is whole; how many."""
        need = self._parameters.baseline_rows - len(kept.rows)
        kept.rows = np.concatenate([kept.rows, rows[:need]])
        if len(rows) >= need:
            kept.judge = StreamJudge(self._baseline(kept.rows), start=Start.AFTER_BASELINE, limit=self._limit)
        return min(need, len(rows))

    def _discover(self, rows: Floats) -> None:
        """Where the rows of the baseline have two levels, each goes on gathering with its own."""
        self._split = levels.find(rows)
        if self._split is None:
            return
        codes = self._split.codes(rows, 0)
        self._states = {code: _State(rows[codes == code]) for code in (0, 1)}
        self._at[0] = int(codes[-1])


@dataclass(slots=True)
class _State:
    """An operating state: its normal rows, and the judge that learnt from them once they are enough."""

    rows: Floats
    judge: StreamJudge | None = None


def _nothing(n: int, k: int) -> Verdicts:
    no = np.zeros(n, np.bool_)
    return Verdicts(np.full(n, np.nan), np.full(n, np.nan), no, no.copy(), np.full((n, k), 1.0 / max(k, 1)))


def _write(out: Verdicts, found: Verdicts, start: int, end: int) -> None:
    for name in Verdicts.__slots__:
        getattr(out, name)[start:end] = getattr(found, name)


@kernel
def _judge_alone(memory: univariate.Memory, at_s: Int64s, rows: Floats) -> Floats:
    """``Judged.alone`` of ``rows`` float64[n,k]; the memory's arrays have one signal a row."""
    n, k = rows.shape
    out = np.empty((n, k, 5))
    for j in range(k):
        head = memory.head[j]
        mine = univariate.Memory(head, memory.maps[j], memory.day[j], memory.scores[j], memory.settings)
        for i in range(n):
            out[i, j, ROW], out[i, j, ORDER] = univariate.judge_one(mine, at_s[i], rows[i, j])
            out[i, j, CENTRE] = head[univariate.CENTRE]
            out[i, j, SPREAD] = head[univariate.SPREAD]
            out[i, j, MEAN] = head[univariate.SHORT_MEAN]
    return out
