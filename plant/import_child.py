"""The program of a child process that reads one table: CSV or XLSX → JSON rows of texts. Run by path.

    python -I plant/import_child.py FILE MOST_ROWS  →  {"rows": [[text, …], …]} on stdout

A small workbook may unfold to gigabytes: it happens here, where memory and time are limited, and not in the server.
Exit code 3: it is no table that can be read; 4: it has too many rows or columns.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
import re
import resource
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

MEMORY_BYTES = 768 * 1024 * 1024
CPU_S = 30
UNREADABLE, TOO_MUCH = 3, 4
MOST_COLUMNS = 100
MOST_UNFOLDED = 120_000_000
LONGEST_CELL = 4000
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


class TooMuch(Exception):
    """More rows or columns than asked for."""


def main(argv: list[str]) -> int:
    path, most_rows = Path(argv[0]), int(argv[1])
    for which, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_S), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(which, (most, most))
    try:
        rows = list(_workbook(path) if path.read_bytes()[:4] == b"PK\x03\x04" else _text(path, most_rows))
        told = [_fitting(row) for row in _limited(rows, most_rows)]
    except TooMuch:
        return TOO_MUCH
    except Exception as error:  # noqa: BLE001 - whatever a reader says of a strange file, the answer is the same
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return UNREADABLE
    json.dump({"rows": told}, sys.stdout, ensure_ascii=True)
    return 0


def _limited(rows: list[tuple[int, list[str]]], most_rows: int) -> list[list[str]]:
    """Rows at their numbers, empty ones between."""
    if rows and rows[-1][0] > most_rows:
        raise TooMuch
    made: list[list[str]] = []
    for number, row in rows:
        made += [[] for _ in range(number - 1 - len(made))]
        made.append(row)
    return made


def _fitting(row: list[str]) -> list[str]:
    while row and not row[-1].strip():
        row.pop()
    if len(row) > MOST_COLUMNS:
        raise TooMuch
    return [cell.strip()[:LONGEST_CELL] for cell in row]


# -- text -------------------------------------------------------------------------------------------------------------


def _text(path: Path, most_rows: int) -> Iterator[tuple[int, list[str]]]:
    data = path.read_bytes()
    if b"\x00" in data:
        raise ValueError("neither text nor a workbook")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("gb18030")
    head = text[:4000].split("\n", 1)[0]
    for number, row in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count)), 1):
        yield number, row
        if number > most_rows:
            return


# -- XLSX (ECMA-376): the cells of the first sheet as texts -----------------------------------------------------------


def _workbook(path: Path) -> Iterator[tuple[int, list[str]]]:
    with zipfile.ZipFile(path) as book:
        if sum(each.file_size for each in book.infolist()) > MOST_UNFOLDED:
            raise TooMuch
        shared = _shared(book)
        with book.open(_first_sheet(book)) as sheet:
            number = 0
            for _, element in ElementTree.iterparse(sheet):  # noqa: S314
                if element.tag == f"{MAIN}row":
                    number = int(element.get("r", number + 1))
                    yield number, _row(element, shared)
                    element.clear()


def _first_sheet(book: zipfile.ZipFile) -> str:
    sheets = ElementTree.fromstring(book.read("xl/workbook.xml")).find(f"{MAIN}sheets")  # noqa: S314
    if sheets is None:
        raise ValueError("no sheet")
    wanted = sheets[0].get(RELATION)
    relations = ElementTree.fromstring(book.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
    target = next(each.get("Target", "") for each in relations if each.get("Id") == wanted)
    return target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join("xl", target))


def _shared(book: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in book.namelist():
        return []
    found = []
    with book.open("xl/sharedStrings.xml") as file:
        for _, element in ElementTree.iterparse(file):  # noqa: S314
            if element.tag == f"{MAIN}si":
                found.append(_said(element))
                element.clear()
    return found


def _said(element: ElementTree.Element) -> str:
    """Its text without the phonetic guide that may stand beside it."""
    runs = [element, *element.findall(f"{MAIN}r")]
    return "".join(text.text or "" for run in runs for text in run.findall(f"{MAIN}t"))


def _row(element: ElementTree.Element, shared: list[str]) -> list[str]:
    cells: list[str] = []
    for cell in element.findall(f"{MAIN}c"):
        column = _column(cell.get("r")) or len(cells) + 1
        text = _cell(cell, shared)
        if text and column > MOST_COLUMNS:
            raise TooMuch
        if column <= MOST_COLUMNS:
            cells += [""] * (column - len(cells))
            cells[column - 1] = text
    return cells


def _column(reference: str | None) -> int:
    found = REFERENCE.fullmatch(reference or "")
    column = 0
    for letter in found[1] if found else "":
        column = column * 26 + ord(letter) - ord("A") + 1
    return column


def _cell(cell: ElementTree.Element, shared: list[str]) -> str:
    kind, value = cell.get("t", "n"), cell.findtext(f"{MAIN}v") or ""
    if kind == "inlineStr":
        inline = cell.find(f"{MAIN}is")
        return "" if inline is None else _said(inline)
    if kind == "s":
        return shared[int(value)] if value else ""
    if kind == "n" and value:
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    return "" if kind == "e" else value


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
