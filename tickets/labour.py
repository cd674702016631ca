"""Who worked how long on a ticket, what that costs, and when the machine stood because of it.

An entry is never changed: it is voided, with an event, and made anew. The ticket's cost grows and shrinks with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString, TypeVar

from psycopg import Connection

from core.errors import Conflict
from tickets import service, store, words
from tickets.checklists import IdReused, client_id
from tickets.errors import NotAllowed
from tickets.model import Actor, Late, Ticket
from tickets.rows import one
from tickets.verbs import verb

LONGEST_MIN = 1440
OLDEST = timedelta(days=3650)
LABOUR: LiteralString = """
  select l.labour_id, l.ticket_id, l.engineer_id, e.name, l.began_at, l.minutes, l.rate, l.cost, l.note, l.client_id,
    l.made_at, l.by_name, l.voided_at from labour l join engineers e using (engineer_id) """
DOWN: LiteralString = """
  select downtime_id, ticket_id, began_at, ended_at, note, client_id, made_at, by_name, voided_at from downtimes """


Entered = TypeVar("Entered", "Labour", "Downtime")


class Overlap(Conflict):
    """This engineer's time is entered already for a part of that span. Void the other entry, or correct this one."""

    code = "labour_overlap"


@dataclass(frozen=True, slots=True)
class Labour:
    """A stretch of somebody's work; ``cost`` in the site's currency, fixed when it was entered."""

    labour_id: int
    ticket_id: int
    engineer_id: int
    engineer: str
    began_at: datetime
    minutes: int
    rate: float
    cost: float
    note: str
    client_id: str
    made_at: datetime
    by_name: str
    voided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Downtime:
    """When the machine stood."""

    downtime_id: int
    ticket_id: int
    began_at: datetime
    ended_at: datetime
    note: str
    client_id: str
    made_at: datetime
    by_name: str
    voided_at: datetime | None


# -- labour -----------------------------------------------------------------------------------------------------------


@verb
def work(
    conn: Connection,
    actor: Actor,
    ticket_id: int,
    *,
    engineer_id: int,
    began_at: datetime,
    minutes: int,
    entry_id: str,
    usual_rate: float,
    note: str = "",
    now: datetime,
) -> Labour:
    """Enter work; ``entry_id`` is the device's own id, and the same again changes nothing. Taken late too.

    An engineer enters the own work, a planner anybody's. The rate is the engineer's, else ``usual_rate``.
    Raises InvalidFields, NotAllowed, NotFound, Overlap, IdReused.
    """
    ticket = store.lock(conn, ticket_id)
    known = _labour_of(conn, client_id(entry_id))
    if known is not None:
        return _same(known, ticket_id)
    _span(began_at, began_at + timedelta(minutes=_minutes(minutes)), now)
    rate = _rate(conn, actor, engineer_id, usual_rate)
    _refuse_overlap(conn, engineer_id, began_at, minutes)
    note = words.text("note", note, longest=2000, needed=False)
    cost = round(rate * minutes / 60, 2)
    (ident,) = one(
        conn,
        """insert into labour (ticket_id, engineer_id, began_at, minutes, rate, cost, note, client_id, made_at, by_name)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning labour_id""",
        (ticket_id, engineer_id, began_at, minutes, rate, cost, note, entry_id, now, actor.name),
    )
    made = labour(conn, ident)
    details = {"labour_id": ident, "engineer": made.engineer, "began_at": began_at.isoformat(), "minutes": minutes}
    details |= {"cost": cost, "client_id": entry_id, "engineer_id": engineer_id, "rate": rate} | (
        {"note": note} if note else {}
    )
    _record(conn, actor, ticket, "labour", details, {"cost": round(ticket.cost + cost, 2)}, now)
    return made


