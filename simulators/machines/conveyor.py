"""A belt conveyor: drum, belt, idlers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from simulators.machines import signals as s
from simulators.machines.base import ModeSpec, Rows, SignalSpec
from simulators.machines.chance import spread
from simulators.machines.faults import Floats

RATED_SPEED, RATED_CURRENT = 90.0, 45.0
VIBRATION_LIMIT = 9.0  # mm/s at the idler frame
SLIP_LIMIT = 15.0  # % of drum speed: the belt burns
TEMPERATURE_RISE = 45.0  # K above usual at the idler bearing


class Conveyor:
    """Load is material on the belt; the drum's speed follows it a little."""

    asset_class = "conveyor"
    noises = 6
    signals: Sequence[SignalSpec] = (
        s.STATE,
        s.AMBIENT,
        s.LOAD,
        s.speed(200.0),
        s.current(150.0),
        SignalSpec("belt_slip", s.name("Belt slip", "皮带打滑率"), "ratio", "%", 0.0, 100.0, 3),
        s.BEARING_TEMP,
        s.VIBRATION,
    )
    modes: ClassVar[Mapping[str, ModeSpec]] = {
        "belt_slip": ModeSpec(s.name("Belt slip", "皮带打滑"), "belt_slip", "15 %"),
        "idler_bearing": ModeSpec(s.name("Idler bearing", "托辊轴承损坏"), "bearing_temp", "45 K above usual"),
        "misalignment": ModeSpec(s.name("Belt misalignment", "皮带跑偏"), "vibration", "9 mm/s"),
    }

    def __init__(self, seed: int) -> None:
        self._own = spread(seed, ("current", "slip", "vibration", "heat"), 0.05)

    def respond(self, rows: Rows) -> dict[str, Floats]:
        """See :class:`simulators.machines.base.Physics`."""
        slip, idler = rows.severity("belt_slip"), rows.severity("idler_bearing")
        skew = rows.severity("misalignment")
        pace = 0.8 + 0.2 * rows.load
        drag = (0.30 + 0.70 * rows.load * pace) * (1.0 - 0.22 * slip + 0.30 * skew + 0.04 * idler)
        inrush = 1.0 + 1.0 * (rows.on - rows.ramp)
        current = RATED_CURRENT * self._own["current"] * drag * inrush * (1.0 + 0.01 * rows.chance(0))
        usual_slip = (1.0 + 0.9 * rows.load) * self._own["slip"]
        slipping = usual_slip + slip * (SLIP_LIMIT - 1.7)
        return {
            "speed": RATED_SPEED * pace * rows.on,
            "current": current * rows.on,
            "belt_slip": slipping * rows.on * np.exp(0.06 * rows.chance(1)),
            "bearing_temp": self._temperature(rows, idler),
            "vibration": self._vibration(rows, idler, skew),
        }

    def _temperature(self, rows: Rows, idler: Floats) -> Floats:
        usual = 20.0 * self._own["heat"] * (0.5 + 0.5 * rows.load)
        rise = (usual + TEMPERATURE_RISE * idler) * rows.on
        return rows.lags.follow("idler", rows.ambient + rise, 1500.0) + 0.25 * rows.chance(2)

    def _vibration(self, rows: Rows, idler: Floats, skew: Floats) -> Floats:
        sound = 1.8 * self._own["vibration"] * rows.renewal
        level = sound * (0.6 + 0.5 * rows.load) + (0.6 * idler + skew) * (VIBRATION_LIMIT - sound)
        shake = 1.0 + 0.6 * (rows.on - rows.ramp)
        return level * shake * rows.on * np.exp(0.06 * rows.chance(3)) + 0.04 * np.abs(rows.chance(4))
