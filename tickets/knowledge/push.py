"""Guides pushed into orders: chosen when an order is opened or becomes another one, kept with the reason.

opened, asset/mode/text changed ──on_event──> shelf.best ──> article_pushes (pushed, or held out and not shown)
read, used, rated ──> the same row; used and rated are events of the order too
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from tickets import service, store, verbs, words
from tickets.beside import Beside
from tickets.hooks import Change
from tickets.knowledge import shelf
from tickets.knowledge import store as articles
from tickets.knowledge.fit import Fit, Wanted
from tickets.knowledge.shelf import Standing
from tickets.knowledge.store import State
from tickets.model import Actor, Late, Text, Ticket
from tickets.rows import one
from tickets.verbs import verb

ABOUT = ("asset_id", "mode", "title", "description")
TRANSLATED = ("title_zh", "description_zh")
TEXTS = ("title", "description", "fields")
PUSHED = "guides pushed"
BESIDE = sql.SQL(
    """guided as (insert into article_pushes (ticket_id, article_id, revision, place, score, reason, arm, pushed_at)
       select written.ticket_id, r.* from written, jsonb_to_recordset(%s) as r (article_id int, revision int,
         place smallint, score float8, reason jsonb, arm text, pushed_at timestamptz))"""
)


class Arm(StrEnum):
    """How an order came to a guide."""

    PUSHED = "pushed"
    HELD_OUT = "held_out"
    LOOKED_UP = "looked_up"  # somebody found it by themselves


@dataclass(frozen=True, slots=True)
class Pushed:
    """A guide of an order."""

    article_id: int
    title: Text
    revision: int
    score: float
    reason: Text
    opened_at: datetime | None = None
    used_at: datetime | None = None
    rating: int | None = None


# -- choosing ---------------------------------------------------------------------------------------------------------


def on_event(conn: Connection, change: Change) -> None:
    """Registered where the rooms are wired; a write that changes nothing of what the order is about costs nothing."""
    if change.before is None:
        if (PUSHED, change.ticket.ticket_id) not in verbs.memory(conn):
            choose(conn, change.ticket, now=change.now)
    elif change.ticket.is_open and _about(change.before) != _about(change.ticket):
        withdraw(conn, change.ticket, choose(conn, change.ticket, now=change.now), now=change.now)


def on_opening(conn: Connection, values: Mapping[str, Any], now: datetime) -> Callable[[Ticket], Beside | None]:
    """What fits is found before the ticket's number is given out, which openings wait for, and written with it."""
    known = shelf.standing(conn, values["asset_id"])
    fits = _best(known, values["mode"], _text(**{name: values[name] for name in TEXTS}))

    def beside(ticket: Ticket) -> Beside | None:
        verbs.memory(conn)[PUSHED, ticket.ticket_id] = True
        return Beside(BESIDE, [Jsonb(_rows(known, fits, ticket.ticket_id, now))]) if known and fits else None

    return beside


def choose(conn: Connection, ticket: Ticket, *, now: datetime) -> list[Fit]:
    """Keep what fits the order as it is; a guide that it has already stays as it came."""
    known = shelf.standing(conn, ticket.asset_id)
    fits = _best(known, ticket.mode, _words(ticket))
    if known is None or not fits:
        return []
    conn.execute(
        """insert into article_pushes (ticket_id, article_id, revision, place, score, reason, arm, pushed_at)
           select %(ticket)s, r.article_id, r.revision, r.place, r.score, r.reason, coalesce(
               (select arm from article_pushes where ticket_id = %(ticket)s and arm <> 'looked_up' limit 1), r.arm),
             r.pushed_at
           from jsonb_to_recordset(%(rows)s) as r (article_id int, revision int, place smallint, score float8,
             reason jsonb, arm text, pushed_at timestamptz)
           on conflict (ticket_id, article_id) do update
             set withdrawn_at = null, place = excluded.place, score = excluded.score, reason = excluded.reason""",
        {"ticket": ticket.ticket_id, "rows": Jsonb(_rows(known, fits, ticket.ticket_id, now))},
    )
    return fits


def withdraw(conn: Connection, ticket: Ticket, still: Sequence[Fit], *, now: datetime) -> None:
    """Take back what fits no longer, unless somebody used it."""
    conn.execute(
        """update article_pushes set withdrawn_at = %s where ticket_id = %s and not article_id = any(%s)
             and withdrawn_at is null and used_at is null and arm <> 'looked_up'""",
        (now, ticket.ticket_id, [each.article_id for each in still]),
    )


def _rows(known: Standing, fits: Sequence[Fit], ticket_id: int, now: datetime) -> list[dict[str, Any]]:
    arm = Arm.HELD_OUT if known.holds_out(ticket_id) else Arm.PUSHED
    return [
        {"article_id": each.article_id, "revision": known.shelf.revisions[each.article_id], "place": place,
         "score": each.score, "reason": dict(each.reason), "arm": arm.value, "pushed_at": now.isoformat()}
        for place, each in enumerate(fits, start=1)
    ]  # fmt: skip


