"""Units as OPC UA names them → units of ``plant.units``. Pure.

OPC 10000-8: ``UnitId`` holds the UNECE recommendation 20 common code, its characters as the bytes of one number.
"""

from __future__ import annotations

from collections.abc import Mapping

from plant.units import UnknownUnit, quantity_of

_CODES: Mapping[str, str] = {
    "C16": "mm/s", "MTS": "m/s", "2M": "cm/s", "IU": "in/s", "MSK": "m/s2", "C17": "mm/s2", "K40": "gn",
    "MMT": "mm", "CMT": "cm", "MTR": "m", "4H": "um", "INH": "in", "FOT": "ft", "77": "mil",
    "CEL": "°C", "KEL": "K", "FAH": "°F",
    "BAR": "bar", "MBR": "mbar", "PAL": "Pa", "A97": "hPa", "KPA": "kPa", "MPA": "MPa", "PS": "psi", "ATM": "atm",
    "E42": "kgf/cm2",
    "MQH": "m3/h", "MQS": "m3/s", "G53": "m3/min", "L2": "l/min", "G51": "l/s", "E32": "l/h", "G2": "gpm", "2L": "cfm",
    "AMP": "A", "4K": "mA", "B22": "kA", "VLT": "V", "2Z": "mV", "KVT": "kV",
    "WTT": "W", "KWT": "kW", "MAW": "MW", "BHP": "hp", "KWH": "kWh", "WHR": "Wh", "MWH": "MWh", "3B": "MJ",
    "NU": "N.m", "B48": "kN.m", "NEW": "N", "B47": "kN", "C78": "lbf",
    "HTZ": "Hz", "KHZ": "kHz", "RPM": "rpm", "RPS": "rps", "2A": "rad/s",
    "2X": "m/min", "KMH": "km/h", "FR": "ft/min", "KGS": "kg/s", "E93": "kg/h", "E18": "t/h",
    "P1": "%", "C62": "1", "59": "ppm", "SEC": "s", "C26": "ms", "MIN": "min", "HUR": "h",
}  # fmt: skip
_SAME: Mapping[str, str] = {
    "deg C": "°C", "deg. C": "°C", "Celsius": "°C", "degC": "°C", "º C": "°C", "ºC": "°C", "RPM": "rpm", "U/min": "rpm",
    "1/min": "rpm", "m3/hr": "m3/h", "Nm³/h": "m3/h", "N·m": "N.m", "Bar": "bar", "percent": "%", "µm": "um",
    "l/hr": "l/h", "mm/sec": "mm/s", "m/sec": "m/s", "Amp": "A", "Volt": "V",
}  # fmt: skip


def unit(unit_id: int | None, display: str | None) -> str:
    """Our name of a unit, by its UNECE code, else by what it is shown as; "" when we know neither."""
    found = _CODES.get(code(unit_id)) if unit_id is not None and unit_id > 0 else None
    if found is not None:
        return found
    text = (display or "").strip()
    text = _SAME.get(text, text)
    if not text:
        return ""
    try:
        quantity_of(text)
    except UnknownUnit:
        return ""
    return text


def code(unit_id: int) -> str:
    """The common code in a UnitId."""
    if not 0 < unit_id < 1 << 32:
        return ""
    return unit_id.to_bytes(4, "big").lstrip(b"\x00").decode("ascii", "replace")
