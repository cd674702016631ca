"""One verb, one story: what a verb and the verbs inside it write is told to ``hooks.on_event`` when the outermost ends.

    @verb
    def transition(conn, actor, …): …      store.save ──> wrote ──> gathered ──(outermost verb ends)──> on_event

A listener acts by verbs of its own; what those write is told after what was gathered before it, in the same
transaction. An error undoes everything, so nothing is told of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from psycopg import Connection

from core.database import savepoint
from tickets import hooks
from tickets.hooks import Change
from tickets.model import Opened, Ticket

P = ParamSpec("P")
R = TypeVar("R")
Rows = dict[str, dict[str, dict[str, dict[str, Any]]]]  # table → key → before, after → column → value


@dataclass(slots=True)
class _Story:
    conn: Connection
    changes: deque[Change] = field(default_factory=deque)
    newest: dict[int, Ticket] = field(default_factory=dict)  # by ticket id
    memory: dict[Hashable, Any] = field(default_factory=dict)
    rows: dict[int, Rows] = field(default_factory=dict)  # by ticket id: what its next event has to say


_story: ContextVar[_Story | None] = ContextVar("story", default=None)


def wrote(conn: Connection, change: Change) -> None:
    """Something was written; outside every verb it is told at once."""
    with _within(conn) as story:
        story.changes.append(change)
        story.newest[change.ticket.ticket_id] = change.ticket


def verb(function: Callable[Concatenate[Connection, P], R]) -> Callable[Concatenate[Connection, P], R]:
    """Marks a function that begins with ``conn`` and writes tickets, for listeners to hear when it has ended.

    A ticket that it returns is as the listeners left it.
    """

    @wraps(function)
    def told(conn: Connection, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with _within(conn) as story:
            result = function(conn, *args, **kwargs)
        return cast("R", _newest(result, story))

    return told


@contextmanager
def attempt(conn: Connection) -> Iterator[None]:
    """A savepoint: when the block raises, what it wrote is undone and never told."""
    with _within(conn) as story:
        changes, newest, rows = deque(story.changes), dict(story.newest), deepcopy(story.rows)
        try:
            with savepoint(conn):
                yield
        except BaseException:
            story.changes, story.newest, story.rows = changes, newest, rows
            story.memory.clear()
            raise


def memory(conn: Connection) -> dict[Hashable, Any]:
    """What may be kept until the outermost verb ends, by name; outside every verb nothing is."""
    story = _story.get()
    return story.memory if story is not None and story.conn is conn else {}


def leave(
    conn: Connection, ticket_id: int, table: str, key: str, *, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    """A row beside the ticket has changed: its next event in this verb keeps the columns. Raises RuntimeError where no
    verb is, as no event would follow."""
    story = _story.get()
    if story is None or story.conn is not conn:
        raise RuntimeError(f"A row of {table} changes inside a verb, whose event keeps it.")
    change = story.rows.setdefault(ticket_id, {}).setdefault(table, {}).setdefault(key, {"before": {}, "after": {}})
    change["before"] = {**before, **change["before"]}
    change["after"] |= after


def left(conn: Connection, ticket_id: int) -> Rows:
    """What was left for the ticket's next event; it is taken away."""
    story = _story.get()
    return story.rows.pop(ticket_id, {}) if story is not None and story.conn is conn else {}


@contextmanager
def _within(conn: Connection) -> Iterator[_Story]:
    outer = _story.get()
    if outer is not None and outer.conn is conn:
        yield outer
        return
    story = _Story(conn)
    token = _story.set(story)
    try:
        yield story
        _tell(story)
        if story.rows:
            raise RuntimeError(f"No event keeps the rows that changed beside the tickets {sorted(story.rows)}.")
    finally:
        _story.reset(token)


def _tell(story: _Story) -> None:
    while story.changes:
        change = story.changes.popleft()
        for listener in hooks.hooks.on_event:
            listener(story.conn, change)


def _newest(result: object, story: _Story) -> object:
    if isinstance(result, Ticket):
        return story.newest.get(result.ticket_id, result)
    if isinstance(result, Opened):
        return replace(result, ticket=story.newest.get(result.ticket.ticket_id, result.ticket))
    return result
