"""The timer of the SLA clocks, and what an escalation does after it has told people."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg import Connection

from core import jobs
from core.timers import timer
from tickets import assigning, clocks, store
from tickets.model import DONE, SYSTEM, VERIFYING, Step
from tickets.verbs import verb

ADOPTED = 100  # tickets of one job

timer("sla")(clocks.ring)


@jobs.job("sla.raise")
def raise_priority(conn: Connection, payload: dict[str, Any], now: datetime) -> None:
    """An escalation makes the ticket one step more urgent; its clocks follow, never into the past."""
    _raise(conn, payload, now)


@verb
def _raise(conn: Connection, payload: dict[str, Any], now: datetime) -> None:
    ticket = store.lock(conn, payload["ticket_id"])
    if not ticket.is_open or ticket.priority == 1:
        return
    ticket = clocks.settle(conn, ticket, now)
    raised = ticket.priority - 1
    changes = {"priority": raised} | clocks.review(conn, replace(ticket, priority=raised), now=now)
    why = {"clock": payload["clock"], "mark": payload["mark"]}
    store.save(conn, ticket, SYSTEM, now, Step("edited", changes, {"escalation": why}))


@jobs.job("sla.reassign")
def reassign(conn: Connection, payload: dict[str, Any], now: datetime) -> None:
    """An escalation gives the ticket to the best of the others; nobody else suitable: it stays."""
    ticket = store.lock(conn, payload["ticket_id"])
    if not ticket.is_open or ticket.status in (DONE, VERIFYING):
        return
    but_not = frozenset() if ticket.assignee_id is None else frozenset({ticket.assignee_id})
    ranking = assigning.suggested(conn, ticket, now, but_not=but_not)
    if ranking.best is not None:
        assigning.assign(conn, SYSTEM, ticket.ticket_id, assignee_id=ranking.best.engineer_id, now=now)


@jobs.job("sla.adopt")
def adopt(conn: Connection, payload: dict[str, Any], now: datetime) -> None:
    """Open tickets come under the policies as they are now, some at a time."""
    rows = conn.execute(
        """select ticket_id from tickets where status not in ('closed', 'cancelled') and ticket_id > %s
           order by ticket_id limit %s""",
        (payload["after"], ADOPTED),
    ).fetchall()
    for (ticket_id,) in rows:
        clocks.adopt(conn, ticket_id, now=now)
    if len(rows) == ADOPTED:
        jobs.later(conn, "sla.adopt", {"after": rows[-1][0]})
