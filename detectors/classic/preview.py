"""What an alarm rule would have raised over recorded history, by the engine that judges live. SQL and judgement.

Large plants are looked at for as many days and machines as fit a bounded number of samples; the answer says how many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from psycopg import Connection

from detectors.base import Finding, Frame
from detectors.classic.judge import Judge
from detectors.classic.model import AlarmRule, InForce, Kind, check_units
from detectors.frames import SECOND_US, build_frames, grid_step_us, look_back_us
from plant import assets, telemetry
from plant.model import Asset, Signal

MOST_SAMPLES = 4_000_000
MOST_SHOWN = 20
DAY_US = 86_400 * SECOND_US


@dataclass(frozen=True, slots=True)
class Episode:
    """From when to when the rule would have held on a machine; ``until`` None: it still did at the end."""

    asset_id: int
    asset_code: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Preview:
    """``raised`` alarms in ``days`` on ``looked_at`` of ``machines`` that it fits; the newest episodes of them.

    ``lacking``: machines that it fits, but that lack signals of each of its groups. ``loudest``: alarms by machine.
    """

    days: float
    raised: int
    machines: int
    looked_at: int
    lacking: Sequence[str]
    loudest: Sequence[tuple[str, int]]
    episodes: Sequence[Episode]


def preview(conn: Connection, rule: AlarmRule, *, days: float, now: datetime) -> Preview:
    """Raises BadAlarmRule when a unit does not measure what a signal does."""
    fitting = [each for each in assets.assets(conn) if rule.fits(each)]
    by_asset: dict[int, list[Signal]] = {each.asset_id: [] for each in fitting}
    for signal in assets.signals_of_site(conn):
        if signal.asset_id in by_asset:
            by_asset[signal.asset_id].append(signal)
    check_units(rule, [each for signals in by_asset.values() for each in signals if each.code in rule.signals()])
    machines = [each for each in fitting if rule.groups_for(by_asset[each.asset_id])]
    chosen, days = _affordable(machines, by_asset, rule, days)
    found = [each for asset in chosen for each in _episodes(conn, rule, asset, by_asset[asset.asset_id], days, now)]
    counts = {asset.code: sum(each.asset_id == asset.asset_id for each in found) for asset in chosen}
    loudest = sorted(((code, n) for code, n in counts.items() if n), key=lambda each: (-each[1], each[0]))
    newest = sorted(found, key=lambda each: each.since, reverse=True)[:MOST_SHOWN]
    lacking = [each.code for each in fitting if by_asset[each.asset_id] and each not in machines]
    return Preview(days, len(found), len(machines), len(chosen), lacking, loudest[:MOST_SHOWN], newest)


def _needed(rule: AlarmRule, signals: Sequence[Signal]) -> list[Signal]:
    """The signals to read: all where silence is asked about, for rows on which nothing is heard are not judged."""
    silent = any(each.kind is Kind.MISSING for group in rule.any for each in group.all)
    wanted = rule.signals()
    return [each for each in signals if silent or each.code in wanted or (rule.while_running and each.role == "state")]


def _affordable(
    machines: Sequence[Asset], by_asset: dict[int, list[Signal]], rule: AlarmRule, days: float
) -> tuple[Sequence[Asset], float]:
    """Fewer days first, then fewer machines, so that at most ``MOST_SAMPLES`` are read."""
    a_day = [
        sum(86_400 / max(each.period_s, 1.0) for each in _needed(rule, by_asset[asset.asset_id])) for asset in machines
    ]
    total = sum(a_day)
    if total * days <= MOST_SAMPLES:
        return machines, days
    days = max(1.0, MOST_SAMPLES / total)
    kept = int(np.searchsorted(np.cumsum(a_day) * days, MOST_SAMPLES, side="right"))
    return machines[: max(kept, 1)], days


def _episodes(
    conn: Connection, rule: AlarmRule, asset: Asset, signals: Sequence[Signal], days: float, now: datetime
) -> list[Episode]:
    until_us = telemetry.to_us(now)
    from_us = telemetry.to_us(now - timedelta(days=days))
    judge = Judge(InForce(0, 0, rule, from_us, None), asset, signals)
    said: list[Finding] = []
    for start in range(from_us, until_us, DAY_US):
        frame = _frame(conn, rule, signals, start, min(start + DAY_US, until_us))
        said += judge.rows(frame)
    return _paired(asset, said)


def _frame(conn: Connection, rule: AlarmRule, signals: Sequence[Signal], after_us: int, until_us: int) -> Frame:
    """Rows as a line makes them: the grid of all signals, without rows on which nothing was heard."""
    step_us = grid_step_us(signals)
    ids = [each.signal_id for each in _needed(rule, signals)]
    batch = telemetry.read_frame_samples(conn, ids, after_us - look_back_us(signals, step_us=step_us), until_us)
    frame = build_frames(batch, signals, after_us=after_us, until_us=until_us, step_us=step_us)
    heard = np.isfinite(frame.values).any(axis=1) | frame.bad.any(axis=1)
    return Frame(frame.asset_id, signals, frame.at_us[heard], frame.values[heard], frame.bad[heard], frame.state[heard])


def _paired(asset: Asset, said: Sequence[Finding]) -> list[Episode]:
    found: list[Episode] = []
    for each in said:
        ongoing = bool(found) and found[-1].until is None
        if each.active and not ongoing:
            found.append(Episode(asset.asset_id, asset.code, each.at, None))
        elif not each.active and ongoing:
            found[-1] = Episode(asset.asset_id, asset.code, found[-1].since, each.at)
    return found
