"""An alarm → its forecast, kept as a prediction at most once every plant hour.

a model learnt from the class's own failures          where there is one   (life.learned)
else fleet similarity of health curves                with three lives     (life.similar)
else growth laws on the alarm's health curve                               (detectors.prognosis)
     └──> corrected by its own record, once twenty failures have scored it (life.scoring)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from psycopg import Connection

from detectors import prognosis
from maintenance import decide, store
from maintenance.life import learned, outcomes, scoring, similar
from maintenance.life.similar import Past
from maintenance.model import Cost, Forecast, Policy
from maintenance.store import KeptAlarm
from plant import assets
from plant.model import Asset, Floats

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
    outcomes.keep_base(conn, prediction_id, forecast)
    return Outlook(prediction_id, forecast, fresh=True)


def predict(conn: Connection, kept: KeptAlarm, *, at: datetime, policy: Policy) -> Forecast | None:
    """Remaining life by the best there is; None when there is neither a model nor a trend yet."""
    asset = assets.asset(conn, kept.asset_id)
    found = learned.forecast(conn, asset, kept.mode, at=at, horizon_h=policy.horizon / HOUR) or by_health(
        conn, asset, kept, at=at, policy=policy
    )
    if found is None:
        return None
    return scoring.corrected(found, outcomes.places(conn, model=found.model, asset_class=asset.asset_class))


def by_health(conn: Connection, asset: Asset, kept: KeptAlarm, *, at: datetime, policy: Policy) -> Forecast | None:
    """From the health curve since the deviation began: growth laws, and what was left of similar machines."""
    at_h, health, origin = curve(conn, kept)
    if origin is None:
        return None
    life = prognosis.remaining_life(
        at_h, health, now_h=(at - origin) / HOUR, horizon_h=policy.horizon / HOUR, seed=kept.alarm_id
    )
    if life is None:
        return None
    p10, p50, p90 = (float(np.clip(hours, 0.0, LONGEST_H)) for hours in (life.p10_h, life.p50_h, life.p90_h))
    laws = Forecast(p10, p50, p90, float(life.p_fail_horizon), policy.horizon / HOUR, life.model, life.version)
    return similar.forecast(at_h, health, past(conn, asset, kept.mode), laws=laws) or laws


def curve(conn: Connection, kept: KeptAlarm) -> tuple[Floats, Floats, datetime | None]:
    """(hours since the deviation began, health, when it began) of an alarm; empty and None without any health."""
    points = store.health_curve(conn, kept.alarm_id)
    if points and kept.alarm.started_at < points[0][0]:
        points = [(kept.alarm.started_at, NEW), *points]
    if not points:
        return np.empty(0), np.empty(0), None
    origin = points[0][0]
    at_h = np.array([(moment - origin) / HOUR for moment, _ in points])
    return *even(at_h, np.array([health for _, health in points])), origin


def past(conn: Connection, asset: Asset, mode: str) -> list[Past]:
    """How machines of the class went to their failures, as their alarms saw it."""
    found = []
    for alarm_id, ended_at in outcomes.failed_alarms(conn, asset_class=asset.asset_class, mode=mode):
        at_h, health, origin = curve(conn, store.alarm(conn, alarm_id))
        if origin is not None and len(at_h) >= prognosis.LEAST_POINTS:
            found.append(Past(at_h, 1.0 - np.clip(health, 0.0, 1.0), max((ended_at - origin) / HOUR, float(at_h[-1]))))
    return found


def even(at_h: Floats, health: Floats) -> tuple[Floats, Floats]:
    """At most about POINTS points, evenly in time (the last of each cell): a talkative hour must not outweigh days."""
    cell = np.floor((at_h - at_h[0]) / max((at_h[-1] - at_h[0]) / POINTS, 1e-9))
    last = np.flatnonzero(np.diff(cell, append=np.inf))
    return at_h[last], health[last]
