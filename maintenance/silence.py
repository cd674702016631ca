"""What ingest noticed about the way of the data becomes an alarm and an order for instrumentation, never a machine's.

    ingest: row in source_faults + NOTIFY ──> settle: alarm, decision, order and "told" in one transaction

A row is acted on once, whatever is killed when. Of a silent tag the finding is the same as the detectors' own, so that
both speak of one alarm and one order.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from core import clock, live
from core.clock import Clock
from detectors.base import Finding, FindingKind, Sentence
from maintenance import sensor, sentences, service, store
from maintenance.model import Words
from plant import assets
from tickets import notify, words
from tickets.notify import NoticeKind

CHANNEL = "millwright_faults"
NAME = "watch"
VERSION = "1"
SURPRISE = 9.0
MOST = 100  # rows a transaction
INGEST_AWAY = timedelta(seconds=30)
AWAY = {"broker": "broker_away", "ingest": "ingest_away"}


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of source_faults; times are the wall's."""

    fault_id: int
    site_id: int
    kind: str
    source: str
    signal_id: int | None
    since: datetime
    expected_s: float
    detail: Mapping[str, Any]
    noticed_at: datetime
    ended_at: datetime | None
    alarm_id: int | None
    told_at: datetime | None


def settle(conn: Connection, now: datetime) -> int:
    """Act on what was noticed on the current site and nobody was told of; returns how many faults that was."""
    _notice_ingest(conn)
    found = _untold(conn)
    ticking = clock.load(conn)
    for fault in found:
        if fault.told_at is None:
            alarm_id = _begin(conn, fault, ticking, now)
            conn.execute(
                "update source_faults set told_at = clock_timestamp(), alarm_id = %s where fault_id = %s",
                (alarm_id, fault.fault_id),
            )
        if fault.ended_at is not None:
            _end(conn, fault, ticking, now)
            conn.execute(
                "update source_faults set end_told_at = clock_timestamp() where fault_id = %s", (fault.fault_id,)
            )
        live.announce(conn, "source", fault.fault_id)
    return len(found)


def mode_of(fault: Fault) -> str:
    """``source:<name>:silent``; a name too long for a mode is said by a checksum."""
    name = "many" if fault.kind == "many" else fault.source
    mode = f"source:{name}:{sensor.SILENT}"
    return mode if words.CODE.match(mode) else f"source:{zlib.crc32(name.encode()):08x}:{sensor.SILENT}"


def common_asset(conn: Connection, sources: Sequence[str]) -> int | None:
    """The lowest asset that has all machines of these sources below it; where there is none, the topmost asset of most
    of their tags. None: no tag of theirs is bound."""
    rows = conn.execute(
        """select s.asset_id, count(*) from bindings b join signals s using (signal_id)
           where b.source = any(%s) group by 1 order by 1""",
        (list(sources),),
    ).fetchall()
    if not rows:
        return None
    parents: dict[int, int | None] = dict(conn.execute("select asset_id, parent_id from assets").fetchall())
    paths = [_path(asset_id, parents) for asset_id, _ in rows]
    shared = [step for step in paths[0] if all(step in path for path in paths)]
    if shared:
        return shared[-1]
    tops: Counter[int] = Counter()
    for path, (_, count) in zip(paths, rows, strict=True):
        tops[path[0]] += count
    return min(tops, key=lambda asset_id: (-tops[asset_id], asset_id))


def _notice_ingest(conn: Connection) -> None:
    """Ingest says itself who is silent; that it is away itself, only somebody else can say. Once it is back, it ends
    this fault like any other about many sources."""
    conn.execute(
        """insert into source_faults (site_id, kind, since, expected_s, detail)
           select current_site(), 'many', h.at, 1, jsonb_build_object('why', 'ingest', 'scope', 'whole',
             'count', count(distinct b.source), 'sources', jsonb_agg(distinct b.source))
           from ingest_heartbeat h cross join bindings b where h.at < now() - %s group by h.at
           on conflict (site_id, kind, source, (coalesce(signal_id, 0))) where ended_at is null do nothing""",
        (INGEST_AWAY,),
    )


def _untold(conn: Connection) -> list[Fault]:
    with conn.cursor(row_factory=class_row(Fault)) as cursor:
        return cursor.execute(
            """select fault_id, site_id, kind, source, signal_id, since, expected_s, detail, noticed_at, ended_at,
                 alarm_id, told_at from source_faults
               where told_at is null or (ended_at is not null and end_told_at is null)
               order by fault_id limit %s for update skip locked""",
            (MOST,),
        ).fetchall()


