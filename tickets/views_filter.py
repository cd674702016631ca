"""What a list shows, as data: conditions on fields → SQL with parameters. Pure.

    [{"field": "priority", "op": "in", "value": [1, 2]}, {"field": "opened_at", "op": "ge", "value": "now-7d"}]

All conditions hold. Times are RFC 3339, or counted from now or from the beginning of today on the site: ``now-12h``,
``today``, ``today+7d``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import sql

from tickets import words
from tickets.views_fields import JOINS, Field, Form

MOST_CONDITIONS = 30
MOST_VALUES = 500
LONGEST_VALUE = 300
RELATIVE = re.compile(r"(now|today)(?:([+-])(\d{1,5})([mhdw]))?\Z")
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
ORDER = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "in", "not_in", "between", "empty", "filled"})
OPS: Mapping[Form, frozenset[str]] = {
    Form.TEXT: frozenset({"eq", "ne", "in", "not_in", "contains", "starts", "empty", "filled"}),
    Form.CHOICE: frozenset({"eq", "ne", "in", "not_in", "contains", "starts", "empty", "filled"}),
    Form.NUMBER: ORDER,
    Form.TIME: ORDER - {"in", "not_in", "eq", "ne"},
    Form.FLAG: frozenset({"is"}),
    Form.SET: frozenset({"any", "all", "none", "empty", "filled"}),
}
SIGNS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of one field; ``value`` is as :func:`checked` left it, times still as text."""

    field: str
    op: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class Moment:
    """From where relative times count."""

    now: datetime
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Where:
    """SQL that is true for the wanted rows, its parameters, and the joins that it needs."""

    clause: sql.Composable
    params: Mapping[str, Any]
    needs: frozenset[str]


def checked(given: object, fields: Mapping[str, Field]) -> tuple[Condition, ...]:
    """Conditions as they came from outside. Raises InvalidFields with the place and what would be right."""
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > MOST_CONDITIONS:
        raise words.refuse("filter", f"filter is a list of at most {MOST_CONDITIONS} conditions.", code="type")
    return tuple(_condition(each, f"filter.{at}", fields) for at, each in enumerate(given))


def _condition(given: object, place: str, fields: Mapping[str, Field]) -> Condition:
    if not isinstance(given, Mapping) or not {"field", "op"} <= set(given) <= {"field", "op", "value"}:
        raise words.refuse(place, "A condition has a field, an op and a value.", code="type")
    name, op = given["field"], given["op"]
    if not isinstance(name, str) or name not in fields:
        raise words.refuse(f"{place}.field", f"There is no field {str(name)[:64]!r}.", code="choice")
    form = fields[name].form
    if not isinstance(op, str) or op not in OPS[form]:
        raise words.refuse(f"{place}.op", f"{name} is compared by {', '.join(sorted(OPS[form]))}.", code="choice")
    return Condition(name, op, _value(given.get("value"), f"{place}.value", form, op))


def _value(value: object, place: str, form: Form, op: str) -> Any:
    if op in ("empty", "filled"):
        return None
    if op == "between":
        return _several(value, place, form, exactly=2)
    if op in ("in", "not_in", "any", "all", "none"):
        return _several(value, place, form)
    return _single(value, place, form)


def _several(value: object, place: str, form: Form, *, exactly: int | None = None) -> list[Any]:
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MOST_VALUES:
        raise words.refuse(place, f"A list of 1 to {MOST_VALUES} values is needed.", code="type")
    if exactly is not None and len(value) != exactly:
        raise words.refuse(place, "A beginning and an end are needed.", code="type")
    return [_single(each, f"{place}.{at}", form) for at, each in enumerate(value)]


def _single(value: object, place: str, form: Form) -> Any:
    if form is Form.FLAG:
        if not isinstance(value, bool):
            raise words.refuse(place, "true or false is needed.", code="type")
        return value
    if form is Form.NUMBER:
        if isinstance(value, bool) or not isinstance(value, int | float) or not -1e15 < value < 1e15:
            raise words.refuse(place, "A number is needed.", code="type")
        return value
    if not isinstance(value, str) or len(value) > LONGEST_VALUE or "\x00" in value:
        raise words.refuse(place, f"A text of at most {LONGEST_VALUE} characters is needed.", code="type")
    return _time_text(value, place) if form is Form.TIME else value


def _time_text(value: str, place: str) -> str:
    if RELATIVE.match(value):
        return value
    try:
        if datetime.fromisoformat(value).tzinfo is not None:
            return value
    except ValueError:
        pass
    raise words.refuse(place, "A time is RFC 3339 with its zone, or now or today, like now-7d.", code="type")


def time(value: str, moment: Moment) -> datetime:
    """The instant that a checked text names. A day is a day of the site's calendar."""
    found = RELATIVE.match(value)
    if found is None:
        return datetime.fromisoformat(value)
    base, sign, count, unit = found.groups()
    step = UNITS[unit] * int(count) * (-1 if sign == "-" else 1) if unit else timedelta(0)
    if base == "now":
        return moment.now + step
    midnight = moment.now.astimezone(moment.zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight.replace(tzinfo=None) + step).replace(tzinfo=moment.zone)


# -- SQL --------------------------------------------------------------------------------------------------------------


