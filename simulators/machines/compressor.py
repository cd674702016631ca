"""An oil-injected screw compressor that holds its pressure. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from simulators.machines import signals as s
from simulators.machines.base import ModeSpec, Rows, SignalSpec
from simulators.machines.chance import spread
from simulators.machines.faults import Floats

RATED_FLOW, SET_PRESSURE, RATED_CURRENT = 900.0, 7.5, 140.0
VIBRATION_LIMIT = 11.2  # mm/s
DISCHARGE_RISE, OIL_RISE = 40.0, 36.0  # K above usual where the thermostat trips (about 120 °C and 95 °C)


class Compressor:
    """Load is the share of rated delivery; temperatures lag behind load, cooling air and faults."""

    asset_class = "compressor"
    noises = 7
    signals: Sequence[SignalSpec] = (
        s.STATE,
        s.AMBIENT,
        s.LOAD,
        SignalSpec("discharge_pressure", s.name("Discharge pressure", "排气压力"), "pressure", "bar", 0.0, 16.0, 3),
        SignalSpec("discharge_temp", s.name("Discharge temperature", "排气温度"), "temperature", "°C", -40.0, 250.0, 2),
        SignalSpec("oil_temp", s.name("Oil temperature", "油温"), "temperature", "°C", -40.0, 200.0, 2),
        s.current(400.0),
        s.VIBRATION,
        s.flow(1800.0, 1),
    )
    modes: ClassVar[Mapping[str, ModeSpec]] = {
        "valve_leak": ModeSpec(s.name("Valve leak", "气阀泄漏"), "discharge_temp", "40 K above usual"),
        "cooler_fouling": ModeSpec(s.name("Cooler fouling", "冷却器结垢"), "oil_temp", "36 K above usual"),
        "bearing_wear": ModeSpec(s.name("Bearing wear", "轴承磨损"), "vibration", "11.2 mm/s"),
    }

    def __init__(self, seed: int) -> None:
        self._own = spread(seed, ("flow", "pressure", "current", "vibration", "heat", "oil"), 0.05)

    def respond(self, rows: Rows) -> dict[str, Floats]:
        """See :class:`simulators.machines.base.Physics`."""
        leak, fouled = rows.severity("valve_leak"), rows.severity("cooler_fouling")
        wear = rows.severity("bearing_wear")
        inrush = 1.0 + 1.5 * (rows.on - rows.ramp)
        power = (0.35 + 0.65 * rows.load) * (1.0 + 0.06 * leak + 0.06 * wear)
        current = RATED_CURRENT * self._own["current"] * power * inrush * (1.0 + 0.007 * rows.chance(0))
        flow = RATED_FLOW * self._own["flow"] * rows.load * (1.0 - 0.28 * leak) * (1.0 + 0.008 * rows.chance(1))
        return {
            "discharge_pressure": self._pressure(rows, leak),
            "discharge_temp": self._discharge(rows, leak, fouled),
            "oil_temp": self._oil(rows, fouled, wear),
            "current": current * rows.on,
            "vibration": self._vibration(rows, wear),
            "flow": flow * rows.on,
        }

    def _pressure(self, rows: Rows, leak: Floats) -> Floats:
        held = SET_PRESSURE * (1.0 + 0.03 * (0.8 - rows.load) - 0.04 * leak) * rows.on
        pressure = rows.lags.follow("pressure", held * self._own["pressure"], 240.0)
        return pressure * (1.0 + 0.005 * rows.chance(2))

    def _discharge(self, rows: Rows, leak: Floats, fouled: Floats) -> Floats:
        usual = (42.0 + 20.0 * rows.load) * self._own["heat"]
        fault = DISCHARGE_RISE * leak + 28.0 * fouled
        gas = rows.lags.follow("discharge", rows.ambient + (usual + fault) * rows.on, 900.0)
        return gas + 0.4 * rows.chance(3)

    def _oil(self, rows: Rows, fouled: Floats, wear: Floats) -> Floats:
        usual = (24.0 + 14.0 * rows.load) * self._own["oil"]
        fault = OIL_RISE * fouled + 9.0 * wear
        oil = rows.lags.follow("oil", rows.ambient + (usual + fault) * rows.on, 1800.0)
        return oil + 0.25 * rows.chance(4)

    def _vibration(self, rows: Rows, wear: Floats) -> Floats:
        sound = 2.6 * self._own["vibration"] * rows.renewal
        level = sound * (0.6 + 0.5 * rows.load) + wear * (VIBRATION_LIMIT - sound)
        shake = 1.0 + 0.8 * (rows.on - rows.ramp)
        return level * shake * rows.on * np.exp(0.05 * rows.chance(5)) + 0.05 * np.abs(rows.chance(6))
