"""Which approvals stand: those that the row and the timeline both say were given.

A row that somebody wrote past the program opens nothing, and one that was deleted holds its ticket all the same.
"""

from __future__ import annotations

from typing import LiteralString

GIVEN: LiteralString = """ (a.state = 'approved' and exists (
  select 1 from ticket_events g where g.ticket_id = a.ticket_id and g.kind = 'approval_approved'
    and g.body->>'approval_id' = a.approval_id::text and not exists (
      select 1 from ticket_events l where l.ticket_id = g.ticket_id and l.seq > g.seq
        and l.kind in ('approval_demanded', 'approval_declined')
        and l.body->>'approval_id' = a.approval_id::text))) """
OF_TICKET: LiteralString = """
  select a.state, a.why, coalesce(u.name, a.role), a.reason from approvals a left join users u using (user_id)
  where a.ticket_id = %s and not """
MISSING: LiteralString = OF_TICKET + GIVEN + "order by a.approval_id limit 1"
OF_KIN: LiteralString = """
  select a.key from approvals a join tickets t using (ticket_id)
  where a.ticket_id = any(%s) and a.state = any(%s) and starts_with(a.key, %s)
    and (t.status not in ('closed', 'cancelled') or a.state = 'approved') and (a.state <> 'approved' or """
KEYS: LiteralString = OF_KIN + GIVEN + ")"
LOST: LiteralString = """
  select d.body->'why' from ticket_events d where d.ticket_id = %s and d.kind = 'approval_demanded'
    and not exists (select 1 from approvals a
                    where a.ticket_id = d.ticket_id and a.approval_id::text = d.body->>'approval_id') limit 1"""
