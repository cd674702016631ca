"""Data that come after their time was judged: judged again, as if they had come in time."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import LiteralString

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from core import clock
from core.database import Database
from detectors import late, replay, store
from detectors.base import Finding
from detectors.findings import moment
from detectors.line import Action, Line, Request
from detectors.runner import Patience, Runner
from ingest import backfill
from maintenance import late as maintenance_late
from maintenance import queries, service
from maintenance.store import subject
from plant import assets, bindings, rollups, telemetry
from plant.model import SampleBatch
from tests.conftest import RunningBroker
from tests.detector_machines import COLUMN, MINUTE_US, SIGNALS, START_US, Life, live
from tests.integration.ingest_kit import batch_payload, make_plant, publisher, running_ingest, wait_until

CODES = [signal.code for signal in SIGNALS]
NUMBERS = itertools.count(1)
WATERMARK: LiteralString = "select watermark_us from asset_watermarks where asset_id = %s"
FLOOR, SKID = CODES[:5], CODES[5:]  # two gateways of one machine


@pytest.fixture(scope="module")
def life() -> Life:
    """A pump that fails, with a sensor that sticks for a while."""
    made = live(7, 6.5, mode="cavitation", onset_day=4.0, wear_days=2.5)
    values = made.values.copy()
    values[3_000:3_400, COLUMN["bearing_temp"]] = values[3_000, COLUMN["bearing_temp"]]
    return made.with_values(values)


class Plant:
    """A pump whose data come through the lane for old data, in any order, and the findings about it."""

    def __init__(self, database: Database, site: int, life: Life, *, code: str = "P-101") -> None:
        self.database, self.site, self.life, self.code = database, site, life, code
        with database.tx(site_id=site) as conn:
            self.asset_id = assets.create_asset(conn, code=code, name="Pump", asset_class="pump", criticality=4)
            self.ids = {s.code: self._signal(conn, s) for s in SIGNALS}
        self.told: list[Finding] = []
        self.runner = self.new_runner()

    def _signal(self, conn: Connection, s: object) -> int:
        names = ("code", "name", "quantity", "unit", "low", "high", "period_s", "role")
        made = assets.create_signal(conn, asset_id=self.asset_id, **{name: getattr(s, name) for name in names})
        assets.bind(conn, source="gateway", tag=f"{self.code}/{s.code}", signal_id=made)
        return made

    def new_runner(self) -> Runner:
        return Runner(self.database, clock.load, self._keep, maintenance_late.on_rejudged)

    def _keep(self, conn: Connection, finding: Finding, now: datetime) -> None:
        self.told.append(finding)
        service.on_finding(conn, finding, now)

    def send(self, codes: Sequence[str], start: int, end: int, *, rows: npt.NDArray[np.intp] | None = None) -> None:
        """Rows [start, end) of these signals, in one go."""
        chosen = np.arange(start, end) if rows is None else rows
        columns = {
            f"{self.code}/{code}": (self.life.at_us[chosen], self.life.values[chosen, COLUMN[code]]) for code in codes
        }
        kept = backfill.columns(self.database, site_id=self.site, source="gateway", columns=columns)
        assert kept.quarantined == 0

    def run(self, row: int) -> int:
        """Judge, the plant clock being at that row."""
        with self.database.tx() as conn:
            clock.set_clock(conn, plant_now=moment(int(self.life.at_us[row - 1])), factor=1.0)
        return self.runner.run_once()

    def findings(self) -> list[tuple[object, ...]]:
        return self.rows(
            """select detector, mode, at, active, surprise from findings
               where asset_id = %s and withdrawn_at is null order by at, mode, active, detector""",
            self.asset_id,
        )

    def rows(self, statement: LiteralString, *values: object) -> list[tuple[object, ...]]:
        with self.database.tx(site_id=self.site) as conn:
            return conn.execute(statement, values).fetchall()

    def one(self, statement: LiteralString, *values: object) -> object:
        return self.rows(statement, *values)[0][0]

    def state(self) -> bytes:
        return self.runner._lines[self.asset_id].dump()

    def in_order(self, requests: Sequence[Request] = ()) -> tuple[list[tuple[object, ...]], bytes]:
        """Findings and final state of a line that never stops, over what is stored now."""
        until_us = int(str(self.one(WATERMARK, self.asset_id)))
        with self.database.tx(site_id=self.site) as conn:
            asset, signals = assets.asset(conn, self.asset_id), assets.signals(conn, self.asset_id)
            batch = telemetry.read_frame_samples(conn, list(self.ids.values()), START_US, until_us)
        line = Line(asset, signals, position_us=START_US, muted_us=0)
        said = line.advance(batch, requests, until_us=until_us)
        found = [(f.detector, f.failure_mode, f.at, f.active, f.surprise) for f in said.findings]
        return sorted(found, key=lambda f: (f[2], f[1] is None, f[1] or "", f[3], f[0])), line.dump()

    def agree(self, requests: Sequence[Request] = ()) -> None:
        wanted, state = self.in_order(requests)
        assert self.findings() == wanted
        assert self.state() == state
        assert self.deviating() == self.active()

    def deviating(self) -> list[tuple[object, ...]]:
        """What the alarms believe."""
        return self.rows(
            """select kind, count(*) from alarms where asset_id = %s and jsonb_array_length(deviating) > 0
               group by kind order by kind""",
            self.asset_id,
        )

    def active(self) -> list[tuple[object, ...]]:
        """What the last finding of each machine and sensor fault says that stands."""
        return self.rows(
            """select kind, count(*) from (
                 select distinct on (kind, mode, case kind when 'sensor' then subject end) kind, active from findings
                 where asset_id = %s and withdrawn_at is null
                 order by kind, mode, case kind when 'sensor' then subject end, at desc, finding_id desc) as last
               where active group by kind order by kind""",
            self.asset_id,
        )


@pytest.fixture
def plant(database: Database, site: int, life: Life) -> Plant:
    return Plant(database, site, life)


def test_a_gateway_that_was_out_for_hours_changes_nothing_in_the_end(plant: Plant) -> None:
    """Its machine was judged without it meanwhile; then it drains in pieces, and the live gateway goes on."""
    plant.send(CODES, 0, 6_500)
    plant.run(6_500)
    for row in (6_800, 7_100):
        plant.send(FLOOR, row - 300, row)
        plant.run(row)
    silent = plant.rows("select finding_id from findings where mode = 'silent'")
    assert silent, "the sensors of the gateway were missed"
    for piece in range(6_500, 7_000, 100):
        plant.send(SKID, piece, piece + 100)
    plant.send(CODES, 7_100, 7_200)
    plant.send(SKID, 7_000, 7_100)
    plant.run(7_200)
    plant.agree()
    (withdrawn,) = plant.rows("select count(*), bool_and(withdrawn_at is not null) from findings where mode = 'silent'")
    assert int(str(withdrawn[0])) >= len(silent) and withdrawn[1] is True
    counts = _counts(plant)
    assert counts.waiting == 0
    assert counts.judged >= 1
    assert counts.withdrawn >= len(silent)
    assert plant.runner.run_once() == 0


@settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.generate],  # to shrink would take an hour
)
@given(seed=st.integers(0, 10**6), where=st.integers(1_000, 8_000), length=st.integers(5, 1_500))
def test_the_order_of_arrival_does_not_matter(
    database: Database, site: int, life: Life, seed: int, where: int, length: int
) -> None:
    """Rows of some signals are held back, shuffled, and come in pieces while judging goes on, some a process later."""
    chance = np.random.default_rng(seed)
    plant = Plant(database, site, life, code=f"P-{next(NUMBERS)}")
    held = list(chance.permutation(CODES)[: chance.integers(1, len(CODES))])
    rows = where + np.flatnonzero(chance.random(min(length, 9_000 - where)) < chance.uniform(0.2, 1.0))
    others = [code for code in CODES if code not in held]
    plant.send(CODES, 0, where)
    plant.send(held, 0, 0, rows=np.setdiff1d(np.arange(where, 9_000), rows))
    plant.send(others, where, 8_500)
    plant.run(8_500)
    for piece in np.array_split(chance.permutation(rows), 3):
        plant.send(held, 0, 0, rows=np.sort(piece).astype(np.intp))
        if chance.random() < 0.5:
            plant.runner = plant.new_runner()
        plant.run(8_500)
    plant.send(others, 8_500, 9_000)
    plant.run(9_000)
    plant.agree()


def test_a_fault_that_only_the_late_data_show_opens_its_order_late_and_says_so(plant: Plant) -> None:
    symptoms = [code for code in CODES if code not in ("state", "ambient", "load")]
    end = len(plant.life.at_us)
    plant.send(CODES, 0, 5_700)
    plant.send(["state", "ambient", "load"], 5_700, end)
    plant.run(end)
    assert not plant.rows("select 1 from tickets where kind = 'preventive'")
    plant.send(symptoms, 5_700, end)
    plant.run(end)
    plant.agree()
    (order,) = plant.rows("select ticket_id from tickets where kind = 'preventive'")
    told = plant.rows(
        """select body->'body'->'text'->>'en' from ticket_events
           where ticket_id = %s and body->>'kind' = 'late'""",
        order[0],
    )
    assert len(told) == 1 and "h late" in str(told[0][0])
    assert len(plant.told) == len({(f.kind, subject(f), f.at, f.active) for f in plant.told}), "nothing said twice"


def test_an_alarm_that_late_data_disprove_clears_and_keeps_its_evidence(plant: Plant) -> None:
    plant.send(CODES, 0, 2_000)
    plant.send(FLOOR, 2_000, 2_400)
    plant.run(2_400)
    with plant.database.tx(site_id=plant.site) as conn:
        before = queries.alarms(conn, state="open")
    assert before
    plant.send(SKID, 2_000, 2_400)
    plant.run(2_400)
    plant.agree()
    with plant.database.tx(site_id=plant.site) as conn:
        service.settle(conn, moment(int(plant.life.at_us[2_399])) + 2 * service.POLICY.clear_delay)
        service.settle(conn, moment(int(plant.life.at_us[2_399])) + 4 * service.POLICY.clear_delay)
        assert queries.alarms(conn, state="open") == []
        assert len(queries.alarms(conn)) == len(before)
    assert plant.one("select count(*) from findings where withdrawn_at is not null")
    assert plant.one("select count(*) from tickets where status not in ('closed', 'cancelled')") == 0


def test_a_whole_machine_that_was_silent_is_judged_once_in_order(plant: Plant) -> None:
    """Its watermark never passed: nothing is late."""
    plant.send(CODES, 0, 3_000)
    plant.run(3_000)
    plant.run(5_000)
    for piece in range(3_000, 5_000, 500):
        plant.send(CODES, piece, piece + 500)
    plant.run(5_000)
    plant.agree()
    assert _counts(plant).judged == 0


def test_late_data_from_before_the_first_sample_rebuild_the_baseline(plant: Plant) -> None:
    plant.send(CODES, 1_000, 6_000)
    plant.run(6_000)
    plant.send(CODES, 0, 1_000)
    plant.run(6_000)
    plant.agree()


def test_the_same_data_again_are_not_late(plant: Plant) -> None:
    plant.send(CODES, 0, 3_000)
    plant.run(3_000)
    plant.send(CODES, 0, 3_000)
    assert plant.run(3_000) == 0
    assert _counts(plant).judged == 0


def test_what_people_did_in_the_meantime_counts_in_the_replay(plant: Plant) -> None:
    worked = 8_800
    plant.send(CODES, 0, 8_600)
    plant.send(FLOOR, 8_600, worked + 60)
    plant.run(worked + 30)
    with plant.database.tx(site_id=plant.site) as conn:
        request_id = store.request(conn, plant.asset_id, Action.INTERVENTION, at=moment(int(plant.life.at_us[worked])))
    plant.run(worked + 60)
    plant.send(SKID, 8_600, worked + 60)
    plant.run(worked + 60)
    plant.agree([Request(request_id, Action.INTERVENTION, int(plant.life.at_us[worked]), done=False)])


def test_a_replay_in_small_turns_survives_its_process_and_live_goes_on(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "STRETCH_ROWS", 50)
    monkeypatch.setattr(late, "QUIET_S", 0.0)
    plant.send(CODES, 0, 4_000)
    plant.send(FLOOR, 4_000, 4_400)
    plant.run(4_400)
    plant.send(SKID, 3_990, 4_400)
    first = plant.new_runner()
    site = first._look(plant.site, Patience.LIVE)
    first._run_site(site)
    assert len(site.late) == 1
    assert first._replays.turn(plant.site, site.late, site.machines, now=site.clock.now(), turn_s=0.0) > 0
    assert first._replays.busy, "one stretch is not all"
    plant.send(CODES, 4_400, 4_500)  # the first process dies here
    plant.run(4_500)
    plant.agree()


def test_it_happens_beside_live_judging(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late, "QUIET_S", 0.5)
    plant.send(CODES, 0, 4_000)
    plant.send(FLOOR, 4_000, 4_300)
    plant.run(4_300)
    stop = threading.Event()
    thread = threading.Thread(target=plant.runner.run_forever, args=(stop,))
    thread.start()
    try:
        for piece in range(4_000, 4_300, 50):
            plant.send(SKID, piece, piece + 50)
        deadline = time.monotonic() + 60
        while not (_counts(plant).judged and not _counts(plant).waiting):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        plant.send(CODES, 4_300, 4_400)
        while plant.one(WATERMARK, plant.asset_id) != plant.life.at_us[4_399]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        stop.set()
        thread.join(30)
    plant.run(4_400)
    plant.agree()


def test_a_flush_that_commits_after_a_later_one_is_not_overlooked(plant: Plant) -> None:
    plant.send(CODES, 0, 1_000)
    plant.run(1_000)
    early = SampleBatch(
        np.array([plant.ids["flow"]], np.int32), plant.life.at_us[500:501] + 1, np.array([50.0]), np.zeros(1, np.uint8)
    )
    with plant.database.ingest_tx() as slow:
        telemetry.write(slow, early, site_ids=np.array([plant.site], np.int16))
        rollups.note(slow, rollups.touched(early))
        plant.send(CODES, 1_000, 1_100)
        plant.run(1_100)
        assert _counts(plant) == late.Counts(0, 0, 0, 0, 0)
    assert plant.run(1_100) > 0
    plant.agree()


def test_fresh_rows_of_one_machine_do_not_make_another_late(plant: Plant) -> None:
    """A flush names signals only where rows are not fresh."""
    batch = SampleBatch(
        np.array([plant.ids["flow"], plant.ids["pressure"]], np.int32),
        np.array([START_US + 60 * MINUTE_US, START_US + 61 * MINUTE_US]),
        np.ones(2),
        np.zeros(2, np.uint8),
    )
    assert [each.signals for each in rollups.touched(batch, fresh=np.array([True, True]))] == [None]
    assert [each.signals for each in rollups.touched(batch, fresh=np.array([False, True]))] == [
        (plant.ids["flow"],),
        None,
    ]
    assert [each.signals for each in rollups.touched(batch)] == [
        tuple(sorted((plant.ids["flow"], plant.ids["pressure"])))
    ]


def test_a_drain_is_judged_when_it_rests_or_lasts() -> None:
    assert not late.Stretch(1, 0, 1, quiet_s=0.5, waited_s=100.0).ripe
    assert late.Stretch(1, 0, 1, quiet_s=late.QUIET_S, waited_s=6.0).ripe
    assert late.Stretch(1, 0, 1, quiet_s=0.5, waited_s=late.PATIENCE_S).ripe


def test_another_site_hears_nothing_of_it(plant: Plant, database: Database, life: Life) -> None:
    with database.tx() as conn:
        row = conn.execute("insert into sites (code, name) values ('other', 'Other') returning site_id").fetchone()
    assert row
    other = Plant(database, row[0], life)
    for each in (plant, other):
        each.send(CODES, 0, 1_000)
    plant.run(1_000)
    plant.send(["flow"], 0, 0, rows=np.array([], np.intp))
    other.send(CODES, 1_000, 1_010)
    plant.run(1_010)
    assert _counts(plant).judged == _counts(other).judged == 0


def _counts(plant: Plant) -> late.Counts:
    with plant.database.tx(site_id=plant.site) as conn:
        return late.counts(conn)


def test_a_tag_that_was_renamed_keeps_its_signal_and_what_the_detectors_know(plant: Plant) -> None:
    """The gateway is replaced by one that calls itself and its tags otherwise, in the middle of a life."""
    plant.send(CODES, 0, 6_000)
    plant.run(6_000)
    before = plant.one("select count(*) from late_stretches")
    with plant.database.tx(site_id=plant.site) as conn:
        assert bindings.move(conn, "gateway", to_source="new") == len(CODES)
        for code in CODES:
            bindings.move(conn, "new", f"P-101/{code}", to_source="new", to_tag=f"line 2/{code}")
        conn.execute("update signals set name = 'Renamed ' || name where asset_id = %s", (plant.asset_id,))
    rows = slice(6_000, len(plant.life.at_us))
    columns = {f"line 2/{code}": (plant.life.at_us[rows], plant.life.values[rows, COLUMN[code]]) for code in CODES}
    kept = backfill.columns(plant.database, site_id=plant.site, source="new", columns=columns)
    assert (kept.stored, kept.quarantined) == ((len(plant.life.at_us) - 6_000) * len(CODES), 0)
    plant.run(len(plant.life.at_us))
    plant.agree()
    assert plant.one("select count(distinct signal_id) from samples") == len(CODES)
    assert plant.one("select count(*) from late_stretches") == before


def test_over_the_wire_only_what_is_not_fresh_is_looked_at(
    database: Database, site: int, mosquitto: RunningBroker, tmp_path: Path
) -> None:
    make_plant(database, site)

    def named() -> list[bool]:
        with database.tx(site_id=site) as conn:
            rows = conn.execute("select signals is not null from ingest_batches order by batch_id").fetchall()
        return [row[0] for row in rows]

    with running_ingest(database, mosquitto.port, tmp_path / "log"), publisher(mosquitto.port) as client:
        for seq, (ago_s, wanted) in enumerate([(0, [False]), (60, [False, True]), (0, [False, True, False])], start=1):
            at_us = time.time_ns() // 1000 - ago_s * 1_000_000
            tag = "M-0/s0" if ago_s == 0 else "M-0/s1"
            client.publish("mw/v1/plant/gw/b", batch_payload([tag], at_us, [1.0], epoch="a", seq=seq), qos=1)
            wait_until(lambda wanted=wanted: named() == wanted, what="the flush")  # type: ignore[misc]
