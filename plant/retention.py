"""What the tiers say goes: raw samples by whole days or by class, rollups, waveforms. SQL.

    tiers ──> horizon of each class ──> days older than all of them: dropped whole (partition or chunk)
                                   ├──> days older than some: that class's samples deleted, a bite a transaction
                                   └──> rollups and waveforms: deleted in bites, later than what they were made of

A day that is not in the rollups yet stays until it is. ``conn`` of ``tiers``, ``replace`` and ``preview`` is the app
role's on one site, of ``apply`` the ingest role's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from psycopg import Connection

from core import locks
from plant import engine
from plant.engine import Kind
from plant.tiers import DEFAULT, EVERYTHING, Tier, check, first_kept, tier_of
from plant.times import DAY_US, EPOCH, from_us

DAYS_A_BITE = 4
PAGES_A_BITE = 16_384  # of a native day: 128 MiB, about two million samples
SIGNALS_A_BITE = 500  # of a columnstore day
ROWS_A_BITE = 50_000  # of rollups
WAVES_A_BITE = 500
NEVER = date(1800, 1, 1)  # nothing was taken
MARGIN = timedelta(minutes=10)  # a flush may commit so much later than it began
# bytes on disk, measured by benchmarks.store_figures
SAMPLE_BYTES = {Kind.NATIVE: 52, Kind.HYPERTABLE: 52, Kind.COMPRESSING: 11}
ROLLUP_BYTES = 150


@dataclass(frozen=True, slots=True)
class Loss:
    """What a class would lose. ``days`` have samples to lose; ``bytes`` is about right, the rest is counted."""

    name: str
    days: int
    samples: int
    rollups: int
    waves: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Applied:
    """What one bite took; ``more`` when there is more to take at once."""

    days: int = 0
    samples: int = 0
    rollups: int = 0
    waves: int = 0
    more: bool = False


@dataclass(slots=True)
class _Group:
    """Signals of a site that share a tier."""

    site_id: int
    tier: Tier
    signal_ids: list[int] = field(default_factory=list)


def tiers(conn: Connection) -> list[Tier]:
    """The site's tiers, the one for everything first; the built-in one where the site has none for everything."""
    rows = conn.execute("select class, raw_days, minute_days, hour_days, wave_days from retention_tiers order by class")
    found = [Tier(*row) for row in rows]
    return found if any(tier.name == EVERYTHING for tier in found) else [DEFAULT, *found]


def replace(conn: Connection, wanted: Iterable[Tier]) -> None:
    """Make these the site's tiers; what they no longer keep goes within the hour. Raises BadTiers."""
    rows = check(wanted).values()
    conn.execute("delete from retention_tiers")
    for tier in rows:
        conn.execute(
            """insert into retention_tiers (class, raw_days, minute_days, hour_days, wave_days)
               values (%s, %s, %s, %s, %s)""",
            (tier.name, tier.raw_days, tier.minute_days, tier.hour_days, tier.wave_days),
        )


def preview(conn: Connection, wanted: Iterable[Tier], *, now: datetime) -> list[Loss]:
    """What would go now under these tiers, a class each, before they apply. Raises BadTiers."""
    by_name = check(wanted)
    rows = conn.execute("select site_id, signal_id, quantity, role from signals order by signal_id").fetchall()
    sample_bytes = SAMPLE_BYTES[engine.kind_of(conn)]
    losses = [
        _loss(conn, group, now, sample_bytes)
        for group in _groups(rows, defaultdict(dict, {r[0]: by_name for r in rows}))
    ]
    return [loss for loss in losses if loss.samples or loss.rollups or loss.waves]


def apply(conn: Connection, *, now: datetime) -> Applied:
    """Take one bite of what no tier keeps any more; to be called, each in its transaction, until ``more`` is False."""
    row = conn.execute("select pg_try_advisory_xact_lock(%s)", (locks.RETENTION,)).fetchone()
    if not (row and row[0]):
        return Applied()
    groups = _all_groups(conn)
    days, more = _drop_days(conn, groups, now)
    samples, rollups, waves = 0, 0, 0
    for group in groups:
        taken, unfinished = _delete_samples(conn, group, now, oldest=_oldest_kept(groups, now))
        samples, more = samples + taken, more or unfinished
        gone = _delete_rollups(conn, group, now)
        rollups, more = rollups + gone, more or gone >= ROWS_A_BITE
        shed = _shed_waves(conn, group, now)
        waves, more = waves + shed, more or shed >= WAVES_A_BITE
    return Applied(days, samples, rollups, waves, more)


