"""What a timeline says about the rows beside its ticket: approvals, clocks, costs, parts, links, work, watchers. Pure.

    events ──fold──> Books: table → key → column → value ──(tickets.held_compare)── rows as they are in the database

Every change of such a row appends an event. What an event of an older version does not hold is not in the books: such a
column is *not covered*, which is counted and never taken for sound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tickets.chain import time_text
from tickets.model import Event, LinkKind

Row = dict[str, Any]  # times as RFC 3339, bytes as hex digits
CLOCKS, LINKS, WATCHERS, MOVES = "sla_clocks", "ticket_links", "ticket_watchers", "stock_moves"
MOMENTS = ("running_since", "due_at", "next_at", "breached_at", "stopped_at")
OF_POLICY = ("calendar_id", "calendar_version", "policy_id", "policy_version")
BLANK_CLOCK: Mapping[str, Any] = {
    **dict.fromkeys((*MOMENTS, *OF_POLICY)),
    "basis": "policy",
    "used_s": 0.0,
    "fired": [],
    "generation": 1,
    "round": 1,
    "breaches": 0,
}  # of a clock that begins
APPROVAL = {"decided_by": None, "decided_at": None, "reason": ""}
FORWARD = frozenset(LinkKind)


@dataclass(slots=True)
class Books:
    """``whole``: the tables of which every row is known. ``broken``: (table, key, column, event) where an event found
    another value than the events before had left."""

    tables: dict[str, dict[str, Row]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    broken: list[tuple[str, str, str, int]] = field(default_factory=list)

    def put(self, table: str, key: object, row: Mapping[str, Any]) -> None:
        """Columns of a row, new or changed."""
        self.tables.setdefault(table, {}).setdefault(str(key), {}).update(row)

    def take(self, table: str, key: object) -> None:
        """The row is gone."""
        self.tables.get(table, {}).pop(str(key), None)

    def row(self, table: str, key: object) -> Row:
        """The row as it stands; empty where nothing is known of it."""
        return self.tables.get(table, {}).get(str(key), {})


def fold(events: Iterable[Event]) -> Books:
    """The books after these events, which are a ticket's whole timeline in order."""
    books = Books(whole={table for table in TABLES if table not in (CLOCKS, LINKS, WATCHERS)})
    for event in events:
        if event.kind == "opened" and "rows" in event.body:
            books.whole |= {CLOCKS, LINKS} | ({WATCHERS} & event.body["rows"].keys())
        for table, rows in event.body.get("rows", {}).items():
            for key, change in rows.items():
                _change(books, table, key, change, event.seq)
        handler = HANDLERS.get(event.kind)
        if handler is not None:
            handler(books, event)
    return books


def _change(books: Books, table: str, key: str, change: Mapping[str, Mapping[str, Any]], seq: int) -> None:
    before, after = change.get("before", {}), change["after"]
    known = books.row(table, key)
    books.broken += [(table, key, name, seq) for name, was in before.items() if name in known and known[name] != was]
    if table == WATCHERS and after["why"] is None:
        books.take(table, key)
        return
    blank = BLANK_CLOCK if table == CLOCKS else {}
    books.put(table, key, after if before or known else {**blank, **after})


def _by(event: Event) -> Row:
    return {"made_at": time_text(event.at), "by_name": event.actor.name}


def _some(body: Mapping[str, Any], *names: str) -> Row:
    return {name: body[name] for name in names if name in body}


def _time(text: str) -> str:
    return time_text(datetime.fromisoformat(text))


# -- approvals and costs ----------------------------------------------------------------------------------------------


def _demanded(books: Books, event: Event) -> None:
    body = event.body
    if books.row("approvals", body["approval_id"]):
        books.put("approvals", body["approval_id"], {"state": "pending", "decided_at": None} | _some(body, "asked_by"))
        return
    made = {"why": body["why"], "demanded_by": event.actor.name, "demanded_at": time_text(event.at), "state": "pending"}
    known = _some(body, "key", "role", "user_id", "asked_by", "own")
    books.put("approvals", body["approval_id"], APPROVAL | made | known)


def _decided(books: Books, event: Event) -> None:
    decided = {"decided_by": event.actor.name, "decided_at": time_text(event.at), "reason": event.body["reason"]}
    state = event.kind.removeprefix("approval_")
    books.put("approvals", event.body["approval_id"], {"state": state, **decided})


def _cost(books: Books, event: Event) -> None:
    made = {"made_by": event.actor.name, "made_at": time_text(event.at)}
    books.put("cost_lines", event.body["line_id"], _some(event.body, "kind", "amount", "note") | made)


def _parts(books: Books, event: Event) -> None:
    body = event.body
    key, quantity = f"{body['part']}@{body['store_id']}", body["quantity"]
    row = {"reserved": 0.0, "consumed": 0.0, "amount": 0.0} | books.row("ticket_parts", key)
    if body["move"] == "reserve":
        row["reserved"] += quantity
    elif body["move"] == "release":
        row["reserved"] = max(row["reserved"] - quantity, 0)
    elif body["move"] == "consume":
        row["reserved"] = max(row["reserved"] - min(row["reserved"], quantity), 0)
        row["consumed"] += quantity
    else:
        row["consumed"] = max(row["consumed"] - quantity, 0)
    row["amount"] += body["amount"]
    books.put("ticket_parts", key, row)
    moved = {"kind": body["move"], "quantity": quantity, "store_id": body["store_id"], "at": time_text(event.at)}
    moved |= {"user_id": event.actor.actor_id} | _some(body, "part_id")
    books.put(MOVES, len(books.tables.get(MOVES, {})) + 1, moved)


