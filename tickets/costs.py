"""What a ticket costs beside labour and parts.

The ticket's ``cost`` is the sum of everything, in the site's currency; each line adds to it under the row's lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from psycopg import Connection

from tickets import service, store, words
from tickets.errors import NotAllowed, NotYours
from tickets.field_types import line
from tickets.model import Actor, Late, Ticket
from tickets.rows import one
from tickets.verbs import verb

GREATEST = 1e8


class CostKind(StrEnum):
    """What a cost line is for."""

    CONTRACTOR = "contractor"
    TRAVEL = "travel"
    RENTAL = "rental"
    MATERIAL = "material"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class CostLine:
    """One cost; a negative amount takes an earlier one back."""

    line_id: int
    kind: CostKind
    amount: float
    note: str
    made_by: str
    made_at: datetime


@verb
def add(
    conn: Connection,
    actor: Actor,
    ticket_id: int,
    *,
    kind: CostKind | str,
    amount: float,
    note: str = "",
    now: datetime,
) -> Ticket:
    """Add a cost line, to a finished ticket too (invoices come late). A sum below zero is refused.

    Raises InvalidFields, NotAllowed, NotYours.
    """
    chosen, said = _kind(kind), line("note", note) if note else ""
    _check_amount(amount)
    ticket = store.lock(conn, ticket_id)
    _permit(actor, ticket)
    total = round(ticket.cost + amount, 2)
    if total < 0:
        raise words.refuse("amount", f"{ticket.ref} cost {ticket.cost:g} so far; that cannot become {total:g}.")
    (line_id,) = one(
        conn,
        """insert into cost_lines (ticket_id, kind, amount, note, made_by, made_at) values (%s, %s, %s, %s, %s, %s)
           returning line_id""",
        (ticket_id, chosen.value, amount, said, actor.name, now),
    )
    details = {"line_id": line_id, "kind": chosen.value, "amount": amount, "note": said}
    return service.record(
        conn, actor, ticket_id, kind="cost", details=details, changes={"cost": total}, late=Late.TAKEN, now=now
    )


def of(conn: Connection, ticket_id: int) -> list[CostLine]:
    """The cost lines of a ticket, oldest first."""
    rows = conn.execute(
        "select line_id, kind, amount, note, made_by, made_at from cost_lines where ticket_id = %s order by line_id",
        (ticket_id,),
    )
    return [CostLine(ident, CostKind(kind), *rest) for ident, kind, *rest in rows]


def _permit(actor: Actor, ticket: Ticket) -> None:
    if actor.part in service.PLANNERS | service.MACHINES:
        return
    if actor.part != "engineer":
        raise NotAllowed("Planners and the assigned engineer write down what a ticket costs.")
    if actor.actor_id is None or ticket.assignee_user_id != actor.actor_id:
        raise NotYours


def _check_amount(given: object) -> None:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < abs(given) <= GREATEST:
        raise words.refuse("amount", f"amount is a number other than 0, up to {GREATEST:g}.")


def _kind(given: CostKind | str) -> CostKind:
    try:
        return CostKind(given)
    except ValueError as error:
        raise words.refuse("kind", f"kind is one of {', '.join(CostKind)}.", code="choice") from error
