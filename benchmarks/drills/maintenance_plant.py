"""Recorded samples for the drill of maintenance: pumps with a daily load, of which some wear. Pure, but for storing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from psycopg import Connection

from core.database import Database
from plant import assets, rollups, telemetry
from plant.model import Floats, Int64s, Role, SampleBatch

T0 = datetime(2026, 3, 2, tzinfo=UTC)
STEP_S = 120
SIGNALS = {
    "state": ("state", "", Role.STATE),
    "load": ("ratio", "%", Role.SETPOINT),
    "flow": ("flow", "m3/h", Role.MEASURED),
    "current": ("current", "A", Role.MEASURED),
    "vibration": ("vibration_velocity", "mm/s", Role.MEASURED),
    "bearing_temp": ("temperature", "°C", Role.MEASURED),
}
FIRST_ONSET_H = 110.0
NEXT_ONSET_H = 9.0  # after the one before: independent faults do not begin together
FULL_H = 60.0  # from onset to failure


@dataclass(frozen=True, slots=True)
class Pump:
    """One machine; ``onset_h`` None: it stays well."""

    asset_id: int
    signals: Mapping[str, int]
    onset_h: float | None


def build(conn: Connection, *, worn: int, well: int) -> list[Pump]:
    """The pumps with their signals, in the caller's transaction on a site."""
    conn.execute("""insert into engineers (name, skills) values ('Wang', '{"mechanical": 3}')""")
    return [
        _pump(conn, number, FIRST_ONSET_H + NEXT_ONSET_H * number if number < worn else None)
        for number in range(worn + well)
    ]


def _pump(conn: Connection, number: int, onset_h: float | None) -> Pump:
    asset_id = assets.create_asset(conn, code=f"P-{101 + number}", name=f"Pump {number}", asset_class="pump")
    made = {
        code: assets.create_signal(
            conn, asset_id=asset_id, code=code, name=code, quantity=quantity, unit=unit, period_s=STEP_S, role=role
        )
        for code, (quantity, unit, role) in SIGNALS.items()
    }
    return Pump(asset_id, made, onset_h)


def record(pumps: list[Pump], hours: float, seed: int) -> SampleBatch:
    """What was recorded of all pumps, ordered by time: every signal every STEP_S."""
    chance = np.random.default_rng(seed)
    steps = np.arange(1, round(hours * 3600 / STEP_S) + 1)
    at_us = telemetry.to_us(T0) + STEP_S * 1_000_000 * steps.astype(np.int64)
    ids, values = [], []
    for pump in pumps:
        columns = _values(pump, steps * STEP_S / 3600, chance)
        ids += [pump.signals[code] for code in columns]
        values += list(columns.values())
    count = len(ids)
    return SampleBatch(
        np.tile(np.array(ids, np.int32), len(steps)),
        np.repeat(at_us, count),
        np.stack(values, axis=1).reshape(-1),
        np.zeros(count * len(steps), np.uint8),
    )


def _values(pump: Pump, hours: Floats, chance: np.random.Generator) -> dict[str, Floats]:
    def noise(size: float) -> Floats:
        return size * chance.standard_normal(len(hours))

    wear = np.zeros(len(hours))
    if pump.onset_h is not None:
        wear = np.clip((hours - pump.onset_h) / FULL_H, 0.0, None) ** 1.2
    load = np.round(75 + 15 * np.sin(hours * 2 * np.pi / 24) + 5 * np.sin(hours * 2 * np.pi / 5), 0)
    return {
        "state": np.ones(len(hours)),
        "load": load,
        "flow": 0.8 * load + noise(0.4),
        "current": 10 + 0.2 * load + 1.5 * wear + noise(0.2),
        "vibration": 1.5 + 0.008 * load + 4.0 * wear + noise(0.12),
        "bearing_temp": 45 + 0.15 * load + 25 * wear + noise(0.5),
    }


def cuts(batch: SampleBatch, pieces: int) -> list[SampleBatch]:
    """The same samples in consecutive pieces; what was heard at one moment stays together."""
    moments = np.unique(batch.at_us)
    edges = [moments[len(moments) * number // pieces] for number in range(1, pieces)]
    places = [0, *np.searchsorted(batch.at_us, edges).tolist(), len(batch)]
    return [part(batch, slice(low, high)) for low, high in pairwise(places) if high > low]


def part(batch: SampleBatch, rows: slice | Int64s) -> SampleBatch:
    """Some rows of it."""
    return SampleBatch(*(getattr(batch, name)[rows] for name in SampleBatch.__slots__))


def store(database: Database, site_id: int, batch: SampleBatch) -> datetime:
    """Store a piece as ingest does and wake the detectors; returns the time of its last sample."""
    sites = np.full(len(batch), site_id, np.int16)
    with database.ingest_tx() as conn:
        telemetry.ensure_days(conn, np.unique(batch.at_us // telemetry.DAY_US).tolist())
        telemetry.write(conn, batch, site_ids=sites)
        newest = np.flatnonzero(batch.at_us == batch.at_us[-1])
        rollups.upsert_latest(conn, part(batch, newest), site_ids=sites[newest])
        conn.execute("select pg_notify('millwright_samples', '')")
    return telemetry.from_us(int(batch.at_us[-1]))