def _best(known: Standing | None, mode: str | None, text: str) -> list[Fit]:
    return [] if known is None else known.shelf.best(Wanted.of(known.asset_class, mode, text))


def _about(ticket: Ticket) -> tuple[Any, ...]:
    return (*(getattr(ticket, name) for name in ABOUT), *(ticket.fields.get(name) for name in TRANSLATED))


def _words(ticket: Ticket) -> str:
    return _text(ticket.title, ticket.description, ticket.fields)


def _text(title: str, description: str, fields: Mapping[str, Any]) -> str:
    return "\n".join([title, description, *(str(fields.get(name) or "") for name in TRANSLATED)])


# -- showing ----------------------------------------------------------------------------------------------------------


def of(conn: Connection, ticket: Ticket) -> list[Pushed]:
    """The guides of an order, best first; none where it is held out. An order from before guides were kept with their
    orders is answered as it would be now."""
    rows = conn.execute(
        """select p.article_id, a.title, p.revision, p.score, p.reason, p.opened_at, p.used_at, p.rating, p.arm
           from article_pushes p join articles a using (article_id)
           where p.ticket_id = %s and p.withdrawn_at is null and a.state = 'published'
           order by p.place = 0, p.place, p.article_id""",
        (ticket.ticket_id,),
    ).fetchall()
    if rows:
        return [Pushed(*row[:-1]) for row in rows if row[-1] != Arm.HELD_OUT]
    return _as_now(conn, ticket)


def _as_now(conn: Connection, ticket: Ticket) -> list[Pushed]:
    known = shelf.standing(conn, ticket.asset_id)
    if known is None or known.holds_out(ticket.ticket_id):
        return []
    fits = _best(known, ticket.mode, _words(ticket))
    titles = {each.article_id: each.title for each in articles.find(conn, state=State.PUBLISHED)} if fits else {}
    return [
        Pushed(
            each.article_id, titles[each.article_id], known.shelf.revisions[each.article_id], each.score, each.reason
        )
        for each in fits
        if each.article_id in titles
    ]


# -- using ------------------------------------------------------------------------------------------------------------


def opened(conn: Connection, ticket_id: int, article_id: int, *, now: datetime) -> None:
    """Somebody reads the guide for this order; the first time counts. Raises NotFound."""
    _touch(conn, ticket_id, article_id, now)
    conn.execute(
        "update article_pushes set opened_at = coalesce(opened_at, %s) where ticket_id = %s and article_id = %s",
        (now, ticket_id, article_id),
    )


@verb
def used(conn: Connection, actor: Actor, ticket_id: int, article_id: int, *, now: datetime) -> None:
    """The work followed this guide: an event ``guide_used``, once. Raises NotFound."""
    store.lock(conn, ticket_id)
    opened(conn, ticket_id, article_id, now=now)
    changed = conn.execute(
        "update article_pushes set used_at = %s where ticket_id = %s and article_id = %s and used_at is null",
        (now, ticket_id, article_id),
    )
    if changed.rowcount:
        details = _named(conn, ticket_id, article_id)
        service.record(conn, actor, ticket_id, kind="guide_used", details=details, late=Late.TAKEN, now=now)


@verb
def rate(conn: Connection, actor: Actor, ticket_id: int, article_id: int, *, rating: int, now: datetime) -> None:
    """How much it helped, 1 (not at all) to 5; the last word counts. An event ``guide_rated``. Raises NotFound,
    InvalidFields."""
    if isinstance(rating, bool) or not 1 <= rating <= 5:
        raise words.refuse("rating", "rating is a whole number from 1 (did not help) to 5.")
    store.lock(conn, ticket_id)
    opened(conn, ticket_id, article_id, now=now)
    changed = conn.execute(
        """update article_pushes set rating = %s, rated_at = %s where ticket_id = %s and article_id = %s
             and rating is distinct from %s""",
        (rating, now, ticket_id, article_id, rating),
    )
    if changed.rowcount:
        details = _named(conn, ticket_id, article_id) | {"rating": rating}
        service.record(conn, actor, ticket_id, kind="guide_rated", details=details, late=Late.TAKEN, now=now)


def _touch(conn: Connection, ticket_id: int, article_id: int, now: datetime) -> None:
    """A row for what somebody found by themselves; a foreign key looks past the site's policy, so both are read."""
    store.get(conn, ticket_id)
    found = articles.get(conn, article_id)
    conn.execute(
        """insert into article_pushes (ticket_id, article_id, revision, place, score, reason, arm, pushed_at)
           values (%s, %s, %s, 0, 0, %s, 'looked_up', %s) on conflict (ticket_id, article_id) do nothing""",
        (ticket_id, article_id, found.published or found.head or 1, Jsonb({"en": "looked up", "zh": "自行查阅"}), now),
    )


def _named(conn: Connection, ticket_id: int, article_id: int) -> dict[str, Any]:
    code, revision = one(
        conn,
        """select a.code, p.revision from article_pushes p join articles a using (article_id)
           where p.ticket_id = %s and p.article_id = %s""",
        (ticket_id, article_id),
    )
    return {"article": code, "article_id": article_id, "revision": revision}
