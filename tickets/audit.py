"""Was anything changed behind the program's back? Every ticket against its timeline, the numbers, and the roots.

Read in parts, so that a million tickets hold up nobody: each part is one statement and so one moment of the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, LiteralString

from psycopg import Connection

from tickets import chain
from tickets.model import Ticket
from tickets.ticket_rows import COLUMNS, FROM, read_event, read_ticket

PART = 2000
TICKET_COLUMNS = len(Ticket.__slots__)
JOINED: LiteralString = """
  left join ticket_events v on v.ticket_id = t.ticket_id
  where t.ticket_id in (select ticket_id from tickets where ticket_id > %s order by ticket_id limit %s)
  order by t.ticket_id, v.seq"""
EVENT: LiteralString = (
    "v.ticket_id, v.site_id, v.seq, v.at, v.actor_kind, v.actor_id, v.actor_name, v.kind, v.audience, v.body,"
    " v.prev_hash, v.hash"
)


@dataclass(frozen=True, slots=True)
class Part:
    """What was found in some tickets; the next part begins after ``last_id``, None at the end."""

    problems: tuple[str, ...]
    tickets: int
    events: int
    last_id: int | None


def tickets(conn: Connection, after: int = 0, *, part: int = PART) -> Part:
    """Verify the next tickets of the current site: chain, counts, and the row against its timeline."""
    rows = conn.execute(
        f"select {COLUMNS}, {EVENT} {FROM} {JOINED}",
        (after, part),
    ).fetchall()
    found: list[str] = []
    count, last_id = 0, None
    for ticket_id, grouped in groupby(rows, key=lambda row: row[0]):
        found += _ticket_problems(list(grouped))
        count, last_id = count + 1, ticket_id
    return Part(tuple(found), count, sum(row[TICKET_COLUMNS] is not None for row in rows), last_id)


def _ticket_problems(rows: list[tuple[Any, ...]]) -> list[str]:
    ticket = read_ticket(rows[0][:TICKET_COLUMNS])
    events = [read_event(row[TICKET_COLUMNS:]) for row in rows if row[TICKET_COLUMNS] is not None]
    return [f"{ticket.ref}: {problem}" for problem in chain.problems(chain.row_of(ticket), events)]


def numbers(conn: Connection) -> Iterator[str]:
    """Numbers count without gaps, so a missing one is a ticket that was deleted; events without a ticket say so too."""
    rows = conn.execute(
        """select prefix, year, last, coalesce(found, 0) from ref_counters left join (
             select split_part(ref, '-', 1) as prefix, split_part(ref, '-', 2)::int as year, count(*) as found
             from tickets group by 1, 2) t using (prefix, year) where last <> coalesce(found, 0) order by 1, 2"""
    ).fetchall()
    for prefix, year, last, found in rows:
        gone = _missing(conn, prefix, year, last)
        yield (
            f"{prefix}-{year}: {last:,} tickets were opened and {found:,} are there"
            + (f"; missing: {', '.join(gone)}." if gone else ".")
        )
    for ticket_id, count in conn.execute(
        """select ticket_id, count(*) from ticket_events e
           where not exists (select 1 from tickets t where t.ticket_id = e.ticket_id) group by 1 order by 1 limit 20"""
    ):
        yield f"Ticket {ticket_id} was deleted and {count} events of it are left."


def _missing(conn: Connection, prefix: str, year: int, last: int) -> list[str]:
    """The first few numbers that no ticket has."""
    rows = conn.execute(
        """select w.ref from (select %s || '-' || %s || '-' || lpad(n::text, 6, '0') as ref
             from generate_series(1, %s) n) w left join tickets t on t.ref = w.ref
           where t.ref is null order by 1 limit 10""",
        (prefix, str(year), last),
    )
    return [row[0] for row in rows]
