"""The site's assets and signals as the table that an import reads: imported again nothing changes. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from plant.import_signals import SignalRow
from plant.import_words import EXPORT
from plant.importing import AssetRow, Known
from plant.tree_rules import RANK, Level
from plant.units import canonical


def heads(locale: str) -> list[str]:
    """The headings in a language; an import knows both."""
    return [english if locale == "en" else chinese for english, chinese in EXPORT.values()]


def rows(known: Known) -> list[list[Any]]:
    """One row an asset, higher levels first, and below it one a signal."""
    made: list[list[Any]] = []
    of: dict[str, list[SignalRow]] = {}
    for signal in known.signals.values():
        of.setdefault(signal.asset, []).append(signal)
    for asset in sorted(known.assets.values(), key=lambda each: (RANK[Level(each.level)], each.code)):
        made.append(_line(asdict(asset)))
        made += [_line(_signal(asset, signal)) for signal in of.get(asset.code, ())]
    return made


def _signal(asset: AssetRow, signal: SignalRow) -> dict[str, Any]:
    unit = canonical(signal.quantity)
    told = {key: value for key, value in asdict(signal).items() if key not in ("asset", "code", "name")}
    return {**told, "code": asset.code, "signal": signal.code, "signal_name": signal.name, "unit": unit}


def _line(values: dict[str, Any]) -> list[Any]:
    return [None if values.get(key) in (None, "") else values[key] for key in EXPORT]