@verb
def void_work(conn: Connection, actor: Actor, labour_id: int, *, reason: str, now: datetime) -> Labour:
    """Take an entry of work back; again changes nothing. Raises NotFound, NotAllowed, InvalidFields."""
    made = labour(conn, labour_id)
    ticket = store.lock(conn, made.ticket_id)
    _owner(conn, actor, made.engineer_id)
    reason = words.text("reason", reason, longest=500)
    gone = conn.execute("update labour set voided_at = %s where labour_id = %s and voided_at is null", (now, labour_id))
    if gone.rowcount:
        details = {"labour_id": labour_id, "minutes": made.minutes, "reason": reason}
        cost = max(0.0, round(ticket.cost - made.cost, 2))
        _record(conn, actor, ticket, "labour_voided", details, {"cost": cost}, now)
    return labour(conn, labour_id)


def labour(conn: Connection, labour_id: int) -> Labour:
    """One entry; raises NotFound."""
    missing = f"There is no entry of work {labour_id} on this site."
    query: LiteralString = LABOUR + "where l.labour_id = %s"
    return Labour(*one(conn, query, (labour_id,), missing=missing))


def labour_on(conn: Connection, ticket_id: int) -> list[Labour]:
    """The work on a ticket in its order, voided entries too."""
    rows = conn.execute(LABOUR + "where l.ticket_id = %s order by l.began_at, l.labour_id", (ticket_id,))
    return [Labour(*row) for row in rows]


def _labour_of(conn: Connection, entry_id: str) -> Labour | None:
    row = conn.execute(LABOUR + "where l.client_id = %s", (entry_id,)).fetchone()
    return Labour(*row) if row else None


def _rate(conn: Connection, actor: Actor, engineer_id: int, usual: float) -> float:
    _owner(conn, actor, engineer_id)
    (own,) = one(conn, "select hourly_rate from engineers where engineer_id = %s", (engineer_id,))
    return usual if own is None else float(own)


def _owner(conn: Connection, actor: Actor, engineer_id: int) -> None:
    missing = f"There is no engineer {engineer_id} on this site."
    (user_id,) = one(conn, "select user_id from engineers where engineer_id = %s", (engineer_id,), missing=missing)
    if actor.part not in service.PLANNERS and (actor.actor_id is None or user_id != actor.actor_id):
        raise NotAllowed("You enter your own work; a planner enters and takes back anybody's.")


def _refuse_overlap(conn: Connection, engineer_id: int, began_at: datetime, minutes: int) -> None:
    conn.execute("select 1 from engineers where engineer_id = %s for update", (engineer_id,))
    row = conn.execute(
        """select t.ref from labour l join tickets t using (ticket_id)
           where l.engineer_id = %(who)s and l.voided_at is null and l.began_at < %(ends)s
             and l.began_at + make_interval(mins => l.minutes) > %(begins)s limit 1""",
        {"who": engineer_id, "begins": began_at, "ends": began_at + timedelta(minutes=minutes)},
    ).fetchone()
    if row is not None:
        raise Overlap(f"A part of this time is entered on {row[0]} already. Correct the one or the other.")


def set_rate(conn: Connection, engineer_id: int, rate: float | None) -> None:
    """What an hour of this engineer costs from now on; None: as the setting says. Raises NotFound."""
    missing = f"There is no engineer {engineer_id} on this site."
    query = "update engineers set hourly_rate = %s where engineer_id = %s returning engineer_id"
    one(conn, query, (rate, engineer_id), missing=missing)


def _minutes(minutes: int) -> int:
    if not 1 <= minutes <= LONGEST_MIN:
        raise words.refuse("minutes", f"minutes is a whole number from 1 to {LONGEST_MIN}.")
    return minutes


# -- downtime ---------------------------------------------------------------------------------------------------------


