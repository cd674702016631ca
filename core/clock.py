"""The one plant clock of an instance, kept in the database and read by every process.

``plant = plant_anchor + (wall - wall_anchor) * factor``. A live plant has factor 1 and offset 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg import Connection


def wall_now() -> datetime:
    """The machine's own time (aware, UTC); the only place that reads it."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """Turns wall time into plant time and back."""

    wall_anchor: datetime
    plant_anchor: datetime
    factor: float

    def now(self) -> datetime:
        """Plant time now."""
        return self.plant(wall_now())

    def plant(self, wall: datetime) -> datetime:
        return self.plant_anchor + (wall - self.wall_anchor) * self.factor

    def wall(self, plant: datetime) -> datetime:
        return self.wall_anchor + (plant - self.plant_anchor) / self.factor

    @property
    def offset(self) -> timedelta:
        """Plant time minus wall time, now."""
        wall = wall_now()
        return self.plant(wall) - wall


LIVE = Clock(datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), 1.0)


def load(conn: Connection) -> Clock:
    """The instance's clock."""
    row = conn.execute("select wall_anchor, plant_anchor, factor from plant_clock").fetchone()
    return Clock(*row) if row else LIVE


def set_clock(conn: Connection, *, plant_now: datetime, factor: float) -> Clock:
    """Make plant time ``plant_now`` from now on, running ``factor`` times as fast as the wall."""
    wall = wall_now()
    conn.execute("update plant_clock set wall_anchor = %s, plant_anchor = %s, factor = %s", (wall, plant_now, factor))
    return Clock(wall, plant_now, factor)
