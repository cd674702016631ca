"""How often may somebody try? A sliding window per key in this process's memory, bounded."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager

from api.errors import TooMany

MOST_KEYS = 10_000


class Limit:
    """At most ``tries`` failures in ``seconds`` for one key. Safe between threads; the longest unused are forgotten."""

    def __init__(self, tries: int, *, seconds: float) -> None:
        self.tries, self.seconds = tries, seconds
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def counting(self, key: str, failure: type[Exception]) -> Iterator[None]:
        """A try, which counts when it ends in ``failure``. Raises TooMany with the seconds to wait."""
        self._admit(key)
        try:
            yield
        except failure:
            self._count(key)
            raise

    def _admit(self, key: str) -> None:
        now = time.monotonic()
        with self._lock:
            failed = self._failed.get(key, deque())
            while failed and failed[0] <= now - self.seconds:
                failed.popleft()
            if len(failed) >= self.tries:
                raise TooMany(retry_after_s=max(1, round(failed[0] + self.seconds - now)))

    def _count(self, key: str) -> None:
        with self._lock:
            self._failed.setdefault(key, deque()).append(time.monotonic())
            self._failed.move_to_end(key)
            while len(self._failed) > MOST_KEYS:
                self._failed.popitem(last=False)
