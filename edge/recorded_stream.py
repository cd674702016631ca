"""A recorded table of any length → readings, piece by piece. Pure.

    lines ──> wide: a column a tag      ──> rows ──> Piece (about 10,000 samples) ──> …
              long: tag, value, quality             what was refused, and why, by line

Memory holds one piece. The same lines and the same shape give the same pieces, so a reader may go on after any of them.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from enum import StrEnum
from itertools import chain

import numpy as np

from edge.recorded_cells import MISSING, BadTable, guess_delimiter, header, number, numbered, split, time_position
from edge.recorded_times import BadMoment, moment, scaled, since_excel
from plant.model import Quality, Reading

PIECE_SAMPLES = 10_000
SNIFF_LINES = 20
TAG_NAMES = ("tag", "tagname", "tag_name", "point", "signal", "sensor", "item", "测点", "位号", "标签")
VALUE_NAMES = ("value", "val", "wert", "值", "数值", "测量值")
UNIT_NAMES = ("unit", "units", "einheit", "单位", "uom")
QUALITY_NAMES = ("quality", "status", "qualität", "质量", "质量码")
WORDS = {
    Quality.GOOD: ("good", "ok", "g", "gut", "好", "良好"),
    Quality.UNCERTAIN: ("uncertain", "questionable", "u", "unsicher", "不确定"),
    Quality.BAD: ("bad", "b", "schlecht", "坏"),
}

Trouble = Callable[[int, str], None]  # line, why


class TimeFormat(StrEnum):
    """How times are written, where that is declared; any other text is a pattern like ``%d.%m.%Y %H:%M:%S``."""

    FOUND_OUT = "auto"
    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"
    EXCEL = "excel"  # days since 1899-12-30


@dataclass(frozen=True, slots=True)
class Shape:
    """How a table is to be read; None: found out. ``decimal`` is the sign before the fraction. ``quality``: words that
    are used beside ours. A table is long when it has a column of tags, named here or by its header."""

    delimiter: str | None = None
    columns: tuple[str, ...] = ()
    time_column: str | None = None
    time_format: str = TimeFormat.FOUND_OUT
    zone: tzinfo | None = None
    decimal: str | None = None
    tag_column: str | None = None
    value_column: str | None = None
    unit_column: str | None = None
    quality_column: str | None = None
    skip: frozenset[str] = frozenset()
    quality: Mapping[str, Quality] = field(default_factory=dict)

    def quality_of(self, text: str) -> Quality | None:
        """What a word of the quality column means; None = nobody knows."""
        if text in self.quality:
            return self.quality[text]
        return next((quality for quality, words in WORDS.items() if text.lower() in words), None)


@dataclass(frozen=True, slots=True)
class Piece:
    """Readings (their source is to be named yet) of the table's rows up to ``rows`` of those that hold something."""

    readings: tuple[Reading, ...]
    rows: int


def pieces(lines: Iterable[str], shape: Shape, trouble: Trouble) -> Iterator[Piece]:
    """The table in ``lines``; ``trouble`` hears each line or cell that is refused. Raises BadTable."""
    rows = numbered(lines)
    head = [line for _, line in zip(range(SNIFF_LINES), rows, strict=False)]
    if not head:
        raise BadTable("The table is empty.")
    delimiter = shape.delimiter or guess_delimiter([text for _, text in head])
    columns = shape.columns or header(head.pop(0)[1], delimiter)
    table = _layout(columns, delimiter, shape, trouble)
    count = 0
    for each in chain(head, rows):
        count += 1
        table.take(*each)
        if table.samples >= PIECE_SAMPLES:
            yield Piece(table.readings(), count)
    yield Piece(table.readings(), count)


class Clock:
    """Texts → times as declared. The hour that clocks show twice is told apart by what came before it, by ``key``."""

    def __init__(self, shape: Shape) -> None:
        self._format, self._zone = shape.time_format, shape.zone
        self._last: dict[str, int] = {}

    def at_us(self, text: str, key: str = "") -> int:
        """Raises BadMoment."""
        found = self._read(text.strip(), self._last.get(key))
        self._last[key] = found
        return found

    def _read(self, text: str, last_us: int | None) -> int:
        if self._format == TimeFormat.FOUND_OUT:
            return moment(text, self._zone, after_us=last_us).at_us
        if self._format == TimeFormat.EXCEL:
            return since_excel(text, self._zone)
        if self._format in (TimeFormat.S, TimeFormat.MS, TimeFormat.US, TimeFormat.NS):
            return scaled(text, self._format)
        try:
            local = datetime.strptime(text, self._format)  # noqa: DTZ007 its zone comes next
        except ValueError:
            raise BadMoment(f"{text[:60]!r} is no time of the form {self._format}") from None
        named = local.utcoffset() is not None
        return moment(local.isoformat(sep=" "), None if named else self._zone, after_us=last_us).at_us


