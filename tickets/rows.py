"""Small helpers for SQL in the open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.sql import Composed

from core.errors import IfMatchMissing, NotFound, Stale

Params = Sequence[Any] | Mapping[str, Any] | None


def one(
    conn: Connection, query: LiteralString | Composed, params: Params = None, *, missing: str | None = None
) -> tuple[Any, ...]:
    """The single row that the query promises; raises NotFound with the sentence ``missing``."""
    row = conn.execute(query, params).fetchone()
    if row is None:
        raise NotFound(missing)
    return row


def refuse_stale(name: str, *, standing: int, given: int | None, current: Mapping[str, Any]) -> None:
    """Raise Stale, with what stands there now, unless the caller saw the version ``standing`` (None: did not look)."""
    if given is not None and given != standing:
        raise Stale(
            f"{name} was changed meanwhile: it is at version {standing}. Reload and try again.",
            current=dict(current),
            given_version=given,
        )


def refuse_unseen(name: str, *, standing: int, given: int | None, current: Mapping[str, Any]) -> None:
    """Like :func:`refuse_stale`, and raise IfMatchMissing where the caller did not look at what stands there."""
    if given is None:
        raise IfMatchMissing(f"{name} is there already: say with `If-Match` which version of it you saw.")
    refuse_stale(name, standing=standing, given=given, current=current)
