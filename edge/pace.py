"""How fast a backlog goes out: at most so many samples a second, but never less than twice what comes in. Pure.

Strictly in order, oldest first: what is live waits its turn behind the backlog. Newest first would be seen sooner, but
every detector and rollup would meet the whole outage as late data afterwards; and since the backlog shrinks at least as
fast as data arrive, an outage of an hour is caught up in at most another hour.
"""

from __future__ import annotations

import math

AT_LEAST = 2.0  # times the rate of arrival
MEMORY_S = 10.0


class Pace:
    """A bucket that holds a second's worth of samples. ``now_s`` is a clock that never runs backwards."""

    def __init__(self, most_s: float, *, now_s: float) -> None:
        self.most_s = most_s
        self._arrival_s = 0.0
        self._room = most_s
        self._filled_s = self._noted_s = now_s

    def arrived(self, samples: int, *, now_s: float) -> None:
        """So many samples were spooled."""
        self._arrival_s = self.arrival_s(now_s) + samples / MEMORY_S
        self._noted_s = now_s

    def arrival_s(self, now_s: float) -> float:
        """Samples a second that come in, over the last moments."""
        return self._arrival_s * math.exp((self._noted_s - now_s) / MEMORY_S)

    def has_room(self, now_s: float) -> bool:
        """Whether a batch may go out now."""
        rate = max(self.most_s, AT_LEAST * self.arrival_s(now_s))
        self._room = min(self._room + rate * (now_s - self._filled_s), rate)
        self._filled_s = now_s
        return self._room > 0

    def sent(self, samples: int) -> None:
        """So many samples went out; a batch larger than the room left is paid back before the next."""
        self._room -= samples
