"""The signals that rows of an import name: quantity, unit, limits, period and role. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plant import units
from plant.import_cells import SIGNAL_CODE, Cells, Problem, number
from plant.import_words import ROLES, meaning
from plant.model import Role
from plant.units import Conversion, UnknownUnit, WrongUnit

LONGEST_PERIOD_S = 31 * 86_400.0


@dataclass(frozen=True, slots=True)
class SignalRow:
    """A signal as kept and as a table says it; limits in the quantity's canonical unit."""

    asset: str
    code: str
    name: str
    quantity: str
    low: float | None = None
    high: float | None = None
    period_s: float = 1.0
    role: str = Role.MEASURED.value


def read(
    cells: Sequence[Cells],
    assets: Mapping[str, object],
    known: Mapping[tuple[str, str], SignalRow],
    problems: list[Problem],
) -> list[tuple[Cells, SignalRow]]:
    """Every signal that the rows name and that can be read; the others are problems."""
    found: dict[tuple[str, str], tuple[Cells, SignalRow]] = {}
    for cell in cells:
        key = (cell["code"], cell["signal"])
        if not cell["signal"]:
            continue
        if not SIGNAL_CODE.fullmatch(cell["signal"]):
            problems.append(cell.problem("signal", "bad_signal", value=cell["signal"]))
        elif key in found:
            problems.append(cell.problem("signal", "signal_twice", value=cell["signal"], other=found[key][0].row))
        elif cell["code"] not in assets:
            if cell["code"]:
                problems.append(cell.problem("code", "no_asset", value=cell["code"]))
        elif (row := _signal(cell, known.get(key), problems)) is not None:
            found[key] = (cell, row)
    return list(found.values())


def _signal(cell: Cells, before: SignalRow | None, problems: list[Problem]) -> SignalRow | None:
    kept = len(problems)
    step = _quantity(cell, before, problems)
    if step is None:
        return None
    quantity, conversion = step
    row = before or SignalRow(cell["code"], cell["signal"], cell["signal"], quantity)
    row = replace(row, name=cell["signal_name"] or row.name)
    row = _limits(cell, row, conversion, problems)
    row = _timing(cell, row, problems)
    return row if len(problems) == kept else None


def _quantity(cell: Cells, before: SignalRow | None, problems: list[Problem]) -> tuple[str, Conversion] | None:
    """(quantity, way from the row's unit to the canonical one)."""
    said = cell["quantity"].casefold().replace(" ", "_")
    if said and said not in units.QUANTITIES:
        told = ", ".join(units.QUANTITIES)
        problems.append(cell.problem("quantity", "bad_quantity", value=cell["quantity"], known=told))
        return None
    if not said and not cell["unit"] and before is None:
        problems.append(cell.problem("unit", "no_unit"))
        return None
    try:
        quantity = said or (before.quantity if before else units.quantity_of(cell["unit"]))
        conversion = units.conversion(quantity, cell["unit"] or units.canonical(quantity))
    except (UnknownUnit, WrongUnit) as error:
        problems.append(_bad_unit(cell, said or (before.quantity if before else ""), error))
        return None
    if before is not None and quantity != before.quantity:
        problems.append(cell.problem("quantity", "quantity_fixed", value=before.quantity))
        return None
    return quantity, conversion


def _bad_unit(cell: Cells, quantity: str, error: Exception) -> Problem:
    known = units.units_of(quantity) if quantity else tuple(each for each in units.QUANTITIES.values() if each)
    key = "wrong_unit" if isinstance(error, WrongUnit) else "bad_unit"
    return cell.problem("unit", key, value=cell["unit"], quantity=quantity, known=", ".join(filter(None, known)))


def _limits(cell: Cells, row: SignalRow, conversion: Conversion, problems: list[Problem]) -> SignalRow:
    limits: dict[str, Any] = {}
    for key in ("low", "high"):
        if cell[key]:
            value = number(cell[key])
            if value is None:
                problems.append(cell.problem(key, "bad_number", value=cell[key]))
                return row
            limits[key] = round(value * conversion.scale + conversion.offset, 9)
    row = replace(row, **limits)
    if row.low is not None and row.high is not None and not row.low < row.high:
        problems.append(cell.problem("low", "bad_range"))
    return row


def _timing(cell: Cells, row: SignalRow, problems: list[Problem]) -> SignalRow:
    if cell["period_s"]:
        period = number(cell["period_s"])
        if period is None or not 0 < period <= LONGEST_PERIOD_S:
            problems.append(cell.problem("period_s", "bad_period"))
        else:
            row = replace(row, period_s=period)
    if cell["role"]:
        role = meaning(ROLES, cell["role"])
        if role is None:
            problems.append(cell.problem("role", "bad_role", value=cell["role"], known=", ".join(ROLES)))
        else:
            row = replace(row, role=role)
    return row
