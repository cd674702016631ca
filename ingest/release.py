"""What waits in quarantine for a binding, ready to be stored.

The handshake: whoever binds an unknown tag, or binds one anew whose unit did not fit, only writes the binding. A
trigger tells ingest, which stores the waiting samples and settles their entries as *released* in one transaction; a
second try finds nothing left to do. What still does not fit stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import Connection

from core.database import Database
from edge.codecs import json, wave
from edge.delivery import Message, Origin
from edge.reasons import DecodeError
from ingest import store
from ingest.resolve import Heard, Snapshot, fits


@dataclass(frozen=True, slots=True)
class Found:
    """Readings that may go on, and the entries to settle with them. ``last`` is the last entry looked at."""

    heard: tuple[Heard, ...]
    ids: tuple[int, ...]
    last: int | None = None

    def settle(self, conn: Connection) -> None:
        """Mark the entries released, and tell the screens."""
        store.settle(conn, self.ids)
        for site_id in {each.site_id for each in self.heard}:
            store.notify_live(conn, site_id, "quarantine")


def waiting(database: Database, snapshot: Snapshot, *, after: int = 0) -> Found:
    """The oldest entries beyond ``after`` whose tag is bound to what fits by now. Their device was allowed when they
    were heard. An entry that cannot be read (an older version cut it short) stays for a person to look at."""
    with database.ingest_tx() as conn:
        rows = store.waiting(conn, after=after)
    heard = [(row.quarantine_id, _heard(row)) for row in rows]
    good = [(number, each) for number, each in heard if each is not None and fits(each, snapshot)]
    return Found(
        tuple(each for _, each in good),
        tuple(number for number, _ in good),
        rows[-1].quarantine_id if rows else None,
    )


def _heard(row: store.Waiting) -> Heard | None:
    try:
        return Heard(row.site_id, row.source, _message(row), Origin.CONFIGURED)
    except DecodeError:
        return None


def _message(row: store.Waiting) -> Message:
    if row.payload.startswith(wave.MAGIC):
        return wave.decode(row.payload, source=row.source, tag=None, heard_us=0)
    return json.kept(row.payload, source=row.source)
