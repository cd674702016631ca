"""One flush = one transaction: ledger, samples, quarantine, what was touched, NOTIFY.

heard ──resolve──> [ ledger: which messages are new? │ which samples are new? │ COPY │ quarantine │ NOTIFY ] commit
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from psycopg import Connection

from core.database import Database, Line
from edge.receipts import Progress, Receipt
from ingest import accounts, counts, store
from ingest.allowance import Allowance
from ingest.counts import From
from ingest.newest import Newest
from ingest.prepared import Prepared, prepare
from ingest.resolve import Entry, Heard, Resolved
from plant import rollups, telemetry, waveforms

MOST_EPOCHS = 10_000
NEVER_US = 1 << 62


class Doubt(StrEnum):
    """NONE: a sample newer than the newest is new. ALL: every sample is looked up (an outcome is unknown, or another
    process may have stored samples). UNNUMBERED: those of messages without a number are, since other ingest processes
    may have stored them."""

    NONE = "none"
    UNNUMBERED = "unnumbered"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a flush did. ``new`` says of each message whether it was new; ``stored`` and ``twins`` count samples."""

    new: tuple[bool, ...]
    stored: int
    twins: int
    quarantined: int
    receipts: tuple[tuple[int, str, Receipt], ...]  # site, source, receipt
    batch_id: int = 0
    samples_of: dict[int, int] = field(default_factory=dict)  # message index → samples stored
    otherwise: tuple[int, ...] = ()  # messages whose number had come before with other content


