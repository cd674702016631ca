"""Articles: shipped as data files, kept per site, suggested by asset class and failure mode.

A file of ``library/`` holds one or more ``[code]`` sections with ``asset_class``, ``mode`` ('' = any), ``title`` and
``body`` (Markdown) in en and zh.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import ConfigError
from tickets.model import Text
from tickets.rows import one

LANGUAGES = {"en", "zh"}
MOST = 5
SENSOR = "sensor:"
UNKNOWN = "unknown"


class BadArticle(ConfigError):
    """A shipped article is not complete."""

    code = "bad_article"


@dataclass(frozen=True, slots=True)
class Article:
    """A guide; ``article_id`` 0 = not in the database."""

    article_id: int
    code: str
    asset_class: str  # "" = any
    mode: str  # "" = any
    title: Text
    body: Text


def library() -> list[Article]:
    """Every shipped article, by code. Raises BadArticle for a missing language or a code used twice."""
    found: dict[str, Article] = {}
    for path in files("tickets.knowledge").joinpath("library").iterdir():
        if not path.name.endswith(".toml"):
            continue
        for code, data in tomllib.loads(path.read_text("utf-8")).items():
            if code in found:
                raise BadArticle(f"Two articles have the code {code!r}.")
            found[code] = _article(code, data)
    return [found[code] for code in sorted(found)]


def _article(code: str, data: Mapping[str, Any]) -> Article:
    if any(set(data.get(part, ())) != LANGUAGES or not all(data[part].values()) for part in ("title", "body")):
        raise BadArticle(f"Article {code!r} needs title and body in en and zh.")
    return Article(0, code, data.get("asset_class", ""), data.get("mode", ""), data["title"], data["body"])


def seed(conn: Connection) -> int:
    """Bring the current site's copy of the shipped articles up to date; returns how many changed."""
    changed = 0
    for article in library():
        changed += conn.execute(
            """insert into articles (code, asset_class, mode, title, body) values (%s, %s, %s, %s, %s)
               on conflict (site_id, code) do update set asset_class = excluded.asset_class, mode = excluded.mode,
                 title = excluded.title, body = excluded.body, updated_at = now()
               where (articles.asset_class, articles.mode, articles.title, articles.body)
                 is distinct from (excluded.asset_class, excluded.mode, excluded.title, excluded.body)""",
            (article.code, article.asset_class, article.mode, Jsonb(article.title), Jsonb(article.body)),
        ).rowcount
    return changed


def suggest(conn: Connection, asset_class: str, mode: str | None, *, limit: int = MOST) -> list[Article]:
    """Articles for a machine and its fault: exact (class, mode), then the class, then the mode, then generic ones.

    *Unknown* is a real mode: its article of a class follows those that name the fault. Of another class, only an
    article of the same mode is suggested. Of a sensor's fault (``sensor:<signal>:<fault>``) only the fault counts.
    """
    named = mode or UNKNOWN
    if named.startswith(SENSOR):
        asset_class, named = "", named.rsplit(":", 1)[-1]
    rows = conn.execute(
        """select article_id, code, asset_class, mode, title, body from articles
           where (asset_class = %(class)s and mode in (%(mode)s, '', 'unknown'))
              or (mode = %(mode)s and mode <> 'unknown') or (asset_class = '' and mode in (%(mode)s, '', 'unknown'))
           order by case
               when asset_class = %(class)s and mode = %(mode)s then 0
               when asset_class = %(class)s and mode = '' then 1
               when asset_class = '' and mode = %(mode)s then 2
               when asset_class = %(class)s then 3
               when mode = %(mode)s then 4
               else 5 end, code
           limit %(limit)s""",
        {"class": asset_class, "mode": named, "limit": limit},
    )
    return [Article(*row) for row in rows]


def find(conn: Connection, *, asset_class: str | None = None, mode: str | None = None) -> list[Article]:
    """All articles of the site, filtered by class and mode, by code."""
    rows = conn.execute(
        """select article_id, code, asset_class, mode, title, body from articles
           where (%(class)s::text is null or asset_class = %(class)s) and (%(mode)s::text is null or mode = %(mode)s)
           order by asset_class, mode, code""",
        {"class": asset_class, "mode": mode},
    )
    return [Article(*row) for row in rows]


def get(conn: Connection, article_id: int) -> Article:
    """One article; raises NotFound."""
    row = one(
        conn,
        "select article_id, code, asset_class, mode, title, body from articles where article_id = %s",
        (article_id,),
        missing=f"There is no article {article_id} on this site.",
    )
    return Article(*row)
