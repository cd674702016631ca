"""Two tickets become one, or one becomes two; nothing that was said is lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection

from tickets import approvals, attachments, gates, links, service, store, watchers, words
from tickets.chain import time_text
from tickets.errors import CannotMerge, NotAllowed
from tickets.links import LinkKind
from tickets.model import ASSIGNED, CANCELLED, Actor, Audience, Event, Late, Opened, Ticket, TicketKind
from tickets.verbs import verb
from tickets.watchers import Why

MOST_SPLIT = 100
FAR = 20  # merges one after another


@verb
def merge(
    conn: Connection, actor: Actor, ticket_id: int, *, into_id: int, version: int | None = None, now: datetime
) -> Ticket:
    """Close a ticket as a duplicate of another, which takes over its comments, files, watchers, links and parts,
    and waits for the approvals that it waited for.

    Returns the other. Merged there before: nothing happens. Raises CannotMerge, NotAllowed, Stale, NotFound.
    """
    if not links.is_planner(actor):
        raise NotAllowed("Planners merge tickets.")
    if ticket_id == into_id:
        raise CannotMerge("A ticket cannot be merged with itself.")
    conn.execute(links.FAMILY)
    ticket, into = _lock_all(conn, ticket_id, into_id)
    if ticket.merged_into == into_id:
        return into
    if version is not None and ticket.version != version:
        raise store.stale(conn, ticket, given=version)
    _refuse(conn, ticket, into)
    _move_parts(conn, actor, ticket, into, now)
    _take_over(conn, actor, ticket, into, now)
    links.join(conn, actor, ticket_id, LinkKind.DUPLICATES, into_id, now=now)
    pointer = {"merged_into": into_id, "parent_id": None}
    service.record(
        conn,
        actor,
        ticket_id,
        kind="merged",
        details={"into": into.ref, "ticket_id": into_id},
        changes=pointer,
        audience=Audience.REQUESTER,
        now=now,
    )
    service.transition(conn, actor, ticket_id, to=CANCELLED, fields={"reason": f"Duplicate of {into.ref}"}, now=now)
    return store.get(conn, into_id)


def standing(conn: Connection, ticket: Ticket) -> Ticket:
    """The ticket that this one lives on in: itself, unless it was merged."""
    for _ in range(FAR):
        if ticket.merged_into is None:
            break
        ticket = store.get(conn, ticket.merged_into)
    return ticket


@verb
def split(
    conn: Connection,
    actor: Actor,
    ticket_id: int,
    *,
    seqs: Sequence[int],
    title: str,
    kind: TicketKind | str | None = None,
    asset_id: int | None = None,
    priority: int | None = None,
    now: datetime,
) -> Opened:
    """Open a linked ticket with what the chosen events (``seqs``) say; the first ticket keeps them too.

    Not while the first waits for an approval. Raises InvalidFields, NotAllowed, ApprovalPending, NotFound.
    """
    if not links.is_planner(actor):
        raise NotAllowed("Planners split tickets.")
    ticket = store.lock(conn, ticket_id)
    gates.refuse_unapproved(conn, ticket, ASSIGNED)
    chosen = _chosen(conn, ticket, seqs)
    opened = service.open(
        conn,
        actor,
        kind=kind or ticket.kind,
        title=title,
        description="\n\n".join(_quoted(each) for each in chosen)[: words.LONGEST_TEXT],
        asset_id=ticket.asset_id if asset_id is None else asset_id,
        priority=priority or ticket.priority,
        channel=ticket.channel,
        requester_id=ticket.requester_id,
        origin=ticket_id,
        now=now,
    )
    links.join(conn, actor, opened.ticket.ticket_id, LinkKind.SPLIT_FROM, ticket_id, now=now)
    return Opened(store.get(conn, opened.ticket.ticket_id), created=True)


def _refuse(conn: Connection, ticket: Ticket, into: Ticket) -> None:
    if into.merged_into is not None:
        raise CannotMerge(f"{into.ref} was itself merged; merge into {standing(conn, into).ref}.")
    if links.order_of(conn, ticket.ticket_id) and links.order_of(conn, into.ticket_id):
        raise CannotMerge(f"{ticket.ref} and {into.ref} became an order each; merge the orders.")
    for each in (ticket, into):
        if not each.is_open:
            raise CannotMerge(f"{each.ref} is {each.status}; only open tickets are merged. Link them instead.")


def _move_parts(conn: Connection, actor: Actor, ticket: Ticket, into: Ticket, now: datetime) -> None:
    if into.parent_id == ticket.ticket_id or (into.parent_id is None and ticket.parent_id is not None):
        links.set_parent(conn, actor, into.ticket_id, parent_id=ticket.parent_id, now=now)
    rows = conn.execute("select ticket_id from tickets where parent_id = %s order by 1", (ticket.ticket_id,)).fetchall()
    for (part_id,) in rows:
        links.set_parent(conn, actor, part_id, parent_id=into.ticket_id, now=now)


def _take_over(conn: Connection, actor: Actor, ticket: Ticket, into: Ticket, now: datetime) -> None:
    details: dict[str, Any] = {
        "ref": ticket.ref,
        "ticket_id": ticket.ticket_id,
        "title": ticket.title,
        "description": ticket.description,
        "fields": dict(ticket.fields),
    }
    marks = {"safety": into.safety or ticket.safety, "tags": tuple(dict.fromkeys((*into.tags, *ticket.tags)))}
    users = [each.user_id for each in watchers.of(conn, ticket.ticket_id)]
    followers = [*users, ticket.requester_id if ticket.requester_id != into.requester_id else None]
    watchers.add(conn, into.ticket_id, followers, why=Why.MERGED, now=now)
    service.record(conn, actor, into.ticket_id, kind="taken_over", details=details, changes=marks, now=now)
    links.carry_comments(conn, actor, ticket, into, now=now)
    attachments.carry(conn, actor, ticket.ticket_id, into.ticket_id, now=now)
    approvals.carry(conn, actor, ticket, into, now=now)
    _move_links(conn, actor, ticket, into, now)


def _lock_all(conn: Connection, ticket_id: int, into_id: int) -> tuple[Ticket, Ticket]:
    """Both tickets, with those that are linked with the first: their timelines are told that the links move."""
    near = [each.ticket_id for each in links.of(conn, ticket_id) if each.link_id is not None]
    locked = {ident: store.lock(conn, ident) for ident in sorted({ticket_id, into_id, *near})}
    return locked[ticket_id], locked[into_id]


def _move_links(conn: Connection, actor: Actor, ticket: Ticket, into: Ticket, now: datetime) -> None:
    """Links point to the ticket that goes on; one between the two, or one that stands there already, is dropped. Where
    a link begins, the timeline says what became of it."""
    old, new = ticket.ticket_id, into.ticket_id
    moved: dict[int, dict[str, list[Any]]] = {}
    rows = conn.execute(
        "delete from ticket_links where %s in (from_id, to_id) returning from_id, kind, to_id, made_at, made_by", (old,)
    ).fetchall()
    for from_id, kind, to_id, made_at, made_by in rows:
        moved.setdefault(from_id, {"gone": [], "come": []})["gone"].append([kind, to_id])
        ends = new if from_id == old else from_id, new if to_id == old else to_id
        if kind == LinkKind.RELATES:
            ends = min(ends), max(ends)
        if ends[0] != ends[1] and _insert_link(conn, ends[0], kind, ends[1], made_at, made_by):
            come = [kind, ends[1], time_text(made_at), made_by]
            moved.setdefault(ends[0], {"gone": [], "come": []})["come"].append(come)
    for ident, what in sorted(moved.items()):
        details = {"from": ticket.ref, "ref": into.ref, **what}
        service.record(conn, actor, ident, kind="links_moved", details=details, late=Late.TAKEN, now=now)


def _insert_link(conn: Connection, from_id: int, kind: str, to_id: int, made_at: datetime, made_by: str) -> bool:
    made = conn.execute(
        """insert into ticket_links (from_id, kind, to_id, made_at, made_by) values (%s, %s, %s, %s, %s)
           on conflict do nothing""",
        (from_id, kind, to_id, made_at, made_by),
    )
    return made.rowcount == 1


def _chosen(conn: Connection, ticket: Ticket, seqs: Sequence[int]) -> list[Event]:
    wanted = set(seqs)
    if not wanted or len(wanted) > MOST_SPLIT:
        raise words.refuse("seqs", f"Choose 1 to {MOST_SPLIT} entries of the timeline.")
    chosen = [each for each in store.timeline(conn, ticket.ticket_id) if each.seq in wanted]
    silent = wanted - {each.seq for each in chosen if _said(each)}
    if silent:
        raise words.refuse("seqs", f"Entry {min(silent)} of {ticket.ref} says nothing that could be split off.")
    return chosen


def _said(event: Event) -> str:
    body = event.body
    texts = (body.get("text"), body.get("note"), body.get("description"), body.get("title"), body.get("reason"))
    after = body.get("after") or {}
    return next((each for each in (*texts, after.get("description"), after.get("title")) if isinstance(each, str)), "")


def _quoted(event: Event) -> str:
    origin = event.body.get("origin") or {}
    return (
        f"{origin.get('by') or event.actor.name}, {str(origin.get('at') or event.at.isoformat())[:16]}:\n{_said(event)}"
    )
