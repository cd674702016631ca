"""SQL of the ingest lane, as the ingest role: it hears all sites at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from zlib import crc32

import numpy as np
import numpy.typing as npt
from psycopg import Connection, sql

from core import locks
from ingest.resolve import RELEASABLE, Bound, Entry, Snapshot, Standing
from ingest.signatures import Key, Signing
from plant.binary import PG_EPOCH_US, unpack
from plant.model import SampleBatch
from plant.telemetry import DAY_US, from_us
from plant.units import IDENTITY, UnknownQuantity, UnknownUnit, WrongUnit, conversion

DETAIL_CHARS = 500
SLOTS = 64  # of the lock on samples without a number
MessageKey = tuple[int, str, str, int]  # site, source, epoch, seq
EpochKey = tuple[int, str, str]


@dataclass(slots=True)
class Counts:
    """What one source did since it was last written down."""

    kind: str = "mqtt"
    messages: int = 0
    samples: int = 0
    quarantined: int = 0
    duplicates: int = 0
    unsequenced: int = 0
    last_sample_us: int | None = None
    lag_s: float | None = None
    rate: float = 0.0

    def add(self, earlier: Counts) -> None:
        """Count on from ``earlier``."""
        self.messages += earlier.messages
        self.samples += earlier.samples
        self.quarantined += earlier.quarantined
        self.duplicates += earlier.duplicates
        self.unsequenced += earlier.unsequenced


class Sharing(StrEnum):
    """Whether this process stores all that a source sends, or shares it with others."""

    ALONE = "alone"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A quarantined reading whose tag has a binding by now."""

    quarantine_id: int
    site_id: int
    source: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Configured:
    """A source that ingest connects to by itself."""

    source_id: int
    site: str
    site_id: int
    name: str
    kind: str
    url: str
    config: dict[str, object] = field(default_factory=dict)


def snapshot(conn: Connection) -> Snapshot:
    """Sites, devices and bindings as they are now."""
    sites: dict[str, int] = dict(conn.execute("select code, site_id from sites").fetchall())
    devices, keys = _devices(conn)
    rows = conn.execute(
        """select b.site_id, b.source, b.tag, b.signal_id, s.quantity, b.unit, b.scale, b."offset"
           from bindings b join signals s using (signal_id)"""
    )
    return Snapshot(sites, devices, {(site, source, tag): _bound(*rest) for site, source, tag, *rest in rows}, keys)


def _devices(conn: Connection) -> tuple[dict[tuple[int, str], Standing], dict[tuple[int, str], Key]]:
    standing, keys = {}, {}
    rows = conn.execute("select site_id, name, revoked_at is not null, mac_key, signing from devices")
    for site_id, name, revoked, secret, signing in rows:
        standing[site_id, name] = Standing.REVOKED if revoked else Standing.REGISTERED
        keys[site_id, name] = Key(secret, Signing(signing))
    return standing, keys


def configured(conn: Connection, kind: str) -> list[Configured]:
    """Enabled sources of a kind."""
    rows = conn.execute(
        """select source_id, code, site_id, sources.name, kind, url, config from sources join sites using (site_id)
           where kind = %s and enabled order by source_id""",
        (kind,),
    )
    return [Configured(*row) for row in rows]


def record_messages(conn: Connection, keys: Sequence[MessageKey], samples: Sequence[int]) -> list[bool]:
    """Write messages into the ledger; for each key, whether it is new (a key given twice is new once)."""
    if not keys:
        return []
    sites, sources, epochs, seqs = (list(column) for column in zip(*keys, strict=True))
    rows = conn.execute(
        """insert into message_ledger (site_id, source, epoch, seq, samples)
           select * from unnest(%s::int[], %s::text[], %s::text[], %s::int8[], %s::int[]) as t(site, src, ep, seq, n)
           where not exists (select from ledger_marks m
             where m.site_id = t.site and m.source = t.src and m.epoch = t.ep and t.seq <= m.through)
           order by site, src, ep, seq
           on conflict do nothing returning site_id, source, epoch, seq""",
        (sites, sources, epochs, seqs, list(samples)),
    ).fetchall()
    fresh = set(rows)
    found = []
    for key in keys:
        found.append(key in fresh)
        fresh.discard(key)
    return found


