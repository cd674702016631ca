"""The verb `publish`: a recorded table goes through the real broker as if it came from machines.

table ──> asset, signals, bindings, device (public API) ──> batches over MQTT ──> receipts ──> counts
"""

from __future__ import annotations

import argparse
import hashlib
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from api.commands.parts import instance_of, say, stop_event
from api.commands.publish_api import Api, Column, PlantTime, tag_of
from core import clock, log
from core.errors import Invalid
from core.settings import settings
from edge import recorded
from edge.delivery import Lane
from edge.publish import BATCH_SAMPLES, Publisher, Recording, State
from edge.recorded import Layout, Order, Table, Trouble
from edge.recorded_cells import DELIMITERS
from edge.recorded_files import lines_of
from edge.recorded_times import BadMoment, Zone, step
from edge.topics import NAME
from plant.model import Role
from plant.units import UnknownUnit, WrongUnit, conversion, quantity_of

DEVICE = "recorded-tables"
UNITLESS = "1"
MOST_SPEED = 1e6
LONGEST_PERIOD_S = 31 * 86_400.0
FAR_US = 365 * 86_400 * 1_000_000  # samples that lag more than this are no live ones
TELL_S = 2.0
SETTLE_S = 6.0  # ingest releases by itself what came before it knew the bindings
MOST_TROUBLES = 20
INTERRUPTED = 130
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_CLASS = re.compile(r"[a-z0-9_]{0,64}\Z")
_IN_BRACKETS = re.compile(r".+[\[(]\s*([^\])]+?)\s*[\])]\s*")


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that can be known without a running instance."""

    asked: argparse.Namespace
    table: Table
    code: str  # of the asset
    units: Mapping[str, str]  # column → unit as asked
    setpoints: frozenset[str]


def publish(argv: list[str]) -> int:
    """Play a table. Returns 0, or 130 when it was stopped; raises MillwrightError with one clear sentence."""
    ready = prepare(argv)
    instance = instance_of(settings())
    log.configure("ERROR", instance.settings.log_format)  # progress is said; a lost connection only costs time
    asked, site = ready.asked, ready.asked.site or instance.settings.site
    _tell_table(asked, ready.table)
    with Api(instance, asked.login, site) as api:
        columns = _stand(api, ready)
        password, plant_now = api.device_password(asked.device), PlantTime(api)
        recording = record(
            ready.table, columns, ready.code, now_us=plant_now(), speed=asked.speed, keep_time=asked.keep_time
        )
        began, broker = clock.wall_now(), instance.broker()
        with Publisher(
            recording,
            host=broker.host,
            port=broker.port,
            device=asked.device,
            password=password,
            site=site,
            on_state=_Progress(recording),
        ) as publisher:
            state = publisher.play(stop_event(), plant_now)
        return _end(api, ready, recording, state, began)


def prepare(argv: list[str]) -> Prepared:
    """Read what is asked and the table. Raises Invalid, BadTable."""
    asked = _parser().parse_args(argv)
    _check(asked)
    table = recorded.read(lines_of(asked.file, asked.encoding), layout_of(asked))
    code = asked.asset or code_of(asked.file, asked.only)
    return Prepared(asked, table, code, _units(asked, table), _setpoints(asked, table))


def _stand(api: Api, ready: Prepared) -> list[Column]:
    """The signals, after asset and bindings were made where that is wanted."""
    asked, kept = ready.asked, api.asset(ready.code)
    columns = columns_of(ready.table, units=ready.units, setpoints=ready.setpoints, kept=kept)
    if asked.create:
        period_s = min(max(ready.table.period_s, 1e-6), LONGEST_PERIOD_S)
        api.make(ready.code, _asset(asked, ready.code, kept), columns, device=asked.device, period_s=period_s)
        say(f"{ready.code} stands with {len(columns)} signals, bound to the device {asked.device}")
    return columns


# -- what is asked ----------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="millwright publish", description="Play a recorded table (CSV and its kin).")
    parser.add_argument("file", type=Path, help="the table; docs/publish.md tells what it may look like")
    read = parser.add_argument_group("reading")
    read.add_argument("--tz", default=None, help="zone of times that name none, like Europe/Berlin (default: UTC)")
    read.add_argument("--time-column", help="column of times (default: by its name)")
    read.add_argument("--time-step", help="time between rows where there is no time column, like 1h or 10min")
    read.add_argument("--delimiter", help="comma, semicolon, tab, blanks, or the sign itself (default: found out)")
    read.add_argument("--columns", help="names for a table without a header: unit,cycle,s1..s21")
    read.add_argument("--skip", action="append", default=[], metavar="COLUMN", help="leave a column out (repeatable)")
    read.add_argument("--id-column", help="column that tells the machines of one table apart")
    read.add_argument("--only", help="the machine to play, a value of --id-column")
    read.add_argument("--encoding", help="text encoding (default: UTF-8, or UTF-16 with a mark)")
    machine = parser.add_argument_group("machine")
    machine.add_argument("--asset", metavar="CODE", help="asset code (default: from the file's name)")
    machine.add_argument("--asset-class", help="asset class, like pump or turbofan; it brings the failure modes")
    machine.add_argument("--unit", action="append", default=[], metavar="COLUMN=UNIT", help="repeatable")
    machine.add_argument("--setpoint", action="append", default=[], metavar="COLUMN", help="what the machine is told")
    machine.add_argument(
        "--no-create", dest="create", action="store_false", help="make nothing: unknown tags wait in the quarantine"
    )
    machine.add_argument("--device", default=DEVICE, help="device that publishes (default: %(default)s)")
    machine.add_argument("--site", help="site code (default: the instance's)")
    machine.add_argument("--login", default="admin", help="administrator on whose behalf (default: %(default)s)")
    pace = parser.add_argument_group(
        "time", "without these the last row becomes plant now, as fast as it can be stored"
    )
    pace.add_argument("--speed", type=float, metavar="N", help="row by row, N times the recorded pace")
    pace.add_argument("--keep-time", action="store_true", help="keep the recorded times (backfill)")
    return parser


def _check(asked: argparse.Namespace) -> None:
    if asked.speed is not None and not 1.0 <= asked.speed <= MOST_SPEED:
        raise Invalid(f"--speed is from 1 to {MOST_SPEED:.0f}. For more, leave it out.")
    if asked.speed is not None and asked.keep_time:
        raise Invalid("Give either --speed (live, new times) or --keep-time (the recorded times), not both.")
    if asked.keep_time and asked.time_step:
        raise Invalid("--keep-time needs a time column: with --time-step there are no recorded times.")

    for option, text, shape in (
        ("--asset", asked.asset, _CODE),
        ("--asset-class", asked.asset_class, _CLASS),
        ("--device", asked.device, NAME),
    ):
        if text is not None and not shape.match(text):
            raise Invalid(f"{option} {text!r} holds a sign that may not be in it. Use letters, digits, - and _.")


def layout_of(asked: argparse.Namespace) -> Layout:
    """How the table is to be read. Raises Invalid."""
    try:
        return Layout(
            delimiter=_delimiter(asked.delimiter),
            columns=recorded.names(asked.columns) if asked.columns else (),
            time_column=asked.time_column,
            step=step(asked.time_step) if asked.time_step else None,
            zone=ZoneInfo(asked.tz) if asked.tz else UTC,
            id_column=asked.id_column,
            only=asked.only,
            skip=frozenset(asked.skip),
        )
    except BadMoment as error:
        raise Invalid(f"--time-step: {error}") from error
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(
            f"There is no time zone {asked.tz!r}. Give one like UTC, Europe/Berlin or Asia/Shanghai."
        ) from error


def _delimiter(text: str | None) -> str | None:
    if text is None or text == "auto":
        return None
    found = DELIMITERS.get(text, text)
    if len(found) != 1 or found.isalnum() or found in '"\r\n':
        raise Invalid(f"--delimiter is one sign, or one of: {', '.join(DELIMITERS)}.")
    return found


def code_of(path: Path, only: str | None) -> str:
    """An asset code from a file's name, and the machine's where the table holds many."""
    text = path.stem if only is None else f"{path.stem}-{only}"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:64] or "table"


def _units(asked: argparse.Namespace, table: Table) -> dict[str, str]:
    """Column → unit as asked. Raises Invalid."""
    units = {}
    for text in asked.unit:
        column, equals, unit = text.rpartition("=")
        if not equals or column not in table.columns:
            raise Invalid(f"--unit {text!r} must be COLUMN=UNIT with one of the columns {', '.join(table.columns)}.")
        quantity_of(unit)
        units[column] = unit
    return units


def _setpoints(asked: argparse.Namespace, table: Table) -> frozenset[str]:
    missing = [name for name in asked.setpoint if name not in table.columns]
    if missing:
        raise Invalid(f"--setpoint {missing[0]!r} is none of the columns {', '.join(table.columns)}.")
    return frozenset(asked.setpoint)


def _asset(asked: argparse.Namespace, code: str, kept: Mapping[str, Any] | None) -> dict[str, Any]:
    """How the asset is to stand: what is known of it stays, but for the class asked for."""
    if kept is None:
        return {"name": code, "asset_class": asked.asset_class or ""}
    known = {name: kept[name] for name in ("name", "asset_class", "criticality", "location", "level")}
    return known if asked.asset_class is None else known | {"asset_class": asked.asset_class}


# -- from table to recording ------------------------------------------------------------------------------------------


def columns_of(
    table: Table, *, units: Mapping[str, str], setpoints: frozenset[str], kept: Mapping[str, Any] | None
) -> list[Column]:
    """The signal of each column: one that the asset has already stays as it is, but for what is asked."""
    known = {each["code"]: each for each in kept["signals"]} if kept else {}
    found: list[Column] = []
    for position, name in enumerate(table.columns, 1):
        code = _signal_code(name, position, {each.code for each in found})
        role = Role.SETPOINT if name in setpoints else None
        found.append(_column(name, code, units.get(name), role, known.get(code)))
    return found


def _column(name: str, code: str, unit: str | None, role: Role | None, known: Mapping[str, Any] | None) -> Column:
    if known is not None:
        old, quantity = Role(known["role"]), str(known["quantity"])
        unit = unit or _unit_in(name, quantity) or _own_unit(name, known)
        return Column(code, known["name"], unit, quantity, role or old, known["low"], known["high"])
    unit = unit or _unit_in(name) or UNITLESS
    return Column(code, name[:300], unit, quantity_of(unit), role or Role.MEASURED)


def _signal_code(name: str, position: int, taken: set[str]) -> str:
    """A code from a column's name that no other column has."""
    code = re.sub(r"[^A-Za-z0-9._/-]+", "_", name).strip("_./-")[:100] or f"column{position}"
    return f"{code}_{position}" if code in taken else code


