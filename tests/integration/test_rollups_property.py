"""Whatever comes, in whatever order: the rollups are what numpy makes of the samples."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from core.database import Database
from plant import rollups, telemetry
from plant.assets import create_asset, create_signal
from plant.model import Floats, Int64s, Quality, SampleBatch
from plant.telemetry import Resolution
from plant.times import DAY_US, HOUR_US, MINUTE_US, from_us, to_us

START = to_us(datetime(2026, 3, 1, 22, 30, tzinfo=UTC))  # the stretch has a midnight in it
LONG_US = 4 * HOUR_US
SLOW, FAST = 60.0, 1.0

# a sample: which of two signals, when (clustered, so that buckets meet), value, quality
SAMPLES = st.tuples(
    st.integers(0, 1),
    st.one_of(
        st.integers(0, LONG_US - 1),
        st.integers(0, 240).map(lambda step: step * MINUTE_US),
        st.integers(1, 4).map(lambda step: step * HOUR_US - 1),
    ),
    st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: round(value, 6)),
    st.sampled_from([Quality.GOOD, Quality.GOOD, Quality.UNCERTAIN, Quality.BAD]),
)
FLUSHES = st.lists(st.tuples(st.lists(SAMPLES, min_size=1, max_size=40), st.booleans()), min_size=1, max_size=6)


@pytest.fixture
def signal_ids(database: Database, site: int) -> tuple[int, int]:
    return make_signals(database, site)


def make_signals(database: Database, site: int) -> tuple[int, int]:
    """A fast one and a slow one."""
    with database.tx(site_id=site) as conn:
        asset_id = create_asset(conn, code="P-1", name="Pump", asset_class="pump")
        fast, slow = (
            create_signal(
                conn, asset_id=asset_id, code=f"t{period}", name="T", quantity="generic", unit="1", period_s=period
            )
            for period in (FAST, SLOW)
        )
    return fast, slow


def columns(samples: list[tuple[int, int, float, Quality]], signal_ids: tuple[int, int]) -> SampleBatch:
    ids, at, value, quality = zip(*samples, strict=True)
    return SampleBatch(
        np.array(signal_ids, np.int32)[list(ids)],
        START + np.array(at, np.int64),
        np.where(np.array(quality) == Quality.BAD, np.nan, np.array(value, np.float64)),
        np.array(quality, np.uint8),
    )


def flush(conn: Connection, samples: SampleBatch, site: int) -> None:
    telemetry.ensure_days(conn, np.unique(samples.at_us // DAY_US).tolist())
    telemetry.write(conn, samples, site_ids=np.full(len(samples), site, np.int16))
    rollups.note(conn, rollups.touched(samples))


def roll_all(conn: Connection) -> None:
    while rollups.roll(conn, until_batch=2**62):
        pass


def expected(samples: SampleBatch, signal_id: int, width_us: int) -> dict[int, tuple[int, float, float, float, float]]:
    """bucket → n, mean, low, high, last: the slow, obvious way."""
    found = {}
    own = (samples.signal_id == signal_id) & (samples.quality < Quality.BAD)
    for bucket in np.unique(samples.at_us[own] // width_us):
        rows = own & (samples.at_us // width_us == bucket)
        at, value = samples.at_us[rows], samples.value[rows]
        last = max(zip(at.tolist(), value.tolist(), strict=True))[1]
        found[int(bucket) * width_us] = (
            len(value), math.fsum(value) / len(value), float(value.min()), float(value.max()), last,
        )  # fmt: skip
    return found


def stored(conn: Connection, signal_id: int, width_s: int) -> dict[int, tuple[int, float, float, float, float]]:
    rows = conn.execute(
        "select bucket, n, mean, low, high, last from rollups where signal_id = %s and width_s = %s",
        (signal_id, width_s),
    )
    return {to_us(bucket): tuple(rest) for bucket, *rest in rows}


def same(got: dict[int, Any], wanted: dict[int, Any]) -> None:
    assert got.keys() == wanted.keys()
    for bucket, (n, mean, low, high, last) in wanted.items():
        assert got[bucket][0] == n
        assert got[bucket][1] == pytest.approx(mean, rel=1e-9, abs=1e-6)
        assert got[bucket][2:] == (low, high, last)


class _Undo(Exception):
    """Ends an example."""


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
@given(flushes=FLUSHES, again=st.booleans())
def test_rollups_are_what_numpy_makes_of_the_samples(
    database: Database,
    site: int,
    signal_ids: tuple[int, int],
    flushes: list[tuple[list[tuple[int, int, float, Quality]], bool]],
    again: bool,
) -> None:
    fast, slow = signal_ids
    batches = [columns(samples, signal_ids) for samples, _ in flushes]
    everything = SampleBatch(
        *(np.concatenate([getattr(each, name) for each in batches]) for name in SampleBatch.__dataclass_fields__)
    )
    try:
        with database.ingest_tx() as conn:
            for batch, (_, roll_now) in zip(batches, flushes, strict=True):
                flush(conn, batch, site)
                if roll_now:
                    roll_all(conn)
            unrolled_view(conn, everything, fast)
            roll_all(conn)
            if again:  # whatever is rolled twice stays
                conn.execute("update ingest_batches set rolled = false")
                roll_all(conn)
            same(stored(conn, fast, 60), expected(everything, fast, MINUTE_US))
            same(stored(conn, fast, 3600), expected(everything, fast, HOUR_US))
            assert stored(conn, slow, 60) == {}
            same(stored(conn, slow, 3600), expected(everything, slow, HOUR_US))
            raise _Undo
    except _Undo:
        pass


def unrolled_view(conn: Connection, samples: SampleBatch, signal_id: int) -> None:
    """However little of it is rolled, a plot shows all of a fast signal."""
    window = (from_us(START // HOUR_US * HOUR_US), from_us(START + LONG_US + HOUR_US))
    for resolution, width_us in ((Resolution.MINUTE, MINUTE_US), (Resolution.HOUR, HOUR_US)):
        series = telemetry.read(conn, [signal_id], *window, resolution=resolution, max_points=5000)[signal_id]
        wanted = expected(samples, signal_id, width_us)
        assert series.at_us.tolist() == sorted(wanted)
        assert series.low is not None
        assert series.high is not None
        for at, mean, low, high in zip(series.at_us, series.value, series.low, series.high, strict=True):
            assert mean == pytest.approx(wanted[int(at)][1], rel=1e-9, abs=1e-6)
            assert (low, high) == wanted[int(at)][2:4]


@pytest.mark.parametrize(
    "values",
    [[1.7976931348623157e308] * 3, [1.7e308, -1.7e308], [5e-324, 0.0, 0.0], [1e200, 1.0], [-0.0], [2.2e-308, 1e308]],
)
def test_no_value_however_odd_ends_the_rolling(
    database: Database, site: int, signal_ids: tuple[int, int], values: list[float]
) -> None:
    for signal_id in signal_ids:
        count = 40 * len(values)
        with database.ingest_tx() as conn:
            batch = SampleBatch(
                np.full(count, signal_id, np.int32),
                START + np.arange(count, dtype=np.int64) * 7_000_000,
                np.resize(np.array(values), count),
                np.zeros(count, np.uint8),
            )
            flush(conn, batch, site)
            roll_all(conn)
            for _, n, mean, low, high in hours(conn, signal_id):
                assert n > 0
                assert min(values) <= low <= mean <= high <= max(values)
    with database.tx(site_id=site) as conn:
        window = (from_us(START), from_us(START + LONG_US))
        for resolution in Resolution:
            for series in telemetry.read(
                conn, list(signal_ids), *window, resolution=resolution, max_points=10
            ).values():
                assert np.isfinite(series.value).all()


def test_days_of_history_are_rolled_as_fast_as_they_come(database: Database, site: int) -> None:
    """The cost grows with the samples, not with samples times buckets."""
    fast, _ = make_signals(database, site)
    count = 40_000
    history = SampleBatch(
        np.full(count, fast, np.int32),
        START + np.arange(count, dtype=np.int64) * 20_000_000,
        np.arange(count, dtype=np.float64),
        np.zeros(count, np.uint8),
    )
    with database.ingest_tx() as conn:
        flush(conn, history, site)
        conn.execute("set local statement_timeout = '5s'")
        roll_all(conn)
        assert stored(conn, fast, 60) == expected(history, fast, MINUTE_US)


def hours(conn: Connection, signal_id: int) -> list[tuple[Any, int, float, float, float]]:
    return conn.execute(
        "select bucket, n, mean, low, high from rollups where signal_id = %s and width_s = 3600", (signal_id,)
    ).fetchall()


def line(signal_id: int, count: int, values: Floats | float = 1.0, *, from_us_: int = START) -> SampleBatch:
    at: Int64s = from_us_ + np.arange(count, dtype=np.int64) * 1_000_000
    return SampleBatch(np.full(count, signal_id, np.int32), at, np.zeros(count) + values, np.zeros(count, np.uint8))


def test_late_data_of_a_day_that_is_gone_leave_its_rollups_alone(
    database: Database, site: int, signal_ids: tuple[int, int]
) -> None:
    fast, _ = signal_ids
    with database.ingest_tx() as conn:
        flush(conn, line(fast, 1800), site)
        roll_all(conn)
        before = stored(conn, fast, 60), stored(conn, fast, 3600)
        assert telemetry.drop_before(conn, date(2026, 3, 2)) == 1
        flush(conn, line(fast, 2, 1e6, from_us_=START + 30_500_000), site)
        roll_all(conn)
        assert (stored(conn, fast, 60), stored(conn, fast, 3600)) == before


def test_a_new_tag_shows_in_a_day_view_before_the_first_roll(
    database: Database, site: int, signal_ids: tuple[int, int]
) -> None:
    fast, slow = signal_ids
    with database.ingest_tx() as conn:
        flush(conn, line(fast, 7200), site)
        flush(conn, SampleBatch(*_every_minute(line(slow, 7200))), site)
    with database.tx(site_id=site) as conn:
        window = (from_us(START - DAY_US // 2), from_us(START + DAY_US // 2))
        found = telemetry.read(conn, [fast, slow], *window)
        hourly = telemetry.read(conn, [fast, slow], *window, resolution=Resolution.HOUR)
        elsewhere = telemetry.read(conn, [fast], from_us(START - DAY_US), from_us(START))[fast]
    assert found[fast].resolution is Resolution.MINUTE
    assert found[fast].at_us[0] == START
    assert len(found[fast].at_us) == len(found[slow].at_us) == 120
    assert len(hourly[fast].at_us) == len(hourly[slow].at_us) == 3
    assert len(elsewhere.at_us) == 0


def _every_minute(samples: SampleBatch) -> tuple[np.ndarray, ...]:
    return samples.signal_id[::60], samples.at_us[::60], samples.value[::60], samples.quality[::60]
