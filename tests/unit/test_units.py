"""Units: known values, round trips, and the errors that tell unknown from wrong."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.units import (
    QUANTITIES,
    UnknownQuantity,
    UnknownUnit,
    WrongUnit,
    canonical,
    conversion,
    quantity_of,
    units_of,
)

PAIRS = [(quantity, unit) for quantity in QUANTITIES for unit in units_of(quantity)]
NUMBERS = st.floats(-1e9, 1e9)


@pytest.mark.parametrize(
    ("quantity", "unit", "heard", "kept"),
    [
        ("vibration_velocity", "in/s", 0.1, 2.54),
        ("temperature", "°F", 212.0, 100.0),
        ("temperature", "°F", -40.0, -40.0),
        ("temperature", "K", 273.15, 0.0),
        ("pressure", "psi", 100.0, 6.894757),
        ("pressure", "kPa", 100.0, 1.0),
        ("pressure", "MPa", 1.0, 10.0),
        ("flow", "gpm", 100.0, 22.712471),
        ("flow", "l/min", 1000.0, 60.0),
        ("rotational_speed", "Hz", 25.0, 1500.0),
        ("rotational_speed", "rad/s", 2 * math.pi, 60.0),
        ("power", "hp", 10.0, 7.456999),
        ("vibration_acceleration", "g", 1.0, 9.80665),
        ("ratio", "1", 0.5, 50.0),
        ("current", "mA", 20.0, 0.02),
    ],
)
def test_known_values(quantity: str, unit: str, heard: float, kept: float) -> None:
    step = conversion(quantity, unit)
    assert heard * step.scale + step.offset == pytest.approx(kept, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_canonical_unit_changes_nothing(quantity: str) -> None:
    step = conversion(quantity, canonical(quantity))
    assert (step.scale, step.offset) == (1.0, 0.0)


@given(st.sampled_from(PAIRS), NUMBERS)
def test_every_conversion_can_be_undone(pair: tuple[str, str], heard: float) -> None:
    step = conversion(*pair)
    assert step.scale > 0
    assert math.isclose(
        ((heard * step.scale + step.offset) - step.offset) / step.scale, heard, rel_tol=1e-9, abs_tol=1e-3
    )


@given(st.sampled_from(PAIRS), NUMBERS, st.floats(0.01, 100.0), st.floats(-1e3, 1e3))
def test_scale_and_offset_of_a_binding_come_before_the_unit(
    pair: tuple[str, str], heard: float, scale: float, offset: float
) -> None:
    step = conversion(*pair)
    one = step.after(scale, offset)
    two = (heard * scale + offset) * step.scale + step.offset
    assert math.isclose(heard * one.scale + one.offset, two, rel_tol=1e-9, abs_tol=1e-3)


@given(st.sampled_from(PAIRS), st.sampled_from(sorted(QUANTITIES)))
def test_a_unit_of_another_quantity_is_wrong_not_unknown(pair: tuple[str, str], quantity: str) -> None:
    _, unit = pair
    if unit in units_of(quantity):
        assert math.isfinite(conversion(quantity, unit).scale)
        return
    with pytest.raises(WrongUnit):
        conversion(quantity, unit)


@pytest.mark.parametrize("unit", ["furlong", "MM/S", "mm / s", "\x00", "摄氏度"])
def test_an_unknown_unit_is_named_with_the_known_ones(unit: str) -> None:
    with pytest.raises(UnknownUnit, match="°C, degC"):
        conversion("temperature", unit)


def test_an_unknown_quantity_is_refused() -> None:
    with pytest.raises(UnknownQuantity):
        conversion("phlogiston", "1")


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_a_unit_alone_finds_a_quantity_that_has_it(pair: tuple[str, str]) -> None:
    assert pair[1] in units_of(quantity_of(pair[1]))


def test_every_quantity_and_unit_is_documented() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "telemetry.md").read_text()
    for quantity in QUANTITIES:
        row = next(line for line in text.splitlines() if line.startswith(f"| {quantity} |"))
        assert all(unit in row for unit in units_of(quantity))