def raw_since_us(conn: Connection, signal_ids: Sequence[int]) -> int:
    """From when on no raw sample of these signals was taken by retention, µs since epoch; 0 = none ever was."""
    rows = conn.execute(
        """select max(m.through) from retention_marks m join signals s on s.site_id = m.site_id
             and m.class in (s.quantity, 'role:' || s.role, '*') where s.signal_id = any(%s)""",
        (list(signal_ids),),
    ).fetchone()
    return 0 if rows is None or rows[0] is None else ((rows[0] - EPOCH.date()).days + 1) * DAY_US


def gone_before(conn: Connection) -> datetime | None:
    """Before when the site has no raw sample of any class any more; None where some class still has its first."""
    by_name = {tier.name: tier for tier in tiers(conn)}
    rows = conn.execute("select site_id, signal_id, quantity, role from signals order by signal_id").fetchall()
    groups = _groups(rows, defaultdict(dict, {row[0]: by_name for row in rows}))
    taken = [_mark(conn, group)[0] for group in groups]
    return from_us(((min(taken) - EPOCH.date()).days + 1) * DAY_US) if taken and min(taken) > NEVER else None


def _all_groups(conn: Connection) -> list[_Group]:
    by_site: dict[int, dict[str, Tier]] = defaultdict(dict)
    columns = "site_id, class, raw_days, minute_days, hour_days, wave_days"
    for site_id, *tier in conn.execute(f"select {columns} from retention_tiers"):  # noqa: S608 - our own columns
        by_site[site_id][tier[0]] = Tier(*tier)
    rows = conn.execute("select site_id, signal_id, quantity, role from signals order by signal_id").fetchall()
    return _groups(rows, by_site)


def _groups(signals: Iterable[tuple[int, int, str, str]], by_site: Mapping[int, Mapping[str, Tier]]) -> list[_Group]:
    found: dict[tuple[int, str], _Group] = {}
    for site_id, signal_id, quantity, role in signals:
        tier = tier_of(by_site[site_id], quantity=quantity, role=role)
        found.setdefault((site_id, tier.name), _Group(site_id, tier)).signal_ids.append(signal_id)
    return list(found.values())


def _oldest_kept(groups: Sequence[_Group], now: datetime) -> date | None:
    """Days before it are kept for nobody; None = some class keeps them all."""
    kept = [first_kept(group.tier.raw_days, now) for group in groups]
    days = [day for day in kept if day is not None]
    return min(days) if days and len(days) == len(kept) else None


def _drop_days(conn: Connection, groups: Sequence[_Group], now: datetime) -> tuple[int, bool]:
    oldest = _oldest_kept(groups, now)
    if oldest is None:
        return 0, False
    rows = conn.execute("select day from sample_days(until => %s)", (oldest - timedelta(days=1),)).fetchall()
    dropped = 0
    for (day,) in rows:
        if dropped == DAYS_A_BITE:
            return dropped, True
        row = conn.execute("select drop_sample_day(%s)", (day,)).fetchone()
        if row and row[0]:
            dropped += 1
            for group in groups:
                _set_mark(conn, group, max(day, _mark(conn, group)[0]), 0)
    return dropped, False


def _delete_samples(conn: Connection, group: _Group, now: datetime, *, oldest: date | None) -> tuple[int, bool]:
    """One bite of the oldest day that this class no longer keeps though others do; and whether there is more."""
    until = first_kept(group.tier.raw_days, now)
    if until is None or until == oldest:
        return 0, False
    through, place = _mark(conn, group)
    day = _next_day(conn, through, until)
    if day is None:
        _set_mark(conn, group, max(through, until - timedelta(days=1)), 0)
        return _delete_late(conn, group, through), False
    most = SIGNALS_A_BITE if engine.kind_of(conn) is not Kind.NATIVE else PAGES_A_BITE
    deleted, further = _bite(conn, group, day, place, most)
    if deleted is None:  # not rolled yet, or held: in an hour again
        return 0, False
    _set_mark(conn, group, day if further is None else day - timedelta(days=1), further or 0)
    return deleted, True


def _next_day(conn: Connection, through: date, until: date) -> date | None:
    row = conn.execute(
        "select min(day) from sample_days(%s, %s)", (through + timedelta(days=1), until - timedelta(days=1))
    ).fetchone()
    return row[0] if row else None


def _delete_late(conn: Connection, group: _Group, through: date) -> int:
    """Samples that came since into days that were done: of each such day all, for they are few."""
    rows = conn.execute(
        """select distinct day from retention_marks m
             join ingest_batches b on b.stored_at > m.applied_at - %s and b.rolled
             cross join lateral (select generate_series(b.min_at::date, b.max_at::date, '1 day')::date as day) as d
             where m.site_id = %s and m.class = %s and day <= %s""",
        (MARGIN, group.site_id, group.tier.name, through),
    ).fetchall()
    deleted = 0
    for (day,) in rows:
        taken, _ = _bite(conn, group, day, 0, 2**31 - 1)
        deleted += taken or 0
    return deleted


