"""SQL of the figures: the facts of a span, read from the rows that the timelines, labour, plans and visits left."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import Connection

from maintenance import indicators
from maintenance.indicators import Completion, Due, Facts, Failure, Order, Span, Visit
from tickets.engineers import site_zone

# An order's planned work counts while it was open: its state at the end of the span is that of its row with what was
# changed afterwards taken back.
ORDERS: LiteralString = """
  select t.ticket_id, t.ref, t.kind, t.status, t.asset_id, t.verdict, t.opened_at, t.done_at,
    round(t.downtime_s * 1000000)::bigint,
    coalesce((select sum(minutes) from labour l where l.ticket_id = t.ticket_id and l.voided_at is null), 0)::int,
    case when t.kind = 'request' or coalesce((select v.body->'before'->>'status' from ticket_events v
        where v.ticket_id = t.ticket_id and v.at >= %(until)s and v.body->'before'->>'status' is not null
        order by v.seq limit 1), t.status) in ('closed', 'cancelled', 'done', 'verifying') then 0
      else coalesce((select duration_s * crew from job_needs n where n.ticket_id = t.ticket_id), 3600) / 60 end
  from tickets t
  where t.opened_at < %(until)s and (t.done_at is null or t.done_at >= %(since)s or t.opened_at >= %(since)s
      or t.opened_at + t.downtime_s * interval '1 second' > %(since)s)
    and (%(asset)s::int is null or t.asset_id = %(asset)s) order by t.ticket_id """
FAILURES: LiteralString = """
  select failure_id, asset_id, failed_at, ticket_id from failures
  where failed_at >= %(since)s and failed_at < %(until)s and (%(asset)s::int is null or asset_id = %(asset)s)
  order by failure_id"""
# days are those of the site
DUES: LiteralString = """
  select o.occurrence_id, o.plan_id, o.ticket_id,
    (o.due - coalesce((p.body->>'lead_days')::int, 0) - coalesce((p.body->>'tolerance_days')::int, 0))::timestamp
      at time zone %(zone)s,
    (o.due + 1 + coalesce((p.body->>'tolerance_days')::int, 0))::timestamp at time zone %(zone)s
  from pm_occurrences o join pm_plans p using (plan_id)
  where o.state <> 'suppressed' and (%(asset)s::int is null or exists (
    select 1 from pm_plan_assets a where a.plan_id = o.plan_id and a.asset_id = %(asset)s))
    and o.due >= (%(since)s at time zone %(zone)s)::date - 800 and o.due <= (%(until)s at time zone %(zone)s)::date
  order by o.occurrence_id"""
COMPLETIONS: LiteralString = """
  select plan_id, ticket_id, done_at from pm_completions where plan_id = any(%s) and done_at < %s
  order by done_at, completion_id"""
VISITS: LiteralString = """
  select distinct on (v.ticket_id, v.engineer_id) v.visit_id, v.ticket_id, v.starts, v.ends, t.done_at
  from visits v join plans p using (plan_id) join tickets t using (ticket_id)
  where p.accepted_at is not null and p.accepted_at <= v.starts and v.ends >= %(since)s and v.ends < %(until)s
    and (%(asset)s::int is null or t.asset_id = %(asset)s)
  order by v.ticket_id, v.engineer_id, p.accepted_at desc, v.visit_id"""
MACHINES: LiteralString = """
  select a.asset_id from assets a where (%(asset)s::int is null or a.asset_id = %(asset)s) and (
    exists (select 1 from signals s where s.asset_id = a.asset_id)
    or exists (select 1 from tickets t where t.asset_id = a.asset_id)
    or exists (select 1 from failures f where f.asset_id = a.asset_id))"""


def facts(conn: Connection, *, since: datetime, until: datetime, asset_id: int | None = None) -> Facts:
    """What the figures of ``since`` ≤ t < ``until`` are made of, of the site or of one machine."""
    zone = site_zone(conn).key
    asked: dict[str, Any] = {"since": since, "until": until, "asset": asset_id, "zone": zone}
    engineers = conn.execute("select count(*) from engineers where active").fetchone()
    return Facts(
        Span(since, until),
        frozenset(row[0] for row in conn.execute(MACHINES, asked)),
        engineers[0] if engineers else 0,
        [Order(*row) for row in conn.execute(ORDERS, asked)],
        [Failure(*row) for row in conn.execute(FAILURES, asked)],
        _dues(conn, asked),
        [Visit(*row) for row in conn.execute(VISITS, asked)],
    )


def _dues(conn: Connection, asked: dict[str, Any]) -> list[Due]:
    """Due days as they were done by the end of the span."""
    dues = [Due(*row) for row in conn.execute(DUES, asked)]
    plans = sorted({each.plan_id for each in dues})
    done = conn.execute(COMPLETIONS, (plans, asked["until"]))
    return indicators.settled(dues, [Completion(*row) for row in done])


def week_of(now: datetime) -> tuple[datetime, datetime]:
    """The seven days before now."""
    return now - timedelta(days=7), now
