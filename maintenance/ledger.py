"""What preventive work was worth: a line for every order of a detector that ended, and their sum. Pure.

    expected = precision × P(fails before the next planned stop without it) × loss of a failure − cost of the work

A false order enters with its cost alone; a repair that a failure followed before that stop avoided nothing. The
interval of a sum comes from drawing, many times: each detector's precision from what verdicts say of it, and for each
line whether the machine would have failed. The same lines give the same numbers: the draws are seeded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

DRAWS = 4000
SEED = 20_260_302
LOW, HIGH = 5.0, 95.0  # per cent


@dataclass(frozen=True, slots=True)
class Line:
    """One order. ``p_fail``: chance to fail before ``stop_at`` (the next planned stop) without it, by the forecast made
    at ``made_at``; ``loss`` of a failure and ``cost`` of the work in the currency; ``false``: nothing was found."""

    ticket_id: int
    ref: str
    asset_id: int
    mode: str
    detector: str
    version: str
    done_at: datetime
    made_at: datetime | None
    stop_at: datetime | None
    p_fail: float
    loss: float
    cost: float
    currency: str
    false: bool
    failed_after: bool


@dataclass(frozen=True, slots=True)
class Record:
    """How often a detector's orders were right: ``right`` of ``judged``."""

    right: int
    judged: int

    @property
    def precision(self) -> float:
        """The mean of what is believed after these verdicts (Jeffreys): careful while there are few."""
        return (self.right + 0.5) / (self.judged + 1.0)


@dataclass(frozen=True, slots=True)
class Worth:
    """Expected saving and its 90 % interval, in the currency."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """Lines with what each was worth; the sum of each currency."""

    lines: tuple[tuple[Line, Worth], ...]
    sums: Mapping[str, Worth]


def ledger(lines: Sequence[Line], records: Mapping[str, Record]) -> Ledger:
    """Weigh every line and add up. ``records`` by detector; one without verdicts is believed half."""
    if not lines:
        return Ledger((), {})
    drawn = _drawn(lines, records)
    worths = [_worth(expected(line, records), drawn[at]) for at, line in enumerate(lines)]
    sums = {}
    for currency in sorted({line.currency for line in lines}):
        rows = [at for at, line in enumerate(lines) if line.currency == currency]
        sums[currency] = _worth(sum(worths[at].expected for at in rows), drawn[rows].sum(axis=0))
    return Ledger(tuple(zip(lines, worths, strict=True)), sums)


def expected(line: Line, records: Mapping[str, Record]) -> float:
    """The expected saving of one line."""
    if line.false or line.failed_after:
        return -line.cost
    return records.get(line.detector, Record(0, 0)).precision * line.p_fail * line.loss - line.cost


def _drawn(lines: Sequence[Line], records: Mapping[str, Record]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """float64[lines, DRAWS]: what each line saved in each draw; lines of a detector share its drawn precision."""
    chance = np.random.default_rng(SEED)
    found = np.empty((len(lines), DRAWS))
    precisions = {}
    for detector in sorted({line.detector for line in lines}):
        record = records.get(detector, Record(0, 0))
        precisions[detector] = chance.beta(record.right + 0.5, record.judged - record.right + 0.5, DRAWS)
    for at, line in enumerate(lines):
        would_fail = chance.random(DRAWS) < precisions[line.detector] * line.p_fail
        found[at] = (0.0 if line.false or line.failed_after else line.loss) * would_fail - line.cost
    return found


def _worth(mean: float, drawn: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Worth:
    low, high = np.percentile(drawn, (LOW, HIGH))
    return Worth(mean, min(float(low), mean), max(float(high), mean))
