"""Scores of rankings and streams of answers, from their public definitions.

nDCG@10 with relevance 0 or 1: Järvelin and Kekäläinen, 2002. Recall@5 divides by the most that five places can hold.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from math import log2
from statistics import fmean

DEPTH = 10


def ndcg(ranked: Sequence[Hashable], wanted: Collection[Hashable]) -> float:
    """How near the wanted ones stand to the top ten's top: 1 = as near as they can."""
    gain = sum(1 / log2(place + 2) for place, each in enumerate(ranked[:DEPTH]) if each in wanted)
    return gain / sum(1 / log2(place + 2) for place in range(min(len(wanted), DEPTH)))


def recall(ranked: Sequence[Hashable], wanted: Collection[Hashable], *, depth: int = 5) -> float:
    """The share of the wanted ones among the first, of as many as fit there."""
    return sum(each in wanted for each in ranked[:depth]) / min(len(wanted), depth)


def share(right: Sequence[bool], *, last: int | None = None) -> float | None:
    """The share of right answers (among the last ones); None without any."""
    counted = right[-last:] if last else right
    return round(fmean(counted), 4) if counted else None
