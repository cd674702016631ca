"""Store-and-forward on disk: a batch is here before its source is acked, and until its commit receipt has come.

SQLite with a write-ahead log and ``synchronous=FULL``: what ``put`` returned survives a power cut. One fsync a batch of
up to 1,000 samples, not one a sample. Letting go needs no fsync: a batch that a power cut brings back is sent once more
and known by its number.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import MillwrightError
from edge.topics import Leaf

SCHEMA = """
create table if not exists spool (epoch text not null);
create table if not exists batches (
  seq     integer primary key autoincrement,
  samples integer not null,
  crc     integer not null,
  topic   text not null,
  payload blob not null
);
create table if not exists totals (samples integer not null);
insert into totals select 0 where not exists (select 1 from totals);
create table if not exists refusals (readings integer not null);
insert into refusals select 0 where not exists (select 1 from refusals);
"""
BUSY_S = 5.0
RESERVE_BYTES = 4 << 20  # as much as the log needs to let go a window of batches
NEEDED_MB = 2 * RESERVE_BYTES // 1_000_000 + 1
BYTES_A_SAMPLE = 24
DAMAGED = ("malformed", "not a database", "disk image")


class SpoolFull(MillwrightError):
    """The spool has reached its limit: what it holds is kept, new data wait at their source."""

    code = "spool_full"
    status = 503


class SpoolBroken(MillwrightError):
    """The disk does not take what the spool writes. It is tried again; new data wait at their source."""

    code = "spool_broken"
    status = 503


class SpoolDamaged(MillwrightError):
    """The spool file cannot be read any more."""

    code = "spool_damaged"


@dataclass(frozen=True, slots=True)
class Batch:
    """A spooled batch (or waveform): its number, its content, and what follows the gateway's name in its topic."""

    seq: int
    samples: int
    payload: bytes
    topic: str = Leaf.BATCH

    @property
    def load(self) -> int:
        """As so many samples it weighs: a waveform is one reading, but a long one."""
        return load(self.samples, self.payload)


