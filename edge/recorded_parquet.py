"""A Parquet file of any size → readings, batch by batch. Needs the extra ``parquet`` (pyarrow)."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import Invalid
from edge.recorded_cells import BadTable, time_position
from edge.recorded_stream import (
    PIECE_SAMPLES,
    QUALITY_NAMES,
    TAG_NAMES,
    UNIT_NAMES,
    VALUE_NAMES,
    Clock,
    Piece,
    Shape,
    TimeFormat,
    Trouble,
    is_long,
    named,
)
from edge.recorded_times import BadMoment
from plant.model import Floats, Int64s, Quality, Reading

SUFFIXES = (".parquet", ".pq")
_PER_UNIT = {"s": 1_000_000, "ms": 1_000, "us": 1}


class NoParquet(Invalid):
    """Reading Parquet files needs pyarrow, which is not installed: ``pip install 'millwright[parquet]'``."""

    code = "no_parquet"


class ParquetFeed:
    """Pieces of one file; ``share`` says how much of it was read. Raises BadTable, NoParquet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.share = 0.0

    def pieces(self, shape: Shape, trouble: Trouble) -> Iterator[Piece]:
        """As ``edge.recorded_stream.pieces``; lines are rows from 1."""
        arrow = _arrow()
        try:
            with self.path.open("rb") as raw:
                file = arrow.parquet.ParquetFile(raw)
                columns = tuple(file.schema_arrow.names)
                table = (_Long if is_long(columns, shape) else _Wide)(columns, shape, trouble, arrow)
                total, done = max(file.metadata.num_rows, 1), 0
                for batch in file.iter_batches(batch_size=table.batch_rows, use_threads=False):
                    readings = table.readings(batch, first_row=done + 1)
                    done += batch.num_rows
                    self.share = done / total
                    yield Piece(readings, done)
        except arrow.lib.ArrowException as error:
            raise BadTable(f"{self.path} is no Parquet file that can be read ({str(error)[:200]}).") from error
        except OSError as error:
            raise BadTable(f"{self.path} cannot be read: {error.strerror or error}.") from error


