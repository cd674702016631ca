"""SQL of revisions: what a guide said when, who wrote it. They are added, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from tickets.knowledge import content as contents
from tickets.knowledge.content import Content
from tickets.model import Actor
from tickets.rows import one

SELECT: LiteralString = """
  select article_id, number, content, origin, note, made_at, by_name from article_revisions """


class Origin(StrEnum):
    """Where a revision comes from."""

    SHIPPED = "shipped"
    SITE = "site"
    ORDERS = "orders"  # drafted from what closed orders say


@dataclass(frozen=True, slots=True)
class Revision:
    """One text of a guide."""

    article_id: int
    number: int
    content: Content
    origin: Origin
    note: str
    made_at: datetime
    by_name: str


def add(
    conn: Connection,
    actor: Actor,
    article_id: int,
    content: Content,
    *,
    origin: Origin,
    note: str = "",
    now: datetime,
) -> int:
    """Append a revision; returns its number. The article's row is locked, or new."""
    (number,) = one(
        conn,
        """insert into article_revisions (article_id, number, content, origin, note, made_at, user_id, by_name)
           select %s, coalesce(max(number), 0) + 1, %s, %s, %s, %s, %s, %s from article_revisions where article_id = %s
           returning number""",
        (article_id, Jsonb(contents.as_json(content)), origin, note, now, actor.actor_id, actor.name, article_id),
    )
    return int(number)


def of(conn: Connection, article_id: int) -> list[Revision]:
    """All revisions, newest first."""
    return [_read(row) for row in conn.execute(SELECT + "where article_id = %s order by number desc", (article_id,))]


def get(conn: Connection, article_id: int, number: int) -> Revision:
    """Raises NotFound."""
    missing = f"Guide {article_id} has no revision {number}."
    return _read(one(conn, SELECT + "where article_id = %s and number = %s", (article_id, number), missing=missing))


def newest(conn: Connection, article_id: int, *, origin: Origin) -> Revision | None:
    """The newest revision of this origin."""
    row = conn.execute(
        SELECT + "where article_id = %s and origin = %s order by number desc limit 1", (article_id, origin)
    ).fetchone()
    return _read(row) if row else None


def _read(row: tuple[Any, ...]) -> Revision:
    article_id, number, content, origin, note, made_at, by_name = row
    return Revision(article_id, number, contents.parse(content), Origin(origin), note, made_at, by_name)
