"""The models of a class, one for each failure mode that has one, look at each of its machines, step by step, and say
when failure is near. SQL.

    samples judged up to the watermark ──> steps not looked at yet ──> P(fails within the policy's horizon)
                    crosses one half ──> finding ──> alarm, forecast, decision, order      falls clearly ──> ended

For a class with a model no deviation need be found first: wear that no limit sees is what such a model is for. The
horizon of the class's maintenance policy is the lead that is wanted before a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from psycopg import Connection

from detectors.base import Finding, FindingKind, Sentence
from maintenance import policies, service
from maintenance.life import boosted, histories, learned
from maintenance.life.boosted import LifeModel, Seen
from maintenance.life.histories import HOUR
from maintenance.life.learned import Kept
from plant import assets
from plant.model import Asset, Floats
from plant.times import from_us

DETECTOR = "remaining-life"
NEAR = 0.5  # P(fails within the horizon) from which it speaks
FAR = 0.25  # … and below which it takes that back
SURPRISE = 2.0  # −log10 of how often it may be wrong; the chance itself is in the forecast
MACHINES = 20  # looked at in a round
STEPS = 48  # of one machine in a round
STRONGEST = 6  # signals named as contributing


@dataclass(frozen=True, slots=True)
class Watched:
    """How far a machine has been looked at."""

    asset_id: int
    looked_at: datetime | None
    telling_since: datetime | None
    until: datetime


def look(conn: Connection, now: datetime) -> int:
    """Look at the machines that have new steps, the longest waiting first; returns how many steps were looked at."""
    due = [(watched, kept) for kept in learned.all_standing(conn) for watched in _due(conn, kept)]
    steps = 0
    for watched, kept in sorted(
        due, key=lambda each: (each[0].asset_id, each[1].mode)
    ):  # machines are locked in this order everywhere
        steps += _look_at(conn, assets.asset(conn, watched.asset_id), kept, watched, now)
    return steps


def _due(conn: Connection, kept: Kept) -> list[Watched]:
    rows = conn.execute(
        """select a.asset_id, w.looked_at, w.telling_since, m.watermark_us from assets a
           join asset_watermarks m using (asset_id)
           left join life_watches w on w.asset_id = a.asset_id and w.mode = %s
           where a.class = %s
             and (w.looked_at is null or m.watermark_us >= extract(epoch from w.looked_at) * 1e6 + %s)
           order by w.looked_at nulls first, a.asset_id limit %s""",
        (kept.mode, kept.asset_class, kept.step_h * histories.HOUR_US, MACHINES),
    ).fetchall()
    return [Watched(row[0], row[1], row[2], from_us(row[3])) for row in rows]


def _look_at(conn: Connection, asset: Asset, kept: Kept, watched: Watched, now: datetime) -> int:
    start = histories.began(conn, asset.asset_id, before=watched.until)
    signals = histories.measured(conn, asset.asset_id)
    model = learned.model_of(conn, kept)
    if start is None:  # nothing is rolled up yet: next round
        return 0
    if model is None or not set(kept.signals) <= signals.keys():
        _looked(conn, asset.asset_id, kept.mode, at=watched.until, since=None)
        return 0
    step = kept.step_h * HOUR
    first = max(0, int(((watched.looked_at or start) - start) / step))
    last = min(int((watched.until - start) / step), first + STEPS)
    if last <= first:
        return 0
    ids = [signals[code] for code in kept.signals]
    values = histories.grid(conn, ids, start=start, end=start + last * step, step_h=kept.step_h)
    first = max(first, last - len(values))
    horizon_h = policies.of(conn, asset, kept.mode).horizon / HOUR
    seen = model.seen(values, newest=last - first, within=horizon_h / kept.step_h)
    since = watched.telling_since
    for number, one in enumerate(seen, first + 1):
        at = start + number * step
        before, since = since, _since(since, one, at)
        if before is not None or since is not None:
            shares = _shares(model, values[: len(values) - (last - number)], ids)
            finding = _finding(asset, kept, one, shares, since=since or before or at, at=at, horizon_h=horizon_h)
            service.on_finding(
                conn, finding if since else replace(finding, active=False, surprise=0.0, health=1.0), now
            )
    _looked(conn, asset.asset_id, kept.mode, at=start + last * step, since=since)
    return last - first


def _since(since: datetime | None, seen: Seen, at: datetime) -> datetime | None:
    """Since when it says so, after this step."""
    if since is None:
        return at if seen.chance >= NEAR else None
    return None if seen.chance < FAR else since


def _finding(
    asset: Asset,
    kept: Kept,
    seen: Seen,
    shares: Mapping[int, float],
    *,
    since: datetime,
    at: datetime,
    horizon_h: float,
) -> Finding:
    values = {"left": seen.expected * kept.step_h, "percent": 100 * seen.chance, "hours": horizon_h}
    return Finding(
        detector=DETECTOR, version=f"{boosted.VERSION}.{kept.number}", kind=FindingKind.MACHINE,
        asset_id=asset.asset_id, site_id=asset.site_id, failure_mode=kept.mode, started_at=since, at=at,
        surprise=SURPRISE, active=True, contributions={key: abs(share) for key, share in shares.items()},
        directions={key: 1 if share > 0 else -1 for key, share in shares.items()}, health=seen.health,
        sentence=Sentence("life", values),
    )  # fmt: skip


def _shares(model: LifeModel, values: Floats, ids: list[int]) -> dict[int, float]:
    """How much each signal moved since the life began, signed, as a share of the strongest ones' movement."""
    moved = model.moved(values)
    strongest = sorted(range(len(ids)), key=lambda column: -abs(moved[column]))[:STRONGEST]
    total = float(np.sum(np.abs(moved[strongest]))) or 1.0
    return {ids[column]: float(moved[column]) / total for column in strongest if moved[column] != 0.0}


def _looked(conn: Connection, asset_id: int, mode: str, *, at: datetime, since: datetime | None) -> None:
    conn.execute(
        """insert into life_watches (asset_id, mode, looked_at, telling_since) values (%s, %s, %s, %s)
           on conflict (asset_id, mode) do update
             set looked_at = excluded.looked_at, telling_since = excluded.telling_since""",
        (asset_id, mode, at, since),
    )