def told_otherwise(conn: Connection, keys: Sequence[MessageKey], samples: Sequence[int]) -> list[bool]:
    """For each key in the ledger, whether it came with another number of readings then: it is not the same message."""
    if not keys:
        return []
    columns = [list(column) for column in zip(*keys, strict=True)]
    rows = conn.execute(
        """select coalesce(l.samples <> t.n, false)
           from unnest(%s::int[], %s::text[], %s::text[], %s::int8[], %s::int[])
             with ordinality as t(site, src, ep, seq, n, place)
             left join message_ledger l on l.site_id = t.site and l.source = t.src and l.epoch = t.ep and l.seq = t.seq
           order by place""",
        (*columns, list(samples)),
    )
    return [other for (other,) in rows]


def ranges_of(conn: Connection, key: EpochKey) -> list[tuple[int, int]]:
    """Durable messages of an epoch as inclusive ranges."""
    marked = conn.execute(
        "select 1, through from ledger_marks where site_id = %s and source = %s and epoch = %s", key
    ).fetchall()
    rows = conn.execute(
        """select min(seq), max(seq) from (
             select seq, seq - row_number() over (order by seq) as island from message_ledger
             where site_id = %s and source = %s and epoch = %s) as t group by island order by 1""",
        key,
    ).fetchall()
    return [(low, high) for low, high in [*marked, *rows] if high]


def recorded(conn: Connection, spans: Sequence[tuple[int, str, str, int, int]]) -> list[MessageKey]:
    """Which messages of these spans (site, source, epoch, lowest, highest) are in the ledger."""
    if not spans:
        return []
    rows = conn.execute(
        """select l.site_id, l.source, l.epoch, l.seq
           from unnest(%s::int[], %s::text[], %s::text[], %s::int8[], %s::int8[]) as t(site, src, ep, low, high)
             join message_ledger l on l.site_id = t.site and l.source = t.src and l.epoch = t.ep
               and l.seq >= t.low and l.seq <= t.high""",
        tuple(list(column) for column in zip(*spans, strict=True)),
    )
    return rows.fetchall()


def one_at_a_time(conn: Connection, sources: Iterable[tuple[int, str]]) -> None:
    """Until this transaction ends, no other process stores samples of these sources that are known by themselves alone.

    Sources share a few locks, which everybody takes in the same order.
    """
    slots = sorted({crc32(f"{site_id}/{source}".encode()) % SLOTS for site_id, source in sources})
    if slots:
        conn.execute("select pg_advisory_xact_lock(%s, slot) from unnest(%s::int[]) as slot", (locks.UNNUMBERED, slots))


def compact_ledger(conn: Connection, *, older_than: timedelta) -> int:
    """Fold old ledger rows without a gap into one mark an epoch; returns how many rows went."""
    row = conn.execute(
        """with old as (
             select l.site_id, l.source, l.epoch, l.seq, l.samples,
               coalesce(m.through, 0) + row_number() over (
                 partition by l.site_id, l.source, l.epoch order by l.seq) = l.seq as in_order
             from message_ledger l left join ledger_marks m using (site_id, source, epoch)
             where l.stored_at < now() - %s),
           gone as (
             delete from message_ledger l using old o
             where o.in_order and (l.site_id, l.source, l.epoch, l.seq) = (o.site_id, o.source, o.epoch, o.seq)
             returning l.site_id, l.source, l.epoch, l.seq, l.samples),
           marked as (
             insert into ledger_marks (site_id, source, epoch, through, messages, samples)
             select site_id, source, epoch, max(seq), count(*), sum(samples) from gone group by 1, 2, 3
             on conflict (site_id, source, epoch) do update set through = excluded.through,
               messages = ledger_marks.messages + excluded.messages, samples = ledger_marks.samples + excluded.samples)
           select count(*) from gone""",
        (older_than,),
    ).fetchone()
    return int(row[0]) if row else 0


