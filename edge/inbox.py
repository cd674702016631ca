"""A bounded queue between the sources and the one thread that keeps what they hear. Thread-safe.

Full means back-pressure: a source waits, or stops reading its socket. Nothing is ever dropped here.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from edge.delivery import Delivery

MOST_BYTES = 64 * 1024 * 1024


class Inbox:
    """Holds at most ``most_messages`` and about ``most_bytes``. Is an ``edge.delivery.Emit``."""

    def __init__(self, *, most_messages: int, most_bytes: int = MOST_BYTES) -> None:
        self._most_messages, self._most_bytes = most_messages, most_bytes
        self._held: deque[Delivery] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False

    def __call__(self, delivery: Delivery) -> None:
        """Put a delivery in; blocks while full. After ``close`` it is let go: never acked, so it is sent again."""
        with self._changed:
            while self._full() and not self._closed:
                self._changed.wait()
            if self._closed:
                return
            self._held.append(delivery)
            self._bytes += delivery.size
            if len(self._held) == 1:
                self._changed.notify_all()

    def has_room(self) -> bool:
        return not self._full()

    def take(self, *, most_bytes: int, within_s: float) -> list[Delivery]:
        """The oldest deliveries, about ``most_bytes`` of them and at least one; empty after ``within_s`` seconds."""
        deadline = time.monotonic() + within_s
        with self._changed:
            while not self._held and not self._closed:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            return self._pop(most_bytes)

    def close(self) -> None:
        """Let every waiting source go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _full(self) -> bool:
        return len(self._held) >= self._most_messages or self._bytes >= self._most_bytes

    def _pop(self, most_bytes: int) -> list[Delivery]:
        taken: list[Delivery] = []
        size = 0
        while self._held and size < most_bytes:
            taken.append(self._held.popleft())
            size += taken[-1].size
        self._bytes -= size
        if taken:
            self._changed.notify_all()
        return taken
