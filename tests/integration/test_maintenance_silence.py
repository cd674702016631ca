"""What ingest noticed becomes one alarm and one order: told once, meeting the detectors' word, calm while it flaps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

from core import clock
from core.clock import wall_now
from core.database import Database
from detectors.base import Finding, FindingKind, Sentence
from detectors.runner import Runner
from maintenance import feedback, queries, service, silence
from maintenance.guard import GUARD
from plant import assets, rollups, telemetry
from plant.model import SampleBatch
from plant.telemetry import to_us
from tickets import engineers, hooks
from tickets import store as tickets_store
from tickets.model import Ticket, TicketKind

T0 = datetime(2026, 3, 2, tzinfo=UTC)
S = timedelta(seconds=1)


class Plant:
    """A line with two pumps; each pump's flow comes from the gateway gw."""

    def __init__(self, conn: Connection, site: int) -> None:
        self.conn, self.site = conn, site
        self.line = assets.create_asset(conn, code="L1", name="Line", asset_class="")
        self.pumps, self.flows = [], []
        for code in ("P-1", "P-2"):
            pump = assets.create_asset(conn, code=code, name=code, asset_class="pump", parent_id=self.line)
            flow = assets.create_signal(
                conn, asset_id=pump, code="flow", name="flow", quantity="flow", unit="m3/h", period_s=1
            )
            assets.bind(conn, source="gw", tag=f"{code}/flow", signal_id=flow)
            self.pumps.append(pump)
            self.flows.append(flow)

    def fault(self, database: Database, kind: str, at: datetime, *, signal_id: int | None = None, **detail: Any) -> int:
        row = self.conn.execute(
            """insert into source_faults (site_id, kind, source, signal_id, since, expected_s, detail, noticed_at)
               values (%s, %s, %s, %s, %s, 1, %s, %s) returning fault_id""",
            (self.site, kind, "" if kind == "many" else "gw", signal_id, at - 2 * S, Jsonb(detail), at),
        ).fetchone()
        assert row
        return int(row[0])

    def end(self, fault_id: int, at: datetime) -> None:
        self.conn.execute(
            "update source_faults set ended_at = %s, ended_as = 'heard' where fault_id = %s", (at, fault_id)
        )

    def tickets(self) -> list[Ticket]:
        return tickets_store.find(self.conn, tickets_store.Filter()).items

    def turn(self, now: datetime) -> None:
        silence.settle(self.conn, now)
        service.settle(self.conn, now)


@pytest.fixture
def plant(conn: Connection, site: int, database: Database, superuser: Connection) -> Iterator[Plant]:
    superuser.execute("grant insert, update on source_faults to millwright_app")  # ingest's part, in one transaction
    with hooks.only(close_guard=GUARD) as registered:
        registered.register_on_closed(feedback.on_closed)
        engineers.create(conn, name="Wang", skills={"instrumentation": 2}, user_id=None)
        yield Plant(conn, site)


def test_a_silent_source_is_one_order_at_what_its_machines_have_in_common(plant: Plant, database: Database) -> None:
    fault_id = plant.fault(database, "source", T0, tags=2)
    for _ in range(3):
        plant.turn(T0 + S)
    (ticket,) = plant.tickets()
    assert (ticket.kind, ticket.mode, ticket.asset_id) == (TicketKind.SENSOR_FAULT, "source:gw:silent", plant.line)
    assert ticket.title == "L1: source gw silent" and "无数据" in ticket.fields["title_zh"]
    assert "2 tags are without data" in ticket.description and ticket.skill == "instrumentation"
    assert queries.alarms(plant.conn)[0]["mode"]["name"]["en"] == "Source gw silent"
    plant.end(fault_id, T0 + 60 * S)
    plant.turn(T0 + 61 * S)
    assert plant.tickets()[0].is_open
    plant.turn(T0 + 71 * S)
    (ticket,) = plant.tickets()
    assert ticket.status == "closed"


