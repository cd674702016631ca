"""What ingest held back, grouped as people settle it: by reason, source and tag. SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import class_row

from core import live
from core.errors import Conflict, NotFound
from core.strict_json import JsonRefused, loads
from edge.reasons import Reason

SHOWN = 500
BINDABLE = frozenset({Reason.UNKNOWN_TAG, Reason.UNKNOWN_UNIT, Reason.WRONG_UNIT})
GROUPS: LiteralString = """
  select min(quarantine_id) as quarantine_id, max(quarantine_id) as newest, reason, source, tag, count(*) as count,
    sum(readings) as readings, min(heard_at) as first_at, max(heard_at) as last_at
  from quarantine where settled_at is null group by reason, source, tag """


class NotBindable(Conflict):
    """Only a tag that is unknown, or whose unit does not fit, can be bound. Correct this at its source, or dismiss."""

    code = "not_bindable"


@dataclass(frozen=True, slots=True)
class Group:
    """Open entries of one reason, source and tag; ``quarantine_id`` is the oldest entry's."""

    quarantine_id: int
    newest: int
    reason: str
    source: str
    tag: str
    count: int
    readings: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    quarantine_id: int
    reason: str
    source: str
    tag: str
    topic: str
    payload: bytes
    detail: str
    settled_at: datetime | None


def groups(conn: Connection, *, before: int, limit: int) -> list[Group]:
    """Open groups of the current site, last heard first; ``before``: only those whose newest id is smaller."""
    with conn.cursor(row_factory=class_row(Group)) as cursor:
        return cursor.execute(
            GROUPS + "having max(quarantine_id) < %s order by newest desc limit %s", (before, limit)
        ).fetchall()


def entry(conn: Connection, quarantine_id: int) -> Entry:
    """One entry of the current site. Raises NotFound."""
    with conn.cursor(row_factory=class_row(Entry)) as cursor:
        found = cursor.execute(
            """select quarantine_id, reason, source, tag, topic, payload, detail, settled_at from quarantine
               where quarantine_id = %s""",
            (quarantine_id,),
        ).fetchone()
    if found is None:
        raise NotFound
    return found


def bindable(conn: Connection, quarantine_id: int) -> Entry:
    """An entry whose tag can be bound. Raises NotFound, NotBindable."""
    found = entry(conn, quarantine_id)
    if found.reason not in BINDABLE:
        raise NotBindable
    return found


def dismiss(conn: Connection, quarantine_id: int, *, now: datetime) -> int:
    """Settle the whole group of an entry without keeping its samples; returns how many. Raises NotFound."""
    found = entry(conn, quarantine_id)
    done = conn.execute(
        """update quarantine set settled_at = %s, settled_as = 'dismissed'
           where settled_at is null and reason = %s and source = %s and tag = %s""",
        (now, found.reason, found.source, found.tag),
    )
    live.announce(conn, "quarantine", quarantine_id)
    return done.rowcount


def sample(found: Entry) -> dict[str, Any]:
    """What was heard, as JSON where it is some, else as the text that can be shown."""
    payload = bytes(found.payload)
    try:
        value = loads(payload) if len(payload) <= SHOWN else payload[:SHOWN].decode("utf-8", "replace") + "…"
    except JsonRefused:
        value = payload[:SHOWN].decode("utf-8", "replace").replace("\0", "�")
    return {"topic": found.topic, "payload": value, "detail": found.detail}
