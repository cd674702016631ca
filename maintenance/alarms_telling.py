"""Who is told of alarms: singly, in one summary while a flood lasts, once when one stands still or chatters.

Every alarm stays in the list, whatever is told. Members of a common cause are told by its order alone, so an alarm is
told a minute after it was noticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from psycopg import Connection
from psycopg.rows import class_row

from maintenance import sentences, store, tunings
from maintenance.alarms import Tuning
from maintenance.alarms_hygiene import FLOOD, MINUTE, SLOT, densest, flood_begins, flood_over
from maintenance.grouping import GATHER
from tickets import notify
from tickets.notify import NoticeKind


@dataclass(frozen=True, slots=True)
class Fresh:
    """An alarm that may have to be told."""

    alarm_id: int
    asset_id: int
    asset_code: str
    asset_class: str
    signal: str
    severity: int
    sentence: dict[str, object]
    deviating_since: datetime
    changed_at: datetime


def settle(conn: Connection, now: datetime) -> int:
    """Tell what is to be told; returns how many alarms were told of for the first time."""
    said = tunings.rows(conn)
    people = notify.planners(conn)
    mildest = max([Tuning().tell_severity, *(int(row.values.get("tell_severity", 0)) for row in said)])
    fresh = [
        each
        for each in _of(conn, UNTOLD, now - GATHER, mildest=mildest)
        if _due(each, tunings.resolve(said, asset_class=each.asset_class, signal=each.signal), now)
    ]
    conn.execute("update alarms set told_at = %s where alarm_id = any(%s)", (now, [each.alarm_id for each in fresh]))
    for person in people:
        _tell(conn, person, fresh, now)
    _tell_stale(conn, people, said, now)
    _tell_chatter(conn, people, said, now)
    return len(fresh)


def _due(each: Fresh, tuning: Tuning, now: datetime) -> bool:
    return each.severity <= tuning.tell_severity and now - each.deviating_since >= tuning.on_delay


# -- floods -----------------------------------------------------------------------------------------------------------


def _tell(conn: Connection, person: int, fresh: Sequence[Fresh], now: datetime) -> None:
    recent = _recent(conn, person, now)
    flood = conn.execute(
        "select flood_id, begun_at from alarm_floods where user_id = %s and ended_at is null", (person,)
    ).fetchone()
    if flood is None and flood_begins(recent, len(fresh)):
        flood = conn.execute(
            "insert into alarm_floods (user_id, begun_at) values (%s, %s) returning flood_id, begun_at", (person, now)
        ).fetchone()
    flood_id = flood[0] if flood else None
    _keep(conn, person, fresh, flood_id, now)
    if flood is None:
        for each in fresh:
            _single(conn, person, each, now)
    elif flood_over(recent + len(fresh)):
        _over(conn, person, flood[0], flood[1], now)
    else:
        _summary(conn, person, flood[0], now)


def _recent(conn: Connection, person: int, now: datetime) -> int:
    row = conn.execute(
        "select count(*) from alarms_told where user_id = %s and at > %s", (person, now - SLOT)
    ).fetchone()
    return row[0] if row else 0


def _keep(conn: Connection, person: int, fresh: Sequence[Fresh], flood_id: int | None, now: datetime) -> None:
    conn.execute(
        """insert into alarms_told (alarm_id, user_id, at, flood_id)
           select unnest(%s::int[]), %s, %s::timestamptz, %s::int""",
        ([each.alarm_id for each in fresh], person, now, flood_id),
    )


def _single(conn: Connection, person: int, each: Fresh, now: datetime) -> None:
    title = sentences.say("notice.alarm", {"asset": each.asset_code})
    key = f"alarm:{each.alarm_id}:{each.deviating_since.isoformat()}"
    notify.tell_of(conn, [person], kind=NoticeKind.ALARM, title=title, body=store.said(each.sentence), key=key, now=now)


def _summary(conn: Connection, person: int, flood_id: int, now: datetime) -> None:
    """One notice a flood: its key makes it so."""
    title = sentences.say("notice.flood", {"most": FLOOD, "minutes": SLOT / MINUTE})
    body = sentences.say("flood.body", _counts(conn, flood_id))
    notify.tell_of(conn, [person], kind=NoticeKind.FLOOD, title=title, body=body, key=f"flood:{flood_id}", now=now)


def _over(conn: Connection, person: int, flood_id: int, begun_at: datetime, now: datetime) -> None:
    conn.execute("update alarm_floods set ended_at = %s where flood_id = %s", (now, flood_id))
    title = sentences.say("notice.flood_over", _counts(conn, flood_id))
    body = sentences.say("flood.over", {"minutes": (now - begun_at) / MINUTE})
    notify.tell_of(conn, [person], kind=NoticeKind.FLOOD, title=title, body=body, key=f"flood:{flood_id}:over", now=now)


def _counts(conn: Connection, flood_id: int) -> dict[str, float]:
    row = conn.execute(
        """select count(*), count(distinct l.asset_id) from alarms_told t join alarms l using (alarm_id)
           where t.flood_id = %s""",
        (flood_id,),
    ).fetchone()
    count, machines = row or (0, 0)
    return {"count": float(count), "assets": float(machines)}


# -- stale and chattering ---------------------------------------------------------------------------------------------


def _tell_stale(conn: Connection, people: Sequence[int], said: Sequence[tunings.Row], now: datetime) -> None:
    every = [tunings.resolve(said, asset_class=row.asset_class, signal=row.signal).stale for row in said]
    for each in _of(conn, STILL, now - min([*every, USUAL])):
        tuning = tunings.resolve(said, asset_class=each.asset_class, signal=each.signal)
        if now - each.changed_at <= tuning.stale:
            continue
        conn.execute("update alarms set stale_at = %s where alarm_id = %s", (now, each.alarm_id))
        _note(conn, each, "stale", now)
        title = sentences.say("notice.stale", {"asset": each.asset_code})
        body = sentences.say("stale.body", {"hours": (now - each.changed_at) / timedelta(hours=1)})
        key = f"stale:{each.alarm_id}:{each.changed_at.isoformat()}"
        notify.tell_of(conn, people, kind=NoticeKind.ALARM, title=title, body=body, key=key, now=now)


def _tell_chatter(conn: Connection, people: Sequence[int], said: Sequence[tunings.Row], now: datetime) -> None:
    for each in _of(conn, BUSY, now - SLOT):
        tuning = tunings.resolve(said, asset_class=each.asset_class, signal=each.signal)
        came = conn.execute(
            """select at from alarm_moves where alarm_id = %s and at > %s and what in ('raised', 'back') order by at""",
            (each.alarm_id, now - SLOT),
        ).fetchall()
        count = densest([at for (at,) in came], MINUTE)
        if count < tuning.chatter_per_minute:
            continue
        conn.execute("update alarms set chatter_at = %s where alarm_id = %s", (now, each.alarm_id))
        _note(conn, each, "chattering", now)
        title = sentences.say("notice.chatter", {"asset": each.asset_code})
        body = sentences.say("chatter.body", {"count": count})
        key = f"chatter:{each.alarm_id}:{now.date().isoformat()}"
        notify.tell_of(conn, people, kind=NoticeKind.ALARM, title=title, body=body, key=key, now=now)


def _note(conn: Connection, each: Fresh, what: str, now: datetime) -> None:
    conn.execute(
        "insert into alarm_moves (alarm_id, asset_id, at, what, severity) values (%s, %s, %s, %s, %s)",
        (each.alarm_id, each.asset_id, now, what, each.severity),
    )


def _of(conn: Connection, which: LiteralString, until: datetime, *, mildest: int = 4) -> list[Fresh]:
    """All of them, read page by page: those that are not to be told keep none of the others waiting."""
    found: list[Fresh] = []
    after = 0
    with conn.cursor(row_factory=class_row(Fresh)) as cursor:
        while True:
            asked = {"until": until, "mildest": mildest, "after": after, "page": PAGE}
            page = cursor.execute(ALARMS + which + PAGED, asked).fetchall()
            found += page
            if len(page) < PAGE:
                return found
            after = page[-1].alarm_id


PAGE = 1000
USUAL = Tuning().stale
PAGED: LiteralString = " and l.alarm_id > %(after)s order by l.alarm_id limit %(page)s"
ALARMS: LiteralString = """
  select l.alarm_id, l.asset_id, a.code as asset_code, a.class as asset_class, coalesce(s.code, '') as signal,
    l.severity, l.sentence, l.deviating_since, coalesce(m.at, l.raised_at) as changed_at
  from alarms l join assets a using (asset_id)
  left join lateral (select key::int as signal_id from jsonb_each(l.contributions)
                     order by (value->>'share')::float8 desc, key limit 1) first on true
  left join signals s on s.signal_id = first.signal_id
  left join lateral (select max(at) as at from alarm_moves where alarm_id = l.alarm_id
                       and what not in ('stale', 'chattering')) m on true
  where l.state in ('active', 'acknowledged') and l.held = ''
    and not coalesce((select bool_and(g.standing = 'shadow') from gate_standings g where g.detector = l.detector),
                     false)
    and not exists (select 1 from alarm_group_members g where g.alarm_id = l.alarm_id and g.onset_at = l.onset_at
                    and g.left_at is null) """
UNTOLD: LiteralString = """and l.told_at is null and l.returned_at is null and l.raised_at <= %(until)s
  and l.severity <= %(mildest)s"""
STILL: LiteralString = """and l.returned_at is null and l.raised_at <= %(until)s and m.at <= %(until)s
  and (l.stale_at is null or l.stale_at < m.at)
  and not exists (select 1 from tickets t
                  where t.ticket_id = l.ticket_id and t.status not in ('closed', 'cancelled'))"""
BUSY: LiteralString = """and (l.chatter_at is null or l.chatter_at <= %(until)s) and l.returns > 1
  and l.last_at > %(until)s"""
