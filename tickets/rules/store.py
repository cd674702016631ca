"""SQL of rules: what stands, its versions, and who changed what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import NotFound, Stale
from tickets.model import Actor
from tickets.rows import one
from tickets.rules import shelf
from tickets.rules.model import Form, Status


@dataclass(frozen=True, slots=True)
class Kept:
    """A rule as it is kept; the definition is plain data that may need a newer reader."""

    rule_id: int
    code: str
    form: Form
    version: int
    status: Status
    definition: Mapping[str, Any]
    stopped_why: str
    rehearsed: Mapping[str, Any] | None
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class Made:
    """One change of a rule."""

    change_id: int
    at: datetime
    by: str
    what: str
    version: int
    definition: Mapping[str, Any] | None
    note: str


SELECT: LiteralString = """
  select r.rule_id, r.code, r.form, r.version, r.status, r.definition, r.stopped_why, r.rehearsed, c.at, c.by_name
  from rules r join lateral
    (select at, by_name from rule_changes where rule_id = r.rule_id order by change_id desc limit 1) c on true """


def every(conn: Connection, *, retired: bool = False) -> list[Kept]:
    """All rules of the site by code; retired ones only when asked for."""
    rows = conn.execute(SELECT + "where %s or r.status <> 'retired' order by r.code", (retired,))
    return [_kept(row) for row in rows]


def get(conn: Connection, rule_id: int) -> Kept:
    """Raises NotFound."""
    return _kept(
        one(conn, SELECT + "where r.rule_id = %s", (rule_id,), missing=f"There is no rule {rule_id} on this site.")
    )


def lock(conn: Connection, rule_id: int, *, version: int | None = None) -> Kept:
    """The rule, its row locked. Raises NotFound, or Stale unless ``version`` fits."""
    conn.execute("select 1 from rules where rule_id = %s for update", (rule_id,))
    kept = get(conn, rule_id)
    if version is not None and kept.version != version:
        raise Stale(
            f"{kept.code} was changed meanwhile: it is at version {kept.version}. Reload and try again.",
            current={"version": kept.version, "definition": dict(kept.definition)},
            given_version=version,
        )
    return kept


def by_code(conn: Connection, code: str) -> Kept | None:
    """The rule with this code, retired ones included."""
    row = conn.execute(SELECT + "where r.code = %s", (code,)).fetchone()
    return _kept(row) if row else None


def insert(
    conn: Connection,
    actor: Actor,
    *,
    code: str,
    form: Form,
    definition: Mapping[str, Any],
    now: datetime,
    note: str = "",
) -> int:
    """A new draft; returns its id."""
    (rule_id,) = one(
        conn,
        "insert into rules (code, form, definition) values (%s, %s, %s) returning rule_id",
        (code, form.value, Jsonb(dict(definition))),
    )
    _note(conn, actor, rule_id, what="made", version=1, definition=definition, note=note, now=now)
    return int(rule_id)


def redefine(
    conn: Connection,
    actor: Actor,
    kept: Kept,
    definition: Mapping[str, Any],
    *,
    status: Status,
    now: datetime,
    note: str = "",
) -> None:
    """Another definition, as a new version."""
    shelf.changed(conn)
    conn.execute(
        "update rules set definition = %s, version = version + 1, status = %s, stopped_why = '' where rule_id = %s",
        (Jsonb(dict(definition)), status.value, kept.rule_id),
    )
    version = kept.version + 1
    _note(conn, actor, kept.rule_id, what="edited", version=version, definition=definition, note=note, now=now)


def set_status(conn: Connection, actor: Actor, kept: Kept, status: Status, *, now: datetime, note: str = "") -> None:
    """Enabled, disabled, stopped or retired."""
    shelf.changed(conn)
    why = note if status is Status.STOPPED else ""
    conn.execute("update rules set status = %s, stopped_why = %s where rule_id = %s", (status.value, why, kept.rule_id))
    _note(conn, actor, kept.rule_id, what=status.value, version=kept.version, definition=None, note=note, now=now)


def keep_rehearsal(conn: Connection, actor: Actor, kept: Kept, figures: Mapping[str, Any], *, now: datetime) -> None:
    """The newest dry run's figures; no new version."""
    conn.execute("update rules set rehearsed = %s where rule_id = %s", (Jsonb(dict(figures)), kept.rule_id))
    said = f"{figures['matched']} of {figures['events']} events in {figures['days']} days"
    _note(conn, actor, kept.rule_id, what="rehearsed", version=kept.version, definition=None, note=said, now=now)


def changes(conn: Connection, rule_id: int, *, limit: int = 100) -> list[Made]:
    """Who changed what, newest first."""
    rows = conn.execute(
        """select change_id, at, by_name, what, version, definition, note from rule_changes where rule_id = %s
           order by change_id desc limit %s""",
        (rule_id, limit),
    )
    return [Made(*row) for row in rows]


def definition_at(conn: Connection, rule_id: int, version: int) -> Mapping[str, Any]:
    """A version's definition. Raises NotFound."""
    row = conn.execute(
        "select definition from rule_changes where rule_id = %s and version = %s and definition is not null",
        (rule_id, version),
    ).fetchone()
    if row is None:
        raise NotFound(f"Rule {rule_id} has no version {version}.")
    found: Mapping[str, Any] = row[0]
    return found


def _note(
    conn: Connection,
    actor: Actor,
    rule_id: int,
    *,
    what: str,
    version: int,
    definition: Mapping[str, Any] | None,
    note: str,
    now: datetime,
) -> None:
    conn.execute(
        """insert into rule_changes (rule_id, at, by_kind, by_id, by_name, what, version, definition, note)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            rule_id,
            now,
            actor.kind.value,
            actor.actor_id,
            actor.name,
            what,
            version,
            None if definition is None else Jsonb(dict(definition)),
            note[:1000],
        ),
    )


def _kept(row: tuple[Any, ...]) -> Kept:
    rule_id, code, form, version, status, *rest = row
    return Kept(rule_id, code, Form(form), version, Status(status), *rest)
