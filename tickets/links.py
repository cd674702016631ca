"""How tickets belong together: links with a meaning in both directions, and parents with their parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection

from core.errors import Conflict, NotFound
from tickets import service, store, words
from tickets.errors import Cyclic, NotAllowed, TicketClosed
from tickets.model import DONE, VERIFYING, Actor, ActorKind, Audience, Late, Ticket
from tickets.model import LinkKind as LinkKind
from tickets.verbs import verb

MOST = 200
MOST_SHOWN = 500
FAMILY: LiteralString = "select pg_advisory_xact_lock(hashtext('ticket families'), current_site())"


BY_HAND = frozenset({LinkKind.RELATES, LinkKind.BLOCKS, LinkKind.DUPLICATES, LinkKind.CAUSED_BY})
INVERSE: Mapping[LinkKind, str] = {
    LinkKind.RELATES: "relates",
    LinkKind.BLOCKS: "blocked_by",
    LinkKind.DUPLICATES: "duplicated_by",
    LinkKind.CAUSED_BY: "causes",
    LinkKind.CONVERTED_FROM: "converted_to",
    LinkKind.SPLIT_FROM: "split_into",
}


@dataclass(frozen=True, slots=True)
class Near:
    """Another ticket as it is seen from one: ``how`` is a link's kind or its inverse, or parent or part."""

    link_id: int | None
    how: str
    ticket_id: int
    ref: str
    kind: str
    status: str
    title: str


# -- links ------------------------------------------------------------------------------------------------------------


@verb
def link(conn: Connection, actor: Actor, from_id: int, *, kind: LinkKind | str, to_id: int, now: datetime) -> Ticket:
    """Link two tickets; a link that stands already changes nothing. Raises InvalidFields, Cyclic, NotFound."""
    chosen = _kind(kind)
    if chosen not in BY_HAND:
        raise words.refuse("kind", f"kind is one of {', '.join(sorted(BY_HAND))}; the others come by themselves.")
    if from_id == to_id:
        raise Cyclic("A ticket cannot be linked with itself.")
    if chosen is LinkKind.RELATES:
        first, second = sorted((from_id, to_id))
        join(conn, actor, first, LinkKind.RELATES, second, now=now)
    else:
        join(conn, actor, from_id, chosen, to_id, now=now)
    return store.get(conn, from_id)


def join(conn: Connection, actor: Actor, from_id: int, kind: LinkKind, to_id: int, *, now: datetime) -> bool:
    """Write a link and tell both timelines; False when it stands already. For the verbs of this room."""
    one, other = lock_both(conn, from_id, to_id)
    _refuse_many(conn, one)
    if kind is LinkKind.BLOCKS:
        conn.execute(FAMILY)
        _refuse_circle(conn, one, other)
    made = conn.execute(
        """insert into ticket_links (from_id, kind, to_id, made_at, made_by) values (%s, %s, %s, %s, %s)
           on conflict (from_id, kind, to_id) do nothing""",
        (from_id, kind.value, to_id, now, actor.name),
    )
    if made.rowcount == 0:
        return False
    _tell(conn, actor, one, "linked", kind.value, other, now)
    _tell(conn, actor, other, "linked", INVERSE[kind], one, now)
    return True


@verb
def unlink(conn: Connection, actor: Actor, ticket_id: int, link_id: int, *, now: datetime) -> Ticket:
    """Take away a link that was made by hand. Raises NotFound, NotAllowed."""
    row = conn.execute(
        "select from_id, kind, to_id from ticket_links where link_id = %s and %s in (from_id, to_id)",
        (link_id, ticket_id),
    ).fetchone()
    if row is None:
        raise NotFound(f"The ticket has no link {link_id}.")
    kind = LinkKind(row[1])
    if kind not in BY_HAND:
        raise NotAllowed("This link tells where a ticket came from; it stays.")
    one, other = lock_both(conn, row[0], row[2])
    conn.execute("delete from ticket_links where link_id = %s", (link_id,))
    _tell(conn, actor, one, "unlinked", kind.value, other, now)
    _tell(conn, actor, other, "unlinked", INVERSE[kind], one, now)
    return store.get(conn, ticket_id)


