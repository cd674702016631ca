"""Last values and rollups: caches beside the samples, always brought back to what the samples say. SQL, ingest role.

A flush leaves rows in ``ingest_batches`` that say which stretch of time it touched. ``roll`` computes every touched
minute afresh from the samples and every touched hour from the minutes, so late data are as right as timely ones.
Signals sampled slower than every ``SLOW_S`` have no minutes, which would be as many as their samples; their hours come
from the samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

import numpy as np
import numpy.typing as npt
from psycopg import Connection

from plant.model import Int32s, Int64s, SampleBatch
from plant.telemetry import SLOW_S
from plant.times import HOUR_US, MINUTE_US, from_us, to_us

NARROW_US = 2 * MINUTE_US
MOST_BATCHES = 5_000  # looked at in a transaction
MOST_SAMPLES = 200_000  # that choose what it rolls
BUSY_SAMPLES = 200_000  # in the newest minute: then it is rolled when it is over, since each time costs all of it
RECENT_BATCHES = 2_000
OPEN_FOR = timedelta(seconds=60)  # at most


# PostgreSQL ends a statement whose float sums overflow or underflow, and with it all rolling: in a mean, what is beyond
# 1e150 counts as that much and what is below 1e-290 as nothing. A bucket is never made of fewer samples than it was:
# then retention took the others, and what was computed of all of them holds.
SUMS: LiteralString = """count(*) as n,
      greatest(min(value), least(max(value), avg(greatest(-1e150, least(1e150, value))))) as mean,
      min(value) as low, max(value) as high, max(at) as newest"""
FROM_MINUTES: LiteralString = """sum(n),
      greatest(min(r.low), least(max(r.high), sum(n *
        case when abs(mean) < 1e-290 then 0 else greatest(-1e150, least(1e150, mean)) end) / sum(n))),
      min(r.low), max(r.high), (array_agg(last order by bucket desc))[1]"""
REPLACE: LiteralString = """on conflict (signal_id, width_s, bucket) do update
      set n = excluded.n, mean = excluded.mean, low = excluded.low, high = excluded.high, last = excluded.last
      where excluded.n >= rollups.n"""
INTO: LiteralString = "insert into rollups (signal_id, site_id, width_s, bucket, n, mean, low, high, last)"
MINE: LiteralString = "(%(ids)s::int[] is null or signal_id = any(%(ids)s))"

FIRST_HOUR: LiteralString = "date_bin('1 hour', %(low)s, 'epoch')"
LAST_HOUR: LiteralString = "date_bin('1 hour', %(high)s - interval '1 us', 'epoch') + interval '1 hour'"
WITHIN_MINUTES: LiteralString = "at >= %(low)s and at < %(high)s and quality < 2"
WITHIN_HOURS: LiteralString = f"at >= {FIRST_HOUR} and at < {LAST_HOUR} and quality < 2"

# The last value is looked up by the newest time of its bucket: to sort all samples for it costs half as much again. The
# planner takes the buckets for as many as the samples and would sort all the same, or for a handful and would read the
# samples once a bucket, which never ends where history comes.
ONLY_HASHING: LiteralString = """select set_config('enable_sort', 'off', true),
    set_config('enable_mergejoin', 'off', true), set_config('enable_nestloop', 'off', true),
    set_config('work_mem', '64MB', true)"""
LAST: LiteralString = "select signal_id, sums.site_id"
OF: LiteralString = "bucket, n, mean, low, high, max(value) from sums join samples using (signal_id) where at = newest"
GROUPED: LiteralString = "group by signal_id, sums.site_id, bucket, n, mean, low, high"

MINUTES: LiteralString = f"""{INTO}
    with sums as materialized (
      select signal_id, min(s.site_id) as site_id, date_bin('1 minute', at, 'epoch') as bucket, {SUMS}
      from samples s join signals g using (signal_id)
      where {WITHIN_MINUTES} and g.period_s < %(slow)s and {MINE}
      group by signal_id, bucket)
    {LAST}, 60, {OF} and {WITHIN_MINUTES} {GROUPED}
    {REPLACE}"""  # noqa: S608 - pieces of SQL from this file
HOURS_OF_FAST: LiteralString = f"""{INTO}
    select signal_id, min(r.site_id), 3600, date_bin('1 hour', bucket, 'epoch') as hour, {FROM_MINUTES}
    from rollups r join signals g using (signal_id)
    where width_s = 60 and g.period_s < %(slow)s and bucket >= {FIRST_HOUR} and bucket < {LAST_HOUR} and {MINE}
    group by signal_id, hour
    {REPLACE}"""  # noqa: S608 - pieces of SQL from this file
HOURS_OF_SLOW: LiteralString = f"""{INTO}
    with sums as materialized (
      select signal_id, min(s.site_id) as site_id, date_bin('1 hour', at, 'epoch') as bucket, {SUMS}
      from samples s join signals g using (signal_id)
      where {WITHIN_HOURS} and g.period_s >= %(slow)s and {MINE}
      group by signal_id, bucket)
    {LAST}, 3600, {OF} and {WITHIN_HOURS} {GROUPED}
    {REPLACE}"""  # noqa: S608 - pieces of SQL from this file


@dataclass(frozen=True, slots=True)
class Touched:
    """A stretch of time, both ends included, that new samples fell into; ``signals`` None = any."""

    min_us: int
    max_us: int
    signals: tuple[int, ...] | None
    samples: int


def touched(batch: SampleBatch, *, fresh: npt.NDArray[np.bool_] | None = None) -> list[Touched]:
    """What a flush touches, an entry an hour: a narrow stretch of ``fresh`` rows for any signal, others by name.

    ``fresh`` bool[n]: rows that have just been measured and are newer than all of their signal; None: none is. Whatever
    is not may be late for the detectors, which look at stretches with names.
    """
    if fresh is None or fresh.all():
        return _touched(batch.signal_id, batch.at_us, named=fresh is None)
    old = ~fresh
    return [
        *_touched(batch.signal_id[old], batch.at_us[old], named=True),
        *_touched(batch.signal_id[fresh], batch.at_us[fresh], named=False),
    ]


def _touched(signal_id: Int32s, at_us: Int64s, *, named: bool) -> list[Touched]:
    hours = at_us // HOUR_US
    found = []
    for hour in np.unique(hours):
        rows = hours == hour
        low, high = int(at_us[rows].min()), int(at_us[rows].max())
        names = named or high - low > NARROW_US
        signals = tuple(np.unique(signal_id[rows]).tolist()) if names else None
        found.append(Touched(low, high, signals, int(rows.sum())))
    return found


def note(conn: Connection, stretches: Sequence[Touched], *, quarantined: int = 0, duplicates: int = 0) -> int:
    """Write down what a flush touched, in its transaction; returns the highest batch id (0 when nothing was)."""
    if not stretches:
        return 0
    signals = [None if each.signals is None else "{" + ",".join(map(str, each.signals)) + "}" for each in stretches]
    row = conn.execute(
        """with noted as (
             insert into ingest_batches (min_at, max_at, signals, samples, quarantined, duplicates)
             select low, high, signals::int[], samples,
               case nr when 1 then %s else 0 end, case nr when 1 then %s else 0 end
             from unnest(%s::timestamptz[], %s::timestamptz[], %s::text[], %s::int[])
               with ordinality as t(low, high, signals, samples, nr)
             returning batch_id)
           select max(batch_id) from noted""",
        (
            quarantined,
            duplicates,
            [from_us(each.min_us) for each in stretches],
            [from_us(each.max_us) for each in stretches],
            signals,
            [each.samples for each in stretches],
        ),
    ).fetchone()
    return int(row[0]) if row else 0


def upsert_latest(conn: Connection, batch: SampleBatch, *, site_ids: npt.NDArray[np.int16]) -> None:
    """Newest sample of each signal (one row a signal); an older one than is there changes nothing."""
    if not len(batch):
        return
    conn.execute(
        """insert into last_values (signal_id, site_id, at, value, quality)
           select * from unnest(%s::int[], %s::int[], %s::timestamptz[], %s::float8[], %s::int2[])
           on conflict (signal_id) do update set at = excluded.at, value = excluded.value,
             quality = excluded.quality, heard_at = now()
           where excluded.at >= last_values.at""",
        (
            batch.signal_id.tolist(),
            site_ids.tolist(),
            [from_us(at) for at in batch.at_us.tolist()],
            batch.value.tolist(),
            batch.quality.tolist(),
        ),
    )


def catch_up_latest(conn: Connection) -> None:
    """After a crash: take last values from the samples of every stretch that was not yet rolled."""
    conn.execute(
        """insert into last_values (signal_id, site_id, at, value, quality)
           select distinct on (s.signal_id) s.signal_id, s.site_id, s.at, s.value, s.quality
           from (select min(min_at) as low, max(max_at) as high from ingest_batches where not rolled) as open
             join samples s on s.at >= open.low and s.at <= open.high
           order by s.signal_id, s.at desc
           on conflict (signal_id) do update set at = excluded.at, value = excluded.value, quality = excluded.quality
           where excluded.at > last_values.at"""
    )


def roll(conn: Connection, *, until_batch: int) -> int:
    """Bring the rollups up to date with batches up to ``until_batch``; returns how many were looked at.

    At most about ``MOST_SAMPLES`` a call, so that a transaction stays short: call until it returns 0. A newest minute
    of more than ``BUSY_SAMPLES`` is left until it is over.
    """
    rows = conn.execute(
        """select batch_id, min_at, max_at, signals, samples, stored_at > now() - %s, rolled from ingest_batches
           where batch_id <= %s and (not rolled or batch_id > %s) order by rolled, batch_id limit %s""",
        (OPEN_FOR, until_batch, until_batch - RECENT_BATCHES, MOST_BATCHES),
    ).fetchall()
    due = _due([_Batch(*row) for row in rows])
    conn.execute(ONLY_HASHING)
    for low, high, signals in _stretches((each.low, each.high, each.signals) for each in due):
        stretch = {"low": low, "high": high, "ids": signals, "slow": SLOW_S}
        for step in (MINUTES, HOURS_OF_FAST, *_of_slow(conn, stretch)):
            conn.execute(step, stretch)
    conn.execute("update ingest_batches set rolled = true where batch_id = any(%s)", ([each.number for each in due],))
    return len(due)


@dataclass(frozen=True, slots=True)
class _Batch:
    number: int
    low: datetime
    high: datetime
    signals: list[int] | None
    samples: int
    young: bool
    rolled: bool


def _due(recent: list[_Batch]) -> list[_Batch]:
    """The oldest of what waits, and whatever lies within the same minutes, which are read as a whole anyway."""
    waiting = [each for each in recent if not each.rolled]
    open_us = max((to_us(each.high) for each in waiting), default=0) // MINUTE_US * MINUTE_US
    if sum(each.samples for each in recent if to_us(each.high) >= open_us) > BUSY_SAMPLES:
        waiting = [each for each in waiting if not (each.young and to_us(each.high) >= open_us)]
    before = itertools.accumulate((each.samples for each in waiting), initial=0)
    first = [each for each, count in zip(waiting, before, strict=False) if count < MOST_SAMPLES]
    stretches = _stretches((each.low, each.high, each.signals) for each in first)
    return first + [each for each in waiting[len(first) :] if any(_within(each, *stretch) for stretch in stretches)]


def _within(batch: _Batch, low: datetime, high: datetime, signals: list[int] | None) -> bool:
    """Whether all that a batch touched is read with a stretch."""
    if not (low <= batch.low and batch.high < high):
        return False
    return signals is None or (batch.signals is not None and set(batch.signals) <= set(signals))


def _of_slow(conn: Connection, stretch: Mapping[str, object]) -> list[LiteralString]:
    """Hours of slow signals cost a look at whole hours of samples: only where there is such a signal."""
    query: LiteralString = f"select exists (select from signals where period_s >= %(slow)s and {MINE})"  # noqa: S608
    row = conn.execute(query, stretch).fetchone()
    return [HOURS_OF_SLOW] if row and row[0] else []


def last_batch(conn: Connection, *, older_than: timedelta) -> int:
    """The newest batch that is not rolled and was stored so long ago; 0 when there is none."""
    row = conn.execute(
        "select max(batch_id) from ingest_batches where not rolled and stored_at < now() - %s", (older_than,)
    ).fetchone()
    return int(row[0] or 0) if row else 0


def forget_batches(conn: Connection, *, older_than: timedelta) -> None:
    """Delete what was rolled long ago."""
    conn.execute("delete from ingest_batches where rolled and stored_at < now() - %s", (older_than,))


Stretch = tuple[datetime, datetime, list[int] | None]


def _stretches(rows: Iterable[tuple[datetime, datetime, list[int] | None]]) -> list[Stretch]:
    """Half-open stretches of whole minutes: merged for any signal, else gathered by hour.

    Neighbouring hours become one stretch for the signals of both: to roll too many is right, to scan a day twice dear.
    """
    any_signal: list[list[int]] = []
    named: dict[int, tuple[list[int], set[int]]] = {}
    for low, high, signals in rows:
        span = [to_us(low) // MINUTE_US * MINUTE_US, (to_us(high) // MINUTE_US + 1) * MINUTE_US]
        if signals is None:
            any_signal.append(span)
            continue
        seen, ids = named.setdefault(span[0] // HOUR_US, (span, set()))
        seen[0], seen[1] = min(seen[0], span[0]), max(seen[1], span[1])
        ids.update(signals)
    merged: list[Stretch] = [(from_us(low), from_us(high), None) for low, high in _merge(any_signal)]
    for span in _merge([span for span, _ in named.values()], reach_us=HOUR_US):
        together = {one for each, ids in named.values() if span[0] <= each[0] < span[1] for one in ids}
        merged.append((from_us(span[0]), from_us(span[1]), sorted(together)))
    return merged


def _merge(spans: list[list[int]], *, reach_us: int = 0) -> list[list[int]]:
    """Spans that touch, or lie within reach of each other, as one."""
    merged: list[list[int]] = []
    for span in sorted(spans):
        if merged and span[0] <= merged[-1][1] + reach_us:
            merged[-1][1] = max(merged[-1][1], span[1])
        else:
            merged.append(list(span))
    return merged
