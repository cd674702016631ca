"""What holds a ticket back beside its life cycle: an approval that is not given, parts or lines that are still open."""

from __future__ import annotations

from psycopg import Connection

from tickets import checklist_store
from tickets.errors import ApprovalPending, OpenChildren
from tickets.given import LOST, MISSING
from tickets.model import CLOSED, DONE, VERIFYING, Ticket

FREE = frozenset({"new", "approved", "on_hold", "reopened", "cancelled"})  # the trigger in 0016 names them too
SHOWN = 5
TAMPERED = "Its row in the database is not what the timeline says: run `millwright audit verify`, then ask anew."


def check(conn: Connection, ticket: Ticket, to: str) -> None:
    """Raise ApprovalPending, OpenChildren or ChecklistOpen when the ticket may not become ``to`` now, whoever asks."""
    refuse_unapproved(conn, ticket, to)
    refuse_open_children(conn, ticket, to)
    if to in (DONE, CLOSED) and ticket.status not in (DONE, VERIFYING):
        checklist_store.refuse_unanswered(conn, ticket)


def refuse_unapproved(conn: Connection, ticket: Ticket, to: str) -> None:
    """Raise ApprovalPending while a demanded approval is pending or declined."""
    if to in FREE:
        return
    row = conn.execute(MISSING, (ticket.ticket_id,)).fetchone()
    if row is None:
        _refuse_lost(conn, ticket)
        return
    state, why, who, reason = row
    if state == "approved":
        raise ApprovalPending(f"{ticket.ref} waits for an approval ({why['en']}). {TAMPERED}", waits_for=who, why=why)
    said = f"{who} declined it: {reason}. Ask again, or cancel the ticket" if state == "declined" else f"{who} decides"
    raise ApprovalPending(f"{ticket.ref} waits for an approval ({why['en']}). {said}.", waits_for=who, why=why)


def is_unapproved(conn: Connection, ticket: Ticket) -> bool:
    """Whether a demanded approval is pending or declined."""
    return any(conn.execute(query, (ticket.ticket_id,)).fetchone() for query in (MISSING, LOST))


def _refuse_lost(conn: Connection, ticket: Ticket) -> None:
    row = conn.execute(LOST, (ticket.ticket_id,)).fetchone()
    if row is not None:
        why = row[0] or {"en": "", "zh": ""}
        raise ApprovalPending(f"{ticket.ref} waits for an approval ({why['en']}). {TAMPERED}", waits_for="", why=why)


def refuse_open_children(conn: Connection, ticket: Ticket, to: str) -> None:
    """Raise OpenChildren while parts of the ticket are open; a parent is finished last."""
    if to not in (DONE, CLOSED):
        return
    rows = conn.execute(
        """select ref from tickets where parent_id = %s and status not in ('closed', 'cancelled')
           order by ticket_id limit %s""",
        (ticket.ticket_id, SHOWN + 1),
    ).fetchall()
    if rows:
        names = ", ".join(ref for (ref,) in rows[:SHOWN]) + (" …" if len(rows) > SHOWN else "")
        raise OpenChildren(f"{ticket.ref} has open parts: {names}. Finish or cancel them first.")
