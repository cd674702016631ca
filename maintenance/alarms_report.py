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
STANDING: LiteralString = """
  select l.alarm_id, l.asset_id, l.state, l.returned_at is null as deviates, l.held,
    coalesce((select max(m.at) from alarm_moves m where m.alarm_id = l.alarm_id and m.at < %(end)s
                and m.what not in ('stale', 'chattering')), l.raised_at) as changed_at
  from alarms l where l.state <> 'cleared' and l.raised_at < %(end)s"""
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
