"""How often may somebody try? A sliding window per key in this process's memory, bounded."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque

from api.errors import TooMany

MOST_KEYS = 10_000


class Limit:
    """At most ``tries`` in ``seconds`` for one key. Safe between threads; the longest unused keys are forgotten."""

    def __init__(self, tries: int, *, seconds: float) -> None:
        self.tries, self.seconds = tries, seconds
        self._tried: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def count(self, key: str) -> None:
        """Count a try. Raises TooMany, with the seconds to wait, when it is one too many (which does not count)."""
        now = time.monotonic()
        with self._lock:
            tried = self._tried.setdefault(key, deque())
            self._tried.move_to_end(key)
            while tried and tried[0] <= now - self.seconds:
                tried.popleft()
            if len(tried) >= self.tries:
                raise TooMany(retry_after_s=max(1, round(tried[0] + self.seconds - now)))
            tried.append(now)
            while len(self._tried) > MOST_KEYS:
                self._tried.popitem(last=False)
