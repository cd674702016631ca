"""Reports: measure × dimension × filter, as SQL over the tickets themselves; nothing is counted beforehand.

    asked ──check──> Report ──one query a measure──> groups ──joined──> rows (two dimensions: a pivot)

Bounded: two dimensions, six measures, so many groups, and a time of its own for each statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection, errors, sql

from core.errors import MillwrightError
from tickets import reports_catalogue, views_custom, views_filter, words
from tickets.reports_catalogue import MEASURES, Dimension, Measure
from tickets.views_fields import BUILT_IN, Field
from tickets.views_filter import Condition, Moment, Where

MOST_MEASURES = 6
MOST_DIMENSIONS = 2
MOST_GROUPS = 2000
WITHIN_S = 10
LONGEST_PERIOD = timedelta(days=3660)
DEFAULT_PERIOD = {"from": "today-90d", "until": "now"}


class ReportTooLarge(MillwrightError):
    """The report did not finish in its time. Choose a shorter period or fewer groups."""

    code = "report_too_large"
    status = 422


@dataclass(frozen=True, slots=True)
class Report:
    """A checked report; ``since`` and ``until`` as text, for a saved one counts from the day that it runs."""

    measures: tuple[Measure, ...]
    dimensions: tuple[Dimension, ...]
    conditions: tuple[Condition, ...]
    fields: Mapping[str, Field]
    since: str
    until: str
    limit: int
    sort: str


@dataclass(frozen=True, slots=True)
class Result:
    """``rows``: the groups (text or None, one a dimension), then the measures (number or None)."""

    report: Report
    since: datetime
    until: datetime
    rows: list[tuple[Any, ...]]
    totals: tuple[float | None, ...]
    cut: int  # groups left out


SHAPE = {"measures", "dimensions", "filter", "period", "limit", "sort"}


def check(conn: Connection, given: object) -> Report:
    """A report as it came from outside. Raises InvalidFields with the place and what would be right."""
    if not isinstance(given, Mapping) or not set(given) <= SHAPE:
        raise words.refuse("report", f"A report has {', '.join(sorted(SHAPE))}.", code="type")
    fields = views_custom.known(conn)
    known = reports_catalogue.dimensions(fields)
    measures = _named(given.get("measures"), MEASURES, "measures", at_least=1, most=MOST_MEASURES)
    dimensions = _named(given.get("dimensions", []), known, "dimensions", at_least=0, most=MOST_DIMENSIONS)
    since, until = _period(given.get("period", DEFAULT_PERIOD))
    return Report(
        tuple(MEASURES[name] for name in measures),
        tuple(known[name] for name in dimensions),
        views_filter.checked(given.get("filter", []), fields),
        fields,
        since,
        until,
        _limit(given.get("limit", 200)),
        _sort(given.get("sort", ""), [*measures, *dimensions]),
    )


def run(conn: Connection, report: Report, *, moment: Moment) -> Result:
    """The numbers. Raises ReportTooLarge, InvalidFields (a period that ends before it begins)."""
    since, until = period(report, moment)
    where = views_filter.where(report.conditions, report.fields, moment)
    params = _params(where, moment, since, until)
    groups: dict[tuple[Any, ...], list[float | None]] = {}
    totals: list[float | None] = []
    with _within_time(conn):
        for at, measure in enumerate(report.measures):
            for key, value in _groups(conn, report, measure, where, params):
                groups.setdefault(key, [_nothing(each) for each in report.measures])[at] = value
            totals.append(_total(conn, measure, where, params))
    rows = _sorted([(*key, *values) for key, values in groups.items()], report)
    return Result(report, since, until, rows[: report.limit], tuple(totals), max(0, len(rows) - report.limit))


def period(report: Report, moment: Moment) -> tuple[datetime, datetime]:
    """From when until when (that excluded)."""
    since, until = (views_filter.time(each, moment) for each in (report.since, report.until))
    if not timedelta(0) < until - since <= LONGEST_PERIOD:
        raise words.refuse("period", "A period ends after it begins, within ten years.")
    return since, until


# -- what was asked ---------------------------------------------------------------------------------------------------


def _named(given: object, known: Mapping[str, Any], place: str, *, at_least: int, most: int) -> list[str]:
    if (
        not isinstance(given, list | tuple)
        or not at_least <= len(given) <= most
        or len({*map(str, given)}) != len(given)
    ):
        raise words.refuse(place, f"{place} is a list of {at_least} to {most} different names.", code="type")
    for each in given:
        if not isinstance(each, str) or each not in known:
            raise words.refuse(place, f"There is no {str(each)[:64]!r}; known are {', '.join(known)}.", code="choice")
    return list(given)


def _period(given: object) -> tuple[str, str]:
    if not isinstance(given, Mapping) or set(given) != {"from", "until"}:
        raise words.refuse("period", "A period has from and until.", code="type")
    bounds = views_filter.checked(
        [{"field": "opened_at", "op": "between", "value": [given["from"], given["until"]]}], {"opened_at": OPENED}
    )
    return bounds[0].value[0], bounds[0].value[1]


OPENED = BUILT_IN["opened_at"]


def _limit(given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= MOST_GROUPS:
        raise words.refuse("limit", f"limit is a whole number from 1 to {MOST_GROUPS}.", code="type")
    return given


def _sort(given: object, names: Sequence[str]) -> str:
    if given == "":
        return ""
    if not isinstance(given, str) or given.removeprefix("-") not in names:
        raise words.refuse("sort", f"A report is sorted by one of {', '.join(names)}, - before it for downwards.")
    return given


# -- SQL --------------------------------------------------------------------------------------------------------------


def _groups(
    conn: Connection, report: Report, measure: Measure, where: Where, params: Mapping[str, Any]
) -> list[tuple[tuple[Any, ...], float | None]]:
    names = [sql.Identifier(f"d{at}") for at in range(len(report.dimensions))]
    if not names:
        return [((), _total(conn, measure, where, params))]
    facts = _facts(report.dimensions, measure, where)
    grouped = sql.SQL(", ").join(names)
    query = sql.SQL("select {}, {} from ({}) facts group by {} limit %(most)s").format(
        grouped, sql.SQL(measure.aggregate), facts, grouped
    )
    rows = conn.execute(query, params).fetchall()
    if len(rows) > MOST_GROUPS:
        raise ReportTooLarge(f"The report has more than {MOST_GROUPS} groups. Choose a shorter period or a filter.")
    return [(tuple(row[:-1]), row[-1]) for row in rows]


def _total(conn: Connection, measure: Measure, where: Where, params: Mapping[str, Any]) -> float | None:
    query = sql.SQL("select {} from ({}) facts").format(sql.SQL(measure.aggregate), _facts((), measure, where))
    row = conn.execute(query, params).fetchone()
    return row[0] if row else None


def _facts(dimensions: Sequence[Dimension], measure: Measure, where: Where) -> sql.Composed:
    """One row a ticket (a ticket and tag): its groups, its asset, its value."""
    groups = [reports_catalogue.expression(each, measure) for each in dimensions]
    needs = where.needs.union(*(each.field.needs for each in dimensions if each.field))
    named = [sql.SQL("{} as {}").format(each, sql.Identifier(f"d{at}")) for at, each in enumerate(groups)]
    return sql.SQL(
        """select {selected} from tickets t {joins} where t.{basis} >= %(since)s::timestamptz
           and t.{basis} < %(until)s::timestamptz and ({only}) and ({where})"""
    ).format(
        selected=sql.SQL(", ").join(
            [*named, sql.SQL("t.asset_id"), sql.SQL("({}) as v").format(sql.SQL(measure.value))]
        ),
        joins=views_filter.joins(needs),
        basis=sql.Identifier(measure.basis),
        only=sql.SQL(measure.only),
        where=where.clause,
    )


def _params(where: Where, moment: Moment, since: datetime, until: datetime) -> dict[str, Any]:
    return {
        **where.params,
        "since": since,
        "until": until,
        "now": moment.now,
        "zone": moment.zone.key,
        "period_h": (until - since).total_seconds() / 3600,
        "most": MOST_GROUPS + 1,
        "user": None,
        "engineer": None,
    }


@contextmanager
def _within_time(conn: Connection) -> Iterator[None]:
    """Each statement of the block has its own, shorter time."""
    row = conn.execute("select current_setting('statement_timeout')").fetchone()
    conn.execute("select set_config('statement_timeout', %s, true)", (f"{WITHIN_S}s",))
    try:
        yield
    except errors.QueryCanceled as error:
        raise ReportTooLarge from error
    conn.execute("select set_config('statement_timeout', %s, true)", (row[0] if row else "0",))


# -- rows -------------------------------------------------------------------------------------------------------------


def _nothing(measure: Measure) -> float | None:
    """What a group has that no ticket of this measure fell into."""
    return 0.0 if measure.aggregate in (reports_catalogue.COUNT, reports_catalogue.SUM) else None


def _sorted(rows: list[tuple[Any, ...]], report: Report) -> list[tuple[Any, ...]]:
    """By the asked column; else times upwards, all else by the first measure downwards; groups settle equals."""
    groups = len(report.dimensions)
    rows.sort(key=lambda row: [(each is None, each or "") for each in row[:groups]])
    name = report.sort
    if not name and not any(each.is_time for each in report.dimensions):
        name = "-" + report.measures[0].name
    if name:
        columns = [*(each.name for each in report.dimensions), *(each.name for each in report.measures)]
        at, sign = columns.index(name.removeprefix("-")), -1 if name.startswith("-") else 1
        if at < groups:
            rows.sort(key=lambda row: row[at] or "", reverse=sign < 0)
        else:
            rows.sort(key=lambda row: (row[at] is None, sign * (row[at] or 0.0)))
    return rows
