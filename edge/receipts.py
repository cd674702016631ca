"""Which messages of an epoch are durable, and the receipt that tells the publisher so. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

MOST_GAPS = 200
MOST_SEQ = (1 << 62) - 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """Every message up to ``seq`` is durable except those in ``gaps`` (inclusive ranges)."""

    epoch: str
    seq: int
    gaps: tuple[tuple[int, int], ...]

    def encode(self) -> bytes:
        return msgspec.json.encode({"epoch": self.epoch, "seq": self.seq, "gaps": self.gaps})

    def covers(self, seq: int) -> bool:
        """Whether the message ``seq`` is durable."""
        return seq <= self.seq and not any(low <= seq <= high for low, high in self.gaps)


class _Receipt(msgspec.Struct):
    epoch: str
    seq: int
    gaps: list[tuple[int, int]] = []


def decode(payload: bytes) -> Receipt:
    """The receipt in a payload. Raises ValueError when it is none."""
    found = msgspec.json.decode(payload, type=_Receipt)
    return Receipt(found.epoch, found.seq, tuple(found.gaps))


class Progress:
    """The durable messages of one epoch, as disjoint inclusive ranges in ascending order."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._low: list[int] = []
        self._high: list[int] = []
        for low, high in ranges:
            self.add(low, high)

    def add(self, low: int, high: int | None = None) -> None:
        """Mark ``low … high`` (or ``low`` alone) as durable."""
        high = low if high is None else high
        if self._high and low == self._high[-1] + 1:  # the usual case: the next in order
            self._high[-1] = high
            return
        first = bisect_left(self._high, low - 1)
        last = first
        while last < len(self._low) and self._low[last] <= high + 1:
            low, high = min(low, self._low[last]), max(high, self._high[last])
            last += 1
        self._low[first:last] = [low]
        self._high[first:last] = [high]

    def ranges(self) -> list[tuple[int, int]]:
        return list(zip(self._low, self._high, strict=True))

    def unknown(self, most: int = MOST_GAPS) -> list[tuple[int, int]]:
        """What may have become durable elsewhere: the first gaps, and everything beyond the last."""
        found, end = [], 0
        for low, high in self.ranges()[:most]:
            if low > end + 1:
                found.append((end + 1, low - 1))
            end = high
        return [*found, (max(end, self._high[-1] if self._high else 0) + 1, MOST_SEQ)]

    def receipt(self, epoch: str) -> Receipt:
        """What can be told. With too many gaps it tells less, never more, than is durable."""
        gaps: list[tuple[int, int]] = []
        seq = 0
        for low, high in self.ranges():
            if low > seq + 1:
                if len(gaps) == MOST_GAPS:
                    break
                gaps.append((seq + 1, low - 1))
            seq = high
        return Receipt(epoch, seq, tuple(gaps))
