"""SQL of articles: the row shows the published text; a draft, what it says so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString

from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from core.errors import Stale
from tickets.knowledge import content as contents
from tickets.knowledge.content import Content, Step
from tickets.model import Text
from tickets.rows import one

SELECT: LiteralString = """
  select article_id, code, state, version, head, published, offered, updated_at, classes, modes, title, body, steps
  from articles """


class State(StrEnum):
    """Where a guide stands."""

    DRAFT = "draft"
    PUBLISHED = "published"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class Article:
    """A guide. ``head``: the revision that is worked on; ``published``: the one that orders get; ``offered``: a newer
    shipped text."""

    article_id: int
    code: str
    state: State
    version: int
    head: int | None
    published: int | None
    offered: int | None
    updated_at: datetime
    content: Content

    @property
    def title(self) -> Text:
        return self.content.title

    @property
    def asset_class(self) -> str:
        return self.content.classes[0] if self.content.classes else ""

    @property
    def mode(self) -> str:
        return self.content.modes[0] if self.content.modes else ""


def find(
    conn: Connection, *, asset_class: str | None = None, mode: str | None = None, state: State | None = None
) -> list[Article]:
    """The articles of the site, filtered, by class, mode and code; '' = those of every class or mode."""
    rows = conn.execute(
        SELECT
        + """where (%(class)s::text is null or %(class)s = any(classes) or (%(class)s = '' and classes = '{}'))
               and (%(mode)s::text is null or %(mode)s = any(modes) or (%(mode)s = '' and modes = '{}'))
               and (%(state)s::text is null or state = %(state)s) order by asset_class, mode, code""",
        {"class": asset_class, "mode": mode, "state": state},
    )
    return [_read(row) for row in rows]


def get(conn: Connection, article_id: int) -> Article:
    """One article; raises NotFound."""
    missing = f"There is no article {article_id} on this site."
    return _read(one(conn, SELECT + "where article_id = %s", (article_id,), missing=missing))


def by_code(conn: Connection, code: str) -> Article | None:
    row = conn.execute(SELECT + "where code = %s for update", (code,)).fetchone()
    return _read(row) if row else None


def lock(conn: Connection, article_id: int, *, version: int) -> Article:
    """The article, its row locked. Raises NotFound, or Stale unless ``version`` fits."""
    missing = f"There is no article {article_id} on this site."
    found = _read(one(conn, SELECT + "where article_id = %s for update", (article_id,), missing=missing))
    if found.version != version:
        raise Stale(
            f"{found.code} was changed meanwhile: it is at version {found.version}. Reload and try again.",
            current={"version": found.version, "content": contents.as_json(found.content)},
            given_version=version,
        )
    return found


def insert(conn: Connection, code: str, content: Content, *, state: State) -> int:
    """A new row; returns its id."""
    (article_id,) = one(
        conn,
        """insert into articles (code, state, classes, modes, title, body, steps)
           values (%s, %s, %s, %s, %s, %s, %s) returning article_id""",
        (code, state, *_columns(content).values()),
    )
    return int(article_id)


def update(conn: Connection, article_id: int, content: Content | None = None, **changes: Any) -> None:
    """Change the row (``state``, ``head``, ``published``, ``offered``, and the text that is shown) by a version."""
    changed = changes | (_columns(content) if content else {})
    sets = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in changed)
    query = sql.SQL(
        "update articles set {}, version = version + (head is not null)::int, updated_at = now() where article_id = %s"
    ).format(sets)
    conn.execute(query, (*changed.values(), article_id))


def settle_offer(conn: Connection, article_id: int) -> None:
    """The offered text was looked at."""
    conn.execute("update articles set offered = null where article_id = %s", (article_id,))


def _columns(content: Content) -> dict[str, Any]:
    return {
        "classes": list(content.classes),
        "modes": list(content.modes),
        "title": Jsonb(dict(content.title)),
        "body": Jsonb(dict(content.body)),
        "steps": Jsonb([contents.step_json(each) for each in content.steps]),
    }


def _read(row: tuple[Any, ...]) -> Article:
    article_id, code, state, version, head, published, offered, updated_at, classes, modes, title, body, steps = row
    content = Content(tuple(classes), tuple(modes), title, body, tuple(_step(each) for each in steps))
    return Article(article_id, code, State(state), version, head, published, offered, updated_at, content)


def _step(kept: dict[str, Any]) -> Step:
    return Step(**{**kept, "sources": tuple(kept.get("sources", ()))})
