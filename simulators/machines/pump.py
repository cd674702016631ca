"""A centrifugal pump on a variable-speed drive (affinity laws: flow ~ n, head ~ n², power ~ n³). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from simulators.machines import signals as s
from simulators.machines.base import ModeSpec, Rows, SignalSpec
from simulators.machines.chance import spread
from simulators.machines.faults import Floats

RATED_FLOW, RATED_PRESSURE, RATED_CURRENT = 120.0, 6.0, 60.0
VIBRATION_LIMIT = 11.2  # mm/s, boundary to zone D for pumps of this size
CAVITATION_LIMIT = 9.0  # mm/s


class Pump:
    """Load is the speed as a share of the rated one; the system has 35 % static head."""

    asset_class = "pump"
    noises = 6
    signals: Sequence[SignalSpec] = (
        s.STATE,
        s.AMBIENT,
        s.LOAD,
        s.flow(240.0),
        SignalSpec("pressure", s.name("Discharge pressure", "出口压力"), "pressure", "bar", 0.0, 16.0, 3),
        s.current(200.0),
        s.VIBRATION,
        s.BEARING_TEMP,
    )
    modes: ClassVar[Mapping[str, ModeSpec]] = {
        "bearing_wear": ModeSpec(s.name("Bearing wear", "轴承磨损"), "vibration", "11.2 mm/s"),
        "cavitation": ModeSpec(s.name("Cavitation", "汽蚀"), "vibration", "9 mm/s, flow 25 % down"),
        "impeller_wear": ModeSpec(s.name("Impeller wear", "叶轮磨损"), "flow", "30 % below the curve"),
        "seal_leak": ModeSpec(s.name("Seal leak", "密封泄漏"), "flow", "35 % below the curve"),
    }

    def __init__(self, seed: int) -> None:
        self._own = spread(seed, ("flow", "pressure", "current", "vibration", "heat"), 0.05)

    def respond(self, rows: Rows) -> dict[str, Floats]:
        """See :class:`simulators.machines.base.Physics`."""
        wear, cavity = rows.severity("bearing_wear"), rows.severity("cavitation")
        worn, leak = rows.severity("impeller_wear"), rows.severity("seal_leak")
        n, rough = rows.load, 1.0 + 5.0 * cavity
        flow_lost = 1.0 - 0.30 * worn - 0.35 * leak - 0.25 * cavity
        head_lost = 1.0 - 0.32 * worn - 0.38 * leak - 0.30 * cavity
        power = (0.25 + 0.75 * n**3) * (1.0 + 0.10 * wear - 0.20 * worn - 0.08 * leak - 0.08 * cavity)
        inrush = 1.0 + 1.2 * (rows.on - rows.ramp)
        flow = RATED_FLOW * self._own["flow"] * n * flow_lost * (1.0 + 0.008 * rough * rows.chance(0))
        pressure = RATED_PRESSURE * self._own["pressure"] * (0.35 + 0.65 * n**2) * head_lost
        current = RATED_CURRENT * self._own["current"] * power * inrush * (1.0 + 0.007 * rows.chance(2))
        return {
            "flow": flow * rows.on,
            "pressure": pressure * rows.on * (1.0 + 0.006 * rough * rows.chance(1)),
            "current": current * rows.on,
            "vibration": self._vibration(rows, wear, cavity),
            "bearing_temp": self._temperature(rows, wear),
        }

    def _vibration(self, rows: Rows, wear: Floats, cavity: Floats) -> Floats:
        sound = 2.2 * self._own["vibration"] * rows.renewal
        usual = sound * (0.55 + 0.55 * rows.load)
        level = usual + wear * (VIBRATION_LIMIT - sound) + cavity * (CAVITATION_LIMIT - sound)
        shake = 1.0 + 0.8 * (rows.on - rows.ramp)
        return level * shake * rows.on * np.exp(0.05 * rows.chance(3)) + 0.05 * np.abs(rows.chance(4))

    def _temperature(self, rows: Rows, wear: Floats) -> Floats:
        rise = 32.0 * self._own["heat"] * (0.4 + 0.6 * rows.load**2) * rows.on + 34.0 * wear * rows.on
        return rows.lags.follow("bearing", rows.ambient + rise, 2400.0) + 0.25 * rows.chance(5)
