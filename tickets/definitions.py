"""Where life cycles come from: the built-in data file, or a site's own published version."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from tickets import marks
from tickets.lifecycle import Lifecycle, build, extend, parse
from tickets.model import Ticket, TicketKind
from tickets.rows import one


@cache
def builtin() -> Mapping[TicketKind, Lifecycle]:
    """The built-in life cycle of every kind, from ``lifecycles.toml``."""
    data = tomllib.loads(files("tickets").joinpath("lifecycles.toml").read_text("utf-8"))
    found: dict[TicketKind, Lifecycle] = {}
    for name, section in data.items():
        definition = extend(data[section["extends"]], section) if "extends" in section else section
        lifecycle = parse(name, definition)
        found |= {TicketKind(kind): lifecycle for kind in section["kinds"]}
    return found


def for_kind(conn: Connection, kind: TicketKind) -> Lifecycle:
    """The life cycle that a ticket of this kind opened now will follow on the current site."""
    return marks.kept(conn, ("life cycle", kind), lambda: _active(conn, kind))


def _active(conn: Connection, kind: TicketKind) -> Lifecycle:
    row = conn.execute(
        """select lifecycle_id, definition::text from lifecycles where kind = %s and active
           order by version desc limit 1""",
        (kind.value,),
    ).fetchone()
    return _published(kind, row[0], row[1]) if row else builtin()[kind]


def of(conn: Connection, ticket: Ticket) -> Lifecycle:
    """The life cycle that the ticket was opened under; a newer version does not move it."""
    return of_version(conn, ticket.kind, ticket.lifecycle_id)


def of_version(conn: Connection, kind: TicketKind, lifecycle_id: int | None) -> Lifecycle:
    """A life cycle by its id; None is the built-in one. Raises NotFound."""
    if lifecycle_id is None:
        return builtin()[kind]
    (text,) = one(
        conn,
        "select definition::text from lifecycles where lifecycle_id = %s and kind = %s",
        (lifecycle_id, kind.value),
        missing=f"There is no life cycle {lifecycle_id} for {kind.value} on this site.",
    )
    return _published(kind, lifecycle_id, text)


@lru_cache(maxsize=128)
def _published(kind: TicketKind, lifecycle_id: int, text: str) -> Lifecycle:
    """By its whole text, so that nothing stale can come out."""
    return build(kind.value, json.loads(text), lifecycle_id=lifecycle_id)


def publish(
    conn: Connection, kind: TicketKind, definition: Mapping[str, Any], *, by: str = "", note: str = ""
) -> Lifecycle:
    """Make a new version for the tickets of this kind that open from now on. Raises BadDefinition."""
    parse(kind.value, definition)
    lock(conn)
    conn.execute("update lifecycles set active = false where kind = %s and active", (kind.value,))
    (lifecycle_id,) = one(
        conn,
        """insert into lifecycles (kind, version, definition, published_by, note)
           select %s, coalesce(max(version), 0) + 1, %s, %s, %s from lifecycles where kind = %s
           returning lifecycle_id""",
        (kind.value, Jsonb(dict(definition)), by, note, kind.value),
    )
    return parse(kind.value, definition, lifecycle_id=lifecycle_id)


def lock(conn: Connection) -> None:
    """One publishes at a time on a site, to the end of the transaction."""
    conn.execute("select pg_advisory_xact_lock(hashtext('lifecycles'), current_site())")
