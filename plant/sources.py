"""SQL of the sources that ingest itself connects to; a trigger tells ingest of every change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from core.errors import Conflict, NotFound
from plant import names

SOURCE: LiteralString = "select name, kind, url, config, enabled from sources"


class DeviceName(Conflict):
    """A registered device has this name, and their data would be taken for each other's. Choose another name."""

    code = "device_name"


class SourceExists(Conflict):
    """There is a source of this name already. Change that one, or choose another name."""

    code = "source_exists"


@dataclass(frozen=True, slots=True)
class Source:
    """A server to connect to; ``name`` is what bindings call their source."""

    name: str
    kind: str
    url: str
    config: Mapping[str, Any]
    enabled: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How a source does, as ingest last wrote it down."""

    state: str
    detail: str
    last_heard_at: datetime | None
    last_sample_at: datetime | None


@dataclass(frozen=True, slots=True)
class CodeStretch:
    """A stretch of time in which a tag had a status code that is not plain good."""

    source: str
    tag: str
    code: int
    name: str
    from_at: datetime
    until_at: datetime | None  # None: it lasts


def put(conn: Connection, *, name: str, kind: str, url: str, config: Mapping[str, Any]) -> None:
    """Add a source to the current site, or change the one of this name. Raises Invalid, DeviceName."""
    _refuse_name(conn, name)
    conn.execute(
        """insert into sources (name, kind, url, config) values (%s, %s, %s, %s)
           on conflict (site_id, name) do update set kind = excluded.kind, url = excluded.url,
             config = excluded.config, enabled = true""",
        (name, kind, url, Jsonb(dict(config))),
    )


def add(conn: Connection, *, name: str, kind: str, url: str, config: Mapping[str, Any]) -> None:
    """Add a source. Raises Invalid, DeviceName, SourceExists."""
    _refuse_name(conn, name)
    row = conn.execute(
        """insert into sources (name, kind, url, config) values (%s, %s, %s, %s)
           on conflict (site_id, name) do nothing returning 1""",
        (name, kind, url, Jsonb(dict(config))),
    ).fetchone()
    if row is None:
        raise SourceExists(f"There is a source {name!r} already.")


def change(
    conn: Connection,
    name: str,
    *,
    url: str | None = None,
    config: Mapping[str, Any] | None = None,
    enabled: bool | None = None,
) -> None:
    """Change what is named. Raises NotFound."""
    done = conn.execute(
        """update sources set url = coalesce(%s, url), config = coalesce(%s, config), enabled = coalesce(%s, enabled)
           where name = %s""",
        (url, None if config is None else Jsonb(dict(config)), enabled, name),
    )
    if done.rowcount == 0:
        raise _unknown(name)


def listed(conn: Connection) -> list[Source]:
    """The site's sources by name."""
    return [Source(*row) for row in conn.execute(SOURCE + " order by name")]


def get(conn: Connection, name: str) -> Source:
    """One source, locked for the rest of the transaction. Raises NotFound."""
    row = conn.execute(SOURCE + " where name = %s for update", (name,)).fetchone()
    if row is None:
        raise _unknown(name)
    return Source(*row)


def standings(conn: Connection) -> dict[str, Standing]:
    """How each source does that was ever heard or tried, by name."""
    rows = conn.execute("select source, state, detail, last_heard_at, last_sample_at from source_status")
    return {name: Standing(*rest) for name, *rest in rows}


def add_nodes(conn: Connection, name: str, nodes: Mapping[str, str]) -> int:
    """Subscribe a source to nodes, tag → node id, beside those it has; returns how many are new. Raises NotFound.

    A node that was heard under another tag is heard under the new one.
    """
    found = get(conn, name)
    have = [each for each in found.config.get("nodes", []) if isinstance(each, dict)]
    kept = [each for each in have if each.get("tag") not in nodes and each.get("node_id") not in nodes.values()]
    fresh = [{"node_id": node_id, "tag": tag} for tag, node_id in nodes.items()]
    new = [each for each in fresh if each not in have]
    if new:
        change(conn, name, config={**found.config, "nodes": [*kept, *fresh]})
    return len(new)


def trust(conn: Connection, name: str, fingerprint: str) -> None:
    """From now on accept the server certificate with this fingerprint, and no other. Raises NotFound."""
    found = get(conn, name)
    change(conn, name, config={**found.config, "trusted": [fingerprint]})


def remove(conn: Connection, name: str) -> None:
    """Forget a source and how it does; its samples and bindings stay. Raises NotFound."""
    if conn.execute("delete from sources where name = %s", (name,)).rowcount == 0:
        raise _unknown(name)
    conn.execute("delete from source_status where source = %s", (name,))
    conn.execute("delete from tag_proposals where source = %s and accepted_at is null", (name,))


def codes_of(conn: Connection, signal_id: int, *, most: int = 20) -> list[CodeStretch]:
    """Status codes of the tags that bring a signal, newest first."""
    with conn.cursor(row_factory=class_row(CodeStretch)) as cursor:
        return cursor.execute(
            """select source, tag, code, name, from_at, until_at from signal_status join bindings using (source, tag)
               where signal_id = %s and signal_status.site_id = bindings.site_id order by from_at desc limit %s""",
            (signal_id, most),
        ).fetchall()


def _refuse_name(conn: Connection, name: str) -> None:
    names.source(name)
    if conn.execute("select 1 from devices where name = %s and revoked_at is null", (name,)).fetchone():
        raise DeviceName(f"A registered device is called {name!r}. Choose another name for the source.")


def _unknown(name: str) -> NotFound:
    return NotFound(f"There is no source {name!r} on this site. See `millwright source list`.")
