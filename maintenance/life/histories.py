"""The lives of machines as even grids of signal values, read from the store. SQL.

A life begins at the last failure, or the last repair that telemetry vouched for, or with the first sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from psycopg import Connection

from plant import assets, telemetry
from plant.model import Floats, Role
from plant.times import to_us

HOUR = timedelta(hours=1)
HOUR_US = 3_600_000_000
MOST_STEPS = 2000  # of a life, its newest
FINER = 2  # points read for each step at least


def measured(conn: Connection, asset_id: int) -> dict[str, int]:
    """Code → signal id of what is measured on the machine itself."""
    return {each.code: each.signal_id for each in assets.signals(conn, asset_id) if each.role is Role.MEASURED}


def began(conn: Connection, asset_id: int, *, before: datetime) -> datetime | None:
    """When the life that lasted just ``before`` had begun; None where there is no sample."""
    row = conn.execute(
        """select greatest(
             (select max(failed_at) from failures where asset_id = %(asset)s and failed_at < %(at)s),
             (select max(v.started_at) from verifications v join tickets t using (ticket_id)
              where v.asset_id = %(asset)s and t.status = 'closed' and v.started_at < %(at)s),
             (select min(r.bucket) from rollups r join signals s using (signal_id)
              where s.asset_id = %(asset)s and r.width_s = 3600 and r.bucket < %(at)s))""",
        {"asset": asset_id, "at": before},
    ).fetchone()
    return row[0] if row else None


def grid(conn: Connection, signal_ids: Sequence[int], *, start: datetime, end: datetime, step_h: float) -> Floats:
    """Mean of each signal in each step of start ≤ at < end, float64[steps, signals]; NaN where nothing was heard."""
    steps = max(1, int(np.ceil((end - start) / HOUR / step_h)))
    if steps > MOST_STEPS:
        start, steps = start + (steps - MOST_STEPS) * step_h * HOUR, MOST_STEPS
    series = telemetry.read(conn, signal_ids, start, end, max_points=max(800, FINER * steps))
    values = np.full((steps, len(signal_ids)), np.nan)
    for column, signal_id in enumerate(signal_ids):
        found = series[signal_id]
        at = np.floor((found.at_us - to_us(start)) / (step_h * HOUR_US)).astype(np.int64)
        known = (at >= 0) & (at < steps) & np.isfinite(found.value)
        count = np.bincount(at[known], minlength=steps)
        total = np.bincount(at[known], weights=found.value[known], minlength=steps)
        values[count > 0, column] = total[count > 0] / count[count > 0]
    return values
