"""Meters that count by a signal: no hour is lost to data that come late, none is counted before they have come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from psycopg import Connection

from core.database import Database
from maintenance import meters
from maintenance.errors import BadReading
from plant import assets, telemetry
from plant.model import Role, SampleBatch
from plant.times import to_us

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


class Machine:
    """A pump with a state signal and its meter of running hours."""

    def __init__(self, database: Database, superuser: Connection, site: int, *, report: str) -> None:
        self.database, self.superuser, self.site = database, superuser, site
        with database.tx(site_id=site) as conn:
            self.asset = assets.create_asset(conn, code="P-1", name="Pump", asset_class="pump")
            self.signal = assets.create_signal(
                conn, asset_id=self.asset, code="run", name="run", quantity="generic", unit="1", period_s=60,
                role=Role.STATE,
            )  # fmt: skip
            assets.bind(conn, source="plc", tag="run", signal_id=self.signal)
            conn.execute("update bindings set report = %s where signal_id = %s", (report, self.signal))
            self.meter = meters.create(
                conn, asset_id=self.asset, code="h", name="Hours", unit="h", way="running_hours",
                signal_id=self.signal, now=T0,
            ).meter_id  # fmt: skip

    def heard(self, minutes: Sequence[int], value: float = 1.0) -> None:
        at = np.array([to_us(T0 + minute * MINUTE) for minute in minutes], np.int64)
        batch = SampleBatch(
            np.full(len(at), self.signal, np.int32), at, np.full(len(at), value), np.zeros(len(at), np.uint8)
        )
        with self.database.ingest_tx() as conn:
            telemetry.ensure_days(conn, np.unique(at // telemetry.DAY_US).tolist())
            telemetry.write(conn, batch, site_ids=np.full(len(at), self.site, np.int16))

    def known(self, hours: float) -> None:
        """Detectors have judged the machine up to there."""
        with self.database.tx(site_id=self.site) as conn:
            conn.execute(
                """insert into asset_watermarks (asset_id, watermark_us) values (%s, %s)
                   on conflict (asset_id) do update set watermark_us = excluded.watermark_us""",
                (self.asset, to_us(T0 + hours * HOUR)),
            )

    def late(self, minutes: Sequence[int], value: float = 1.0) -> None:
        self.heard(minutes, value)
        with self.database.tx(site_id=self.site) as conn:
            conn.execute(
                "insert into late_arrivals (asset_id, signals, from_us, until_us) values (%s, %s, %s, %s)",
                (self.asset, [self.signal], to_us(T0 + minutes[0] * MINUTE), to_us(T0 + minutes[-1] * MINUTE)),
            )

    def collect(self, hours: float) -> float:
        with self.database.tx(site_id=self.site) as conn:
            meters.collect(conn, T0 + hours * HOUR)
            return meters.get(conn, self.meter).total or 0.0


@pytest.fixture
def machine(database: Database, superuser: Connection, site: int) -> Machine:
    return Machine(database, superuser, site, report="periodic")


def test_a_meter_goes_no_further_than_all_samples_have_come(machine: Machine) -> None:
    machine.heard(range(60))
    machine.known(1)
    assert machine.collect(6) == pytest.approx(1.0, abs=0.02)
    machine.heard(range(60, 300))  # a gateway that was away sends what it kept
    machine.known(5)
    assert machine.collect(6) == pytest.approx(5.0, abs=0.02)


def test_what_comes_late_is_counted_with_the_next_reading_and_once(machine: Machine) -> None:
    machine.heard(range(60))
    machine.known(2)
    machine.collect(3)
    machine.heard([*range(120, 130), *range(300, 360)])
    machine.known(6)
    before = machine.collect(8)
    assert before == pytest.approx(1.25 + 0.4 + 1.0, abs=0.05)
    machine.late(range(130, 300))
    machine.heard(range(360, 420))
    machine.known(7.5)
    after = machine.collect(9)
    assert after == pytest.approx(6.25 + 0.25, abs=0.3) and after > 6
    machine.heard(range(450, 510))
    machine.known(9)
    assert machine.collect(11) == pytest.approx(after + 1.25, abs=0.3)


def test_a_state_told_on_change_holds_while_its_source_is_heard(
    database: Database, superuser: Connection, site: int
) -> None:
    machine = Machine(database, superuser, site, report="on_change")
    machine.heard([-600])  # it ran before the meter was made
    machine.known(20)
    assert machine.collect(21) == pytest.approx(20.0, abs=0.02)
    machine.heard([1201], 0.0)
    machine.known(40)
    assert machine.collect(41) == pytest.approx(20.0, abs=0.02)


def test_a_slow_state_counts_for_some_of_its_periods(database: Database, superuser: Connection, site: int) -> None:
    machine = Machine(database, superuser, site, report="periodic")
    superuser.execute("update signals set period_s = 1800 where signal_id = %s", (machine.signal,))
    machine.heard(range(-30, 240, 30))
    machine.known(4)
    assert machine.collect(6) == pytest.approx(4.0, abs=0.02)


def test_running_hours_are_told_by_hand_once_at_most(machine: Machine) -> None:
    with machine.database.tx(site_id=machine.site) as conn:
        meters.record(conn, machine.meter, value=12_000, at=T0, by_name="Lin")  # what it ran before it was watched
        with pytest.raises(BadReading, match="by itself"):
            meters.record(conn, machine.meter, value=12_500, at=T0 + HOUR, by_name="Lin")
    machine.heard(range(60))
    machine.known(1)
    assert machine.collect(6) == pytest.approx(12_001.0, abs=0.02)


def test_one_reading_tells_no_rate(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        pump = assets.create_asset(conn, code="P-2", name="Pump", asset_class="pump")
        meter = meters.create(
            conn, asset_id=pump, code="n", name="Starts", unit="1", way="by_hand", signal_id=None, now=T0
        ).meter_id
        meters.record(conn, meter, value=40.0, at=T0, by_name="Li")
        assert meters.rates(conn, [meter], now=T0 + HOUR)[meter] == meters.Rate(40.0, T0, None)
        meters.record(conn, meter, value=41.0, at=T0 + HOUR, by_name="Li")
        assert meters.rates(conn, [meter], now=T0 + 2 * HOUR)[meter].per_day is None
        meters.record(conn, meter, value=40.0 + 24.0, at=T0 + 24 * HOUR, by_name="Li")
        assert meters.rates(conn, [meter], now=T0 + 25 * HOUR)[meter].per_day == pytest.approx(24.0)
