"""Orders of the past that were like this one, and what fixed them: verified repairs first.

Candidates are the newest closed orders of the same asset class or mode (of neither, where an order names none); among
them the words decide, as for guides.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection

from tickets.failure_codes import CAUSE, MECHANISM
from tickets.knowledge.outcome import VERIFIED
from tickets.knowledge.ranking import Document, Ranking
from tickets.model import Ticket

MOST_CANDIDATES = 300
SHOWN = 5
SAME_CLASS, SAME_MODE, SAME_ASSET, PROVEN = 0.3, 0.4, 0.1, 0.25
HALF_AT = 12.0
LEAST = 0.3
LONGEST = 2000


@dataclass(frozen=True, slots=True)
class PartUsed:
    """A part that the repair took."""

    code: str
    name: str
    quantity: float
    unit: str


@dataclass(frozen=True, slots=True)
class Past:
    """A closed order; ``note`` is what the engineer wrote at *done*."""

    ticket_id: int
    ref: str
    title: str
    asset_code: str | None
    mode: str | None
    closed_at: datetime
    verified: bool
    verdict: str | None
    failure_code: str | None
    mechanism: str | None
    cause: str | None
    note: str
    labour_h: float
    parts: tuple[PartUsed, ...]
    score: float


COLUMNS: LiteralString = (
    """select t.ticket_id, t.ref, t.title, a.code, t.mode, t.closed_at,"""  # noqa: S608 - fixed text
    + VERIFIED
    + """, t.verdict, t.failure_code, t.fields->>%(mechanism)s, t.fields->>%(cause)s,
      coalesce((select e.body->>'note' from ticket_events e where e.ticket_id = t.ticket_id and e.kind = 'transition'
        and e.body->>'to' = 'done' order by e.seq desc limit 1), ''),
      coalesce((select sum(l.minutes) from labour l where l.ticket_id = t.ticket_id and l.voided_at is null), 0)
        / 60.0::float8,
      coalesce((select jsonb_agg(jsonb_build_object('code', p.code, 'name', p.name, 'quantity', u.consumed,
        'unit', p.unit) order by p.code) from ticket_parts u join parts p using (part_id)
        where u.ticket_id = t.ticket_id and u.consumed > 0), '[]'),
      left(t.description, 2000), coalesce(a.class, ''), t.asset_id
    from tickets t left join assets a using (asset_id) where """
)


def past(conn: Connection, ticket: Ticket, *, most: int = SHOWN) -> list[Past]:
    """Closed orders like this one, best first; proven repairs before others that fit as well."""
    (asset_class,) = conn.execute(
        "select coalesce((select class from assets where asset_id = %s), '')", (ticket.asset_id,)
    ).fetchone() or ("",)
    rows = _candidates(conn, ticket, asset_class)
    words = _words(ticket, rows)
    scored = ((_score(row, ticket, asset_class, words.get(row[0], 0.0)), row) for row in rows)
    best = sorted((each for each in scored if each[0] >= LEAST), key=lambda each: (-each[0], -each[1][0]))[:most]
    return [_past(row, score) for score, row in best]


def closed(conn: Connection, *, asset_class: str, mode: str, most: int) -> list[Past]:
    """Verified repairs of this class and mode, newest first."""
    query: LiteralString = (
        COLUMNS
        + "t.status = 'closed' and a.class = %(class)s and t.mode = %(mode)s and "
        + VERIFIED
        + "order by t.closed_at desc limit %(most)s"
    )
    rows = conn.execute(query, _params() | {"class": asset_class, "mode": mode, "most": most})
    return [_past(row, 1.0) for row in rows]


def _candidates(conn: Connection, ticket: Ticket, asset_class: str) -> list[tuple[Any, ...]]:
    query: LiteralString = (
        COLUMNS
        + """t.status = 'closed' and t.ticket_id <> %(ticket)s and t.merged_into is null
             and (t.mode = %(mode)s or a.class = %(class)s or (%(mode)s::text is null and %(class)s = ''))
           order by t.ticket_id desc limit %(most)s"""
    )
    about = {"ticket": ticket.ticket_id, "mode": ticket.mode, "class": asset_class, "most": MOST_CANDIDATES}
    return conn.execute(query, _params() | about).fetchall()


def _params() -> dict[str, Any]:
    return {"mechanism": MECHANISM, "cause": CAUSE}


def _words(ticket: Ticket, rows: list[tuple[Any, ...]]) -> dict[int, float]:
    if not rows:
        return {}
    ranking = Ranking.of({row[0]: Document(row[2], f"{row[14]}\n{row[11]}") for row in rows})
    text = f"{ticket.title}\n{ticket.description}"[:LONGEST]
    return {each.key: each.score / (each.score + HALF_AT) for each in ranking.best(text, most=len(rows))}


def _score(row: tuple[Any, ...], ticket: Ticket, asset_class: str, words: float) -> float:
    same = SAME_CLASS * (row[15] == asset_class != "") + SAME_MODE * (row[4] == ticket.mode is not None)
    near = SAME_ASSET * (row[16] == ticket.asset_id is not None)
    return round(same + near + PROVEN * row[6] + words / 2, 4) if same or words > LEAST else 0.0


def _past(row: tuple[Any, ...], score: float) -> Past:
    parts = tuple(PartUsed(**each) for each in row[13])
    return Past(*(*row[:12], float(row[12]), parts, score))
