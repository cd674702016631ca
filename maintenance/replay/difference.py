"""Two runs of the same weeks beside each other: what only one has, and what both have otherwise. Pure.

An order that opens at another time in one run is the same order where machine, mode and kind agree; it is shown as
changed, with both times.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from maintenance.replay.model import Row

MOMENTS = {
    "findings": "at", "alarms": "raised_at", "predictions": "made_at", "decisions": "at", "orders": "opened_at",
}  # fmt: skip
FOLLOWED = ("alarms", "orders")  # the same thing although its moment has moved


class Side(StrEnum):
    """Which run has it."""

    LIVE = "live"  # gone in the replay
    REPLAY = "replay"  # new in the replay
    BOTH = "both"  # otherwise


@dataclass(frozen=True, slots=True)
class Entry:
    """One difference: of what (findings, alarms …), the key, and for each column the values (live, replay)."""

    what: str
    side: Side
    key: Mapping[str, Any]
    values: Mapping[str, tuple[Any, Any]]


def between(
    live: Mapping[str, Sequence[Row]], replay: Mapping[str, Sequence[Row]], keys: Mapping[str, Sequence[str]]
) -> list[Entry]:
    """Every difference, by kind of row and time; nothing = the same."""
    found: list[Entry] = []
    for what, names in keys.items():
        entries = _entries(what, live[what], replay[what], names)
        found += _followed(entries, MOMENTS[what]) if what in FOLLOWED else entries
    return found


def _entries(what: str, live: Sequence[Row], replay: Sequence[Row], names: Sequence[str]) -> list[Entry]:
    ours, theirs = _by_key(live, names), _by_key(replay, names)
    found = []
    for key in sorted(ours.keys() | theirs.keys(), key=str):
        told = dict(zip(names, key[:-1], strict=True))
        one, other = ours.get(key), theirs.get(key)
        if one is None or other is None:
            row = one or other or {}
            side = Side.REPLAY if one is None else Side.LIVE
            values = {
                name: (None, value) if one is None else (value, None) for name, value in row.items() if name not in told
            }
            found.append(Entry(what, side, told, values))
        elif changed := {name: (one[name], other[name]) for name in one if one[name] != other[name]}:
            found.append(Entry(what, Side.BOTH, told, changed))
    return found


def _by_key(rows: Iterable[Row], names: Sequence[str]) -> dict[tuple[Any, ...], Row]:
    """Rows by key; several with one key are told apart by their number."""
    numbers: dict[tuple[Any, ...], int] = defaultdict(int)
    found = {}
    for row in rows:
        key = tuple(row[name] for name in names)
        found[(*key, numbers[key])] = row
        numbers[key] += 1
    return found


def _followed(entries: Sequence[Entry], moment: str) -> list[Entry]:
    """Join what is gone and what is new where only the moment differs, the nearest first."""
    gone = [each for each in entries if each.side is Side.LIVE]
    new = [each for each in entries if each.side is Side.REPLAY]
    found = [each for each in entries if each.side is Side.BOTH]
    for one in gone:
        same = [each for each in new if _without(each.key, moment) == _without(one.key, moment)]
        if not same:
            found.append(one)
            continue
        other = min(same, key=lambda each: abs(each.key[moment] - one.key[moment]))
        new.remove(other)
        changed = {
            name: (value[0], other.values[name][1])
            for name, value in one.values.items()
            if value[0] != other.values[name][1]
        }
        found.append(Entry(one.what, Side.BOTH, one.key, {moment: (one.key[moment], other.key[moment]), **changed}))
    return sorted([*found, *new], key=lambda each: (each.key[moment], str(each.key)))


def _without(key: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {each: value for each, value in key.items() if each != name}


# -- for people and programs ------------------------------------------------------------------------------------------

SIGN = {Side.LIVE: "-", Side.REPLAY: "+", Side.BOTH: "~"}


def lines(entries: Sequence[Entry], *, most: int = 200) -> list[str]:
    """A readable table: - only live, + only in the replay, ~ in both but otherwise (live → replay)."""
    shown = [
        f"{SIGN[each.side]} {each.what[:-1]:<9} {_key_text(each)}  {_values_text(each)}" for each in entries[:most]
    ]
    left = len(entries) - most
    return [*shown, f"… and {left} more differences (--json has them all)"] if left > 0 else shown


def counts(entries: Sequence[Entry]) -> dict[str, dict[str, int]]:
    """How many differences of each kind: only live, only in the replay, otherwise."""
    found = {what: {side.value: 0 for side in Side} for what in MOMENTS}
    for each in entries:
        found[each.what][each.side] += 1
    return found


def as_json(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Plain JSON; times as RFC 3339."""
    return [
        {
            "what": each.what,
            "side": each.side.value,
            "key": {name: _plain(value) for name, value in each.key.items()},
            "values": {
                name: {"live": _plain(one), "replay": _plain(other)} for name, (one, other) in each.values.items()
            },
        }
        for each in entries
    ]


def _key_text(entry: Entry) -> str:
    return " ".join(_short(value) for value in entry.key.values() if value not in ("", None))


def _values_text(entry: Entry) -> str:
    if entry.side is Side.BOTH:
        return ", ".join(f"{name}: {_short(one)} → {_short(other)}" for name, (one, other) in entry.values.items())
    index = 0 if entry.side is Side.LIVE else 1
    return ", ".join(f"{name} {_short(pair[index])}" for name, pair in entry.values.items() if pair[index] is not None)


def _short(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return f"{value:.4g}" if isinstance(value, float) else ("–" if value is None else str(value))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
