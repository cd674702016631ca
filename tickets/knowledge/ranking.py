"""Which of these documents answers this text? An immutable index in memory. Pure.

Score = BM25 of the stems in the heading (title and tags) + body * BM25 of the stems in the body + grams * BM25 of the
groups of letters in the heading, which forgive what is misspelt. A question with a body of its own is asked twice. A
score has no unit and compares the documents of one question only. BM25: Robertson and Zaragoza, The Probabilistic
Relevance Framework, 2009. How the weights were chosen: benchmarks/text.py.

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
from tickets.search_text import is_han

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

    body: float = 0.5
    grams: float = 0.4
    asked_body: float = 1.0
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
    _heading: Index = field(repr=False)
    _body: Index = field(repr=False)
    _grams: Index = field(repr=False)

    @classmethod
    def of(cls, documents: Mapping[K, Document], *, weights: Weights | None = None) -> Ranking[K]:
        """An index of these documents."""
        chosen, headings = weights or Weights(), [_heading(each) for each in documents.values()]
        bodies = [each.body for each in documents.values()]
        grams = [[*terms.grams(head), *terms.characters(body)] for head, body in zip(headings, bodies, strict=True)]
        heading, body = (Index([_stems(text) for text in texts], chosen) for texts in (headings, bodies))
        return cls(tuple(documents), chosen, heading, body, Index(grams, chosen))

    def best(self, query: str | Document, *, most: int = 10, among: Collection[K] | None = None) -> list[Scored[K]]:
        """The documents that have something of the question, best first; ties by key. ``among``: only these.

        Without ``words`` a document is alike in some letters only.
        """
        asked = Document(query) if isinstance(query, str) else query
        scores = self._scores(asked)
        places = [at for at in np.flatnonzero(scores > 0).tolist() if among is None or self.keys[at] in among]
        found = sorted(sorted(places, key=lambda at: self.keys[at]), key=lambda at: -round(float(scores[at]), 6))[:most]
        words = self._words([*terms.terms(_heading(asked)), *terms.terms(asked.body)][:MOST_ASKED], found)
        return [Scored(self.keys[at], round(float(scores[at]), 6), words[at]) for at in found]

    def _scores(self, asked: Document) -> NDArray[np.float64]:
        heading = _heading(asked)
        scores = self._answers(heading) + self.weights.grams * self._grams.scores(list(terms.grams(heading)))
        return scores + self.weights.asked_body * self._answers(asked.body) if asked.body else scores

    def _answers(self, text: str) -> NDArray[np.float64]:
        stems = _stems(text)
        return self._heading.scores(stems) + self.weights.body * self._body.scores(stems)

    def _words(self, asked: Sequence[terms.Term], places: Sequence[int]) -> dict[int, tuple[str, ...]]:
        stems = {each.stem for each in asked}
        holders = {stem: self._heading.holders(stem) | self._body.holders(stem) for stem in stems}
        return {at: _written([each.written for each in asked if at in holders[each.stem]]) for at in places}


def _heading(document: Document) -> str:
    return "\n".join((document.title, *document.tags))


def _stems(text: str) -> list[str]:
    return [term.stem for term in terms.terms(text)]


def _written(words: Sequence[str]) -> tuple[str, ...]:
    """Each word once; pairs of Chinese characters joined to the run they came from: 轴承 承过 → 轴承过"""
    found: list[str] = []
    for word in words:
        if found and is_han(word) and is_han(found[-1]) and found[-1][-1] == word[0]:
            found[-1] += word[1:]
        else:
            found.append(word)
    return tuple(dict.fromkeys(found))
