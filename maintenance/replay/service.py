"""One replay from beginning to end: a sandbox, the weeks again, and the difference to what was live."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import Connection

from core.database import Database
from maintenance import policies
from maintenance.errors import NoSandbox
from maintenance.replay import difference, outcome, sandbox
from maintenance.replay.difference import Entry
from maintenance.replay.model import Change, Period, Report, Row
from maintenance.replay.run import Progress, Replay
from maintenance.replay.sandbox import Keeping

SPARE_BYTES = 1_000_000_000  # beside what the samples take
SAMPLE_BYTES = 80  # of a replayed sample: row, index, minutes, and the log of it


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay came to."""

    report: Report
    entries: Sequence[Entry]
    rows: Mapping[str, Sequence[Row]]  # of the sandbox
    sandbox: str


def replay(
    live: Database,
    admin_dsn: str,
    site_id: int,
    *,
    period: Period,
    change: Change | None = None,
    keeping: Keeping = Keeping.DROP,
    progress: Progress | None = None,
) -> Replayed:
    """Run the period again. Live data are only read; the sandbox is dropped whatever happens. Raises NoSandbox."""
    change = change or Change()
    with live.tx(site_id=site_id) as conn:
        if change.policy:
            policies.checked(conn, change.scope, change.policy)
        before = outcome.of(conn, period)
    with sandbox.opened(live, admin_dsn, site_id, keeping=keeping) as made:
        report = Replay(live, made, site_id, period=period, change=change).run(progress)
        with made.tx(site_id=site_id) as conn:
            after = outcome.of(conn, period)
        name = sandbox.name_of(made)
    return Replayed(report, difference.between(before, after, outcome.KEYS), after, name)


def refuse_small_disk(conn: Connection, folder: Path, period: Period) -> None:
    """Raise NoSandbox where the samples of the period would not fit beside what is there."""
    row = conn.execute(
        "select count(*) from samples where at >= %s and at <= %s", (period.begin, period.end)
    ).fetchone()
    wanted = SPARE_BYTES + SAMPLE_BYTES * (int(row[0]) if row else 0)
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise NoSandbox(
            f"The sandbox wants {wanted / 1e9:.1f} GB on the disk, and {free / 1e9:.1f} GB are free. "
            "Replay a shorter time, or make room."
        )
