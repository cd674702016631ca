"""What one list says of things that several rooms keep. SQL, read only; no room alone owns these questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True)
class TicketRef:
    ticket_id: int
    ref: str
    status: str


def open_tickets(conn: Connection) -> Mapping[int, int]:
    """asset id → open tickets, of the current site."""
    rows = conn.execute(
        """select asset_id, count(*) from tickets
           where asset_id is not null and status not in ('closed', 'cancelled') group by 1"""
    )
    return dict(rows.fetchall())


def last_seen(conn: Connection) -> Mapping[int, datetime]:
    """asset id → time of its newest sample, of the current site."""
    rows = conn.execute("select asset_id, max(at) from last_values join signals using (signal_id) group by 1")
    return dict(rows.fetchall())


def ticket_refs(conn: Connection, ticket_ids: Iterable[int]) -> Mapping[int, TicketRef]:
    """The named tickets of the current site."""
    with conn.cursor(row_factory=class_row(TicketRef)) as cursor:
        found = cursor.execute(
            "select ticket_id, ref, status from tickets where ticket_id = any(%s)", (list(ticket_ids),)
        ).fetchall()
    return {each.ticket_id: each for each in found}


def user_names(conn: Connection, user_ids: Iterable[int]) -> Mapping[int, str]:
    """user id → name."""
    return dict(conn.execute("select user_id, name from users where user_id = any(%s)", (list(user_ids),)).fetchall())
