"""Learns one answer (a name out of any number) from clues, case by case. Pure: state in, state out, no chance.

A linear model with softmax (multinomial logistic regression), learnt online with a step per weight that shrinks with
what it has seen (AdaGrad: Duchi, Hazan and Singer, 2011); clues are hashed, so that memory is bounded whatever people
write. Old lessons fade a little with each new one that touches the same clue. A little of every lesson is spread over
all answers, which keeps confidences modest: of those above a half rather more come true than they say.

>>> from tickets.triage.clues import Case, clues
>>> learner = Learner()
>>> for _ in range(20):
...     learner.learn(clues(Case("oil leaks")), "mechanical")
...     learner.learn(clues(Case("no signal")), "electrical")
>>> [(guess.label, guess.reasons) for guess in learner.suggest(clues(Case("oil on the floor")), most=1)]
[('mechanical', (Clue(field='word', value='oil'),))]
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tickets.triage.clues import ALWAYS, Clue

Floats = NDArray[np.float32]
SHOWN_REASONS = 3
LEAST_REASON = 0.05


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast it learns and forgets. How the values were chosen: benchmarks/text.py."""

    step: float = 0.5
    caution: float = 0.1  # what a weight counts as having seen at its beginning
    fading: float = 0.001
    doubt: float = 0.1  # share of a lesson that is spread over all answers
    rows: int = 2**13  # of weights; clues that share one are taken for the same


@dataclass(frozen=True, slots=True)
class Guess:
    """An answer, how sure (0 to 1), and the clues that speak for it against the others, strongest first."""

    label: str
    confidence: float
    reasons: tuple[Clue, ...]


class Learner:
    """Answers what it has seen answered. The same lessons in the same order make the same learner."""

    def __init__(self, pace: Pace | None = None) -> None:
        self.pace = pace or Pace()
        self.labels: list[str] = []
        self.lessons = 0
        self._places: dict[str, int] = {}
        self._weights: Floats = np.zeros((self.pace.rows, 0), dtype=np.float32)
        self._seen: Floats = np.zeros((self.pace.rows, 0), dtype=np.float32)

    def suggest(self, clues: Mapping[Clue, float], *, most: int = 3) -> tuple[Guess, ...]:
        """The likeliest answers, best first (ties: who was learnt first); none before the first lesson."""
        if not self.labels:
            return ()
        rows, loud = self._rows(clues)
        shares = _softmax(self._sum(rows, loud))
        best = np.argsort(-shares, kind="stable")[:most].tolist()
        voices: Floats = loud[:, None] * self._weights[rows, : len(self.labels)]
        why: Floats = voices - (voices @ shares)[:, None]
        names = list(clues)
        return tuple(Guess(self.labels[at], round(float(shares[at]), 4), _reasons(names, why[:, at])) for at in best)

    def learn(self, clues: Mapping[Clue, float], label: str) -> None:
        """One lesson: of a case like this the answer was ``label``."""
        at = self._place(label)
        rows, loud = self._rows(clues)
        sums, count = self._sum(rows, loud), len(self.labels)
        slope = -_softmax(sums) + self.pace.doubt / count
        slope[at] += 1 - self.pace.doubt
        lesson = np.outer(loud, slope)
        seen = self._seen[rows, :count] + lesson**2
        self._seen[rows, :count] = seen
        kept = self._weights[rows, :count] * (1 - self.pace.fading)
        self._weights[rows, :count] = kept + self.pace.step * lesson / np.sqrt(self.pace.caution + seen)
        self.lessons += 1

    def _sum(self, rows: NDArray[np.int64], loud: Floats) -> Floats:
        found: Floats = loud @ self._weights[rows, : len(self.labels)]
        return found

    def _place(self, label: str) -> int:
        if label not in self._places:
            self._places[label] = len(self.labels)
            self.labels.append(label)
            if len(self.labels) > self._weights.shape[1]:
                wider = ((0, 0), (0, max(4, len(self.labels))))
                self._weights, self._seen = np.pad(self._weights, wider), np.pad(self._seen, wider)
        return self._places[label]

    def _rows(self, clues: Mapping[Clue, float]) -> tuple[NDArray[np.int64], Floats]:
        rows = [zlib.crc32(f"{clue.field}\0{clue.value}".encode()) % self.pace.rows for clue in clues]
        return np.array(rows, dtype=np.int64), np.array(list(clues.values()), dtype=np.float32)


def _softmax(sums: Floats) -> Floats:
    powers = np.exp(sums - sums.max())
    found: Floats = powers / powers.sum()
    return found


def _reasons(clues: Sequence[Clue], why: Floats) -> tuple[Clue, ...]:
    best = np.argsort(-why, kind="stable")[: SHOWN_REASONS + 1].tolist()
    speaking = [clues[at] for at in best if why[at] > LEAST_REASON and clues[at].field != ALWAYS]
    return tuple(speaking[:SHOWN_REASONS])