class Writer:
    """Stores what was resolved. One thread calls ``flush``; ``lock`` guards ``newest`` and ``last_batch``."""

    def __init__(self, database: Database, *, line: Line | None = None) -> None:
        """``line``: a connection of the caller's own to flush on, instead of one from the pool. ``shared``: other
        processes hear the same sources."""
        self.database = database
        self.shared = False
        self._tx = database.ingest_tx if line is None else line.tx
        self.newest = Newest()
        self.lock = threading.Lock()
        self.last_batch = 0
        self.fresh_us: Callable[[], int] = lambda: NEVER_US  # samples from then on have just been measured
        self._allowance = Allowance()
        self._days: set[int] = set()
        self._progress: OrderedDict[store.EpochKey, Progress] = OrderedDict()
        self._otherwise: tuple[int, ...] = ()
        self.missing: dict[tuple[int, str], int] = {}  # source → numbers of its epoch that did not come yet

    def recover(self) -> None:
        """Bring last values up to the samples, and learn what is newest: to be called before the first flush."""
        with self.database.ingest_tx() as conn:
            rollups.catch_up_latest(conn)
        self.reload_newest()

    def reload_newest(self) -> None:
        """Take over last values that another process may have written."""
        with self.database.ingest_tx() as conn:
            batch, site_ids = store.last_values(conn)
        with self.lock:
            self.newest.load(batch, site_ids)

    def forget(self) -> None:
        """After a failure: partitions may be gone, and progress is read again."""
        self._days.clear()
        self._progress.clear()

    def flush(
        self,
        heard: Sequence[Heard],
        resolved: Resolved,
        *,
        prepared: Prepared | None = None,
        doubt: Doubt = Doubt.NONE,
        origin: From = From.WIRE,
        also: Callable[[Connection], None] | None = None,
    ) -> Kept:
        """Store and count everything in one transaction; ``also`` joins it. Raises what psycopg raises: then nothing is
        stored, or (a commit of unknown outcome) all of it, and the same flush again with ``Doubt.ALL`` is harmless."""
        rows = prepare(resolved) if prepared is None else prepared
        with self._tx() as conn:
            new = self._ledger(conn, heard, resolved)
            rows, fresh = self._only_new(conn, rows, heard, np.array(new, bool), self._doubt(doubt))
            for day, packed in rows.by_day():
                if day not in self._days:
                    telemetry.ensure_days(conn, [day])
                telemetry.copy_rows(conn, day, packed)
            progress = self._load_progress(conn, heard)
            entries = [entry for entry in resolved.entries if new[entry.message]]
            counted = counts.of_flush(heard, resolved, new, rows.message, origin=origin)
            waveforms.write(conn, [wave for message, wave in resolved.waves if new[message]])
            with conn.pipeline():  # one round trip for what is left
                store.quarantine(conn, self._allowance.trim(entries, now_s=time.monotonic()))
                accounts.count(conn, counted)
                if also is not None:
                    also(conn)
                store.notify_samples(conn, set(rows.site_ids.tolist()))
                batch_id = rollups.note(
                    conn,
                    rollups.touched(rows.batch, fresh=fresh),
                    quarantined=len(entries),
                    duplicates=_twins(resolved, new, rows),
                )
        return self._committed(heard, new, rows, _twins(resolved, new, rows), entries, progress, batch_id)

    def _ledger(self, conn: Connection, heard: Sequence[Heard], resolved: Resolved) -> list[bool]:
        """Which messages are new. One without a sequence always is: its samples speak for themselves."""
        readings = counts.readings(resolved, len(heard))
        numbered = [(index, key) for index, each in enumerate(heard) if (key := _key(each)) is not None]
        fresh = store.record_messages(
            conn, [key for _, key in numbered], [int(readings[index]) for index, _ in numbered]
        )
        new = [True] * len(heard)
        for (index, _), is_new in zip(numbered, fresh, strict=True):
            new[index] = is_new
        again = [(index, key) for index, key in numbered if not new[index] and not heard[index].message.waves]
        other = store.told_otherwise(conn, [key for _, key in again], [int(readings[index]) for index, _ in again])
        self._otherwise = tuple(index for (index, _), differs in zip(again, other, strict=True) if differs)
        return new

    def _only_new(
        self, conn: Connection, rows: Prepared, heard: Sequence[Heard], new: npt.NDArray[np.bool_], doubt: Doubt
    ) -> tuple[Prepared, npt.NDArray[np.bool_]]:
        """Rows of new messages that are not in the store yet; and bool[n]: the row is newer than all of its signal and
        has just been measured."""
        if not new.all():
            rows = rows.take(np.flatnonzero(new[rows.message]))
        with self.lock:
            newer = self.newest.is_newer(rows.batch)
        if doubt is Doubt.ALL:
            newer[:] = False
        if doubt is not Doubt.NONE and self.shared:
            unnumbered = np.array([_key(each) is None for each in heard], bool)
            newer &= ~unnumbered[rows.message]
            store.one_at_a_time(conn, {(each.site_id, each.source) for each in heard if _key(each) is None})
        doubtful = np.flatnonzero(~newer)
        if len(doubtful):
            there = store.stored_already(conn, rows.take(doubtful).batch)
            keep = np.ones(len(rows), bool)
            keep[doubtful[there]] = False
            rows, newer = rows.take(keep), newer[keep]
        return rows, newer & (rows.batch.at_us >= self.fresh_us())

    def _doubt(self, doubt: Doubt) -> Doubt:
        return Doubt.UNNUMBERED if self.shared and doubt is Doubt.NONE else doubt

    def _load_progress(self, conn: Connection, heard: Sequence[Heard]) -> dict[store.EpochKey, list[tuple[int, int]]]:
        """Ranges of epochs met for the first time, this transaction's messages included; where other processes store
        too, also what they have stored of the others since."""
        keys = {key[:3] for each in heard if (key := _key(each)) is not None}
        found = {key: store.ranges_of(conn, key) for key in keys if key not in self._progress}
        if self.shared:
            spans = [(*key, *span) for key in keys if key not in found for span in self._progress[key].unknown()]
            for site_id, source, epoch, seq in store.recorded(conn, spans):
                found.setdefault((site_id, source, epoch), []).append((seq, seq))
        return found

    def _committed(
        self,
        heard: Sequence[Heard],
        new: list[bool],
        rows: Prepared,
        twins: int,
        entries: list[Entry],
        progress: dict[store.EpochKey, list[tuple[int, int]]],
        batch_id: int,
    ) -> Kept:
        with self.lock:
            self.newest.advance(rows.batch, rows.site_ids)
            self.last_batch = max(self.last_batch, batch_id)
        self._days.update(day for day, _ in rows.by_day())
        for key, ranges in progress.items():
            progressed = self._progress.setdefault(key, Progress())
            for low, high in ranges:
                progressed.add(low, high)
        samples = np.bincount(rows.message, minlength=len(heard))
        return Kept(
            tuple(new),
            len(rows),
            twins,
            sum(entry.readings for entry in entries),
            tuple(self._receipts(heard)),
            batch_id,
            dict(enumerate(samples.tolist())),
            self._otherwise,
        )

    def _receipts(self, heard: Sequence[Heard]) -> Iterable[tuple[int, str, Receipt]]:
        met: dict[store.EpochKey, Progress] = {}
        for each in heard:
            key = _key(each)
            if key is not None:
                met[key[:3]] = progress = self._progress[key[:3]]
                progress.add(key[3])
        for epoch, progress in met.items():
            self._progress.move_to_end(epoch)
            receipt = progress.receipt(epoch[2])
            self.missing[epoch[:2]] = sum(high - low + 1 for low, high in receipt.gaps)
            yield epoch[0], epoch[1], receipt
        while len(self._progress) > MOST_EPOCHS:
            self._progress.popitem(last=False)


def _twins(resolved: Resolved, new: Sequence[bool], rows: Prepared) -> int:
    """Samples of new messages that were there already."""
    came = len(resolved.message) if all(new) else int(np.array(new, bool)[resolved.message].sum())
    return came - len(rows)


def _key(heard: Heard) -> store.MessageKey | None:
    message = heard.message
    if message.epoch is None or message.seq is None:
        return None
    return heard.site_id, heard.source, message.epoch, message.seq
