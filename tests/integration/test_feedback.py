"""What people say of orders counts, can be corrected, and teaches the diagnosis: on the real database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from psycopg import Connection

from core.errors import NotFound
from detectors.base import Finding, FindingKind, Sentence
from maintenance import feedback, learning_store, machine, queries, service, store, verdicts
from maintenance.errors import BadVerdict, StaleVerdict
from maintenance.guard import GUARD
from maintenance.model import Policy
from maintenance.store import KeptAlarm
from maintenance.verdicts import Said, interval
from plant import assets
from tickets import engineers, hooks
from tickets import service as tickets
from tickets import store as tickets_store
from tickets.model import Actor, ActorKind, Ticket

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLANNER = Actor(ActorKind.PERSON, None, "Planner", "planner")
SIGNALS = {
    "vibration": ("vibration_velocity", "mm/s"),
    "bearing_temp": ("temperature", "°C"),
    "flow": ("flow", "m3/h"),
    "pressure": ("pressure", "bar"),
}


class Pump:
    """A pump, and orders for it that are worked and closed with a verdict."""

    def __init__(self, conn: Connection, site: int, code: str = "P-1") -> None:
        self.conn, self.site = conn, site
        self.asset_id = assets.create_asset(conn, code=code, name="Pump", asset_class="pump")
        self.signals = {
            name: assets.create_signal(conn, asset_id=self.asset_id, code=name, name=name, quantity=q, unit=unit)
            for name, (q, unit) in SIGNALS.items()
        }

    def say(self, at: datetime, **shares: float) -> None:
        shares = shares or {"vibration": 0.6, "bearing_temp": 0.4}
        finding = Finding(
            detector="bank", version="1", kind=FindingKind.MACHINE, asset_id=self.asset_id, site_id=self.site,
            failure_mode=None, started_at=at - HOUR, at=at, surprise=5.0, active=True,
            contributions={self.signals[name]: abs(share) for name, share in shares.items()},
            directions={self.signals[name]: 1 if share > 0 else -1 for name, share in shares.items()},
            health=0.4, sentence=Sentence("drift", {}),
        )  # fmt: skip
        service.on_finding(self.conn, finding, at)

    def order(self, at: datetime, **shares: float) -> Ticket:
        for hour in range(4):
            self.say(at + hour * HOUR, **shares)
        opened = [each for each in tickets_store.find(self.conn, tickets_store.Filter()).items if each.is_open]
        return next(each for each in opened if each.asset_id == self.asset_id)

    def closed(self, at: datetime, verdict: str, code: str | None, **shares: float) -> Ticket:
        ticket = self.order(at, **shares)
        given = {"verdict": verdict, "failure_code": code, "note": "seen"}
        for to in ("accepted", "arrived", "done", "closed"):
            now = at + 5 * HOUR
            fields = given if to == "done" else {"note": "looked at it"} if to == "closed" else {}
            ticket = tickets.transition(self.conn, PLANNER, ticket.ticket_id, to=to, fields=fields, now=now)
        return ticket


@pytest.fixture
def pump(conn: Connection, site: int) -> Iterator[Pump]:
    with hooks.only(close_guard=GUARD) as registered:
        registered.register_on_closed(feedback.on_closed)
        engineers.create(conn, name="Wang", skills={"mechanical": 3, "process": 3, "vibration": 3}, user_id=None)
        yield Pump(conn, site)


def correct(conn: Connection, said: Said, verdict: str, code: str | None = None, *, reason: str = "workshop") -> Said:
    given = replace(said, verdict=verdict, failure_code=code)
    return feedback.correct(
        conn, PLANNER, said.verdict_id, given, reason=reason, version=said.version, now=T0 + 9 * HOUR
    )


def learnt(conn: Connection, pump: Pump) -> dict[str, int]:
    known = learning_store.learnt(conn, assets.asset(conn, pump.asset_id))
    return {mode: tally.cases for mode, tally in known.tallies.items()}


def test_a_verdict_changes_the_precision_of_detector_machine_and_mode(conn: Connection, pump: Pump) -> None:
    policy = Policy()
    before = machine.precision(conn, "bank", pump.asset_id, policy, mode="bearing_wear")
    pump.closed(T0, "nothing_found", None)
    here = machine.precision(conn, "bank", pump.asset_id, policy, mode="bearing_wear")
    other_mode = machine.precision(conn, "bank", pump.asset_id, policy, mode="cavitation")
    elsewhere = machine.precision(conn, "bank", Pump(conn, pump.site, "P-2").asset_id, policy, mode="bearing_wear")
    assert here < other_mode < elsewhere < before
    (known,) = queries.detectors(conn)
    assert (known["right"], known["judged"], known["precision"]) == (0, 1, 0.0)
    assert known["interval"]["low"] == 0.0 and 0.5 < known["interval"]["high"] < 1
    assert known["by_asset"][0]["judged"] == 1


def test_a_verdict_can_be_corrected_and_everything_follows(conn: Connection, pump: Pump) -> None:
    ticket = pump.closed(T0, "nothing_found", None)
    (said,) = verdicts.listed(conn)
    assert learnt(conn, pump) == {} and machine.muted(conn, *_alarm(conn, ticket)) is not None
    after = correct(conn, said, "other_fault", "cavitation")
    assert (after.version, after.corrected_by) == (1, "Planner")
    assert learnt(conn, pump) == {"cavitation": 1}
    assert machine.muted(conn, *_alarm(conn, ticket)) is None
    assert queries.detectors(conn)[0]["precision"] == 1.0
    (change,) = verdicts.changes(conn, said.verdict_id)
    assert change["before"]["verdict"] == "nothing_found" and change["after"]["failure_code"] == "cavitation"
    kinds = [event.body.get("kind") for event in tickets_store.timeline(conn, ticket.ticket_id)]
    assert "verdict" in kinds and tickets_store.get(conn, ticket.ticket_id).verdict == "nothing_found"
    correct(conn, after, "sensor")
    assert learnt(conn, pump) == {} and queries.detectors(conn)[0]["right"] == 0


def test_a_correction_that_does_not_fit_changes_nothing(conn: Connection, pump: Pump) -> None:
    pump.closed(T0, "confirmed", "bearing_wear")
    (said,) = verdicts.listed(conn)
    for verdict, code, reason in (
        ("perhaps", None, "x"), ("other_fault", None, "x"), ("other_fault", "gremlins", "x"), ("sensor", None, " "),
    ):  # fmt: skip
        with pytest.raises(BadVerdict):
            correct(conn, said, verdict, code, reason=reason)
    with pytest.raises(StaleVerdict):
        correct(conn, replace(said, version=3), "sensor")
    with pytest.raises(NotFound):
        correct(conn, replace(said, verdict_id=999), "sensor")
    assert verdicts.listed(conn) == [said] and verdicts.changes(conn, said.verdict_id) == []
    assert learnt(conn, pump) == {"bearing_wear": 1}


def test_a_relearnt_baseline_follows_a_repair_that_was_only_said_later(conn: Connection, pump: Pump) -> None:
    def asked() -> int:
        row = conn.execute("select count(*) from detector_requests where action = 'relearn'").fetchone()
        return row[0] if row else 0

    pump.closed(T0, "nothing_found", None)
    assert asked() == 0
    correct(conn, verdicts.listed(conn)[0], "confirmed", "bearing_wear")
    assert asked() == 1


def test_verdicts_move_the_diagnosis_of_the_next_machine_of_the_class(conn: Connection, pump: Pump) -> None:
    shares = {"flow": -0.55, "pressure": -0.45}
    for number in range(4):
        each = Pump(conn, pump.site, f"P-1{number}")
        each.closed(T0, "other_fault", "impeller_wear", **shares)
    pump.say(T0, **shares)
    alarm = next(each for each in queries.alarms(conn, state="open") if each["asset_id"] == pump.asset_id)
    first = queries.alarm(conn, alarm["alarm_id"])["diagnosis"][0]
    assert first["mode"]["code"] == "impeller_wear" and first["prior"] > 0.15
    assert "before looking" in first["why"]["en"] and "先验" in first["why"]["zh"]
    assert learnt(conn, pump) == {"impeller_wear": 4}


def test_an_interval_narrows_with_verdicts_and_holds_the_share() -> None:
    assert interval(0, 0) == (0.0, 1.0)
    assert interval(5, 5)[1] == 1.0 and interval(0, 5)[0] == 0.0
    wide, narrow = interval(3, 4), interval(75, 100)
    assert wide[0] < narrow[0] < 0.75 < narrow[1] < wide[1]


def _alarm(conn: Connection, ticket: Ticket) -> tuple[KeptAlarm, datetime]:
    (kept,) = store.alarms_of_ticket(conn, ticket.ticket_id)
    return kept, T0 + 10 * HOUR
