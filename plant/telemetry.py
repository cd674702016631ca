"""Where samples lie: day partitions with BRIN, last values, minute and hour rollups, bands. SQL.

    ingest ── write ──> samples ── roll ──> rollups
                  └───> last_values              └──> read (plots)      samples ──> read_frame_samples (detectors)

``conn`` of ``write``, ``copy_rows``, ``ensure_days`` and ``drop_before`` is the ingest role's, of all others the app
role's, on one site. Last values and rollups are written by ``plant.rollups``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt
from psycopg import Connection, sql

from plant.binary import COPY_HEADER, COPY_TRAILER, PG_EPOCH_US, pack_samples, unpack
from plant.model import Floats, Int64s, Quality, SampleBatch

DAY_US = 86_400_000_000
SLOW_S = 30.0  # signals sampled slower than this have no minute rollups: their samples serve
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Resolution(StrEnum):
    """AUTO takes the finest that gives about ``max_points`` without reading much more."""

    RAW = "raw"
    MINUTE = "1m"
    HOUR = "1h"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Series:
    """One signal over time. Where several samples became one point, ``low`` and ``high`` are their extremes and
    ``value`` their mean, else both are None. Bad samples are left out. ``at_us`` int64[n] is a point's start."""

    at_us: Int64s
    value: Floats
    low: Floats | None
    high: Floats | None
    resolution: Resolution


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest sample of a signal. ``value`` is None when it was bad and had none."""

    at: datetime
    value: float | None
    quality: Quality


class BandLike(Protocol):
    """``detectors.base.Band`` or the like."""

    @property
    def signal_id(self) -> int: ...
    @property
    def at_us(self) -> int: ...
    @property
    def expected(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Bands:
    """Expectation over time: columns of equal length."""

    at_us: Int64s
    low: Floats
    expected: Floats
    high: Floats


def to_us(moment: datetime) -> int:
    """µs since epoch of an aware time."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    """Aware UTC time of µs since epoch."""
    return EPOCH + timedelta(microseconds=int(us))


def write(conn: Connection, batch: SampleBatch, *, site_ids: npt.NDArray[np.int16]) -> int:
    """Store samples, sorted by (day, signal, time); returns how many. ``site_ids`` int16[n] goes along with the batch.

    The days' partitions must exist (``ensure_days``). No sample is looked up: what is stored twice is there twice.
    """
    days = batch.at_us // DAY_US
    for day in np.unique(days):
        rows = np.flatnonzero(days == day)
        order = rows[np.lexsort((batch.at_us[rows], batch.signal_id[rows]))]
        copy_rows(conn, int(day), pack_samples(batch, site_ids, order))
    return len(batch)


def copy_rows(conn: Connection, day: int, packed: bytes | memoryview) -> None:
    """COPY rows of one day (days since epoch), packed by ``plant.binary.pack_samples``, into its partition."""
    statement = sql.SQL("copy {} (at, value, signal_id, quality, site_id) from stdin (format binary)")
    with conn.cursor().copy(statement.format(sql.Identifier(partition(day)))) as copy:
        copy.write(COPY_HEADER)
        copy.write(packed)
        copy.write(COPY_TRAILER)


def ensure_days(conn: Connection, days: Iterable[int]) -> None:
    """Make the partitions of these days (days since epoch)."""
    for day in days:
        conn.execute("select ensure_sample_partition(%s)", (date(1970, 1, 1) + timedelta(days=day),))


def partition(day: int) -> str:
    """Name of a day's partition."""
    return f"samples_{date(1970, 1, 1) + timedelta(days=day):%Y%m%d}"


def read_frame_samples(conn: Connection, signal_ids: Sequence[int], after_us: int, until_us: int) -> SampleBatch:
    """Samples with after < at ≤ until of these signals, bad ones too (their value may be NaN), by time, then signal.

    One call for many assets reads the store once: samples lie by time, not by signal.
    """
    statement = sql.SQL(
        """copy (select signal_id, at, value, quality from samples
             where at > {after} and at <= {until} and signal_id = any({ids}) order by at, signal_id, value)
           to stdout (format binary)"""
    ).format(
        after=_literal(after_us),
        until=_literal(until_us),
        ids=sql.Literal([int(signal_id) for signal_id in signal_ids]),
    )
    with conn.cursor().copy(statement) as copy:
        rows = unpack(b"".join(copy), ("signal_id", "i4"), ("at", "i8"), ("value", "f8"), ("quality", "i2"))
    return SampleBatch(
        rows["signal_id"].astype(np.int32),
        rows["at"] + PG_EPOCH_US,
        rows["value"].astype(np.float64),
        rows["quality"].astype(np.uint8),
    )


def read(
    conn: Connection,
    signal_ids: Sequence[int],
    start: datetime,
    end: datetime,
    *,
    resolution: Resolution = Resolution.AUTO,
    max_points: int = 800,
) -> dict[int, Series]:
    """Series of start ≤ at < end for plots, one for every signal asked for (empty when nothing is there).

    Never more than ``max_points`` points a signal: neighbours are put together with their mean and extremes.
    """
    resolution = Resolution(resolution)
    periods = _periods(conn, signal_ids)
    if resolution is Resolution.AUTO:
        span_s = (end - start).total_seconds()
        resolution = _finest(min(periods.values(), default=1.0), span_s, max_points)
    span = (to_us(start), to_us(end))
    found = {}
    for signal_id in signal_ids:
        slow = resolution is Resolution.MINUTE and periods.get(signal_id, 1.0) >= SLOW_S
        points = _points(conn, signal_id, span, Resolution.RAW if slow else resolution)
        found[signal_id] = _thin(points, span, max_points, resolution)
    return found


