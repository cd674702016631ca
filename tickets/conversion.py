"""A request becomes an order: everything is carried over, both know of each other, and the request follows the order.

request new ──convert──> request approved  <──converted_from── order
                               │ follow: closed or cancelled with the order; its public state on the way
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg import Connection

from tickets import attachments, definitions, fields, gates, links, service, store, watchers, words
from tickets.errors import NotAllowed, NotARequest
from tickets.links import LinkKind
from tickets.model import CANCELLED, CLOSED, SYSTEM, Actor, Audience, Opened, Text, Ticket, TicketKind
from tickets.verbs import verb
from tickets.watchers import Why

APPROVED = "approved"
ORDERS = frozenset(TicketKind) - {TicketKind.REQUEST, TicketKind.SENSOR_FAULT}
PUBLIC: Mapping[str, Text] = {
    "planned": {"en": "The work is planned", "zh": "工作已计划"},
    "in_work": {"en": "Somebody works on it", "zh": "正在处理"},
    "waiting": {"en": "The work waits", "zh": "工作暂停等待"},
    "checked": {"en": "The work is done and being checked", "zh": "工作已完成，正在验证"},
    "closed": {"en": "The order is closed", "zh": "工单已关闭"},
    "cancelled": {"en": "The order was cancelled", "zh": "工单已取消"},
}
PUBLIC_OF: Mapping[str, str] = {
    "new": "planned", "assigned": "planned", "accepted": "in_work", "arrived": "in_work", "reopened": "in_work",
    "on_hold": "waiting", "done": "checked", "verifying": "checked", CLOSED: "closed", CANCELLED: "cancelled",
}  # fmt: skip
FOLLOWED_BY_THE_END = "The order {ref} was cancelled."


@verb
def convert(
    conn: Connection,
    actor: Actor,
    request_id: int,
    *,
    kind: TicketKind | str = TicketKind.CORRECTIVE,
    reason: str = "",
    version: int | None = None,
    changes: Mapping[str, Any] | None = None,
    now: datetime,
) -> Opened:
    """Approve a request and open the order that it becomes; ``changes`` are what :func:`service.open` takes.

    Description, asset, mode, requester, fields, comments, files and watchers go with it. Converted before: that order,
    ``created`` False. Raises NotARequest, NotAllowed, ApprovalPending, Stale, MissingFields, InvalidFields.
    """
    request = store.lock(conn, request_id)
    known = links.order_of(conn, request_id)
    if known is not None:
        return Opened(store.get(conn, known), created=False)
    chosen = _permit(conn, actor, request, kind)
    if version is not None and request.version != version:
        raise store.stale(conn, request, given=version)
    said = words.text("reason", reason, longest=500, needed=False)
    request = _approve(conn, actor, request, said, now)
    opened = _open(conn, actor, request, chosen, changes or {}, now)
    _carry(conn, actor, request, opened.ticket, now)
    links.join(conn, actor, opened.ticket.ticket_id, LinkKind.CONVERTED_FROM, request_id, now=now)
    if APPROVED in definitions.of(conn, request).states and request.status != APPROVED:
        service.transition(conn, actor, request_id, to=APPROVED, now=now)
    return Opened(store.get(conn, opened.ticket.ticket_id), created=True)


@verb
def decline(
    conn: Connection, actor: Actor, request_id: int, *, reason: str, version: int | None = None, now: datetime
) -> Ticket:
    """End a request with a reason that its requester reads. Raises NotARequest, NotAllowed, InvalidFields, Stale."""
    request = store.lock(conn, request_id, version=version)
    if links.order_of(conn, request_id) is not None:
        raise NotARequest(f"{request.ref} became an order already; cancel that.")
    _permit(conn, actor, request, TicketKind.CORRECTIVE, unapproved=True)
    said = words.text("reason", reason, longest=500)
    return service.transition(conn, actor, request_id, to=CANCELLED, fields={"reason": said}, now=now)


def follow(conn: Connection, before: Ticket, ticket: Ticket, now: datetime) -> None:
    """Let the requests that became this order follow it (``hooks.on_transition``)."""
    new, old = PUBLIC_OF.get(ticket.status), PUBLIC_OF.get(before.status)
    if new is None or new == old:
        return
    for request_id in links.requests_of(conn, ticket.ticket_id):
        request = store.lock(conn, request_id)
        if request.is_open:
            _follow(conn, request, ticket, new, now)


def _follow(conn: Connection, request: Ticket, order: Ticket, public: str, now: datetime) -> None:
    details = {"ref": order.ref, "ticket_id": order.ticket_id, "state": public, "text": dict(PUBLIC[public])}
    service.record(
        conn, SYSTEM, request.ticket_id, kind="order_moved", details=details, audience=Audience.REQUESTER, now=now
    )
    if request.status != APPROVED or order.status not in (CLOSED, CANCELLED):
        return
    given = {"reason": FOLLOWED_BY_THE_END.format(ref=order.ref)} if order.status == CANCELLED else {}
    service.transition(conn, SYSTEM, request.ticket_id, to=order.status, fields=given, now=now)


def _permit(
    conn: Connection, actor: Actor, request: Ticket, kind: TicketKind | str, *, unapproved: bool = False
) -> TicketKind:
    chosen = words.kind(kind)
    if chosen not in ORDERS:
        raise words.refuse("kind", f"An order is of kind {', '.join(sorted(ORDERS))}.", code="choice")
    if not links.is_planner(actor):
        raise NotAllowed("Planners make orders of requests.")
    if request.kind is not TicketKind.REQUEST or not request.is_open:
        raise NotARequest(
            f"{request.ref} is a {request.kind.value} and {request.status}; only an open request converts."
        )
    if not unapproved:
        gates.refuse_unapproved(conn, request, "assigned")
    return chosen


def _approve(conn: Connection, actor: Actor, request: Ticket, reason: str, now: datetime) -> Ticket:
    """The order takes the failure mode over, since one fault has one open ticket."""
    details = {"reason": reason, "mode": request.mode}
    changes = {"mode": None} if request.asset_id is not None else {}
    return service.record(
        conn,
        actor,
        request.ticket_id,
        kind="approved",
        details=details,
        changes=changes,
        audience=Audience.REQUESTER,
        now=now,
    )


def _open(
    conn: Connection, actor: Actor, request: Ticket, kind: TicketKind, changes: Mapping[str, Any], now: datetime
) -> Opened:
    mode = next(each for each in reversed(store.timeline(conn, request.ticket_id)) if each.kind == "approved")
    known = {each.key for each in fields.definitions(conn, kind=kind)}
    values = {
        "title": request.title,
        "description": request.description,
        "asset_id": request.asset_id,
        "mode": mode.body.get("mode"),
        "priority": request.priority,
        "skill": request.skill,
        "channel": request.channel,
        "requester_id": request.requester_id,
        **changes,
        "fields": {name: value for name, value in request.fields.items() if name in known}
        | dict(changes.get("fields") or {}),
    }
    return service.open(conn, actor, kind=kind, now=now, origin=request.ticket_id, **values)


def _carry(conn: Connection, actor: Actor, request: Ticket, order: Ticket, now: datetime) -> None:
    marks = {"safety": order.safety or request.safety, "tags": tuple(dict.fromkeys((*order.tags, *request.tags)))}
    left = {name: value for name, value in request.fields.items() if order.fields.get(name) != value}
    details = {"ref": request.ref, "title": request.title, "fields": left}
    users = [each.user_id for each in watchers.of(conn, request.ticket_id)]
    if order.requester_id != request.requester_id:
        users += [request.requester_id] if request.requester_id is not None else []
    watchers.add(conn, order.ticket_id, users, why=Why.CONVERTED, now=now)
    service.record(conn, actor, order.ticket_id, kind="taken_over", details=details, changes=marks, now=now)
    links.carry_comments(conn, actor, request, order, now=now)
    attachments.carry(conn, actor, request.ticket_id, order.ticket_id, now=now)
