"""Shares and differences with their uncertainty. Pure.

Wilson's score interval (1927) for a share, Newcombe's (1998, method 10) for the difference of two, and for that of two
means the normal one with variances of their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z = 1.959964  # 95 %


@dataclass(frozen=True, slots=True)
class Share:
    """``hits`` of ``count``; ``value`` None where there is nothing to count. ``low`` and ``high`` at 95 %."""

    hits: int
    count: int
    value: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """One minus the other, at 95 %; None where it cannot be told."""

    value: float | None
    low: float | None
    high: float | None


UNTOLD = Difference(None, None, None)


def share(hits: int, count: int) -> Share:
    """A share with Wilson's interval.

    >>> share(8, 10).low < 0.5 < 0.8 < share(8, 10).high < 1
    True
    """
    if count == 0:
        return Share(0, 0, None, 0.0, 1.0)
    p, z2 = hits / count, Z * Z
    middle = (p + z2 / (2 * count)) / (1 + z2 / count)
    half = Z / (1 + z2 / count) * math.sqrt(p * (1 - p) / count + z2 / (4 * count * count))
    return Share(hits, count, p, max(0.0, middle - half), min(1.0, middle + half))


def of_shares(one: Share, other: Share) -> Difference:
    """How much higher the first share is."""
    if one.value is None or other.value is None:
        return UNTOLD
    gap = one.value - other.value
    low = gap - math.hypot(one.value - one.low, other.high - other.value)
    high = gap + math.hypot(one.high - one.value, other.value - other.low)
    return Difference(gap, max(-1.0, low), min(1.0, high))


def of_means(one: Sequence[float], other: Sequence[float]) -> Difference:
    """How much higher the first mean is."""
    if len(one) < 2 or len(other) < 2:
        return UNTOLD
    gap = sum(one) / len(one) - sum(other) / len(other)
    half = Z * math.sqrt(_variance(one) / len(one) + _variance(other) / len(other))
    return Difference(gap, gap - half, gap + half)


def _variance(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((each - mean) ** 2 for each in values) / (len(values) - 1)
