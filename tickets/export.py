"""Tables as files: CSV (streamed), XLSX, PDF. No cell of ours is ever run by the program that opens it.

    a cell that begins with = + - @ (full-width or alike), tab, return  →  CSV: preceded by '   XLSX: text, no formula

Numbers and times stay numbers and times; a column's unit stands in its heading.
"""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

BOM = "\ufeff"  # by it a spreadsheet program knows UTF-8
RUN = frozenset("=+-@\t\r\n\N{MINUS SIGN}")
UNSEEN = frozenset({"Cc", "Cf", "Mn"})  # what stands before a sign without being seen
CHUNK = 64 * 1024
LONGEST_CELL = 32_767  # what a spreadsheet takes


@dataclass(frozen=True, slots=True)
class Column:
    """A heading in the reader's language; ``unit`` of its numbers ("" = none)."""

    name: str
    label: str
    unit: str = ""

    @property
    def heading(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True, slots=True)
class Table:
    """What becomes a file. ``rows`` hold one value a column: text, number, time, flag, list or None."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    notes: Sequence[str] = ()  # period, filter, time zone, what was cut off


def neutral(text: str) -> str:
    """The text as a cell that no spreadsheet program takes for a formula."""
    for sign in text:
        plain_sign = unicodedata.normalize("NFKC", sign)
        if plain_sign[:1] in RUN:
            return "'" + text
        if plain_sign.strip() and unicodedata.category(sign) not in UNSEEN:
            break
    return text


def plain(value: Any, zone: ZoneInfo) -> Any:
    """A value as a cell: times on the site's clock without their zone, lists joined, no infinities."""
    if isinstance(value, datetime):
        return value.astimezone(zone).replace(tzinfo=None, microsecond=0)
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {each}" for key, each in value.items())
    return value


def csv_cell(value: Any, zone: ZoneInfo) -> str:
    """The cell as CSV has it; numbers as numbers, everything else neutralised."""
    found = plain(value, zone)
    if found is None:
        return ""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, int | float):
        return repr(found)
    if isinstance(found, datetime):
        return found.isoformat(sep=" ")
    return neutral(found.isoformat() if isinstance(found, date) else str(found))


def csv_lines(
    columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, zone: ZoneInfo, bom: str = ""
) -> Iterator[bytes]:
    """The file in pieces of about 64 KB, so that a long list is never whole in memory; ``bom``: BOM or nothing."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    buffer.write(bom)
    writer.writerow([neutral(column.heading) for column in columns])
    for row in rows:
        writer.writerow([csv_cell(value, zone) for value in row])
        if buffer.tell() >= CHUNK:
            yield _taken(buffer)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


def csv_file(table: Table, *, zone: ZoneInfo, bom: str = "") -> bytes:
    """A whole table as CSV."""
    return b"".join(csv_lines(table.columns, table.rows, zone=zone, bom=bom))
