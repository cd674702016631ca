"""Which of these documents answers a question, by what it means: likeness of vectors, and a little of the words. Pure.

Score = cosine of question and heading + words * BM25 / the best BM25 of this question. Adding places in two lists, each
weighing the same, was worse than the vectors alone. How the weight was chosen: benchmarks/text.py.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np

from tickets.knowledge.encoder import Floats
from tickets.knowledge.ranking import Document, K, Ranking

WORDS = 0.2


@dataclass(frozen=True, slots=True)
class Meaning(Generic[K]):
    """Documents with the vectors of their headings, in the order of ``ranking.keys``."""

    ranking: Ranking[K]
    headings: Floats
    words: float = WORDS

    def likeness(self, asked: Floats) -> Floats:
        """Cosine of the question's vector with each heading, as ``ranking.keys`` has them."""
        found: Floats = self.headings @ asked
        return found

    def best(
        self, question: str | Document, asked: Floats, *, most: int = 10, among: Collection[K] | None = None
    ) -> list[tuple[K, float]]:
        """Documents and scores, best first; ties by key. ``asked`` is the question's vector."""
        keys = self.ranking.keys
        scores = self.likeness(asked) + self.words * self._shares(question)
        places = sorted((at for at in range(len(keys)) if among is None or keys[at] in among), key=keys.__getitem__)
        return [
            (keys[at], round(float(scores[at]), 6))
            for at in sorted(places, key=lambda at: -round(float(scores[at]), 6))[:most]
        ]

    def _shares(self, question: str | Document) -> Floats:
        found = {each.key: each.score for each in self.ranking.best(question, most=len(self.ranking.keys))}
        highest = max(found.values(), default=1.0)
        return np.array([found.get(key, 0.0) / highest for key in self.ranking.keys], dtype=np.float32)


def headings(documents: Sequence[Document]) -> list[str]:
    """What of each document its vector is made of."""
    return [each.title for each in documents]
