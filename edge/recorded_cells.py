"""Cells of a recorded table: how lines are cut, which column is the time, what is a number. Pure."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence

from core.errors import Invalid

MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "--", "?", "#n/a", "\\n"})
TIME_NAMES = (
    "timestamp",
    "datetime",
    "date_time",
    "time",
    "date",
    "ts",
    "时间",
    "时间戳",
    "日期",
    "zeit",
    "zeitstempel",
)
DELIMITERS = {"tab": "\t", "semicolon": ";", "comma": ",", "blanks": " "}  # in the order of guessing
EXACT = float(1 << 53)  # beyond it the wire does not keep a number exactly


class BadTable(Invalid):
    """The table cannot be read."""

    code = "bad_table"


def guess_delimiter(head: Sequence[str]) -> str:
    """The separator that cuts most of the first lines into several cells; comma for a single column."""
    for sign in DELIMITERS.values():
        if 2 * sum(_is_cut(text, sign) for text in head) > len(head):
            return sign
    return ","


def _is_cut(text: str, sign: str) -> bool:
    try:
        return len(split(text, sign)) > 1
    except csv.Error:  # a cell of more than 128 KiB; its line is named later
        return False


def numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Lines that hold something, with their number from 1."""
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n").replace("\r", " ").replace("\n", " ")
        if "\0" in text:
            raise BadTable(f"Line {number} holds a NUL byte: this is no text table.")
        if text.strip():
            yield number, text


def split(text: str, delimiter: str) -> list[str]:
    """The cells of a line, without blanks around them. Raises csv.Error."""
    if delimiter == " ":
        return text.split()
    return [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter))]


def header(text: str, delimiter: str) -> tuple[str, ...]:
    """Column names from the first line. Raises BadTable."""
    try:
        cells = split(text, delimiter)
    except csv.Error as error:
        raise BadTable(f"The first line cannot be cut into names ({error}).") from error
    if all(not cell or number(cell, delimiter) is not None for cell in cells):
        raise BadTable("The first line holds numbers, no names. Name the columns: --columns time,flow,pressure")
    return tuple(cell or f"column{position}" for position, cell in enumerate(cells, 1))


def time_position(columns: Sequence[str], asked: str | None) -> int:
    """Where the column of times stands: the one asked for, or one whose name says so. Raises BadTable."""
    if asked is not None:
        if asked not in columns:
            raise BadTable(f"There is no column {asked!r}. The columns are: {', '.join(columns)}.")
        return columns.index(asked)
    lower = [name.lower() for name in columns]
    for known in TIME_NAMES:
        if known in lower:
            return lower.index(known)
    raise BadTable(
        f"No column looks like a time among: {', '.join(columns)}. Name it with --time-column, or say how far apart "
        "the rows are with --time-step 1h."
    )


def number(text: str, delimiter: str) -> float | None:
    """A finite number that the wire keeps exactly; a decimal comma where the comma does not part cells."""
    if "_" in text:
        return None
    if delimiter != "," and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) and abs(found) < EXACT else None
