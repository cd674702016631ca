"""Failures that happened, as people record them: the end of a life, from which models learn. SQL.

Predictions that spoke of the life that ended are scored in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import Connection

from core.errors import NotFound
from maintenance import libraries
from maintenance.errors import BadFailure
from maintenance.life import outcomes
from plant import assets

LEEWAY = timedelta(minutes=5)  # by which a caller's clock may be ahead


@dataclass(frozen=True, slots=True)
class Failure:
    """One recorded failure of a machine."""

    failure_id: int
    asset_id: int
    mode: str
    failed_at: datetime
    ticket_id: int | None
    note: str
    recorded_by: str
    recorded_at: datetime


def record(
    conn: Connection,
    by: str,
    asset_id: int,
    *,
    mode: str,
    failed_at: datetime,
    now: datetime,
    ticket_id: int | None = None,
    note: str = "",
) -> Failure:
    """Record that the machine failed; recording the same again changes nothing. Raises NotFound, BadFailure."""
    asset = assets.asset(conn, asset_id)
    if failed_at > now + LEEWAY:
        raise BadFailure("A failure is recorded once it has happened: this time has not come yet.")
    failed_at = min(failed_at, now)
    if mode not in {each.code for each in libraries.modes(conn, asset.asset_class)}:
        raise BadFailure(f"The class {asset.asset_class} has no failure mode {mode!r}.")
    if ticket_id is not None and _asset_of(conn, ticket_id) != asset_id:
        raise BadFailure("The order named is about another machine.")
    row = conn.execute(
        """insert into failures (asset_id, mode, failed_at, ticket_id, note, recorded_by, recorded_at)
           values (%s, %s, %s, %s, %s, %s, %s)
           on conflict (asset_id, mode, failed_at) do update set note = failures.note returning failure_id""",
        (asset_id, mode, failed_at, ticket_id, note, by, now),
    ).fetchone()
    if row is None:
        raise RuntimeError("insert … returning gave no row")
    outcomes.of_failure(conn, asset_id, mode=mode, ended_at=failed_at, failure_id=row[0], now=now)
    return of_id(conn, row[0])


def of_id(conn: Connection, failure_id: int) -> Failure:
    """Raises NotFound."""
    found = conn.execute(f"{COLUMNS} where failure_id = %s", (failure_id,)).fetchone()
    if found is None:
        raise NotFound(f"There is no failure {failure_id} on this site.")
    return Failure(*found)


def recorded(conn: Connection, *, asset_id: int | None = None, limit: int = 100) -> list[Failure]:
    """Failures of the site or of a machine, newest first."""
    rows = conn.execute(
        f"{COLUMNS} where (%s::int is null or asset_id = %s) order by failed_at desc, failure_id desc limit %s",
        (asset_id, asset_id, limit),
    ).fetchall()
    return [Failure(*row) for row in rows]


COLUMNS = "select failure_id, asset_id, mode, failed_at, ticket_id, note, recorded_by, recorded_at from failures"


def _asset_of(conn: Connection, ticket_id: int) -> int | None:
    row = conn.execute("select asset_id from tickets where ticket_id = %s", (ticket_id,)).fetchone()
    return row[0] if row else None
