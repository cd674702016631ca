"""The verbs of checklists: publish, put on an order, answer line by line; the shipped ones are data files.

A checklist is put on an order when it opens, at the revision of that moment; later revisions are for later orders.
Answers come one by one, from devices that may have been offline: each has the device's own id and time, the same id
twice is one answer, and the newest time counts whatever the order of arrival.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from typing import Any

from psycopg import Connection

from core.errors import ConfigError, Conflict
from tickets import attachments, checklist, links, service, store, words
from tickets import checklist_store as kept
from tickets.checklist import Given, Judged, OnFailure, Outcome
from tickets.checklist_store import OnOrder, Template
from tickets.hooks import Change
from tickets.model import SYSTEM, Actor, Late, Ticket, TicketKind
from tickets.opening import open as open_ticket
from tickets.rows import refuse_stale
from tickets.sniff import Kind
from tickets.verbs import verb

CLIENT_ID = re.compile(r"[A-Za-z0-9._:-]{8,64}\Z")
WORK = frozenset({TicketKind.CORRECTIVE, TicketKind.PREVENTIVE, TicketKind.INSPECTION})
CHANNEL = "checklist"
MOST_PHOTOS = 20


class BadChecklist(ConfigError):
    """A shipped checklist does not hold together."""

    code = "bad_checklist"


class ChecklistKnown(Conflict):
    """There is a checklist with this code already. Change that one, or choose another code."""

    code = "checklist_known"


class IdReused(Conflict):
    """The device used this id for something else. Give each entry an id of its own."""

    code = "client_id_reused"


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer as a device sends it."""

    item: str
    client_id: str
    answered_at: datetime
    value: Any = None
    outcome: Outcome | None = None
    note: str = ""
    photos: Sequence[int] = field(default_factory=tuple)  # attachments of the same ticket


# -- templates --------------------------------------------------------------------------------------------------------


def publish(
    conn: Connection,
    *,
    code: str,
    scope: tuple[str, str, str],
    title: Any,
    items: Any,
    state: str = "active",
    by_name: str,
    shipped: bool = False,
    now: datetime,
) -> Template:
    """A new revision of a checklist, for orders opened from now on; the same as the newest makes none.

    ``scope``: asset class, mode, kind; '' = any. ``state`` retired: no order gets it any more. Raises InvalidFields.
    """
    made = checklist.parse(title, items)
    newest = kept.newest(conn, _code(code))
    if newest and newest.checklist == made and (newest.scope, newest.state) == (scope, state):
        return newest
    _scope(scope)
    revision = newest.revision + 1 if newest else 1
    ident = kept.add_template(
        conn,
        code=code,
        revision=revision,
        scope=scope,
        made=made,
        state=state,
        shipped=shipped,
        by_name=by_name,
        now=now,
    )
    return kept.template(conn, ident)


def introduce(conn: Connection, *, code: str, **wanted: Any) -> Template:
    """Publish a checklist that is new; the same again is the one there. Raises ChecklistKnown, InvalidFields."""
    standing = kept.lock(conn, _code(code))
    made = publish(conn, code=code, **wanted)
    if standing is not None and made.template_id != standing.template_id:
        raise ChecklistKnown
    return made


def revise(conn: Connection, template_id: int, *, version: int, **wanted: Any) -> Template:
    """Publish the next revision after ``version``. Raises NotFound, InvalidFields, and Stale if one is newer."""
    code = kept.template(conn, template_id).code
    standing = kept.lock(conn, code)
    if standing is not None:
        refuse_stale(code, standing=standing.revision, given=version, current=_plain(standing))
    return publish(conn, code=code, **wanted)


def _plain(found: Template) -> dict[str, Any]:
    return {
        "template_id": found.template_id,
        "revision": found.revision,
        "by": found.by_name,
        "title": dict(found.checklist.title),
        "items": checklist.as_json(found.checklist.items),
    }


def _code(code: str) -> str:
    if not checklist.CODE.match(code):
        raise words.refuse("code", "A checklist's code is made of small letters, digits, _ and -.")
    return code


def _scope(scope: tuple[str, str, str]) -> None:
    asset_class, mode, kind = scope
    words.code("asset_class", asset_class or None)
    words.code("mode", mode or None)
    if kind and kind not in set(WORK):
        raise words.refuse("kind", f"Checklists are for {', '.join(sorted(WORK))}.", code="choice")


def library() -> dict[str, Mapping[str, Any]]:
    """Every shipped checklist by code, checked. Raises BadChecklist."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(files("tickets").joinpath("checklist_library").iterdir(), key=lambda each: each.name):
        if not path.name.endswith(".toml"):
            continue
        for code, data in tomllib.loads(path.read_text("utf-8")).items():
            if code in found:
                raise BadChecklist(f"Two checklists have the code {code!r}.")
            found[code] = data
    return found


def seed(conn: Connection, *, now: datetime) -> int:
    """Bring the current site's shipped checklists up to date; those that people changed stay. Returns how many."""
    changed = 0
    for code, data in library().items():
        newest = kept.newest(conn, code)
        if newest is not None and not newest.shipped:
            continue
        scope = (data.get("asset_class", ""), data.get("mode", ""), data.get("kind", ""))
        made = publish(
            conn,
            code=code,
            scope=scope,
            title=data["title"],
            items=data["items"],
            by_name="millwright",
            shipped=True,
            now=now,
        )
        changed += newest is None or made.revision != newest.revision
    return changed


# -- on orders --------------------------------------------------------------------------------------------------------


