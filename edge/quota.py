"""How much of a kind is kept whole in a minute: by number and by bytes. Pure."""

from __future__ import annotations

from collections.abc import Hashable

A_MINUTE = 1_000
BYTES_A_MINUTE = 64 << 20


class Quota:
    """Counts what it grants, a kind each, in the current minute. ``now_s`` never runs backwards."""

    def __init__(self, a_minute: int = A_MINUTE, bytes_a_minute: int = BYTES_A_MINUTE) -> None:
        self._most, self._most_bytes = a_minute, bytes_a_minute
        self._minute = -1
        self._granted: dict[Hashable, tuple[int, int]] = {}

    def grants(self, kind: Hashable, size: int, *, now_s: float) -> bool:
        """Whether one more of so many bytes is kept; what is not granted costs nothing."""
        if int(now_s // 60) != self._minute:
            self._minute = int(now_s // 60)
            self._granted.clear()
        count, held = self._granted.get(kind, (0, 0))
        if count >= self._most or held + size > self._most_bytes:
            return False
        self._granted[kind] = count + 1, held + size
        return True