def where(conditions: Sequence[Condition], fields: Mapping[str, Field], moment: Moment) -> Where:
    """The conditions as SQL; parameters are named ``f0``, ``f1`` …"""
    parts: list[sql.Composable] = []
    params: dict[str, Any] = {}
    needs: set[str] = set()
    for at, each in enumerate(conditions):
        field = fields[each.field]
        needs |= set(field.needs)
        params[f"f{at}"] = _parameter(each, field.form, moment)
        parts += [*_kept(field, each, f"f{at}"), WRITERS[field.form](field.expression, each.op, f"f{at}")]
    return Where(sql.SQL(" and ").join(parts) if parts else sql.SQL("true"), params, frozenset(needs))


KEPT: Mapping[tuple[Form, str], str] = {
    **{(form, "eq"): "v.value = {}::text" for form in (Form.TEXT, Form.CHOICE)},
    **{(form, "in"): "v.value = any({}::text[])" for form in (Form.TEXT, Form.CHOICE)},
    **{(Form.NUMBER, op): "v.number " + sign + " {}::float8" for op, sign in {**SIGNS, "eq": "="}.items()},
    (Form.NUMBER, "in"): "v.number = any({}::float8[])",
    (Form.NUMBER, "between"): "v.number between ({0}::float8[])[1] and ({0}::float8[])[2]",
    (Form.FLAG, "is"): "v.value = ({}::boolean)::text",
    (Form.SET, "any"): "v.value = any({}::text[])",
    (Form.SET, "all"): "v.value = any({}::text[])",
}


def _kept(field: Field, each: Condition, name: str) -> list[sql.Composable]:
    """A custom field is also a row of its own, found by an index that comparisons of JSON have not; it narrows what the
    condition itself then decides. What is not set counts as false, and has no row."""
    shape = KEPT.get((field.form, each.op))
    if field.kept is None or shape is None or each.value is False:
        return []
    test = sql.SQL(shape).format(sql.Placeholder(name))
    return [
        sql.SQL("t.ticket_id in (select v.ticket_id from ticket_field_values v where v.key = {} and {})").format(
            sql.Literal(field.kept), test
        )
    ]


def joins(needs: frozenset[str] | set[str]) -> sql.Composable:
    return sql.SQL(" ").join(sql.SQL(JOINS[name]) for name in JOINS if name in needs)


def _parameter(each: Condition, form: Form, moment: Moment) -> Any:
    if form is Form.TIME and each.value is not None:
        return [time(one, moment) for one in each.value] if isinstance(each.value, list) else time(each.value, moment)
    if each.op in ("contains", "starts"):
        escaped = each.value.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        return f"{'%' if each.op == 'contains' else ''}{escaped}%"
    return each.value


def _compared(kind: str) -> Callable[[sql.Composable, str, str], sql.Composable]:
    def write(expression: sql.Composable, op: str, name: str) -> sql.Composable:
        value = sql.SQL("{}::" + kind).format(sql.Placeholder(name))
        many = sql.SQL("{}::" + kind + "[]").format(sql.Placeholder(name))
        shapes: dict[str, sql.Composable] = {
            "eq": sql.SQL("{} = {}").format(expression, value),
            "ne": sql.SQL("{} is distinct from {}").format(expression, value),
            "in": sql.SQL("{} = any({})").format(expression, many),
            "not_in": sql.SQL("coalesce({} <> all({}), true)").format(expression, many),
            "between": sql.SQL("{0} >= ({1})[1] and {0} < ({1})[2]").format(expression, many),
            "contains": sql.SQL("{} ilike {}").format(expression, value),
            "starts": sql.SQL("{} ilike {}").format(expression, value),
            "empty": sql.SQL("{} is null").format(_blank(expression, kind)),
            "filled": sql.SQL("{} is not null").format(_blank(expression, kind)),
        }
        if op in SIGNS:
            return sql.SQL("{} " + SIGNS[op] + " {}").format(expression, value)
        if op == "between" and kind == "float8":  # numbers include their end, times do not
            return sql.SQL("{0} between ({1})[1] and ({1})[2]").format(expression, many)
        return shapes[op]

    return write


def _blank(expression: sql.Composable, kind: str) -> sql.Composable:
    return sql.SQL("nullif({}, '')").format(expression) if kind == "text" else expression


def _flag(expression: sql.Composable, _op: str, name: str) -> sql.Composable:
    return sql.SQL("{} = {}::boolean").format(expression, sql.Placeholder(name))


def _set(expression: sql.Composable, op: str, name: str) -> sql.Composable:
    many = sql.SQL("{}::text[]").format(sql.Placeholder(name))
    return {
        "any": sql.SQL("{} && {}").format(expression, many),
        "all": sql.SQL("{} @> {}").format(expression, many),
        "none": sql.SQL("not {} && {}").format(expression, many),
        "empty": sql.SQL("cardinality({}) = 0").format(expression),
        "filled": sql.SQL("cardinality({}) > 0").format(expression),
    }[op]


WRITERS: Mapping[Form, Callable[[sql.Composable, str, str], sql.Composable]] = {
    Form.TEXT: _compared("text"),
    Form.CHOICE: _compared("text"),
    Form.NUMBER: _compared("float8"),
    Form.TIME: _compared("timestamptz"),
    Form.FLAG: _flag,
    Form.SET: _set,
}
