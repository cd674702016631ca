"""An alarm → its forecast, kept as a prediction at most once every plant hour.

the hazard by the machine's logs               where that spoke first     (life.hazards)
else a model of the class's own failures       where there is one         (life.learned)
else fleet similarity of health curves                with three lives     (life.similar)
else growth laws on the alarm's health curve                               (detectors.prognosis)
     └──> corrected by its own record, once twenty failures have scored it (life.scoring)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from psycopg import Connection

from detectors import event_hazard, prognosis
from maintenance import decide, store
from maintenance.life import curves, hazards, learned, outcomes, scoring, similar
from maintenance.life.curves import Curve
from maintenance.life.similar import Past
from maintenance.model import Cost, Forecast, Policy
from maintenance.store import KeptAlarm
from plant import assets
from plant.model import Asset
from plant.times import to_us

HOUR = timedelta(hours=1)
LONGEST_H = 24.0 * 365 * 10  # a longer life is said as this


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
    horizon_h = policy.horizon / HOUR
    if kept.detector == event_hazard.NAME:
        found: Forecast | None = hazards.forecast(kept.health, horizon_h=horizon_h)
    else:
        found = learned.forecast(conn, asset, kept.mode, at=at, horizon_h=horizon_h) or by_health(
            conn, asset, kept, at=at, policy=policy
        )
    if found is None:
        return None
    return scoring.corrected(found, outcomes.places(conn, model=found.model, asset_class=asset.asset_class))


def by_health(conn: Connection, asset: Asset, kept: KeptAlarm, *, at: datetime, policy: Policy) -> Forecast | None:
    """From the health curve since the deviation began: growth laws, and what was left of similar machines."""
    curve = curves.of(conn, [kept.alarm_id]).get(kept.alarm_id)
    if curve is None:
        return None
    life = prognosis.remaining_life(
        curve.at_h, curve.health, now_h=(at - curve.origin) / HOUR, horizon_h=policy.horizon / HOUR,
        seed=seed(asset.code, kept.mode, kept.alarm.started_at),
    )  # fmt: skip
    if life is None:
        return None
    p10, p50, p90 = (float(np.clip(hours, 0.0, LONGEST_H)) for hours in (life.p10_h, life.p50_h, life.p90_h))
    laws = Forecast(p10, p50, p90, float(life.p_fail_horizon), policy.horizon / HOUR, life.model, life.version)
    return similar.forecast(curve.at_h, curve.health, past(conn, asset, kept.mode), laws=laws) or laws


def seed(asset_code: str, mode: str, started_at: datetime) -> int:
    """A seed by what an alarm is about: the same in every database that has the same plant. Pure."""
    said = f"{asset_code}\n{mode}\n{to_us(started_at)}".encode()
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest())


def past(conn: Connection, asset: Asset, mode: str) -> list[Past]:
    """How machines of the class went to their failures, as their alarms saw it. Locks none of them."""
    failed = outcomes.failed_alarms(conn, asset_class=asset.asset_class, mode=mode)
    known = curves.of(conn, [alarm_id for alarm_id, _ in failed]) if failed else {}
    return [
        _past(known[alarm_id], ended_at)
        for alarm_id, ended_at in failed
        if alarm_id in known and len(known[alarm_id].at_h) >= prognosis.LEAST_POINTS
    ]


def _past(curve: Curve, ended_at: datetime) -> Past:
    damage = 1.0 - np.clip(curve.health, 0.0, 1.0)
    return Past(curve.at_h, damage, max((ended_at - curve.origin) / HOUR, float(curve.at_h[-1])))