def test_everyone_is_one_order(plant: Plant, database: Database) -> None:
    plant.fault(database, "many", T0, sources=["gw", "other"], count=2)
    plant.turn(T0 + S)
    (ticket,) = plant.tickets()
    assert (ticket.mode, ticket.title) == ("source:many:silent", "2 sources silent at once")


def test_a_tag_s_silence_and_the_detectors_word_are_one_order(plant: Plant, database: Database) -> None:
    fault_id = plant.fault(database, "tag", T0, signal_id=plant.flows[0])
    plant.turn(T0 + S)
    (ticket,) = plant.tickets()
    assert (ticket.mode, ticket.asset_id) == ("sensor:flow:silent", plant.pumps[0])

    def word(at: datetime, *, active: bool) -> Finding:
        return Finding(
            "sensor_check", "1", FindingKind.SENSOR, plant.pumps[0], plant.site, "silent", T0, at, 9.0, active,
            {plant.flows[0]: 1.0}, {plant.flows[0]: 0}, 1.0, Sentence("silent", {"signal": "flow"}),
        )  # fmt: skip

    service.on_finding(plant.conn, word(T0 + 5 * S, active=True), T0 + 5 * S)
    assert len(plant.tickets()) == 1
    plant.end(fault_id, T0 + 60 * S)
    plant.turn(T0 + 200 * S)
    assert plant.tickets()[0].is_open  # the detectors have not seen ten good rows yet
    service.on_finding(plant.conn, word(T0 + 210 * S, active=False), T0 + 210 * S)
    plant.turn(T0 + 225 * S)
    assert [each.status for each in plant.tickets()] == ["closed"]


def test_a_flapping_source_makes_no_storm(plant: Plant, database: Database) -> None:
    for minute in range(120):
        at = T0 + minute * 30 * S
        fault_id = plant.fault(database, "source", at, tags=2)
        plant.turn(at + S)
        plant.end(fault_id, at + 10 * S)
        plant.turn(at + 11 * S)
        plant.turn(at + 29 * S)
    assert len(plant.tickets()) <= 3
    plant.turn(T0 + timedelta(hours=3))
    assert all(not each.is_open for each in plant.tickets())


def test_one_that_came_back_before_it_was_told_is_told_whole(plant: Plant, database: Database) -> None:
    fault_id = plant.fault(database, "source", T0, tags=2)
    plant.end(fault_id, T0 + S)
    plant.turn(T0 + 2 * S)
    plant.turn(T0 + 20 * S)
    assert [each.status for each in plant.tickets()] == ["closed"]
    row = plant.conn.execute("select count(*) from source_faults where end_told_at is null").fetchone()
    assert row == (0,)


def test_late_data_are_told_to_those_who_look_after_it(plant: Plant, database: Database) -> None:
    plant.conn.execute("insert into users (login, name) values ('ann', 'Ann'), ('bob', 'Bob')")
    plant.conn.execute(
        """insert into memberships (user_id, site_id, role)
           select user_id, %s, case login when 'ann' then 'planner' else 'engineer' end from users""",
        (plant.site,),
    )
    plant.fault(database, "lag", T0, lag_s=42.0)
    plant.turn(T0)
    plant.turn(T0 + S)
    rows = plant.conn.execute(
        "select login, n.kind, body->'title'->>'en' from notifications n join users using (user_id)"
    )
    assert rows.fetchall() == [("ann", "lag", "Data of gw come late")]
    assert plant.tickets() == []


