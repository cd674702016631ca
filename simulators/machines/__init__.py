"""Machine classes by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from simulators.machines.base import Physics
from simulators.machines.compressor import Compressor
from simulators.machines.conveyor import Conveyor
from simulators.machines.motor import Motor
from simulators.machines.pump import Pump

PHYSICS: Mapping[str, Callable[[int], Physics]] = {
    "pump": Pump,
    "motor": Motor,
    "compressor": Compressor,
    "conveyor": Conveyor,
}
