"""Takes deliveries out of the inbox and decodes them, while another thread stores what was gathered before.

    Inbox ──decode (this thread)──> the next batch, full at ``batch_rows`` ──take()──> the storing thread

At most one batch waits here, so memory stays bounded and the inbox holds the sources back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge.delivery import Delivery
from edge.inbox import Inbox
from ingest.resolve import Heard

CHUNK_BYTES = 64 * 1024
CHUNK_ROWS = 1_000
WAIT_S = 0.2


@dataclass(frozen=True, slots=True)
class Item:
    """A delivery and what it says."""

    delivery: Delivery
    heard: Heard
    rows: int


class Gatherer:
    """``run`` is one thread's, ``take`` another's. ``admit`` decodes a delivery; None when it is dealt with."""

    def __init__(self, inbox: Inbox, admit: Callable[[Delivery], Item | None], *, batch_rows: int, linger_s: float):
        self.inbox = inbox
        self._admit = admit
        self._batch_rows, self._linger_s = batch_rows, linger_s
        self._items: list[Item] = []
        self._rows = 0
        self._began = 0.0  # when the batch that is being stored was taken
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
                rows += item.rows
                if rows >= CHUNK_ROWS:
                    self._put(chunk, rows, stop)
                    chunk, rows = [], 0
            if chunk:
                self._put(chunk, rows, stop)

    def take(self, *, within_s: float) -> list[Item]:
        """The next batch; empty when nothing came within ``within_s``.

        It is given out when it is full, or when the one before was taken ``linger_s`` ago: a lonely message goes at
        once, and a steady trickle is stored in few commits.
        """
        deadline = time.monotonic() + within_s
        with self._changed:
            while not self._items:
                left = deadline - time.monotonic()
                if left <= 0:
                    return []
                self._changed.wait(left)
            due = self._began + self._linger_s
            while self._rows < self._batch_rows and (left := due - time.monotonic()) > 0:
                self._changed.wait(left)
            items, self._items, self._rows = self._items, [], 0
            self._began = time.monotonic()
            self._changed.notify_all()
            return items

    def _put(self, chunk: list[Item], rows: int, stop: threading.Event) -> None:
        """Add to the batch; waits while that is full."""
        with self._changed:
            while self._rows >= self._batch_rows and not stop.is_set():
                self._changed.wait(WAIT_S)
            first = not self._items
            self._items += chunk
            self._rows += rows
            if first or self._rows >= self._batch_rows:
                self._changed.notify_all()
