"""A table as XLSX: text is text, numbers are numbers, times are times; nothing in it is a formula or a link."""

from __future__ import annotations

import io
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import xlsxwriter

from tickets.export import LONGEST_CELL, Table, plain

OPTIONS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "nan_inf_to_errors": False,
}
WIDEST = 48


def xlsx(table: Table, *, zone: ZoneInfo) -> bytes:
    """The file. Times are on the site's clock, as the notes say."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, OPTIONS) as book:
        sheet = book.add_worksheet()
        styles = _styles(book)
        sheet.write_string(0, 0, table.title[:LONGEST_CELL], styles["title"])
        for at, note in enumerate(table.notes, start=1):
            sheet.write_string(at, 0, note[:LONGEST_CELL], styles["note"])
        top = len(table.notes) + 2
        for column, each in enumerate(table.columns):
            sheet.write_string(top, column, each.heading, styles["head"])
            sheet.set_column(column, column, _width(table, column))
        for line, row in enumerate(table.rows, start=top + 1):
            for column, value in enumerate(row):
                _write(sheet, styles, line, column, plain(value, zone))
        sheet.freeze_panes(top + 1, 0)
        if table.rows:
            sheet.autofilter(top, 0, top + len(table.rows), len(table.columns) - 1)
    return buffer.getvalue()


def _styles(book: Any) -> dict[str, Any]:
    return {
        "title": book.add_format({"bold": True, "font_size": 14}),
        "note": book.add_format({"italic": True, "font_color": "#555555"}),
        "head": book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"}),
        "time": book.add_format({"num_format": "yyyy-mm-dd hh:mm"}),
        "day": book.add_format({"num_format": "yyyy-mm-dd"}),
        "number": book.add_format({"num_format": "0.######"}),
    }


def _write(sheet: Any, styles: dict[str, Any], line: int, column: int, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(line, column, value)
    elif isinstance(value, int | float):
        sheet.write_number(line, column, value, styles["number"] if isinstance(value, float) else None)
    elif isinstance(value, datetime):
        sheet.write_datetime(line, column, value, styles["time"])
    elif isinstance(value, date):
        sheet.write_datetime(line, column, datetime(value.year, value.month, value.day), styles["day"])  # noqa: DTZ001
    else:
        sheet.write_string(line, column, str(value)[:LONGEST_CELL])


def _width(table: Table, column: int) -> int:
    longest = max((len(str(row[column])) for row in table.rows[:100] if row[column] is not None), default=0)
    return min(WIDEST, max(10, len(table.columns[column].heading), longest) + 2)
