"""Rolling bearings: their geometry, and how often a defect of each part is rolled over. Pure.

Source: kinematics without slip (Randall & Antoni, "Rolling element bearing diagnostics", MSSP 25, 2011, table 1); real
bearings slip by a per cent or two.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from detectors.vibration.errors import BadBearing

GEOMETRIES = Path(__file__).parent / "geometries.toml"
BALL_SHARE = 0.3  # of (outside - bore): the usual ball of a deep-groove bearing
FILLED = math.radians(195.0)  # of the pitch circle, when a deep-groove bearing is filled from the side


class Part(StrEnum):
    """Where a defect sits; the value is the frequency's usual name."""

    OUTER = "BPFO"
    INNER = "BPFI"
    BALL = "BSF"
    CAGE = "FTF"


class Origin(StrEnum):
    """Where the geometry comes from: frequencies of an estimated one are off by a few per cent."""

    DECLARED = "declared"
    ESTIMATED = "estimated"


TOLERANCE: Mapping[Origin, float] = {Origin.DECLARED: 0.02, Origin.ESTIMATED: 0.05}


@dataclass(frozen=True, slots=True)
class Bearing:
    """Geometry of a bearing whose inner ring turns; diameters in mm, contact angle in degrees. Raises BadBearing."""

    balls: int
    ball_mm: float
    pitch_mm: float
    contact_deg: float = 0.0
    name: str = ""
    origin: Origin = Origin.DECLARED

    def __post_init__(self) -> None:
        if not (self.balls >= 3 and 0.0 < self.ball_mm < self.pitch_mm < math.inf and 0.0 <= self.contact_deg < 90.0):
            raise BadBearing
        if self.balls * math.asin(self.ball_mm / self.pitch_mm) > math.pi:
            raise BadBearing(f"{self.balls} balls of {self.ball_mm} mm do not fit on a circle of {self.pitch_mm} mm.")

    @property
    def orders(self) -> Mapping[Part, float]:
        """Events a revolution of the shaft."""
        ratio = self.ball_mm / self.pitch_mm * math.cos(math.radians(self.contact_deg))
        return {
            Part.OUTER: self.balls / 2.0 * (1.0 - ratio),
            Part.INNER: self.balls / 2.0 * (1.0 + ratio),
            Part.BALL: self.pitch_mm / (2.0 * self.ball_mm) * (1.0 - ratio * ratio),
            Part.CAGE: (1.0 - ratio) / 2.0,
        }

    def frequencies_hz(self, speed_rpm: float) -> Mapping[Part, float]:
        """Defect frequencies at a shaft speed in revolutions a minute (> 0)."""
        return {part: order * speed_rpm / 60.0 for part, order in self.orders.items()}

    @property
    def tolerance(self) -> float:
        """Share by which a line may lie beside the frequency: slip, and what an estimate is off."""
        return TOLERANCE[self.origin]


def estimated(bore_mm: float, outside_mm: float, *, name: str = "") -> Bearing:
    """A deep-groove ball bearing of these boundary dimensions, its inside by rules of thumb. Raises BadBearing.

    Pitch (bore + outside) / 2, ball 0.3 (outside - bore), as many balls as fill 195 degrees and one more. The maker's
    figures are better; until somebody declares them the frequencies are looked for in a wider band.
    """
    if not 0.0 < bore_mm < outside_mm < math.inf:
        raise BadBearing(f"No bearing has {bore_mm} mm bore and {outside_mm} mm outside: the bore is smaller.")
    ball, pitch = BALL_SHARE * (outside_mm - bore_mm), (bore_mm + outside_mm) / 2.0
    balls = 1 + int(FILLED / (2.0 * math.asin(ball / pitch)))
    return Bearing(balls, ball, pitch, 0.0, name, Origin.ESTIMATED)


@cache
def geometries() -> Mapping[str, Bearing]:
    """The bearings of ``geometries.toml`` by name."""
    sizes = tomllib.loads(GEOMETRIES.read_text("utf-8"))
    return {name: estimated(size["bore_mm"], size["outside_mm"], name=name) for name, size in sizes.items()}
