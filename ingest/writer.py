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
from ingest.newest import Newest, sort_and_drop_twins
from ingest.resolve import Entry, Heard, Resolved
from plant import rollups, telemetry
from plant.binary import pack_samples
from plant.model import SampleBatch

MOST_EPOCHS = 10_000


class Doubt(StrEnum):
    """NONE: a sample newer than the newest is new. ALL: every sample is looked up (an outcome is unknown, or another
    process may have stored samples)."""

    NONE = "none"
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


@dataclass(frozen=True, slots=True)
class _Rows:
    batch: SampleBatch
    site_ids: npt.NDArray[np.int16]
    message: npt.NDArray[np.int32]

    def take(self, rows: npt.NDArray[np.generic]) -> _Rows:
        part = SampleBatch(
            self.batch.signal_id[rows], self.batch.at_us[rows], self.batch.value[rows], self.batch.quality[rows]
        )
        return _Rows(part, self.site_ids[rows], self.message[rows])


class Writer:
    """Stores what was resolved. One thread calls ``flush``; ``lock`` guards ``newest`` and ``last_batch``."""

    def __init__(self, database: Database, *, line: Line | None = None) -> None:
        """``line``: a connection of the caller's own to flush on, instead of one from the pool."""
        self.database = database
        self._tx = database.ingest_tx if line is None else line.tx
        self.newest = Newest()
        self.lock = threading.Lock()
        self.last_batch = 0
        self._allowance = Allowance()
        self._days: set[int] = set()
        self._progress: OrderedDict[store.EpochKey, Progress] = OrderedDict()

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
        doubt: Doubt = Doubt.NONE,
        origin: From = From.WIRE,
        also: Callable[[Connection], None] | None = None,
    ) -> Kept:
        """Store and count everything in one transaction; ``also`` joins it. Raises what psycopg raises: then nothing is
        stored, or (a commit of unknown outcome) all of it, and the same flush again with ``Doubt.ALL`` is harmless."""
        with self._tx() as conn:
            new = self._ledger(conn, heard, resolved)
            rows, twins = self._fresh(conn, resolved, np.array(new, bool), doubt)
            self._copy(conn, rows)
            entries = [entry for entry in resolved.entries if new[entry.message]]
            store.quarantine(conn, self._allowance.trim(entries, now_s=time.monotonic()))
            stretches = rollups.touched(rows.batch)
            batch_id = rollups.note(conn, stretches, quarantined=len(entries), duplicates=twins)
            progress = self._load_progress(conn, heard)
            accounts.count(conn, counts.of_flush(heard, resolved, new, rows.message, origin=origin))
            if also is not None:
                also(conn)
            store.notify_samples(conn, np.unique(rows.site_ids).tolist())
        return self._committed(heard, new, rows, twins, entries, progress, batch_id)

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
        return new

    def _fresh(
        self, conn: Connection, resolved: Resolved, new: npt.NDArray[np.bool_], doubt: Doubt
    ) -> tuple[_Rows, int]:
        """Samples of new messages that are not in the store yet, sorted; and how many were there already."""
        rows = _Rows(resolved.batch, resolved.site_ids, resolved.message)
        if not new.all():
            rows = rows.take(np.flatnonzero(new[rows.message]))
        count = len(rows.batch)
        batch, order = sort_and_drop_twins(rows.batch)
        rows = _Rows(batch, rows.site_ids[order], rows.message[order])
        with self.lock:
            newer = self.newest.is_newer(batch)
        doubtful = np.flatnonzero(~newer) if doubt is Doubt.NONE else np.arange(len(batch))
        if len(doubtful):
            there = store.stored_already(conn, rows.take(doubtful).batch)
            keep = np.ones(len(batch), bool)
            keep[doubtful[there]] = False
            rows = rows.take(np.flatnonzero(keep))
        return rows, count - len(rows.batch)

    def _copy(self, conn: Connection, rows: _Rows) -> None:
        """Rows are sorted by signal and time; each day goes to its partition."""
        days = rows.batch.at_us // telemetry.DAY_US
        for day in np.unique(days).tolist():
            if day not in self._days:
                telemetry.ensure_days(conn, [day])
            own = np.flatnonzero(days == day)
            telemetry.copy_rows(conn, day, pack_samples(rows.batch, rows.site_ids, own))

    def _load_progress(self, conn: Connection, heard: Sequence[Heard]) -> dict[store.EpochKey, list[tuple[int, int]]]:
        """Ranges of epochs met for the first time, this transaction's messages included."""
        keys = {key[:3] for each in heard if (key := _key(each)) is not None}
        return {key: store.ranges_of(conn, key) for key in keys if key not in self._progress}

    def _committed(
        self,
        heard: Sequence[Heard],
        new: list[bool],
        rows: _Rows,
        twins: int,
        entries: list[Entry],
        progress: dict[store.EpochKey, list[tuple[int, int]]],
        batch_id: int,
    ) -> Kept:
        with self.lock:
            self.newest.advance(rows.batch, rows.site_ids)
            self.last_batch = max(self.last_batch, batch_id)
        self._days.update(np.unique(rows.batch.at_us // telemetry.DAY_US).tolist())
        for key, ranges in progress.items():
            self._progress[key] = Progress(ranges)
        messages, samples = np.unique(rows.message, return_counts=True)
        return Kept(
            tuple(new),
            len(rows.batch),
            twins,
            sum(entry.readings for entry in entries),
            tuple(self._receipts(heard)),
            batch_id,
            dict(zip(messages.tolist(), samples.tolist(), strict=True)),
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
            yield epoch[0], epoch[1], progress.receipt(epoch[2])
        while len(self._progress) > MOST_EPOCHS:
            self._progress.popitem(last=False)


def _key(heard: Heard) -> store.MessageKey | None:
    message = heard.message
    if message.epoch is None or message.seq is None:
        return None
    return heard.site_id, heard.source, message.epoch, message.seq
