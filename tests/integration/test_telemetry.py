"""Samples, last values, rollups and bands in a real database."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from psycopg import Connection, errors

from core.database import Database
from detectors.base import Band
from plant import rollups, telemetry
from plant.assets import create_asset, create_signal
from plant.model import Quality, SampleBatch
from plant.telemetry import Resolution, from_us, to_us

NOON = to_us(datetime(2026, 3, 1, 12, tzinfo=UTC))
SECOND = 1_000_000


def batch(*rows: tuple[int, int, float, Quality]) -> SampleBatch:
    ids, at, value, quality = zip(*rows, strict=True)
    return SampleBatch(
        np.array(ids, np.int32), np.array(at, np.int64), np.array(value, np.float64), np.array(quality, np.uint8)
    )


def ramp(signal_id: int, start_us: int, count: int, step_us: int = SECOND) -> SampleBatch:
    return SampleBatch(
        np.full(count, signal_id, np.int32),
        start_us + step_us * np.arange(count, dtype=np.int64),
        np.arange(count, dtype=np.float64),
        np.zeros(count, np.uint8),
    )


def store(database: Database, site: int, samples: SampleBatch) -> int:
    """As a flush does it; returns the highest batch id."""
    with database.ingest_tx() as conn:
        telemetry.ensure_days(conn, np.unique(samples.at_us // telemetry.DAY_US).tolist())
        telemetry.write(conn, samples, site_ids=np.full(len(samples), site, np.int16))
        return rollups.note(conn, rollups.touched(samples))


def roll(database: Database) -> None:
    with database.ingest_tx() as conn:
        while rollups.roll(conn, until_batch=2**62):
            pass


@pytest.fixture
def signal_id(database: Database, site: int) -> int:
    with database.tx(site_id=site) as conn:
        asset_id = create_asset(conn, code="P-1", name="Pump", asset_class="pump")
        return create_signal(conn, asset_id=asset_id, code="t", name="T", quantity="temperature", unit="°C")


def test_samples_come_back_bit_by_bit_over_a_day_boundary(database: Database, site: int) -> None:
    values = [0.1, -0.0, 5e-324, 1.7976931348623157e308, -1e-9]
    midnight = to_us(datetime(2026, 3, 2, tzinfo=UTC))
    rows = batch(*((index % 2 + 1, midnight + index - 2, value, Quality.GOOD) for index, value in enumerate(values)))
    store(database, site, rows)
    with database.tx(site_id=site) as conn:
        found = telemetry.read_frame_samples(conn, [1, 2], midnight - 3, midnight + 10)
        parts = conn.execute("select count(*) from sample_days()").fetchone()
    np.testing.assert_array_equal(found.at_us, rows.at_us)
    np.testing.assert_array_equal(found.signal_id, rows.signal_id)
    assert found.value.tobytes() == np.array(values).tobytes()
    assert parts == (2,)


def test_a_frame_window_is_open_at_its_start_and_has_bad_samples(database: Database, site: int) -> None:
    bad = (7, NOON + 2, math.nan, Quality.BAD)
    store(database, site, batch((7, NOON, 1.0, 0), (7, NOON + 1, 2.0, Quality.UNCERTAIN), bad, (8, NOON + 1, 9.0, 0)))
    with database.tx(site_id=site) as conn:
        found = telemetry.read_frame_samples(conn, [7], NOON, NOON + 2)
        empty = telemetry.read_frame_samples(conn, [7], NOON + 2, NOON + 9)
    np.testing.assert_array_equal(found.at_us, [NOON + 1, NOON + 2])
    np.testing.assert_array_equal(found.quality, [Quality.UNCERTAIN, Quality.BAD])
    assert math.isnan(found.value[1])
    assert len(empty) == 0


def test_another_site_reads_nothing(database: Database, site: int, signal_id: int) -> None:
    last = store(database, site, ramp(signal_id, NOON, 10))
    assert last > 0
    roll(database)
    with database.tx(site_id=site + 1) as conn:
        assert len(telemetry.read_frame_samples(conn, [signal_id], NOON - 1, NOON + 10**9)) == 0
        assert telemetry.latest(conn, [signal_id]) == {}
        for resolution in Resolution:
            series = telemetry.read(conn, [signal_id], from_us(NOON), from_us(NOON + 10**10), resolution=resolution)
            assert len(series[signal_id].at_us) == 0


def test_the_app_role_may_not_write_samples(database: Database, site: int) -> None:
    store(database, site, ramp(1, NOON, 1))
    with pytest.raises(errors.InsufficientPrivilege), database.tx(site_id=site) as conn:
        telemetry.write(conn, ramp(1, NOON, 1), site_ids=np.full(1, site, np.int16))


def test_last_values_never_go_back(database: Database, site: int) -> None:
    sites = np.full(1, site, np.int16)
    with database.ingest_tx() as conn:
        rollups.upsert_latest(conn, batch((1, NOON + 5, 2.0, Quality.UNCERTAIN)), site_ids=sites)
        rollups.upsert_latest(conn, batch((1, NOON + 4, 1.0, Quality.GOOD)), site_ids=sites)
        rollups.upsert_latest(conn, batch((2, NOON, math.nan, Quality.BAD)), site_ids=sites)
    with database.tx(site_id=site) as conn:
        found = telemetry.latest(conn, [1, 2, 3])
    assert found == {
        1: telemetry.Latest(from_us(NOON + 5), 2.0, Quality.UNCERTAIN),
        2: telemetry.Latest(from_us(NOON), None, Quality.BAD),
    }


def test_last_values_are_caught_up_from_what_was_not_rolled(database: Database, site: int) -> None:
    store(database, site, ramp(1, NOON, 10))
    roll(database)
    store(database, site, ramp(2, NOON, 10))
    store(database, site, ramp(2, NOON + 100 * SECOND, 10))
    with database.ingest_tx() as conn:
        rollups.catch_up_latest(conn)
    with database.tx(site_id=site) as conn:
        found = telemetry.latest(conn, [1, 2])
    assert found[2] == telemetry.Latest(from_us(NOON + 109 * SECOND), 9.0, Quality.GOOD)


def test_rollups_say_what_the_samples_say(database: Database, site: int, signal_id: int) -> None:
    store(database, site, ramp(signal_id, NOON, 7200))
    store(database, site, batch((signal_id, NOON + 1, 1e9, Quality.BAD)))
    roll(database)
    with database.tx(site_id=site) as conn:
        window = (from_us(NOON), from_us(NOON + 7200 * SECOND))
        minutes = telemetry.read(conn, [signal_id], *window, resolution=Resolution.MINUTE)[signal_id]
        hours = telemetry.read(conn, [signal_id], *window, resolution=Resolution.HOUR)[signal_id]
    assert minutes.low is not None
    assert minutes.high is not None
    np.testing.assert_array_equal(minutes.at_us, NOON + 60 * SECOND * np.arange(120))
    np.testing.assert_allclose(minutes.value, 60.0 * np.arange(120) + 29.5)
    np.testing.assert_array_equal(minutes.low, 60.0 * np.arange(120))
    np.testing.assert_array_equal(minutes.high, 60.0 * np.arange(120) + 59)
    np.testing.assert_allclose(hours.value, [1799.5, 5399.5])


def test_late_data_are_rolled_as_if_they_had_come_in_time(database: Database, site: int, signal_id: int) -> None:
    with database.tx(site_id=site) as conn:
        asset_id = create_asset(conn, code="P-2", name="Pump", asset_class="pump")
        twin = create_signal(conn, asset_id=asset_id, code="t", name="T", quantity="temperature", unit="°C")
    everything = ramp(signal_id, NOON, 8000, step_us=7 * SECOND)
    order = np.random.default_rng(4).permutation(8000)
    parts = [SampleBatch(*(column[rows] for column in _columns(everything))) for rows in np.array_split(order, 5)]
    for part in parts:
        store(database, site, part)
        roll(database)
    store(database, site, SampleBatch(*(_shift(column, twin - signal_id) for column in _columns(everything))))
    roll(database)
    with database.tx(site_id=site) as conn:
        rows = conn.execute(
            """select signal_id, width_s, bucket, n, round(mean::numeric, 6), low, high, last from rollups
               order by 1, 2, 3"""
        ).fetchall()
    ours = [row[1:] for row in rows if row[0] == signal_id]
    theirs = [row[1:] for row in rows if row[0] == twin]
    assert ours == theirs
    assert sum(row[2] for row in ours) == 2 * 8000


def test_a_slow_signal_has_hours_and_its_samples_serve_for_minutes(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        asset_id = create_asset(conn, code="P-2", name="Pump", asset_class="pump")
        slow = create_signal(
            conn, asset_id=asset_id, code="s", name="S", quantity="temperature", unit="°C", period_s=60.0
        )
    store(database, site, ramp(slow, NOON + 3600 * SECOND, 60, step_us=60 * SECOND))
    roll(database)
    store(database, site, ramp(slow, NOON, 90, step_us=60 * SECOND))
    roll(database)
    with database.tx(site_id=site) as conn:
        rows = conn.execute("select width_s, n, mean from rollups order by bucket").fetchall()
        window = (from_us(NOON), from_us(NOON + 7200 * SECOND))
        minutes = telemetry.read(conn, [slow], *window, resolution=Resolution.MINUTE)[slow]
        hours = telemetry.read(conn, [slow], *window, resolution=Resolution.HOUR)[slow]
    assert rows == [(3600, 60, 29.5), (3600, 90, pytest.approx((sum(range(60)) + sum(range(60, 90))) / 90))]
    assert len(minutes.at_us) == 150
    assert len(hours.at_us) == 2


def _columns(samples: SampleBatch) -> tuple[np.ndarray, ...]:
    return samples.signal_id, samples.at_us, samples.value, samples.quality


def _shift(column: np.ndarray, by: int) -> np.ndarray:
    return column + by if column.dtype == np.int32 else column


def test_a_roll_that_fails_is_done_again(database: Database, site: int, signal_id: int) -> None:
    store(database, site, ramp(signal_id, NOON, 60))
    with pytest.raises(errors.DivisionByZero), database.ingest_tx() as conn:
        assert rollups.roll(conn, until_batch=2**62) == 1
        conn.execute("select 1 / 0")
    roll(database)
    with database.tx(site_id=site) as conn:
        assert conn.execute("select n from rollups where width_s = 60").fetchall() == [(60,)]


@pytest.mark.parametrize(
    ("span_s", "expected"), [(600, Resolution.RAW), (6 * 3600, Resolution.MINUTE), (30 * 86400, Resolution.HOUR)]
)
def test_auto_takes_what_fits_the_screen(
    database: Database, site: int, signal_id: int, span_s: int, expected: Resolution
) -> None:
    store(database, site, ramp(signal_id, NOON, 2000, step_us=span_s * SECOND // 2000))
    roll(database)
    with database.tx(site_id=site) as conn:
        found = telemetry.read(
            conn, [signal_id], from_us(NOON), from_us(NOON) + timedelta(seconds=span_s), max_points=300
        )[signal_id]
    assert found.resolution is expected
    assert 0 < len(found.at_us) <= 300
    assert found.low is not None
    assert found.high is not None
    assert found.low.min() == 0.0
    assert found.high.max() == 1999.0  # however thin, no extreme is lost


def test_bands_are_replaced_and_thinned(conn: Connection) -> None:
    first = [Band(5, NOON + index * SECOND, 1.0, 0.0, 2.0) for index in range(10)]
    assert telemetry.write_bands(conn, first) == 10
    assert telemetry.write_bands(conn, [Band(5, NOON, 5.0, 4.0, 6.0)] * 2) == 2
    assert telemetry.write_bands(conn, []) == 0
    found = telemetry.read_bands(conn, 5, from_us(NOON), from_us(NOON + 9 * SECOND))
    np.testing.assert_array_equal(found.expected, [5.0] + [1.0] * 8)
    assert (found.low[0], found.high[0], found.at_us[0]) == (4.0, 6.0, NOON)
    assert len(telemetry.read_bands(conn, 5, from_us(NOON), from_us(NOON + 10 * SECOND), max_points=4).at_us) <= 4


def test_retention_drops_whole_days_and_keeps_rollups(database: Database, site: int, signal_id: int) -> None:
    store(database, site, ramp(signal_id, NOON, 3, step_us=telemetry.DAY_US))
    roll(database)
    with database.ingest_tx() as conn:
        assert telemetry.drop_before(conn, from_us(NOON + telemetry.DAY_US).date()) == 1
        assert conn.execute("select count(*) from samples").fetchone() == (2,)
        assert conn.execute("select count(*) from rollups where width_s = 60").fetchone() == (3,)


@pytest.mark.parametrize("moment", [datetime(1600, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)])
def test_times_convert_exactly(moment: datetime) -> None:
    assert from_us(to_us(moment)) == moment
