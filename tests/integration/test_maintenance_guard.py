"""A repair is believed when the machine's own signals say so: on real samples, bands and rollups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from psycopg import Connection

from core.database import Database
from detectors.base import Band, Finding, FindingKind, Sentence
from maintenance import feedback, guard, jobs, queries, service
from maintenance.guard import GUARD
from plant import assets, rollups, telemetry
from plant.model import SampleBatch
from tickets import hooks
from tickets import service as tickets
from tickets import store as tickets_store
from tickets.model import Actor, ActorKind, Ticket

T0 = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE_US = 60_000_000
PLANNER = Actor(ActorKind.PERSON, None, "Planner", "planner")
DONE = 24.0  # plant hour of the repair; the fault began at hour 0
NORMAL, SIGMA = 2.0, 0.1  # mm/s
LEAST = guard.VerifyPolicy()


@dataclass
class Plant:
    """A motor whose vibration we write, minute by minute, as ingest and detectors would."""

    database: Database
    site: int
    asset_id: int = 0
    signal_id: int = 0
    chance: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def __post_init__(self) -> None:
        with self.tx() as conn:
            self.asset_id = assets.create_asset(conn, code="M-201", name="Motor", asset_class="motor")
            self.signal_id = assets.create_signal(
                conn,
                asset_id=self.asset_id,
                code="vibration",
                name="vibration",
                quantity="vibration_velocity",
                unit="mm/s",
                period_s=60,
            )

    def tx(self) -> Any:
        return self.database.tx(site_id=self.site)

    def run(self, start_h: float, end_h: float, *, level: float) -> None:
        """The machine runs: samples around ``level`` sigmas above normal, and the detector's bands."""
        at = telemetry.to_us(T0 + start_h * HOUR) + MINUTE_US * np.arange(1, int((end_h - start_h) * 60) + 1)
        values = NORMAL + SIGMA * (level + self.chance.standard_normal(len(at)))
        batch = SampleBatch(
            np.full(len(at), self.signal_id, np.int32), at.astype(np.int64), values, np.zeros(len(at), np.uint8)
        )
        with self.database.ingest_tx() as conn:
            telemetry.ensure_days(conn, np.unique(at // telemetry.DAY_US).tolist())
            telemetry.write(conn, batch, site_ids=np.full(len(at), self.site, np.int16))
            rollups.note(conn, rollups.touched(batch))
            while rollups.roll(conn, until_batch=2**62):
                pass
        bands = [
            Band(self.signal_id, int(us), NORMAL, NORMAL - 4 * SIGMA, NORMAL + 4 * SIGMA)
            for us in at
            if us % (15 * MINUTE_US) == 0
        ]
        with self.tx() as conn:
            telemetry.write_bands(conn, bands)
            conn.execute(
                """insert into asset_watermarks (asset_id, watermark_us) values (%s, %s)
                   on conflict (asset_id) do update set watermark_us = excluded.watermark_us""",
                (self.asset_id, int(at[-1])),
            )

    def say(self, hour: float, *, started_h: float = 0.0, active: bool = True) -> None:
        finding = Finding(
            detector="chain",
            version="1",
            kind=FindingKind.MACHINE,
            asset_id=self.asset_id,
            site_id=self.site,
            failure_mode=None,
            started_at=T0 + started_h * HOUR,
            at=T0 + hour * HOUR,
            surprise=5.0,
            active=active,
            contributions={self.signal_id: 1.0},
            directions={self.signal_id: 1},
            health=0.7,
            sentence=Sentence("drift", {}),
        )
        with self.tx() as conn:
            service.on_finding(conn, finding, finding.at)

    def fail(self, *, level: float = 3.0) -> Ticket:
        """A fault from hour 0 until it is said to be done."""
        self.run(0, DONE, level=level)
        for hour in range(1, 5):
            self.say(hour)
        with self.tx() as conn:
            (ticket,) = tickets_store.find(conn, tickets_store.Filter()).items
            return ticket

    def done(self, ticket: Ticket, hour: float = DONE, *, verdict: str = "confirmed") -> None:
        fields = {"verdict": verdict, "note": "balanced", "failure_code": "imbalance"}
        if verdict == "nothing_found":
            del fields["failure_code"]
        with self.tx() as conn:
            if tickets_store.get(conn, ticket.ticket_id).assignee_id is None:
                row = conn.execute("insert into engineers (name) values ('Wang') returning engineer_id").fetchone()
                assert row
                tickets.assign(conn, PLANNER, ticket.ticket_id, assignee_id=row[0], version=None, now=T0 + hour * HOUR)
            for to in ("accepted", "arrived", "done"):
                if to == "accepted" and tickets_store.get(conn, ticket.ticket_id).status == "reopened":
                    continue
                tickets.transition(
                    conn, PLANNER, ticket.ticket_id, to=to, fields=fields if to == "done" else {}, now=T0 + hour * HOUR
                )

    def check(self, hour: float) -> None:
        with self.tx() as conn:
            jobs.verify_repairs(conn, {}, T0 + hour * HOUR)

    def ticket(self, ticket: Ticket) -> Ticket:
        with self.tx() as conn:
            return tickets_store.get(conn, ticket.ticket_id)

    def proof(self, ticket: Ticket) -> dict[str, Any]:
        with self.tx() as conn:
            found = queries.verification(conn, ticket.ticket_id)
        assert found
        return found

    def requests(self) -> list[tuple[str, datetime]]:
        with self.tx() as conn:
            rows: list[tuple[str, datetime]] = conn.execute(
                "select action, at from detector_requests order by request_id"
            ).fetchall()
        return rows


@pytest.fixture
def plant(database: Database, site: int) -> Iterator[Plant]:
    with hooks.only(close_guard=GUARD) as registered:
        registered.register_on_closed(feedback.on_closed)
        yield Plant(database, site)


def test_a_real_repair_is_closed_by_the_machine(plant: Plant) -> None:
    ticket = plant.fail()
    plant.done(ticket)
    assert plant.ticket(ticket).status == "verifying"
    assert plant.requests() == [("intervention", T0 + DONE * HOUR)]
    for end in range(25, 37):
        plant.run(end - 1, end, level=0.0)
        plant.check(end)
        assert plant.ticket(ticket).status == "verifying", plant.proof(ticket)["detail"]
    plant.run(36, 37, level=0.0)
    plant.check(37)
    closed = plant.ticket(ticket)
    assert (closed.status, closed.verdict) == ("closed", "confirmed")
    proof = plant.proof(ticket)
    assert proof["status"] == "healthy" and proof["left"] < 0.2 and proof["running_h"] >= 12
    assert proof["plot"][0]["code"] == "vibration" and len(proof["plot"][0]["at"]) > 100
    assert plant.requests()[-1] == ("relearn", T0 + 37 * HOUR)
    with plant.tx() as conn:
        assert queries.alarms(conn, state="open") == []
        assert tickets_store.verify_chain(conn, ticket.ticket_id) == []


def test_a_sham_repair_is_reopened_with_the_plot(plant: Plant) -> None:
    ticket = plant.fail()
    plant.done(ticket)
    plant.run(DONE, 28, level=3.2)
    plant.check(28)
    assert plant.ticket(ticket).status == "verifying"
    plant.run(28, 29, level=3.2)
    plant.check(29)
    assert plant.ticket(ticket).status == "reopened"
    with plant.tx() as conn:
        events = tickets_store.timeline(conn, ticket.ticket_id)
    event = next(each for each in events if each.body.get("to") == "reopened")
    shown = event.body["evidence"]
    assert shown["plot"][0]["bands"]["high"] and shown["left"] > 0.9 and "偏差" in shown["text"]["zh"]
    assert [action for action, _ in plant.requests()] == ["intervention"]


def test_a_sham_inside_the_limits_is_still_a_sham(plant: Plant) -> None:
    ticket = plant.fail(level=1.2)
    plant.done(ticket)
    plant.run(DONE, 29, level=1.2)
    plant.check(29)
    assert plant.ticket(ticket).status == "reopened"


def test_after_a_sham_the_real_repair_closes_it(plant: Plant) -> None:
    ticket = plant.fail()
    plant.done(ticket)
    plant.run(DONE, 29, level=3.0)
    plant.check(29)
    plant.done(ticket, 30)
    plant.run(30, 43, level=0.0)
    plant.check(43)
    assert plant.ticket(ticket).status == "closed"
    assert plant.proof(ticket)["attempt"] == 2


def test_the_detectors_memory_does_not_reopen_a_good_repair(plant: Plant) -> None:
    ticket = plant.fail()
    plant.done(ticket)
    for end in range(25, 38):
        plant.run(end - 1, end, level=0.1)
        plant.say(end)  # the old finding has not ended yet
        plant.check(end)
    assert plant.ticket(ticket).status == "closed"
    with plant.tx() as conn:
        assert len(tickets_store.find(conn, tickets_store.Filter()).items) == 1
    plant.say(38)  # and an echo after closing opens no second order
    plant.say(41)
    plant.say(44)
    with plant.tx() as conn:
        assert len(tickets_store.find(conn, tickets_store.Filter()).items) == 1
        decision = queries.predictions(conn)[0]["decision"]
        assert decision["action"] == "none" and "before the verified repair" in decision["reasons"][0]["en"]


def test_a_machine_that_stands_still_asks_a_person_and_is_still_watched(plant: Plant) -> None:
    ticket = plant.fail()
    plant.done(ticket)
    plant.check(DONE + 71.9)
    assert plant.proof(ticket)["status"] == "running"
    plant.check(DONE + 73)
    assert plant.proof(ticket)["status"] == "needs_person" and plant.ticket(ticket).status == "verifying"
    assert "只" in plant.proof(ticket)["detail"]["zh"] or "仅" in plant.proof(ticket)["detail"]["zh"]
    plant.run(DONE + 80, DONE + 93, level=0.0)
    plant.check(DONE + 93)
    assert plant.ticket(ticket).status == "closed"


def test_a_person_may_decide_when_asked(plant: Plant) -> None:
    ticket = plant.fail()
    plant.done(ticket)
    plant.check(DONE + 73)
    with plant.tx() as conn:
        tickets.transition(
            conn, PLANNER, ticket.ticket_id, to="closed", fields={"note": "replaced, seen"}, now=T0 + 98 * HOUR
        )
    plant.check(DONE + 75)
    proof = plant.proof(ticket)
    assert proof["settled_at"] and plant.ticket(ticket).status == "closed"
    assert (proof["decided_by"], proof["decided_reason"]) == ("Planner", "replaced, seen")
    assert proof["status"] == "needs_person" and proof["need_h"] == 12  # what was seen stays
    assert plant.requests()[-1][0] == "relearn"


def test_how_far_the_proof_has_come_is_shown_with_the_plot(plant: Plant) -> None:
    ticket = plant.fail()
    plant.done(ticket)
    plant.run(DONE, 31, level=0.0)
    plant.check(31)
    proof = plant.proof(ticket)
    assert proof["status"] == "running" and 6 <= proof["running_h"] < proof["need_h"] == 12
    assert proof["plot"][0]["bands"]["high"] and proof["signals"][0]["before"] > 0.5


def test_half_a_repair_is_a_question(plant: Plant) -> None:
    ticket = plant.fail()
    plant.done(ticket)
    plant.run(DONE, DONE + 74, level=1.5)
    plant.check(DONE + 74)
    assert plant.proof(ticket)["status"] == "needs_person"
    with plant.tx() as conn:
        notes = [e for e in tickets_store.timeline(conn, ticket.ticket_id) if e.body.get("kind") == "needs_person"]
    assert len(notes) == 1
    plant.check(DONE + 75)
    with plant.tx() as conn:
        again = [e for e in tickets_store.timeline(conn, ticket.ticket_id) if e.body.get("kind") == "needs_person"]
    assert len(again) == 1


def test_nothing_found_twice_on_a_deviating_machine_asks_a_person(plant: Plant) -> None:
    ticket = plant.fail()
    plant.done(ticket, verdict="nothing_found")
    plant.run(DONE, 29, level=3.0)
    plant.check(29)
    assert plant.ticket(ticket).status == "reopened"
    plant.done(ticket, 30, verdict="nothing_found")
    plant.run(30, 35, level=3.0)
    plant.check(35)
    assert plant.ticket(ticket).status == "verifying" and plant.proof(ticket)["status"] == "needs_person"


def test_a_fresh_fault_after_the_repair_is_not_called_healthy(plant: Plant) -> None:
    ticket = plant.fail()
    plant.done(ticket)
    plant.run(DONE, 38, level=0.0)
    plant.say(30, started_h=28)
    plant.check(38)
    assert plant.ticket(ticket).status == "verifying"
    plant.say(38, started_h=28, active=False)
    plant.check(38.5)
    assert plant.ticket(ticket).status == "closed"


def test_detectors_that_lag_delay_the_verdict(plant: Plant) -> None:
    """What nobody has judged yet is no proof, however late the clock is."""
    ticket = plant.fail()
    plant.done(ticket)
    plant.run(DONE, 30, level=0.0)
    plant.check(DONE + 60)
    assert plant.ticket(ticket).status == "verifying" and plant.proof(ticket)["running_h"] < 6


def test_a_persons_own_order_is_verified_too(plant: Plant) -> None:
    plant.run(0, DONE, level=0.0)
    with plant.tx() as conn:
        ticket = tickets.open(
            conn, PLANNER, kind="corrective", title="Noise", asset_id=plant.asset_id, mode="imbalance", now=T0
        ).ticket
    plant.done(ticket)
    plant.run(DONE, 37, level=0.0)
    plant.check(37)
    assert plant.ticket(ticket).status == "closed"


def test_an_asset_without_signals_has_nothing_to_wait_for(plant: Plant) -> None:
    with plant.tx() as conn:
        bare = assets.create_asset(conn, code="X-1", name="Hand pump", asset_class="pump")
        ticket = tickets.open(
            conn, PLANNER, kind="corrective", title="Broken", asset_id=bare, mode="unknown", now=T0
        ).ticket
    plant.done(ticket)
    plant.check(DONE)
    assert plant.ticket(ticket).status == "closed"
    assert "no signals" in plant.proof(ticket)["detail"]["en"]


def test_one_look_a_while_is_enough(plant: Plant, conn: Connection) -> None:
    ticket = plant.fail()
    plant.done(ticket)
    assert guard.check_all(conn, T0 + 25 * HOUR, LEAST) == 1
    assert guard.check_all(conn, T0 + 25.1 * HOUR, LEAST) == 0
    assert guard.check_all(conn, T0 + 25.25 * HOUR, LEAST) == 1
