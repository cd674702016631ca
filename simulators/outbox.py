"""Batches on their way: each is kept until a commit receipt covers it, and sent again when that takes too long.

Pure: time is an argument (seconds of any steady clock). Safe for several threads.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from simulators.wire import Receipt


@dataclass(slots=True)
class _Parcel:
    payload: bytes
    due_s: float
    tries: int


class Outbox:
    """The window of one publisher and epoch. Waiting times double from ``timeout_s`` up to ``longest_s``."""

    def __init__(self, epoch: str, *, timeout_s: float = 5.0, longest_s: float = 40.0) -> None:
        self.epoch = epoch
        self._timeout_s = timeout_s
        self._longest_s = longest_s
        self._parcels: dict[int, _Parcel] = {}
        self._last = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._parcels)

    def next_seq(self) -> int:
        """The number of the next batch: 1, 2, 3 …"""
        self._last += 1
        return self._last

    def put(self, seq: int, payload: bytes, *, now_s: float) -> None:
        """Keep a batch that is due at once."""
        with self._lock:
            self._parcels[seq] = _Parcel(payload, now_s, 0)

    def due(self, now_s: float, *, limit: int) -> list[bytes]:
        """At most ``limit`` payloads to be sent now, lowest number first; each counts as sent."""
        found: list[bytes] = []
        with self._lock:
            for parcel in self._parcels.values():
                if len(found) >= limit:
                    break
                if parcel.due_s <= now_s:
                    parcel.due_s = now_s + min(self._longest_s, self._timeout_s * 2**parcel.tries)
                    parcel.tries += 1
                    found.append(parcel.payload)
        return found

    def confirm(self, receipt: Receipt) -> int:
        """Forget what the receipt covers; how many that were. A receipt of another epoch says nothing here."""
        if receipt.epoch != self.epoch:
            return 0
        with self._lock:
            done = [seq for seq in self._parcels if receipt.covers(seq)]
            for seq in done:
                del self._parcels[seq]
        return len(done)

    def hurry(self, now_s: float) -> None:
        """The way was broken: everything is to be sent again soon, without the grown waiting times."""
        with self._lock:
            for parcel in self._parcels.values():
                parcel.tries = 0
                parcel.due_s = min(parcel.due_s, now_s + self._timeout_s)
