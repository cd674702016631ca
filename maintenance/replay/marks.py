"""What is recorded while the plant is live, so that a replay can do the same at the same moments. SQL.

findings.told_at     when a finding was acted on           (kept with the finding)
replay_marks         when time did something               witnessed, rejudged
late_arrivals        which samples came too late           (detectors.late)
ticket_events, …     what people did                       (kept anyway)

Marks and arrivals go when retention has taken the samples of their time (``forget``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from psycopg import Connection

from plant import retention
from plant.times import to_us


def witnessed(conn: Connection, name: str, now: datetime, work: Callable[[], object]) -> None:
    """Do the work of a periodic job, and keep the moment when it changed anything."""
    before = _written(conn)
    work()
    if _written(conn) != before:
        conn.execute("insert into replay_marks (at, what, name) values (%s, 'round', %s)", (now, name))


def rejudged(conn: Connection, asset_id: int, *, from_at: datetime, until_at: datetime, now: datetime) -> None:
    """Keep that the asset's late data were brought in at ``now``."""
    conn.execute(
        """insert into replay_marks (at, what, asset_id, from_at, until_at) values (%s, 'rejudged', %s, %s, %s)""",
        (now, asset_id, from_at, until_at),
    )


def forget(conn: Connection) -> int:
    """Delete what was kept of a time whose samples are gone: no replay begins there. Returns how many rows."""
    before = retention.gone_before(conn)
    if before is None:
        return 0
    marks = conn.execute("delete from replay_marks where at < %s", (before,)).rowcount
    return marks + conn.execute("delete from late_arrivals where until_us < %s", (to_us(before),)).rowcount


def _written(conn: Connection) -> int:
    """Rows that this transaction has written so far; locks do not count."""
    row = conn.execute(
        "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint from pg_stat_xact_user_tables"
    ).fetchone()
    return int(row[0]) if row else 0
