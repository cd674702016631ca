"""Which of these documents answers this text? An immutable index in memory: BM25 over stems and over groups of letters.

Titles and tags count more than bodies. A score has no unit and compares documents of one question only. Pure.

>>> guides = Ranking.of({1: Document("Replace a pump bearing"), 2: Document("Clean the filter")})
>>> [(found.key, found.words) for found in guides.best("the bearings of a pump are hot")]
[(1, ('bearings', 'pump'))]
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import bm25s
import numpy as np
from numpy.typing import NDArray

from tickets.knowledge import terms

MOST_ASKED = 400  # different terms of a question that are looked up
EMPTY = "\0"  # bm25s wants at least one term


class Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


K = TypeVar("K", bound=Ordered)


@dataclass(frozen=True, slots=True)
class Document:
    """What may be found."""

    title: str
    body: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scored(Generic[K]):
    """A document that was found; ``words``: what of the question stands in it, as it was asked."""

    key: K
    score: float
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """How the parts of the score add up, and BM25's two constants (saturation, length)."""

    title: int = 2  # a title counts as often as if it were written so many times
    grams: float = 0.3
    k1: float = 1.2
    b: float = 0.75


class Index:
    """BM25 over lists of terms."""

    def __init__(self, documents: Sequence[Sequence[str]], weights: Weights) -> None:
        self._count = len(documents)
        vocabulary: dict[str, int] = {EMPTY: 0}
        ids = [[vocabulary.setdefault(term, len(vocabulary)) for term in each] or [0] for each in documents]
        self._known: Mapping[str, int] = vocabulary
        self._bm25: Any = bm25s.BM25(k1=weights.k1, b=weights.b, method="lucene", backend="numpy")
        if ids:
            self._bm25.index((ids, vocabulary), create_empty_token=False, show_progress=False)

    def scores(self, asked: Sequence[str]) -> NDArray[np.float64]:
        """For each document how well it answers; 0 where nothing matches."""
        known = [self._known[term] for term in dict.fromkeys(asked) if term in self._known][:MOST_ASKED]
        if not known or not self._count:
            return np.zeros(self._count)
        found: NDArray[np.float64] = np.asarray(self._bm25.get_scores_from_ids(known), dtype=np.float64)
        return found

    def holders(self, term: str) -> frozenset[int]:
        """The places of the documents that hold this term."""
        if term not in self._known or not self._count:
            return frozenset()
        column = self._known[term]
        bounds = self._bm25.scores["indptr"]
        return frozenset(self._bm25.scores["indices"][bounds[column] : bounds[column + 1]].tolist())


@dataclass(frozen=True, slots=True)
class Ranking(Generic[K]):
    """Documents ready to be asked. Built once, asked often; to change a document build another."""

    keys: tuple[K, ...]
    weights: Weights
    _stems: Index = field(repr=False)
    _grams: Index = field(repr=False)

    @classmethod
    def of(cls, documents: Mapping[K, Document], *, weights: Weights | None = None) -> Ranking[K]:
        """An index of these documents."""
        chosen = weights or Weights()
        texts = [_text(each, chosen) for each in documents.values()]
        stems = Index([[term.stem for term in terms.terms(text)] for text in texts], chosen)
        return cls(tuple(documents), chosen, stems, Index([list(terms.grams(text)) for text in texts], chosen))

    def best(self, query: str, *, most: int = 10, among: Collection[K] | None = None) -> list[Scored[K]]:
        """The documents that have something of the question, best first; ties by key. ``among``: only these."""
        asked = list(terms.terms(query))
        scores = self._stems.scores([term.stem for term in asked])
        scores = scores + self.weights.grams * self._grams.scores(list(terms.grams(query)))
        places = [at for at in np.flatnonzero(scores > 0).tolist() if among is None or self.keys[at] in among]
        found = sorted(sorted(places, key=lambda at: self.keys[at]), key=lambda at: -round(float(scores[at]), 6))[:most]
        words = self._words(asked, found)
        return [Scored(self.keys[at], round(float(scores[at]), 6), words[at]) for at in found]

    def _words(self, asked: Sequence[terms.Term], places: Sequence[int]) -> dict[int, tuple[str, ...]]:
        holders = {each.stem: self._stems.holders(each.stem) for each in asked}
        return {at: tuple(dict.fromkeys(each.written for each in asked if at in holders[each.stem])) for at in places}


def _text(document: Document, weights: Weights) -> str:
    heading = "\n".join((document.title, *document.tags))
    return "\n".join([heading] * weights.title + [document.body])
