"""What is true about the machines, for people who stand in front of them: a look inside shows the real condition.

It knows the plan of faults and what has been mended since. Safe for several threads.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from simulators.machines.base import Repair
from simulators.spec import Care, Plant


@dataclass(slots=True)
class World:
    """The plant's truth from ``live_us`` (µs since the epoch) on."""

    plant: Plant
    live_us: int
    _mended: dict[tuple[str, Repair], int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def knows(self, code: str) -> bool:
        return any(spec.code == code for spec in self.plant.machines)

    def care(self, code: str) -> Care:
        """Who answers for the machine; the crew for one nobody planned."""
        return self.plant.machine(code).care if self.knows(code) else Care.CREW

    def condition(self, code: str, at_us: int) -> str | None:
        """The failure mode at work, or None for a sound machine."""
        if not self.knows(code):
            return None
        since_us = self._since(code, Repair.MACHINE)
        faults = [plan.fault(self.live_us) for plan in self.plant.machine(code).faults]
        found = [f for f in faults if since_us < f.onset_us <= at_us]
        return found[0].mode if found else None

    def lying_sensor(self, code: str, at_us: int) -> str | None:
        """The signal whose sensor lies, or None."""
        if not self.knows(code):
            return None
        since_us = self._since(code, Repair.SENSOR)
        faults = [plan.fault(self.live_us) for plan in self.plant.machine(code).sensor_faults]
        found = [f for f in faults if since_us < f.start_us <= at_us < f.end_us]
        return found[0].signal if found else None

    def mended(self, code: str, at_us: int, what: Repair) -> None:
        """Somebody put it right."""
        with self._lock:
            self._mended[code, what] = at_us

    def _since(self, code: str, what: Repair) -> int:
        with self._lock:
            return self._mended.get((code, what), 0)
