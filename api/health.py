"""Is this instance fit to serve? A probe that never hangs, and what the parts last said. SQL, read only."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import psycopg
from psycopg import Connection
from psycopg.rows import class_row

from api.supervisor import State, Status, read_status
from core import migrations
from core.clock import wall_now
from core.database import Database

PROBE_S = 2.0
STATUS_OLD = timedelta(seconds=15)
NEWEST = max(path.stem.partition("_")[0] for path in (Path(migrations.__file__).parent / "versions").glob("*.py"))


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that readiness rests on."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """How one source fares; ``lag_s`` in plant seconds."""

    source: str
    kind: str
    state: str
    samples_s: float
    last_seen: datetime | None
    lag_s: float | None
    samples: int
    duplicates: int
    quarantined: int


class Probe:
    """Asks the database over a connection of its own; at most one question at a time, each with a deadline."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._busy = threading.Lock()

    async def database(self, *, within_s: float = PROBE_S) -> Check:
        """Whether the database answers with this version's schema. A frozen server costs one thread, not one each."""
        if not self._busy.acquire(blocking=False):
            return Check("database", ok=False, detail="does not answer")
        with anyio.move_on_after(within_s):
            return await anyio.to_thread.run_sync(self._ask, abandon_on_cancel=True)
        return Check("database", ok=False, detail=f"no answer within {within_s:g} s")

    def _ask(self) -> Check:
        try:
            with self._database.connect() as conn:
                row = conn.execute("select version_num from alembic_version").fetchone()
        except psycopg.Error as error:
            return Check("database", ok=False, detail=type(error).__name__)
        finally:
            self._busy.release()
        version = row[0] if row else "none"
        if version != NEWEST:
            return Check("schema", ok=False, detail=f"version {version}, needed {NEWEST}: run `millwright migrate`")
        return Check("database", ok=True)


def broker(data_dir: Path) -> Check:
    """What the supervisor last said of the managed broker; fine when there is no supervisor here."""
    status = fresh_status(data_dir)
    found = [part for part in status.parts if part.name == "broker"] if status else []
    return Check(
        "broker", ok=all(part.state is State.RUNNING for part in found), detail=", ".join(p.state for p in found)
    )


def fresh_status(data_dir: Path) -> Status | None:
    """The supervisor's status file, unless it is old news."""
    status = read_status(data_dir)
    return status if status and wall_now() - status.at < STATUS_OLD else None


def sources(conn: Connection) -> list[Source]:
    """Every source of the current site, by name."""
    with conn.cursor(row_factory=class_row(Source)) as cursor:
        return cursor.execute(
            """select source, kind, state, last_heard_at as last_seen, lag_s, samples, duplicates, quarantined,
                 case when last_heard_at > now() - interval '30 seconds' then rate else 0 end as samples_s
               from source_status order by source"""
        ).fetchall()


def quarantine_counts(conn: Connection) -> dict[str, int]:
    """Open quarantine rows of the current site by reason."""
    rows = conn.execute("select reason, count(*) from quarantine where settled_at is null group by 1 order by 1")
    return dict(rows.fetchall())


def ticket_counts(conn: Connection) -> dict[str, int]:
    """Tickets of the current site by status."""
    return dict(conn.execute("select status, count(*) from tickets group by 1 order by 1").fetchall())


def detector_lag_s(conn: Connection) -> float | None:
    """How far the slowest asset's judgement is behind its newest sample, in plant seconds; None without any."""
    row = conn.execute(
        """select max(extract(epoch from newest) - watermark_us / 1e6) from asset_watermarks w
           join (select asset_id, max(at) as newest from last_values join signals using (signal_id) group by 1) n
             using (asset_id)"""
    ).fetchone()
    return None if row is None or row[0] is None else max(0.0, float(row[0]))
