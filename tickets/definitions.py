"""Where life cycles come from: the built-in data file, or a site's own published version."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import NotFound
from tickets.lifecycle import Lifecycle, extend, parse
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
    row = conn.execute(
        """select lifecycle_id, definition from lifecycles where kind = %s and active
           order by version desc limit 1""",
        (kind.value,),
    ).fetchone()
    return parse(kind.value, row[1], lifecycle_id=row[0]) if row else builtin()[kind]


def of(conn: Connection, ticket: Ticket) -> Lifecycle:
    """The life cycle that the ticket was opened under; a newer version does not move it."""
    if ticket.lifecycle_id is None:
        return builtin()[ticket.kind]
    row = conn.execute("select definition from lifecycles where lifecycle_id = %s", (ticket.lifecycle_id,)).fetchone()
    if row is None:
        raise NotFound(f"The life cycle of {ticket.ref} is gone.")
    return parse(ticket.kind.value, row[0], lifecycle_id=ticket.lifecycle_id)


def publish(conn: Connection, kind: TicketKind, definition: Mapping[str, Any]) -> Lifecycle:
    """Make a new version for the tickets of this kind that open from now on. Raises BadDefinition."""
    parse(kind.value, definition)
    conn.execute("select pg_advisory_xact_lock(hashtext('lifecycles'), current_site())")
    conn.execute("update lifecycles set active = false where kind = %s and active", (kind.value,))
    (lifecycle_id,) = one(
        conn,
        """insert into lifecycles (kind, version, definition)
           select %s, coalesce(max(version), 0) + 1, %s from lifecycles where kind = %s returning lifecycle_id""",
        (kind.value, Jsonb(dict(definition)), kind.value),
    )
    return parse(kind.value, definition, lifecycle_id=lifecycle_id)
