"""What a plant came to in a period, as rows that can be compared with another run's. SQL; ids stay out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import dict_row

from maintenance.replay.model import Period, Row

# Each statement's first columns are the key; `until` hides what happened after the period's end.
FINDINGS: LiteralString = """
  select a.code as asset, f.detector, f.kind, coalesce(f.mode, '') as mode, f.at, f.active,
    coalesce((select s.code from signals s where s.signal_id::text = f.subject), f.subject) as subject,
    f.version, f.started_at, round(f.surprise::numeric, 6)::float8 as surprise, round(f.health::numeric, 6)::float8
      as health, case when f.withdrawn_at <= %(end)s then f.withdrawn_at end as withdrawn_at
  from findings f join assets a using (asset_id)
  where f.at >= %(start)s and coalesce(f.told_at, f.at) <= %(end)s order by f.at, asset, f.finding_id"""
ALARMS: LiteralString = """
  select a.code as asset, l.kind, l.mode, l.raised_at, l.started_at,
    case when l.cleared_at <= %(end)s then l.cleared_at end as cleared_at,
    case when l.acked_at <= %(end)s then l.acked_by end as acked_by
  from alarms l join assets a using (asset_id)
  where l.raised_at >= %(start)s and l.raised_at <= %(end)s and l.mode not like 'source:%%'
  order by l.raised_at, asset, l.alarm_id"""
DECISIONS: LiteralString = """
  select a.code as asset, l.kind, l.mode, d.at, d.action, coalesce(d.reasons->0->>'key', '') as reason
  from decisions d join alarms l using (alarm_id) join assets a on a.asset_id = d.asset_id
  where d.at >= %(start)s and d.at <= %(end)s and l.mode not like 'source:%%'
  order by d.at, asset, d.decision_id"""
PREDICTIONS: LiteralString = """
  select a.code as asset, p.mode, p.made_at, round(p.p10_h::numeric, 4)::float8 as p10_h,
    round(p.p50_h::numeric, 4)::float8 as p50_h, round(p.p90_h::numeric, 4)::float8 as p90_h,
    round(p.p_fail_horizon::numeric, 4)::float8 as p_fail, p.horizon_h, p.model, p.version
  from predictions p join assets a using (asset_id)
  where p.made_at >= %(start)s and p.made_at <= %(end)s order by p.made_at, asset, p.prediction_id"""
# an order as it was at the end: its row, with what was changed afterwards taken back
ORDERS: LiteralString = """
  select a.code as asset, t.mode, t.kind, t.opened_at,
    coalesce(back.body->>'priority', t.priority::text)::int as priority,
    coalesce((back.body->>'resolve_by')::timestamptz, t.resolve_by) as deadline,
    e.name as engineer, coalesce(back.body->>'status', t.status) as status,
    case when t.closed_at <= %(end)s then t.closed_at end as closed_at,
    case when t.done_at <= %(end)s then t.done_at end as done_at,
    case when t.done_at <= %(end)s then t.verdict end as verdict
  from tickets t join assets a using (asset_id) left join engineers e on e.engineer_id = t.assignee_id
    left join lateral (
      select jsonb_object_agg(b.key, b.value order by v.seq desc) as body
      from ticket_events v cross join lateral jsonb_each(v.body->'before') b
      where v.ticket_id = t.ticket_id and v.at > %(end)s) back on true
  where t.opened_at >= %(start)s and t.opened_at <= %(end)s and coalesce(t.mode, '') not like 'source:%%'
  order by t.opened_at, asset, t.ticket_id"""
STATEMENTS: Mapping[str, LiteralString] = {
    "findings": FINDINGS, "alarms": ALARMS, "predictions": PREDICTIONS, "decisions": DECISIONS, "orders": ORDERS,
}  # fmt: skip
KEYS: Mapping[str, Sequence[str]] = {
    "findings": ("asset", "detector", "kind", "mode", "at", "active", "subject"),
    "alarms": ("asset", "kind", "mode", "raised_at"),
    "predictions": ("asset", "mode", "made_at"),
    "decisions": ("asset", "kind", "mode", "at"),
    "orders": ("asset", "mode", "kind", "opened_at"),
}


def of(conn: Connection, period: Period) -> dict[str, list[Row]]:
    """Findings, alarms, predictions, decisions and orders of the period, in their order."""
    return {name: _rows(conn, statement, period) for name, statement in STATEMENTS.items()}


def _rows(conn: Connection, statement: LiteralString, period: Period) -> list[Row]:
    values: dict[str, Any] = {"start": period.start, "end": period.end}
    with conn.cursor(row_factory=dict_row) as cursor:
        return list(cursor.execute(statement, values))
