"""What the ticket core needs from above, as typed hooks; ``api/up.py`` registers them, nothing else does.

                  done (order with asset and mode)
    service ────────────────> CloseGuard.begin        the ticket is *verifying* until the guard moves it
            before a number is given out
            ────────────────> OnOpening               guides
            closed, cancelled
            ────────────────> OnClosed                feedback, relearning
            every transition
            ────────────────> OnTransition
            every event, once the verb has ended (``tickets.verbs``)
            ────────────────> OnEvent                 rules
All of them run inside the transaction of the step; an error undoes the step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from psycopg import Connection

from core.errors import ConfigError
from tickets.beside import Beside
from tickets.cause import Cause
from tickets.model import Actor, Event, Ticket


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


class OnOpening(Protocol):
    """Reads and decides, by the columns of a ticket that is about to be opened, and says what is written beside it."""

    def __call__(
        self, conn: Connection, values: Mapping[str, Any], now: datetime
    ) -> Callable[[Ticket], Beside | None]: ...


@dataclass(frozen=True, slots=True)
class Change:
    """What one write did: the ticket before (None: it was opened) and after, and its new events, oldest first."""

    before: Ticket | None
    ticket: Ticket
    events: tuple[Event, ...]
    actor: Actor
    cause: Cause | None
    now: datetime


class OnEvent(Protocol):
    """Told of every write, in order; what it does itself by verbs is told later, to all listeners."""

    def __call__(self, conn: Connection, change: Change) -> None: ...


class SecondCloseGuard(ConfigError):
    """A close guard is registered already; a ticket can wait for one only."""

    code = "second_close_guard"


@dataclass(slots=True)
class Hooks:
    """What is registered in this process."""

    close_guard: CloseGuard | None = None
    on_closed: list[OnClosed] = field(default_factory=list)
    on_transition: list[OnTransition] = field(default_factory=list)
    on_event: list[OnEvent] = field(default_factory=list)
    on_opening: list[OnOpening] = field(default_factory=list)

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

    def register_on_event(self, hook: OnEvent) -> None:
        if hook not in self.on_event:
            self.on_event.append(hook)

    def register_on_opening(self, hook: OnOpening) -> None:
        if hook not in self.on_opening:
            self.on_opening.append(hook)

    def copy(self) -> Hooks:
        return Hooks(
            self.close_guard,
            list(self.on_closed),
            list(self.on_transition),
            list(self.on_event),
            list(self.on_opening),
        )

    def become(self, other: Hooks) -> None:
        """Hold what the other holds."""
        self.close_guard = other.close_guard
        self.on_closed[:], self.on_transition[:], self.on_event[:] = (
            other.on_closed,
            other.on_transition,
            other.on_event,
        )
        self.on_opening[:] = other.on_opening

    def clear(self) -> None:
        """Forget everything registered."""
        self.become(Hooks())


hooks = Hooks()


@contextmanager
def only(*, close_guard: CloseGuard | None = None, on_event: OnEvent | None = None) -> Iterator[Hooks]:
    """Within the block nothing else is registered; for tests and sandboxes."""
    kept = hooks.copy()
    hooks.become(Hooks(close_guard, on_event=[] if on_event is None else [on_event]))
    try:
        yield hooks
    finally:
        hooks.become(kept)
