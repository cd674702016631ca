"""Up to when each tag is durable without a gap. Pure; thread-safe, since acks come from other threads.

A *stretch* is what one subscription hears. Its values are contiguous from its start on, but a tag's mark may pass that
start only once the history before it is durable too (``settle``). After a crash anywhere before, the gap is read again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

ALL = ""  # the tag of the mark that holds for every tag


class Book:
    """Marks of one source, tag → µs."""

    def __init__(self, start: Mapping[str, int]) -> None:
        self._lock = threading.Lock()
        self._through = {tag: us for tag, us in start.items() if tag != ALL}
        self._all = start.get(ALL)
        self._apart: set[str] = set()  # not heard: what holds for all does not hold for them
        self._changed: dict[str, int] = {}

    def mark(self, tag: str) -> int | None:
        """Up to when a tag is complete; None when it was never heard."""
        with self._lock:
            shared = None if tag in self._apart else self._all
            return max((us for us in (self._through.get(tag), shared) if us is not None), default=None)

    def begin(self) -> Stretch:
        """A subscription has begun."""
        return Stretch(self)

    def hold(self, tag: str) -> None:
        """The tag is not heard any more: its mark stays where it is."""
        mark = self.mark(tag)
        with self._lock:
            self._apart.add(tag)
            if mark is not None:
                self._through[tag] = mark

    def advance(self, tag: str, us: int) -> None:
        """A tag is complete up to there; never back."""
        with self._lock:
            self._apart.discard(tag)
            if us > self._through.get(tag, us - 1):
                self._through[tag] = self._changed[tag] = us

    def advance_all(self, us: int) -> None:
        """Every tag is complete up to there."""
        with self._lock:
            if self._all is None or us > self._all:
                self._all = us
                self._changed = {ALL: us}

    def take_changed(self) -> dict[str, int]:
        """Marks that advanced since the last call."""
        with self._lock:
            changed, self._changed = self._changed, {}
        return changed


class Stretch:
    """What one subscription hears of the tags that joined it."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._lock = threading.Lock()
        self._behind: set[str] = set()
        self._settled: set[str] = set()
        self._high: dict[str, int] = {}
        self._waiting = 0
        self._lag_us: int | None = None

    def join(self, tag: str) -> int | None:
        """The tag is heard from now on; returns the mark that the gap before begins at, None when there is no gap."""
        mark = self._book.mark(tag)
        with self._lock:
            (self._settled if mark is None else self._behind).add(tag)
        return mark

    def rejoin(self, tag: str) -> int | None:
        """Something is missing after the tag's mark; returns the mark, None when nothing was durable yet."""
        mark = self._book.mark(tag)
        with self._lock:
            if mark is not None:
                self._settled.discard(tag)
                self._behind.add(tag)
        return mark

    def excuse(self, tag: str) -> None:
        """The tag is not heard (any more): the others need not wait for it."""
        with self._lock:
            self._behind.discard(tag)
            self._settled.discard(tag)
        self._book.hold(tag)

    def settle(self, tag: str) -> None:
        """The gap before this stretch is durable for the tag, or will never be filled."""
        with self._lock:
            if tag not in self._behind:
                return
            self._behind.discard(tag)
            self._settled.add(tag)
            high = self._high.get(tag)
        if high is not None:
            self._book.advance(tag, high)

    def sent(self) -> None:
        """A delivery of live values is on its way."""
        with self._lock:
            self._waiting += 1

    def acked(self, newest: Mapping[str, int], *, heard_us: int) -> None:
        """It is durable; ``newest`` is the last time of each tag in it."""
        with self._lock:
            self._waiting -= 1
            for tag, us in newest.items():
                self._high[tag] = max(us, self._high.get(tag, us))
            done = {tag: self._high[tag] for tag in newest if tag in self._settled}
        for tag, us in done.items():
            self._book.advance(tag, us)
        self._alive(heard_us)

    def lag(self, us: int) -> None:
        """A value that changed just now is so old by its own time: clocks differ, and servers take their time."""
        with self._lock:
            self._lag_us = max(us, self._lag_us or 0)

    def quiet(self, now_us: int) -> None:
        """The server lives, and everything it said is durable if nothing waits."""
        with self._lock:
            waiting = self._waiting
        if not waiting:
            self._alive(now_us)

    def _alive(self, us: int) -> None:
        with self._lock:
            ready, lag = self._lag_us is not None and not self._behind, self._lag_us or 0
        if ready:
            self._book.advance_all(us - lag)
