"""Meters: running hours and counts, read by hand, from a counter's signal, or counted while a state says that it runs.

record ──▶ meter_readings (value as read, total that goes on) ──▶ level: total, rate, when a target is reached
collect   what signals say since the last look, once a minute, as far as all samples are known to have come; what comes
          later is counted with the next reading
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, LiteralString

import numpy as np
from psycopg import Connection
from psycopg.rows import class_row

from core.errors import Conflict, NotFound, Stale
from maintenance.errors import BadReading
from plant import assets, telemetry
from plant.model import Quality, SampleBatch
from plant.times import from_us, to_us

RATE_OVER = timedelta(days=28)
SHORTEST = timedelta(hours=12)  # between two readings that tell a rate
LONGEST_STEP = timedelta(days=2)  # samples that are read at once
LATE = timedelta(minutes=2)  # samples may still come
EVERY = timedelta(hours=1)  # a reading of what a signal counts
GAP = timedelta(minutes=15)  # a periodic state that was not heard of for so long counts no further …
PERIODS = 5  # … or so many of its periods
FOREVER = timedelta(days=36_500)  # a state told on change holds until the next, while its source is heard
MOST_VALUE = 1e12
SELECT: LiteralString = """
  select m.meter_id, m.version, m.asset_id, a.code, m.code, m.name, m.unit, m.way, m.signal_id, r.total, r.value, r.at
  from meters m join assets a using (asset_id)
  left join lateral (select total, value, at from meter_readings r where r.meter_id = m.meter_id
    order by at desc limit 1) r on true """


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter with its newest reading. ``way``: by_hand, counter (a signal's value), running_hours (a state's)."""

    meter_id: int
    version: int
    asset_id: int
    asset: str
    code: str
    name: str
    unit: str
    way: str
    signal_id: int | None
    total: float | None
    value: float | None
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class Reading:
    """``value`` as read, ``total`` as counted on."""

    at: datetime
    value: float
    total: float
    by_name: str


@dataclass(frozen=True, slots=True)
class Rate:
    """Where a meter stands and how much comes in a day, over the last four weeks; None: one reading tells no rate."""

    total: float
    at: datetime
    per_day: float | None


# -- asking -----------------------------------------------------------------------------------------------------------


def find(conn: Connection, asset_id: int | None = None) -> list[Meter]:
    """The meters of an asset, or of all."""
    rows = conn.execute(SELECT + "where m.asset_id = coalesce(%s, m.asset_id) order by a.code, m.code", (asset_id,))
    return [Meter(*row) for row in rows]


