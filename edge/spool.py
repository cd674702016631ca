"""Store-and-forward on disk: a batch is here before its source is acked, and until its commit receipt has come.

SQLite with a write-ahead log and ``synchronous=FULL``: what ``put`` returned survives a power cut. One fsync a batch of
up to 1,000 samples, not one a sample.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from core.errors import MillwrightError

SCHEMA = """
create table if not exists spool (epoch text not null);
create table if not exists batches (
  seq     integer primary key autoincrement,
  samples integer not null,
  payload blob not null
);
"""
BUSY_S = 5.0


class SpoolFull(MillwrightError):
    """The spool has reached its limit: what it holds is kept, new data wait at their source."""

    code = "spool_full"
    status = 503


class SpoolBroken(MillwrightError):
    """The spool file cannot be used."""

    code = "spool_broken"
    status = 500


class Spool:
    """One file. Thread-safe. ``epoch`` is made with the file: with another file the numbers start afresh."""

    def __init__(self, path: Path, *, most_bytes: int) -> None:
        self.path, self.most_bytes = path, most_bytes
        self._lock = threading.Lock()
        try:
            self._file = _open(path)
            self.epoch = _epoch(self._file)
            row = self._file.execute("select count(*), coalesce(sum(length(payload)), 0) from batches").fetchone()
        except sqlite3.Error as error:
            raise SpoolBroken(f"The spool {path} cannot be used: {error}. Move it away to begin a new one.") from error
        self._count, self._bytes = int(row[0]), int(row[1])

    def put(self, encode: Callable[[str, int], bytes], *, samples: int) -> int:
        """Keep a batch, ``encode(epoch, seq)``; returns its number once it is on the disk.

        Raises SpoolFull at the limit, SpoolBroken when the disk refuses.
        """
        with self._lock:
            if self._bytes >= self.most_bytes:
                raise SpoolFull
            try:
                with self._file:
                    row = self._file.execute(
                        "insert into batches (samples, payload) values (?, x'') returning seq", (samples,)
                    ).fetchone()
                    payload = encode(self.epoch, int(row[0]))
                    self._file.execute("update batches set payload = ? where seq = ?", (payload, row[0]))
            except sqlite3.Error as error:
                raise SpoolBroken(f"The spool {self.path} does not take more: {error}.") from error
            self._count += 1
            self._bytes += len(payload)
            return int(row[0])

    def after(self, seq: int, *, most: int) -> list[tuple[int, bytes]]:
        """The oldest batches numbered above ``seq``, in order."""
        with self._lock:
            rows = self._file.execute(
                "select seq, payload from batches where seq > ? order by seq limit ?", (seq, most)
            )
            return [(int(number), bytes(payload)) for number, payload in rows]

    def drop(self, seqs: Sequence[int]) -> None:
        """Let go batches that are durable elsewhere; unknown numbers do not matter."""
        marks = [(seq,) for seq in seqs]
        with self._lock, self._file:
            for mark in marks:
                row = self._file.execute("delete from batches where seq = ? returning length(payload)", mark).fetchone()
                if row is not None:
                    self._count -= 1
                    self._bytes -= int(row[0])

    def __len__(self) -> int:
        return self._count

    @property
    def share_full(self) -> float:
        """0 … 1 of the limit."""
        return self._bytes / self.most_bytes

    def close(self) -> None:
        with self._lock:
            self._file.close()


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.executescript(SCHEMA)
    return connection


def _epoch(connection: sqlite3.Connection) -> str:
    with connection:
        row = connection.execute("select epoch from spool").fetchone()
        if row is None:
            row = (secrets.token_hex(8),)
            connection.execute("insert into spool values (?)", row)
    return str(row[0])
