"""Does everything that was sent add up? Read only: what a site's sources sent against where it ended.

    sent = stored + quarantined + twins + dropped + missing

A numbered sender says itself what it sent (its health message: samples of the epoch, last number); of any other, sent
is what was heard. What is missing is named: ranges of numbers that never came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from edge.receipts import Progress

MOST_RANGES = 100


@dataclass(frozen=True, slots=True)
class Missing:
    """Messages ``low … high`` of an epoch that are not in the store."""

    epoch: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch: what the sender says it sent (None: it says nothing), and what came. ``waiting``: batches that the
    sender still keeps."""

    epoch: str
    told_samples: int | None
    told_seq: int
    came_until_told: int  # readings of the messages up to ``told_seq``
    came: int  # readings of all its messages
    ranges: tuple[tuple[int, int], ...]  # of numbers that came
    waiting: int = 0

    @property
    def sent(self) -> int:
        """Readings sent, as far as anybody says; numbers given after the report are taken as they came."""
        return self.came if self.told_samples is None else self.told_samples + self.came - self.came_until_told

    @property
    def missing(self) -> list[Missing]:
        """Numbers given that never came."""
        last = max([self.told_seq, *(high for _, high in self.ranges)], default=0)
        receipt = Progress(self.ranges).receipt(self.epoch)
        holes = [Missing(self.epoch, low, high) for low, high in receipt.gaps]
        return [*holes, *([Missing(self.epoch, receipt.seq + 1, last)] if receipt.seq < last else [])]


@dataclass(frozen=True, slots=True)
class Account:
    """One source's balance; all counts are readings. ``quarantined`` are those that have not been released since."""

    source: str
    sent: int
    stored: int
    quarantined: int
    twins: int
    dropped: int
    repeated: int  # heard again, and known by their numbers: not part of the sum
    missing: tuple[Missing, ...] = ()
    waiting: int = 0

    @property
    def difference(self) -> int:
        """Readings sent that ended nowhere: 0 when it balances."""
        return self.sent - self.stored - self.quarantined - self.twins - self.dropped

    @property
    def balances(self) -> bool:
        return self.difference == 0 and not self.missing


@dataclass(frozen=True, slots=True)
class Totals:
    """A source's counts as kept."""

    heard: int
    repeated: int
    samples: int
    quarantined: int
    twins: int
    released: int
    dropped: int


def accounts(conn: Connection, *, source: str | None = None, since: datetime | None = None) -> list[Account]:
    """The balance of every source of the current site (or of one), by name. With ``since`` (to the hour), the sender's
    word is left out: it counts from its epoch's beginning."""
    totals = _totals(conn, source, since)
    epochs = _epochs(conn, source) if since is None else {}
    return [balance(name, totals.get(name), epochs.get(name, ())) for name in sorted(totals.keys() | epochs.keys())]


def balance(source: str, totals: Totals | None, epochs: Sequence[Epoch]) -> Account:
    """Put what was counted beside what the sender says. Pure."""
    totals = totals or Totals(0, 0, 0, 0, 0, 0, 0)
    unnumbered = totals.heard - totals.repeated - sum(each.came for each in epochs)
    return Account(
        source=source,
        sent=unnumbered + sum(each.sent for each in epochs),
        stored=totals.samples,
        quarantined=totals.quarantined - totals.released,
        twins=totals.twins,
        dropped=totals.dropped,
        repeated=totals.repeated,
        missing=tuple(missing for each in epochs for missing in each.missing)[:MOST_RANGES],
        waiting=sum(each.waiting for each in epochs),
    )


def _totals(conn: Connection, source: str | None, since: datetime | None) -> dict[str, Totals]:
    """Folded counts and those that wait to be folded."""
    rows = conn.execute(
        """select source, sum(heard)::int8, sum(repeated)::int8, sum(samples)::int8, sum(quarantined)::int8,
             sum(twins)::int8, sum(released)::int8, sum(dropped)::int8
           from (select source, heard, repeated, samples, quarantined, twins, released, dropped from source_counts
                   where %(since)s::timestamptz is null or hour >= date_trunc('hour', %(since)s::timestamptz, 'UTC')
                 union all
                 select source, heard, repeated, samples, quarantined, twins, released, dropped
                 from source_tallies) as t
           where %(source)s::text is null or source = %(source)s group by 1""",
        {"source": source, "since": since},
    )
    return {name: Totals(*counts) for name, *counts in rows}


def _epochs(conn: Connection, source: str | None) -> dict[str, list[Epoch]]:
    """Every epoch that a sender tells of or that came."""
    reports = {
        (name, epoch): (samples, seq, waiting)
        for name, epoch, samples, seq, waiting in conn.execute(
            """select source, epoch, samples, seq, waiting from gateway_reports
               where %(source)s::text is null or source = %(source)s""",
            {"source": source},
        )
    }
    came = _came(conn, source)
    found: dict[str, list[Epoch]] = {}
    for key in sorted(reports.keys() | came.keys()):
        samples, seq, waiting = reports.get(key, (None, 0, 0))
        until_told, everything, ranges = came.get(key, (0, 0, ()))
        found.setdefault(key[0], []).append(Epoch(key[1], samples, seq, until_told, everything, tuple(ranges), waiting))
    return found


Came = tuple[int, int, Iterable[tuple[int, int]]]


def _came(conn: Connection, source: str | None) -> dict[tuple[str, str], Came]:
    """Readings that came up to the sender's last report and altogether, and the ranges of their numbers."""
    rows = conn.execute(
        """with islands as (
             select source, epoch, seq, samples,
               seq - row_number() over (partition by source, epoch order by seq) as island
             from message_ledger where %(source)s::text is null or source = %(source)s),
           parts as (
             select i.source, i.epoch, min(i.seq) as low, max(i.seq) as high, sum(i.samples) as came,
               coalesce(sum(i.samples) filter (where i.seq <= r.seq), 0) as until_told
             from islands i left join gateway_reports r using (source, epoch) group by i.source, i.epoch, i.island
             union all
             select source, epoch, 1, through, samples, samples from ledger_marks
             where %(source)s::text is null or source = %(source)s)
           select source, epoch, sum(until_told)::int8, sum(came)::int8, array_agg(array[low, high] order by low)
           from parts group by 1, 2""",
        {"source": source},
    )
    return {
        (name, epoch): (until_told, came, [(low, high) for low, high in ranges])
        for name, epoch, until_told, came, ranges in rows
    }
