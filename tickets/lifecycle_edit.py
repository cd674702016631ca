"""Changing a life cycle without code: draft, check, preview, publish, go back, and bring open tickets along.

draft ──check──> problems            publish ──> version n + 1, for tickets that open from now on
      ──preview─> difference in words, and where today's open tickets stand
migrate ──> open tickets change over, each by an event with the state it was in and the one it is in now
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import NotFound
from tickets import clocks, definitions, lifecycle_shape, store, words
from tickets.errors import BadDefinition, DefinitionChanged
from tickets.hooks import hooks
from tickets.lifecycle import Lifecycle, build, validate
from tickets.lifecycle_compare import Difference, compare
from tickets.lifecycle_text import definition_of
from tickets.model import DONE, ON_HOLD, TERMINAL, VERIFYING, Actor, Step, Ticket, TicketKind
from tickets.rows import one
from tickets.verbs import verb

BUILT_IN = 0
LONGEST_NOTE = 500
SHOWN_REFS = 5
MOST_AT_ONCE = 1000
MOST_DRAFT = 400_000
WORKED = frozenset({DONE, VERIFYING})  # their meaning hangs on what happened before: nothing is moved into them


@dataclass(frozen=True, slots=True)
class Version:
    """A published version; 0 is the built-in one. ``open_tickets`` follow it today."""

    version: int
    lifecycle_id: int | None
    active: bool
    note: str
    published_at: datetime | None
    published_by: str
    open_tickets: int


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody is writing; it may be wrong still."""

    definition: Mapping[str, Any]
    based_on: int
    revision: int
    changed_at: datetime
    changed_by: str


class Fate(StrEnum):
    """What a version means to a ticket in some state: nothing, other steps, or that the state is gone."""

    SAME = "same"
    CHANGED = "changed"
    HOMELESS = "homeless"


@dataclass(frozen=True, slots=True)
class Standing:
    """Open tickets that follow ``version`` and are in ``state``; the newest few by name."""

    version: int
    state: str
    count: int
    refs: tuple[str, ...]
    fate: Fate


@dataclass(frozen=True, slots=True)
class Preview:
    """What publishing would mean. With ``problems`` it cannot be, and the rest is empty."""

    problems: tuple[str, ...]
    difference: Difference | None
    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class Migrated:
    """How many tickets changed over, and how many are left for the next call."""

    moved: int
    left: int


# -- reading ----------------------------------------------------------------------------------------------------------


def versions(conn: Connection, kind: TicketKind) -> list[Version]:
    """Every version, newest first; the built-in one comes last and is active when none other is."""
    counts: dict[int | None, int] = dict(
        conn.execute(
            """select lifecycle_id, count(*) from tickets where kind = %s and status not in ('closed', 'cancelled')
               group by 1""",
            (kind.value,),
        ).fetchall()
    )
    rows = conn.execute(
        """select version, lifecycle_id, active, note, published_at, published_by from lifecycles where kind = %s
           order by version desc""",
        (kind.value,),
    ).fetchall()
    found = [Version(*(*row, counts.get(row[1], 0))) for row in rows]
    builtin = Version(BUILT_IN, None, not any(each.active for each in found), "", None, "", counts.get(None, 0))
    return [*found, builtin]


def active(conn: Connection, kind: TicketKind) -> Version:
    """The version that tickets opened now follow."""
    return next(each for each in versions(conn, kind) if each.active)


def definition(conn: Connection, kind: TicketKind, version: int | None = None) -> dict[str, Any]:
    """A version's definition; None is the active one. Raises NotFound."""
    if version is None:
        return definition_of(definitions.for_kind(conn, kind))
    if version == BUILT_IN:
        return definition_of(definitions.builtin()[kind])
    (ident,) = one(
        conn,
        "select lifecycle_id from lifecycles where kind = %s and version = %s",
        (kind.value, version),
        missing=f"There is no version {version} of the life cycle of {kind.value} on this site.",
    )
    return definition_of(definitions.of_version(conn, kind, ident))


def check(definition: object) -> list[str]:
    """Every problem of a definition as a sentence; none when it may be published."""
    misshapen = list(lifecycle_shape.problems(definition))
    if misshapen or not isinstance(definition, Mapping):
        return misshapen
    return list(validate(build("draft", definition)))


