"""SQL of the sources that ingest itself connects to; a trigger tells ingest of every change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import NotFound


@dataclass(frozen=True, slots=True)
class Source:
    """A server to connect to; ``name`` is what bindings call their source."""

    name: str
    kind: str
    url: str
    config: Mapping[str, Any]
    enabled: bool


def put(conn: Connection, *, name: str, kind: str, url: str, config: Mapping[str, Any]) -> None:
    """Add a source to the current site, or change the one of this name."""
    conn.execute(
        """insert into sources (name, kind, url, config) values (%s, %s, %s, %s)
           on conflict (site_id, name) do update set kind = excluded.kind, url = excluded.url,
             config = excluded.config, enabled = true""",
        (name, kind, url, Jsonb(dict(config))),
    )


def listed(conn: Connection) -> list[Source]:
    """The site's sources by name."""
    rows = conn.execute("select name, kind, url, config, enabled from sources order by name")
    return [Source(*row) for row in rows]


def remove(conn: Connection, name: str) -> None:
    """Forget a source; its samples and bindings stay. Raises NotFound."""
    if conn.execute("delete from sources where name = %s", (name,)).rowcount == 0:
        raise NotFound(f"There is no source {name!r} on this site. See `millwright source list`.")
