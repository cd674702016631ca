"""What the runner keeps: snapshots, watermarks, requests. SQL.

``conn`` is the app role's, inside a transaction on one site. Times are µs since the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from psycopg import Connection

from detectors.line import Action, Request
from plant.model import SampleBatch, Signal


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A chain's state after the row at ``watermark_us``."""

    version: str
    watermark_us: int
    state: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """The newest sample of a signal: its own time, and how long ago it came, in seconds of the wall."""

    at_us: int
    ago_s: float


def heard(conn: Connection) -> dict[int, Heard]:
    """Newest sample of every signal of the site that was ever heard."""
    rows = conn.execute(
        """select signal_id, (extract(epoch from at) * 1000000)::bigint,
             extract(epoch from clock_timestamp() - heard_at)::float8 from last_values"""
    )
    return {row[0]: Heard(row[1], row[2]) for row in rows}


def backfilling(conn: Connection, *, before: datetime, within_s: float) -> set[int] | None:
    """Signals whose samples older than ``before`` (plant time) were stored within the last seconds of the wall.

    None: some batch does not say which signals it touched, so it may be any.
    """
    rows = conn.execute(
        """select signals from ingest_batches
           where stored_at > clock_timestamp() - make_interval(secs => %s) and max_at < %s""",
        (within_s, before),
    ).fetchall()
    if any(row[0] is None for row in rows):
        return None
    return {signal_id for row in rows for signal_id in row[0]}


def first_sample_us(conn: Connection, signal_ids: Sequence[int]) -> int | None:
    """Time of the oldest sample of these signals."""
    row = conn.execute(
        "select (extract(epoch from min(at)) * 1000000)::bigint from samples where signal_id = any(%s)",
        (list(signal_ids),),
    ).fetchone()
    return None if row is None else row[0]


def next_sample_us(conn: Connection, signal_ids: Sequence[int], after_us: int) -> int | None:
    """Time of the first sample after ``after_us``."""
    row = conn.execute(
        """select (extract(epoch from min(at)) * 1000000)::bigint from samples
           where signal_id = any(%s) and at > 'epoch'::timestamptz + %s * interval '1 microsecond'""",
        (list(signal_ids), after_us),
    ).fetchone()
    return None if row is None else row[0]


def watermarks(conn: Connection) -> dict[int, int]:
    """Asset → time of the last row whose findings are committed."""
    return dict(conn.execute("select asset_id, watermark_us from asset_watermarks").fetchall())


def lock_watermark(conn: Connection, asset_id: int) -> int | None:
    """The asset's watermark, locked until the end of the transaction: one owner at a time. None: never judged."""
    conn.execute("select pg_advisory_xact_lock(hashtext('detectors'), %s)", (asset_id,))
    row = conn.execute("select watermark_us from asset_watermarks where asset_id = %s", (asset_id,)).fetchone()
    return None if row is None else row[0]


def save_watermark(conn: Connection, asset_id: int, watermark_us: int) -> None:
    conn.execute(
        """insert into asset_watermarks (asset_id, watermark_us) values (%s, %s)
           on conflict (asset_id) do update set watermark_us = excluded.watermark_us""",
        (asset_id, watermark_us),
    )


def snapshot(conn: Connection, asset_id: int, detector: str) -> Snapshot | None:
    row = conn.execute(
        "select version, watermark_us, state from detector_state where asset_id = %s and detector = %s",
        (asset_id, detector),
    ).fetchone()
    return None if row is None else Snapshot(row[0], row[1], bytes(row[2]))


def save_snapshot(conn: Connection, asset_id: int, detector: str, kept: Snapshot) -> None:
    conn.execute(
        """insert into detector_state (asset_id, detector, version, watermark_us, state) values (%s, %s, %s, %s, %s)
           on conflict (asset_id, detector) do update set version = excluded.version,
             watermark_us = excluded.watermark_us, state = excluded.state, saved_at = now()""",
        (asset_id, detector, kept.version, kept.watermark_us, kept.state),
    )


def request(conn: Connection, asset_id: int, action: Action, *, at: datetime) -> int:
    """Ask the asset's detectors to take note of an action at a plant time; returns the request's id."""
    row = conn.execute(
        "insert into detector_requests (asset_id, action, at) values (%s, %s, %s) returning request_id",
        (asset_id, action.value, at),
    ).fetchone()
    assert row is not None  # noqa: S101 - insert … returning gives a row
    return int(row[0])


def open_requests(conn: Connection) -> dict[int, int]:
    """Asset → time of its oldest request that is still open."""
    rows = conn.execute(
        """select asset_id, (extract(epoch from min(at)) * 1000000)::bigint from detector_requests
           where done_at is null group by asset_id"""
    )
    return dict(rows.fetchall())


def requests(conn: Connection, asset_id: int, *, after_us: int) -> list[Request]:
    """Requests later than ``after_us``, and all that are still open, by time."""
    rows = conn.execute(
        """select request_id, action, (extract(epoch from at) * 1000000)::bigint, done_at is not null
           from detector_requests
           where asset_id = %s and (done_at is null or at > 'epoch'::timestamptz + %s * interval '1 microsecond')
           order by at, request_id""",
        (asset_id, after_us),
    )
    return [Request(row[0], Action(row[1]), row[2], row[3]) for row in rows]


def finish(conn: Connection, request_ids: Sequence[int], *, now: datetime) -> None:
    conn.execute("update detector_requests set done_at = %s where request_id = any(%s)", (now, list(request_ids)))


def clear_bands(conn: Connection, signal_ids: Sequence[int], after_us: int, until_us: int) -> None:
    """Forget what was expected of these signals in (after, until]."""
    conn.execute(
        """delete from bands where signal_id = any(%s) and at > 'epoch'::timestamptz + %s * interval '1 microsecond'
             and at <= 'epoch'::timestamptz + %s * interval '1 microsecond'""",
        (list(signal_ids), after_us, until_us),
    )


def samples_of(batch: SampleBatch, signals: Sequence[Signal], after_us: int) -> SampleBatch:
    """The samples of these signals after a time."""
    mine = np.isin(batch.signal_id, [signal.signal_id for signal in signals]) & (batch.at_us > after_us)
    return SampleBatch(batch.signal_id[mine], batch.at_us[mine], batch.value[mine], batch.quality[mine])
