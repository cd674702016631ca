"""The whole line with the real detectors: samples in; order, verified closing, or reopening out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from core import clock
from core.database import Database
from detectors.runner import Runner
from maintenance import feedback, guard, queries, service
from maintenance.guard import GUARD
from plant import assets, rollups, telemetry
from plant.model import Floats, Role, SampleBatch
from tickets import hooks
from tickets import service as tickets
from tickets import store as tickets_store
from tickets.model import Actor, ActorKind, Ticket

T0 = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLANNER = Actor(ActorKind.PERSON, None, "Planner", "planner")
SIGNALS = {
    "state": ("state", "", Role.STATE),
    "load": ("ratio", "%", Role.SETPOINT),
    "flow": ("flow", "m3/h", Role.MEASURED),
    "pressure": ("pressure", "bar", Role.MEASURED),
    "current": ("current", "A", Role.MEASURED),
    "vibration": ("vibration_velocity", "mm/s", Role.MEASURED),
    "bearing_temp": ("temperature", "°C", Role.MEASURED),
}
ONSET_H = 96.0
FULL_H = 120.0  # hours from onset to failure


class Line:
    """One pump with a daily load pattern whose bearing wears from ``ONSET_H`` on, until it is repaired."""

    def __init__(self, database: Database, site: int) -> None:
        self.database, self.site = database, site
        self.chance = np.random.default_rng(11)
        self.hour = 0.0
        self.repaired_h: float | None = None
        with self.database.tx(site_id=site) as conn:
            self.asset_id = assets.create_asset(conn, code="P-101", name="Feed pump", asset_class="pump", criticality=4)
            self.ids = {
                code: assets.create_signal(
                    conn,
                    asset_id=self.asset_id,
                    code=code,
                    name=code,
                    quantity=quantity,
                    unit=unit,
                    period_s=60,
                    role=role,
                )
                for code, (quantity, unit, role) in SIGNALS.items()
            }
            conn.execute("""insert into engineers (name, skills) values ('Wang', '{"mechanical": 3}')""")
        self.runner = Runner(database, clock.load, service.on_finding)

    def live_to(self, hour: float) -> None:
        """The plant runs until then: samples, rollups, judgement, and the jobs that look after alarms and repairs."""
        while self.hour < hour:
            end = min(self.hour + 24.0, hour)
            self._write(self.hour, end)
            self.hour = end
            with self.database.tx() as conn:
                clock.set_clock(conn, plant_now=T0 + end * HOUR, factor=1.0)
            self.runner.run_once()
            with self.database.tx(site_id=self.site) as conn:
                service.settle(conn, T0 + end * HOUR)
                guard.check_all(conn, T0 + end * HOUR)

    def tickets(self) -> list[Ticket]:
        with self.database.tx(site_id=self.site) as conn:
            return tickets_store.find(conn, tickets_store.Filter()).items

    def done(self, ticket: Ticket) -> None:
        fields = {"verdict": "confirmed", "failure_code": "bearing_wear", "note": "bearing replaced"}
        with self.database.tx(site_id=self.site) as conn:
            for to in ("accepted", "arrived", "done"):
                tickets.transition(
                    conn,
                    PLANNER,
                    ticket.ticket_id,
                    to=to,
                    fields=fields if to == "done" else {},
                    now=T0 + self.hour * HOUR,
                )

    def _write(self, start: float, end: float) -> None:
        minutes = np.arange(round(start * 60) + 1, round(end * 60) + 1)
        hours = minutes / 60
        columns = self._values(hours)
        at = telemetry.to_us(T0) + 60_000_000 * minutes.astype(np.int64)
        batch = SampleBatch(
            np.repeat([self.ids[code] for code in columns], len(at)).astype(np.int32),
            np.tile(at, len(columns)),
            np.concatenate(list(columns.values())),
            np.zeros(len(at) * len(columns), np.uint8),
        )
        sites = np.full(len(batch), self.site, np.int16)
        with self.database.ingest_tx() as conn:
            telemetry.ensure_days(conn, np.unique(at // telemetry.DAY_US).tolist())
            telemetry.write(conn, batch, site_ids=sites)
            newest = np.flatnonzero(batch.at_us == at[-1])
            last = SampleBatch(*(getattr(batch, name)[newest] for name in SampleBatch.__slots__))
            rollups.upsert_latest(conn, last, site_ids=sites[newest])
            rollups.note(conn, rollups.touched(batch))
            while rollups.roll(conn, until_batch=2**62):
                pass

    def _values(self, hours: Floats) -> dict[str, Floats]:
        def noise(size: float) -> Floats:
            return size * self.chance.standard_normal(len(hours))

        wear = np.clip((hours - ONSET_H) / FULL_H, 0.0, None) ** 1.5
        if self.repaired_h is not None:
            wear = np.where(hours > self.repaired_h, 0.0, wear)
        load = np.round(75 + 15 * np.sin(hours * 2 * np.pi / 24) + 5 * np.sin(hours * 2 * np.pi / 5), 0)
        return {
            "state": np.ones(len(hours)),
            "load": load,
            "flow": 0.8 * load + noise(0.4),
            "pressure": 4 + 0.02 * load + noise(0.03),
            "current": 10 + 0.2 * load + 1.5 * wear + noise(0.2),
            "vibration": 1.5 + 0.008 * load + 4.0 * wear + noise(0.12),
            "bearing_temp": 45 + 0.15 * load + 25 * wear + noise(0.5),
        }


@pytest.fixture
def line(database: Database, site: int) -> Iterator[Line]:
    with hooks.only(close_guard=GUARD) as registered:
        registered.register_on_closed(feedback.on_closed)
        yield Line(database, site)


@pytest.mark.slow
def test_a_wearing_bearing_is_ordered_a_sham_reopened_and_the_repair_proven(line: Line) -> None:
    line.live_to(ONSET_H)
    assert line.tickets() == []
    while not line.tickets() and line.hour < ONSET_H + FULL_H:
        line.live_to(line.hour + 6)
    (order,) = line.tickets()
    assert order.kind == "preventive" and order.mode == "bearing_wear"
    assert line.hour <= ONSET_H + FULL_H / 2, "ordered long before the failure"

    line.live_to(line.hour + 6)
    line.done(order)  # a sham: nothing was repaired
    line.live_to(line.hour + 10)
    assert line.tickets()[0].status == "reopened"

    line.repaired_h = line.hour
    line.done(order)
    line.live_to(line.hour + 10)
    assert line.tickets()[0].status == "verifying"
    line.live_to(line.hour + 4)
    assert line.tickets()[0].status == "closed"

    line.live_to(line.hour + 72)
    assert len(line.tickets()) == 1, "no second order for a healed machine"
    with line.database.tx(site_id=line.site) as conn:
        assert queries.alarms(conn, state="open") == []
        assert queries.health_lights(conn, T0 + line.hour * HOUR) == {line.asset_id: "normal"}
        assert tickets_store.verify_site(conn) == {}
