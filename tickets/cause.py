"""Why something is written, when a rule made it happen: kept with the event, so that a chain of causes can be read and
stopped. Pure but for the context that carries it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """``root`` names what began it (ref and seq of an event); ``rule_ids`` are the rules since then, oldest first."""

    root: str
    rule_ids: tuple[int, ...]

    @property
    def depth(self) -> int:
        return len(self.rule_ids)

    def as_json(self) -> dict[str, Any]:
        return {"root": self.root, "rules": list(self.rule_ids)}


_current: ContextVar[Cause | None] = ContextVar("cause", default=None)


def current() -> Cause | None:
    """The cause of what is being written; None when a person, a detector or a timer acts by itself."""
    return _current.get()


@contextmanager
def because(cause: Cause) -> Iterator[None]:
    """Within the block everything is written for this cause."""
    token = _current.set(cause)
    try:
        yield
    finally:
        _current.reset(token)
