"""Many tickets at once: rehearsed, applied, undone. Every step is the verb that one ticket would take.

rehearse ──> each ticket: the very verbs in a savepoint that is taken back ──> what would change, or why it is refused
apply    ──> the same for good: all or nothing, or one by one; kept in ``bulk_changes``
undo     ──> the inverse steps as new events; refused where somebody has changed the ticket since
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.database import savepoint
from core.errors import Conflict, IfMatchMissing, MillwrightError
from tickets import chain, service, store, words
from tickets.errors import NotAllowed
from tickets.model import ASSIGNED, NEW, Actor, Ticket
from tickets.rows import one

MOST = 200
PARTS = {"set", "add_tags", "remove_tags", "assign", "transition", "comment"}
SETTABLE = {"title", "description", "priority", "skill", "mode", "fields"}
SHOWN = (
    "status",
    "priority",
    "title",
    "description",
    "skill",
    "mode",
    "assignee_id",
    "tags",
    "fields",
    "resolve_by",
    "hold_reason",
)
NOBODY = 0  # `assign`: whom routing finds
CHANGED_SINCE = "It was changed meanwhile: it is at version {now}, not {then}."
WHENCE = "it stands in the list, and in the answer of `POST /bulk/preview`."
NO_WAY_BACK = "{ref} cannot be taken back from {now} to {then}: {why}"


class How(StrEnum):
    """What happens to the others when one ticket is refused."""

    ALL = "all"  # nothing is written
    EACH = "each"  # they are changed


class Purpose(StrEnum):
    """Whether a step stays."""

    REHEARSAL = "rehearsal"
    EFFECT = "effect"


class BulkRefused(Conflict):
    """Some of the tickets cannot be changed so, and nothing was written. Leave them out, or apply one by one."""

    code = "bulk_refused"


class VersionMissing(IfMatchMissing):
    """Each ticket needs the version that was seen: it stands in the list, and in the answer of `POST /bulk/preview`."""

    code = "version_missing"


class AlreadyUndone(Conflict):
    """This change was undone before."""

    code = "already_undone"


class _Rehearsed(Exception):
    """Takes a rehearsal back."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A ticket as somebody saw it; version None: as it is now."""

    ticket_id: int
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What happens (would happen) to one ticket: ``before`` and ``after`` of what changes, or ``refused``."""

    ticket_id: int
    ref: str
    version: int
    version_after: int
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    refused: str | None = None
    code: str | None = None


def checked(given: object) -> dict[str, Any]:
    """What is to change, as it came from outside. Raises InvalidFields."""
    if not isinstance(given, Mapping) or not given or not set(given) <= PARTS:
        raise words.refuse("changes", f"Changes are one or more of {', '.join(sorted(PARTS))}.", code="type")
    for name in ("add_tags", "remove_tags"):
        _tags(name, given.get(name, []))
    wanted = given.get("set", {})
    if not isinstance(wanted, Mapping) or not set(wanted) <= SETTABLE:
        raise words.refuse("set", f"set takes {', '.join(sorted(SETTABLE))}.", code="choice")
    if "transition" in given and not (isinstance(given["transition"], Mapping) and "to" in given["transition"]):
        raise words.refuse("transition", "A transition has to and, where the step asks for them, fields.")
    return dict(given)


def _tags(name: str, given: object) -> list[str]:
    if not isinstance(given, list | tuple) or len(given) > 20:
        raise words.refuse(name, f"{name} is a list of at most 20 tags.", code="type")
    return [words.text(name, each, longest=64) for each in given]


def rehearse(
    conn: Connection, actor: Actor, *, chosen: Sequence[Chosen], changes: Mapping[str, Any], now: datetime
) -> list[Row]:
    """What each ticket would become; nothing is written, told or enqueued. Raises InvalidFields."""
    return [_tried(conn, actor, each, checked(changes), now, purpose=Purpose.REHEARSAL) for each in _distinct(chosen)]


def apply(
    conn: Connection, actor: Actor, *, chosen: Sequence[Chosen], changes: Mapping[str, Any], how: How, now: datetime
) -> tuple[int, list[Row]]:
    """Change them; returns the id to undo it by, and a row a ticket. Raises VersionMissing, BulkRefused,
    InvalidFields."""
    unseen = [each.ticket_id for each in chosen if each.version is None]
    if unseen:
        raise VersionMissing(
            f"{len(unseen)} of {len(chosen)} tickets lack the version that was seen: {WHENCE}", tickets=unseen
        )
    wanted = checked(changes)
    rows = [_tried(conn, actor, each, wanted, now, purpose=Purpose.EFFECT) for each in _distinct(chosen)]
    refused = [_problem(row) for row in rows if row.refused]
    if refused and how is How.ALL:
        raise BulkRefused(errors=refused)
    (bulk_id,) = one(
        conn,
        """insert into bulk_changes (user_id, made_at, changes, results) values (%s, %s, %s, %s) returning bulk_id""",
        (actor.actor_id, now, Jsonb(wanted), Jsonb([_kept(row) for row in rows if not row.refused])),
    )
    return bulk_id, rows


def undo(conn: Connection, actor: Actor, bulk_id: int, *, now: datetime) -> list[Row]:
    """Take each ticket back by new events, one by one; if every one is refused it may be tried again.

    Raises NotFound, NotAllowed, AlreadyUndone.
    """
    user_id, results, undone_at = one(
        conn,
        "select user_id, results, undone_at from bulk_changes where bulk_id = %s for update",
        (bulk_id,),
        missing=f"There is no bulk change {bulk_id}.",
    )
    if user_id != actor.actor_id and actor.part not in ("manager", "admin"):
        raise NotAllowed("Only who made this change, or a manager, takes it back.")
    if undone_at is not None:
        raise AlreadyUndone
    rows = [_taken_back(conn, actor, each, now) for each in results]
    if any(row.refused is None for row in rows):
        conn.execute("update bulk_changes set undone_at = %s where bulk_id = %s", (now, bulk_id))
    return rows


def _distinct(chosen: Sequence[Chosen]) -> list[Chosen]:
    """Each ticket once, by its id: two who change the same tickets wait for each other instead of for ever."""
    if not 0 < len(chosen) <= MOST:
        raise words.refuse("tickets", f"From 1 to {MOST} tickets are changed at once.")
    return sorted({each.ticket_id: each for each in chosen}.values(), key=lambda each: each.ticket_id)


def _tried(
    conn: Connection,
    actor: Actor,
    each: Chosen,
    changes: Mapping[str, Any],
    now: datetime,
    *,
    purpose: Purpose,
) -> Row:
    row = Row(each.ticket_id, "", each.version or 0, each.version or 0, {}, {})
    try:
        with savepoint(conn):
            before = store.lock(conn, each.ticket_id, version=each.version)
            row = replace(row, ref=before.ref, version=before.version)
            row = _compared(row, before, _changed(conn, actor, before, changes, now))
            if purpose is Purpose.REHEARSAL:
                raise _Rehearsed
    except _Rehearsed:
        pass
    except MillwrightError as error:
        return replace(row, refused=error.message, code=error.code, before={}, after={})
    return row


def _changed(conn: Connection, actor: Actor, ticket: Ticket, changes: Mapping[str, Any], now: datetime) -> Ticket:
    ident = ticket.ticket_id
    if changes.get("set"):
        ticket = service.patch(conn, actor, ident, changes=changes["set"], now=now)
    tags = _new_tags(ticket, changes)
    if tags != ticket.tags:
        ticket = service.record(conn, actor, ident, kind="tagged", details={}, changes={"tags": tags}, now=now)
    if "assign" in changes:
        ticket = service.assign(conn, actor, ident, assignee_id=changes["assign"] or None, now=now)
    if "transition" in changes:
        step = changes["transition"]
        ticket = service.transition(conn, actor, ident, to=step["to"], fields=step.get("fields"), now=now)
    if changes.get("comment"):
        ticket = service.comment(conn, actor, ident, text=changes["comment"], audience="internal", now=now)
    return store.get(conn, ident)


def _new_tags(ticket: Ticket, changes: Mapping[str, Any]) -> tuple[str, ...]:
    gone = set(_tags("remove_tags", changes.get("remove_tags", [])))
    return tuple(sorted((set(ticket.tags) - gone) | set(_tags("add_tags", changes.get("add_tags", [])))))


def _compared(row: Row, before: Ticket, after: Ticket) -> Row:
    names = [name for name in SHOWN if getattr(before, name) != getattr(after, name)]
    return replace(
        row,
        version_after=after.version,
        before={name: chain.to_json(name, getattr(before, name)) for name in names},
        after={name: chain.to_json(name, getattr(after, name)) for name in names},
    )


def _problem(row: Row) -> dict[str, Any]:
    return {"ticket_id": row.ticket_id, "ref": row.ref, "code": row.code, "detail": row.refused}


def _kept(row: Row) -> dict[str, Any]:
    return {
        "ticket_id": row.ticket_id,
        "version_after": row.version_after,
        "before": dict(row.before),
        "after": dict(row.after),
    }


# -- the way back -----------------------------------------------------------------------------------------------------


def _taken_back(conn: Connection, actor: Actor, kept: Mapping[str, Any], now: datetime) -> Row:
    row = Row(kept["ticket_id"], "", kept["version_after"], kept["version_after"], {}, {})
    try:
        with savepoint(conn):
            ticket = store.lock(conn, kept["ticket_id"])
            row = replace(row, ref=ticket.ref, version=ticket.version, version_after=ticket.version)
            if ticket.version != kept["version_after"]:
                raise Conflict(CHANGED_SINCE.format(now=ticket.version, then=kept["version_after"]))
            return _compared(row, ticket, _inverse(conn, actor, ticket, kept["before"], now))
    except MillwrightError as error:
        return replace(row, refused=error.message, code=error.code)


def _inverse(conn: Connection, actor: Actor, ticket: Ticket, was: Mapping[str, Any], now: datetime) -> Ticket:
    ident = ticket.ticket_id
    _restate(conn, actor, ticket, was, now)
    if was.get("assignee_id") is not None:
        service.assign(conn, actor, ident, assignee_id=was["assignee_id"], now=now)
    _restate(conn, actor, store.get(conn, ident), was, now)
    edits = {name: was[name] for name in ("title", "description", "priority", "skill") if name in was}
    if "fields" in was:
        edits["fields"] = dict.fromkeys(ticket.fields) | was["fields"]
    if edits:
        service.patch(conn, actor, ident, changes=edits, now=now)
    if "mode" in was:  # nobody may edit it away: it was named by this change, and the ticket is as that left it
        mode = {"mode": was["mode"]}
        service.record(conn, actor, ident, kind="edited", details={"undo": True}, changes=mode, now=now)
    if "tags" in was:
        tags = tuple(was["tags"])
        service.record(conn, actor, ident, kind="tagged", details={"undo": True}, changes={"tags": tags}, now=now)
    return store.get(conn, ident)


def _restate(conn: Connection, actor: Actor, ticket: Ticket, was: Mapping[str, Any], now: datetime) -> None:
    """Back to the state it had, when the life cycle has a step for that (and assigning is none)."""
    to = was.get("status")
    if to is None or to == ticket.status or (to == ASSIGNED and was.get("assignee_id") is not None):
        return
    if to == NEW and ticket.status == ASSIGNED:
        why = "there is no step that takes an engineer from a ticket; assign somebody else."
        raise Conflict(NO_WAY_BACK.format(ref=ticket.ref, now=ticket.status, then=to, why=why))
    try:
        service.transition(conn, actor, ticket.ticket_id, to=to, fields={"note": "Undone.", "reason": "other"}, now=now)
    except MillwrightError as error:
        why = error.message
        raise Conflict(NO_WAY_BACK.format(ref=ticket.ref, now=ticket.status, then=to, why=why)) from error