def preview(conn: Connection, kind: TicketKind, definition: Mapping[str, Any]) -> Preview:
    """What publishing ``definition`` would change: for roles and states, and for the tickets that are open today."""
    problems = check(definition)
    if problems:
        return Preview(tuple(problems), None, ())
    new = build(kind.value, definition)
    difference = compare(definitions.for_kind(conn, kind), new)
    return Preview((), difference, tuple(_standings(conn, kind, new)))


def _standings(conn: Connection, kind: TicketKind, new: Lifecycle) -> list[Standing]:
    rows = conn.execute(
        """select l.version, t.lifecycle_id, t.status, count(*), (array_agg(t.ref order by t.ticket_id desc))[1:%s]
           from tickets t left join lifecycles l using (lifecycle_id)
           where t.kind = %s and t.status not in ('closed', 'cancelled') group by 1, 2, 3 order by 1 nulls first, 3""",
        (SHOWN_REFS, kind.value),
    ).fetchall()
    touched = {ident: compare(definitions.of_version(conn, kind, ident), new).touched for _, ident, *_ in rows}
    return [
        Standing(version or BUILT_IN, status, count, tuple(refs), _fate(status, new, touched[ident]))
        for version, ident, status, count, refs in rows
    ]


def _fate(status: str, new: Lifecycle, touched: frozenset[str]) -> Fate:
    if status not in new.states:
        return Fate.HOMELESS
    return Fate.CHANGED if status in touched else Fate.SAME


# -- drafts -----------------------------------------------------------------------------------------------------------


def draft(conn: Connection, kind: TicketKind) -> Draft | None:
    """What is being written for this kind, if anything."""
    row = conn.execute(
        """select definition, based_on, revision, changed_at, changed_by from lifecycle_drafts where kind = %s""",
        (kind.value,),
    ).fetchone()
    return Draft(*row) if row else None


def drafted(conn: Connection, kind: TicketKind) -> dict[str, Any]:
    """The draft's definition. Raises NotFound."""
    kept = draft(conn, kind)
    if kept is None:
        raise NotFound(f"There is no draft of the life cycle of {kind.value}.")
    return dict(kept.definition)


def save_draft(
    conn: Connection,
    actor: Actor,
    kind: TicketKind,
    definition: Mapping[str, Any],
    *,
    revision: int | None = None,
    now: datetime,
) -> Draft:
    """Keep a draft, wrong or not. ``revision`` is of the draft it was made from.

    Raises DefinitionChanged, InvalidFields.
    """
    words.small("definition", definition, most=MOST_DRAFT)
    definitions.lock(conn)
    kept = draft(conn, kind)
    if revision is not None and (kept.revision if kept else 0) != revision:
        by = f" {kept.changed_by} changed it last." if kept else ""
        raise DefinitionChanged(
            f"The draft was changed meanwhile.{by} Load it again.", current_revision=kept and kept.revision
        )
    row = one(
        conn,
        """insert into lifecycle_drafts (kind, definition, based_on, changed_at, changed_by) values (%s, %s, %s, %s, %s)
           on conflict (site_id, kind) do update set definition = excluded.definition, changed_at = excluded.changed_at,
             changed_by = excluded.changed_by, revision = lifecycle_drafts.revision + 1
           returning definition, based_on, revision, changed_at, changed_by""",
        (kind.value, Jsonb(dict(definition)), active(conn, kind).version, now, actor.name),
    )
    return Draft(*row)


def discard_draft(conn: Connection, kind: TicketKind) -> None:
    """Throw the draft away; nothing happens when there is none."""
    conn.execute("delete from lifecycle_drafts where kind = %s", (kind.value,))


# -- publishing -------------------------------------------------------------------------------------------------------


def publish(
    conn: Connection,
    actor: Actor,
    kind: TicketKind,
    definition: Mapping[str, Any],
    *,
    note: str = "",
    based_on: int | None = None,
) -> Version:
    """A new version for tickets that open from now on; open ones stay on theirs. The draft is gone then.

    ``based_on``: the version it was made from. Raises BadDefinition, and DefinitionChanged when another one is active
    meanwhile.
    """
    said = words.text("note", note, longest=LONGEST_NOTE, needed=False)
    definitions.lock(conn)
    standing = active(conn, kind).version
    if based_on is not None and based_on != standing:
        raise DefinitionChanged(
            f"Version {standing} was published meanwhile, and this was made from version {based_on}. Look at it first.",
            current_version=standing,
        )
    definitions.publish(conn, kind, definition, by=actor.name, note=said)
    discard_draft(conn, kind)
    return active(conn, kind)


