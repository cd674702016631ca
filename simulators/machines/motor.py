"""An induction motor with a rolling bearing, on a drive. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import ClassVar

import numpy as np

from simulators.machines import signals as s
from simulators.machines import vibration as v
from simulators.machines.base import ModeSpec, Rows, SignalSpec
from simulators.machines.chance import spread
from simulators.machines.faults import Floats

RATED_CURRENT = 85.0
WINDING_LIMIT_RISE = 60.0  # K above usual: about 155 °C, thermal class F


class Waves(StrEnum):
    """Where vibration features come from."""

    TABLE = "table"  # drawn from the measured table: for plants at speed
    REAL = "real"  # a waveform computed and measured for every row


class Motor:
    """Load is torque demand; the drive slows down with it."""

    asset_class = "motor"
    noises = 9
    signals: Sequence[SignalSpec] = (
        s.STATE,
        s.AMBIENT,
        s.LOAD,
        s.speed(3600.0),
        s.current(250.0),
        SignalSpec("winding_temp", s.name("Winding temperature", "绕组温度"), "temperature", "°C", -40, 250, 2),
        s.VIBRATION,
        SignalSpec("crest", s.name("Crest factor", "峰值因子"), "ratio_1", "1", 0.0, 60.0, 3),
        SignalSpec("kurtosis", s.name("Kurtosis", "峭度"), "ratio_1", "1", 0.0, 200.0, 3),
        SignalSpec("envelope", s.name("Bearing envelope", "轴承包络"), "acceleration_envelope", "gE", 0.0, 50.0, 4),
    )
    modes: ClassVar[Mapping[str, ModeSpec]] = {
        "bearing_outer_race": ModeSpec(s.name("Bearing outer race", "轴承外圈损坏"), "envelope", "4.5 gE"),
        "winding_insulation": ModeSpec(
            s.name("Winding insulation", "绕组绝缘老化"), "winding_temp", "60 K above usual"
        ),
        "imbalance": ModeSpec(s.name("Imbalance", "转子不平衡"), "vibration", "11 mm/s"),
        "misalignment": ModeSpec(s.name("Misalignment", "联轴器不对中"), "vibration", "9 mm/s"),
    }

    def __init__(self, seed: int, *, waves: Waves = Waves.TABLE) -> None:
        self._own = spread(seed, ("current", "vibration", "heat"), 0.05)
        self._seed = seed
        self._waves = waves

    def respond(self, rows: Rows) -> dict[str, Floats]:
        """See :class:`simulators.machines.base.Physics`."""
        insulation, skew = rows.severity("winding_insulation"), rows.severity("misalignment")
        inrush = 1.0 + 2.0 * (rows.on - rows.ramp)
        drawn = (0.25 + 0.75 * rows.load) * (1.0 + 0.20 * insulation + 0.08 * skew)
        current = RATED_CURRENT * self._own["current"] * drawn * inrush * (1.0 + 0.007 * rows.chance(0))
        return {
            "speed": v.speed_rpm(rows.load) * rows.on,
            "current": current * rows.on,
            "winding_temp": self._winding(rows, insulation),
            **self._vibration(rows),
        }

    def _winding(self, rows: Rows, insulation: Floats) -> Floats:
        rise = 62.0 * self._own["heat"] * (0.25 + 0.75 * rows.load**2) + WINDING_LIMIT_RISE * insulation
        return rows.lags.follow("winding", rows.ambient + rise * rows.on, 3000.0) + 0.3 * rows.chance(1)

    def _vibration(self, rows: Rows) -> dict[str, Floats]:
        found = self._drawn(rows) if self._waves is Waves.TABLE else self._computed(rows)
        gain = self._own["vibration"] * rows.renewal
        shake = 1.0 + 0.8 * (rows.on - rows.ramp)
        velocity, crest, kurtosis, envelope = found
        rest = np.abs(rows.chance(7))
        turning = rows.on > 0
        return {
            "vibration": np.where(turning, velocity * gain * shake * np.exp(0.04 * rows.chance(6)), 0.04 * rest),
            "crest": np.where(turning, crest, 3.7 + 0.2 * rows.chance(2)),
            "kurtosis": np.where(turning, kurtosis, 3.0 + 0.1 * rows.chance(3)),
            "envelope": np.where(turning, envelope * gain, 0.01 + 0.002 * rest),
        }

    def _drawn(self, rows: Rows) -> Floats:
        """Features from the table; with several sources at once the strongest tells."""
        noise = rows.noise[2:6]
        found = v.table(v.Source.RACE).draw(_wide(rows, v.Source.RACE), rows.load, noise)
        for source in (v.Source.IMBALANCE, v.Source.MISALIGNMENT):
            severity = _wide(rows, source)
            if severity.any():
                worse = np.maximum(found, v.table(source).draw(severity, rows.load, noise))
                found = np.where(severity > 0.0, worse, found)
        return found

    def _computed(self, rows: Rows) -> Floats:
        """Features of a real waveform a row; chance hangs on the row's number."""
        found = np.empty((4, len(rows.load)))
        severities = {source: _wide(rows, source) for source in v.Source}
        for i, load in enumerate(rows.load):
            now = {source: float(each[i]) for source, each in severities.items()}
            rng = np.random.default_rng([self._seed, 6, rows.row + i])
            found[:, i] = v.measure(v.waveform(v.Shake(float(load), now), rng))
        return found


def _wide(rows: Rows, source: v.Source) -> Floats:
    return np.broadcast_to(rows.severity(source), rows.load.shape)
