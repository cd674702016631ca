"""Quantities, their canonical units, and the way from any unit to the canonical one. Pure.

Every conversion is linear: ``canonical = heard * scale + offset``. Factors follow ISO 80000 and NIST SP 811.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from core.errors import Invalid


class UnknownQuantity(Invalid):
    """There is no such quantity. `docs/telemetry.md` lists them."""

    code = "unknown_quantity"


class UnknownUnit(Invalid):
    """There is no such unit. `docs/telemetry.md` lists the units of every quantity."""

    code = "unknown_unit"


class WrongUnit(Invalid):
    """The unit measures another quantity than the signal."""

    code = "wrong_unit"


@dataclass(frozen=True, slots=True)
class Conversion:
    """``canonical = heard * scale + offset``; scale is finite and not 0."""

    scale: float
    offset: float = 0.0

    def after(self, scale: float, offset: float) -> Conversion:
        """The one step that equals ``heard * scale + offset`` and then this conversion."""
        return Conversion(self.scale * scale, self.scale * offset + self.offset)


IDENTITY = Conversion(1.0)

_G = 9.80665  # m/s², standard gravity
_PSI = 0.0689475729317831  # bar
_US_GALLON = 3.785411784e-3  # m³
_FAHRENHEIT = Conversion(5.0 / 9.0, -160.0 / 9.0)
_FEET = 0.3048  # m


# quantity → unit → conversion; the first unit of each is the canonical one
_UNITS: Mapping[str, Mapping[str, Conversion]] = {
    "vibration_velocity": {
        "mm/s": IDENTITY,
        "m/s": Conversion(1000.0),
        "cm/s": Conversion(10.0),
        "in/s": Conversion(25.4),
        "ips": Conversion(25.4),
    },
    "vibration_acceleration": {
        "m/s2": IDENTITY,
        "m/s²": IDENTITY,
        "mm/s2": Conversion(1e-3),
        "g": Conversion(_G),
        "gn": Conversion(_G),
        "ft/s2": Conversion(_FEET),
    },
    "acceleration_envelope": {"gE": IDENTITY, "m/s2": Conversion(1.0 / _G), "m/s²": Conversion(1.0 / _G)},
    "displacement": {"mm": IDENTITY, "um": Conversion(1e-3), "µm": Conversion(1e-3), "mil": Conversion(0.0254)},
    "temperature": {
        "°C": IDENTITY,
        "degC": IDENTITY,
        "C": IDENTITY,
        "℃": IDENTITY,
        "K": Conversion(1.0, -273.15),
        "°F": _FAHRENHEIT,
        "degF": _FAHRENHEIT,
        "F": _FAHRENHEIT,
    },
    "pressure": {
        "bar": IDENTITY,
        "mbar": Conversion(1e-3),
        "Pa": Conversion(1e-5),
        "hPa": Conversion(1e-3),
        "kPa": Conversion(1e-2),
        "MPa": Conversion(10.0),
        "psi": Conversion(_PSI),
        "atm": Conversion(1.01325),
        "kgf/cm2": Conversion(_G / 10.0),
    },
    "flow": {
        "m3/h": IDENTITY,
        "m³/h": IDENTITY,
        "m3/s": Conversion(3600.0),
        "m3/min": Conversion(60.0),
        "l/min": Conversion(0.06),
        "L/min": Conversion(0.06),
        "l/s": Conversion(3.6),
        "L/s": Conversion(3.6),
        "l/h": Conversion(1e-3),
        "gpm": Conversion(_US_GALLON * 60.0),
        "cfm": Conversion(_FEET**3 * 60.0),
    },
    "current": {"A": IDENTITY, "mA": Conversion(1e-3), "kA": Conversion(1e3)},
    "voltage": {"V": IDENTITY, "mV": Conversion(1e-3), "kV": Conversion(1e3)},
    "power": {"kW": IDENTITY, "W": Conversion(1e-3), "MW": Conversion(1e3), "hp": Conversion(0.745699871582270)},
    "energy": {"kWh": IDENTITY, "Wh": Conversion(1e-3), "MWh": Conversion(1e3), "MJ": Conversion(1.0 / 3.6)},
    "torque": {"N.m": IDENTITY, "Nm": IDENTITY, "kN.m": Conversion(1e3), "lbf.ft": Conversion(1.3558179483314)},
    "force": {"N": IDENTITY, "kN": Conversion(1e3), "lbf": Conversion(4.4482216152605)},
    "frequency": {"Hz": IDENTITY, "kHz": Conversion(1e3), "cpm": Conversion(1.0 / 60.0)},
    "rotational_speed": {
        "rpm": IDENTITY,
        "1/min": IDENTITY,
        "r/min": IDENTITY,
        "Hz": Conversion(60.0),
        "1/s": Conversion(60.0),
        "rps": Conversion(60.0),
        "rad/s": Conversion(30.0 / math.pi),
    },
    "speed": {
        "m/s": IDENTITY,
        "m/min": Conversion(1.0 / 60.0),
        "km/h": Conversion(1.0 / 3.6),
        "ft/min": Conversion(_FEET / 60.0),
    },
    "mass_flow": {"kg/s": IDENTITY, "kg/h": Conversion(1.0 / 3600.0), "t/h": Conversion(1.0 / 3.6)},
    "level": {
        "m": IDENTITY,
        "mm": Conversion(1e-3),
        "cm": Conversion(1e-2),
        "in": Conversion(0.0254),
        "ft": Conversion(_FEET),
    },
    "humidity": {"%RH": IDENTITY, "%": IDENTITY},
    "ratio": {"%": IDENTITY, "1": Conversion(100.0), "ppm": Conversion(1e-4)},
    "ratio_1": {"1": IDENTITY, "": IDENTITY, "%": Conversion(0.01)},
    "duration": {"s": IDENTITY, "ms": Conversion(1e-3), "min": Conversion(60.0), "h": Conversion(3600.0)},
    "count": {"1": IDENTITY, "": IDENTITY},
    "state": {"": IDENTITY, "1": IDENTITY},
    "generic": {"1": IDENTITY, "": IDENTITY},
}

QUANTITIES: Mapping[str, str] = {quantity: next(iter(units)) for quantity, units in _UNITS.items()}
"""Quantity → its canonical unit."""

# units that several quantities share: what a table's column most likely means
_MEANT: Mapping[str, str] = {
    "%": "ratio",
    "1": "generic",
    "": "generic",
    "m/s": "speed",
    "Hz": "frequency",
    "m/s2": "vibration_acceleration",
}


def canonical(quantity: str) -> str:
    """The unit that values of a quantity are kept in. Raises UnknownQuantity."""
    try:
        return QUANTITIES[quantity]
    except KeyError:
        raise UnknownQuantity(f"There is no quantity {quantity!r}. Known are: {', '.join(QUANTITIES)}.") from None


def units_of(quantity: str) -> tuple[str, ...]:
    """Every unit that a quantity may be heard in, the canonical one first. Raises UnknownQuantity."""
    canonical(quantity)
    return tuple(_UNITS[quantity])


def conversion(quantity: str, unit: str) -> Conversion:
    """The way from ``unit`` to the canonical unit of ``quantity``.

    Raises UnknownQuantity, UnknownUnit (nobody knows the unit) or WrongUnit (it measures something else).
    """
    kept = canonical(quantity)
    found = _UNITS[quantity].get(unit)
    if found is not None:
        return found
    others = [name for name, units in _UNITS.items() if unit in units]
    if others:
        raise WrongUnit(f"{unit!r} is a unit of {' or '.join(others)}; this signal is {quantity}, kept in {kept!r}.")
    raise UnknownUnit(f"There is no unit {unit!r}. For {quantity} use one of: {', '.join(_UNITS[quantity])}.")


def quantity_of(unit: str) -> str:
    """The likeliest quantity of a unit that comes without one (a table's column). Raises UnknownUnit."""
    meant = _MEANT.get(unit)
    if meant is not None:
        return meant
    for quantity, units in _UNITS.items():
        if unit in units:
            return quantity
    raise UnknownUnit(f"There is no unit {unit!r}. `docs/telemetry.md` lists the units of every quantity.")
