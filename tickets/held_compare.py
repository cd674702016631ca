"""The rows beside a ticket against what its timeline says of them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tickets.held import TABLES, Books, Row

TINY = 1e-6  # of a sum of floats
LONGEST = 60

Tables = Mapping[str, Mapping[str, Row]]


@dataclass(slots=True)
class Compared:
    """``problems``: sentences. ``uncovered``: table → rows with something that no event holds."""

    problems: list[str] = field(default_factory=list)
    uncovered: Counter[str] = field(default_factory=Counter)


def compare(books: Books, tables: Tables, *, retried_until: datetime | None = None) -> Compared:
    """What differs. A clock's mark that could not be recorded is tried again and again: its ``next_at`` may lie after
    what the timeline says, yet not after ``retried_until``."""
    found = Compared()
    found.problems += [
        f"{table}.{column} of row {key} was changed before event {seq}." for table, key, column, seq in books.broken
    ]
    for table in TABLES:
        held, rows = books.tables.get(table, {}), tables.get(table, {})
        found.problems += [f"{table}: row {key} was deleted." for key in held if key not in rows]
        for key, row in rows.items():
            _row(found, books, table, key, row, retried_until)
    return found


def _row(found: Compared, books: Books, table: str, key: str, row: Row, until: datetime | None) -> None:
    held = books.tables.get(table, {}).get(key)
    if held is None and table in books.whole:
        found.problems.append(f"{table}: row {key} is in no event of the timeline.")
        return
    known = held or {}
    found.uncovered[table] += any(column not in known for column in row)
    found.problems += _columns(table, key, row, known, until)


def _columns(table: str, key: str, row: Row, held: Row, until: datetime | None) -> Iterator[str]:
    for column, value in row.items():
        if (
            column not in held
            or same(held[column], value)
            or (column == "next_at" and _late(held[column], value, until))
        ):
            continue
        yield f"{table}.{column} of row {key} is {_short(value)}; the timeline says {_short(held[column])}."


def _late(held: Any, value: Any, until: datetime | None) -> bool:
    if until is None or held is None or value is None:
        return False
    return bool(datetime.fromisoformat(held) < datetime.fromisoformat(value) <= until)


def same(held: Any, value: Any) -> bool:
    """Equal, numbers up to what adding floats loses."""
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (held, value))
    return abs(held - value) <= TINY * max(1.0, abs(held)) if numbers else bool(held == value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
