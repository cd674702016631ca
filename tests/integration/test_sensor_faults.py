"""Each fault of a sensor, from samples to tickets: instrumentation is called, and nobody is sent to the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from psycopg import Connection

from core import clock
from core.database import Database
from core.embedded import EmbeddedServer
from detectors.base import Finding
from detectors.runner import Runner
from maintenance import service
from maintenance.turn import Groups
from plant import assets, rollups, telemetry
from plant.model import Floats, Quality, SampleBatch
from tests.api_world import cloned
from tests.detector_machines import COLUMN, SIGNALS, START_US, live
from tickets import hooks
from tickets import store as tickets_store

FROM, ROWS = 5_200, 5_700  # the fault begins after three days and a half of health
Bad = np.ndarray


def stuck(values: Floats, _bad: Bad) -> None:
    values[FROM:, COLUMN["vibration"]] = values[FROM, COLUMN["vibration"]]


def saturated(values: Floats, _bad: Bad) -> None:
    values[FROM:, COLUMN["bearing_temp"]] = 150.0  # the end of its range, where every value is cut


def silent(values: Floats, _bad: Bad) -> None:
    values[FROM:, COLUMN["bearing_temp"]] = np.nan


def bad_quality(_values: Floats, bad: Bad) -> None:
    bad[FROM:, COLUMN["flow"]] = True


def out_of_range(values: Floats, _bad: Bad) -> None:
    values[FROM:, COLUMN["pressure"]] = 20.0


def spike(values: Floats, _bad: Bad) -> None:
    values[FROM : FROM + 100 : 12, COLUMN["current"]] += 120.0


def jump(values: Floats, _bad: Bad) -> None:
    values[FROM:, COLUMN["bearing_temp"]] += 60.0


# what was done to the sensor → what its alarm is called; a value cut at the end of the range is stuck there
FAULTS: dict[str, tuple[Callable[[Floats, Bad], None], str]] = {
    "stuck": (stuck, "sensor:vibration:stuck"),
    "saturated": (saturated, "sensor:bearing_temp:stuck"),
    "silent": (silent, "sensor:bearing_temp:silent"),
    "bad": (bad_quality, "sensor:flow:bad_quality"),
    "range": (out_of_range, "sensor:pressure:out_of_range"),
    "spike": (spike, "sensor:current:spike"),
    "jump": (jump, "sensor:bearing_temp:jump"),
}


def machine(database: Database, site: int, code: str) -> int:
    """A pump with this fault, its whole life stored."""
    with database.tx(site_id=site) as conn:
        asset_id = assets.create_asset(conn, code=code, name=code, asset_class="pump", criticality=3)
        ids = [
            assets.create_signal(
                conn, asset_id=asset_id, code=each.code, name=each.name, quantity=each.quantity, unit=each.unit,
                low=each.low, high=each.high, period_s=60, role=each.role,
            )
            for each in SIGNALS
        ]  # fmt: skip
    life = live(len(code), 5)
    values, bad = life.values[:ROWS].copy(), np.zeros((ROWS, len(SIGNALS)), np.bool_)
    FAULTS[code][0](values, bad)
    rows, columns = np.nonzero(np.isfinite(values))
    batch = SampleBatch(
        np.array(ids, np.int32)[columns], life.at_us[rows], values[rows, columns],
        np.where(bad[rows, columns], Quality.BAD, Quality.GOOD).astype(np.uint8),
    )  # fmt: skip
    store(database, site, batch)
    return asset_id


def store(database: Database, site: int, batch: SampleBatch) -> None:
    sites = np.full(len(batch), site, np.int16)
    newest = [int(np.flatnonzero(batch.signal_id == each)[-1]) for each in np.unique(batch.signal_id)]
    last = SampleBatch(*(getattr(batch, name)[newest] for name in SampleBatch.__slots__))
    with database.ingest_tx() as conn:
        telemetry.ensure_days(conn, np.unique(batch.at_us // telemetry.DAY_US).tolist())
        telemetry.write(conn, batch, site_ids=sites)
        rollups.upsert_latest(conn, last, site_ids=sites[newest])


def alone(conn: Connection, said: Sequence[Finding], now: datetime) -> object:
    """Seven machines fail here in the same minute by chance: nobody looks for a common cause."""
    return service.on_findings(conn, said, now, groups=Groups.OFF)


@pytest.fixture(scope="module")
def orders(server: EmbeddedServer) -> Iterator[dict[str, list[tuple[str, str | None]]]]:
    """What each machine's samples led to: (kind, mode) of its tickets."""
    with cloned(server) as database, hooks.only():
        with database.tx() as conn:
            row = conn.execute("insert into sites (code, name) values ('s', 's') returning site_id").fetchone()
            clock.set_clock(conn, plant_now=datetime.fromtimestamp(START_US / 1e6, UTC) + timedelta(days=5), factor=1.0)
        site = int(row[0]) if row else 0
        made = {code: machine(database, site, code) for code in FAULTS}
        Runner(database, clock.load, service.on_finding, on_findings=alone).run_once()
        with database.tx(site_id=site) as conn:
            found = tickets_store.find(conn, tickets_store.Filter(), limit=200).items
            yield {
                code: [(each.kind.value, each.mode) for each in found if each.asset_id == asset_id]
                for code, asset_id in made.items()
            }


@pytest.mark.parametrize("code", FAULTS)
def test_a_sensor_s_fault_calls_instrumentation_and_nobody_to_the_machine(
    orders: dict[str, list[tuple[str, str | None]]], code: str
) -> None:
    assert ("sensor-fault", FAULTS[code][1]) in orders[code]
    assert {kind for kind, _ in orders[code]} == {"sensor-fault"}