def _unit_in(name: str, quantity: str | None = None) -> str | None:
    """The unit that a header names in brackets, as in ``Temperature [°C]``, if it is one (of that quantity)."""
    found = _IN_BRACKETS.fullmatch(name)
    if found is None:
        return None
    try:
        conversion(quantity or quantity_of(found[1]), found[1])
    except (UnknownUnit, WrongUnit):
        return None
    return found[1]


def _own_unit(name: str, known: Mapping[str, Any]) -> str:
    """The unit of a signal that stands already; said aloud, for the table does not name it."""
    unit = str(known["unit"])
    if unit not in ("", UNITLESS):
        say(f"column {name!r} names no unit: taken as {unit}, the signal's own (say otherwise with --unit)")
    return unit


def record(
    table: Table, columns: Sequence[Column], code: str, *, now_us: int, speed: float | None, keep_time: bool
) -> Recording:
    """The table as it shall be stored.

    The last row is plant now: at once, or with ``speed`` when it goes. The recorded times played again have the same
    epoch again, and so are stored once.
    """
    tags, units = tuple(tag_of(code, each) for each in columns), tuple(each.unit for each in columns)
    epoch = _digest(table, tags, units) if keep_time else secrets.token_hex(8)
    if keep_time:
        return Recording(epoch, tags, units, table.at_us, table.values, Lane.HISTORY)
    since_us = table.at_us - table.at_us[0]
    if speed is None:
        return Recording(epoch, tags, units, now_us + since_us - since_us[-1], table.values, Lane.HISTORY)
    due_us = now_us + (since_us / speed).astype("int64")
    at_us = due_us[-1] + since_us - since_us[-1]
    lane = Lane.HISTORY if now_us - int(at_us[0]) > FAR_US else Lane.LIVE
    return Recording(epoch, tags, units, at_us, table.values, lane, due_us)


