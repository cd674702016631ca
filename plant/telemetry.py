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
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from psycopg import Connection, sql

from plant import engine
from plant.binary import COPY_HEADER, COPY_TRAILER, PG_EPOCH_US, pack_samples, unpack
from plant.engine import Kind
from plant.model import Floats, Int64s, Quality, SampleBatch
from plant.points import Points, fold, overlay
from plant.times import DAY_US as DAY_US
from plant.times import HOUR_US, MINUTE_US, date_of
from plant.times import from_us as from_us
from plant.times import to_us as to_us
from plant.unrolled import Open, Span, open_stretches

SLOW_S = 30.0  # signals sampled slower than this have no minute rollups: their samples serve
QUALITIES = tuple(Quality)  # by their numbers
WORTH_COMPRESSING = 40_000  # bytes of a COPY, about a thousand rows: fewer make batches that hold little


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


class Latest(NamedTuple):
    """The newest sample of a signal. ``value`` is None when it was bad and had none."""

    # a tuple, for ten thousand are made at once

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
    """COPY rows of one day (days since epoch), packed by ``plant.binary.pack_samples``, to where that day lies.

    Rows sorted by signal and time are stored best: a columnstore compresses them as they come.
    """
    kind = engine.kind_of(conn)
    table = partition(day) if kind is Kind.NATIVE else engine.HYPERTABLE
    if kind is Kind.COMPRESSING and len(packed) >= WORTH_COMPRESSING:
        conn.execute("set local timescaledb.enable_direct_compress_copy = on")
    statement = sql.SQL("copy {} (at, value, signal_id, quality, site_id) from stdin (format binary)")
    with conn.cursor().copy(statement.format(sql.Identifier(table))) as copy:
        copy.write(COPY_HEADER)
        copy.write(packed)
        copy.write(COPY_TRAILER)


def ensure_days(conn: Connection, days: Iterable[int]) -> None:
    """Make the partitions of these days (days since epoch); a hypertable makes its own."""
    for day in days:
        conn.execute("select ensure_sample_partition(%s)", (date_of(day),))


def partition(day: int) -> str:
    """Name of a day's native partition."""
    return f"samples_{date_of(day):%Y%m%d}"


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
        ids=_ids(signal_ids),
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
    unrolled = Open() if resolution is Resolution.RAW else open_stretches(conn, span)
    found = {}
    for signal_id in signal_ids:
        slow = periods.get(signal_id, 1.0) >= SLOW_S
        points = _points(conn, signal_id, span, resolution, slow=slow, unrolled=unrolled)
        found[signal_id] = _series(points, span, max_points, resolution)
    return found


def latest(conn: Connection, signal_ids: Sequence[int]) -> dict[int, Latest]:
    """The newest sample of each signal that has one, about a second behind the store."""
    query = sql.SQL("select signal_id, at, value, quality from last_values where signal_id = any({})")
    rows = conn.cursor(binary=True).execute(query.format(_ids(signal_ids))).fetchall()
    return {
        signal_id: Latest(at, value if math.isfinite(value) else None, QUALITIES[quality])
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


def _finest(period_s: float, span_s: float, max_points: int) -> Resolution:
    if span_s / period_s <= max_points or span_s <= 900:
        return Resolution.RAW
    return Resolution.MINUTE if span_s / 60 <= 8 * max_points else Resolution.HOUR


def _periods(conn: Connection, signal_ids: Sequence[int]) -> dict[int, float]:
    rows = conn.execute("select signal_id, period_s from signals where signal_id = any(%s)", (list(signal_ids),))
    return dict(rows.fetchall())


def _points(
    conn: Connection, signal_id: int, span: Span, resolution: Resolution, *, slow: bool, unrolled: Open
) -> Points:
    """One signal's points, what is not rolled yet included."""
    if resolution is Resolution.RAW or (slow and resolution is Resolution.MINUTE):
        return _raw(conn, signal_id, span)
    if resolution is Resolution.MINUTE:
        return _minutes(conn, signal_id, span, unrolled)
    return _slow_hours(conn, signal_id, span, unrolled) if slow else _hours(conn, signal_id, span, unrolled)


def _minutes(conn: Connection, signal_id: int, span: Span, unrolled: Open) -> Points:
    points = _rolled(conn, signal_id, 60, span)
    for low, high in unrolled.of(signal_id, span):
        points = overlay(points, fold(_raw(conn, signal_id, (low, high)), MINUTE_US).between(*span))
    return points


def _hours(conn: Connection, signal_id: int, span: Span, unrolled: Open) -> Points:
    """An hour that is not rolled is made of its minutes, of which some may not be rolled either."""
    points = _rolled(conn, signal_id, 3600, span)
    for low, high in unrolled.of(signal_id, span):
        hours = (low // HOUR_US * HOUR_US, -(-high // HOUR_US) * HOUR_US)
        points = overlay(points, fold(_minutes(conn, signal_id, hours, unrolled), HOUR_US).between(*span))
    return points


def _slow_hours(conn: Connection, signal_id: int, span: Span, unrolled: Open) -> Points:
    """A slow signal has no minutes: an hour that is in part rolled stays so until the next roll, a few seconds."""
    points = _rolled(conn, signal_id, 3600, span)
    for low, high in unrolled.of(signal_id, span):
        points = overlay(points, fold(_raw(conn, signal_id, (low, high)), HOUR_US).between(*span))
    return points


def _raw(conn: Connection, signal_id: int, span: Span) -> Points:
    return _fetch(
        conn,
        sql.SQL(
            """select at, 1::int8, value, value, value from samples
               where signal_id = {} and at >= {} and at < {} and quality < 2 order by at"""
        ).format(sql.Literal(int(signal_id)), _literal(span[0]), _literal(span[1])),
    )


def _rolled(conn: Connection, signal_id: int, width_s: int, span: Span) -> Points:
    return _fetch(
        conn,
        sql.SQL(
            """select bucket, n::int8, mean, low, high from rollups
               where signal_id = {} and width_s = {} and bucket >= {} and bucket < {} order by bucket"""
        ).format(sql.Literal(int(signal_id)), sql.Literal(width_s), _literal(span[0]), _literal(span[1])),
    )


def _fetch(conn: Connection, query: sql.Composed) -> Points:
    with conn.cursor().copy(sql.SQL("copy ({}) to stdout (format binary)").format(query)) as copy:
        rows = unpack(b"".join(copy), ("at", "i8"), ("n", "i8"), ("mean", "f8"), ("low", "f8"), ("high", "f8"))
    mean, low, high = (rows[name].astype(np.float64) for name in ("mean", "low", "high"))
    return Points(rows["at"] + PG_EPOCH_US, rows["n"].astype(np.int64), mean, low, high)


def _series(points: Points, span: Span, most: int, resolution: Resolution) -> Series:
    """Put neighbours together on an even grid until at most ``most`` points are left."""
    if len(points) <= most:
        many = resolution is not Resolution.RAW
        low, high = (points.low, points.high) if many else (None, None)
        return Series(points.at_us, points.mean, low, high, resolution)
    thin = fold(points, -(-(span[1] - span[0]) // most), origin_us=span[0])
    return Series(thin.at_us, thin.mean, thin.low, thin.high, resolution)


def _ids(signal_ids: Sequence[int]) -> sql.Composed:
    """As one text, which is told ten times faster than a list of ten thousand literals."""
    return sql.SQL("{}::int[]").format(sql.Literal("{" + ",".join(map(str, map(int, signal_ids))) + "}"))


def _literal(us: int) -> sql.Literal:
    return sql.Literal(from_us(us))
