"""How each source of a site is doing: one row a source, whoever it is that sends. SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import class_row

from core.errors import NotFound

LATE_AFTER = timedelta(minutes=1)  # as ingest judges it

SOURCES: LiteralString = """
with names as (
  select source from source_status
  union select name from sources where enabled
  union select name from devices where revoked_at is null),
denied as (
  select d.name, sum(n.count)::int8 as count from device_denials n join devices d using (device_id)
  where n.minute > now() - interval '1 hour' group by 1),
held as (select source, count(*) as count, count(*) filter (where heard_at > now() - interval '1 hour') as fresh
  from quarantine where settled_at is null group by 1),
stretches as (select source, count(*) as count from source_gaps where fill = 'open' group by 1),
tags as (select source, count(*) as count from bindings group by 1),
newest as (select distinct on (source) * from gateway_reports order by source, told_at desc),
faults as (
  select distinct on (f.source) f.source, f.kind, f.since, a.ticket_id, t.ref from source_faults f
    left join alarms a using (alarm_id) left join tickets t using (ticket_id)
  where f.ended_at is null and f.kind in ('source', 'lag') order by f.source, f.kind desc, f.since)
select n.source, coalesce(c.kind, s.kind, d.kind, 'mqtt') as kind, coalesce(s.state, 'new') as state,
  coalesce(s.detail, '') as detail,
  case when s.last_heard_at > now() - greatest(5, 2 * coalesce(s.expected_s, 0)) * interval '1 second'
    then s.rate else 0 end as samples_s,
  s.last_heard_at as last_seen, s.last_sample_at, s.expected_s, s.lag_s, s.lagging_since,
  coalesce(s.messages, 0) as messages, coalesce(s.samples, 0) as samples,
  coalesce(s.quarantined - s.released, 0) as quarantined, coalesce(s.duplicates, 0) as duplicates,
  coalesce(s.dropped, 0) as dropped, coalesce(s.unsequenced, 0) as unsequenced, coalesce(s.missing, 0) as missing,
  coalesce(g.count, 0) as gaps, coalesce(h.count, 0) as held, coalesce(h.fresh, 0) as held_fresh,
  coalesce(x.count, 0) as denied, coalesce(b.count, 0) as tags,
  w.epoch, w.waiting, w.share_full, w.refused, w.told_at, w.sources as behind, f.since as fault_since, f.ticket_id,
  f.ref as ticket_ref
from names n left join source_status s using (source) left join sources c on c.name = n.source
  left join devices d on d.name = n.source and d.revoked_at is null left join denied x on x.name = n.source
  left join held h using (source) left join stretches g using (source) left join tags b using (source)
  left join newest w using (source) left join faults f using (source)
order by n.source"""


@dataclass(frozen=True, slots=True)
class Health:
    """One source. Times are the wall's but ``last_sample_at`` and ``lag_s``, which are the plant's."""

    source: str
    kind: str
    state: str
    detail: str
    samples_s: float
    last_seen: datetime | None
    last_sample_at: datetime | None
    expected_s: float | None
    lag_s: float | None
    lagging_since: datetime | None
    messages: int
    samples: int
    quarantined: int
    duplicates: int
    dropped: int
    unsequenced: int
    missing: int
    gaps: int
    held: int
    held_fresh: int
    denied: int
    tags: int
    epoch: str | None
    waiting: int | None
    share_full: float | None
    refused: int | None
    told_at: datetime | None
    behind: list[dict[str, Any]] | None
    fault_since: datetime | None
    ticket_id: int | None
    ticket_ref: str | None


@dataclass(frozen=True, slots=True)
class Dropped:
    """Messages let go: of a site that is not there, so they are no site's."""

    site: str
    device: str
    reason: str
    count: int
    topic: str
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Many:
    """Sources that fell silent at once, as one fault."""

    since: datetime
    why: str
    count: int
    ticket_id: int | None
    ticket_ref: str | None


def sources(conn: Connection) -> list[Health]:
    """Every source, device and gateway of the current site, by name."""
    with conn.cursor(row_factory=class_row(Health)) as cursor:
        return cursor.execute(SOURCES).fetchall()


def many(conn: Connection) -> Many | None:
    """The open fault about many sources at once."""
    with conn.cursor(row_factory=class_row(Many)) as cursor:
        return cursor.execute(
            """select f.since, coalesce(f.detail->>'why', '') as why, coalesce((f.detail->>'count')::int, 0) as count,
                 a.ticket_id, t.ref as ticket_ref
               from source_faults f left join alarms a using (alarm_id) left join tickets t using (ticket_id)
               where f.kind = 'many' and f.ended_at is null order by f.since limit 1"""
        ).fetchone()


def expect(conn: Connection, source: str, *, tag: str | None, report: str | None) -> int:
    """Say whether a source's tags (or one of them) come all the time or only when they change; None: as its kind does.
    Returns how many. Raises NotFound."""
    changed = conn.execute(
        "update bindings set report = %s where source = %s and (%s::text is null or tag = %s)",
        (report, source, tag, tag),
    ).rowcount
    if changed == 0:
        raise NotFound(f"No tag of {source!r} is bound" + (f" as {tag!r}." if tag else "."))
    return changed


def dropped(conn: Connection) -> list[Dropped]:
    """What was dropped, the newest first."""
    with conn.cursor(row_factory=class_row(Dropped)) as cursor:
        return cursor.execute(
            "select site, device, reason, count, topic, last_at from ingest_drops order by last_at desc limit 100"
        ).fetchall()
