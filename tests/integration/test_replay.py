"""Recorded weeks again: the same configuration gives the same, another one shows where."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time, timedelta
from typing import Any, LiteralString

import numpy as np
import psycopg
import pytest
from psycopg import sql

import maintenance.jobs  # noqa: F401 - the periodic jobs are registered
from core import clock, jobs
from core.database import Database
from detectors.runner import Runner
from maintenance import feedback, late, service, store
from maintenance.errors import BadReplay
from maintenance.guard import GUARD
from maintenance.replay import difference
from maintenance.replay import run as running
from maintenance.replay import service as replaying
from maintenance.replay.model import Change, Period
from maintenance.replay.sandbox import PREFIX
from plant import rollups, telemetry
from plant.model import SampleBatch
from tests.integration.test_maintenance_line import HOUR, ONSET_H, PLANNER, T0, Line
from tickets import engineers, hooks
from tickets import service as tickets
from tickets.model import Ticket, TicketKind
from tickets.routing import Shift

ROUNDS = ("maintenance.alarms", "maintenance.verify", "maintenance.groups", "maintenance.merge", "maintenance.holds")
STEP_H = 3.0
OUT = ("flow", "current")  # of a gateway that was away from OUT_H to BACK_H
OUT_H, BACK_H = 101.0, 107.0


class Recorded(Line):
    """The wearing pump, run as the product runs it: the jobs by their names, late data judged again."""

    def __init__(self, database: Database, site: int) -> None:
        super().__init__(database, site)
        self.start_judging()

    def start_judging(self) -> None:
        """A detectors' process; called again: the one before was killed."""
        self.runner = Runner(self.database, clock.load, service.on_finding, late.on_rejudged)

    def live_to(self, hour: float) -> None:
        while self.hour < hour:
            end = min(self.hour + STEP_H, hour)
            self._write(self.hour, end)
            self.hour = end
            with self.database.tx() as conn:
                clock.set_clock(conn, plant_now=T0 + end * HOUR, factor=1.0)
            self.runner.run_once()
            for name in ROUNDS:
                jobs.run_periodic(self.database, name)

    def _write(self, start: float, end: float) -> None:
        minutes = np.arange(round(start * 60) + 1, round(end * 60) + 1)
        columns = self._values(minutes / 60)
        if not hasattr(self, "held"):
            self.held: list[tuple[str, Any, Any]] = []
        at = telemetry.to_us(T0) + 60_000_000 * minutes.astype(np.int64)
        now: list[tuple[str, Any, Any]] = []
        for code, values in columns.items():
            away = (minutes > OUT_H * 60) & (minutes <= BACK_H * 60) & (code in OUT)
            self.held.append((code, at[away], values[away]))
            now.append((code, at[~away], values[~away]))
        if end > BACK_H:
            self._store(self.held, fresh=False)
            self.held = []
        self._store(now, fresh=True)

    def _store(self, columns: list[tuple[str, Any, Any]], *, fresh: bool) -> None:
        if not sum(len(at) for _, at, _ in columns):
            return
        at = np.concatenate([at for _, at, _ in columns])
        ids = np.concatenate([np.full(len(at), self.ids[code], np.int32) for code, at, _ in columns])
        batch = SampleBatch(ids, at, np.concatenate([v for *_, v in columns]), np.zeros(len(at), np.uint8))
        sites = np.full(len(batch), self.site, np.int16)
        with self.database.ingest_tx() as conn:
            telemetry.ensure_days(conn, np.unique(at // telemetry.DAY_US).tolist())
            telemetry.write(conn, batch, site_ids=sites)
            newest = np.flatnonzero(batch.at_us == at.max())
            last = SampleBatch(*(getattr(batch, name)[newest] for name in SampleBatch.__slots__))
            rollups.upsert_latest(conn, last, site_ids=sites[newest])
            rollups.note(conn, rollups.touched(batch, fresh=np.ones(len(batch), bool) if fresh else None))
            while rollups.roll(conn, until_batch=2**62):
                pass

    def done(self, ticket: Ticket) -> None:
        """As its parent does it, at the time that the plant's clock shows: people act after what they have seen."""
        fields = {"verdict": "confirmed", "failure_code": "bearing_wear", "note": "bearing replaced"}
        for to in ("accepted", "arrived", "done"):
            with self.database.tx(site_id=self.site) as conn:
                now = clock.load(conn).now()
                given = fields if to == "done" else {}
                tickets.transition(conn, PLANNER, ticket.ticket_id, to=to, fields=given, now=now)

    def orders(self) -> list[Ticket]:
        return [each for each in self.tickets() if each.kind is TicketKind.PREVENTIVE]

    def count(self, statement: LiteralString) -> int:
        with self.database.tx(site_id=self.site) as conn:
            return int((conn.execute(statement).fetchone() or (0,))[0])


@pytest.fixture(scope="module")
def guarded() -> Iterator[None]:
    with hooks.only(close_guard=GUARD) as registered:
        registered.register_on_closed(feedback.on_closed)
        yield


@pytest.fixture
def admin(server: Any) -> str:
    return str(server.dsn("postgres", database="postgres"))


def lived(database: Database, site: int) -> Recorded:
    """A fault, a gateway that was away, people who acknowledge, sham, repair; the judging process killed on the way."""
    line = Recorded(database, site)
    with psycopg.connect(database.owner_dsn) as conn:  # ids of a plant that has seen more: no word may hang on them
        for table in ("alarms", "predictions", "tickets"):
            conn.execute(f"select setval(pg_get_serial_sequence('{table}', '{table[:-1]}_id'), 4711)")
    line.live_to(ONSET_H)
    while not line.orders() and line.hour < ONSET_H + 60:
        line.live_to(line.hour + STEP_H)
        if line.hour == ONSET_H + 12:
            line.start_judging()
    (order,) = line.orders()
    with database.tx(site_id=site) as conn:
        (found,) = store.alarms_of_ticket(conn, order.ticket_id)
        service.acknowledge(conn, "Planner", found.alarm_id, now=clock.load(conn).now())
    line.live_to(line.hour + 6)
    line.done(order)  # a sham
    line.live_to(line.hour + 9)
    assert line.orders()[0].status == "reopened"
    line.repaired_h = line.hour
    line.done(order)
    line.live_to(line.hour + 18)
    assert line.orders()[0].status == "closed"
    return line


def whole(line: Recorded) -> Period:
    with line.database.tx(site_id=line.site) as conn:
        return running.period(conn, start=None, end=clock.load(conn).now())


def test_the_same_again_and_a_what_if(database: Database, site: int, guarded: None, admin: str) -> None:
    line = lived(database, site)
    assert line.count("select count(*) from late_stretches where judged_at is not null") > 0
    assert line.count("select count(*) from findings") > 10
    before = everything(database, admin)
    told: list[float] = []

    same = replaying.replay(database, admin, site, period=whole(line), progress=lambda _at, share: told.append(share))
    assert difference.lines(same.entries) == []
    assert same.report.refused == []
    assert [each["status"] for each in same.rows["orders"] if each["kind"] == "preventive"] == ["closed"]
    assert len(same.rows["predictions"]) > 3 and same.rows["predictions"][-1]["p50_h"] is not None
    assert told[-1] == 1.0 and told == sorted(told)
    assert same.report.factor > 100
    assert len(before) > 100 and everything(database, admin) == before, "live data are only read"

    later = replaying.replay(database, admin, site, period=whole(line), change=Change({"persist_h": 12.0}))
    orders = [each for each in later.entries if each.what == "orders" and each.key["kind"] == "preventive"]
    assert len(orders) == 1
    live_at, replay_at = orders[0].values["opened_at"]
    assert replay_at - live_at > timedelta(hours=3), "it waits for twelve hours of deviation instead of two"
    assert not [each for each in later.entries if each.what == "findings" and each.key["at"] < live_at]
    with psycopg.connect(admin) as conn:
        row = conn.execute("select count(*) from pg_database where datname like %s", (PREFIX + "%",)).fetchone()
    assert row == (0,), "no sandbox is left"


def test_with_an_engineer_fewer_orders_are_planned_anew_and_their_work_waits(
    database: Database, site: int, guarded: None, admin: str
) -> None:
    """Wang was there all day; Zhao, who is left, comes on the night of the next day only."""
    with database.tx(site_id=site) as conn:
        line = Recorded(database, site)
        [(wang,)] = conn.execute("select engineer_id from engineers where name = 'Wang'").fetchall()
        [(zhao,)] = conn.execute(
            """insert into engineers (name, skills) values ('Zhao', '{"mechanical": 2}') returning engineer_id"""
        ).fetchall()
        engineers.set_shifts(conn, wang, [Shift(day, time(0), time(23, 59)) for day in range(7)])
        engineers.set_shifts(conn, zhao, [Shift(day, time(20), time(23, 30)) for day in range(7)])
    line.live_to(ONSET_H)
    while not line.orders() and line.hour < ONSET_H + 60:
        line.live_to(line.hour + STEP_H)
    (order,) = line.orders()
    line.live_to(line.hour + 1)
    with database.tx(site_id=site) as conn:
        tickets.assign(conn, PLANNER, order.ticket_id, assignee_id=wang, now=clock.load(conn).now())
    line.live_to(line.hour + 1)
    line.repaired_h = line.hour
    line.done(order)
    line.live_to(line.hour + 26)
    assert line.orders()[0].done_at is not None

    found = replaying.replay(database, admin, site, period=whole(line), change=Change(without_engineers=["Wang"]))
    assert not [each for each in found.report.refused if "assigned" in each or "transition" in each]
    (fewer,) = [each for each in found.entries if each.what == "orders" and each.key["kind"] == "preventive"]
    assert fewer.values["engineer"] == ("Wang", "Zhao")
    live = line.orders()[0].done_at
    [(then,)] = [(each["done_at"],) for each in found.rows["orders"] if each["kind"] == "preventive"]
    assert live is not None and then is not None and then > live + timedelta(hours=1)


def everything(database: Database, admin: str) -> dict[str, Any]:
    """Every table of live with the number of its rows and a digest of them."""
    name = psycopg.conninfo.conninfo_to_dict(database.app_dsn)["dbname"]
    with psycopg.connect(admin, dbname=str(name)) as conn:
        tables = conn.execute(
            "select tablename from pg_tables where schemaname = 'public' and tablename not like 'pgqueuer%'"
        ).fetchall()
        digest = sql.SQL("select count(*), sum(hashtextextended(t::text, 0)) from {} t")
        return {each: conn.execute(digest.format(sql.Identifier(each))).fetchone() for (each,) in tables}


def test_refuses_what_is_not_over_and_what_has_no_samples(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn, pytest.raises(BadReplay, match="no samples"):
        running.period(conn, start=None, end=T0)