def get(conn: Connection, meter_id: int) -> Meter:
    """Raises NotFound."""
    row = conn.execute(SELECT + "where m.meter_id = %s", (meter_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no meter {meter_id} on this site.")
    return Meter(*row)


def readings(conn: Connection, meter_id: int, *, most: int = 200) -> list[Reading]:
    """The newest first."""
    get(conn, meter_id)
    rows = conn.execute(
        "select at, value, total, by_name from meter_readings where meter_id = %s order by at desc limit %s",
        (meter_id, most),
    )
    return [Reading(*row) for row in rows]


def rates(conn: Connection, meter_ids: Sequence[int], *, now: datetime) -> dict[int, Rate]:
    """Total and daily rate of every meter that was ever read."""
    rows = conn.execute(
        """select distinct on (l.meter_id) l.meter_id, l.total, l.at, f.total, f.at
           from (select distinct on (meter_id) meter_id, total, at from meter_readings
                 where meter_id = any(%(ids)s) and at <= %(now)s order by meter_id, at desc) l
           left join meter_readings f on f.meter_id = l.meter_id and f.at <= l.at - %(least)s
             and f.at >= l.at - %(over)s
           order by l.meter_id, f.at""",
        {"ids": list(meter_ids), "now": now, "over": RATE_OVER, "least": SHORTEST},
    )
    found = {}
    for meter_id, total, at, first, first_at in rows:
        days = None if first_at is None else (at - first_at) / timedelta(days=1)
        found[meter_id] = Rate(total, at, (total - first) / days if days else None)
    return found


# -- changing ---------------------------------------------------------------------------------------------------------


def create(
    conn: Connection, *, asset_id: int, code: str, name: str, unit: str, way: str, signal_id: int | None, now: datetime
) -> Meter:
    """A new meter. Raises AssetNotFound, SignalNotFound, BadReading, Conflict."""
    assets.asset(conn, asset_id)
    if (way == "by_hand") != (signal_id is None):
        raise BadReading("A meter is read by hand, or it counts by a signal: name a signal exactly when it does.")
    if signal_id is not None:
        assets.signal(conn, signal_id)
    row = conn.execute(
        """insert into meters (asset_id, code, name, unit, way, signal_id, watermark_at)
           values (%s, %s, %s, %s, %s, %s, %s) on conflict (asset_id, code) do nothing returning meter_id""",
        (asset_id, code, name, unit, way, signal_id, now),
    ).fetchone()
    if row is None:
        raise Conflict(f"The asset has a meter {code!r} already.")
    return get(conn, row[0])


def rename(conn: Connection, meter_id: int, *, name: str, unit: str, version: int) -> Meter:
    """Other words for it. Raises NotFound, Stale."""
    conn.execute("select 1 from meters where meter_id = %s for update", (meter_id,))
    standing = get(conn, meter_id)
    if standing.version != version:
        raise Stale(current={"meter_id": meter_id, "version": standing.version}, given_version=version)
    conn.execute(
        "update meters set name = %s, unit = %s, version = version + 1 where meter_id = %s", (name, unit, meter_id)
    )
    return get(conn, meter_id)


def record(
    conn: Connection, meter_id: int, *, value: float, at: datetime, by_name: str, replaced: bool = False
) -> Meter:
    """A reading. ``replaced``: the meter was changed or started again, the total goes on. The same again changes
    nothing. Raises NotFound, BadReading."""
    conn.execute("select 1 from meters where meter_id = %s for update", (meter_id,))
    meter = get(conn, meter_id)
    if meter.way == "running_hours" and meter.total is not None:
        raise BadReading(f"{meter.code} counts its running hours by itself. Correct the state signal it counts by.")
    if not (isfinite(value) and 0 <= value <= MOST_VALUE):
        raise BadReading("A reading is a number from 0 on.")
    if meter.read_at is not None and at <= meter.read_at:
        if (at, value) == (meter.read_at, meter.value):
            return meter
        raise BadReading(f"{meter.code} was read at {meter.read_at:%Y-%m-%d %H:%M} UTC: a reading is later than that.")
    _add(conn, meter, value, at, by_name, replaced=replaced)
    return get(conn, meter_id)


def collect(conn: Connection, now: datetime) -> int:
    """Take what the signals say since the last look; returns how many readings that made. A meter whose samples are
    behind is brought up in steps, one a look."""
    with conn.cursor(row_factory=class_row(_Counting)) as cursor:
        due = cursor.execute(DUE, {"until": now - LATE, "before": now - LATE - EVERY}).fetchall()
    return sum(_collect(conn, each) for each in due)


# -- inside -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Counting:
    """A meter that counts by a signal; ``known_at``: up to then its samples have come."""

    meter_id: int
    asset_id: int
    way: str
    signal_id: int
    watermark_at: datetime
    running: bool
    arrivals_seen: int | None
    known_at: datetime
    period_s: float
    report: str

    @property
    def gap(self) -> timedelta:
        return FOREVER if self.report == "on_change" else max(GAP, timedelta(seconds=PERIODS * self.period_s))


def _collect(conn: Connection, each: _Counting) -> int:
    until = min(each.known_at, each.watermark_at + LONGEST_STEP)
    if each.way == "counter":
        batch = _samples(conn, each.signal_id, each.watermark_at, until)
        made, running = _count(conn, get(conn, each.meter_id), batch), each.running
    else:
        made, running = _run(conn, each, until)
    conn.execute(
        """update meters set watermark_at = %s, running = %s,
             arrivals_seen = (select coalesce(max(arrival_id), 0) from late_arrivals where asset_id = %s)
           where meter_id = %s""",
        (until, running, each.asset_id, each.meter_id),
    )
    return made


def _run(conn: Connection, each: _Counting, until: datetime) -> tuple[int, bool]:
    """Count on; where samples came late, again from the last reading before them. A meter never counts back."""
    meter = get(conn, each.meter_id)
    base = _before_late(conn, each)
    since, value = (each.watermark_at, meter.value or 0.0) if base is None else base
    known = base is None and meter.total is not None
    hours, running = _hours(conn, each, since, until, each.running if known else None)
    reached = max(value + hours, meter.value or 0.0)
    fresh = meter.total is None or reached > (meter.value or 0.0)
    if fresh:
        _add(conn, meter, reached, until, "millwright")
    return int(fresh), running


def _before_late(conn: Connection, each: _Counting) -> tuple[datetime, float] | None:
    """(when, value) of the newest reading before what came late since the last look; None: nothing did."""
    row = conn.execute(
        """select r.at, r.value from (select min(from_us) as from_us from late_arrivals
             where asset_id = %s and arrival_id > %s and %s = any(signals)) late
           cross join lateral (select at, value from meter_readings where meter_id = %s
             and extract(epoch from at) * 1000000 <= late.from_us order by at desc limit 1) r""",
        (each.asset_id, each.arrivals_seen or 0, each.signal_id, each.meter_id),
    ).fetchone()
    return None if row is None else (row[0], row[1])


def _hours(
    conn: Connection, each: _Counting, since: datetime, until: datetime, running: bool | None
) -> tuple[float, bool]:
    """Running hours of this time, read in steps; ``running`` None: as the last sample before it says."""
    if running is None:
        before = _samples(conn, each.signal_id, since - LONGEST_STEP, since)
        running = bool(len(before)) and float(before.value[-1]) > 0
    total = 0.0
    while since < until:
        step = min(until, since + LONGEST_STEP)
        batch = _samples(conn, each.signal_id, since, step)
        hours, running = running_hours(batch.at_us, batch.value, since=since, until=step, running=running, gap=each.gap)
        total, since = total + hours, step
    return total, running


def _samples(conn: Connection, signal_id: int, since: datetime, until: datetime) -> SampleBatch:
    return _good(telemetry.read_frame_samples(conn, [signal_id], to_us(since), to_us(until)))


def running_hours(
    at_us: Any, value: Any, *, since: datetime, until: datetime, running: bool, gap: timedelta = GAP
) -> tuple[float, bool]:
    """Hours within ``since`` … ``until`` during which the state was not 0, and whether it is running at the end.

    A state holds until the next sample, but no longer than ``gap``: silence is not running time. Pure.
    """
    edges = np.concatenate([[to_us(since)], at_us, [to_us(until)]]).astype(np.float64)
    states = np.concatenate([[running], np.asarray(value) > 0])
    lengths = np.minimum(np.diff(edges), gap / timedelta(microseconds=1))
    hours = float(lengths[states].sum()) / 3.6e9
    heard = len(at_us) > 0 or until - since <= gap
    return hours, bool(states[-1]) and heard


def _good(batch: SampleBatch) -> SampleBatch:
    good = (batch.quality != Quality.BAD) & np.isfinite(batch.value)
    return SampleBatch(batch.signal_id[good], batch.at_us[good], batch.value[good], batch.quality[good])


def _count(conn: Connection, meter: Meter, batch: SampleBatch) -> int:
    """The newest value of each hour; one that fell began again."""
    if not len(batch):
        return 0
    hours = batch.at_us // 3_600_000_000
    last = np.flatnonzero(np.append(hours[1:] != hours[:-1], True))
    made = 0
    for i in last:
        at, value = from_us(int(batch.at_us[i])), float(batch.value[i])
        if 0 <= value <= MOST_VALUE and (meter.read_at is None or at > meter.read_at):
            _add(conn, meter, value, at, "millwright", replaced=meter.value is not None and value < meter.value)
            meter, made = get(conn, meter.meter_id), made + 1
    return made


def _add(conn: Connection, meter: Meter, value: float, at: datetime, by_name: str, *, replaced: bool = False) -> None:
    before: Mapping[str, float] = {"value": meter.value or 0.0, "total": meter.total or 0.0}
    if meter.total is None:
        total = value
    elif replaced:
        total = before["total"] + value
    elif value < before["value"]:
        raise BadReading(
            f"{meter.code} stood at {meter.value:g} {meter.unit} before. A meter counts up: check the number, or say "
            "that the meter was replaced."
        )
    else:
        total = before["total"] + value - before["value"]
    conn.execute(
        "insert into meter_readings (meter_id, at, value, total, by_name) values (%s, %s, %s, %s, %s)",
        (meter.meter_id, at, value, total, by_name),
    )


# All of an asset's samples have come up to where it is judged; one that nothing judges, up to its newest sample, and a
# state that is told on change also up to the newest of its source.
DUE: LiteralString = """
  select m.meter_id, s.asset_id, m.way, m.signal_id, m.watermark_at, m.running, m.arrivals_seen, s.period_s,
    coalesce(way.report, case when s.role = 'measured' then 'periodic' else 'on_change' end) as report,
    least(%(until)s, known.at) as known_at
  from meters m join signals s using (signal_id)
  left join lateral (select b.report, t.last_sample_at from bindings b
    left join source_status t on t.site_id = b.site_id and t.source = b.source
    where b.signal_id = m.signal_id order by b.binding_id desc limit 1) way on true
  cross join lateral (select coalesce(
    (select to_timestamp(w.watermark_us / 1000000.0) from asset_watermarks w where w.asset_id = s.asset_id),
    greatest((select max(v.at) from last_values v join signals n using (signal_id) where n.asset_id = s.asset_id),
             way.last_sample_at)) as at) known
  where m.signal_id is not null and m.watermark_at < %(before)s and known.at > m.watermark_at
  order by m.meter_id for update of m skip locked"""