# -- work -------------------------------------------------------------------------------------------------------------


def _labour(books: Books, event: Event) -> None:
    row = _some(event.body, "minutes", "cost", "client_id", "engineer_id", "rate")
    row |= {"note": event.body.get("note", ""), "began_at": _time(event.body["began_at"]), "voided_at": None}
    books.put("labour", event.body["labour_id"], row | _by(event))


def _labour_voided(books: Books, event: Event) -> None:
    books.put("labour", event.body["labour_id"], {"voided_at": time_text(event.at)})


def _downtime(books: Books, event: Event) -> None:
    body = event.body
    row = {"began_at": _time(body["began_at"]), "ended_at": _time(body["ended_at"]), "client_id": body["client_id"]}
    row |= {"note": body.get("note", ""), "voided_at": None}
    books.put("downtimes", body["downtime_id"], row | _by(event))


def _downtime_voided(books: Books, event: Event) -> None:
    books.put("downtimes", event.body["downtime_id"], {"voided_at": time_text(event.at)})


def _checklist(books: Books, event: Event) -> None:
    row = {"revision": event.body["revision"], "made_at": time_text(event.at)} | _some(event.body, "checklist_id")
    books.put("checklists", event.body["checklist"], row)


def _answer(books: Books, event: Event) -> None:
    body = event.body
    row = _some(body, "checklist", "item", "outcome") | {"kept_at": time_text(event.at), "by_name": event.actor.name}
    row |= {"value": body.get("value"), "note": body.get("note", ""), "photos": body.get("photos", [])}
    row["answered_at"] = min(_time(body["answered_at"]), time_text(event.at))
    books.put("checklist_answers", body["client_id"], row | {"user_id": event.actor.actor_id})


def _follow_up(books: Books, event: Event) -> None:
    key = f"{event.body['checklist']}/{event.body['item']}"
    books.put("checklist_follow_ups", key, {"opened": event.body["ticket_id"]})


def _signed(books: Books, event: Event) -> None:
    body = event.body
    row = _some(body, "purpose", "name", "signed_seq", "signed_hash", "client_id")
    row |= {"strokes": body["strokes_sha256"], "signed_at": _time(body["signed_at"]), "user_id": event.actor.actor_id}
    books.put("signatures", body["signature_id"], row | _by(event))


def _attached(books: Books, event: Event) -> None:
    body = event.body
    row = _some(body, "name", "media", "bytes", "note", "taken_at") | {"digest": body["sha256"]}
    row |= {"audience": event.audience.value, "user_id": event.actor.actor_id}
    books.put("attachments", body["attachment_id"], row | _by(event))


def _carried(books: Books, event: Event) -> None:
    for each in event.body["attachments"]:
        names = ("name", "media", "bytes", "audience", "note", "taken_at", "user_id", "by_name")
        row = _some(each, *names) | {"digest": each["sha256"], "made_at": time_text(event.at)}
        books.put("attachments", each["attachment_id"], row)


# -- links ------------------------------------------------------------------------------------------------------------


def _linked(books: Books, event: Event) -> None:
    """A link is a row of the ticket where it begins; of two that relate it begins at the lower number."""
    key = _link_key(event)
    if key is not None:
        books.put(LINKS, key, {"made_at": time_text(event.at), "made_by": event.actor.name})


def _unlinked(books: Books, event: Event) -> None:
    key = _link_key(event)
    if key is not None:
        books.take(LINKS, key)


def _link_key(event: Event) -> str | None:
    how, other = event.body["how"], event.body["ticket_id"]
    begins = how in FORWARD and (how != LinkKind.RELATES or event.ticket_id < other)
    return f"{how}>{other}" if begins else None


def _links_moved(books: Books, event: Event) -> None:
    for kind, other in event.body["gone"]:
        books.take(LINKS, f"{kind}>{other}")
    for kind, other, made_at, made_by in event.body["come"]:
        books.put(LINKS, f"{kind}>{other}", {"made_at": made_at, "made_by": made_by})


HANDLERS: Mapping[str, Callable[[Books, Event], None]] = {
    "approval_demanded": _demanded,
    "approval_approved": _decided,
    "approval_declined": _decided,
    "cost": _cost,
    "parts": _parts,
    "labour": _labour,
    "labour_voided": _labour_voided,
    "downtime": _downtime,
    "downtime_voided": _downtime_voided,
    "checklist": _checklist,
    "checklist_answer": _answer,
    "follow_up": _follow_up,
    "signed": _signed,
    "attached": _attached,
    "attachments_carried": _carried,
    "linked": _linked,
    "unlinked": _unlinked,
    "links_moved": _links_moved,
}
TABLES = (
    "approvals",
    "cost_lines",
    "ticket_parts",
    "labour",
    "downtimes",
    "checklists",
    "checklist_answers",
    "checklist_follow_ups",
    "signatures",
    "attachments",
    CLOCKS,
    LINKS,
    WATCHERS,
    MOVES,
)
