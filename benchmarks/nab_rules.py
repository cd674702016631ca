"""The public scoring rules of the Numenta Anomaly Benchmark: what each row of a file is worth. Pure.

Source: Lavin and Ahmad, Evaluating Real-time Anomaly Detection Algorithms (2015), and the rules as published with the
benchmark. An alarm is a row whose score is at least the threshold. A labelled window earns the weight of its earliest
alarm, or costs the weight of a miss; every alarm elsewhere costs, less just after a window. The first 15 % of a file,
750 rows at most, do not count. 0 is what silence gets, 100 what meeting every window at its first row gets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plant.model import Floats, Int64s

OUTSIDE, UNCOUNTED = -1, -2


@dataclass(frozen=True, slots=True)
class Profile:
    """What a met window earns, an alarm outside costs at most, and a missed window costs."""

    hit: float
    false_alarm: float
    miss: float


PROFILES: Mapping[str, Profile] = {
    "standard": Profile(1.0, 0.11, 1.0),
    "low_fp": Profile(1.0, 0.22, 1.0),
    "low_fn": Profile(1.0, 0.11, 2.0),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """Unweighted value float64[n] of an alarm at each row, and its window's number in the file int64[n] or a reason."""

    value: Floats
    window: Int64s


def sigmoid(position: Floats) -> Floats:
    return 2.0 / (1.0 + np.exp(5.0 * position)) - 1.0


def rows(at: npt.NDArray[np.datetime64], windows: Sequence[tuple[np.datetime64, np.datetime64]]) -> Rows:
    """Worth of the rows at times ``at`` given the labelled ``windows``, both in time order."""
    count = len(at)
    value, window = np.full(count, -1.0), np.full(count, OUTSIDE, np.int64)
    edges = [(_row(at, first), _row(at, last)) for first, last in windows]
    begins = [first for first, _ in edges] + [count]
    for number, (first, last) in enumerate(edges):
        width = last - first + 1
        inside = np.arange(first, last + 1)
        value[inside] = sigmoid((inside - last - 1) / width) / sigmoid(np.array([-1.0]))
        window[inside] = number
        after = np.arange(last + 1, begins[number + 1])
        position = (after - last) / max(width - 1, 1)
        value[after] = np.where(position > 3.0, -1.0, sigmoid(np.minimum(position, 3.0)))
    window[: uncounted(count)] = UNCOUNTED
    return Rows(value, window)


def uncounted(count: int) -> int:
    """Rows at the start of a file of ``count`` rows that do not count."""
    return int(np.ceil(min(np.floor(0.15 * count), 750.0)))


def _row(at: npt.NDArray[np.datetime64], when: np.datetime64) -> int:
    found = np.flatnonzero(at == when)
    if not len(found):
        raise ValueError(f"no row at {when}, the edge of a labelled window")
    return int(found[0])


@dataclass(frozen=True, slots=True)
class Outcome:
    """A score 0..100 at a threshold, with the windows met of all and the rows of false alarm."""

    score: float
    threshold: float
    met: int
    windows: int
    false_rows: int


class Corpus:
    """All counted rows of some files with their scores."""

    def __init__(self, files: Sequence[tuple[Rows, Floats, int]]) -> None:
        """``files``: the rows' worth, their scores float64[n] in [0, 1], and how many windows are labelled."""
        self._labelled = sum(windows for _, _, windows in files)
        base, value, window, scores = 0, [], [], []
        for judged, score, windows in files:
            counted = judged.window != UNCOUNTED
            value.append(judged.value[counted])
            scores.append(score[counted])
            window.append(np.where(judged.window >= 0, judged.window + base, judged.window)[counted])
            base += windows
        self._value, self._window = np.concatenate(value), np.concatenate(window)
        self._score = np.concatenate(scores)
        self._countable = len(np.unique(self._window[self._window >= 0]))

    def at(self, threshold: float, profile: Profile) -> Outcome:
        alarm = self._score >= threshold
        inside = alarm & (self._window >= 0)
        best = np.full(max(self._labelled, 1), -np.inf)
        np.maximum.at(best, self._window[inside], self._value[inside])
        met = np.isfinite(best)
        outside = alarm & (self._window < 0)
        raw = profile.hit * best[met].sum() + profile.false_alarm * self._value[outside].sum()
        raw += profile.miss * met.sum() - profile.miss * self._countable
        return Outcome(self._share(float(raw), profile), threshold, int(met.sum()), self._labelled, int(outside.sum()))

    def _share(self, raw: float, profile: Profile) -> float:
        silence = -profile.miss * self._countable
        perfect = self._labelled * profile.hit - silence
        return 100.0 * (raw - silence) / perfect if perfect > 0.0 else 0.0

    def tune(self, profile: Profile) -> Outcome:
        """The best threshold over all files: how published scores are made."""
        order = np.argsort(-self._score, kind="stable")
        score, total = self._score[order], np.cumsum(self._gains(order, profile))
        last = np.flatnonzero(np.append(score[1:] != score[:-1], True))  # rows of equal score alarm together
        best = last[int(np.argmax(total[last]))]
        return self.at(float(score[best]) if total[best] > 0.0 else 1.1, profile)

    def _gains(self, order: Int64s, profile: Profile) -> Floats:
        """What each further alarm adds when rows alarm in ``order``."""
        value, window = self._value[order], self._window[order]
        gain = np.where(window < 0, profile.false_alarm * value, 0.0)
        best = np.full(max(self._labelled, 1), -profile.miss)
        for i in np.flatnonzero(window >= 0):
            worth = profile.hit * value[i]
            gain[i] = max(worth - best[window[i]], 0.0)
            best[window[i]] = max(worth, best[window[i]])
        return gain
