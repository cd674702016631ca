"""What a site has defined, as this process keeps it: under marks that whoever changes a definition renews.

    field, life cycle, SLA policy, calendar, checklist, setting changed ──trigger──> definition_marks
    kept(conn, name, load) ──mark known──> what was loaded under it; else load, and keep that

A mark is read in the transaction that asks, its own changes included, and before what is kept under it: nothing older
than the mark can come out. A change that is rolled back leaves a mark that nobody meets again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Any, LiteralString, TypeVar
from uuid import UUID

from psycopg import Connection

from tickets import verbs
from tickets.rows import one

T = TypeVar("T")

KEPT = 1024
NAME = "marks"
SELECT: LiteralString = "select (select mark from definition_marks), (select mark from rule_marks)"

_kept: OrderedDict[Hashable, Any] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True, slots=True)
class Marks:
    """The current site's; None: nothing was ever defined."""

    definitions: UUID | None
    rules: UUID | None


def of(conn: Connection) -> Marks:
    """Asked for once a verb."""
    memory = verbs.memory(conn)
    if NAME not in memory:
        memory[NAME] = Marks(*one(conn, SELECT))
    found: Marks = memory[NAME]
    return found


def known(conn: Connection, marks: Marks) -> None:
    """They were read along with something else."""
    verbs.memory(conn)[NAME] = marks


def changed(conn: Connection) -> None:
    """Something was defined on this connection."""
    verbs.memory(conn).pop(NAME, None)


def kept(conn: Connection, name: Hashable, load: Callable[[], T]) -> T:
    """What ``load`` reads of the site's definitions and nothing else; whoever gets it must not change it."""
    mark = of(conn).definitions
    if mark is None:
        return load()
    key = (mark, name)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            found: T = _kept[key]
            return found
    loaded = load()
    with _lock:
        _kept[key] = loaded
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return loaded
