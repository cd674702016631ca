"""Health curves of alarms, as the detector that speaks most about each sees it. SQL; locks nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

import numpy as np
from psycopg import Connection

from plant.model import Floats

HOUR = timedelta(hours=1)
NEW = 1.0  # health where the deviation began
POINTS = 100
HEALTH: LiteralString = """
  with said as (
    select alarm_id, detector, count(*) as points from health_points where alarm_id = any(%(ids)s)
    group by alarm_id, detector),
  most as (select distinct on (alarm_id) alarm_id, detector from said order by alarm_id, points desc, detector)
  select l.alarm_id, l.started_at, h.at, h.health from alarms l
  join most m using (alarm_id) join health_points h on h.alarm_id = m.alarm_id and h.detector = m.detector
  where l.alarm_id = any(%(ids)s) order by l.alarm_id, h.at"""


@dataclass(frozen=True, slots=True)
class Curve:
    """``health`` 1 … 0 float64[n] at ascending ``at_h`` float64[n] hours since ``origin``, when the deviation began."""

    at_h: Floats
    health: Floats
    origin: datetime


def of(conn: Connection, alarm_ids: Sequence[int]) -> dict[int, Curve]:
    """Alarm → its curve; an alarm without any health is not in it."""
    rows = conn.execute(HEALTH, {"ids": list(alarm_ids)}).fetchall()
    points: dict[int, list[tuple[datetime, float]]] = {}
    for alarm_id, started_at, at, health in rows:
        mine = points.setdefault(alarm_id, [])
        if not mine and started_at < at:
            mine.append((started_at, NEW))
        mine.append((at, health))
    return {alarm_id: _curve(mine) for alarm_id, mine in points.items()}


def _curve(points: Sequence[tuple[datetime, float]]) -> Curve:
    origin = points[0][0]
    at_h = np.array([(moment - origin) / HOUR for moment, _ in points])
    return Curve(*even(at_h, np.array([health for _, health in points])), origin)


def even(at_h: Floats, health: Floats) -> tuple[Floats, Floats]:
    """At most about POINTS points, evenly in time (the last of each cell): a talkative hour must not outweigh days."""
    cell = np.floor((at_h - at_h[0]) / max((at_h[-1] - at_h[0]) / POINTS, 1e-9))
    last = np.flatnonzero(np.diff(cell, append=np.inf))
    return at_h[last], health[last]