def restore(conn: Connection, actor: Actor, kind: TicketKind, version: int, *, note: str = "") -> Version:
    """Go back: publish an earlier version's definition as a new one; 0 is the built-in. Raises NotFound."""
    old = definition(conn, kind, version)
    return publish(conn, actor, kind, old, note=note or f"back to version {version}")


# -- open tickets -----------------------------------------------------------------------------------------------------


def migrate(conn: Connection, actor: Actor, kind: TicketKind, *, states: Mapping[str, str], now: datetime) -> Migrated:
    """Bring open tickets to the active version, at most MOST_AT_ONCE a call; ``states``: old state → new state.

    A state of the same name needs no entry. Raises BadDefinition for a state without a place, before anything moves.
    """
    flow = definitions.for_kind(conn, kind)
    rows = conn.execute(
        """select ticket_id, status, held_from from tickets where kind = %s and status not in ('closed', 'cancelled')
             and lifecycle_id is distinct from %s order by ticket_id""",
        (kind.value, flow.lifecycle_id),
    ).fetchall()
    _refuse_places(flow, {name for _, *names in rows for name in names if name}, states)
    for ticket_id, *_ in rows[:MOST_AT_ONCE]:
        adopt(conn, actor, ticket_id, flow=flow, states=states, now=now)
    return Migrated(min(len(rows), MOST_AT_ONCE), max(len(rows) - MOST_AT_ONCE, 0))


def _refuse_places(flow: Lifecycle, standing: set[str], states: Mapping[str, str]) -> None:
    problems = [
        f"There is no state {name!r} in the new version." for name in sorted(set(states.values()) - set(flow.states))
    ]
    for old in sorted(standing):
        new = states.get(old, old)
        if old not in states and old not in flow.states:
            problems.append(f"Open tickets are in {old!r}, which is gone: say which state they go to.")
        elif new != old and new in TERMINAL | WORKED:
            problems.append(f"{old!r} cannot go to {new!r}: that takes a person's step.")
    if problems:
        raise BadDefinition(" ".join(problems), problems=problems)


@verb
def adopt(
    conn: Connection, actor: Actor, ticket_id: int, *, flow: Lifecycle, states: Mapping[str, str], now: datetime
) -> Ticket:
    """Put one open ticket under ``flow``; an event keeps both versions and states."""
    ticket = store.lock(conn, ticket_id)
    old = definitions.of(conn, ticket)
    if not ticket.is_open or old.lifecycle_id == flow.lifecycle_id:
        return ticket
    to = states.get(ticket.status, ticket.status)
    if to not in flow.states:
        raise NotFound(f"{ticket.ref} is {ticket.status!r}, which the new version does not have.")
    ticket = clocks.settle(conn, ticket, now)
    changes = _columns(ticket, to, flow, states)
    if to != ticket.status or flow.states[to] != old.states.get(to):
        reason = ticket.hold_reason if to == ON_HOLD else None
        changes |= clocks.enter(conn, ticket, flow.states[to], reason=reason, now=now)
    details = {"from": ticket.status, "to": to, "from_lifecycle": old.lifecycle_id, "to_lifecycle": flow.lifecycle_id}
    before, ticket = ticket, store.save(conn, ticket, actor, now, Step("lifecycle", changes, details))
    if to != before.status:
        for on_transition in hooks.on_transition:
            on_transition(conn, before, ticket, now)
    return ticket


def _columns(ticket: Ticket, to: str, flow: Lifecycle, states: Mapping[str, str]) -> dict[str, Any]:
    changes: dict[str, Any] = {"lifecycle_id": flow.lifecycle_id, "status": to}
    if to == ON_HOLD and ticket.held_from is not None:
        changes["held_from"] = states.get(ticket.held_from, ticket.held_from)
    if to != ON_HOLD:
        changes |= {"held_from": None, "hold_reason": None}
    if ticket.status in WORKED and to not in WORKED:
        changes["done_at"] = None
    return changes
