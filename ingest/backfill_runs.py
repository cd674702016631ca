"""How far tables were stored, so that a call that was cut short goes on where it was. SQL, ingest role."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import Connection


@dataclass(frozen=True, slots=True)
class Run:
    """A table of a site, known by a fingerprint of its file and of how it is read."""

    site_id: int
    fingerprint: str
    name: str


def begun(conn: Connection, run: Run) -> int:
    """Rows that an earlier call stored before it was cut short; 0 when there was none, or it came to its end."""
    row = conn.execute(
        "select rows_done from backfills where site_id = %s and fingerprint = %s and done_at is null",
        (run.site_id, run.fingerprint),
    ).fetchone()
    return int(row[0]) if row else 0


def note(conn: Connection, run: Run, *, rows: int) -> None:
    """Its first ``rows`` rows are stored, in the transaction that stored them."""
    conn.execute(
        """insert into backfills (site_id, fingerprint, name, rows_done) values (%s, %s, %s, %s)
           on conflict (site_id, fingerprint) do update set rows_done = excluded.rows_done, name = excluded.name,
             updated_at = now(), done_at = null""",
        (run.site_id, run.fingerprint, run.name, rows),
    )


def finish(conn: Connection, run: Run) -> None:
    """It is stored whole: the next call reads it from the beginning, and finds everything there."""
    conn.execute(
        "update backfills set done_at = now(), updated_at = now() where site_id = %s and fingerprint = %s",
        (run.site_id, run.fingerprint),
    )
