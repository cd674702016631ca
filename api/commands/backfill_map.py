"""How a table of old data is to be read and where its tags land: options and a map in TOML, checked at the door."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from psycopg import Connection

from core.errors import Invalid
from edge import recorded
from edge.recorded_cells import DELIMITERS
from edge.recorded_stream import Shape, TimeFormat
from plant import assets
from plant.errors import AssetNotFound
from plant.model import Quality


class BadMap(Invalid):
    """The map does not fit. docs/telemetry.md shows one."""

    code = "bad_map"


class Tag(msgspec.Struct, forbid_unknown_fields=True):
    """Where a tag lands: ``signal`` is ASSET/SIGNAL; kept = unit(heard * scale + offset)."""

    signal: str
    unit: str | None = None
    scale: float = 1.0
    offset: float = 0.0


class Map(msgspec.Struct, forbid_unknown_fields=True):
    """The file. What is given on the command line counts more."""

    source: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    columns: list[str] = []
    time_column: str | None = None
    time_format: str | None = None
    zone: str | None = None
    tag_column: str | None = None
    value_column: str | None = None
    unit_column: str | None = None
    quality_column: str | None = None
    skip: list[str] = []
    quality: dict[str, list[str]] = {}
    tags: dict[str, Tag] = {}


@dataclass(frozen=True, slots=True)
class Plan:
    """All that was asked, checked."""

    source: str
    encoding: str | None
    shape: Shape
    tags: Mapping[str, Tag]


@dataclass(frozen=True, slots=True)
class Target:
    """A tag and its signal."""

    tag: str
    signal_id: int
    wanted: Tag


def plan_of(asked: argparse.Namespace) -> Plan:
    """Options and map as one. Raises Invalid, BadMap, BadTable."""
    found = load(asked.map) if asked.map else Map()

    def chosen(name: str) -> str | None:
        option: str | None = getattr(asked, name)
        kept: str | None = getattr(found, name)
        return option if option is not None else kept

    shape = Shape(
        delimiter=_delimiter(chosen("delimiter")),
        columns=recorded.names(asked.columns) if asked.columns else tuple(found.columns),
        time_column=chosen("time_column"),
        time_format=_time_format(chosen("time_format")),
        zone=_zone(asked.tz or found.zone),
        decimal=_decimal(chosen("decimal")),
        tag_column=chosen("tag_column"),
        value_column=chosen("value_column"),
        unit_column=chosen("unit_column"),
        quality_column=chosen("quality_column"),
        skip=frozenset([*asked.skip, *found.skip]),
        quality=_quality(found.quality),
    )
    return Plan(chosen("source") or "", chosen("encoding"), shape, found.tags)


def for_file(plan: Plan, path: Path) -> Plan:
    """Without a source named, the file's name is one."""
    return plan if plan.source else replace(plan, source=path.name.split(".")[0])


def load(path: Path) -> Map:
    """Raises BadMap."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Map)
    except OSError as error:
        raise BadMap(f"{path} cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadMap(f"{path} does not fit: {error}. docs/telemetry.md shows a map.") from error


def targets(conn: Connection, tags: Mapping[str, Tag]) -> list[Target]:
    """The signals that the map names. Raises BadMap for the first that is not there."""
    return [Target(tag, _signal_id(conn, tag, wanted.signal), wanted) for tag, wanted in tags.items()]


def bind(conn: Connection, source: str, found: Sequence[Target]) -> None:
    """Make the bindings. Raises UnknownUnit, WrongUnit."""
    for each in found:
        assets.bind(
            conn,
            source=source,
            tag=each.tag,
            signal_id=each.signal_id,
            unit=each.wanted.unit,
            scale=each.wanted.scale,
            offset=each.wanted.offset,
        )


def _signal_id(conn: Connection, tag: str, name: str) -> int:
    asset_code, _, code = name.partition("/")
    try:
        asset = assets.asset_by_code(conn, asset_code)
    except AssetNotFound:
        raise BadMap(f"tags.{tag!r}: there is no asset {asset_code!r} on this site. Make it first.") from None
    signals = {each.code: each.signal_id for each in assets.signals(conn, asset.asset_id)}
    if code not in signals:
        some = ", ".join(sorted(signals)) or "none"
        raise BadMap(f"tags.{tag!r}: {asset_code!r} has no signal {code!r}; it has: {some}. Name it as ASSET/SIGNAL.")
    return signals[code]


def _delimiter(text: str | None) -> str | None:
    if text is None or text == "auto":
        return None
    found = DELIMITERS.get(text, text)
    if len(found) != 1 or found.isalnum() or found in '"\r\n':
        raise Invalid(f"--delimiter is one sign, or one of: {', '.join(DELIMITERS)}.")
    return found


def _decimal(text: str | None) -> str | None:
    names = {"comma": ",", "point": ".", ",": ",", ".": "."}
    if text is not None and text not in names:
        raise Invalid("--decimal is comma or point.")
    return None if text is None else names[text]


def _time_format(text: str | None) -> str:
    if text is None:
        return TimeFormat.FOUND_OUT
    if text not in set(TimeFormat) and "%" not in text:
        raise Invalid(f"--time-format is one of {', '.join(TimeFormat)}, or a pattern like %d.%m.%Y %H:%M:%S.")
    return text


def _zone(text: str | None) -> tzinfo | None:
    try:
        return ZoneInfo(text) if text else None
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(f"There is no time zone {text!r}. Give one like UTC, Europe/Berlin or Asia/Shanghai.") from error


def _quality(words: Mapping[str, Sequence[str]]) -> dict[str, Quality]:
    names = {quality.name.lower(): quality for quality in Quality}
    for name in words:
        if name not in names:
            raise BadMap(f"quality.{name}: the classes are {', '.join(names)}.")
    return {word: names[name] for name, those in words.items() for word in those}
