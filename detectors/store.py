"""What the runner keeps: snapshots, watermarks, requests. SQL.

``conn`` is the app role's, inside a transaction on one site. Times are µs since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def watermarks(conn: Connection, asset_ids: Sequence[int] | None = None) -> dict[int, int]:
    """Asset → time of the last row whose findings are committed; of these assets, or of all."""
    query = """select asset_id, watermark_us from asset_watermarks
        where %(ids)s::int[] is null or asset_id = any(%(ids)s)"""
    return dict(conn.execute(query, {"ids": None if asset_ids is None else list(asset_ids)}).fetchall())


def lock_watermarks(conn: Connection, asset_ids: Sequence[int]) -> dict[int, int]:
    """The assets' watermarks, locked until the end of the transaction: one owner at a time."""
    conn.execute(
        """select pg_advisory_xact_lock(hashtext('detectors'), asset_id)
           from (select unnest(%s::int[]) as asset_id order by 1) as in_order""",
        (list(asset_ids),),
    )
    return watermarks(conn, asset_ids)


def save_watermarks(conn: Connection, marks: Mapping[int, int]) -> None:
    """Asset → how far it is judged."""
    conn.execute(
        """insert into asset_watermarks (asset_id, watermark_us) select * from unnest(%s::int[], %s::bigint[])
           on conflict (asset_id) do update set watermark_us = excluded.watermark_us""",
        (list(marks), list(marks.values())),
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


def requests(conn: Connection, *, after_us: Mapping[int, int]) -> dict[int, list[Request]]:
    """Asset → requests later than its time, and all that are still open, by time."""
    rows = conn.execute(
        """select r.asset_id, r.request_id, r.action, (extract(epoch from r.at) * 1000000)::bigint,
             r.done_at is not null
           from unnest(%s::int[], %s::bigint[]) as a(asset_id, after_us) join detector_requests r using (asset_id)
           where r.done_at is null or r.at > 'epoch'::timestamptz + a.after_us * interval '1 microsecond'
           order by r.at, r.request_id""",
        (list(after_us), list(after_us.values())),
    )
    found: dict[int, list[Request]] = {}
    for asset_id, request_id, action, at_us, done in rows:
        found.setdefault(asset_id, []).append(Request(request_id, Action(action), at_us, done))
    return found


def finish(conn: Connection, request_ids: Sequence[int], *, now: datetime) -> None:
    conn.execute("update detector_requests set done_at = %s where request_id = any(%s)", (now, list(request_ids)))


def clear_bands(conn: Connection, signal_ids: Sequence[int], after_us: int, until_us: int) -> None:
    """Forget what was expected of these signals in (after, until]."""
    conn.execute(
        """delete from bands where signal_id = any(%s) and at > 'epoch'::timestamptz + %s * interval '1 microsecond'
             and at <= 'epoch'::timestamptz + %s * interval '1 microsecond'""",
        (list(signal_ids), after_us, until_us),
    )


def by_signal(batch: SampleBatch) -> SampleBatch:
    """The samples in order of their signals, else as they came."""
    order = np.argsort(batch.signal_id, kind="stable")
    return SampleBatch(batch.signal_id[order], batch.at_us[order], batch.value[order], batch.quality[order])


def samples_of(batch: SampleBatch, signals: Sequence[Signal], after_us: int) -> SampleBatch:
    """The samples of these signals after a time; ``batch`` in order of its signals."""
    ids = np.array([signal.signal_id for signal in signals], dtype=batch.signal_id.dtype)
    begins, ends = (np.searchsorted(batch.signal_id, ids, side=side) for side in ("left", "right"))
    mine = np.concatenate([np.arange(begin, end) for begin, end in zip(begins, ends, strict=True)])
    mine = mine[batch.at_us[mine] > after_us]
    return SampleBatch(batch.signal_id[mine], batch.at_us[mine], batch.value[mine], batch.quality[mine])