def stored_already(conn: Connection, batch: SampleBatch) -> npt.NDArray[np.bool_]:
    """bool[n]: the identical sample (signal, time, value) is in the store. Reads day by day."""
    found = np.zeros(len(batch), bool)
    days = batch.at_us // DAY_US
    for day in np.unique(days):
        rows = np.flatnonzero(days == day)
        there = _identities(conn, batch, rows)
        keys = zip(batch.signal_id[rows].tolist(), batch.at_us[rows].tolist(), _bits(batch.value[rows]), strict=True)
        found[rows] = [key in there for key in keys]
    return found


def quarantine(conn: Connection, entries: Iterable[Entry]) -> None:
    """Keep what could not be stored, each with its reason."""
    rows = list(entries)
    if not rows:
        return
    # binary, because an array of bytes as text costs seconds a megabyte: one sender's rubbish would hold up all others
    conn.execute(
        """insert into quarantine (site_id, reason, source, tag, topic, payload, detail, readings)
           select * from unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %b::bytea[], %s::text[],
             %s::int[])""",
        (
            [row.site_id for row in rows],
            [str(row.reason) for row in rows],
            [_plain(row.source) for row in rows],
            [_plain(row.tag) for row in rows],
            [_plain(row.topic) for row in rows],
            [row.payload for row in rows],
            [_plain(row.detail) for row in rows],
            [row.readings for row in rows],
        ),
    )


def waiting(conn: Connection, *, after: int = 0, most: int = 200) -> list[Waiting]:
    """Readings in quarantine that a binding may put right and whose tag is bound now, oldest first beyond ``after``,
    locked for this transaction."""
    rows = conn.execute(
        """select q.quarantine_id, q.site_id, q.source, q.payload
           from quarantine q join bindings b using (site_id, source, tag)
           where q.reason = any(%s) and q.settled_at is null and q.quarantine_id > %s and q.payload <> ''
           order by q.quarantine_id limit %s for update of q skip locked""",
        (sorted(RELEASABLE), after, most),
    )
    return [Waiting(*row) for row in rows]


def settle(conn: Connection, quarantine_ids: Sequence[int]) -> None:
    """They were released."""
    conn.execute(
        """update quarantine set settled_at = now(), settled_as = 'released', payload = ''
           where quarantine_id = any(%s)""",
        (list(quarantine_ids),),
    )


def notify_samples(conn: Connection, site_ids: Iterable[int]) -> None:
    """Wake the detectors of these sites once this transaction has committed."""
    for site_id in site_ids:
        conn.execute("select pg_notify('millwright_samples', %s)", (str(site_id),))


def notify_live(conn: Connection, site_id: int, topic: str) -> None:
    """Tell the open screens of a site once this transaction has committed."""
    conn.execute(
        "select pg_notify('millwright_live', json_build_object('site', %s::int, 'topic', %s::text, 'id', 0)::text)",
        (site_id, topic),
    )


def last_values(conn: Connection) -> tuple[SampleBatch, npt.NDArray[np.int16]]:
    """Every signal's last value, sorted by signal."""
    rows = conn.execute(
        """select signal_id, (extract(epoch from at) * 1000000)::int8, value, quality, site_id
           from last_values order by signal_id"""
    ).fetchall()
    ids, at_us, value, quality, sites = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    batch = SampleBatch(
        np.array(ids, np.int32), np.array(at_us, np.int64), np.array(value, np.float64), np.array(quality, np.uint8)
    )
    return batch, np.array(sites, np.int16)