def of(conn: Connection, ticket_id: int) -> list[Near]:
    """Everything near a ticket: its parent, its parts, its links in both directions."""
    rows = conn.execute(
        """select null::int, 'parent', p.ticket_id, p.ref, p.kind, p.status, p.title
             from tickets t join tickets p on p.ticket_id = t.parent_id where t.ticket_id = %(id)s
           union all
           select null::int, 'part', c.ticket_id, c.ref, c.kind, c.status, c.title
             from tickets c where c.parent_id = %(id)s
           union all
           select l.link_id, l.kind, o.ticket_id, o.ref, o.kind, o.status, o.title
             from ticket_links l join tickets o on o.ticket_id = l.to_id where l.from_id = %(id)s
           union all
           select l.link_id, '<' || l.kind, o.ticket_id, o.ref, o.kind, o.status, o.title
             from ticket_links l join tickets o on o.ticket_id = l.from_id where l.to_id = %(id)s
           order by 2, 3 limit %(most)s""",
        {"id": ticket_id, "most": MOST_SHOWN},
    )
    return [Near(ident, _how(how), *rest) for ident, how, *rest in rows]


def blockers(conn: Connection, ticket_id: int) -> list[int]:
    """Open tickets that have to be finished before this one."""
    rows = conn.execute(
        """select l.from_id from ticket_links l join tickets t on t.ticket_id = l.from_id
           where l.to_id = %s and l.kind = 'blocks' and t.status not in ('closed', 'cancelled') order by 1""",
        (ticket_id,),
    )
    return [ident for (ident,) in rows]


def order_of(conn: Connection, request_id: int) -> int | None:
    """The order that a request became."""
    query = "select from_id from ticket_links where to_id = %s and kind = 'converted_from'"
    row = conn.execute(query, (request_id,)).fetchone()
    return int(row[0]) if row else None


def requests_of(conn: Connection, order_id: int) -> list[int]:
    """The requests that became this order."""
    query = "select to_id from ticket_links where from_id = %s and kind = 'converted_from' order by to_id"
    return [ident for (ident,) in conn.execute(query, (order_id,))]


def lock_both(conn: Connection, one_id: int, other_id: int) -> tuple[Ticket, Ticket]:
    """Both tickets locked, the lower id first, so that two who take the same pair wait for each other."""
    locked = {ident: store.lock(conn, ident) for ident in sorted((one_id, other_id))}
    return locked[one_id], locked[other_id]


# -- parents ----------------------------------------------------------------------------------------------------------


@verb
def set_parent(
    conn: Connection, actor: Actor, ticket_id: int, *, parent_id: int | None, version: int | None = None, now: datetime
) -> Ticket:
    """Make a ticket a part of another, or (None) of none. Raises Cyclic, TicketClosed, Conflict, Stale, NotFound."""
    conn.execute(FAMILY)
    if parent_id is None:
        ticket, parent = store.lock(conn, ticket_id), None
    else:
        ticket, parent = lock_both(conn, ticket_id, parent_id)
    if version is not None and ticket.version != version:
        raise store.stale(conn, ticket, given=version)
    if ticket.parent_id == parent_id:
        return ticket
    if parent is not None:
        _refuse_parent(conn, ticket, parent)
        told = {"part": ticket.ref}
        service.record(conn, actor, parent.ticket_id, kind="part_added", details=told, late=Late.TAKEN, now=now)
    details = {"parent": parent.ref if parent else None}
    changes = {"parent_id": parent_id}
    return service.record(
        conn, actor, ticket_id, kind="parent", details=details, changes=changes, late=Late.TAKEN, now=now
    )


