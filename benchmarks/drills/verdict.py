"""What was taken on against what is stored, row by row, value bits included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.ledgers import Columns, counts


@dataclass(frozen=True, slots=True)
class Verdict:
    """``lost``: a (signal, time) that is not stored. ``altered``: stored with another value only. ``doubled``: stored
    more often than taken on, or never taken on."""

    samples: int
    stored: int
    lost: int
    doubled: int
    altered: int


def judge(taken: Columns, stored: Columns) -> Verdict:
    """Compare both ways."""
    wanted, found = counts(taken, stored)
    missing = int(np.maximum(wanted - found, 0).sum())
    more = int(np.maximum(found - wanted, 0).sum())
    nowhere = np.zeros(len(taken[0])), np.zeros(len(stored[0]))
    wanted_keys, found_keys = counts((taken[0], taken[1], nowhere[0]), (stored[0], stored[1], nowhere[1]))
    lost = int(np.maximum(wanted_keys - found_keys, 0).sum())
    altered = missing - lost
    return Verdict(len(taken[0]), len(stored[0]), lost, more - altered, altered)


def columns(rows: list[tuple[int, int, float]]) -> Columns:
    """Rows as columns."""
    signal, at, value = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(signal, np.int64), np.array(at, np.int64), np.array(value, np.float64)
