"""What the rollups do not say yet: stretches of time that samples fell into since they were last rolled. SQL, app role.

A plot is completed from the samples of these stretches, so that a new tag shows at once, and late data too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import Connection

from plant.times import MINUTE_US, from_us, to_us

MOST_RAW_US = 26 * 3_600_000_000  # of raw samples for one plot, the newest: a long way behind is rolled soon enough
MOST_BATCHES = 20_000

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Open:
    """Stretches not rolled yet, newest first: half-open, of whole minutes, each with its signals (None = any)."""

    stretches: tuple[tuple[int, int, frozenset[int] | None], ...] = ()

    def of(self, signal_id: int, span: Span) -> list[Span]:
        """The stretches within ``span`` that may hold samples of a signal, merged and ascending."""
        clipped = [
            (max(low, span[0]), min(high, span[1]))
            for low, high, signals in self.stretches
            if signals is None or signal_id in signals
        ]
        merged: list[Span] = []
        for low, high in sorted(each for each in clipped if each[0] < each[1]):
            if merged and low <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], high))
            else:
                merged.append((low, high))
        return _newest(merged)


def open_stretches(conn: Connection, span: Span) -> Open:
    """What is not rolled yet within ``span``. To be read before the rollups: what is rolled in between is in both."""
    rows = conn.execute(
        """select min_at, max_at, signals from ingest_batches
           where not rolled and min_at < %s and max_at >= %s order by batch_id desc limit %s""",
        (from_us(span[1]), from_us(span[0]), MOST_BATCHES),
    )
    return Open(
        tuple(
            (
                to_us(low) // MINUTE_US * MINUTE_US,
                (to_us(high) // MINUTE_US + 1) * MINUTE_US,
                None if signals is None else frozenset(signals),
            )
            for low, high, signals in rows
        )
    )


def _newest(spans: Sequence[Span]) -> list[Span]:
    """As many of the newest as the limit allows, ascending."""
    left, kept = MOST_RAW_US, []
    for low, high in reversed(spans):
        if left <= 0:
            break
        kept.append((max(low, (high - left) // MINUTE_US * MINUTE_US), high))
        left -= high - low
    return kept[::-1]