def write_status(
    conn: Connection, counts: dict[tuple[int, str], Counts], *, most_lag_s: float, shared: Sharing = Sharing.ALONE
) -> None:
    """What each source was like just now: kind, rate, lag, last signs of life. What it summed up to is folded; a rate
    that others take part in is told by the leader."""
    if not counts:
        return
    rows = [
        (*key, each.kind, each.rate, each.lag_s, _moment(each.last_sample_us), each.messages > 0)
        for key, each in sorted(counts.items())
    ]
    conn.execute(
        """insert into source_status as s (site_id, source, kind, rate, lag_s, last_sample_at, last_heard_at,
             lagging_since)
           select site, name, kind, rate, lag, at, case when heard then now() end,
             case when lag > %(most)s then now() end
           from unnest(%(sites)s::int[], %(names)s::text[], %(kinds)s::text[], %(rates)s::float8[], %(lags)s::float8[],
             %(ats)s::timestamptz[], %(heard)s::bool[]) as t(site, name, kind, rate, lag, at, heard)
           on conflict (site_id, source) do update set kind = excluded.kind, updated_at = now(),
             rate = case when %(alone)s then excluded.rate else s.rate end,
             lag_s = coalesce(excluded.lag_s, s.lag_s),
             lagging_since = case when excluded.lag_s is null then s.lagging_since
               when excluded.lag_s > %(most)s then coalesce(s.lagging_since, now()) end,
             state = case s.state when 'lost' then 'heard' else s.state end,
             last_heard_at = coalesce(excluded.last_heard_at, s.last_heard_at),
             last_sample_at = greatest(s.last_sample_at, excluded.last_sample_at)""",
        {
            "most": most_lag_s,
            "alone": shared is Sharing.ALONE,
            **dict(
                zip(
                    ("sites", "names", "kinds", "rates", "lags", "ats", "heard"),
                    (list(column) for column in zip(*rows, strict=True)),
                    strict=True,
                )
            ),
        },
    )


def _moment(at_us: int | None) -> datetime | None:
    return None if at_us is None else from_us(at_us)


def rest(conn: Connection, *, seen_within: timedelta) -> None:
    """The rate of a source that has fallen silent is 0."""
    conn.execute(
        "update source_status set rate = 0, updated_at = now() where rate > 0 and updated_at < now() - %s",
        (seen_within,),
    )


def write_state(conn: Connection, site_id: int, source: str, *, kind: str, state: str, detail: str) -> None:
    """Whether a configured source is connected, and why not."""
    conn.execute(
        """insert into source_status (site_id, source, kind, state, detail) values (%s, %s, %s, %s, %s)
           on conflict (site_id, source) do update set kind = excluded.kind, state = excluded.state,
             detail = excluded.detail, updated_at = now()""",
        (site_id, source, kind, state, _plain(detail)),
    )


def _bound(signal_id: int, quantity: str, unit: str, scale: float, offset: float) -> Bound:
    try:
        step = (
            conversion(quantity, unit).after(scale, offset)
            if (scale, offset) != (1.0, 0.0)
            else conversion(quantity, unit)
        )
    except (UnknownQuantity, UnknownUnit, WrongUnit):
        step = IDENTITY.after(scale, offset)  # written past plant.assets.bind: take the numbers as they come
    return Bound(signal_id, quantity, unit, scale, offset, step)


def _identities(conn: Connection, batch: SampleBatch, rows: npt.NDArray[np.intp]) -> set[tuple[int, int, int]]:
    """(signal, time, value bits) of stored samples in the rows' stretch of time."""
    statement = sql.SQL(
        """copy (select signal_id, at, value from samples where at >= {} and at <= {} and signal_id = any({}))
           to stdout (format binary)"""
    ).format(
        sql.Literal(from_us(int(batch.at_us[rows].min()))),
        sql.Literal(from_us(int(batch.at_us[rows].max()))),
        sql.Literal(np.unique(batch.signal_id[rows]).tolist()),
    )
    with conn.cursor().copy(statement) as copy:
        there = unpack(b"".join(copy), ("signal_id", "i4"), ("at", "i8"), ("value", "f8"))
    at_us = (there["at"] + PG_EPOCH_US).tolist()
    return set(zip(there["signal_id"].tolist(), at_us, _bits(there["value"]), strict=True))


def _bits(value: npt.NDArray[np.float64]) -> list[int]:
    found: list[int] = np.ascontiguousarray(value).view(np.int64).tolist()
    return found


def _plain(text: str) -> str:
    """Text that PostgreSQL can keep: no NUL, no lone surrogate, not without end."""
    return text[:DETAIL_CHARS].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