class _Wide:
    """A column a tag."""

    def __init__(self, columns: Sequence[str], delimiter: str, shape: Shape, trouble: Trouble) -> None:
        self._time_at = time_position(columns, shape.time_column)
        self._delimiter, self._width, self._trouble = delimiter, len(columns), trouble
        self._decimal = shape.decimal
        self._clock = Clock(shape)
        self._tags = [
            (position, name)
            for position, name in enumerate(columns)
            if position != self._time_at and name not in shape.skip
        ]
        if not self._tags:
            raise BadTable("No column is left beside the time.")
        self._times: dict[str, list[int]] = {name: [] for _, name in self._tags}
        self._values: dict[str, list[float]] = {name: [] for _, name in self._tags}
        self.samples = 0

    def take(self, line: int, text: str) -> None:
        cells = _cells(line, text, self._delimiter, self._width, self._trouble)
        if cells is None:
            return
        try:
            at_us = self._clock.at_us(cells[self._time_at])
        except BadMoment as error:
            self._trouble(line, str(error))
            return
        for position, name in self._tags:
            cell = cells[position]
            found = value_of(cell, self._delimiter, self._decimal)
            if found is not None:
                self._times[name].append(at_us)
                self._values[name].append(found)
                self.samples += 1
            elif cell.lower() not in MISSING:
                self._trouble(line, f"{cell[:60]!r} in {name!r} is no number to keep")

    def readings(self) -> tuple[Reading, ...]:
        """What was taken since the last call."""
        found = []
        for _, name in self._tags:
            if self._times[name]:
                at_us = np.array(self._times[name], np.int64)
                values = np.array(self._values[name], np.float64)
                found.append(Reading("", name, at_us, values, np.zeros(len(at_us), np.uint8)))
                self._times[name], self._values[name] = [], []
        self.samples = 0
        return tuple(found)


class _Long:
    """A row a sample."""

    def __init__(self, columns: Sequence[str], delimiter: str, shape: Shape, trouble: Trouble) -> None:
        self._time_at = time_position(columns, shape.time_column)
        self._tag_at = named(columns, shape.tag_column, TAG_NAMES)
        self._value_at = named(columns, shape.value_column, VALUE_NAMES)
        self._unit_at = named(columns, shape.unit_column, UNIT_NAMES)
        self._quality_at = named(columns, shape.quality_column, QUALITY_NAMES)
        if self._tag_at is None or self._value_at is None:
            raise BadTable(
                f"A table with a row a sample needs a column of tags and one of values among: {', '.join(columns)}. "
                "Name them with --tag-column and --value-column."
            )
        self._delimiter, self._width, self._trouble, self._shape = delimiter, len(columns), trouble, shape
        self._clock = Clock(shape)
        self._kept: dict[tuple[str, str], tuple[list[int], list[float], list[int]]] = {}
        self.samples = 0

    def take(self, line: int, text: str) -> None:
        cells = _cells(line, text, self._delimiter, self._width, self._trouble)
        if cells is None or self._tag_at is None or self._value_at is None:
            return
        tag = cells[self._tag_at]
        if tag in self._shape.skip:
            return
        why = self._keep(cells, tag, cells[self._value_at])
        if why:
            self._trouble(line, why)

    def readings(self) -> tuple[Reading, ...]:
        """What was taken since the last call."""
        found = tuple(
            Reading("", tag, np.array(at, np.int64), np.array(value), np.array(quality, np.uint8), unit or None)
            for (tag, unit), (at, value, quality) in self._kept.items()
        )
        self._kept, self.samples = {}, 0
        return found

    def _keep(self, cells: Sequence[str], tag: str, value: str) -> str:
        """Keep a sample; why not, if not."""
        if not tag:
            return "it names no tag"
        word = "" if self._quality_at is None else cells[self._quality_at]
        quality = self._shape.quality_of(word) if word else Quality.GOOD
        if quality is None:
            return f"{word[:60]!r} is no quality we know; say what it means in the map: quality.good = [{word[:60]!r}]"
        found = value_of(value, self._delimiter, self._shape.decimal)
        if found is None and value.lower() not in MISSING:
            return f"{value[:60]!r} of {tag!r} is no number to keep"
        if found is None and quality is not Quality.BAD:
            return ""  # nothing was measured
        try:
            at_us = self._clock.at_us(cells[self._time_at], tag)
        except BadMoment as error:
            return str(error)
        unit = "" if self._unit_at is None else cells[self._unit_at]
        series = self._kept.setdefault((tag, unit), ([], [], []))
        series[0].append(at_us)
        series[1].append(float("nan") if found is None else found)
        series[2].append(int(quality))
        self.samples += 1
        return ""


def is_long(columns: Sequence[str], shape: Shape) -> bool:
    """Whether each row is a sample: its columns say tag and value."""
    if shape.tag_column is not None or shape.value_column is not None:
        return True
    return named(columns, None, TAG_NAMES) is not None and named(columns, None, VALUE_NAMES) is not None


def value_of(text: str, delimiter: str, decimal: str | None) -> float | None:
    """A number as written with this decimal sign; None = none to keep."""
    if decimal == ",":
        text = text.replace(".", "").replace(",", ".") if "," in text else text
    return number(text, delimiter)


def _layout(columns: Sequence[str], delimiter: str, shape: Shape, trouble: Trouble) -> _Wide | _Long:
    twice = sorted({name for name in columns if list(columns).count(name) > 1})
    if twice:
        raise BadTable(f"Two columns are called {twice[0]!r}. Give names of your own with --columns.")
    return (_Long if is_long(columns, shape) else _Wide)(columns, delimiter, shape, trouble)


def named(columns: Sequence[str], asked: str | None, known: Sequence[str]) -> int | None:
    """Where a column stands: the one asked for, or one with a known name. Raises BadTable."""
    if asked is not None:
        if asked not in columns:
            raise BadTable(f"There is no column {asked!r}. The columns are: {', '.join(columns)}.")
        return list(columns).index(asked)
    lower = [name.lower() for name in columns]
    return next((lower.index(name) for name in known if name in lower), None)


def _cells(line: int, text: str, delimiter: str, width: int, trouble: Trouble) -> list[str] | None:
    try:
        cells = split(text, delimiter)
    except csv.Error as error:
        trouble(line, f"it cannot be cut into cells ({error})")
        return None
    if len(cells) == width + 1 and not cells[-1]:  # a separator at the end of the line
        cells.pop()
    if len(cells) != width:
        trouble(line, f"it has {len(cells)} cells, not {width}")
        return None
    return cells
