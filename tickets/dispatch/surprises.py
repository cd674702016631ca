"""What has happened to the plan that stands: urgent orders that it does not know, people who are away, visits that
take longer. SQL alone, read from the site as it is: whoever asks twice hears the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import Connection

WAITING = ("new", "assigned", "accepted", "reopened")  # planned, and nobody is there yet
PRESSING = ("emergency", "sickness", "overrun")
LONGEST = timedelta(days=2)  # of a visit: beyond it somebody forgot to say that it was over

FOUND: LiteralString = """
  with standing as (select plan_id, left_over from plans where status = 'accepted'),
  planned as (
    select v.*, t.ref, t.status as stands from standing join visits v using (plan_id) join tickets t using (ticket_id)
    where v.ends > %(now)s)
  select 'emergency', 'emergency:' || t.ticket_id, t.ref
  from tickets t cross join standing s
  where t.priority = 1 and t.kind <> 'request' and t.status = any(%(waiting)s)
    and not exists (select 1 from planned v where v.ticket_id = t.ticket_id)
    and not s.left_over @> jsonb_build_array(jsonb_build_object('ticket_id', t.ticket_id))
  union
  select 'sickness', 'sickness:' || a.absence_id, e.name
  from planned v join absences a using (engineer_id) join engineers e using (engineer_id)
  where v.stands = any(%(waiting)s) and a.ends > %(now)s and a.begins < v.ends and a.ends > v.starts
  union
  select 'overrun', 'overrun:' || v.ticket_id || ':' || extract(epoch from v.ends)::bigint, v.ref
  from planned v join planned n using (engineer_id)
  where v.stands = 'arrived' and n.stands = any(%(waiting)s) and n.starts >= v.starts
    and n.starts < v.ends
  order by 2"""
ANSWERED = """
  select each->>'key' from plans, jsonb_array_elements(because) each
  where plan_id >= (select plan_id from plans where status = 'accepted')"""
OVERDUE = """
  select v.ticket_id, max(v.ends), min(v.starts)
  from visits v join plans p using (plan_id) join tickets t using (ticket_id)
  where p.status = 'accepted' and t.status = 'arrived' and v.ends <= %s and v.ends - v.starts < %s
  group by v.ticket_id order by v.ticket_id"""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a plan is asked for again. ``key`` names this very surprise, ``name`` the order or the person."""

    cause: str
    key: str
    name: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Overdue:
    """An order that somebody is still at though its visit is over."""

    ticket_id: int
    ends: datetime
    lasting: timedelta


def reasons(conn: Connection, now: datetime) -> list[Reason]:
    """What the plan that stands does not hold with, the most pressing first; [] without such a plan."""
    rows = conn.execute(FOUND, {"now": now, "waiting": list(WAITING)}).fetchall()
    return sorted((Reason(*row) for row in rows), key=lambda each: PRESSING.index(each.cause))


def unanswered(conn: Connection, found: Iterable[Reason]) -> list[Reason]:
    """Those that no plan has been made for since the standing one, whatever became of it."""
    answered = {row[0] for row in conn.execute(ANSWERED)}
    return [each for each in found if each.key not in answered]


def overdue(conn: Connection, now: datetime) -> list[Overdue]:
    """Orders that people are at for longer than the standing plan says."""
    rows = conn.execute(OVERDUE, (now, LONGEST))
    return [Overdue(ticket_id, ends, ends - starts) for ticket_id, ends, starts in rows]
