"""A recorded table (CSV and its kin) → columns of numbers over time. Pure.

    lines ──> delimiter, header ──> rows (one machine's, if asked) ──> times, cells ──> Table and what was wrong

Nothing is dropped in silence: a row or a cell that cannot be read is a ``Trouble`` with its line and a reason, and a
column that is no signal is named with what it is.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta, tzinfo
from enum import StrEnum

import numpy as np

from edge.recorded_cells import MISSING, BadTable, guess_delimiter, header, number, numbered, split, time_position
from edge.recorded_times import BadMoment, Zone, moment, zoned
from plant.model import Floats, Int64s

SNIFF_LINES = 20
MOST_CELL = 60
MOST_NAMED = 10
MOST_RANGE = 10_000
_RANGE = re.compile(r"(\D*)(\d+)\.\.(\D*)(\d+)")


class Left(StrEnum):
    """Why a column is no signal."""

    ASKED = "left out as asked"
    TEXT = "left out: it holds no numbers"
    EMPTY = "left out: it is empty"
    COUNTER = "left out: it only counts the rows"


class Order(StrEnum):
    """How the rows stood in the file."""

    ASCENDING = "ascending"
    SORTED = "sorted by us"


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read a table. ``delimiter`` None: found out; ``columns`` empty: the first line is the header; ``step``:
    the time between rows where there is no time column; ``zone``: of times that name none (UTC if None)."""

    delimiter: str | None = None
    columns: tuple[str, ...] = ()
    time_column: str | None = None
    step: timedelta | None = None
    zone: tzinfo | None = None
    id_column: str | None = None
    only: str | None = None
    skip: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Trouble:
    """A line, or one cell of it, that could not be read."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Table:
    """``at_us`` int64[n] ascending, µs since the epoch (from 0 with a step); ``values`` float64[n,k], NaN = no value.

    ``rows`` were read, ``lost_rows`` of them could not be kept; ``others`` belong to other machines. ``left``: columns
    that are no signals.
    """

    columns: tuple[str, ...]
    at_us: Int64s
    values: Floats
    delimiter: str
    time_column: str | None
    zone: Zone
    left: dict[str, Left]
    rows: int
    lost_rows: int
    others: int
    order: Order
    troubles: tuple[Trouble, ...]

    @property
    def period_s(self) -> float:
        """Median time between rows in seconds; 1 for a single row."""
        gaps = np.diff(self.at_us)
        gaps = gaps[gaps > 0]
        return float(np.median(gaps)) / 1e6 if len(gaps) else 1.0

    @property
    def twins(self) -> int:
        """Samples that say again what another one of their column says: the same value at the same time."""
        count = 0
        for column in self.values.T:
            known = np.isfinite(column)
            pairs = np.column_stack([self.at_us[known], column[known].view(np.int64)])
            count += len(pairs) - len(np.unique(pairs, axis=0))
        return count


def read(lines: Iterable[str], layout: Layout) -> Table:
    """The table in ``lines`` (with or without line ends). Raises BadTable with a sentence that says what to do."""
    rows = numbered(lines)
    head = [line for _, line in zip(range(SNIFF_LINES), rows, strict=False)]
    if not head:
        raise BadTable("The table is empty.")
    delimiter = layout.delimiter or guess_delimiter([text for _, text in head])
    columns = layout.columns or header(head.pop(0)[1], delimiter)
    _check_columns(columns, layout)
    time_at = None if layout.step is not None else time_position(columns, layout.time_column)
    reader = _Reader(columns, delimiter, layout, time_at)
    for line, text in (*head, *rows):
        reader.take(line, text)
    return reader.table()


def names(text: str) -> tuple[str, ...]:
    """Column names as given on a command line: ``unit,cycle,s1..s21``. Raises BadTable."""
    found: list[str] = []
    for part in (each.strip() for each in text.split(",")):
        found += _span(part)
    if not all(found):
        raise BadTable("--columns has an empty name. Give names like unit,cycle,s1..s21.")
    return tuple(found)


def _span(part: str) -> list[str]:
    shape = _RANGE.fullmatch(part)
    if shape is None:
        return [part]
    stem, first, other, last = shape.groups()
    if other not in ("", stem) or not 0 <= int(last) - int(first) < MOST_RANGE:
        raise BadTable(f"{part!r} is no range of names. Give it like s1..s21.")
    return [f"{stem}{number}" for number in range(int(first), int(last) + 1)]


def _check_columns(columns: tuple[str, ...], layout: Layout) -> None:
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise BadTable(f"Two columns are called {twice[0]!r}. Give names of your own with --columns.")
    for name in (layout.time_column, layout.id_column, *sorted(layout.skip)):
        if name is not None and name not in columns:
            raise BadTable(f"There is no column {name!r}. The columns are: {', '.join(columns)}.")
    if layout.only is not None and layout.id_column is None:
        raise BadTable("--only needs --id-column: the column that tells the machines apart.")
    if layout.step is not None and layout.time_column is not None:
        raise BadTable("Give either --time-column or --time-step, not both.")


@dataclass(slots=True)
class _Reader:
    """Takes line after line; ``table`` at the end."""

    columns: tuple[str, ...]
    delimiter: str
    layout: Layout
    time_at: int | None
    times: list[int] = field(default_factory=list)
    kept: list[tuple[int, list[str]]] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    machines: set[str] = field(default_factory=set)
    rows: int = 0
    others: int = 0
    zoned: int = 0  # times that named their zone

    def take(self, line: int, text: str) -> None:
        try:
            cells = split(text, self.delimiter)
        except csv.Error as error:
            self._lost(line, f"it cannot be cut into cells ({error})")
            return
        if len(cells) == len(self.columns) + 1 and not cells[-1]:  # a separator at the end of the line
            cells.pop()
        if len(cells) != len(self.columns):
            self._lost(line, f"it has {len(cells)} cells, not {len(self.columns)}")
        elif not self._mine(cells):
            self.others += 1
        else:
            self._keep(line, cells)

    def table(self) -> Table:
        """Raises BadTable when nothing can be played."""
        self._check_machines()
        if not self.kept:
            raise BadTable(self._nothing())
        left = dict.fromkeys(sorted(self.layout.skip), Left.ASKED)
        columns, values = self._signals(left)
        at_us = np.array(self.times, np.int64)
        order = np.argsort(at_us, kind="stable")
        return Table(
            columns=columns,
            at_us=at_us[order],
            values=values[order],
            delimiter=self.delimiter,
            time_column=None if self.time_at is None else self.columns[self.time_at],
            zone=Zone.NONE_NEEDED if self.time_at is None else zoned(self.zoned, len(self.times)),
            left=left,
            rows=self.rows,
            lost_rows=self.rows - len(self.kept),
            others=self.others,
            order=Order.SORTED if bool(np.any(np.diff(at_us) < 0)) else Order.ASCENDING,
            troubles=tuple(sorted(self.troubles, key=lambda each: each.line)),
        )

    def _keep(self, line: int, cells: list[str]) -> None:
        self.rows += 1
        try:
            self.times.append(self._time(cells))
        except BadMoment as error:
            self.troubles.append(Trouble(line, str(error)))
        else:
            self.kept.append((line, cells))

    def _lost(self, line: int, why: str) -> None:
        self.rows += 1
        self.troubles.append(Trouble(line, why))

    def _mine(self, cells: list[str]) -> bool:
        if self.layout.id_column is None:
            return True
        machine = cells[self.columns.index(self.layout.id_column)]
        self.machines.add(machine)
        return self.layout.only is None or _same(machine, self.layout.only)

    def _time(self, cells: list[str]) -> int:
        """A lost row keeps its place, so that the others keep their times. Raises BadMoment."""
        if self.time_at is None:
            return (self.rows - 1) * ((self.layout.step or timedelta()) // timedelta(microseconds=1))
        found = moment(cells[self.time_at], self.layout.zone, after_us=self.times[-1] if self.times else None)
        self.zoned += found.zoned
        return found.at_us

    def _signals(self, left: dict[str, Left]) -> tuple[tuple[str, ...], Floats]:
        """Columns that are signals and their values float64[n,k]; the others come into ``left``. Raises BadTable."""
        found: dict[str, Floats] = {}
        for position, name in enumerate(self.columns):
            if position == self.time_at or name == self.layout.id_column or name in left:
                continue
            values, troubles = self._numbers(position, name)
            why = _no_signal(values, troubles, counted=self.time_at is None)
            if why is None:
                found[name] = values
                self.troubles += troubles
            else:
                left[name] = why
        if not found:
            raise BadTable(f"No column is left to send: {', '.join(f'{name} ({why})' for name, why in left.items())}.")
        return tuple(found), np.column_stack(list(found.values()))

    def _numbers(self, position: int, name: str) -> tuple[Floats, list[Trouble]]:
        values = np.full(len(self.kept), np.nan)
        troubles = []
        for row, (line, cells) in enumerate(self.kept):
            found = number(cells[position], self.delimiter)
            if found is not None:
                values[row] = found
            elif cells[position].lower() not in MISSING:
                troubles.append(Trouble(line, f"{cells[position][:MOST_CELL]!r} in {name!r} is no number to keep"))
        return values, troubles

    def _check_machines(self) -> None:
        found = sorted(self.machines, key=lambda name: (len(name), name))
        some = ", ".join(found[:MOST_NAMED]) + (" …" if len(found) > MOST_NAMED else "")
        if self.layout.only is None and len(found) > 1:
            raise BadTable(
                f"The column {self.layout.id_column!r} holds {len(found)} machines ({some}). "
                f"Play one: --only {found[0]}"
            )
        if self.layout.only is not None and not any(_same(each, self.layout.only) for each in found):
            raise BadTable(f"No row has {self.layout.only!r} in {self.layout.id_column!r}. It holds: {some}.")

    def _nothing(self) -> str:
        if self.troubles:
            return f"No row could be read. Line {self.troubles[0].line}: {self.troubles[0].why}."
        return "The table has a header but no rows."


def _no_signal(values: Floats, troubles: Sequence[Trouble], *, counted: bool) -> Left | None:
    """Why a column is none, if so. ``counted``: the rows' places are their times, so a column that counts them by one
    says the same again."""
    known = values[np.isfinite(values)]
    if not len(known):
        return Left.TEXT if troubles else Left.EMPTY
    counts = counted and len(known) == len(values) > 2 and bool(np.all(np.diff(values) == 1.0))
    return Left.COUNTER if counts else None


def _same(one: str, other: str) -> bool:
    """Whether two cells name the same machine; 7, 07 and 7.0 do."""
    if one == other:
        return True
    left, right = number(one, " "), number(other, " ")
    return left is not None and left == right
