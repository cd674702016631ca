"""Takes deliveries out of the inbox, decodes them and makes them ready, while another thread stores what came before.

    Inbox ──decode──> a batch in the making ──full: prepare──> ready ──take()──> the storing thread
          (this thread)                    └──not full, but nothing else to store: take() prepares it itself

At most one batch in the making and one that is ready wait here, so memory stays bounded and the inbox holds the sources
back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.delivery import Delivery
from edge.inbox import Inbox
from ingest.prepared import Prepared
from ingest.resolve import Heard, Resolved

CHUNK_BYTES = 64 * 1024
CHUNK_ROWS = 1_000
WAIT_S = 0.2
WAVE_SAMPLES = 16  # of a waveform weigh as much as a row


@dataclass(frozen=True, slots=True)
class Item:
    """A delivery and what it says."""

    delivery: Delivery
    heard: Heard
    rows: int

    @property
    def load(self) -> int:
        """Rows, a waveform counted as those that are as long to store."""
        return self.rows + sum([len(wave.samples) // WAVE_SAMPLES for wave in self.heard.message.waves])


@dataclass(frozen=True, slots=True)
class Batch:
    """What one flush stores. ``heard`` is of the items, in their order."""

    items: Sequence[Item]
    heard: Sequence[Heard]
    resolved: Resolved
    prepared: Prepared


class Gatherer:
    """``run`` is one thread's, ``take`` another's. ``admit`` decodes a delivery (None: it is dealt with) and
    ``prepare`` makes a batch of items; both are called from both threads."""

    def __init__(
        self,
        inbox: Inbox,
        admit: Callable[[Delivery], Item | None],
        prepare: Callable[[Sequence[Item]], Batch],
        *,
        batch_rows: int,
        linger_s: float,
    ) -> None:
        self.inbox = inbox
        self._admit, self._prepare = admit, prepare
        self._batch_rows, self._linger_s = batch_rows, linger_s
        self._items: list[Item] = []
        self._rows = 0
        self._ready: Batch | None = None
        self._preparing = False
        self._took = 0.0  # when the batch that is being stored was taken
        self._changed = threading.Condition()

    def run(self, stop: threading.Event) -> None:
        """Decode until ``stop`` is set."""
        while not stop.is_set():
            chunk: list[Item] = []
            rows = 0
            for delivery in self.inbox.take(most_bytes=CHUNK_BYTES, within_s=WAIT_S):
                item = self._admit(delivery)
                if item is None:
                    continue
                chunk.append(item)
                rows += item.load
                if rows >= CHUNK_ROWS:
                    self._put(chunk, rows, stop)
                    chunk, rows = [], 0
            if chunk:
                self._put(chunk, rows, stop)

    def take(self, *, within_s: float) -> Batch | None:
        """The next batch; None when nothing came within ``within_s``.

        It is given out when it is full, or when the one before was taken ``linger_s`` ago: a lonely message goes at
        once, and a steady trickle is stored in few commits.
        """
        deadline = time.monotonic() + within_s
        with self._changed:
            while self._ready is None:
                now = time.monotonic()
                wait = deadline - now
                if self._items and not self._preparing:
                    wait = self._took + self._linger_s - now
                    if wait <= 0:
                        return self._all()
                elif wait <= 0 and not self._preparing:
                    return None
                self._changed.wait(max(wait, 0.001))
            found, self._ready = self._ready, None
            self._took = time.monotonic()
            self._changed.notify_all()
            return found

    def _all(self) -> Batch:
        """Holding the lock: everything decoded so far. It is little, since a full batch is prepared by ``run``."""
        items, self._items, self._rows = self._items, [], 0
        self._took = time.monotonic()
        return self._prepare(items)

    def _put(self, chunk: list[Item], rows: int, stop: threading.Event) -> None:
        """Add to the batch in the making; one that is full is prepared, and waits until there is room for it."""
        with self._changed:
            first = not self._items
            self._items += chunk
            self._rows += rows
            if self._rows < self._batch_rows:
                if first:
                    self._changed.notify_all()
                return
            items, self._items, self._rows = self._items, [], 0
            self._preparing = True
        batch = self._prepare(items)
        with self._changed:
            while self._ready is not None and not stop.is_set():
                self._changed.wait(WAIT_S)
            self._ready = batch
            self._preparing = False
            self._changed.notify_all()