def on_event(conn: Connection, change: Change) -> None:
    """A new order gets the checklists that fit it; registered where the rooms are wired."""
    if change.before is None and change.ticket.kind in WORK:
        for each in kept.fitting(conn, change.ticket):
            put(conn, SYSTEM, change.ticket, each, now=change.now)


@verb
def put(conn: Connection, actor: Actor, ticket: Ticket, template: Template, *, now: datetime) -> int | None:
    """Put a checklist on an order, once; the event names its revision. Returns its id, None when it is there."""
    store.lock(conn, ticket.ticket_id)
    ident = kept.fix(conn, ticket.ticket_id, template, now=now)
    if ident is not None:
        details = {"checklist": template.code, "revision": template.revision, "title": dict(template.checklist.title)}
        details["checklist_id"] = ident
        service.record(conn, actor, ticket.ticket_id, kind="checklist", details=details, now=now)
    return ident


@verb
def answer(conn: Connection, actor: Actor, checklist_id: int, entry: Entry, *, now: datetime) -> OnOrder:
    """Answer a line; the same ``client_id`` again changes nothing. It is taken late too, as from a phone offline.

    A failed line opens its follow-up once. Raises NotFound, InvalidFields, IdReused.
    """
    ticket = store.lock(conn, kept.ticket_of(conn, checklist_id))
    if _again(conn, checklist_id, entry):
        return _on_order(conn, ticket.ticket_id, checklist_id)
    order = _on_order(conn, ticket.ticket_id, checklist_id)
    item = order.template.checklist.item(entry.item)
    photos = _photos(conn, ticket.ticket_id, entry.photos)
    judged = checklist.judge(item, Given(entry.value, entry.outcome, entry.note, len(photos)))
    kept.add_answer(
        conn,
        actor,
        checklist_id,
        item=item.code,
        judged=judged,
        photos=[each.attachment_id for each in photos],
        client_id=entry.client_id,
        answered_at=min(entry.answered_at, now),
        now=now,
    )
    details = _told(order, entry, judged, [each.digest.hex() for each in photos])
    service.record(conn, actor, ticket.ticket_id, kind="checklist_answer", details=details, late=Late.TAKEN, now=now)
    order = _on_order(conn, ticket.ticket_id, checklist_id)
    if (
        judged.outcome is Outcome.FAILED
        and item.on_failure is OnFailure.FOLLOW_UP
        and item.code not in order.follow_ups
    ):
        _follow_up(conn, actor, ticket, order, item.code, now)
        order = _on_order(conn, ticket.ticket_id, checklist_id)
    return order


def client_id(value: str) -> str:
    """A device's own id of an entry. Raises InvalidFields."""
    if not CLIENT_ID.match(value):
        raise words.refuse("client_id", "client_id has 8 to 64 letters, digits and . _ : -")
    return value


def _again(conn: Connection, checklist_id: int, entry: Entry) -> bool:
    known = kept.answered(conn, client_id(entry.client_id))
    if known is not None and known != (checklist_id, entry.item):
        raise IdReused
    return known is not None


def _on_order(conn: Connection, ticket_id: int, checklist_id: int) -> OnOrder:
    return next(each for each in kept.of_ticket(conn, ticket_id) if each.checklist_id == checklist_id)


def _photos(conn: Connection, ticket_id: int, wanted: Sequence[int]) -> list[attachments.Attachment]:
    if len(wanted) > MOST_PHOTOS:
        raise words.refuse("photos", f"A line takes at most {MOST_PHOTOS} photos.", code="too_many")
    found = [each for each in attachments.belonging(conn, ticket_id, wanted) if each.kind is Kind.IMAGE]
    if len(found) != len(set(wanted)):
        raise words.refuse("photos", "Photos are pictures attached to this ticket before.", code="unknown")
    return found


def _told(order: OnOrder, entry: Entry, judged: Judged, photos: list[str]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "checklist": order.template.code,
        "revision": order.template.revision,
        "item": entry.item,
        "outcome": judged.outcome.value,
        "answered_at": entry.answered_at.isoformat(),
        "client_id": entry.client_id,
    }
    more = {"value": judged.value, "note": judged.note, "photos": photos}
    return told | {name: value for name, value in more.items() if value not in (None, "", [])}


def _follow_up(conn: Connection, actor: Actor, ticket: Ticket, order: OnOrder, item: str, now: datetime) -> None:
    line, judged = order.template.checklist.item(item), order.answers[item].judged
    seen = "" if judged.value is None else f"{judged.value} {line.unit}".strip()
    said = "\n".join(each for each in (f"{line.text['en']} / {line.text['zh']}", seen, judged.note, ticket.ref) if each)
    made = open_ticket(
        conn,
        actor,
        kind=TicketKind.CORRECTIVE,
        title=f"{line.text['en']} ({ticket.ref})"[:300],
        description=said,
        asset_id=ticket.asset_id,
        priority=ticket.priority,
        skill=ticket.skill,
        channel=CHANNEL,
        now=now,
    ).ticket
    kept.add_follow_up(conn, order.checklist_id, item, made.ticket_id)
    details = {"checklist": order.template.code, "item": item, "ref": made.ref, "ticket_id": made.ticket_id}
    service.record(conn, SYSTEM, ticket.ticket_id, kind="follow_up", details=details, late=Late.TAKEN, now=now)
    links.link(conn, SYSTEM, made.ticket_id, kind=links.LinkKind.RELATES, to_id=ticket.ticket_id, now=now)