def test_two_workers_and_a_crash_make_one_order(database: Database, site: int, superuser: Connection) -> None:
    """What is noticed is told once: two workers race, and one that dies in the middle has done nothing."""
    with database.tx(site_id=site) as conn:
        pump = assets.create_asset(conn, code="P-1", name="P-1", asset_class="pump")
        flow = assets.create_signal(conn, asset_id=pump, code="flow", name="flow", quantity="flow", unit="m3/h")
        assets.bind(conn, source="gw", tag="flow", signal_id=flow)
    with database.ingest_tx() as conn:
        conn.execute(
            """insert into source_faults (site_id, kind, source, since, expected_s)
               values (%s, 'source', 'gw', now() - interval '3 s', 1)""",
            (site,),
        )
    with pytest.raises(ZeroDivisionError), database.tx(site_id=site) as conn:
        assert silence.settle(conn, wall_now()) == 1
        raise ZeroDivisionError
    assert superuser.execute("select count(*) from tickets").fetchone() == (0,)
    begin = threading.Barrier(4)

    def work() -> None:
        begin.wait()
        with database.tx(site_id=site) as conn:
            silence.settle(conn, wall_now())

    workers = [threading.Thread(target=work) for _ in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert superuser.execute("select mode from tickets").fetchall() == [("source:gw:silent",)]
    row = superuser.execute("select told_at is not null, alarm_id is not null from source_faults").fetchone()
    assert row == (True, True)


def test_stuck_and_out_of_range_are_sensor_orders_too(database: Database, site: int, superuser: Connection) -> None:
    """The detectors see them; here to the order: a sensor's, never the machine's."""
    step_us, rows = 1_000_000, 2_400
    with database.tx(site_id=site) as conn:
        engineers.create(conn, name="Wang", skills={"instrumentation": 2}, user_id=None)
        asset_id = assets.create_asset(conn, code="P-1", name="P-1", asset_class="pump")
        ids = [
            assets.create_signal(
                conn, asset_id=asset_id, code=code, name=code, quantity="temperature", unit="°C", low=0.0, high=100.0,
                period_s=1.0,
            )
            for code in ("a", "b", "c")
        ]  # fmt: skip
    values = 50 + np.random.default_rng(3).standard_normal((rows, 3))
    values[2_000:, 0] = values[1_999, 0]  # stuck
    values[2_000:2_100, 1] = 250.0  # out of range
    at = to_us(T0) + step_us * np.arange(rows, dtype=np.int64)
    batch = SampleBatch(
        np.repeat(np.array(ids, np.int32), rows), np.tile(at, 3), values.T.ravel(), np.zeros(3 * rows, np.uint8)
    )
    sites = np.full(len(batch), site, np.int16)
    with database.ingest_tx() as conn:
        telemetry.ensure_days(conn, np.unique(at // telemetry.DAY_US).tolist())
        telemetry.write(conn, batch, site_ids=sites)
        newest = np.arange(rows - 1, 3 * rows, rows)
        last = SampleBatch(*(getattr(batch, name)[newest] for name in SampleBatch.__slots__))
        rollups.upsert_latest(conn, last, site_ids=sites[newest])
    with database.tx() as conn:
        clock.set_clock(conn, plant_now=T0 + rows * S, factor=1.0)
    Runner(database, clock.load, service.on_finding).run_once()
    found = superuser.execute("select kind, mode from tickets order by 2").fetchall()
    assert found == [("sensor-fault", "sensor:a:stuck"), ("sensor-fault", "sensor:b:out_of_range")]
    told = dict(superuser.execute("select mode, raised_at from alarms").fetchall())
    onset = T0 + 2_000 * S
    assert told["sensor:b:out_of_range"] - onset <= 4 * S
    assert told["sensor:a:stuck"] - onset <= 15 * S  # ten equal values in a row are the least that say it


def test_that_ingest_itself_is_away_is_said_by_the_worker(plant: Plant, superuser: Connection) -> None:
    superuser.execute("insert into ingest_heartbeat default values")
    plant.turn(T0)
    assert plant.tickets() == []
    superuser.execute("update ingest_heartbeat set at = now() - interval '31 s'")
    for _ in range(3):
        plant.turn(T0 + S)
    (ticket,) = plant.tickets()
    assert ticket.mode == "source:many:silent" and "Ingest does not run" in ticket.description
