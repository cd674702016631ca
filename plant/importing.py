"""Rows of a table → what an import would create, change and leave, or every problem with its row and column. Pure.

A row with a name is an asset; a row with a signal (too, or alone) is a signal of that asset. Rows may come in any
order. An empty cell leaves what is known, or takes the usual.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from plant import import_signals, tree_rules
from plant.import_cells import ASSET_CODE, Cells, Problem, whole
from plant.import_signals import SignalRow
from plant.import_words import HEADINGS, LEVELS, meaning
from plant.tree_rules import Level

HEADER_WITHIN = 20  # rows: a title may stand above
LONGEST_NAME = 300
USUAL_CRITICALITY = 3


class Change(StrEnum):
    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class AssetRow:
    """An asset as kept and as a table says it; ``parent`` is a code."""

    code: str
    name: str
    name_zh: str = ""
    parent: str | None = None
    level: str = Level.UNIT.value
    asset_class: str = ""
    criticality: int = USUAL_CRITICALITY
    consequence: int | None = None
    likelihood: int | None = None
    reason: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """What becomes of an asset or a signal; ``fields``: name → (before, after), of a new one (None, value)."""

    row: int
    asset: str
    signal: str | None
    change: Change
    fields: Mapping[str, tuple[Any, Any]]
    wanted: AssetRow | SignalRow


@dataclass(frozen=True, slots=True)
class Known:
    """What the site has, and the asset classes that somebody described."""

    assets: Mapping[str, AssetRow] = field(default_factory=dict)
    signals: Mapping[tuple[str, str], SignalRow] = field(default_factory=dict)
    classes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """All that an import would do, parents before their children; nothing is to be done while there are problems."""

    items: tuple[Item, ...]
    problems: tuple[Problem, ...]

    def count(self, change: Change, kind: type[AssetRow | SignalRow]) -> int:
        """How many assets or signals are created, changed or unchanged."""
        return sum(each.change is change and isinstance(each.wanted, kind) for each in self.items)


def plan(rows: Sequence[Sequence[str]], known: Known) -> Plan:
    """Judge a table against what is known. Changes nothing, raises nothing."""
    found = _header(rows)
    if isinstance(found, Problem):
        return Plan((), (found,))
    at, columns = found
    cells = [
        Cells(
            number, {key: row[index] if index < len(row) else "" for key, index in columns.items()}, rows[at], columns
        )
        for number, row in enumerate(rows[at + 1 :], at + 2)
        if any(row)
    ]
    problems: list[Problem] = []
    assets = _assets(cells, known, problems)
    tree = {**known.assets, **{row.code: row for _, row in assets.values()}}
    _check_tree(assets, tree, problems)
    signals = import_signals.read(cells, tree, known.signals, problems)
    items = [_asset_item(cell, row, known) for cell, row in _parents_first(assets)]
    items += [
        _item(cell.row, row.asset, row.code, known.signals.get((row.asset, row.code)), row) for cell, row in signals
    ]
    return Plan(tuple(items), tuple(sorted(problems, key=lambda each: (each.row, each.column))))


def _header(rows: Sequence[Sequence[str]]) -> tuple[int, dict[str, int]] | Problem:
    """(index of the heading row, field → column index)."""
    for at, row in enumerate(rows[:HEADER_WITHIN]):
        meant = [(meaning(HEADINGS, text), index) for index, text in enumerate(row)]
        named = [(key, index) for key, index in meant if key]
        if not {"code", "name"} <= {key for key, _ in named} and not {"code", "signal"} <= {key for key, _ in named}:
            continue
        columns: dict[str, int] = {}
        for key, index in named:
            if key in columns:
                return Problem(at + 1, row[index], "column_twice", {"column": row[index]})
            columns[key] = index
        return at, columns
    return Problem(1, "", "no_header", {})


def _assets(cells: Sequence[Cells], known: Known, problems: list[Problem]) -> dict[str, tuple[Cells, AssetRow]]:
    """Code → its row and what it says of the asset; rows that only name a signal are left out."""
    found: dict[str, tuple[Cells, AssetRow]] = {}
    for cell in cells:
        code = cell["code"]
        if not code:
            problems.append(cell.problem("code", "no_code"))
        elif not ASSET_CODE.fullmatch(code):
            problems.append(cell.problem("code", "bad_code", value=code))
        elif cell["signal"] and not cell["name"]:
            continue
        elif code in found:
            problems.append(cell.problem("code", "code_twice", value=code, other=found[code][0].row))
        else:
            found[code] = (cell, _asset(cell, known, problems))
    return found


def _asset(cell: Cells, known: Known, problems: list[Problem]) -> AssetRow:
    code = cell["code"]
    before = known.assets.get(code)
    if before is None and not cell["name"]:
        problems.append(cell.problem("name", "no_name"))
    row = before or AssetRow(code, cell["name"])
    texts: dict[str, Any] = {key: cell[key] for key in ("name", "name_zh", "location", "reason") if cell[key]}
    problems += [
        cell.problem(key, "too_long", most=LONGEST_NAME) for key, text in texts.items() if len(text) > LONGEST_NAME
    ]
    row = replace(row, **texts, parent=cell["parent"] or row.parent)
    row = _level(cell, row, problems)
    row = _class(cell, row, known, problems)
    return _criticality(cell, row, before, problems)


def _level(cell: Cells, row: AssetRow, problems: list[Problem]) -> AssetRow:
    if not cell["level"]:
        return row
    level = meaning(LEVELS, cell["level"])
    if level is None:
        problems.append(cell.problem("level", "bad_level", value=cell["level"], known=", ".join(Level)))
        return row
    return replace(row, level=level)


def _class(cell: Cells, row: AssetRow, known: Known, problems: list[Problem]) -> AssetRow:
    if not cell["asset_class"]:
        return row
    name = cell["asset_class"].casefold().replace(" ", "_")
    if name not in known.classes:
        told = ", ".join(sorted(known.classes))
        problems.append(cell.problem("asset_class", "bad_class", value=cell["asset_class"], known=told))
        return row
    return replace(row, asset_class=name)


def _criticality(cell: Cells, row: AssetRow, before: AssetRow | None, problems: list[Problem]) -> AssetRow:
    """What was said, or what consequence and likelihood propose; who says otherwise gives a reason."""
    steps: dict[str, Any] = {}
    for key in ("criticality", "consequence", "likelihood"):
        if cell[key]:
            number = whole(cell[key])
            if number is None or not 1 <= number <= tree_rules.STEPS:
                problems.append(cell.problem(key, "bad_step", value=cell[key]))
                return row
            steps[key] = number
    row = replace(row, **steps)
    if row.consequence is None or row.likelihood is None:
        return row
    proposed = tree_rules.proposal(row.consequence, row.likelihood)
    moved = before is None or (row.consequence, row.likelihood) != (before.consequence, before.likelihood)
    if "criticality" not in steps and moved and not row.reason:
        return replace(row, criticality=proposed)
    if row.criticality != proposed and not row.reason:
        problems.append(cell.problem("criticality", "no_reason", value=row.criticality, proposed=proposed))
    return row


def _check_tree(
    assets: Mapping[str, tuple[Cells, AssetRow]], tree: Mapping[str, AssetRow], problems: list[Problem]
) -> None:
    for cell, row in assets.values():
        if row.parent is not None and row.parent not in tree:
            problems.append(cell.problem("parent", "no_parent", value=row.parent))
    circles = tree_rules.rings({code: row.parent for code, row in tree.items()})
    blamed = [(next((assets[code][0] for code in circle if code in assets), None), circle) for circle in circles]
    problems += [cell.problem("parent", "ring", value=" → ".join(circle)) for cell, circle in blamed if cell]
    problems += _misplaced(assets, tree, circling={code for circle in circles for code in circle})


def _misplaced(
    assets: Mapping[str, tuple[Cells, AssetRow]], tree: Mapping[str, AssetRow], *, circling: set[str]
) -> Iterator[Problem]:
    """Nodes of the file that lie below a lower level, and known ones under a parent that the file moved down."""
    for row in tree.values():
        parent = tree.get(row.parent or "")
        if parent is None or row.code in circling or tree_rules.fits_below(row.level, parent.level):
            continue
        touched = assets.get(row.code) or assets.get(parent.code)
        if touched is not None:
            yield touched[0].problem("level", "level_order", level=row.level, above=parent.level, value=parent.code)


def _parents_first(assets: Mapping[str, tuple[Cells, AssetRow]]) -> list[tuple[Cells, AssetRow]]:
    depths: dict[str, int] = {}

    def depth(code: str) -> int:
        """How many rows of the file lie above."""
        path: list[str] = []
        at: str | None = code
        while at is not None and at in assets and at not in depths and at not in path:
            path.append(at)
            at = assets[at][1].parent
        base = depths.get(at or "", -1)
        for each in reversed(path):
            base += 1
            depths[each] = base
        return depths[code]

    return sorted(assets.values(), key=lambda each: (depth(each[1].code), each[0].row))


def _asset_item(cell: Cells, row: AssetRow, known: Known) -> Item:
    return _item(cell.row, row.code, None, known.assets.get(row.code), row)


def _item(
    number: int, asset: str, signal: str | None, before: AssetRow | SignalRow | None, wanted: AssetRow | SignalRow
) -> Item:
    told = [(each.name, getattr(before, each.name, None), getattr(wanted, each.name)) for each in fields(wanted)]
    moved = {name: (old, new) for name, old, new in told if old != new}
    change = Change.CREATED if before is None else Change.CHANGED if moved else Change.UNCHANGED
    return Item(number, asset, signal, change, moved, wanted)


__all__ = ["AssetRow", "Change", "Item", "Known", "Plan", "Problem", "SignalRow", "plan"]
