"""What waits in quarantine for a binding, ready to be stored.

The handshake: whoever binds an unknown tag only writes the binding. A trigger tells ingest, which stores the waiting
samples and settles their entries as *released* in one transaction; a second try finds nothing left to do.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import Connection

from core.database import Database
from edge.codecs import json, wave
from edge.delivery import Origin
from edge.reasons import DecodeError
from ingest import store
from ingest.resolve import Heard


@dataclass(frozen=True, slots=True)
class Found:
    """Readings that may go on, and the entries to settle with them."""

    heard: tuple[Heard, ...]
    ids: tuple[int, ...]

    def settle(self, conn: Connection) -> None:
        """Mark the entries released, and tell the screens."""
        store.settle(conn, self.ids)
        for site_id in {each.site_id for each in self.heard}:
            store.notify_live(conn, site_id, "quarantine")


def waiting(database: Database) -> Found:
    """The oldest entries whose tag is bound by now. Their device was allowed when they were heard."""
    with database.ingest_tx() as conn:
        rows = store.waiting(conn)
    heard = [found for row in rows if (found := _heard(row)) is not None]
    return Found(tuple(heard), tuple(row.quarantine_id for row in rows))


def _heard(row: store.Waiting) -> Heard | None:
    codec = wave if row.payload.startswith(wave.MAGIC) else json
    try:
        message = codec.decode(row.payload, source=row.source, tag=None, heard_us=0)
    except DecodeError:
        return None  # nothing in it can be kept: it is settled all the same
    return Heard(row.site_id, row.source, message, Origin.CONFIGURED)
