"""The problems that cost most: asset × failure mode, with their trend against the period before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection, sql

from tickets import words

RANKS = {"cost": "cost", "downtime": "downtime_h", "count": "count"}
MOST = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One asset and failure mode in the period; ``before`` the same figure in the period of equal length before it."""

    asset_id: int
    asset: str
    asset_name: str
    mode: str | None
    count: int
    open: int
    cost: float
    downtime_h: float
    before: float
    share: float  # of the whole period's figure


QUERY = """
  with facts as (
    select t.asset_id, coalesce(t.failure_code, t.mode) as mode, t.opened_at >= %(since)s as recent,
           t.status not in ('closed', 'cancelled') as open, t.cost, coalesce(t.downtime_s, 0) / 3600 as downtime_h
    from tickets t
    where t.opened_at >= %(before)s and t.opened_at < %(until)s and t.asset_id is not null
      and t.kind <> 'request' and t.status <> 'cancelled'
  ), groups as (
    select asset_id, mode,
      count(*) filter (where recent) as count,
      count(*) filter (where recent and open) as open,
      coalesce(sum(cost) filter (where recent), 0) as cost,
      coalesce(sum(downtime_h) filter (where recent), 0) as downtime_h,
      count(*) filter (where not recent)::float8 as before_count,
      coalesce(sum(cost) filter (where not recent), 0) as before_cost,
      coalesce(sum(downtime_h) filter (where not recent), 0) as before_downtime_h
    from facts group by asset_id, mode
  )
  select g.asset_id, a.code, a.name, g.mode, g.count, g.open, g.cost, g.downtime_h, g.{before},
         coalesce(g.{rank} / nullif(sum(g.{rank}) over (), 0), 0)::float8
  from groups g join assets a using (asset_id) where g.count > 0
  order by g.{rank} desc, g.count desc, a.code, g.mode limit %(limit)s"""


def top(conn: Connection, *, by: str, since: datetime, until: datetime, limit: int = 10) -> list[Problem]:
    """The ``limit`` worst; a ticket's fault is what was found, else what was expected. Raises InvalidFields."""
    if by not in RANKS:
        raise words.refuse("by", f"Problems are ranked by {', '.join(RANKS)}.", code="choice")
    if until <= since or not 1 <= limit <= MOST:
        raise words.refuse("period", f"A period ends after it begins; at most {MOST} problems are listed.")
    query = sql.SQL(QUERY).format(rank=sql.Identifier(RANKS[by]), before=sql.Identifier(f"before_{RANKS[by]}"))
    params = {"since": since, "until": until, "before": since - (until - since), "limit": limit}
    return [Problem(*row) for row in conn.execute(query, params)]
