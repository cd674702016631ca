"""Lists of tickets, newest first: what is asked for, and the way to it that stays short at a million tickets."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, LiteralString

from psycopg import Connection, sql

from core.errors import Invalid
from tickets.field_types import FieldFilter
from tickets.model import Ticket
from tickets.ticket_rows import SELECT, read_ticket

MOST_ID = 2**31 - 1
MATCHES = 20_000
LOOKED_AT, COMMON = 2000, 0.003
REACH = 20_000  # tickets that fit otherwise and whose text is read, before the text index is asked after all
REF = re.compile(r"\b[A-Za-z]{2,3}-\d{4}-(\d{5,})\b", re.ASCII)
CHOSEN: LiteralString = """with chosen as materialized (
  select t.ticket_id from tickets t where {} order by t.ticket_id desc limit %s) """
CHOSEN_BY_TEXT: LiteralString = """with chosen as materialized (
  select i.ticket_id
  from (select t.ticket_id from tickets t where {} order by t.ticket_id desc limit %s) i
    cross join lateral (select (x.ref || ' ' || x.title || ' ' || x.description) ilike %s as hit
      from tickets x where x.ticket_id = i.ticket_id offset 0) texts
  where texts.hit order by i.ticket_id desc limit %s) """  # the text is read of what fits otherwise, until it is enough
OF_CHOSEN: LiteralString = "where t.ticket_id = any(array(select ticket_id from chosen)) order by t.ticket_id desc"
SORTING: LiteralString = "select set_config('enable_sort', %s, true)"
FIELD_IS: LiteralString = (
    "exists (select 1 from ticket_field_values v where v.ticket_id = t.ticket_id and v.key = %s and "
)


class Which(StrEnum):
    """Which tickets a list shows."""

    ALL = "all"
    OPEN = "open"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list shows; an empty or None field does not filter. ``q`` looks in ref, title and description."""

    which: Which = Which.ALL
    statuses: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    priority: int | None = None
    assignee_id: int | None = None
    requester_id: int | None = None
    asset_id: int | None = None
    mode: str | None = None
    q: str = ""
    fields: tuple[FieldFilter, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, newest first; ``next`` is the cursor of the following part or None."""

    items: list[Ticket]
    next: str | None


def find(conn: Connection, wanted: Filter, *, limit: int = 50, cursor: str | None = None) -> Page:
    """Tickets that fit, newest first, at most ``limit``. Raises Invalid for a cursor that is none of ours."""
    before = MOST_ID if cursor is None else _id_of(cursor)
    look = _rows if not wanted.q or wanted.asset_id is not None else _matching
    rows = look(conn, wanted, before, limit + 1)
    return Page(rows[:limit], cursor_of(rows[limit - 1].ticket_id) if len(rows) > limit else None)


def _rows(
    conn: Connection,
    wanted: Filter,
    before: int,
    limit: int,
    *,
    among: Sequence[int] | None = None,
    reach: int | None = None,
) -> list[Ticket]:
    """Planned anew each time: the best way depends on what is asked for. First ids, which an index alone may tell."""
    conditions, params = _conditions(wanted)
    conditions.append(sql.SQL("t.ticket_id < %s"))
    params.append(before)
    if among is not None:
        conditions.append(sql.SQL("t.ticket_id = any(%s)"))
        params.append(list(among))
    chosen = CHOSEN
    if wanted.q and (among is None or _rarest(wanted.q)):
        chosen = CHOSEN_BY_TEXT
        params += [reach, _pattern(wanted.q)]
    query = sql.SQL(chosen).format(sql.SQL(" and ").join(conditions)) + sql.SQL(SELECT + OF_CHOSEN)
    return [read_ticket(row) for row in conn.execute(query, [*params, limit], prepare=False)]


def _matching(conn: Connection, wanted: Filter, before: int, limit: int) -> list[Ticket]:
    """What is common is met soon by reading the newest first; what is rare comes from the text index, in parts."""
    rare = _rarest(wanted.q)
    found: list[Ticket] = []
    if rare is None and _is_common(conn, wanted.q, before):
        found = _in_order(conn, wanted, before, limit)
        beyond = _beyond(conn, wanted, before) if len(found) < limit else None
        if beyond is None:
            return found
        before = beyond
    pattern = _pattern(rare or wanted.q)
    while len(found) < limit:
        rows = conn.execute("select ticket_matches(%s, %s, %s)", (pattern, before, MATCHES)).fetchall()
        ids = [row[0] for row in rows]
        found += _rows(conn, wanted, before, limit - len(found), among=ids)
        if len(ids) < MATCHES:
            break
        before = ids[-1]
    return found


def _rarest(text: str) -> str | None:
    """Of a ticket's number the part that few others share: the index need not go through what they all begin with."""
    found = REF.search(text)
    return found[1] if found else None


def _in_order(conn: Connection, wanted: Filter, before: int, limit: int) -> list[Ticket]:
    """Read backwards until there are enough: the planner thinks any text rare, and would read and sort everything."""
    conn.execute(SORTING, ("off",))
    found = _rows(conn, wanted, before, limit, reach=REACH)
    conn.execute(SORTING, ("on",))
    return found


def _beyond(conn: Connection, wanted: Filter, before: int) -> int | None:
    """The last ticket that reading backwards came to; None when there was no further one."""
    conditions, params = _conditions(wanted)
    query = sql.SQL("select t.ticket_id from tickets t where {} and t.ticket_id < %s order by 1 desc offset %s limit 1")
    row = conn.execute(
        query.format(sql.SQL(" and ").join([sql.SQL("true"), *conditions])), [*params, before, REACH - 1], prepare=False
    ).fetchone()
    return None if row is None else int(row[0])


def _is_common(conn: Connection, text: str, before: int) -> bool:
    """Whether three in a thousand hold it, by the newest few thousand before this one; by the text index that many
    would be read from everywhere, and backwards a page of them is met soon."""
    row = conn.execute(
        """select count(*) filter (where hit), count(*) from (
             select (ref || ' ' || title || ' ' || description) ilike %s as hit from tickets where ticket_id < %s
             order by ticket_id desc limit %s) newest""",
        (_pattern(text), before, LOOKED_AT),
        prepare=False,
    ).fetchone()
    hits, seen = row or (0, 0)
    return bool(seen < LOOKED_AT or hits >= seen * COMMON)


def _pattern(text: str) -> str:
    return "%" + text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"


def _conditions(wanted: Filter) -> tuple[list[sql.Composable], list[Any]]:
    terms: list[tuple[bool, LiteralString, list[Any]]] = [
        (wanted.which is Which.OPEN, "t.status not in ('closed', 'cancelled')", []),
        (wanted.which is Which.FINISHED, "t.status in ('closed', 'cancelled')", []),
        (bool(wanted.statuses), "t.status = any(%s)", [list(wanted.statuses)]),
        (bool(wanted.kinds), "t.kind = any(%s)", [list(wanted.kinds)]),
        (wanted.priority is not None, "t.priority = %s", [wanted.priority]),
        (wanted.assignee_id is not None, "t.assignee_id = %s", [wanted.assignee_id]),
        (wanted.requester_id is not None, "t.requester_id = %s", [wanted.requester_id]),
        (wanted.asset_id is not None, "t.asset_id = %s", [wanted.asset_id]),
        (wanted.mode is not None, "t.mode = %s", [wanted.mode]),
    ]
    terms += [(True, *_field_condition(each)) for each in wanted.fields]
    chosen = [(condition, params) for active, condition, params in terms if active]
    return [sql.SQL(condition) for condition, _ in chosen], [value for _, params in chosen for value in params]


def _field_condition(wanted: FieldFilter) -> tuple[LiteralString, list[Any]]:
    """By the side table: its comparisons may use an index under row-level security, those of JSON may not."""
    if wanted.value is not None:
        return FIELD_IS + "v.value = %s)", [wanted.key, wanted.value]
    low = -math.inf if wanted.low is None else wanted.low
    high = math.inf if wanted.high is None else wanted.high
    return FIELD_IS + "v.number between %s and %s)", [wanted.key, low, high]


def cursor_of(ticket_id: int) -> str:
    """The cursor of the page after this ticket."""
    return base64.urlsafe_b64encode(f"t{ticket_id}".encode()).decode().rstrip("=")


def _id_of(cursor: str) -> int:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        if not text.startswith("t") or not 0 < (number := int(text[1:])) < 2**31:
            raise ValueError(text)
    except (ValueError, binascii.Error) as error:
        raise Invalid("This cursor is none of ours; start the list again without it.") from error
    return number
