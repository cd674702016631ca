"""Tell the open screens that something changed; heard only if the transaction commits."""

from __future__ import annotations

import json

from psycopg import Connection

CHANNEL = "millwright_live"


def announce(conn: Connection, topic: str, ident: int) -> None:
    """Notify ``{"site":…,"topic":…,"id":…}`` to the live events of the current site."""
    conn.execute(
        "select pg_notify(%s, json_build_object('site', current_site(), 'topic', %s::text, 'id', %s::bigint)::text)",
        (CHANNEL, topic, ident),
    )


def parse(payload: str) -> tuple[int, str, int]:
    """(site id, topic, id) of a notification."""
    message = json.loads(payload)
    return message["site"], message["topic"], message["id"]
