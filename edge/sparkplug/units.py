"""The free text that a birth calls a unit → a unit of ``plant.units``. Pure."""

from __future__ import annotations

from functools import lru_cache

from plant.units import QUANTITIES, UnknownUnit, quantity_of, units_of

# spellings met in the field, in lower case without blanks and dots
_SPELLINGS = {
    "degc": "°C", "degreesc": "°C", "celsius": "°C", "degcelsius": "°C", "degreescelsius": "°C", "degreecelsius": "°C",
    "degf": "°F", "degreesf": "°F", "fahrenheit": "°F", "degreesfahrenheit": "°F", "kelvin": "K",
    "amp": "A", "amps": "A", "ampere": "A", "amperes": "A", "volt": "V", "volts": "V", "watt": "W", "watts": "W",
    "kw": "kW", "kwh": "kWh", "hertz": "Hz", "hz": "Hz", "percent": "%", "pct": "%", "rev/min": "rpm", "u/min": "rpm",
    "psig": "psi", "barg": "bar", "mmps": "mm/s", "m3ph": "m3/h", "m^3/h": "m3/h", "m/s^2": "m/s2", "mm/sec": "mm/s",
    "in/sec": "in/s", "seconds": "s", "sec": "s", "hours": "h", "minutes": "min",
}  # fmt: skip
_LOWER: dict[str, str | None] = {}
for _quantity in QUANTITIES:
    for _unit in units_of(_quantity):
        # mPa is not MPa: only what is the same unit in every case may be met in any
        _LOWER[_unit.lower()] = _unit if _LOWER.get(_unit.lower(), _unit) == _unit else None


def known_unit(text: object) -> str | None:
    """The unit that is meant, or None. What is written exactly like a unit is that unit."""
    return _known(text[:64]) if isinstance(text, str) else None


@lru_cache(maxsize=10_000)
def _known(text: str) -> str | None:
    bare = text.strip()
    if not bare:
        return None
    try:
        quantity_of(bare)
    except UnknownUnit:
        short = bare.lower().replace(" ", "").replace(".", "")
        return _SPELLINGS.get(short) or _LOWER.get(short)
    return bare
