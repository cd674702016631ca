"""SQL of what the watch notices: faults of sources and tags, the tags to watch, and how often they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from psycopg import Connection
from psycopg.types.json import Jsonb

from ingest.hearing import NEVER, Ints, Key, Tag
from ingest.silence import LOST_S, End, Kind, Opened, Scope, Standing, Subject

CHANNEL = "millwright_faults"
BY_EXCEPTION = ("opcua", "sparkplug")  # kinds of sources that tell of changes alone


@dataclass(frozen=True, slots=True)
class Open:
    """An open fault as kept."""

    subject: Subject
    standing: Standing


@dataclass(slots=True)
class Elsewhere:
    """What other processes heard. A source counts as heard once for each time that it was."""

    ids: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    at_us: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    sources: dict[Key, datetime] = field(default_factory=dict)
    _taken: dict[Key, datetime] = field(default_factory=dict)

    def onto(self, newest_us: Ints) -> Ints:
        """Our own newest samples with theirs."""
        if len(self.ids):
            more = int(self.ids.max()) + 1 - len(newest_us)
            newest_us = np.concatenate([newest_us, np.full(max(more, 0), NEVER)])
            newest_us[self.ids] = np.maximum(newest_us[self.ids], self.at_us)
        return newest_us

    def take(self) -> set[Key]:
        """Sources heard since the last call."""
        fresh = {key for key, at in self.sources.items() if self._taken.get(key) != at}
        self._taken |= self.sources
        return fresh


def tags(conn: Connection, *, factor: float) -> list[Tag]:
    """Every bound tag of a sender that may send; a setpoint or state comes when it changes. A signal with several
    bindings is watched by the newest."""
    rows = conn.execute(
        """select distinct on (b.signal_id) b.site_id, b.source, b.signal_id, s.asset_id, s.period_s,
             coalesce(b.report, case when s.role <> 'measured' or coalesce(c.kind, t.kind) = any(%s)
               then 'on_change' else 'periodic' end)
           from bindings b join signals s using (signal_id)
             left join sources c on c.site_id = b.site_id and c.name = b.source
             left join source_status t on t.site_id = b.site_id and t.source = b.source
             left join devices d on d.site_id = b.site_id and d.name = b.source
           where (c.enabled or (c.source_id is null and d.revoked_at is null and d.device_id is not null))
           order by b.signal_id, b.binding_id desc""",
        (list(BY_EXCEPTION),),
    )
    return [
        Tag(site_id, source, signal_id, asset_id, period_s / factor if report == "periodic" else None)
        for site_id, source, signal_id, asset_id, period_s, report in rows
    ]


def lost(conn: Connection) -> dict[Key, str]:
    """Sources that ingest connects to and has not reached for a while, and why."""
    rows = conn.execute(
        """select s.site_id, s.source, s.detail from source_status s
           join sources c on c.site_id = s.site_id and c.name = s.source
           where c.enabled and s.state in ('lost', 'misconfigured') and s.state_since < now() - %s""",
        (timedelta(seconds=LOST_S),),
    )
    return {(site_id, source): detail for site_id, source, detail in rows}


def listen_elsewhere(conn: Connection, others: Elsewhere, *, within: timedelta) -> None:
    """Read what all processes have told of lately: each signal's newest sample, and the sources heard."""
    rows = conn.execute(
        "select signal_id, (extract(epoch from at) * 1000000)::int8 from last_values where heard_at > now() - %s",
        (within,),
    ).fetchall()
    sources = conn.execute(
        "select site_id, source, last_heard_at from source_status where last_heard_at > now() - %s", (within,)
    )
    ids, at_us = zip(*rows, strict=True) if rows else ((), ())
    others.ids, others.at_us = np.array(ids, np.int64), np.array(at_us, np.int64)
    others.sources = {(site_id, source): at for site_id, source, at in sources}


def paces(conn: Connection) -> dict[int, float]:
    """Signal → the longest pause it made lately."""
    return dict(conn.execute("select signal_id, gap_s from signal_pace").fetchall())


def save_paces(conn: Connection, pauses: Mapping[int, float]) -> None:
    conn.execute(
        """insert into signal_pace (signal_id, site_id, gap_s)
           select signal_id, site_id, gap from unnest(%s::int[], %s::float8[]) as t(signal_id, gap)
             join signals using (signal_id)
           on conflict (signal_id) do update set gap_s = excluded.gap_s""",
        (list(pauses), list(pauses.values())),
    )