def latest(conn: Connection, signal_ids: Sequence[int]) -> dict[int, Latest]:
    """The newest sample of each signal that has one, about a second behind the store."""
    rows = conn.execute(
        "select signal_id, at, value, quality from last_values where signal_id = any(%s)", (list(signal_ids),)
    )
    return {
        signal_id: Latest(at, value if math.isfinite(value) else None, Quality(quality))
        for signal_id, at, value, quality in rows
    }


def write_bands(conn: Connection, bands: Iterable[BandLike]) -> int:
    """Store what is expected of signals, replacing what was said of the same moment; returns how many."""
    rows = [(band.signal_id, from_us(band.at_us), band.expected, band.low, band.high) for band in bands]
    if rows:
        ids, at, expected, low, high = (list(column) for column in zip(*rows, strict=True))
        conn.execute(
            """insert into bands (signal_id, at, expected, low, high)
               select distinct on (signal_id, at) * from unnest(
                 %s::int[], %s::timestamptz[], %s::float8[], %s::float8[], %s::float8[]) as t(signal_id, at, e, l, h)
               on conflict (signal_id, at) do update
                 set expected = excluded.expected, low = excluded.low, high = excluded.high""",
            (ids, at, expected, low, high),
        )
    return len(rows)


def read_bands(conn: Connection, signal_id: int, start: datetime, end: datetime, *, max_points: int = 400) -> Bands:
    """Bands of start ≤ at < end, every n-th when there are more than ``max_points``."""
    rows = conn.execute(
        "select at, low, expected, high from bands where signal_id = %s and at >= %s and at < %s order by at",
        (signal_id, start, end),
    ).fetchall()
    rows = rows[:: max(1, math.ceil(len(rows) / max_points))]
    at_us = np.array([to_us(row[0]) for row in rows], np.int64)
    columns = np.array([row[1:] for row in rows], np.float64).reshape(len(rows), 3)
    return Bands(at_us, columns[:, 0], columns[:, 1], columns[:, 2])


def drop_before(conn: Connection, day: date) -> int:
    """Retention: drop whole days of samples before ``day``; rollups stay. Returns how many days went."""
    row = conn.execute("select drop_sample_partitions(%s)", (day,)).fetchone()
    return int(row[0]) if row else 0


@dataclass(frozen=True, slots=True)
class _Points:
    at_us: Int64s
    count: Int64s
    mean: Floats
    low: Floats
    high: Floats


def _finest(period_s: float, span_s: float, max_points: int) -> Resolution:
    if span_s / period_s <= max_points or span_s <= 900:
        return Resolution.RAW
    return Resolution.MINUTE if span_s / 60 <= 8 * max_points else Resolution.HOUR


def _periods(conn: Connection, signal_ids: Sequence[int]) -> dict[int, float]:
    rows = conn.execute("select signal_id, period_s from signals where signal_id = any(%s)", (list(signal_ids),))
    return dict(rows.fetchall())


def _points(conn: Connection, signal_id: int, span: tuple[int, int], resolution: Resolution) -> _Points:
    if resolution is Resolution.RAW:
        query = sql.SQL(
            """select at, 1::int8, value, value, value from samples
               where signal_id = {signal} and at >= {start} and at < {end} and quality < 2 order by at"""
        )
    else:
        query = sql.SQL(
            """select bucket, n::int8, mean, low, high from rollups
               where signal_id = {signal} and width_s = {width} and bucket >= {start} and bucket < {end}
               order by bucket"""
        )
    chosen = query.format(
        signal=sql.Literal(int(signal_id)),
        width=sql.Literal(3600 if resolution is Resolution.HOUR else 60),
        start=_literal(span[0]),
        end=_literal(span[1]),
    )
    with conn.cursor().copy(sql.SQL("copy ({}) to stdout (format binary)").format(chosen)) as copy:
        rows = unpack(b"".join(copy), ("at", "i8"), ("n", "i8"), ("mean", "f8"), ("low", "f8"), ("high", "f8"))
    at_us, count = rows["at"] + PG_EPOCH_US, rows["n"].astype(np.int64)
    mean, low, high = (rows[name].astype(np.float64) for name in ("mean", "low", "high"))
    return _Points(at_us, count, mean, low, high)


def _thin(points: _Points, span: tuple[int, int], most: int, resolution: Resolution) -> Series:
    """Put neighbours together on an even grid until at most ``most`` points are left."""
    if len(points.at_us) <= most:
        many = resolution is not Resolution.RAW
        low, high = (points.low, points.high) if many else (None, None)
        return Series(points.at_us, points.mean, low, high, resolution)
    width = -(-(span[1] - span[0]) // most)
    cell = (points.at_us - span[0]) // width
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    count = np.add.reduceat(points.count, starts)
    return Series(
        span[0] + cell[starts] * width,
        np.add.reduceat(points.mean * points.count, starts) / count,
        np.minimum.reduceat(points.low, starts),
        np.maximum.reduceat(points.high, starts),
        resolution,
    )


def _literal(us: int) -> sql.Literal:
    return sql.Literal(from_us(us))