def _begin(conn: Connection, fault: Fault, ticking: Clock, now: datetime) -> int | None:
    if fault.kind == "lag":
        _tell_lag(conn, fault, now)
        return None
    finding = _finding(conn, fault, ticking, active=True)
    if finding is None:
        return None
    if fault.kind == "tag":
        service.on_finding(conn, finding, now)
        return None
    store.lock_asset(conn, finding.asset_id)
    kept = sensor.on_source(
        conn, finding, now, mode=mode_of(fault), title=_title(conn, fault, finding), policy=service.POLICY
    )
    return kept.alarm_id if kept else None


def _end(conn: Connection, fault: Fault, ticking: Clock, now: datetime) -> None:
    finding = None if fault.kind == "lag" else _finding(conn, fault, ticking, active=False)
    if finding is None:
        return
    if fault.kind == "tag":
        service.on_finding(conn, finding, now)
        return
    store.lock_asset(conn, finding.asset_id)
    sensor.on_source(conn, finding, now, mode=mode_of(fault), title=_title(conn, fault, finding), policy=service.POLICY)


def _finding(conn: Connection, fault: Fault, ticking: Clock, *, active: bool) -> Finding | None:
    """The fault as a detector would say it; None when nothing that it is about is there any more."""
    asset_id, key, values = _tag(conn, fault) if fault.kind == "tag" else _source(conn, fault)
    if asset_id is None:
        return None
    at = ticking.plant(fault.noticed_at if active or fault.ended_at is None else fault.ended_at)
    signals = {} if fault.signal_id is None else {fault.signal_id: 1.0}
    return Finding(
        detector=NAME,
        version=VERSION,
        kind=FindingKind.SENSOR,
        asset_id=asset_id,
        site_id=fault.site_id,
        failure_mode=sensor.SILENT,
        started_at=ticking.plant(fault.since),
        at=at,
        surprise=SURPRISE,
        active=active,
        contributions=signals,
        directions=dict.fromkeys(signals, 0),
        health=1.0,
        sentence=Sentence(key if active else "source_back", values),
    )


Said = tuple[int | None, str, dict[str, str | float]]


def _tag(conn: Connection, fault: Fault) -> Said:
    row = conn.execute(
        "select asset_id, coalesce(nullif(name, ''), code) from signals where signal_id = %s", (fault.signal_id,)
    ).fetchone()
    if row is None:
        return None, "silent", {}
    hours = (fault.noticed_at - fault.since).total_seconds() / 3600
    return row[0], "silent", {"signal": row[1], "hours": round(hours, 4)}


def _source(conn: Connection, fault: Fault) -> Said:
    many = fault.kind == "many"
    sources = list(fault.detail.get("sources", ())) if many else [fault.source]
    asset_id = _told_asset(conn, fault) or common_asset(conn, sources)
    said: dict[str, str | float] = {"source": fault.source, "expected": round(fault.expected_s, 1)}
    said["seconds"] = round((fault.noticed_at - fault.since).total_seconds(), 1)
    said |= {name: fault.detail[name] for name in ("tags", "count") if name in fault.detail}
    if many:
        return asset_id, AWAY.get(str(fault.detail.get("why")), "many_silent"), said
    if fault.detail.get("scope") == "part":
        return asset_id, "source_part_silent", said
    return asset_id, "source_silent", said | ({"why": fault.detail["why"]} if fault.detail.get("why") else {})


def _told_asset(conn: Connection, fault: Fault) -> int | None:
    """Where it was said: bindings may have changed since."""
    row = conn.execute("select asset_id from alarms where alarm_id = %s", (fault.alarm_id,)).fetchone()
    return row[0] if row else None


def _title(conn: Connection, fault: Fault, finding: Finding) -> Words:
    if fault.kind == "many":
        return sentences.say("order.title_many", {"count": fault.detail.get("count", 0)})
    asset = assets.asset(conn, finding.asset_id)
    return sentences.say("order.title_source", {"asset": asset.code, "source": fault.source})


def _tell_lag(conn: Connection, fault: Fault, now: datetime) -> None:
    values: dict[str, str | float | Words] = {"source": fault.source, "lag": round(fault.detail.get("lag_s", 0.0), 1)}
    notify.tell_of(
        conn,
        notify.watchers(conn),
        kind=NoticeKind.LAG,
        title=sentences.say("notice.lag", values),
        body=sentences.say("lag", values),
        key=f"lag:{fault.fault_id}",
        now=now,
    )


def _path(asset_id: int, parents: Mapping[int, int | None]) -> list[int]:
    """From the top down to the asset itself."""
    path = [asset_id]
    while (above := parents.get(path[-1])) is not None and above not in path:
        path.append(above)
    return path[::-1]
