"""Zones A to D of ISO 20816-3 for broad-band vibration of non-rotating parts. Pure.

    A newly commissioned · B fit for long operation · C not for long, plan the work · D may do damage, stop

Judged is the RMS of 10 (below 600 rpm: 2) to 1000 Hz as velocity in mm/s or displacement in µm. A value without a unit
is refused: 4.5 is a sound machine in mm/s and a wreck in in/s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from core.errors import Invalid
from detectors.vibration.errors import OutsideStandard, UnitUndeclared
from plant.units import conversion, units_of

LEAST_KW, LARGE_KW = 15.0, 300.0
LARGE_SHAFT_MM, LEAST_SHAFT_MM = 315.0, 160.0
SLOWEST_RPM, FASTEST_RPM = 120.0, 30_000.0
QUANTITIES = ("vibration_velocity", "displacement")
HYSTERESIS = 0.1  # a zone is left downwards only below nine tenths of its limit


class Zone(IntEnum):
    A = 0
    B = 1
    C = 2
    D = 3


class Group(StrEnum):
    """Machine groups of ISO 20816-3."""

    LARGE = "1"  # above 300 kW, or electrical machines with a shaft height of 315 mm and more
    MEDIUM = "2"  # above 15 kW, or electrical machines with a shaft height of 160 to 315 mm


class Foundation(StrEnum):
    """Rigid: the lowest natural frequency of machine and support lies a quarter above the frequency that excites."""

    RIGID = "rigid"
    FLEXIBLE = "flexible"


Limits = tuple[float, float, float]  # A/B, B/C, C/D

VELOCITY_MM_S: Mapping[tuple[Group, Foundation], Limits] = {
    (Group.LARGE, Foundation.RIGID): (2.3, 4.5, 7.1),
    (Group.LARGE, Foundation.FLEXIBLE): (3.5, 7.1, 11.0),
    (Group.MEDIUM, Foundation.RIGID): (1.4, 2.8, 4.5),
    (Group.MEDIUM, Foundation.FLEXIBLE): (2.3, 4.5, 7.1),
}
DISPLACEMENT_MM: Mapping[tuple[Group, Foundation], Limits] = {
    (Group.LARGE, Foundation.RIGID): (0.029, 0.057, 0.090),
    (Group.LARGE, Foundation.FLEXIBLE): (0.045, 0.090, 0.140),
    (Group.MEDIUM, Foundation.RIGID): (0.022, 0.045, 0.071),
    (Group.MEDIUM, Foundation.FLEXIBLE): (0.037, 0.071, 0.113),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a machine stands, which decides its limits."""

    group: Group
    foundation: Foundation

    def limits(self, quantity: str) -> Limits:
        """Upper limits of zones A, B and C in the quantity's canonical unit. Raises OutsideStandard."""
        if quantity not in QUANTITIES:
            raise OutsideStandard(f"ISO 20816-3 has zones for velocity and displacement, not for {quantity}.")
        table = VELOCITY_MM_S if quantity == "vibration_velocity" else DISPLACEMENT_MM
        return table[(self.group, self.foundation)]


def group_of(power_kw: float, speed_rpm: float, *, shaft_height_mm: float | None = None) -> Group:
    """The group of a machine; the shaft height of an electrical one decides where given. Raises OutsideStandard."""
    if not (power_kw > LEAST_KW and SLOWEST_RPM <= speed_rpm <= FASTEST_RPM):
        raise OutsideStandard
    if shaft_height_mm is not None and shaft_height_mm >= LEAST_SHAFT_MM:
        return Group.LARGE if shaft_height_mm >= LARGE_SHAFT_MM else Group.MEDIUM
    return Group.LARGE if power_kw > LARGE_KW else Group.MEDIUM


def zone_of(rms: float, unit: str | None, standing: Standing) -> Zone:
    """The zone of an RMS value in ``unit``; on a limit it is the better one.

    Raises UnitUndeclared without a unit (None, "" or 1), UnknownUnit, and OutsideStandard for any other quantity.
    """
    value, quantity = _canonical(rms, unit)
    return _zone(value, standing.limits(quantity))


def next_zone(before: Zone, rms: float, unit: str | None, standing: Standing) -> Zone:
    """Like ``zone_of`` for a value that follows others: worse at once, better only clearly below the limit.

    So a machine that runs on a limit is told once, not every minute.
    """
    value, quantity = _canonical(rms, unit)
    limits = standing.limits(quantity)
    now = _zone(value, limits)
    if now >= before:
        return now
    left = _zone(value, (limits[0] * (1 - HYSTERESIS), limits[1] * (1 - HYSTERESIS), limits[2] * (1 - HYSTERESIS)))
    return min(before, left)


def limit_of(zone: Zone, quantity: str, standing: Standing) -> float:
    """The limit that a value in this zone (B, C or D) has passed, in the quantity's canonical unit."""
    return standing.limits(quantity)[zone - 1]


def _canonical(rms: float, unit: str | None) -> tuple[float, str]:
    if unit is None or unit in ("", "1"):
        raise UnitUndeclared
    quantity = next((each for each in QUANTITIES if unit in units_of(each)), None)
    if quantity is None:
        raise OutsideStandard(f"ISO 20816-3 has zones for velocity and displacement, not for {unit}.")
    if not 0.0 <= rms < math.inf:
        raise Invalid(f"An RMS value is a number from 0 on, not {rms!r}.")
    return rms * conversion(quantity, unit).scale, quantity


def _zone(value: float, limits: Limits) -> Zone:
    return Zone(sum(value > limit for limit in limits))
