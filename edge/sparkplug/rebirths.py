"""How often a host may ask: each node at most once in a while, longer when it does not help, and all of them together
at most so many a second. Pure: seconds of a steady clock are an argument.
"""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_S = 300.0
A_SECOND = 20.0  # requests to all nodes together
BURST = 20.0
MOST_VAIN = 8  # unanswered requests to a node that says nothing at all; then we wait until it does


@dataclass(slots=True)
class Wish:
    """The requests to one node."""

    every_s: float
    pause_s: float = 0.0
    next_s: float = 0.0
    asked_s: float | None = None
    vain: int = 0

    def may_ask(self, now_s: float) -> bool:
        return now_s >= self.next_s and self.vain < MOST_VAIN

    def asked(self, now_s: float) -> None:
        """A request goes out; one that follows soon upon another doubles the pause."""
        is_soon = self.asked_s is not None and now_s - self.asked_s < 4 * max(self.pause_s, self.every_s)
        self.pause_s = min(2 * self.pause_s, LONGEST_S) if is_soon and self.pause_s else self.every_s
        self.asked_s, self.next_s = now_s, now_s + self.pause_s
        self.vain += 1

    def heard(self) -> None:
        """The node said something."""
        self.vain = 0


@dataclass(slots=True)
class Bucket:
    """What all nodes share."""

    tokens: float = BURST
    at_s: float = 0.0

    def take(self, now_s: float) -> bool:
        """Whether one more request may go out now; counts it."""
        self.tokens = min(BURST, self.tokens + max(now_s - self.at_s, 0.0) * A_SECOND)
        self.at_s = now_s
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True
