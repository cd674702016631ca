"""The health curve of an alarm → its forecast, kept as a prediction at most once every plant hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from psycopg import Connection

from detectors import prognosis
from maintenance import decide, store
from maintenance.model import Cost, Forecast, Policy
from maintenance.store import KeptAlarm
from plant.model import Floats

HOUR = timedelta(hours=1)
LONGEST_H = 24.0 * 365 * 10  # a longer life is said as this
NEW = 1.0  # health where the deviation began
POINTS = 100


@dataclass(frozen=True, slots=True)
class Outlook:
    """The newest prediction of an alarm; ``fresh``: made just now."""

    prediction_id: int
    forecast: Forecast | None
    fresh: bool


def refresh(
    conn: Connection, kept: KeptAlarm, *, at: datetime, cost: Cost, precision: float, policy: Policy
) -> Outlook:
    """The alarm's outlook at ``at``: the last prediction while it is young, else a new one."""
    last = store.last_prediction(conn, kept.alarm_id)
    if last and at - last[1] < policy.refresh:
        return Outlook(last[0], last[2], fresh=False)
    forecast = predict(conn, kept, at=at, policy=policy)
    risk = decide.expected_loss(forecast, health=kept.health, cost=cost, precision=precision)
    prediction_id = store.add_prediction(
        conn, kept, forecast, made_at=at, horizon_h=policy.horizon / HOUR, risk=risk, cost=cost
    )
    return Outlook(prediction_id, forecast, fresh=True)


def predict(conn: Connection, kept: KeptAlarm, *, at: datetime, policy: Policy) -> Forecast | None:
    """Remaining life from the health curve since the deviation began; None when there is no trend yet."""
    curve = store.health_curve(conn, kept.alarm_id)
    if curve and kept.alarm.started_at < curve[0][0]:
        curve = [(kept.alarm.started_at, NEW), *curve]
    if not curve:
        return None
    origin = curve[0][0]
    at_h, health = even(
        np.array([(moment - origin) / HOUR for moment, _ in curve]), np.array([health for _, health in curve])
    )
    life = prognosis.remaining_life(
        at_h,
        health,
        now_h=(at - origin) / HOUR,
        horizon_h=policy.horizon / HOUR,
        seed=kept.alarm_id,
    )
    if life is None:
        return None
    p10, p50, p90 = (float(np.clip(hours, 0.0, LONGEST_H)) for hours in (life.p10_h, life.p50_h, life.p90_h))
    return Forecast(p10, p50, p90, float(life.p_fail_horizon), policy.horizon / HOUR, life.model, life.version)


def even(at_h: Floats, health: Floats) -> tuple[Floats, Floats]:
    """At most about POINTS points, evenly in time (the last of each cell): a talkative hour must not outweigh days."""
    cell = np.floor((at_h - at_h[0]) / max((at_h[-1] - at_h[0]) / POINTS, 1e-9))
    last = np.flatnonzero(np.diff(cell, append=np.inf))
    return at_h[last], health[last]
