"""Who reported this already? Offered while somebody types: the same machine (its parts, what it is a part of) and words
that sound alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import Connection

from tickets import likeness, service, store, watchers, words
from tickets.errors import TicketClosed
from tickets.merging import standing
from tickets.model import Actor, Audience, Ticket
from tickets.verbs import verb
from tickets.watchers import Why

MOST_NEAR, MOST_FAR = 1000, 1500  # candidates on the machine, and elsewhere
SHOWN = 5
STANDING = timedelta(days=1)  # how long an offer may be taken up
RECENT = timedelta(days=14)  # what was closed just now may not have helped
NEAR_ENOUGH, FAR_ENOUGH = 0.12, 0.45
SAME, FAMILY = 0.35, 0.2  # what the same machine, or a part of it, adds
NEAR: LiteralString = """
  with recursive down (asset_id) as (
    select %(asset)s::int union select a.asset_id from assets a join down d on a.parent_id = d.asset_id),
  up (asset_id, parent_id, level) as (
    select asset_id, parent_id, level from assets where asset_id = %(asset)s
    union select a.asset_id, a.parent_id, a.level from assets a join up u on a.asset_id = u.parent_id),
  near (asset_id) as (
    select asset_id from down union select asset_id from up where level in ('unit', 'component', 'line')) """
FOUND: LiteralString = """
  select t.ticket_id, t.ref, t.kind, t.status, t.title, left(t.description, 2000), t.asset_id, t.opened_at
  from tickets t """
STANDS: LiteralString = """ (t.status not in ('closed', 'cancelled') or t.closed_at > %(since)s)
  and t.merged_into is null and t.kind <> 'sensor-fault' """


@dataclass(frozen=True, slots=True)
class Candidate:
    """A ticket that may be about the same; ``score`` 0…1."""

    ticket_id: int
    ref: str
    kind: str
    status: str
    title: str
    asset_id: int | None
    opened_at: datetime
    score: float


def offer(conn: Connection, *, text: str, asset_id: int | None, now: datetime, most: int = SHOWN) -> list[Candidate]:
    """Open and just closed tickets that this report may repeat, most alike first."""
    rows = _candidates(conn, asset_id, now)
    scored = zip(rows, likeness.scores(text, [f"{row[4]}\n{row[5]}" for row in rows]), strict=True)
    found = [_candidate(row, alike, asset_id) for row, alike in scored if alike >= _needed(row, asset_id)]
    return sorted(found, key=lambda each: (-each.score, -each.ticket_id))[:most]


def remember(conn: Connection, user_id: int, found: Sequence[Candidate], *, now: datetime) -> None:
    """Note what was offered to a requester, who may add to these tickets for a while."""
    conn.execute("delete from duplicate_offers where user_id = %s and offered_at < %s", (user_id, now - STANDING))
    conn.execute(
        """insert into duplicate_offers (ticket_id, user_id, offered_at) select unnest(%s::int[]), %s, %s
           on conflict (user_id, ticket_id) do update set offered_at = excluded.offered_at""",
        ([each.ticket_id for each in found], user_id, now),
    )


def was_offered(conn: Connection, user_id: int, ticket_id: int, *, now: datetime) -> bool:
    """Whether the ticket was offered to this user lately, as like a report of theirs."""
    query = "select 1 from duplicate_offers where user_id = %s and ticket_id = %s and offered_at >= %s"
    return conn.execute(query, (user_id, ticket_id, now - STANDING)).fetchone() is not None


@verb
def join(conn: Connection, actor: Actor, ticket_id: int, *, title: str, text: str = "", now: datetime) -> Ticket:
    """Add a report to the ticket that is about the same, and let the reporter follow it. Raises TicketClosed."""
    ticket = standing(conn, store.get(conn, ticket_id))
    said = {"title": words.title(title), "description": words.text("text", text, needed=False), "channel": "web"}
    ticket = store.lock(conn, ticket.ticket_id)
    if not ticket.is_open:
        raise TicketClosed(f"{ticket.ref} is {ticket.status}. Open a new ticket and name it.")
    watchers.add(conn, ticket.ticket_id, [actor.actor_id], why=Why.ASKED, now=now)
    return service.record(
        conn, actor, ticket.ticket_id, kind="reported_again", details=said, audience=Audience.REQUESTER, now=now
    )


def _candidates(conn: Connection, asset_id: int | None, now: datetime) -> list[tuple[Any, ...]]:
    params = {"asset": asset_id, "since": now - RECENT, "near": MOST_NEAR, "far": MOST_FAR}
    near: list[tuple[Any, ...]] = []
    if asset_id is not None:
        query = NEAR + FOUND + "join near using (asset_id) where" + STANDS + "order by t.ticket_id desc limit %(near)s"
        near = conn.execute(query, params).fetchall()
    query = (
        FOUND + "where t.status not in ('closed', 'cancelled') and" + STANDS + "order by t.ticket_id desc limit %(far)s"
    )
    known = {row[0] for row in near}
    far = conn.execute(query, params).fetchall()
    return near + [row for row in far if asset_id is None or (row[0] not in known and row[6] is None)]


def _needed(row: tuple[Any, ...], asset_id: int | None) -> float:
    return FAR_ENOUGH if asset_id is None or row[6] is None else NEAR_ENOUGH


def _candidate(row: tuple[Any, ...], alike: float, asset_id: int | None) -> Candidate:
    near = 0.0 if asset_id is None or row[6] is None else SAME if row[6] == asset_id else FAMILY
    ticket_id, ref, kind, status, title, _, asset, opened_at = row
    return Candidate(ticket_id, ref, kind, status, title, asset, opened_at, round(near + (1 - near) * alike, 3))