def _digest(table: Table, tags: Sequence[str], units: Sequence[str]) -> str:
    seen = hashlib.sha256(repr((BATCH_SAMPLES, tags, units)).encode())
    seen.update(table.at_us.tobytes())
    seen.update(table.values.tobytes())
    return seen.hexdigest()[:32]


# -- what is said -----------------------------------------------------------------------------------------------------


def _tell_table(asked: argparse.Namespace, table: Table) -> None:
    others = f" ({table.others} of other machines)" if table.others else ""
    say(f"{asked.file}: {table.rows} rows{others}, {len(table.columns)} signals, a row every {_time(table.period_s)}")
    zone = asked.tz or "UTC (say otherwise with --tz)"
    if table.zone is Zone.ASSUMED:
        say(f"the times have no zone: taken as {zone}")
    elif table.zone is Zone.MIXED:
        say(f"some times have no zone: those are taken as {zone}")
    if table.order is Order.SORTED:
        say("the rows are not in the order of time: sorted")
    if table.twins:
        say(f"{table.twins} samples are the same as another one (same time, same value): the store keeps one of each")
    for name, why in table.left.items():
        say(f"column {name!r} is {why}")
    for line in troubles_said(table.troubles):
        say(line)


def troubles_said(troubles: Sequence[Trouble]) -> list[str]:
    """Every trouble by its line: the first ones with their reasons, the others as ranges of lines."""
    said = [f"line {each.line}: {each.why}" for each in troubles[:MOST_TROUBLES]]
    rest = sorted({each.line for each in troubles[MOST_TROUBLES:]})
    ranges: list[list[int]] = []
    for line in rest:
        if ranges and line == ranges[-1][1] + 1:
            ranges[-1][1] = line
        else:
            ranges.append([line, line])
    if ranges:
        lines = ", ".join(str(low) if low == high else f"{low}–{high}" for low, high in ranges)
        said.append(f"{len(troubles) - MOST_TROUBLES} more like these in lines {lines}")
    return said


