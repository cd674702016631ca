"""What a change of policies or calendars would do to the tickets that are open, before it is made. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from psycopg import Connection

from core import jobs
from tickets import clocks, policies, sla, sla_policy
from tickets.clock_rows import Kept
from tickets.model import TicketKind
from tickets.policies import Listed, Promise, Subject
from tickets.sla_policy import Facts

MOST_TICKETS = 5_000
MOST_SHOWN = 100


class Reach(StrEnum):
    """Which tickets a change is for: those opened from now on, or the open ones as well (their clocks move from now
    on; what is breached, stopped or forecast stays)."""

    NEW = "new"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Moved:
    """A clock whose due time would move; ``due_at`` None: it does not run; ``policy`` is the one that would count."""

    ticket_id: int
    ref: str
    clock: str
    due_at: datetime | None
    would_be_due_at: datetime | None
    policy: str
    used_up: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """``used_up``: clocks that have used up the new target already: no breach is made of it, they count from now.
    ``looked_at`` of ``open_tickets`` were tried, the newest; ``moved`` shows the first of ``clocks_moved``."""

    open_tickets: int
    looked_at: int
    tickets_moved: int
    clocks_moved: int
    earlier: int
    later: int
    begun: int
    used_up: int
    moved: tuple[Moved, ...]


def preview(conn: Connection, would_be: Sequence[Listed], *, now: datetime) -> Preview:
    """The effect on open tickets if these were the policies."""
    (count,) = conn.execute("select count(*) from tickets where status not in ('closed', 'cancelled')").fetchone() or (
        0,
    )
    subjects = _subjects(conn)
    kept = clocks.of_many(conn, list(subjects))
    finder = _Finder(conn, would_be)
    moved: list[Moved] = []
    for ticket_id, (ref, subject) in subjects.items():
        promise = policies.pick(would_be, finder.facts(subject))
        moved += _moves(ticket_id, ref, kept[ticket_id], promise, subject.requester_id, now)
    return Preview(
        count,
        len(subjects),
        len({each.ticket_id for each in moved}),
        len(moved),
        sum(_shift(each) < 0 for each in moved),
        sum(_shift(each) > 0 for each in moved),
        sum(each.due_at is None for each in moved),
        sum(each.used_up for each in moved),
        tuple(moved[:MOST_SHOWN]),
    )


def apply(conn: Connection, reach: Reach) -> None:
    """Bring open tickets under the changed policies too, soon after this transaction, some at a time."""
    if reach is Reach.OPEN:
        jobs.later(conn, "sla.adopt", {"after": 0})


def _subjects(conn: Connection) -> dict[int, tuple[str, Subject]]:
    rows = conn.execute(
        """select ticket_id, ref, kind, priority, asset_id, tags, requester_id from tickets
           where status not in ('closed', 'cancelled') order by ticket_id desc limit %s""",
        (MOST_TICKETS,),
    )
    return {
        ident: (ref, Subject(TicketKind(kind), priority, asset_id, tuple(tags), requester_id))
        for ident, ref, kind, priority, asset_id, tags, requester_id in rows
    }


def _moves(
    ticket_id: int, ref: str, before: Sequence[Kept], promise: Promise | None, requester_id: int | None, now: datetime
) -> Iterator[Moved]:
    if promise is None:
        return
    have = {kept.clock.kind: kept.clock for kept in before}
    for new in clocks.reviewed(before, promise, requester_id, now):
        old = have.get(new.clock.kind)
        due_at = None if old is None else old.due_at
        if new.clock.due_at == due_at:
            continue
        used_up = old is not None and sla.used(old, now) >= promise.policy.targets[new.clock.kind]
        yield Moved(ticket_id, ref, new.clock.kind.value, due_at, new.clock.due_at, promise.policy.name, used_up)


def _shift(moved: Moved) -> float:
    if moved.due_at is None or moved.would_be_due_at is None:
        return 0.0
    return (moved.would_be_due_at - moved.due_at).total_seconds()


class _Finder:
    """What policies ask of many tickets, each asset and person looked up once."""

    def __init__(self, conn: Connection, would_be: Sequence[Listed]) -> None:
        self._conn, self._would_be = conn, would_be
        self._places: dict[int | None, Facts] = {}
        self._people: dict[int | None, frozenset[str]] = {}

    def facts(self, subject: Subject) -> Facts:
        if subject.asset_id not in self._places:
            asked = Subject(subject.kind, subject.priority, subject.asset_id)
            self._places[subject.asset_id] = policies.facts(self._conn, asked, self._would_be)
        if subject.requester_id not in self._people:
            self._people[subject.requester_id] = policies.teams_of(self._conn, subject.requester_id)
        place = self._places[subject.asset_id]
        return sla_policy.Facts(
            subject.kind,
            subject.priority,
            place.criticality,
            place.areas,
            frozenset(subject.tags),
            self._people[subject.requester_id],
        )
