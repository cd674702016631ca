"""Was anything changed behind the program's back? Every ticket and the rows beside it against its timeline, and the
numbers.

Read in parts of bounded size, so that a million tickets hold up nobody. A part is several statements, between which
somebody may work: a ticket that seems wrong is read again with its row locked, and only what is wrong then counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, LiteralString

from psycopg import Connection

from tickets import chain, held, held_compare, held_rows, store
from tickets.clocks import LATER
from tickets.held_compare import Compared, Tables
from tickets.model import Event, Ticket
from tickets.ticket_rows import COLUMNS, FROM, read_event, read_ticket

PART = 2000  # tickets
MOST_EVENTS = 20_000  # of a part, but of one ticket any number
TICKET_COLUMNS = len(Ticket.__slots__)
JOINED: LiteralString = """
  left join ticket_events v on v.ticket_id = t.ticket_id
  where t.ticket_id = any(%s)
  order by t.ticket_id, v.seq"""
EVENT: LiteralString = (
    "v.ticket_id, v.site_id, v.seq, v.at, v.actor_kind, v.actor_id, v.actor_name, v.kind, v.audience, v.body,"
    " v.prev_hash, v.hash"
)


@dataclass(frozen=True, slots=True)
class Part:
    """What was found in some tickets; the next part begins after ``last_id``, None at the end. ``uncovered``: table →
    rows beside tickets of which an older version's events hold not everything."""

    problems: tuple[str, ...]
    tickets: int
    events: int
    last_id: int | None
    uncovered: Mapping[str, int]


def tickets(conn: Connection, after: int = 0, *, part: int = PART, now: datetime) -> Part:
    """Verify the next tickets of the current site: chain, counts, the row and what stands beside it."""
    ids = _next(conn, after, part)
    rows = conn.execute(f"select {COLUMNS}, {EVENT} {FROM} {JOINED}", (ids,)).fetchall()
    beside = held_rows.of(conn, ids)
    found: list[str] = []
    uncovered: Counter[str] = Counter()
    count = 0
    for ticket_id, grouped in groupby(rows, key=lambda row: row[0]):
        seen = _compared(*_read(list(grouped)), beside[ticket_id], now)
        if seen.problems:
            seen = ticket(conn, ticket_id, now=now)
        found += seen.problems
        uncovered.update(seen.uncovered)
        count += 1
    events = sum(row[TICKET_COLUMNS] is not None for row in rows)
    return Part(tuple(found), count, events, ids[-1] if ids else None, uncovered)


def ticket(conn: Connection, ticket_id: int, *, now: datetime) -> Compared:
    """Verify one ticket, its row locked so that nobody writes meanwhile. Raises NotFound."""
    conn.execute("select 1 from tickets where ticket_id = %s for share", (ticket_id,))
    row, events = store.get(conn, ticket_id), store.timeline(conn, ticket_id)
    return _compared(row, events, held_rows.of(conn, [ticket_id])[ticket_id], now)


def _next(conn: Connection, after: int, part: int) -> list[int]:
    """The next tickets, as many as have not too many events together."""
    ids: list[int] = []
    events = 0
    query = "select ticket_id, event_count from tickets where ticket_id > %s order by ticket_id limit %s"
    for ticket_id, count in conn.execute(query, (after, part)):
        events += max(count, 0)
        if ids and events > MOST_EVENTS:
            break
        ids.append(ticket_id)
    return ids


def _read(rows: list[tuple[Any, ...]]) -> tuple[Ticket, list[Event]]:
    events = [read_event(row[TICKET_COLUMNS:]) for row in rows if row[TICKET_COLUMNS] is not None]
    return read_ticket(rows[0][:TICKET_COLUMNS]), events


def _compared(row: Ticket, events: Sequence[Event], beside: Tables, now: datetime) -> Compared:
    problems = list(chain.problems(chain.row_of(row), events))
    try:
        seen = held_compare.compare(held.fold(events), beside, retried_until=now + LATER)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        seen = Compared([f"The rows beside it cannot be told from its timeline: {error!r}."])
    return Compared([f"{row.ref}: {problem}" for problem in [*problems, *seen.problems]], seen.uncovered)


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
