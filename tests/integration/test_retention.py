"""What the tiers take from a real store, and what they must not."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest

from core import jobs
from core.database import Database
from ingest.keeper import Keeper
from ingest.pipeline import Pipeline
from maintenance import jobs as rounds  # noqa: F401 - the round that forgets
from plant import retention, rollups, telemetry
from plant.assets import create_asset, create_signal
from plant.model import SampleBatch
from plant.tiers import BadTiers, Tier
from plant.times import DAY_US, from_us, to_us
from tests.integration.ingest_kit import wait_until

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
FIRST = to_us(datetime(2026, 6, 1, tzinfo=UTC))  # fourteen whole days before now
STEP_US = 3_600_000_000 // 4
A_DAY = DAY_US // STEP_US


@pytest.fixture
def signal_ids(database: Database, site: int) -> dict[str, int]:
    """A temperature, a pressure and an operating state, each with fifteen days of samples that are rolled up."""
    with database.tx(site_id=site) as conn:
        asset_id = create_asset(conn, code="P-1", name="Pump", asset_class="pump")
        ids = {
            quantity: create_signal(
                conn, asset_id=asset_id, code=quantity, name=quantity, quantity=quantity, unit=unit, role=role
            )
            for quantity, unit, role in [
                ("temperature", "°C", "measured"), ("pressure", "bar", "measured"), ("state", "1", "state"),
            ]
        }  # fmt: skip
    for signal_id in ids.values():
        store(database, site, signal_id, FIRST, 15 * A_DAY)
    roll(database)
    return ids


def store(database: Database, site: int, signal_id: int, start_us: int, count: int) -> None:
    batch = SampleBatch(
        np.full(count, signal_id, np.int32),
        start_us + STEP_US * np.arange(count, dtype=np.int64),
        np.arange(count, dtype=np.float64),
        np.zeros(count, np.uint8),
    )
    with database.ingest_tx() as conn:
        telemetry.ensure_days(conn, np.unique(batch.at_us // DAY_US).tolist())
        telemetry.write(conn, batch, site_ids=np.full(count, site, np.int16))
        rollups.note(conn, rollups.touched(batch))


def roll(database: Database) -> None:
    with database.ingest_tx() as conn:
        while rollups.roll(conn, until_batch=2**62):
            pass


def set_tiers(database: Database, site: int, *tiers: Tier) -> None:
    with database.tx(site_id=site) as conn:
        retention.replace(conn, tiers)


def apply_all(database: Database, *, now: datetime = NOW) -> list[retention.Applied]:
    """To the end, as the keeper does it; returns the bites."""
    bites = []
    while not bites or bites[-1].more:
        assert len(bites) < 100, "it never ends"
        with database.ingest_tx() as conn:
            bites.append(retention.apply(conn, now=now))
    return bites


def days_left(database: Database, site: int, signal_id: int) -> tuple[int, int]:
    """The first and the last day of June that have samples, and all of them."""
    with database.tx(site_id=site) as conn:
        rows = conn.execute(
            """select (at at time zone 'UTC')::date, count(*) from samples
               where signal_id = %s group by 1 order by 1""",
            (signal_id,),
        ).fetchall()
    assert all(count == A_DAY for _, count in rows)
    assert [day.day for day, _ in rows] == list(range(rows[0][0].day, rows[-1][0].day + 1))
    return rows[0][0].day, rows[-1][0].day


def count_rollups(database: Database, site: int, signal_id: int, width_s: int) -> int:
    with database.tx(site_id=site) as conn:
        row = conn.execute(
            "select count(*) from rollups where signal_id = %s and width_s = %s", (signal_id, width_s)
        ).fetchone()
    return int(row[0]) if row else 0


def test_when_all_classes_agree_whole_days_go_and_rollups_stay(
    database: Database, site: int, signal_ids: dict[str, int]
) -> None:
    set_tiers(database, site, Tier("*", 5, 9, None, 5))
    bites = apply_all(database)
    assert sum(bite.days for bite in bites) == 9
    assert all(bite.days <= retention.DAYS_A_BITE for bite in bites)
    for signal_id in signal_ids.values():
        assert days_left(database, site, signal_id) == (10, 15)
        assert count_rollups(database, site, signal_id, 60) == 10 * A_DAY  # from 6 June
        assert count_rollups(database, site, signal_id, 3600) == 15 * 24
    with database.tx(site_id=site) as conn:
        row = conn.execute("select count(*) from sample_days()").fetchone()
        assert row == (6,)
        since = retention.raw_since_us(conn, list(signal_ids.values()))
    assert from_us(since) == datetime(2026, 6, 10, tzinfo=UTC)
    assert apply_all(database) == [retention.Applied()]


def test_classes_that_disagree_lose_their_own_samples_alone(
    database: Database, site: int, signal_ids: dict[str, int]
) -> None:
    set_tiers(database, site, Tier("*", 12, 12, 12, 5), Tier("role:state", None, None, None, 5), Tier("temperature", 3, 9, 9, 5))  # fmt: skip  # noqa: E501
    bites = apply_all(database)
    assert sum(bite.days for bite in bites) == 0
    assert sum(bite.samples for bite in bites) == (11 + 2) * A_DAY
    assert days_left(database, site, signal_ids["temperature"]) == (12, 15)
    assert days_left(database, site, signal_ids["pressure"]) == (3, 15)
    assert days_left(database, site, signal_ids["state"]) == (1, 15)
    assert count_rollups(database, site, signal_ids["temperature"], 3600) == 10 * 24
    assert apply_all(database) == [retention.Applied()]
    set_tiers(database, site, Tier("*", 1, 12, 12, 5))  # and now they agree
    apply_all(database)
    assert {days_left(database, site, each) for each in signal_ids.values()} == {(14, 15)}


def test_late_data_of_a_day_that_was_done_go_too(database: Database, site: int, signal_ids: dict[str, int]) -> None:
    set_tiers(database, site, Tier("*", None, None, None, 5), Tier("temperature", 3, None, None, 5))
    apply_all(database)
    store(database, site, signal_ids["temperature"], FIRST + 30, 10)
    assert days_of(database, signal_ids["temperature"]) == 5
    assert apply_all(database)[-1].samples == 0  # not rolled up yet
    assert days_of(database, signal_ids["temperature"]) == 5
    roll(database)
    assert apply_all(database)[-1].samples == 10
    assert days_of(database, signal_ids["temperature"]) == 4


def days_of(database: Database, signal_id: int) -> int:
    with database.ingest_tx() as conn:
        row = conn.execute("select count(distinct at::date) from samples where signal_id = %s", (signal_id,)).fetchone()
    return int(row[0]) if row else 0


def test_what_is_not_rolled_up_is_not_dropped(database: Database, site: int, signal_ids: dict[str, int]) -> None:
    set_tiers(database, site, Tier("*", 5, None, None, 5))
    store(database, site, signal_ids["pressure"], FIRST + 2 * DAY_US + 60, 5)
    apply_all(database)
    with database.ingest_tx() as conn:
        days = [row[0].day for row in conn.execute("select day from sample_days()")]
    assert days == [3, 10, 11, 12, 13, 14, 15]
    roll(database)
    apply_all(database)
    with database.ingest_tx() as conn:
        assert conn.execute("select min(extract(day from day)) from sample_days()").fetchone() == (10,)


def test_one_site_that_keeps_all_keeps_the_days_of_all(
    database: Database, site: int, signal_ids: dict[str, int]
) -> None:
    with database.tx() as conn:
        row = conn.execute("insert into sites (code, name) values ('other', 'Other') returning site_id").fetchone()
    assert row
    with database.tx(site_id=row[0]) as conn:
        asset_id = create_asset(conn, code="P-1", name="Pump", asset_class="pump")
        theirs = create_signal(conn, asset_id=asset_id, code="t", name="T", quantity="temperature", unit="°C")
    store(database, row[0], theirs, FIRST, 15 * A_DAY)
    roll(database)
    set_tiers(database, row[0], Tier("*", None, None, None, None))
    set_tiers(database, site, Tier("*", 5, None, None, None))
    apply_all(database)
    assert days_left(database, row[0], theirs) == (1, 15)
    assert {days_left(database, site, each) for each in signal_ids.values()} == {(10, 15)}


def test_a_preview_says_what_would_go_and_takes_nothing(
    database: Database, site: int, signal_ids: dict[str, int]
) -> None:
    wanted = [Tier("*", None, None, None, 5), Tier("temperature", 3, 9, 9, 5)]
    with database.tx(site_id=site) as conn:
        (loss,) = retention.preview(conn, wanted, now=NOW)
        assert retention.tiers(conn)[0].raw_days is None
    assert (loss.name, loss.days, loss.samples) == ("temperature", 11, 11 * A_DAY)
    assert loss.rollups == 5 * (A_DAY + 24)
    assert loss.bytes > loss.samples * 8
    assert days_left(database, site, signal_ids["temperature"]) == (1, 15)
    set_tiers(database, site, *wanted)
    bites = apply_all(database)
    assert (sum(bite.samples for bite in bites), sum(bite.rollups for bite in bites)) == (loss.samples, loss.rollups)
    with database.tx(site_id=site) as conn:
        assert retention.preview(conn, wanted, now=NOW) == []


def test_what_was_kept_for_a_replay_goes_with_the_last_class_of_samples(
    database: Database, site: int, signal_ids: dict[str, int]
) -> None:
    days = [FIRST + day * DAY_US for day in range(14)]
    with database.tx(site_id=site) as conn:
        (asset_id,) = conn.execute("select asset_id from assets").fetchone() or (0,)
        for day_us in days:
            conn.execute("insert into replay_marks (at, what, name) values (%s, 'round', 'a')", (from_us(day_us),))
            conn.execute(
                "insert into late_arrivals (asset_id, signals, from_us, until_us) values (%s, %s, %s, %s)",
                (asset_id, [signal_ids["pressure"]], day_us, day_us + DAY_US // 2),
            )

    def left() -> tuple[list[datetime], list[int]]:
        jobs.run_periodic(database, "maintenance.replay.forget")
        with database.tx(site_id=site) as conn:
            marks = [row[0] for row in conn.execute("select at from replay_marks order by at")]
            return marks, [row[0] for row in conn.execute("select from_us from late_arrivals order by from_us")]

    everything = ([from_us(each) for each in days], days)
    assert left() == everything
    set_tiers(database, site, Tier("*", None, None, None, 5), Tier("temperature", 3, 9, 9, 5))
    apply_all(database)
    assert left() == everything  # the others can still be replayed
    set_tiers(database, site, Tier("*", 5, 9, 9, 5), Tier("temperature", 3, 9, 9, 5))
    assert left() == everything  # nothing is gone yet
    apply_all(database)
    assert left() == ([from_us(each) for each in days[9:]], days[9:])


def test_nothing_that_was_measured_goes_unasked(database: Database, site: int, signal_ids: dict[str, int]) -> None:
    assert apply_all(database, now=NOW.replace(year=2126)) == [retention.Applied()]
    assert {days_left(database, site, each) for each in signal_ids.values()} == {(1, 15)}


def test_tiers_that_contradict_themselves_change_nothing(database: Database, site: int) -> None:
    set_tiers(database, site, Tier("*", 7, 8, 9, 5))
    with pytest.raises(BadTiers):
        set_tiers(database, site, Tier("*", 9, 8, 7, 5))
    with database.tx(site_id=site) as conn:
        assert retention.tiers(conn) == [Tier("*", 7, 8, 9, 5)]
    with pytest.raises(psycopg.errors.CheckViolation), database.tx(site_id=site) as conn:
        conn.execute("update retention_tiers set raw_days = null")


def test_a_flush_under_way_is_waited_for_or_left_alone(
    database: Database, site: int, signal_ids: dict[str, int]
) -> None:
    """A late sample that commits while its day is about to go is rolled up first."""
    set_tiers(database, site, Tier("*", 5, None, None, 5))
    applied: list[retention.Applied] = []
    late = SampleBatch(
        np.array([signal_ids["pressure"]], np.int32), np.array([FIRST + 7], np.int64), np.array([5e5]),
        np.zeros(1, np.uint8),
    )  # fmt: skip
    with database.ingest_tx() as conn:
        telemetry.write(conn, late, site_ids=np.full(1, site, np.int16))
        keeper = threading.Thread(target=lambda: applied.extend(apply_all(database)))
        keeper.start()
        _wait_until_someone_waits(database)
        rollups.note(conn, rollups.touched(late))
    keeper.join(30)
    assert applied
    with database.tx(site_id=site) as conn:
        assert conn.execute("select count(*) from samples where value = 5e5").fetchone() == (1,)
    roll(database)
    apply_all(database)
    with database.tx(site_id=site) as conn:
        assert conn.execute("select count(*) from samples where value = 5e5").fetchone() == (0,)
        assert conn.execute("select max(high) from rollups where width_s = 60").fetchone() == (5e5,)


def _wait_until_someone_waits(database: Database) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with database.ingest_tx() as conn:
            if conn.execute("select 1 from pg_locks where not granted limit 1").fetchone():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits for the flush")


def test_two_keepers_do_not_get_in_each_others_way(database: Database, site: int, signal_ids: dict[str, int]) -> None:
    set_tiers(database, site, Tier("*", 5, None, None, 5))
    with database.ingest_tx() as first:
        assert retention.apply(first, now=NOW).days == retention.DAYS_A_BITE
        with database.ingest_tx() as second:
            assert retention.apply(second, now=NOW) == retention.Applied()
    assert timedelta(days=5) < NOW - from_us(FIRST)


def test_ingest_keeps_to_the_tiers_by_itself(
    database: Database, site: int, signal_ids: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.keeper.FIRST_BITE_S", 0.0)
    set_tiers(database, site, Tier("*", 5, None, None, 5))  # all of June is long past by the plant's clock
    pipeline = Pipeline(database, batch_rows=1000, linger_s=0.05, most_messages=100)
    pipeline.prepare()
    keeper, stop = Keeper(database, pipeline), threading.Event()
    thread = threading.Thread(target=keeper.run, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: days_of(database, signal_ids["pressure"]) == 0, what="retention")
    finally:
        stop.set()
        thread.join(10)
        pipeline.lead.give_up()
    assert count_rollups(database, site, signal_ids["pressure"], 3600) == 15 * 24
