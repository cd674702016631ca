"""Small helpers for SQL in the open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.sql import Composed

from core.errors import NotFound

Params = Sequence[Any] | Mapping[str, Any] | None


def one(
    conn: Connection, query: LiteralString | Composed, params: Params = None, *, missing: str | None = None
) -> tuple[Any, ...]:
    """The single row that the query promises; raises NotFound with the sentence ``missing``."""
    row = conn.execute(query, params).fetchone()
    if row is None:
        raise NotFound(missing)
    return row
