"""How alike two reports sound, in English and Chinese alike. Pure.

Texts are cut into words, halves of long words and pairs of Chinese characters; rare ones among the candidates weigh
more. The cosine of the two bags finds who is alike; among the first hundred, half of the score is how well ranking
(``tickets.knowledge.ranking``; the first line is the title) places them against each other. 0 to 1.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tickets.knowledge.ranking import Document, Ranking

AGAIN = 100  # candidates that are ranked as well
PIECE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+|[a-z0-9]+")
STOP = frozenset(
    {"a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "for", "from", "has", "have", "in", "is", "it",
     "its", "not", "of", "on", "or", "that", "the", "there", "this", "to", "was", "were", "with"}
)  # fmt: skip
STOP_ZH = frozenset("的了是在有和就不也很着过个这那")
LONGEST = 2000
GRAM = 4


def bag(text: str) -> Counter[str]:
    """The pieces of a text, each with its weight by length of evidence: a whole word counts more than a part."""
    folded = unicodedata.normalize("NFKC", text[:LONGEST]).lower()
    found: Counter[str] = Counter()
    for piece in PIECE.findall(folded):
        found.update(_chinese(piece) if ord(piece[0]) > 0x33FF else _latin(piece))
    return found


def scores(query: str, candidates: Sequence[str]) -> list[float]:
    """How alike each candidate is to the query."""
    cosines = _cosines(query, candidates)
    first = sorted((at for at, cosine in enumerate(cosines) if cosine > 0), key=lambda at: (-cosines[at], at))[:AGAIN]
    ranking = Ranking.of({at: _document(candidates[at]) for at in first})
    ranked = {each.key: each.score for each in ranking.best(_document(query), most=AGAIN)}
    if not ranked:
        return cosines
    stretch = max(cosines) / max(ranked.values())
    return [(cosine + stretch * ranked.get(at, 0.0)) / 2 for at, cosine in enumerate(cosines)]


def _cosines(query: str, candidates: Sequence[str]) -> list[float]:
    asked = bag(query)
    bags = [bag(each) for each in candidates]
    rarity = _rarity([asked, *bags])
    length = _length(asked, rarity)
    return [_cosine(asked, each, rarity, length) for each in bags]


def _document(text: str) -> Document:
    title, _, body = text[:LONGEST].partition("\n")
    return Document(title, body)


def _chinese(run: str) -> Iterable[str]:
    kept = "".join(char for char in run if char not in STOP_ZH)
    yield from kept
    yield from (kept[i : i + 2] for i in range(len(kept) - 1))


def _latin(word: str) -> Iterable[str]:
    if word in STOP:
        return
    stem = word[:-1] if len(word) > 3 and word.endswith("s") else word
    yield stem
    if len(stem) > GRAM:
        yield from (f"~{stem[i : i + GRAM]}" for i in range(len(stem) - GRAM + 1))


def _rarity(bags: Sequence[Counter[str]]) -> Mapping[str, float]:
    seen: Counter[str] = Counter()
    for each in bags:
        seen.update(each.keys())
    total = len(bags)
    return {
        piece: math.log(1 + total / count) * (0.4 if piece.startswith("~") else 1.0) for piece, count in seen.items()
    }


def _length(found: Counter[str], rarity: Mapping[str, float]) -> float:
    return math.sqrt(sum((math.sqrt(count) * rarity[piece]) ** 2 for piece, count in found.items()))


def _cosine(one: Counter[str], other: Counter[str], rarity: Mapping[str, float], length: float) -> float:
    common = one.keys() & other.keys()
    if not common or not length:
        return 0.0
    dot = sum(math.sqrt(one[piece] * other[piece]) * rarity[piece] ** 2 for piece in common)
    return dot / (length * _length(other, rarity))