@verb
def stood(
    conn: Connection,
    actor: Actor,
    ticket_id: int,
    *,
    began_at: datetime,
    ended_at: datetime,
    entry_id: str,
    note: str = "",
    now: datetime,
) -> Downtime:
    """Enter when the machine stood; the ticket's downtime is what all its spans cover together. Taken late too.

    Raises InvalidFields, NotFound, IdReused.
    """
    ticket = store.lock(conn, ticket_id)
    row = conn.execute(DOWN + "where client_id = %s", (client_id(entry_id),)).fetchone()
    if row is not None:
        return _same(Downtime(*row), ticket_id)
    _span(began_at, ended_at, now)
    note = words.text("note", note, longest=2000, needed=False)
    (ident,) = one(
        conn,
        """insert into downtimes (ticket_id, began_at, ended_at, note, client_id, made_at, by_name)
           values (%s, %s, %s, %s, %s, %s, %s) returning downtime_id""",
        (ticket_id, began_at, ended_at, note, entry_id, now, actor.name),
    )
    details = {"downtime_id": ident, "began_at": began_at.isoformat(), "ended_at": ended_at.isoformat()}
    details |= {"client_id": entry_id} | ({"note": note} if note else {})
    _record(conn, actor, ticket, "downtime", details, _covered(conn, ticket_id), now)
    return downtime(conn, ident)


@verb
def void_downtime(conn: Connection, actor: Actor, downtime_id: int, *, reason: str, now: datetime) -> Downtime:
    """Take a span back; again changes nothing. Raises NotFound, InvalidFields."""
    made = downtime(conn, downtime_id)
    ticket = store.lock(conn, made.ticket_id)
    reason = words.text("reason", reason, longest=500)
    gone = conn.execute(
        "update downtimes set voided_at = %s where downtime_id = %s and voided_at is null", (now, downtime_id)
    )
    if gone.rowcount:
        details = {"downtime_id": downtime_id, "reason": reason}
        _record(conn, actor, ticket, "downtime_voided", details, _covered(conn, made.ticket_id), now)
    return downtime(conn, downtime_id)


def downtime(conn: Connection, downtime_id: int) -> Downtime:
    """One span; raises NotFound."""
    missing = f"There is no downtime {downtime_id} on this site."
    query: LiteralString = DOWN + "where downtime_id = %s"
    return Downtime(*one(conn, query, (downtime_id,), missing=missing))


def downtime_on(conn: Connection, ticket_id: int) -> list[Downtime]:
    """The spans of a ticket in their order, voided ones too."""
    rows = conn.execute(DOWN + "where ticket_id = %s order by began_at, downtime_id", (ticket_id,))
    return [Downtime(*row) for row in rows]


def union_s(spans: Iterable[tuple[datetime, datetime]]) -> float:
    """Seconds that the spans cover together; what two of them share counts once."""
    total, reached = timedelta(0), None
    for begins, ends in sorted(spans):
        start = begins if reached is None else max(begins, reached)
        total += max(timedelta(0), ends - start)
        reached = ends if reached is None else max(ends, reached)
    return total.total_seconds()


def _covered(conn: Connection, ticket_id: int) -> dict[str, Any]:
    spans = [(each.began_at, each.ended_at) for each in downtime_on(conn, ticket_id) if each.voided_at is None]
    return {"downtime_s": union_s(spans) if spans else None}


def _same(known: Entered, ticket_id: int) -> Entered:
    if known.ticket_id != ticket_id:
        raise IdReused
    return known


def _span(began_at: datetime, ended_at: datetime, now: datetime) -> None:
    if began_at.tzinfo is None or ended_at.tzinfo is None:
        raise words.refuse("began_at", "A time needs a zone.")
    if ended_at <= began_at:
        raise words.refuse("ended_at", "It ends after it begins.")
    if ended_at > now + timedelta(minutes=5):
        raise words.refuse("ended_at", "It lies in the future; enter it when it is over.")
    if began_at < now - OLDEST:
        raise words.refuse("began_at", "It lies more than ten years back.")


def _record(
    conn: Connection,
    actor: Actor,
    ticket: Ticket,
    kind: str,
    details: dict[str, Any],
    changes: dict[str, Any],
    now: datetime,
) -> None:
    service.record(conn, actor, ticket.ticket_id, kind=kind, details=details, changes=changes, late=Late.TAKEN, now=now)