def _time(seconds: float) -> str:
    for size, unit in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.4g} s"


# -- the play ---------------------------------------------------------------------------------------------------------


class _Progress:
    """Says now and then how far it is."""

    def __init__(self, recording: Recording) -> None:
        first, last = (datetime.fromtimestamp(int(recording.at_us[i]) / 1e6, UTC) for i in (0, -1))
        say(f"playing {first:%Y-%m-%d %H:%M:%S} … {last:%Y-%m-%d %H:%M:%S} UTC as {recording.lane}; Ctrl-C stops")
        self._rows = len(recording)
        self._said, self._said_s = State(), time.monotonic()

    def __call__(self, state: State) -> None:
        if state == self._said or time.monotonic() - self._said_s < TELL_S:
            return
        self._said, self._said_s = state, time.monotonic()
        say(f"{state.rows} of {self._rows} rows sent, receipts for {state.receipts} of {state.batches} batches")


def _end(api: Api, ready: Prepared, recording: Recording, state: State, began: datetime) -> int:
    complete = state.rows == len(recording) and state.receipts == state.batches
    _tell_end(ready.table, state, "complete" if complete else "NOT complete")
    if not complete:
        say("stopped before the end" + ("; the same command goes on from here" if ready.asked.keep_time else ""))
        return INTERRUPTED
    _tell_quarantine(api, ready.asked.device, recording.tags, began)
    return 0


def _tell_end(table: Table, state: State, whole: str) -> None:
    lost = f", {table.lost_rows} could not be read" if table.lost_rows else ""
    cells = f", {len(table.troubles) - table.lost_rows} cells left out" if len(table.troubles) > table.lost_rows else ""
    say(
        f"rows read: {table.rows}{lost}{cells}; rows sent: {state.rows}; samples sent: {state.samples}; "
        f"receipts: {state.receipts} of {state.batches} batches, {whole}"
    )


def _tell_quarantine(api: Api, device: str, tags: Sequence[str], began: datetime) -> None:
    """Durable is not yet kept: say what waits in the quarantine, once ingest had the time to release what it can."""
    deadline = time.monotonic() + SETTLE_S
    since = began - timedelta(seconds=1)
    while (groups := api.quarantined(device, tags, since=since)) and time.monotonic() < deadline:
        time.sleep(0.5)
    for each in groups:
        say(f"{each['readings']} samples of {each['tag'] or device} wait in the quarantine: {each['detail']['en']}")