def save_expected(conn: Connection, expected: Mapping[Key, float]) -> None:
    """How often each source is expected to be heard."""
    conn.execute(
        """update source_status s set expected_s = t.every from
             unnest(%s::int[], %s::text[], %s::float8[]) as t(site, name, every)
           where s.site_id = t.site and s.source = t.name and s.expected_s is distinct from t.every""",
        ([key[0] for key in expected], [key[1] for key in expected], list(expected.values())),
    )


def standing(conn: Connection) -> dict[Subject, Standing]:
    """Every fault that is open, as of listened time 0."""
    rows = conn.execute(
        """select kind, site_id, source, signal_id, detail from source_faults
           where ended_at is null and kind = any(%s)""",
        ([kind.value for kind in Kind],),
    )
    return {
        Subject(Kind(kind), site_id, source, signal_id): Standing(
            0.0, Scope(detail.get("scope", Scope.WHOLE)), frozenset(detail.get("sources", ()))
        )
        for kind, site_id, source, signal_id, detail in rows
    }


def opened(conn: Connection, faults: Iterable[Opened]) -> None:
    """Keep new faults, show the sources as silent, wake the worker. One about many may cover more than before."""
    for each in faults:
        subject = each.subject
        conn.execute(
            """insert into source_faults as f (site_id, kind, source, signal_id, since, expected_s, detail)
               values (%s, %s, %s, %s, clock_timestamp() - %s, %s, %s)
               on conflict (site_id, kind, source, (coalesce(signal_id, 0))) where ended_at is null
               do update set detail = excluded.detail where f.detail <> excluded.detail""",
            (subject.site_id, subject.kind, subject.source, subject.signal_id, timedelta(seconds=each.silent_s),
             each.expected_s, Jsonb({**each.detail, "scope": each.scope.value})),
        )  # fmt: skip
        _show(conn, subject.site_id, _sources(each), "silent")
        _wake(conn, subject.site_id)


def ended(conn: Connection, faults: Iterable[tuple[Subject, End, frozenset[str]]]) -> None:
    """Faults that are over, why, and the sources that each was about."""
    for subject, how, sources in faults:
        conn.execute(
            """update source_faults set ended_at = clock_timestamp(), ended_as = %s
               where site_id = %s and kind = %s and source = %s and coalesce(signal_id, 0) = %s and ended_at is null""",
            (how, subject.site_id, subject.kind, subject.source, subject.signal_id or 0),
        )
        _show(conn, subject.site_id, sorted(sources), "heard")
        _wake(conn, subject.site_id)


def late(conn: Connection, *, after: timedelta) -> None:
    """Open a fault for each source whose data have come late for so long, and end those that come in time again."""
    rows = conn.execute(
        """with over as (
             update source_faults f set ended_at = clock_timestamp(), ended_as = 'heard' from source_status s
             where f.kind = 'lag' and f.ended_at is null and s.site_id = f.site_id and s.source = f.source
               and (s.lagging_since is null or s.state not in ('heard', 'connected'))
             returning f.site_id),
           fresh as (
             insert into source_faults (site_id, kind, source, since, expected_s, detail)
             select site_id, 'lag', source, lagging_since, 0, jsonb_build_object('lag_s', lag_s) from source_status
             where lagging_since < now() - %s and state in ('heard', 'connected')
             on conflict (site_id, kind, source, (coalesce(signal_id, 0))) where ended_at is null do nothing
             returning site_id)
           select site_id from over union select site_id from fresh""",
        (after,),
    ).fetchall()
    for (site_id,) in rows:
        _wake(conn, site_id)


def _sources(fault: Opened) -> list[str]:
    if fault.subject.kind is Kind.MANY:
        return list(fault.detail.get("sources", ()))
    return [fault.subject.source] if fault.subject.kind is Kind.SOURCE and fault.scope is Scope.WHOLE else []


def _show(conn: Connection, site_id: int, sources: list[str], state: str) -> None:
    """What a connection says of itself (lost, misconfigured) counts more than our silence."""
    before = ["heard", "connected"] if state == "silent" else ["silent"]
    conn.execute(
        """update source_status s set state = case when %s = 'heard' and exists (
             select from sources c where c.site_id = s.site_id and c.name = s.source) then 'connected' else %s end
           where site_id = %s and source = any(%s) and state = any(%s)""",
        (state, state, site_id, sources, before),
    )


def _wake(conn: Connection, site_id: int) -> None:
    conn.execute("select pg_notify(%s, %s)", (CHANNEL, str(site_id)))
    conn.execute(
        "select pg_notify('millwright_live', json_build_object('site', %s::int, 'topic', 'source', 'id', 0)::text)",
        (site_id,),
    )