class Spool:
    """One file. Thread-safe. ``epoch`` is made with the file: with another file the numbers start afresh.

    Beside it lies a reserve of the disk, which is given up when the disk is full: then what is spooled can still be
    read and let go, and nothing is taken until there is room for a reserve again.

    ``put`` refuses at ``most_bytes`` of payload, and when fewer than ``min_free_bytes`` would be left on the disk.
    Raises SpoolDamaged when the file is no spool or is damaged: it is never repaired or moved aside by itself.
    """

    def __init__(self, path: Path, *, most_bytes: int, min_free_bytes: int = 0) -> None:
        self.path, self.most_bytes, self.min_free_bytes = path, most_bytes, min_free_bytes
        self.epoch = ""
        self.damaged: set[int] = set()  # numbers of batches whose content is not what was written
        self.samples = self.last = 0  # spooled since the epoch began; the last number given
        self.refused = 0  # of the samples: readings that travel as faults
        self._count = self._bytes = 0
        self._lock = threading.Lock()
        self._file: sqlite3.Connection | None = None
        self._reserve = path.with_name(path.name + "-reserve")
        self._spent = False
        try:
            self._begin()
        except SpoolBroken:
            if not self._spent:
                raise
            self._begin()
        self._lay_by()

    def put(
        self, encode: Callable[[str, int], bytes], *, samples: int, topic: str = Leaf.BATCH, refused: int = 0
    ) -> int:
        """Keep a batch, ``encode(epoch, seq)``; returns its number once it is on the disk. ``refused``: as many of its
        readings are faults.

        Raises SpoolFull at a limit, SpoolBroken when the disk refuses: then it may be there all the same, and is put
        again under another number.
        """
        with self._lock, self._guarded() as file:
            self._check_room(file)
            with file:
                seq = int(
                    file.execute("insert into batches values (null, ?, 0, ?, x'')", (samples, topic)).lastrowid or 0
                )
                payload = encode(self.epoch, seq)
                row = (zlib.crc32(payload), payload, seq)
                file.execute("update batches set crc = ?, payload = ? where seq = ?", row)
                file.execute("update totals set samples = samples + ?", (samples,))
                if refused:
                    file.execute("update refusals set readings = readings + ?", (refused,))
            self._count += 1
            self._bytes += len(payload)
            self.samples += samples
            self.refused += refused
            self.last = seq
            return seq

    def after(self, seq: int, *, most: int) -> list[Batch]:
        """The oldest batches numbered above ``seq``, in order. One whose content has changed on the disk is left out
        and named in ``damaged``: it stays in the file, for a person to look at."""
        with self._lock, self._guarded() as file:
            rows = file.execute(
                "select seq, samples, crc, topic, payload from batches where seq > ? order by seq limit ?", (seq, most)
            ).fetchall()
        found = []
        for number, samples, crc, topic, payload in rows:
            if zlib.crc32(payload) == crc:
                found.append(Batch(number, samples, payload, topic))
            else:
                self.damaged.add(number)
        if rows and not found:
            return self.after(rows[-1][0], most=most)
        return found

    def drop(self, seqs: Sequence[int]) -> None:
        """Let go batches that are durable elsewhere; unknown numbers do not matter. Raises SpoolBroken."""
        with self._lock, self._guarded() as file, self._unhurried(file), file:
            gone = [
                row
                for seq in seqs
                for row in file.execute("delete from batches where seq = ? returning length(payload)", (seq,))
            ]
            self._count -= len(gone)
            self._bytes -= sum(row[0] for row in gone)

    def __len__(self) -> int:
        return self._count

    @property
    def share_full(self) -> float:
        """0 … 1 of the limit."""
        return self._bytes / self.most_bytes

    def close(self) -> None:
        with self._lock:
            self._close()

    def _begin(self) -> None:
        with self._lock, self._guarded():
            pass  # it is open

    def _lay_by(self) -> None:
        """Make the reserve where the disk has room for several."""
        with suppress(OSError):
            if not self._reserve.exists():
                if free_bytes(self.path) < 2 * RESERVE_BYTES:
                    return
                with self._reserve.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
            self._spent = False

    def _spend(self) -> None:
        """Give the reserve up, for the log of what is let go."""
        with suppress(OSError):
            self._reserve.unlink()
            self._spent = True

    def _check_room(self, file: sqlite3.Connection) -> None:
        if self._spent:
            self._lay_by()
        if self._spent:
            raise SpoolFull(f"The disk is full: {NEEDED_MB} MB beside {self.path} must be free. New data wait.")
        if self._bytes >= self.most_bytes:
            raise SpoolFull(f"The spool holds {self._bytes:,} bytes, its limit: new data wait at their source.")
        if self.min_free_bytes:
            pages = file.execute("pragma freelist_count").fetchone()[0] * file.execute("pragma page_size").fetchone()[0]
            if free_bytes(self.path) + pages < self.min_free_bytes:
                raise SpoolFull(f"Less than {self.min_free_bytes:,} bytes are free beside {self.path}: new data wait.")

    @contextmanager
    def _guarded(self) -> Iterator[sqlite3.Connection]:
        """The open file. After a failure of the disk it is opened anew: what the kernel holds of it is not to be
        trusted. A full disk is no failure: it must still be read and sent on, or it would stay full."""
        try:
            yield self._file or self._open()
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
                self._close()
            free = RESERVE_BYTES
            with suppress(OSError):
                free = free_bytes(self.path)
            if free < RESERVE_BYTES:
                self._spend()
            if any(word in str(error) for word in DAMAGED):
                raise SpoolDamaged(
                    f"The spool {self.path} is damaged: {error}. Nothing was deleted. Look after the disk, then move "
                    f"{self.path.name}* to a safe place; the gateway begins a new spool."
                ) from error
            raise SpoolBroken(
                f"The spool {self.path} does not answer: {error}. {free // 1_000_000:,} MB are free on its disk; it "
                f"needs {NEEDED_MB}. It is tried again."
            ) from error

    @contextmanager
    def _unhurried(self, file: sqlite3.Connection) -> Iterator[None]:
        """Commits that need not wait for the disk."""
        file.execute("pragma synchronous = normal")
        try:
            yield
        finally:
            file.execute("pragma synchronous = full")

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = sqlite3.connect(self.path, timeout=BUSY_S, check_same_thread=False)
        try:
            self._read(file)
        except sqlite3.Error:
            file.close()
            raise
        self._file = file
        return file

    def _read(self, file: sqlite3.Connection) -> None:
        """Move the log into the file with an fsync, so that nothing rests on a write that failed; then count."""
        file.execute("pragma journal_mode = wal")
        file.execute("pragma synchronous = full")
        file.executescript(SCHEMA)
        file.execute("pragma wal_checkpoint(truncate)").fetchone()
        epoch = _epoch(file)
        if self.epoch not in ("", epoch):
            raise sqlite3.DatabaseError("another file has taken its place: malformed")
        self.epoch = epoch
        row = file.execute("select count(*), coalesce(sum(length(payload)), 0) from batches").fetchone()
        self._count, self._bytes = int(row[0]), int(row[1])
        last = file.execute("select seq from sqlite_sequence where name = 'batches'").fetchone()
        self.last = int(last[0]) if last else 0
        self.samples = int(file.execute("select samples from totals").fetchone()[0])
        self.refused = int(file.execute("select readings from refusals").fetchone()[0])

    def _close(self) -> None:
        if self._file is not None:
            with suppress(sqlite3.Error):
                self._file.close()
            self._file = None


def free_bytes(path: Path) -> int:
    """Of the disk that a file lies on, or would."""
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize


def load(samples: int, payload: bytes) -> int:
    """Samples, or as many as would fill the payload."""
    return max(samples, len(payload) // BYTES_A_SAMPLE)


def _epoch(file: sqlite3.Connection) -> str:
    with file:
        row = file.execute("select epoch from spool").fetchone()
        if row is None:
            row = (secrets.token_hex(8),)
            file.execute("insert into spool values (?)", row)
    return str(row[0])
