"""Tickets that came out of one another: split, merged, converted. A guard that asks for cost sees what they cost
together, so that no spending gets below its limit by being cut up or moved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import LiteralString

from psycopg import Connection

from tickets.model import Ticket
from tickets.rows import one
from tickets.rules.model import Rule

COST = re.compile(r"\bcost\b")  # ticket.cost, ticket['cost']: rather once too often than once too seldom
FAMILY: LiteralString = """
  with recursive family (ticket_id) as (
    select %(start)s::int
    union
    select near.ticket_id from family f cross join lateral (
      select l.to_id from ticket_links l where l.from_id = f.ticket_id and l.kind in ('split_from', 'converted_from')
      union all
      select l.from_id from ticket_links l where l.to_id = f.ticket_id and l.kind in ('split_from', 'converted_from')
      union all
      select t.merged_into from tickets t where t.ticket_id = f.ticket_id and t.merged_into is not null
      union all
      select t.ticket_id from tickets t where t.merged_into = f.ticket_id) near (ticket_id))
  select array_agg(t.ticket_id), coalesce(sum(t.cost) filter (where t.ticket_id <> %(own)s), 0)::float8
  from tickets t where t.ticket_id in (select ticket_id from family)"""


@dataclass(frozen=True, slots=True)
class Family:
    """Whose approvals count, and what the others cost."""

    ids: tuple[int, ...]
    others: float = 0.0


def of(conn: Connection, rule: Rule, ticket: Ticket, *, origin: int | None = None) -> Family:
    """The ticket alone, or for a rule on cost its family; ``origin``: out of which it is about to come."""
    if not counts(rule) or (ticket.event_count <= 1 and origin is None):
        return Family((ticket.ticket_id,))
    start = ticket.ticket_id if origin is None else origin
    ids, others = one(conn, FAMILY, {"start": start, "own": ticket.ticket_id})
    return Family((ticket.ticket_id, *ids), others)


def counts(rule: Rule) -> bool:
    """Whether the rule asks what the ticket costs."""
    condition, need = rule.definition.condition, rule.definition.need
    amount = None if need is None else need.amount
    return any(each is not None and COST.search(each.text) for each in (condition, amount))
