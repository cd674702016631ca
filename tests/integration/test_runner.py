"""The runner against a real PostgreSQL: nothing missed, nothing twice, whatever dies in between."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from psycopg import Connection

from core import clock
from core.database import Database
from core.errors import Conflict
from detectors import store
from detectors.base import Finding, Frame, Judgement
from detectors.findings import moment
from detectors.line import Action, Line
from detectors.runner import Patience, Runner, complete_until, relearn
from detectors.store import Heard
from plant import assets, rollups, telemetry
from plant.model import SampleBatch
from tests.detector_machines import COLUMN, DAY_ROWS, MINUTE_US, SIGNALS, START_US, Life, live

DAY_US = DAY_ROWS * MINUTE_US


@pytest.fixture(scope="module")
def life() -> Life:
    made = live(7, 6.5, mode="cavitation", onset_day=4.0, wear_days=2.5)
    values = made.values.copy()
    values[3_000:3_400, COLUMN["bearing_temp"]] = values[3_000, COLUMN["bearing_temp"]]
    return made.with_values(values)


class Plant:
    """One pump in a database, and a way to let time pass there."""

    def __init__(self, database: Database, site: int, *, code: str = "P-101") -> None:
        self.database, self.site = database, site
        with database.tx(site_id=site) as conn:
            self.asset_id = assets.create_asset(conn, code=code, name="Pump", asset_class="pump")
            self.ids = [
                assets.create_signal(
                    conn,
                    asset_id=self.asset_id,
                    code=s.code,
                    name=s.name,
                    quantity=s.quantity,
                    unit=s.unit,
                    low=s.low,
                    high=s.high,
                    period_s=s.period_s,
                    role=s.role,
                )
                for s in SIGNALS
            ]
        self.written = 0

    def live_to(self, life: Life, row: int) -> None:
        """Store the life's rows up to ``row`` and set the plant clock there."""
        rows, columns = np.nonzero(np.isfinite(life.values[self.written : row]))
        rows += self.written
        batch = SampleBatch(
            np.array(self.ids, np.int32)[columns],
            life.at_us[rows],
            life.values[rows, columns],
            np.zeros(len(rows), np.uint8),
        )
        sites = np.full(len(batch), self.site, np.int16)
        with self.database.ingest_tx() as conn:
            telemetry.ensure_days(conn, np.unique(batch.at_us // telemetry.DAY_US).tolist())
            telemetry.write(conn, batch, site_ids=sites)
            newest = [np.flatnonzero(batch.signal_id == i)[-1] for i in self.ids]
            last = SampleBatch(*(getattr(batch, name)[newest] for name in SampleBatch.__slots__))
            rollups.upsert_latest(conn, last, site_ids=sites[newest])
            conn.execute("select pg_notify('millwright_samples', %s)", (str(self.site),))
        with self.database.tx() as conn:
            clock.set_clock(conn, plant_now=moment(int(life.at_us[row - 1])), factor=1.0)
        self.written = row

    def findings(self) -> list[tuple[object, ...]]:
        with self.database.tx(site_id=self.site) as conn:
            return conn.execute(
                "select detector, mode, at, active, surprise from findings order by finding_id"
            ).fetchall()

    def one(self, statement: str) -> object:
        with self.database.tx(site_id=self.site) as conn:
            row = conn.execute(statement).fetchone()  # type: ignore[arg-type]
        return None if row is None else row[0]


def keep(conn: Connection, finding: Finding, now: object) -> None:
    """Write a finding down; the table refuses one that is already there."""
    conn.execute(
        """insert into findings (asset_id, detector, version, kind, mode, subject, started_at, at, surprise, active,
             health, contributions, sentence) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, '{}', %s)""",
        (
            finding.asset_id,
            finding.detector,
            finding.version,
            finding.kind.value,
            finding.failure_mode,
            f"{max(finding.contributions, key=lambda i: finding.contributions[i])}/{finding.failure_mode}",
            finding.started_at,
            finding.at,
            finding.surprise,
            finding.active,
            finding.health,
            json.dumps({"key": finding.sentence.key}),
        ),
    )


@pytest.fixture
def plant(database: Database, site: int) -> Plant:
    return Plant(database, site)


def wanted(plant: Plant, life: Life, rows: int) -> list[tuple[object, ...]]:
    """What a line that never stops says."""
    with plant.database.tx(site_id=plant.site) as conn:
        asset, signals = assets.asset(conn, plant.asset_id), assets.signals(conn, plant.asset_id)
        batch = telemetry.read_frame_samples(conn, plant.ids, START_US, int(life.at_us[rows - 1]))
    line = Line(asset, signals, position_us=START_US, muted_us=0)
    said = line.advance(batch, [], until_us=int(life.at_us[rows - 1]))
    return [(f.detector, f.failure_mode, f.at, f.active, f.surprise) for f in said.findings]


def test_history_in_one_go(plant: Plant, life: Life) -> None:
    plant.live_to(life, len(life.at_us))
    runner = Runner(plant.database, clock.load, keep)
    assert runner.run_once() == len(life.at_us)
    assert plant.findings() == wanted(plant, life, len(life.at_us))
    assert {row[1] for row in plant.findings()} == {None, "stuck"}
    assert plant.one("select watermark_us from asset_watermarks") == life.at_us[-1]
    assert int(str(plant.one("select count(*) from bands"))) > 500
    assert runner.run_once() == 0


def test_in_pieces_with_a_new_process_each_time(plant: Plant, life: Life) -> None:
    """A crash after every piece: each runner starts from the last snapshot and replays in silence."""
    for row in (500, 2_000, 3_017, 3_100, 6_300, 6_301, 6_900, 8_000, len(life.at_us)):
        plant.live_to(life, row)
        Runner(plant.database, clock.load, keep).run_once()
    assert plant.findings() == wanted(plant, life, len(life.at_us))


def test_a_finding_that_cannot_be_kept_is_tried_again(plant: Plant, life: Life) -> None:
    plant.live_to(life, len(life.at_us))
    refused = []

    def refuse_sometimes(conn: Connection, finding: Finding, now: object) -> None:
        keep(conn, finding, now)
        if len(refused) < 4 and len(plant.findings()) >= 3 * len(refused):
            refused.append(finding)
            raise Conflict("not now")

    runner = Runner(plant.database, clock.load, refuse_sometimes)
    for _ in range(6):
        runner.run_once()
    assert len(refused) == 4
    assert plant.findings() == wanted(plant, life, len(life.at_us))


def test_a_second_runner_does_not_repeat_the_first(plant: Plant, life: Life) -> None:
    one, two = (Runner(plant.database, clock.load, keep) for _ in range(2))
    for row in (3_100, 6_400, 7_000, len(life.at_us)):
        plant.live_to(life, row)
        threads = [threading.Thread(target=runner.run_once) for runner in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        one.run_once()
        two.run_once()
    assert plant.findings() == wanted(plant, life, len(life.at_us))


def test_requests_are_carried_out_once(plant: Plant, life: Life) -> None:
    worked = 8_800
    plant.live_to(life, worked + 30)
    runner = Runner(plant.database, clock.load, keep)
    runner.run_once()
    assert plant.findings()[-1][3] is True
    at = moment(int(life.at_us[worked]))
    with plant.database.tx(site_id=plant.site) as conn:
        store.request(conn, plant.asset_id, Action.INTERVENTION, at=at)
    runner.run_once()
    assert plant.findings()[-1][2:4] == (at, False)
    assert plant.one("select done_at is not null from detector_requests") is True
    count = len(plant.findings())
    Runner(plant.database, clock.load, keep).run_once()
    assert len(plant.findings()) == count
    with plant.database.tx(site_id=plant.site) as conn:
        relearn(conn, plant.asset_id, at + timedelta(minutes=20))
    plant.live_to(life, worked + 60)
    runner.run_once()
    assert plant.one("select count(*) from detector_requests where done_at is null") == 0


def test_new_signals_make_a_new_baseline_without_saying_old_things_again(plant: Plant, life: Life) -> None:
    plant.live_to(life, len(life.at_us))
    Runner(plant.database, clock.load, keep).run_once()
    before = plant.findings()
    with plant.database.tx(site_id=plant.site) as conn:
        assets.create_signal(
            conn, asset_id=plant.asset_id, code="noise", name="Noise", quantity="ratio", unit="%", period_s=60.0
        )
    Runner(plant.database, clock.load, keep).run_once()
    assert plant.findings() == before


def test_runs_when_samples_come_and_stops_when_told(plant: Plant, life: Life) -> None:
    stop = threading.Event()
    runner = Runner(plant.database, clock.load, keep)
    thread = threading.Thread(target=runner.run_forever, args=(stop,))
    thread.start()
    try:
        for row in (3_100, 3_500):
            plant.live_to(life, row)
            deadline = time.monotonic() + 60
            while plant.one("select watermark_us from asset_watermarks") != life.at_us[row - 1]:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()
    assert plant.findings() == wanted(plant, life, 3_500)


def test_sites_do_not_see_each_other(database: Database, plant: Plant, life: Life) -> None:
    with database.tx() as conn:
        row = conn.execute("insert into sites (code, name) values ('other', 'Other') returning site_id").fetchone()
    assert row
    other = Plant(database, row[0])
    plant.live_to(life, 3_500)
    other.live_to(life, 2_000)
    Runner(database, clock.load, keep).run_once()
    assert plant.one("select watermark_us from asset_watermarks") == life.at_us[3_499]
    assert other.one("select watermark_us from asset_watermarks") == life.at_us[1_999]
    assert plant.findings()
    assert not other.findings()


def test_one_machine_that_cannot_be_kept_does_not_keep_the_others_from_being_judged(plant: Plant, life: Life) -> None:
    """Its row goes while it is judged, so that writing its watermark fails."""
    gone = Plant(plant.database, plant.site, code="P-102")

    class Interrupted(Runner):
        def _wanted(self, *found: Any) -> Any:
            with plant.database.tx(site_id=plant.site) as conn:
                conn.execute("delete from signals where asset_id = %s", (gone.asset_id,))
                conn.execute("delete from assets where asset_id = %s", (gone.asset_id,))
            return super()._wanted(*found)

    for each in (plant, gone):
        each.live_to(life, 300)
    Interrupted(plant.database, clock.load, keep).run_once()
    with plant.database.tx(site_id=plant.site) as conn:
        assert store.watermarks(conn) == {plant.asset_id: life.at_us[299]}


def test_a_companion_that_breaks_is_left_out_and_the_rest_goes_on(plant: Plant, life: Life) -> None:
    class Broken:
        name, version = "broken", "1"

        def update(self, frame: Frame) -> Judgement:
            raise ZeroDivisionError

    plant.live_to(life, 3_100)
    runner = Runner(plant.database, clock.load, keep)
    runner.run_once()
    line = runner._lines[plant.asset_id]
    line._companions._each.insert(0, Broken())  # type: ignore[arg-type]
    plant.live_to(life, len(life.at_us))
    runner.run_once()
    assert plant.findings() == wanted(plant, life, len(life.at_us))


def test_a_broken_state_is_rebuilt_from_the_samples(plant: Plant, life: Life) -> None:
    plant.live_to(life, 6_000)
    Runner(plant.database, clock.load, keep).run_once()
    with plant.database.tx(site_id=plant.site) as conn:
        conn.execute("update detector_state set version = 'old'")
    plant.live_to(life, len(life.at_us))
    Runner(plant.database, clock.load, keep).run_once()
    assert plant.findings() == wanted(plant, life, len(life.at_us))


@pytest.mark.parametrize(
    ("ago_s", "behind_rows", "newest_ago_s", "until_row"),
    [(0.1, 1, 0.1, 99), (0.1, 40, 0.1, 60), (60.0, 1, 0.1, 99), (60.0, 40, 0.1, 99), (60.0, 40, 9.0, 100)],
    ids=["in step", "late, waited for", "in step, quiet wall", "silent", "all silent"],
)
def test_late_signals_are_waited_for_a_while(
    ago_s: float, behind_rows: int, newest_ago_s: float, until_row: int
) -> None:
    newest = START_US + 100 * MINUTE_US
    heard = {signal.signal_id: Heard(newest, newest_ago_s) for signal in SIGNALS}
    heard[4] = Heard(newest - behind_rows * MINUTE_US, ago_s)
    until_us = complete_until(SIGNALS, heard, Patience.LIVE)
    assert until_us is not None
    assert until_us // MINUTE_US == START_US // MINUTE_US + until_row


def test_where_several_processes_store_what_is_youngest_waits() -> None:
    newest = START_US + 100 * MINUTE_US
    heard = {signal.signal_id: Heard(newest, 0.0) for signal in SIGNALS}
    assert complete_until(SIGNALS, heard, Patience.SHARED, factor=60.0) == newest - 4 * MINUTE_US
    rested = {signal.signal_id: Heard(newest, 4.0) for signal in SIGNALS}
    assert complete_until(SIGNALS, rested, Patience.SHARED, factor=60.0) == newest
    assert complete_until(SIGNALS, heard, Patience.NONE) == newest
