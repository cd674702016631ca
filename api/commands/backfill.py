"""The verb `backfill`: tables of old data go into the store as they are, past the broker; twice changes nothing.

file ──> pieces (edge.recorded_stream, edge.recorded_parquet) ──> ingest.backfill, a transaction a piece ──> counts
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg import Connection

from api.commands import backfill_map
from api.commands.backfill_map import Plan
from api.commands.parts import instance_of, say
from api.commands.people import site_of
from core.database import Database
from core.errors import Unavailable
from core.settings import settings
from edge import recorded_stream
from edge.recorded_files import Feed
from edge.recorded_parquet import SUFFIXES, ParquetFeed
from edge.recorded_stream import Piece, Shape, Trouble
from ingest import backfill_runs
from ingest.backfill import BackfillLane, Totals
from ingest.backfill_runs import Run
from plant.telemetry import from_us

TELL_S = 2.0
MOST_TROUBLES = 20
MOST_NAMED = 20
EDGE_BYTES = 1 << 20
INTERRUPTED = 130
SERVER = "opcua"  # instead of files: a server's history


class _Feed(Protocol):
    """A file under reading."""

    @property
    def share(self) -> float: ...
    def pieces(self, shape: Shape, trouble: Trouble) -> Iterator[Piece]: ...


@dataclass(slots=True)
class Account:
    """What became of one file. ``unbound`` counts samples by tag; every sample is in one of the counts."""

    rows: int = 0
    samples: int = 0
    totals: Totals = field(default_factory=lambda: Totals(0, 0, 0))
    refused: int = 0
    unbound: Counter[str] = field(default_factory=Counter)
    bound: Counter[str] = field(default_factory=Counter)
    first_us: int | None = None
    last_us: int | None = None


def backfill(argv: list[str]) -> int:
    """Store tables. Returns 0, or 130 when it was stopped; raises MillwrightError with one clear sentence."""
    if argv[:1] == [SERVER]:
        return int(importlib.import_module("api.commands.backfill_opcua").opcua(argv[1:]))  # loads asyncua
    asked = _parser().parse_args(argv)
    plan = backfill_map.plan_of(asked)
    instance = instance_of(settings())
    with instance.database.tx() as conn:
        site_id = site_of(conn, asked.site)
    with ExitStack() as open_files:
        report = _report(asked.report, open_files)
        try:
            for path in asked.files:
                _Filing(instance.database, site_id, backfill_map.for_file(plan, path), path, report).run(
                    dry=asked.dry_run
                )
        except KeyboardInterrupt:
            say("stopped; the same command goes on where this one was")
            return INTERRUPTED
        except psycopg.Error as error:
            raise Unavailable(
                f"The database went away ({' '.join(str(error).split())[:200]}). The same command goes on where this "
                "one was."
            ) from error
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="millwright backfill",
        description="Store old data from tables (CSV and its kin, gzip or not; Parquet), each sample once. "
        "`millwright backfill opcua NAME --from TIME --to TIME` reads an OPC UA server's history instead.",
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="docs/telemetry.md tells what it may be")
    parser.add_argument("--site", help="site code (default: the first site)")
    parser.add_argument("--source", help="source that the tags belong to (default: the file's name)")
    parser.add_argument("--map", type=Path, metavar="MAP.toml", help="how to read, and which tag brings which signal")
    parser.add_argument("--dry-run", action="store_true", help="store nothing, bind nothing; say what would happen")
    parser.add_argument("--report", type=Path, metavar="CSV", help="write every line that is refused, and why")
    read = parser.add_argument_group("reading (or in the map)")
    read.add_argument("--tz", help="zone of times that name none, like Europe/Berlin (default: UTC)")
    read.add_argument("--time-column", help="column of times (default: by its name)")
    read.add_argument("--time-format", help="auto, s, ms, us, ns, excel, or a pattern like %%d.%%m.%%Y %%H:%%M:%%S")
    read.add_argument("--delimiter", help="comma, semicolon, tab, blanks, or the sign itself (default: found out)")
    read.add_argument("--decimal", help="comma or point (default: found out)")
    read.add_argument("--encoding", help="text encoding (default: UTF-8, or UTF-16 with a mark)")
    read.add_argument("--columns", help="names for a table without a header: time,flow,s1..s21")
    read.add_argument("--skip", action="append", default=[], metavar="TAG", help="leave a tag out (repeatable)")
    for name in ("tag", "value", "unit", "quality"):
        read.add_argument(f"--{name}-column", help=f"a row a sample: column of the {name} (default: by its name)")
    return parser


class _Text:
    """A text file as pieces."""

    def __init__(self, path: Path, encoding: str | None) -> None:
        self._feed = Feed(path, encoding)

    @property
    def share(self) -> float:
        return self._feed.share

    def pieces(self, shape: Shape, trouble: Trouble) -> Iterator[Piece]:
        return recorded_stream.pieces(self._feed, shape, trouble)


class _Filing:
    """One file on its way."""

    def __init__(self, database: Database, site_id: int, plan: Plan, path: Path, report: _Report) -> None:
        self._database, self._site_id, self._plan, self._path, self._report = database, site_id, plan, path, report
        self._feed: _Feed = ParquetFeed(path) if path.suffix in SUFFIXES else _Text(path, plan.encoding)
        self._account = Account()
        self._began_s = self._told_s = time.monotonic()
        self._skipped = 0
        self._wanted: set[str] = set()

    def run(self, *, dry: bool) -> Account:
        """Raises BadTable, BadMap, and what psycopg raises."""
        self._bind(dry=dry)
        lane = BackfillLane(self._database, site_id=self._site_id, source=self._plan.source)
        run = Run(self._site_id, self._fingerprint(lane), str(self._path.name))
        done = 0
        if not dry:
            with self._database.ingest_tx() as conn:
                done = backfill_runs.begun(conn, run)
        if done:
            say(f"{self._path}: goes on after row {done}, where the last call was cut short")
        for piece in self._feed.pieces(self._plan.shape, self._trouble):
            if piece.rows > done:
                self._take(lane, run, piece, dry=dry)
            else:
                self._skipped = piece.rows
            self._tell_now_and_then()
        if not dry:
            with self._database.ingest_tx() as conn:
                backfill_runs.finish(conn, run)
        self._tell_end(dry=dry)
        return self._account

    def _bind(self, *, dry: bool) -> None:
        with self._database.tx(site_id=self._site_id) as conn:
            targets = backfill_map.targets(conn, self._plan.tags)
            if not dry:
                backfill_map.bind(conn, self._plan.source, targets)
        self._wanted = {each.tag for each in targets}

    def _take(self, lane: BackfillLane, run: Run, piece: Piece, *, dry: bool) -> None:
        """Samples of tags that nothing is bound to stay in the file: it keeps them better than the quarantine."""
        account = self._account
        mine = []
        for reading in piece.readings:
            count = len(reading.at_us)
            account.samples += count
            low, high = int(reading.at_us.min()), int(reading.at_us.max())
            account.first_us = low if account.first_us is None else min(account.first_us, low)
            account.last_us = high if account.last_us is None else max(account.last_us, high)
            if lane.is_bound(reading.tag) or (dry and reading.tag in self._wanted):
                account.bound[reading.tag] += count
                mine.append(reading)
            else:
                account.unbound[reading.tag] += count
        account.rows = piece.rows - self._skipped
        if not dry:

            def note(conn: Connection) -> None:
                backfill_runs.note(conn, run, rows=piece.rows)

            account.totals += lane.store(tuple(mine), also=note)

    def _trouble(self, line: int, why: str) -> None:
        self._account.refused += 1
        self._report.note(self._path, line, why)
        if self._account.refused <= MOST_TROUBLES:
            say(f"line {line}: {why}")
        elif self._account.refused == MOST_TROUBLES + 1:
            say("… and more (--report FILE.csv names them all)")

    def _fingerprint(self, lane: BackfillLane) -> str:
        """Of the file, of how it is read, and of which tags are bound: only then the same rows are stored again."""
        seen = hashlib.sha256(repr((self._plan.source, _words(self._plan.shape), lane.bound_tags())).encode())
        try:
            with self._path.open("rb") as file:
                size = self._path.stat().st_size
                seen.update(f"{size}:".encode() + file.read(EDGE_BYTES))
                file.seek(max(0, size - EDGE_BYTES))
                seen.update(file.read())
        except OSError:
            pass  # the reader says it better
        return seen.hexdigest()[:32]

    # -- what is said -------------------------------------------------------------------------------------------------

    def _tell_now_and_then(self) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s < TELL_S:
            return
        self._told_s = now_s
        share, spent_s = self._feed.share, now_s - self._began_s
        left = f", about {_time(spent_s * (1 - share) / share)} left" if share > 0.01 else ""
        rate = self._account.samples / spent_s
        say(f"{self._path.name}: {share:.0%}, {self._account.rows} rows, {rate:,.0f} samples a second{left}")

    def _tell_end(self, *, dry: bool) -> None:
        account, totals = self._account, self._account.totals
        span = ""
        if account.first_us is not None and account.last_us is not None:
            span = f", from {from_us(account.first_us).isoformat()} to {from_us(account.last_us).isoformat()}"
        say(f"{self._path}: {account.rows} rows, {account.samples} samples of {len(account.bound + account.unbound)} "
            f"tags{span}")  # fmt: skip
        for tag, count in account.unbound.most_common(MOST_NAMED):
            say(f"not bound: {tag!r} ({count} samples stay in the file; bind it with --map, then call again)")
        if len(account.unbound) > MOST_NAMED:
            say(f"… and {len(account.unbound) - MOST_NAMED} more tags that are not bound")
        refused = f"{account.refused} cells or lines refused"
        if dry:
            say(f"dry run: {account.bound.total()} samples of {len(account.bound)} bound tags would be stored if they "
                f"are not there yet; {account.unbound.total()} not bound; {refused}")  # fmt: skip
            return
        say(f"stored {totals.stored}, there already {totals.twins}, kept in the quarantine {totals.quarantined}, "
            f"not bound {account.unbound.total()}; {refused}")  # fmt: skip


class _Report:
    """Every refused line, as CSV; without a file, nothing."""

    def __init__(self, writer: Any | None) -> None:
        self._writer = writer

    def note(self, path: Path, line: int, why: str) -> None:
        if self._writer is not None:
            self._writer.writerow([path, line, why])


def _report(path: Path | None, stack: ExitStack) -> _Report:
    if path is None:
        return _Report(None)
    writer = csv.writer(stack.enter_context(path.open("w", encoding="utf-8", newline="")))
    writer.writerow(["file", "line", "why"])
    return _Report(writer)


def _words(shape: Shape) -> list[str]:
    """The shape in words that are the same in every process."""
    found = {name: getattr(shape, name) for name in Shape.__slots__} | {"skip": sorted(shape.skip)}
    return [f"{name}={value}" for name, value in sorted(found.items())]


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
