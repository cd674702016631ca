"""The figures of maintenance: each opens the rows that make it."""

from __future__ import annotations

from dataclasses import astuple, fields
from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Query
from fastapi.responses import Response

from api.deps import Context, Ctx, router
from api.policies import allow
from api.shapes import Moment, Output, Page, Words
from core.errors import Invalid
from maintenance import indicators, indicators_store, ledger_store, sentences
from maintenance.indicators import Facts, Figure, Name
from maintenance.ledger import Line, Worth
from tickets import export

routes = router("indicators")
READ = [allow("indicator.read")]
LONGEST = timedelta(days=3660)
WEEK = timedelta(days=7)
LINE = tuple(each.name for each in fields(Line))
CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}}}
}


class FigureShown(Output):
    """`value` = `numerator` ÷ (`denominator` × `per`), null when there is nothing to divide by."""

    name: Name
    label: Words
    unit: str
    value: float | None
    numerator: int
    denominator: int
    per: int
    rows: int


class FiguresShown(Output):
    since: Moment
    until: Moment
    machines: int
    figures: list[FigureShown]


class RowShown(Output):
    """What one order, failure, due day or visit adds above and below the line."""

    kind: str
    id: int
    at: Moment
    above: int
    below: int
    ticket_id: int | None


class WorthShown(Output):
    """Expected saving and its 90 % interval, in the currency."""

    expected: float
    low: float
    high: float


class LineShown(Output):
    """An order of a detector: `p_fail` before `stop_at` by the forecast of `made_at`; its order's pack proves it."""

    ticket_id: int
    ref: str
    asset_id: int
    mode: str
    detector: str
    version: str
    done_at: Moment
    made_at: Moment | None
    stop_at: Moment | None
    p_fail: float
    loss: float
    cost: float
    currency: str
    false: bool
    failed_after: bool
    worth: WorthShown
    evidence: str


class LedgerShown(Output):
    lines: list[LineShown]
    sums: dict[str, WorthShown]


class DetectedShown(Output):
    """A detector's figures; shares are null before anything was judged or failed. `missed`: recorded failures."""

    detector: str
    version: str
    orders: int
    right: int
    wrong: int
    precision: float | None
    foreseen: int
    failures: int
    recall: float | None
    lead_h: float | None
    machines: int
    false_month: float | None
    order_ids: list[int]
    missed: list[int]


Since = Annotated[datetime | None, Query(description="with a zone; default: seven days before `until`")]
Until = Annotated[datetime | None, Query(description="with a zone, that moment excluded; default: now")]
Most = Annotated[int, Query(ge=1, le=20_000)]
Asset = Annotated[int | None, Query(ge=1, le=2**31 - 1)]


@routes.get("/indicators", dependencies=READ)
def list_indicators(ctx: Ctx, since: Since = None, until: Until = None, asset_id: Asset = None) -> FiguresShown:
    """MTBF, MTTR, availability, planned share, compliance and backlog of a span, of the site or one machine."""
    found = _facts(ctx, since, until, asset_id)
    return FiguresShown(
        since=found.span.since,
        until=found.span.until,
        machines=len(found.machines),
        figures=[_shown(each) for each in indicators.all_of(found)],
    )


@routes.get("/indicators/{name}/rows", dependencies=READ)
def list_rows(
    ctx: Ctx, name: Name, since: Since = None, until: Until = None, asset_id: Asset = None, limit: Most = 1000
) -> Page[RowShown]:
    """The rows that make a figure, oldest first; its value is their sums, divided once."""
    found = indicators.of(_facts(ctx, since, until, asset_id), name)
    return Page(items=[RowShown.model_validate(each) for each in found.rows[:limit]])


@routes.get("/ledger", dependencies=READ)
def list_ledger(ctx: Ctx, since: Since = None, until: Until = None, asset_id: Asset = None) -> LedgerShown:
    """What the preventive work of detectors was worth, order by order, and the sum with its interval."""
    begin, end = _span(ctx, since, until)
    found = ledger_store.of(ctx.conn, since=begin, until=end, asset_id=asset_id)
    return LedgerShown(
        lines=[_line(line, worth) for line, worth in found.lines],
        sums={currency: WorthShown.model_validate(worth) for currency, worth in found.sums.items()},
    )


@routes.get("/ledger/file", dependencies=READ, responses=CSV, response_class=Response)
def ledger_file(ctx: Ctx, since: Since = None, until: Until = None, asset_id: Asset = None) -> Response:
    """The ledger's lines as CSV."""
    begin, end = _span(ctx, since, until)
    found = ledger_store.of(ctx.conn, since=begin, until=end, asset_id=asset_id)
    columns = [export.Column(name, name) for name in (*LINE, "expected", "low", "high")]
    rows = [(*(getattr(line, name) for name in LINE), *astuple(worth)) for line, worth in found.lines]
    content = export.csv_file(export.Table("ledger", columns, rows), zone=ZoneInfo("UTC"))
    headers = {"content-disposition": 'attachment; filename="ledger.csv"', "x-content-type-options": "nosniff"}
    return Response(content, media_type="text/csv; charset=utf-8", headers=headers)


@routes.get("/detectors/figures", dependencies=READ)
def list_detected(ctx: Ctx, since: Since = None, until: Until = None) -> Page[DetectedShown]:
    """Precision, recall against recorded failures, lead and false orders, by detector and version."""
    begin, end = _span(ctx, since, until)
    found = ledger_store.detected(ctx.conn, since=begin, until=end)
    return Page(items=[DetectedShown.model_validate(each) for each in found])


def _line(line: Line, worth: Worth) -> LineShown:
    named = {name: getattr(line, name) for name in LINE}
    shown = WorthShown.model_validate(worth)
    return LineShown(**named, worth=shown, evidence=f"/api/v1/tickets/{line.ticket_id}/evidence/pack")


def _facts(ctx: Context, since: datetime | None, until: datetime | None, asset_id: int | None) -> Facts:
    begin, end = _span(ctx, since, until)
    return indicators_store.facts(ctx.conn, since=begin, until=end, asset_id=asset_id)


def _span(ctx: Context, since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    end = until or ctx.now
    zoned = end.tzinfo is not None and (since is None or since.tzinfo is not None)
    begin = since or end - WEEK
    if not zoned or not timedelta(0) < end - begin <= LONGEST:
        raise Invalid("A span begins before it ends, within ten years, and its times have a zone.")
    return begin, end


def _shown(figure: Figure) -> FigureShown:
    return FigureShown(
        name=figure.name,
        label=Words(**sentences.say(f"indicator.{figure.name}")),
        unit=indicators.UNITS[figure.name],
        value=figure.value,
        numerator=figure.numerator,
        denominator=figure.denominator,
        per=figure.per,
        rows=len(figure.rows),
    )
