"""The alarm-hygiene report of a site: its figures and the rows behind each, from the moves that were kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import class_row, dict_row

from maintenance import queries, tunings
from maintenance.alarms_hygiene import Limits, Move, Span, Standing, Told, report
from tickets import notify

MOST_ROWS = 200
MOVES: LiteralString = """
  select alarm_id, asset_id, at, what, severity from alarm_moves
  where at >= %s and at < %s and what in ('raised', 'back', 'normal') order by at, move_id"""
# As it was at the end of the span: by the moves until then; an alarm that nothing moved since stands as it does now.
STANDING: LiteralString = """
  select l.alarm_id, l.asset_id,
    case when now.same then l.state when shelf.what = 'shelved' and shelf.until > %(end)s then 'shelved'
         when acked.what = 'acknowledged' then 'acknowledged' else 'active' end as state,
    case when now.same then l.returned_at is null else life.what in ('raised', 'back') end as deviates,
    case when now.same then l.held else coalesce(
      (select h.kind from alarm_holds h where h.alarm_id = l.alarm_id and h.since < %(end)s
         and (h.until is null or h.until >= %(end)s) limit 1),
      (select 'grouped' from alarm_group_members g where g.alarm_id = l.alarm_id and g.joined_at < %(end)s
         and (g.left_at is null or g.left_at >= %(end)s) limit 1), '') end as held,
    coalesce((select max(m.at) from alarm_moves m where m.alarm_id = l.alarm_id and m.at < %(end)s
                and m.what not in ('stale', 'chattering')), l.raised_at) as changed_at
  from alarms l
  cross join lateral (select not exists (select from alarm_moves m where m.alarm_id = l.alarm_id and m.at >= %(end)s
                        and m.what not in ('stale', 'chattering')) as same) now
  left join lateral (select what from alarm_moves m where m.alarm_id = l.alarm_id and m.at < %(end)s
    and m.what in ('raised', 'back', 'normal', 'cleared') order by m.at desc, m.move_id desc limit 1) life on true
  left join lateral (select what, (detail->>'until')::timestamptz as until from alarm_moves m
    where m.alarm_id = l.alarm_id and m.at < %(end)s and m.what in ('shelved', 'unshelved', 'expired', 'cleared')
    order by m.at desc, m.move_id desc limit 1) shelf on true
  left join lateral (select what from alarm_moves m where m.alarm_id = l.alarm_id and m.at < %(end)s
    and m.what in ('raised', 'acknowledged', 'cleared', 'unshelved', 'expired')
    order by m.at desc, m.move_id desc limit 1) acked on true
  where l.raised_at < %(end)s and (l.state <> 'cleared' or l.cleared_at >= %(end)s)
    and case when now.same then l.state <> 'cleared' else coalesce(life.what, 'raised') <> 'cleared' end"""
ROWS: LiteralString = """
  select l.alarm_id, l.asset_id, a.code as asset_code, a.name as asset_name, a.class, l.mode, l.state, l.severity,
    l.detector, l.raised_at, l.held
  from alarms l join assets a using (asset_id) where l.alarm_id = any(%s)"""


@dataclass(frozen=True, slots=True)
class Hygiene:
    """The report of a span."""

    span: Span
    told: Sequence[Told]


def hygiene(conn: Connection, *, start: datetime, end: datetime) -> Hygiene:
    """Every figure of [start, end)."""
    span = Span(start, end, max(1, len(notify.planners(conn))))
    usual = tunings.resolve(tunings.rows(conn), asset_class="", signal="")
    limits = Limits(usual.chatter_per_minute, usual.fleeting, usual.stale)
    return Hygiene(span, report(_moves(conn, span), _standing(conn, span), span, limits))


def rows(conn: Connection, told: Told) -> list[dict[str, Any]]:
    """The alarms behind a figure, most first, each with its part in ``count``."""
    ids = list(told.behind)[:MOST_ROWS]
    with conn.cursor(row_factory=dict_row) as cursor:
        found = {row["alarm_id"]: row for row in cursor.execute(ROWS, (ids,))}
    return [
        {**row, "mode": queries.mode_json(conn, row["class"], row["mode"]), "count": told.behind[alarm_id]}
        for alarm_id in ids
        if (row := found.get(alarm_id)) is not None
    ]


def _moves(conn: Connection, span: Span) -> list[Move]:
    with conn.cursor(row_factory=class_row(Move)) as cursor:
        return cursor.execute(MOVES, (span.start, span.end)).fetchall()


def _standing(conn: Connection, span: Span) -> list[Standing]:
    with conn.cursor(row_factory=class_row(Standing)) as cursor:
        return cursor.execute(STANDING, {"end": span.end}).fetchall()
