"""A report as a table for a file: headings in the reader's language, units, period, filter and time zone said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import Connection

from tickets import export, export_pdf, export_xlsx, reports
from tickets.export import BOM, Column, Table
from tickets.reports import Result
from tickets.views_filter import Moment

MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
}
UNITS: Mapping[str, Mapping[str, str]] = {
    "en": {"tickets": "tickets", "times": "times", "share": "%", "h": "h", "min": "min", "currency": "site currency"},
    "zh": {"tickets": "单", "times": "次", "share": "%", "h": "小时", "min": "分钟", "currency": "站点货币"},
}
WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "period": "Period: {since} to {until} ({zone})",
        "made": "Made: {now}",
        "filter": "Filter: {filter}",
        "cut": "{cut} more groups are not shown.",
        "total": "All",
        "none": "(none)",
        "and": " and ",
    },
    "zh": {
        "period": "期间：{since} 至 {until}（{zone}）",
        "made": "生成时间：{now}",
        "filter": "筛选：{filter}",
        "cut": "另有 {cut} 组未显示。",
        "total": "合计",
        "none": "（无）",
        "and": " 且 ",
    },
}


def file(conn: Connection, given: object, *, title: str, form: str, locale: str, moment: Moment) -> bytes:
    """Run a report and set it as ``csv``, ``xlsx`` or ``pdf``. Raises what ``reports`` and ``export_pdf`` raise."""
    result = reports.run(conn, reports.check(conn, given), moment=moment)
    return written(table(result, title=title, locale=locale, moment=moment), form, moment.zone)


def written(found: Table, form: str, zone: ZoneInfo) -> bytes:
    """The table in one of the forms of ``MEDIA``."""
    if form == "csv":
        return export.csv_file(found, zone=zone, bom=BOM)
    return export_xlsx.xlsx(found, zone=zone) if form == "xlsx" else export_pdf.pdf(found, zone=zone)


def table(result: Result, *, title: str, locale: str, moment: Moment) -> Table:
    """Groups, then measures (shares in per cent), then a row of totals that the server has computed by themselves."""
    report, said = result.report, WORDS[locale]
    columns = [Column(each.name, each.label[locale]) for each in report.dimensions]
    columns += [
        Column(each.name, each.label[locale], UNITS[locale].get(each.unit, each.unit)) for each in report.measures
    ]
    groups = len(report.dimensions)
    rows = [[*(each or said["none"] for each in row[:groups]), *_scaled(result, row[groups:])] for row in result.rows]
    if groups:
        rows.append([said["total"], *[""] * (groups - 1), *_scaled(result, result.totals)])
    return Table(title, columns, rows, _notes(result, locale, moment))


def _scaled(result: Result, values: Sequence[float | None]) -> list[Any]:
    shares = [each.unit == "share" for each in result.report.measures]
    return [
        None if value is None else value * 100 if share else value for value, share in zip(values, shares, strict=True)
    ]


def _notes(result: Result, locale: str, moment: Moment) -> list[str]:
    said, zone = WORDS[locale], moment.zone
    since, until, now = (
        each.astimezone(zone).strftime("%Y-%m-%d %H:%M") for each in (result.since, result.until, moment.now)
    )
    notes = [said["period"].format(since=since, until=until, zone=zone.key), said["made"].format(now=now)]
    if result.report.conditions:
        parts = [
            f"{result.report.fields[each.field].label[locale]} {each.op} {each.value or ''}".strip()
            for each in result.report.conditions
        ]
        notes.append(said["filter"].format(filter=said["and"].join(parts)))
    return [*notes, said["cut"].format(cut=result.cut)] if result.cut else notes