class _Wide:
    def __init__(self, columns: tuple[str, ...], shape: Shape, trouble: Trouble, arrow: Any) -> None:
        self._time_at, self._shape = time_position(columns, shape.time_column), shape
        self._tags = [(i, name) for i, name in enumerate(columns) if i != self._time_at and name not in shape.skip]
        self._times = _Times(shape, trouble, arrow)
        self._arrow = arrow
        self.batch_rows = max(1, PIECE_SAMPLES // max(1, len(self._tags)))

    def readings(self, batch: Any, *, first_row: int) -> tuple[Reading, ...]:
        at_us, known = self._times.of(batch.column(self._time_at), first_row)
        found = []
        for position, name in self._tags:
            values = _numbers(batch.column(position), self._arrow)
            if values is None:
                continue  # no numbers in it: a column of words is no signal
            rows = np.flatnonzero(known & np.isfinite(values))
            if len(rows):
                found.append(Reading("", name, at_us[rows], values[rows], np.zeros(len(rows), np.uint8)))
        return tuple(found)


class _Long:
    batch_rows = PIECE_SAMPLES

    def __init__(self, columns: tuple[str, ...], shape: Shape, trouble: Trouble, arrow: Any) -> None:
        self._time_at, self._shape, self._trouble, self._arrow = (
            time_position(columns, shape.time_column),
            shape,
            trouble,
            arrow,
        )
        self._tag_at = named(columns, shape.tag_column, TAG_NAMES)
        self._value_at = named(columns, shape.value_column, VALUE_NAMES)
        self._unit_at = named(columns, shape.unit_column, UNIT_NAMES)
        self._quality_at = named(columns, shape.quality_column, QUALITY_NAMES)
        if self._tag_at is None or self._value_at is None:
            raise BadTable(f"A column of tags and one of values are needed among: {', '.join(columns)}.")
        self._times = _Times(shape, trouble, arrow)

    def readings(self, batch: Any, *, first_row: int) -> tuple[Reading, ...]:
        at_us, known = self._times.of(batch.column(self._time_at), first_row)
        values = _numbers(batch.column(self._value_at), self._arrow)
        if values is None:
            raise BadTable("The column of values holds no numbers.")
        tags, units = _texts(batch, self._tag_at), _texts(batch, self._unit_at)
        quality, fits = self._quality(batch, first_row)
        known &= fits & (np.isfinite(values) | (quality == Quality.BAD)) & (tags != "")
        found = []
        for tag, unit in sorted(set(zip(tags[known].tolist(), units[known].tolist(), strict=True))):
            rows = np.flatnonzero(known & (tags == tag) & (units == unit))
            if tag not in self._shape.skip:
                found.append(Reading("", tag, at_us[rows], values[rows], quality[rows], unit or None))
        return tuple(found)

    def _quality(self, batch: Any, first_row: int) -> tuple[Any, Any]:
        """uint8[n], and bool[n]: a word that is known."""
        words = _texts(batch, self._quality_at)
        quality, fits = np.zeros(len(words), np.uint8), np.ones(len(words), bool)
        for word in set(words.tolist()) - {""}:
            found = self._shape.quality_of(word)
            quality[words == word] = Quality.BAD if found is None else found
            if found is None:
                fits &= words != word
                for row in np.flatnonzero(words == word).tolist():
                    self._trouble(first_row + row, f"{word[:60]!r} is no quality we know")
        return quality, fits


class _Times:
    """The column of times: timestamps, numbers since 1970, or texts."""

    def __init__(self, shape: Shape, trouble: Trouble, arrow: Any) -> None:
        self._shape, self._trouble, self._arrow = shape, trouble, arrow
        self._clock = Clock(shape)

    def of(self, column: Any, first_row: int) -> tuple[Int64s, Any]:
        """int64[n], and bool[n]: the time is known."""
        kind, types = column.type, self._arrow.types
        known = np.array(column.is_valid().to_numpy(zero_copy_only=False), bool)
        if types.is_timestamp(kind):
            at_us = self._timestamps(column)
        elif types.is_integer(kind) and self._shape.time_format in _PER_UNIT:
            at_us = column.fill_null(0).cast("int64").to_numpy() * _PER_UNIT[self._shape.time_format]
        elif types.is_integer(kind) and self._shape.time_format == TimeFormat.NS:
            at_us = column.fill_null(0).cast("int64").to_numpy() // 1000
        else:
            return self._texts(column, first_row, known)
        for row in np.flatnonzero(~known).tolist():
            self._trouble(first_row + row, "it has no time")
        return at_us, known

    def _timestamps(self, column: Any) -> Int64s:
        """Local times of the declared zone; in the hour that clocks show twice, the earlier."""
        if column.type.tz is None and self._shape.zone is not None:
            column = self._arrow.compute.assume_timezone(
                column, str(self._shape.zone), ambiguous="earliest", nonexistent="latest"
            )
        stamps = column.cast(self._arrow.lib.timestamp("us", tz=column.type.tz), safe=False)
        return np.asarray(stamps.cast("int64").fill_null(0).to_numpy(), np.int64)

    def _texts(self, column: Any, first_row: int, known: Any) -> tuple[Int64s, Any]:
        at_us = np.zeros(len(column), np.int64)
        for row, text in enumerate(column.to_pylist()):
            try:
                at_us[row] = self._clock.at_us("" if text is None else str(text))
            except BadMoment as error:
                known[row] = False
                self._trouble(first_row + row, str(error))
        return at_us, known


def _numbers(column: Any, arrow: Any) -> Floats | None:
    """float64[n], NaN where there is none; None = a column of something else."""
    kind, types = column.type, arrow.types
    if types.is_boolean(kind):
        column = column.cast("int8")
    elif not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
        return None
    return np.asarray(column.cast("float64", safe=False).to_numpy(zero_copy_only=False), np.float64)


def _texts(batch: Any, position: int | None) -> Any:
    """object[n] of texts without blanks around them; empty where there is none."""
    if position is None:
        return np.full(batch.num_rows, "", object)
    return np.array(["" if each is None else str(each).strip() for each in batch.column(position).to_pylist()], object)


def _arrow() -> Any:
    try:
        for part in ("parquet", "compute", "types"):
            importlib.import_module(f"pyarrow.{part}")
        return importlib.import_module("pyarrow")
    except ModuleNotFoundError as error:
        raise NoParquet from error
