"""Lists of tickets: any filter, any order, pages that neither repeat nor leave out while others write.

    checked words (``views_filter``) ──> SQL over tickets and what its fields join ──> rows, and where they end

A cursor is the values of the last row in the order's own columns; the ticket's id settles equals.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import Connection, sql

from core.errors import Invalid
from tickets import search, store, views_custom, views_filter, words
from tickets.model import Audience, Ticket
from tickets.search import Reader
from tickets.views_fields import DEFAULT_COLUMNS, UNSORTED, Field, Form
from tickets.views_filter import Condition, Moment

MOST_SORTS = 4
MOST_COLUMNS = 40
EXPORT_MOST = 100_000
FETCH = 2000


class Order(StrEnum):
    """Which end comes first; what is empty comes last in both."""

    UP = "asc"
    DOWN = "desc"


@dataclass(frozen=True, slots=True)
class Sort:
    """One column of an order."""

    field: str
    order: Order


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: their user, the engineer that they are, and whether they see their own tickets alone."""

    user_id: int
    engineer_id: int | None
    audience: Audience = Audience.INTERNAL

    @property
    def reader(self) -> Reader:
        return Reader(self.user_id if self.audience is Audience.REQUESTER else None)


@dataclass(frozen=True, slots=True)
class Asked:
    """A list as it was asked for, checked: see :func:`ask`."""

    fields: Mapping[str, Field]
    conditions: tuple[Condition, ...]
    sort: tuple[Sort, ...]
    columns: tuple[str, ...]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """One row: the ticket's id, and the values of the columns that were asked for."""

    ticket_id: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a list; ``next`` is the cursor of the following part or None."""

    rows: list[Listed]
    next: str | None


def ask(
    conn: Connection,
    viewer: Viewer,
    *,
    filter: object = (),  # noqa: A002 - its name outside
    sort: object = (),
    columns: object = (),
    text: str = "",
) -> Asked:
    """Check what somebody wants to see. ``sort``: field names, ``-`` before one for downwards. Raises InvalidFields."""
    fields = views_custom.known(conn, audience=viewer.audience)
    return Asked(
        fields,
        views_filter.checked(filter, fields),
        _sorts(sort, fields),
        _columns(columns, fields),
        words.text("text", text, longest=300, needed=False),
    )


def page(
    conn: Connection, viewer: Viewer, asked: Asked, *, moment: Moment, limit: int = 50, cursor: str | None = None
) -> Part:
    """At most ``limit`` rows after the cursor. Raises Invalid for a cursor of another list."""
    query, params = _query(conn, viewer, asked, moment, after=_read_cursor(cursor, asked), limit=limit + 1)
    rows = conn.execute(query, params).fetchall()
    following = _cursor(rows[limit - 1], asked) if len(rows) > limit else None
    return Part([_listed(row, asked) for row in rows[:limit]], following)


def rows(
    conn: Connection, viewer: Viewer, asked: Asked, *, moment: Moment, most: int = EXPORT_MOST
) -> Iterator[Listed]:
    """Every row, part by part over a cursor of the server, so that a long list never lies in memory."""
    query, params = _query(conn, viewer, asked, moment, after=None, limit=most)
    with conn.cursor(name="list_rows") as cursor:
        cursor.itersize = FETCH
        cursor.execute(query, params)
        for row in cursor:
            yield _listed(row, asked)


def count(conn: Connection, viewer: Viewer, asked: Asked, *, moment: Moment, most: int = 10_000) -> int:
    """How many rows there are; counted up to ``most``."""
    where, params, needs = _where(conn, viewer, asked, moment)
    query = sql.SQL("select count(*) from (select 1 from tickets t {} where {} limit %(most)s) counted").format(
        views_filter.joins(needs), where
    )
    row = conn.execute(query, {**params, "most": most}).fetchone()
    return int(row[0]) if row else 0


def ids(conn: Connection, viewer: Viewer, asked: Asked, *, moment: Moment, most: int) -> list[int]:
    """The tickets of the list, at most ``most``."""
    return [each.ticket_id for each in page(conn, viewer, asked, moment=moment, limit=most).rows]


def tickets(conn: Connection, part: Part) -> list[Ticket]:
    """The tickets of a part, in its order."""
    found = {each.ticket_id: each for each in store.of_ids(conn, [row.ticket_id for row in part.rows])}
    return [found[row.ticket_id] for row in part.rows if row.ticket_id in found]


def zone(conn: Connection) -> ZoneInfo:
    """The site's time zone."""
    row = conn.execute("select timezone from sites where site_id = current_site()").fetchone()
    return ZoneInfo(row[0] if row else "UTC")


def moment(conn: Connection, now: datetime) -> Moment:
    return Moment(now, zone(conn))


# -- what was asked ---------------------------------------------------------------------------------------------------


