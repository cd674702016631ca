"""What people keep: views of the list, reports, dashboards. Private to their owner, or shared with the site.

A body is checked against what there is today when it is kept; when it is used later it is checked again, so that a
field that went away is said by name. Everybody may use what is shared; only its owner, or a manager, changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import Conflict, NotFound, Stale
from tickets import words
from tickets.errors import NotAllowed
from tickets.model import Actor
from tickets.rows import one

MOST = 200  # of one person and kind
LONGEST_NAME = 120
MANAGERS = frozenset({"manager", "admin"})
SELECT: LiteralString = """
  select s.saved_id, s.kind, s.owner_id, u.name, s.name, s.audience, s.body, s.version, s.changed_at
  from saved s join users u on u.user_id = s.owner_id """


class Kind(StrEnum):
    """What is kept."""

    VIEW = "view"
    REPORT = "report"
    DASHBOARD = "dashboard"


class Sharing(StrEnum):
    """Who may use it."""

    PRIVATE = "private"
    SHARED = "shared"


class NameTaken(Conflict):
    """You have kept something under this name already. Choose another name, or change that one."""

    code = "name_taken"


@dataclass(frozen=True, slots=True)
class Saved:
    """Something kept; ``body`` is as its kind wants it."""

    saved_id: int
    kind: Kind
    owner_id: int
    owner: str
    name: str
    audience: Sharing
    body: Mapping[str, Any]
    version: int
    changed_at: datetime


def keep(
    conn: Connection, actor: Actor, *, kind: Kind, name: str, audience: Sharing, body: Mapping[str, Any], now: datetime
) -> Saved:
    """Keep something new; the caller has checked its body. Raises NameTaken, InvalidFields."""
    named = words.text("name", name, longest=LONGEST_NAME)
    (many,) = one(conn, "select count(*) from saved where owner_id = %s and kind = %s", (actor.actor_id, kind))
    if many >= MOST:
        raise Conflict(f"You keep {MOST} of these already; delete some first.")
    row = conn.execute(
        """insert into saved (kind, owner_id, name, audience, body, changed_at) values (%s, %s, %s, %s, %s, %s)
           on conflict (site_id, kind, owner_id, name) do nothing returning saved_id""",
        (kind, actor.actor_id, named, audience, Jsonb(dict(body)), now),
    ).fetchone()
    if row is None:
        raise NameTaken
    return get(conn, actor, row[0])


def change(
    conn: Connection, actor: Actor, saved_id: int, *, changes: Mapping[str, Any], version: int, now: datetime
) -> Saved:
    """Another name, audience or body. Raises NotFound, NotAllowed, Stale, NameTaken."""
    found = _writable(conn, actor, saved_id)
    if found.version != version:
        raise Stale(f"“{found.name}” was changed meanwhile: it is at version {found.version}. Reload and try again.")
    name = words.text("name", changes.get("name", found.name), longest=LONGEST_NAME)
    taken = conn.execute(
        "select 1 from saved where owner_id = %s and kind = %s and name = %s and saved_id <> %s",
        (found.owner_id, found.kind, name, saved_id),
    ).fetchone()
    if taken:
        raise NameTaken
    conn.execute(
        """update saved set name = %s, audience = %s, body = %s, version = version + 1, changed_at = %s
           where saved_id = %s""",
        (name, changes.get("audience", found.audience), Jsonb(dict(changes.get("body", found.body))), now, saved_id),
    )
    return get(conn, actor, saved_id)


def delete(conn: Connection, actor: Actor, saved_id: int) -> None:
    """Forget it, with its schedules and their files. Raises NotFound, NotAllowed."""
    _writable(conn, actor, saved_id)
    conn.execute("delete from saved where saved_id = %s", (saved_id,))


def get(conn: Connection, actor: Actor, saved_id: int, *, lock: LiteralString = "") -> Saved:
    """What the actor keeps or is shared with them; somebody else's private one is as good as missing."""
    row = one(
        conn,
        SELECT + "where s.saved_id = %s and (s.owner_id = %s or s.audience = 'shared')" + lock,
        (saved_id, actor.actor_id),
        missing=f"There is nothing saved under {saved_id}.",
    )
    return _saved(row)


def mine(conn: Connection, actor: Actor, *, kind: Kind) -> list[Saved]:
    """The actor's own, then what is shared; by name."""
    rows = conn.execute(
        SELECT + "where s.kind = %s and (s.owner_id = %s or s.audience = 'shared') order by s.owner_id <> %s, s.name",
        (kind, actor.actor_id, actor.actor_id),
    )
    return [_saved(row) for row in rows]


def set_default(conn: Connection, actor: Actor, *, kind: Kind, saved_id: int | None) -> None:
    """What the actor sees first of this kind; None for what the product shows. Raises NotFound."""
    conn.execute("delete from saved_defaults where user_id = %s and kind = %s", (actor.actor_id, kind))
    if saved_id is None:
        return
    if get(conn, actor, saved_id).kind is not kind:
        raise NotFound(f"There is no saved {kind} {saved_id}.")
    conn.execute(
        "insert into saved_defaults (user_id, kind, saved_id) values (%s, %s, %s)", (actor.actor_id, kind, saved_id)
    )


def default(conn: Connection, actor: Actor, *, kind: Kind) -> int | None:
    """The id of the actor's default; None when there is none or it is no longer shared."""
    row = conn.execute(
        """select d.saved_id from saved_defaults d join saved s using (saved_id)
           where d.user_id = %s and d.kind = %s and (s.owner_id = d.user_id or s.audience = 'shared')""",
        (actor.actor_id, kind),
    ).fetchone()
    return row[0] if row else None


def _writable(conn: Connection, actor: Actor, saved_id: int) -> Saved:
    found = get(conn, actor, saved_id, lock=" for update of s")
    if found.owner_id != actor.actor_id and actor.part not in MANAGERS:
        raise NotAllowed(f"“{found.name}” belongs to {found.owner}; save your own under another name.")
    return found


def _saved(row: tuple[Any, ...]) -> Saved:
    ident, kind, owner_id, owner, name, audience, body, version, changed_at = row
    return Saved(ident, Kind(kind), owner_id, owner, name, Sharing(audience), body, version, changed_at)