def _refuse_parent(conn: Connection, ticket: Ticket, parent: Ticket) -> None:
    if not parent.is_open:
        raise TicketClosed(f"{parent.ref} is {parent.status}; it gets no parts any more.")
    if ticket.is_open and parent.status in (DONE, VERIFYING):
        raise Conflict(f"The work on {parent.ref} is done; send it back before you add parts.")
    above = [parent.ref]
    at: int | None = parent.ticket_id
    while at is not None and len(above) <= MOST:
        if at == ticket.ticket_id:
            raise Cyclic(f"{ticket.ref} cannot be a part of {parent.ref}: {' is part of '.join(above)}.")
        up = store.get(conn, at).parent_id
        at = up
        if up is not None:
            above.append(store.get(conn, up).ref)


def _refuse_circle(conn: Connection, first: Ticket, then: Ticket) -> None:
    """``first`` is about to block ``then``; that must not already block ``first``, over others or not."""
    row = conn.execute(
        """with recursive after (ticket_id, way) as (
             select %(then)s::int, array[%(then)s::int]
             union
             select l.to_id, a.way || l.to_id from after a join ticket_links l on l.from_id = a.ticket_id
             where l.kind = 'blocks' and not l.to_id = any(a.way) and array_length(a.way, 1) < 50)
           select way from after where ticket_id = %(first)s limit 1""",
        {"then": then.ticket_id, "first": first.ticket_id},
    ).fetchone()
    if row:
        names = " blocks ".join(store.get(conn, ident).ref for ident in row[0])
        raise Cyclic(f"{first.ref} cannot block {then.ref}: {names}.")


def _refuse_many(conn: Connection, ticket: Ticket) -> None:
    query = "select count(*) from ticket_links where from_id = %s"
    row = conn.execute(query, (ticket.ticket_id,)).fetchone()
    if row and row[0] >= MOST:
        raise Conflict(f"{ticket.ref} has {MOST} links; that is the most.")


def _tell(conn: Connection, actor: Actor, ticket: Ticket, what: str, how: str, other: Ticket, now: datetime) -> None:
    public = how in ("converted_to", "converted_from")
    service.record(
        conn,
        actor,
        ticket.ticket_id,
        kind=what,
        details={"how": how, "ticket_id": other.ticket_id, "ref": other.ref},
        audience=Audience.REQUESTER if public else Audience.INTERNAL,
        late=Late.TAKEN,
        now=now,
    )


def _kind(given: LinkKind | str) -> LinkKind:
    try:
        return LinkKind(given)
    except ValueError as error:
        raise words.refuse("kind", f"kind is one of {', '.join(LinkKind)}.", code="choice") from error


def _how(stored: str) -> str:
    return INVERSE[LinkKind(stored[1:])] if stored.startswith("<") else stored


def origin(event_kind: str, body: Mapping[str, Any], *, ref: str, by: str, at: datetime, seq: int) -> dict[str, Any]:
    """How a comment is kept on another ticket: its words, and where it was said, when and by whom."""
    known = body.get("origin")
    text = body.get("text") if event_kind == "comment" else body.get("description") or body.get("title")
    return {"text": text, "origin": known or {"ref": ref, "seq": seq, "by": by, "at": at.isoformat()}}


def carry_comments(conn: Connection, actor: Actor, source: Ticket, into: Ticket, *, now: datetime) -> int:
    """Copy what people said on one ticket to the other, each to the readers it was meant for; returns how many."""
    said = [each for each in store.timeline(conn, source.ticket_id) if each.kind in ("comment", "reported_again")]
    for each in said:
        details = origin(each.kind, each.body, ref=source.ref, by=each.actor.name, at=each.at, seq=each.seq)
        service.record(
            conn,
            actor,
            into.ticket_id,
            kind="comment",
            details=details,
            audience=each.audience,
            late=Late.TAKEN,
            now=now,
        )
    return len(said)


def is_planner(actor: Actor) -> bool:
    """Who arranges tickets: planners, managers, administrators, rules and the system."""
    return actor.part in service.PLANNERS or actor.kind in (ActorKind.RULE, ActorKind.SYSTEM)