def _sorts(given: object, fields: Mapping[str, Field]) -> tuple[Sort, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > MOST_SORTS:
        raise words.refuse("sort", f"sort is a list of at most {MOST_SORTS} fields.", code="type")
    sorts = []
    for each in given:
        name = each[1:] if isinstance(each, str) and each.startswith("-") else each
        if not isinstance(name, str) or name not in fields or name in UNSORTED or fields[name].form is Form.SET:
            raise words.refuse("sort", f"A list is not sorted by {str(name)[:64]!r}.", code="choice")
        sorts.append(Sort(name, Order.DOWN if name != each else Order.UP))
    return tuple(sorts)


def _columns(given: object, fields: Mapping[str, Field]) -> tuple[str, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > MOST_COLUMNS:
        raise words.refuse("columns", f"columns is a list of at most {MOST_COLUMNS} fields.", code="type")
    for each in given:
        if not isinstance(each, str) or each not in fields:
            raise words.refuse("columns", f"There is no field {str(each)[:64]!r}.", code="choice")
    return tuple(dict.fromkeys(given)) or tuple(name for name in DEFAULT_COLUMNS if name in fields)


# -- SQL --------------------------------------------------------------------------------------------------------------


def _query(
    conn: Connection, viewer: Viewer, asked: Asked, moment: Moment, *, after: list[Any] | None, limit: int
) -> tuple[sql.Composed, dict[str, Any]]:
    where, params, needs = _where(conn, viewer, asked, moment)
    shown = [asked.fields[name] for name in asked.columns]
    order = [(asked.fields[each.field].expression, each.order) for each in asked.sort]
    needs = needs.union(*(asked.fields[each.field].needs for each in asked.sort), *(field.needs for field in shown))
    selected = [sql.SQL("t.ticket_id"), *(e for e, _ in order), *(field.expression for field in shown)]
    last = asked.sort[-1].order if asked.sort else Order.DOWN
    if after is not None:
        where = sql.SQL("{} and {}").format(where, _after(order, last))
        params |= {f"c{at}": value for at, value in enumerate(after)}
    query = sql.SQL("select {} from tickets t {} where {} order by {} limit %(limit)s").format(
        sql.SQL(", ").join(selected), views_filter.joins(needs), where, _order_by(order, last)
    )
    return query, {**params, "limit": limit}


def _where(
    conn: Connection, viewer: Viewer, asked: Asked, moment: Moment
) -> tuple[sql.Composable, dict[str, Any], frozenset[str]]:
    found = views_filter.where(asked.conditions, asked.fields, moment)
    params = {**found.params, "now": moment.now, "engineer": viewer.engineer_id, "user": viewer.user_id}
    clause = found.clause
    if viewer.audience is Audience.REQUESTER:
        clause = sql.SQL("t.requester_id = %(user)s and {}").format(clause)
    fitting = search.ticket_ids(conn, asked.text, reader=viewer.reader) if asked.text else None
    if fitting is not None:
        clause = sql.SQL("t.ticket_id = any(%(fitting)s) and {}").format(clause)
        params["fitting"] = fitting
    return clause, params, found.needs


def _order_by(order: Sequence[tuple[sql.Composable, Order]], last: Order) -> sql.Composable:
    parts = [sql.SQL("{} " + each.value + " nulls last").format(expression) for expression, each in order]
    return sql.SQL(", ").join([*parts, sql.SQL("t.ticket_id " + last.value)])


def _after(order: Sequence[tuple[sql.Composable, Order]], last: Order) -> sql.Composable:
    """True for what comes after the cursor's row: equal in the first columns, then beyond it in the next."""
    columns = [*order, (sql.SQL("t.ticket_id"), last)]
    ways = []
    for at, (expression, direction) in enumerate(columns):
        equal = [sql.SQL("{} is not distinct from {}").format(e, _value(i)) for i, (e, _) in enumerate(columns[:at])]
        sign = ">" if direction is Order.UP else "<"
        beyond = sql.SQL("({0} " + sign + " {1} or ({0} is null and {1} is not null))").format(expression, _value(at))
        ways.append(sql.SQL("({})").format(sql.SQL(" and ").join([*equal, beyond])))
    return sql.SQL("({})").format(sql.SQL(" or ").join(ways))


def _value(at: int) -> sql.Placeholder:
    return sql.Placeholder(f"c{at}")


def _listed(row: tuple[Any, ...], asked: Asked) -> Listed:
    return Listed(row[0], dict(zip(asked.columns, row[1 + len(asked.sort) :], strict=True)))


# -- cursors ----------------------------------------------------------------------------------------------------------


def _signature(asked: Asked) -> str:
    return ",".join(f"{each.field} {each.order}" for each in asked.sort)


def _cursor(row: tuple[Any, ...], asked: Asked) -> str:
    values = [_plain(value) for value in row[1 : 1 + len(asked.sort)]]
    said = json.dumps([_signature(asked), *values, row[0]], ensure_ascii=False)
    return base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _read_cursor(cursor: str | None, asked: Asked) -> list[Any] | None:
    if cursor is None:
        return None
    try:
        said = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not isinstance(said, list) or said[0] != _signature(asked) or len(said) != len(asked.sort) + 2:
            raise ValueError(cursor)
        forms = [asked.fields[each.field].form for each in asked.sort]
        return [_typed(value, form) for value, form in zip(said[1:], [*forms, Form.NUMBER], strict=True)]
    except (ValueError, IndexError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise Invalid("This cursor is of another list; start the list again without it.") from error


def _typed(value: Any, form: Form) -> Any:
    if value is None:
        return None
    if form is Form.TIME:
        return datetime.fromisoformat(value)
    wanted: tuple[type, ...] = {Form.NUMBER: (int, float), Form.FLAG: (bool,)}.get(form, (str,))
    if not isinstance(value, wanted) or (form is Form.NUMBER and isinstance(value, bool)):
        raise TypeError(value)
    if isinstance(value, int | float) and abs(value) > 2**53:
        raise ValueError(value)
    if isinstance(value, str) and "\x00" in value:
        raise ValueError(value)
    return value
