"""Guesses of where an offered tag belongs: how people name things on a controller."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.guess import Guesser, parts
from plant.model import Asset, Role, Signal
from plant.offers import Offer
from plant.units import conversion

ASSETS = [
    Asset(1, 1, None, "P-101", "Feed pump", "pump", 3, "", "unit"),
    Asset(2, 1, None, "P-1011", "Spare pump", "pump", 3, "", "unit"),
    Asset(3, 1, None, "CONV-2", "Belt conveyor north", "conveyor", 3, "", "unit"),
    Asset(4, 1, None, "M1", "Main drive", "motor", 3, "", "unit"),
]
SIGNALS = [Signal(7, 1, 1, "vibration", "Vibration", "vibration_velocity", "mm/s", None, None, 1.0, Role.MEASURED)]
GUESSER = Guesser(ASSETS, SIGNALS)


@pytest.mark.parametrize(
    ("path", "unit", "asset", "signal", "quantity"),
    [
        ("Hall/P-101/Vibration", "mm/s", "P-101", "vibration", "vibration_velocity"),
        ("Hall/P101/BearingTemp", "°C", "P-101", "BearingTemp", "temperature"),
        ("PLC/DB_P101_Motor_Current", "A", "P-101", "DB_P101_Motor_Current", "current"),
        ("P-1011/flow", "l/min", "P-1011", "flow", "flow"),
        ("Line/conv_2/Drive/Speed", "rpm", "CONV-2", "Drive/Speed", "rotational_speed"),
        ("Line/Belt conveyor north/load", "%", "CONV-2", "load", "ratio"),
        ("M1/速度/转速", "", "M1", "速度/转速", "rotational_speed"),
        ("M1/mystery", "furlong", "M1", "mystery", "generic"),
    ],
)
def test_names_and_units_are_understood(path: str, unit: str, asset: str, signal: str, quantity: str) -> None:
    found = GUESSER.guess(Offer(path, path, unit=unit))
    assert (found.asset_code, found.signal_code, found.quantity) == (asset, signal, quantity)
    assert found.asset_id is not None
    conversion(found.quantity, found.unit)


def test_what_is_surer_stands_higher() -> None:
    exact, within, named, assumed, unknown = (
        GUESSER.guess(Offer(path, path, unit=unit)).confidence
        for path, unit in [
            ("P-101/vibration", "mm/s"),
            ("DB_P101_temp", "°C"),
            ("Feed pump/temp", "°C"),
            ("P-101/temp", ""),
            ("P-101/x17", ""),
        ]
    )
    assert exact == 1.0 > within > named > assumed >= 0.8 > unknown > 0


def test_no_asset_fits_is_said() -> None:
    found = GUESSER.guess(Offer("Cellar/Sump 3/level", "Cellar/Sump 3/level", unit="m"))
    assert (found.asset_id, found.asset_code, found.confidence) == (None, "Sump-3", 0.0)
    assert "new_asset" in found.reasons


@given(st.text(min_size=1, max_size=300), st.text(max_size=10))
def test_any_name_gives_a_guess_that_can_be_kept(path: str, unit: str) -> None:
    found = GUESSER.guess(Offer(path, path, unit=unit))
    assert 0 <= found.confidence <= 1
    assert 1 <= len(found.signal_code) <= 128
    assert len(found.asset_code) <= 64
    conversion(found.quantity, found.unit)


@given(st.text(max_size=100))
def test_parts_ignore_case_and_punctuation(name: str) -> None:
    assert parts(name) == parts(f"  {name}__")