def _bite(conn: Connection, group: _Group, day: date, place: int, most: int) -> tuple[int | None, int | None]:
    row = conn.execute(
        "select deleted, next from delete_samples(%s, %s::int[], %s, %s)", (day, group.signal_ids, place, most)
    ).fetchone()
    return row or (None, None)


def _mark(conn: Connection, group: _Group) -> tuple[date, int]:
    row = conn.execute(
        "select through, place from retention_marks where site_id = %s and class = %s", (group.site_id, group.tier.name)
    ).fetchone()
    return row or (NEVER, 0)


def _set_mark(conn: Connection, group: _Group, through: date, place: int) -> None:
    conn.execute(
        """insert into retention_marks (site_id, class, through, place) values (%s, %s, %s, %s)
           on conflict (site_id, class) do update
             set through = excluded.through, place = excluded.place, applied_at = now()""",
        (group.site_id, group.tier.name, through, place),
    )


def _delete_rollups(conn: Connection, group: _Group, now: datetime) -> int:
    deleted = 0
    for width_s, days in ((60, group.tier.minute_days), (3600, group.tier.hour_days)):
        before = first_kept(days, now)
        if before is not None:
            deleted += conn.execute(
                """delete from rollups where (signal_id, width_s, bucket) in (
                     select signal_id, width_s, bucket from rollups where signal_id = any(%s) and width_s = %s
                       and bucket < %s::timestamp at time zone 'UTC' limit %s)""",
                (group.signal_ids, width_s, before, ROWS_A_BITE),
            ).rowcount
    return deleted


def _shed_waves(conn: Connection, group: _Group, now: datetime) -> int:
    """A wave's samples go first, its row when the hours go."""
    shed = 0
    if (before := first_kept(group.tier.wave_days, now)) is not None:
        shed += conn.execute(
            """update waveforms set payload = null where wave_id in (
                 select wave_id from waveforms where site_id = %s and payload is not null and signal_id = any(%s)
                   and greatest(at, stored_at) < %s::timestamp at time zone 'UTC' order by at limit %s)""",
            (group.site_id, group.signal_ids, before, WAVES_A_BITE),
        ).rowcount
    if (before := first_kept(group.tier.hour_days, now)) is not None:
        shed += conn.execute(
            """delete from waveforms where wave_id in (
                 select wave_id from waveforms where signal_id = any(%s)
                   and at < %s::timestamp at time zone 'UTC' limit %s)""",
            (group.signal_ids, before, WAVES_A_BITE),
        ).rowcount
    return shed


def _loss(conn: Connection, group: _Group, now: datetime, sample_bytes: int) -> Loss:
    """Samples are counted from the hours: those of good or uncertain quality, without reading one."""
    tier, ids = group.tier, group.signal_ids
    days, samples = _raw_loss(conn, ids, first_kept(tier.raw_days, now))
    rollups = _count(conn, ids, 60, first_kept(tier.minute_days, now))
    rollups += _count(conn, ids, 3600, first_kept(tier.hour_days, now))
    waves, wave_bytes = _wave_loss(conn, ids, first_kept(tier.wave_days, now))
    return Loss(tier.name, days, samples, rollups, waves, samples * sample_bytes + rollups * ROLLUP_BYTES + wave_bytes)


def _raw_loss(conn: Connection, ids: list[int], before: date | None) -> tuple[int, int]:
    if before is None:
        return 0, 0
    row = conn.execute(
        """select count(distinct day), coalesce(sum(n), 0)::int8 from sample_days(%s, %s) d
             join rollups r on r.bucket >= d.day::timestamp at time zone 'UTC'
               and r.bucket < (d.day + 1)::timestamp at time zone 'UTC'
           where r.width_s = 3600 and r.signal_id = any(%s)""",
        (from_us(raw_since_us(conn, ids)).date(), before - timedelta(days=1), ids),
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _count(conn: Connection, ids: list[int], width_s: int, before: date | None) -> int:
    if before is None:
        return 0
    row = conn.execute(
        """select count(*) from rollups
           where signal_id = any(%s) and width_s = %s and bucket < %s::timestamp at time zone 'UTC'""",
        (ids, width_s, before),
    ).fetchone()
    return int(row[0]) if row else 0


def _wave_loss(conn: Connection, ids: list[int], before: date | None) -> tuple[int, int]:
    if before is None:
        return 0, 0
    row = conn.execute(
        """select count(*), coalesce(sum(octet_length(payload)), 0)::int8 from waveforms
           where signal_id = any(%s) and payload is not null
             and greatest(at, stored_at) < %s::timestamp at time zone 'UTC'""",
        (ids, before),
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)
