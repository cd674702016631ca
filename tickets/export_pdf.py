"""A table as PDF, set by typst in a child process with limits. The data come in as values, never as markup.

Chinese needs a font that has it: without one the report says so instead of printing boxes in silence.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from core.errors import MillwrightError
from tickets.export import Table, csv_cell, plain

CHILD = Path(__file__).with_name("export_pdf_child.py")
FONT_FOLDERS = tuple(
    Path(each) for each in ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "/System/Library/Fonts")
)
HAN_FONTS = ("NotoSansCJK*", "NotoSerifCJK*", "NotoSansSC*", "SourceHanSans*", "wqy-*", "*PingFang*", "msyh*",
             "simhei*", "DroidSansFallback*")  # fmt: skip
MOST_ROWS = 2000
WITHIN_S = 30.0
NO_FONT = "No font with Chinese characters here: install fonts-noto-cjk. / 本机没有中文字体。"
CUT = "Only the first {n} of {all} rows are shown. / 仅显示前 {n} 行，共 {all} 行。"


class PdfFailed(MillwrightError):
    """The report could not be set as PDF. Ask for XLSX or CSV, or for fewer rows."""

    code = "pdf_failed"
    status = 500


def pdf(table: Table, *, zone: ZoneInfo) -> bytes:
    """The file, A4 across. Raises PdfFailed when the child fails or takes longer than its time."""
    said = json.dumps(_content(table, zone), ensure_ascii=False).encode()
    with tempfile.TemporaryDirectory(prefix="millwright-pdf-") as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", str(CHILD), folder, *(str(each) for each in FONT_FOLDERS if each.is_dir())],
                input=said,
                capture_output=True,
                timeout=WITHIN_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PdfFailed(f"The report was not set within {WITHIN_S:g} seconds. Ask for XLSX or CSV.") from error
    if done.returncode != 0 or not done.stdout.startswith(b"%PDF"):
        raise PdfFailed
    return done.stdout


@cache
def han_font() -> Path | None:
    """A font with Chinese characters on this machine."""
    folders = [each for each in FONT_FOLDERS if each.is_dir()]
    return next((path for name in HAN_FONTS for folder in folders for path in folder.rglob(name)), None)


def _content(table: Table, zone: ZoneInfo) -> dict[str, object]:
    notes = list(table.notes)
    if len(table.rows) > MOST_ROWS:
        notes.append(CUT.format(n=MOST_ROWS, all=len(table.rows)))
    if han_font() is None:
        notes.append(NO_FONT)
    rows = [[_cell(value, zone) for value in row] for row in table.rows[:MOST_ROWS]]
    numbers = [_is_number(table, at) for at in range(len(table.columns))]
    heads = [column.heading for column in table.columns]
    return {"title": table.title, "notes": notes, "heads": heads, "rows": rows, "numbers": numbers}


def _cell(value: object, zone: ZoneInfo) -> str:
    found = plain(value, zone)
    if isinstance(found, float):
        return f"{found:,.2f}".rstrip("0").rstrip(".")
    return found if isinstance(found, str) else csv_cell(value, zone)


def _is_number(table: Table, column: int) -> bool:
    values = [row[column] for row in table.rows[:50] if row[column] is not None]
    return bool(values) and all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)
