"""What the ticket core needs from above, as typed hooks; ``api/up.py`` registers them, nothing else does.

                  done (order with asset and mode)
    service ────────────────> CloseGuard.begin        the ticket is *verifying* until the guard moves it
            closed, cancelled
            ────────────────> OnClosed                feedback, relearning
            every transition
            ────────────────> OnTransition
All of them run inside the transaction of the step; an error undoes the step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from psycopg import Connection

from core.errors import ConfigError
from tickets.model import Ticket


class CloseGuard(Protocol):
    """Holds an order back from closing until its machine is healthy."""

    def begin(self, conn: Connection, ticket: Ticket, now: datetime) -> None:
        """The ticket has just become *verifying*. Later, move it by ``service.transition`` to closed or reopened."""


class OnClosed(Protocol):
    """Told once when a ticket is closed or cancelled; ``ticket.status`` says which."""

    def __call__(self, conn: Connection, ticket: Ticket, now: datetime) -> None: ...


class OnTransition(Protocol):
    """Told of every change of status; ``before`` is the ticket as it was."""

    def __call__(self, conn: Connection, before: Ticket, ticket: Ticket, now: datetime) -> None: ...


class SecondCloseGuard(ConfigError):
    """A close guard is registered already; a ticket can wait for one only."""

    code = "second_close_guard"


@dataclass(slots=True)
class Hooks:
    """What is registered in this process."""

    close_guard: CloseGuard | None = None
    on_closed: list[OnClosed] = field(default_factory=list)
    on_transition: list[OnTransition] = field(default_factory=list)

    def register_close_guard(self, guard: CloseGuard) -> None:
        if self.close_guard not in (None, guard):
            raise SecondCloseGuard
        self.close_guard = guard

    def register_on_closed(self, hook: OnClosed) -> None:
        if hook not in self.on_closed:
            self.on_closed.append(hook)

    def register_on_transition(self, hook: OnTransition) -> None:
        if hook not in self.on_transition:
            self.on_transition.append(hook)

    def clear(self) -> None:
        """Forget everything registered."""
        self.close_guard = None
        self.on_closed.clear()
        self.on_transition.clear()


hooks = Hooks()


@contextmanager
def only(*, close_guard: CloseGuard | None = None) -> Iterator[Hooks]:
    """Within the block nothing else is registered; for tests and sandboxes."""
    kept = Hooks(hooks.close_guard, list(hooks.on_closed), list(hooks.on_transition))
    hooks.clear()
    hooks.close_guard = close_guard
    try:
        yield hooks
    finally:
        hooks.close_guard, hooks.on_closed, hooks.on_transition = kept.close_guard, kept.on_closed, kept.on_transition
