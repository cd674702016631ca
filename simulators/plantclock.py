"""Plant time as a simulator sees it: taken from the instance's public clock, then carried on by the wall."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

import httpx


@dataclass(frozen=True, slots=True)
class PlantClock:
    """``plant = plant_us + (wall - wall_us) * factor``, all µs since the epoch."""

    wall_us: int
    plant_us: int
    factor: float

    def now_us(self) -> int:
        """Plant time now in µs since the epoch."""
        return self.at_us(_wall_us())

    def at_us(self, wall_us: int) -> int:
        """Plant time at a wall time, both µs since the epoch."""
        return self.plant_us + round((wall_us - self.wall_us) * self.factor)

    def differs(self, other: PlantClock) -> bool:
        """Whether it runs otherwise, or is more than two wall seconds of plant time apart."""
        apart_us = abs(self.now_us() - other.now_us())
        return self.factor != other.factor or apart_us > 2_000_000 * max(self.factor, 1.0)

    def wall_s(self, plant_s: float) -> float:
        """How long a span of plant time lasts on the wall, in seconds."""
        return plant_s / self.factor


def started_at(plant_us: int, *, factor: float) -> PlantClock:
    """A clock that shows ``plant_us`` now and runs ``factor`` times as fast as the wall."""
    return PlantClock(_wall_us(), plant_us, factor)


def live() -> PlantClock:
    """The wall clock itself."""
    return PlantClock(0, 0, 1.0)


def fetch(base_url: str, *, timeout_s: float = 10.0) -> PlantClock:
    """The instance's clock by ``GET {base_url}/api/v1/clock``; raises httpx.HTTPError."""
    before = _wall_us()
    answer = httpx.get(f"{base_url}/api/v1/clock", timeout=timeout_s, trust_env=False)
    after = _wall_us()
    answer.raise_for_status()
    body = answer.json()
    now = datetime.fromisoformat(body["now"])
    return PlantClock((before + after) // 2, round(now.timestamp() * 1_000_000), float(body["factor"]))


def _wall_us() -> int:
    return time.time_ns() // 1000
