"""From finding to order and back, on the real database."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

from core import clock
from core.database import Database
from core.errors import Conflict, NotFound
from core.jobs import PERIODIC, run_periodic
from detectors.base import Finding, FindingKind, Sentence
from maintenance import feedback, jobs, queries, sensor, service, store
from maintenance.guard import GUARD
from maintenance.model import Action, Decision
from plant import assets
from tickets import engineers, hooks
from tickets import service as tickets
from tickets import store as tickets_store
from tickets.model import Actor, ActorKind, Ticket

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLANNER = Actor(ActorKind.PERSON, None, "Planner", "planner")
MACHINE_SIGNALS = {
    "vibration": ("vibration_velocity", "mm/s"),
    "bearing_temp": ("temperature", "°C"),
    "flow": ("flow", "m3/h"),
    "pressure": ("pressure", "bar"),
    "current": ("current", "A"),
}


class Pump:
    """A pump in the database, and a voice to say findings about it."""

    def __init__(self, conn: Connection, site: int, code: str = "P-101") -> None:
        self.site = site
        self.asset_id = assets.create_asset(conn, code=code, name="Feed pump", asset_class="pump", criticality=4)
        self.signals = {
            name: assets.create_signal(
                conn, asset_id=self.asset_id, code=name, name=name, quantity=quantity, unit=unit, period_s=60
            )
            for name, (quantity, unit) in MACHINE_SIGNALS.items()
        }

    def finding(self, hours: float, *, health: float = 0.7, active: bool = True, **shares: float) -> Finding:
        shares = shares or {"vibration": 0.6, "bearing_temp": 0.4}
        return Finding(
            detector="bank",
            version="1",
            kind=FindingKind.MACHINE,
            asset_id=self.asset_id,
            site_id=self.site,
            failure_mode=None,
            started_at=T0 - HOUR,
            at=T0 + hours * HOUR,
            surprise=5.0,
            active=active,
            contributions={self.signals[name]: abs(share) for name, share in shares.items()},
            directions={self.signals[name]: 1 if share > 0 else -1 for name, share in shares.items()},
            health=health,
            sentence=Sentence("drift", {"signal": "vibration", "value": 4.2, "expected": 2.0, "unit": "mm/s"}),
        )

    def sensor(self, hours: float, signal: str, fault: str = "stuck", *, active: bool = True) -> Finding:
        return Finding(
            detector="sensors",
            version="1",
            kind=FindingKind.SENSOR,
            asset_id=self.asset_id,
            site_id=self.site,
            failure_mode=fault,
            started_at=T0,
            at=T0 + hours * HOUR,
            surprise=9.0,
            active=active,
            contributions={self.signals[signal]: 1.0},
            directions={self.signals[signal]: 0},
            health=1.0,
            sentence=Sentence(fault, {"signal": signal}),
        )


@pytest.fixture
def wired() -> Iterator[None]:
    with hooks.only(close_guard=GUARD) as registered:
        registered.register_on_closed(feedback.on_closed)
        yield


@pytest.fixture
def pump(conn: Connection, site: int, wired: None) -> Pump:
    engineers.create(conn, name="Wang", skills={"mechanical": 3, "instrumentation": 2}, user_id=None)
    return Pump(conn, site)


def say(conn: Connection, finding: Finding) -> Decision | None:
    return service.on_finding(conn, finding, finding.at)


def persist(conn: Connection, pump: Pump, hours: range = range(4), **shares: float) -> list[Decision]:
    made = [say(conn, pump.finding(hour, health=0.8 - 0.02 * hour, **shares)) for hour in hours]
    return [each for each in made if each is not None]


def all_tickets(conn: Connection) -> list[Ticket]:
    return tickets_store.find(conn, tickets_store.Filter()).items


def evidence(conn: Connection, ticket_id: int, kind: str) -> list[dict[str, Any]]:
    events = tickets_store.timeline(conn, ticket_id)
    return [each.body["body"] for each in events if each.kind == "evidence" and each.body["kind"] == kind]


def work(conn: Connection, ticket: Ticket, now: datetime, *, verdict: str = "confirmed") -> Ticket:
    """A planner's shortcut through the life cycle to done."""
    code = "bearing_wear" if verdict in ("confirmed", "other_fault") else None
    fields = {"verdict": verdict, "failure_code": code, "note": "bearing replaced"}
    ticket = tickets_store.get(conn, ticket.ticket_id)
    for to in ("accepted", "arrived", "done"):
        ticket = tickets.transition(
            conn, PLANNER, ticket.ticket_id, to=to, fields=fields if to == "done" else {}, now=now
        )
    return ticket


# -- opening ----------------------------------------------------------------------------------------------------------


def test_a_persisting_deviation_gets_one_order_with_everything_in_it(conn: Connection, pump: Pump) -> None:
    decisions = persist(conn, pump, range(6))
    assert [each.action for each in decisions] == [Action.WAIT] * 2 + [Action.OPEN] + [Action.UPDATE] * 3
    (ticket,) = all_tickets(conn)
    assert (ticket.kind, ticket.mode, ticket.asset_id) == ("preventive", "bearing_wear", pump.asset_id)
    assert ticket.skill == "mechanical" and ticket.assignee_name == "Wang" and ticket.priority <= 3
    assert ticket.title == "P-101: Bearing wear" and ticket.fields["title_zh"] == "P-101：轴承磨损"
    assert "4.2 mm/s" in ticket.description and "检查油位" in ticket.fields["description_zh"]
    (why,) = evidence(conn, ticket.ticket_id, "evidence")
    assert why["detector"] == "bank" and why["contributions"][0]["code"] == "vibration"
    assert why["diagnosis"][0]["mode"] == "bearing_wear" and why["decision"]["action"] == "open"


def test_a_short_deviation_gets_none(conn: Connection, pump: Pump) -> None:
    persist(conn, pump, range(2))
    ended = say(conn, pump.finding(2, active=False, health=0.95))
    assert ended and ended.action is Action.NONE and ended.reasons[0].key == "ended"
    assert all_tickets(conn) == []
    assert queries.alarms(conn, state="open")[0]["returned_at"] == T0 + 2 * HOUR
    service.settle(conn, T0 + 2.5 * HOUR)
    assert queries.alarms(conn, state="open") != []
    service.settle(conn, T0 + 3 * HOUR)
    assert queries.alarms(conn, state="open") == []
    assert queries.predictions(conn) == []


def test_time_alone_clears_an_alarm(database: Database, site: int, wired: None) -> None:
    with database.tx(site_id=site) as conn:
        pump = Pump(conn, site)
        say(conn, pump.finding(0))
        say(conn, pump.finding(1, active=False))
    for hours, wanted in ((1.5, "active"), (2.5, "cleared")):
        with database.tx() as conn:
            clock.set_clock(conn, plant_now=T0 + hours * HOUR, factor=1.0)
        assert PERIODIC["maintenance.alarms"].handler is jobs.settle_alarms
        run_periodic(database, "maintenance.alarms")
        with database.tx(site_id=site) as conn:
            assert queries.alarms(conn)[0]["state"] == wanted


def test_the_end_of_something_never_told_is_nothing(conn: Connection, pump: Pump) -> None:
    assert say(conn, pump.finding(1, active=False)) is None
    assert say(conn, pump.sensor(1, "flow", active=False)) is None
    assert queries.alarms(conn) == []


def test_a_finding_said_twice_counts_once(conn: Connection, pump: Pump) -> None:
    assert say(conn, pump.finding(0)) is not None
    assert say(conn, pump.finding(0)) is None
    assert queries.alarms(conn)[0]["findings"] == 1


def test_a_finding_about_a_strange_asset_is_refused(conn: Connection, pump: Pump) -> None:
    pump.asset_id += 1000
    with pytest.raises(NotFound):
        say(conn, pump.finding(0))


def test_chatter_is_one_alarm(conn: Connection, pump: Pump) -> None:
    for hour in range(0, 12, 4):
        say(conn, pump.finding(hour))
        say(conn, pump.finding(hour + 1, active=False))
        service.settle(conn, T0 + (hour + 3) * HOUR)
    (alarm,) = queries.alarms(conn)
    assert alarm["state"] == "cleared" and alarm["returns"] == 2 and alarm["findings"] == 3


def test_a_forecast_is_made_at_most_hourly_and_moves_the_deadline(conn: Connection, pump: Pump) -> None:
    persist(conn, pump, range(8))
    (ticket,) = all_tickets(conn)
    for minute in range(30):
        say(conn, pump.finding(8 + minute / 60, health=0.6))
    made = queries.alarm(conn, queries.alarms(conn)[0]["alarm_id"])["predictions"]
    assert len(made) == 9
    for hour in range(9, 16):
        say(conn, pump.finding(hour, health=0.6 - 0.07 * (hour - 8)))
    after = tickets_store.get(conn, ticket.ticket_id)
    newest = queries.predictions(conn)[0]
    assert after.resolve_by is not None and newest["p10_h"] is not None
    assert after.resolve_by <= T0 + 15 * HOUR + max(newest["p10_h"] * HOUR * 1.26, 8.1 * HOUR)
    moves = [event for event in tickets_store.timeline(conn, ticket.ticket_id) if event.kind == "deadline"]
    assert moves and "P10" in moves[-1].body["reason"]["en"]


def test_a_deviation_that_ends_before_work_begins_is_noted_and_the_order_kept(conn: Connection, pump: Pump) -> None:
    persist(conn, pump)
    ended = say(conn, pump.finding(5, active=False, health=0.95))
    assert ended and ended.reasons[0].key == "ended_order_kept"
    (ticket,) = all_tickets(conn)
    assert ticket.is_open and evidence(conn, ticket.ticket_id, "decision")[0]["key"] == "ended_order_kept"
    service.settle(conn, T0 + 50 * HOUR)
    assert queries.alarms(conn, state="open") != []
    tickets.transition(
        conn, PLANNER, ticket.ticket_id, to="cancelled", fields={"reason": "has ended"}, now=T0 + 51 * HOUR
    )
    assert queries.alarms(conn, state="open") == []


# -- one order --------------------------------------------------------------------------------------------------------


def test_another_diagnosis_is_told_on_the_order_and_opens_no_second(conn: Connection, pump: Pump) -> None:
    persist(conn, pump, vibration=0.9, bearing_temp=0.1)
    for hour in range(4, 24):
        say(conn, pump.finding(hour, vibration=0.3, pressure=-0.4, flow=-0.3))
    (ticket,) = all_tickets(conn)
    assert ticket.mode == "bearing_wear"
    notes = evidence(conn, ticket.ticket_id, "diagnosis")
    assert len(notes) == 1 and notes[0]["code"] == "cavitation"
    assert len(queries.alarms(conn)) == 1


def test_before_an_order_the_alarm_follows_the_evidence(conn: Connection, pump: Pump) -> None:
    say(conn, pump.finding(0, current=1.0))
    assert queries.alarms(conn)[0]["mode"]["code"] == "unknown"
    for hour in range(1, 4):
        say(conn, pump.finding(hour))
    (ticket,) = all_tickets(conn)
    assert ticket.mode == "bearing_wear" and len(queries.alarms(conn)) == 1


def test_two_clearly_distinct_faults_get_an_order_each(conn: Connection, pump: Pump) -> None:
    persist(conn, pump)
    persist(conn, pump, range(10, 14), flow=-0.34, pressure=-0.33, current=-0.33)
    assert {each.mode for each in all_tickets(conn)} == {"bearing_wear", "impeller_wear"}


def test_a_diagnosis_that_meets_a_persons_order_merges_into_it(conn: Connection, pump: Pump) -> None:
    reported = tickets.open(
        conn, PLANNER, kind="corrective", title="Noise", asset_id=pump.asset_id, mode="bearing_wear", now=T0
    ).ticket
    persist(conn, pump, range(5))
    assert [each.ticket_id for each in all_tickets(conn)] == [reported.ticket_id]
    assert queries.alarms(conn)[0]["ticket"]["ticket_id"] == reported.ticket_id
    assert len(evidence(conn, reported.ticket_id, "evidence")) == 1


def test_a_race_of_findings_opens_one_order(database: Database, site: int, wired: None) -> None:
    with database.tx(site_id=site) as conn:
        pump = Pump(conn, site)

    def race(worker: int) -> None:
        for step in range(6):
            finding = pump.finding(step * 2 + worker / 100)
            with database.tx(site_id=site) as conn:
                service.on_finding(conn, finding, finding.at)

    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(race, worker) for worker in range(8)]:
            each.result()
    with database.tx(site_id=site) as conn:
        assert len(all_tickets(conn)) == 1
        (alarm,) = queries.alarms(conn)
        assert alarm["findings"] == 48 and alarm["ticket"]
        row = conn.execute("select count(*) from decisions where action = 'open'").fetchone()
        assert row == (1,)
        assert tickets_store.verify_site(conn) == {}


def test_people_clock_and_detectors_at_once_neither_deadlock_nor_double(
    database: Database, site: int, wired: None
) -> None:
    """Findings, time, a planner who cancels and one who acknowledges, all on the same two machines."""
    with database.tx(site_id=site) as conn:
        pumps = [Pump(conn, site, code) for code in ("P-101", "P-102")]

    def detect(worker: int) -> None:
        for step in range(25):
            finding = pumps[(worker + step) % 2].finding(step * 8 + worker / 10, active=step % 6 != 5, health=0.7)
            with database.tx(site_id=site) as conn:
                service.on_finding(conn, finding, finding.at)

    def settle(_: int) -> None:
        for step in range(40):
            with database.tx(site_id=site) as conn:
                service.settle(conn, T0 + step * 5 * HOUR)

    def interfere(_: int) -> None:
        for step in range(40):
            now = T0 + step * 5 * HOUR
            try:
                with database.tx(site_id=site) as conn:
                    for ticket in [each for each in all_tickets(conn) if each.is_open][:1]:
                        tickets.transition(
                            conn, PLANNER, ticket.ticket_id, to="cancelled", fields={"reason": "test"}, now=now
                        )
                with database.tx(site_id=site) as conn:
                    for alarm in queries.alarms(conn, state="active")[:1]:
                        service.acknowledge(conn, "Wang", alarm["alarm_id"], now=now)
            except Conflict:
                continue  # somebody was faster: an answer, not an accident

    with ThreadPoolExecutor(8) as pool:
        jobs_ = [pool.submit(each, n) for n, each in enumerate([detect] * 4 + [settle] * 2 + [interfere] * 2)]
        for each in jobs_:
            each.result()
    with database.tx(site_id=site) as conn:
        for pump in pumps:
            assert sum(ticket.is_open for ticket in all_tickets(conn) if ticket.asset_id == pump.asset_id) <= 1
        assert tickets_store.verify_site(conn) == {}


def test_a_finding_that_fails_half_way_leaves_nothing(database: Database, site: int, wired: None) -> None:
    with database.tx(site_id=site) as conn:
        pump = Pump(conn, site)
    with pytest.raises(KeyError), database.tx(site_id=site) as conn:
        persist(conn, pump)
        assert all_tickets(conn)
        raise KeyError
    with database.tx(site_id=site) as conn:
        for table in ("findings", "alarms", "predictions", "decisions", "health_points", "tickets", "ticket_events"):
            assert conn.execute(f"select count(*) from {table}").fetchone() == (0,), table  # type: ignore[arg-type]  # noqa: S608


# -- sensors ----------------------------------------------------------------------------------------------------------


def test_a_sensor_fault_is_never_a_machine_order(conn: Connection, pump: Pump) -> None:
    made = [say(conn, pump.sensor(hour, "flow")) for hour in range(5)]
    assert made[0] and made[0].action is Action.OPEN
    (ticket,) = all_tickets(conn)
    assert (ticket.kind, ticket.mode, ticket.skill) == ("sensor-fault", "sensor:flow:stuck", "instrumentation")
    assert ticket.title == "P-101: sensor flow stuck" and "卡死" in ticket.fields["title_zh"]
    assert queries.predictions(conn) == []


def test_it_closes_by_itself_when_the_sensor_is_well_again(conn: Connection, pump: Pump) -> None:
    say(conn, pump.sensor(0, "flow"))
    say(conn, pump.sensor(1, "flow", active=False))
    service.settle(conn, T0 + 1.2 * HOUR)
    assert all_tickets(conn)[0].is_open
    service.settle(conn, T0 + 1.25 * HOUR)
    (ticket,) = all_tickets(conn)
    assert (ticket.status, ticket.verdict) == ("closed", "sensor")
    assert queries.alarms(conn, state="open") == []
    assert feedback.precision(conn) == []  # nobody looked, so nobody judged


def test_a_flapping_sensor_keeps_its_order(conn: Connection, pump: Pump) -> None:
    for minute in range(0, 60, 10):
        say(conn, pump.sensor(minute / 60, "flow", active=minute % 20 == 0))
        service.settle(conn, T0 + (minute + 5) / 60 * HOUR)
    assert len(all_tickets(conn)) == 1 and queries.alarms(conn)[0]["returns"] == 2


def test_a_silent_gateway_is_one_order(conn: Connection, pump: Pump) -> None:
    for name in pump.signals:
        say(conn, pump.sensor(0, name, "silent"))
    (ticket,) = all_tickets(conn)
    assert len(queries.alarms(conn)) == len(pump.signals)
    assert len(evidence(conn, ticket.ticket_id, "order")) == len(pump.signals) - 1
    for name in list(pump.signals)[1:]:
        say(conn, pump.sensor(1, name, "silent", active=False))
    service.settle(conn, T0 + 2 * HOUR)
    assert tickets_store.get(conn, ticket.ticket_id).is_open
    say(conn, pump.sensor(3, next(iter(pump.signals)), "silent", active=False))
    service.settle(conn, T0 + 4 * HOUR)
    assert not tickets_store.get(conn, ticket.ticket_id).is_open
    assert queries.alarms(conn, state="open") == []


def test_stuck_sensors_are_an_order_each(conn: Connection, pump: Pump) -> None:
    say(conn, pump.sensor(0, "flow"))
    say(conn, pump.sensor(0, "pressure"))
    assert {each.mode for each in all_tickets(conn)} == {"sensor:flow:stuck", "sensor:pressure:stuck"}


def test_a_strange_signal_code_still_makes_a_mode(conn: Connection, pump: Pump) -> None:
    signal_id = assets.create_signal(
        conn, asset_id=pump.asset_id, code="a/b c" * 20, name="", quantity="flow", unit="m3/h", period_s=60
    )
    (signal,) = [each for each in assets.signals(conn, pump.asset_id) if each.signal_id == signal_id]
    assert sensor.mode_of(signal, "stuck") == f"sensor:{signal_id}:stuck"


# -- what people say --------------------------------------------------------------------------------------------------


def test_nothing_found_lowers_the_precision_and_mutes_the_same_alarm(conn: Connection, pump: Pump) -> None:
    persist(conn, pump)
    (ticket,) = all_tickets(conn)
    work(conn, ticket, T0 + 5 * HOUR, verdict="nothing_found")
    tickets.transition(conn, PLANNER, ticket.ticket_id, to="closed", fields={"note": "fine"}, now=T0 + 6 * HOUR)
    (judged,) = feedback.precision(conn)
    assert (judged.detector, judged.asset_id, judged.mode, judged.precision) == (
        "bank",
        pump.asset_id,
        "bearing_wear",
        0,
    )
    (known,) = queries.detectors(conn)
    assert known["verdicts"]["nothing_found"] == 1 and known["precision"] == 0
    late = T0 + 4 * 24 * HOUR
    for hour in range(96, 108):
        decision = say(conn, pump.finding(hour, health=0.7))
        assert decision and decision.action is Action.NONE and decision.reasons[0].key == "muted_nothing_found"
    assert queries.alarms(conn, state="open")[0]["detected_at"] == late
    grown = say(conn, pump.finding(109, health=0.4))
    assert grown and grown.action is Action.OPEN


def test_a_rejected_order_is_not_sent_again_at_once(conn: Connection, pump: Pump) -> None:
    persist(conn, pump)
    (ticket,) = all_tickets(conn)
    tickets.transition(conn, PLANNER, ticket.ticket_id, to="cancelled", fields={"reason": "known"}, now=T0 + 4 * HOUR)
    decisions = persist(conn, pump, range(5, 12))
    assert {each.reasons[0].key for each in decisions} == {"muted_rejected"}
    again = persist(conn, pump, range(24 * 8, 24 * 8 + 4))
    assert again[-1].action in (Action.OPEN, Action.UPDATE)


def test_confirmed_counts_for_the_detector(conn: Connection, pump: Pump) -> None:
    persist(conn, pump)
    (ticket,) = all_tickets(conn)
    work(conn, ticket, T0 + 5 * HOUR)
    tickets.transition(conn, PLANNER, ticket.ticket_id, to="closed", fields={"note": "seen"}, now=T0 + 6 * HOUR)
    (judged,) = feedback.precision(conn)
    assert judged.precision == 1 and judged.verdicts == {"confirmed": 1}
    asked = conn.execute("select action from detector_requests order by request_id").fetchall()
    assert asked == [("intervention",), ("relearn",)]


def test_shelving_is_quiet_until_it_expires(conn: Connection, pump: Pump) -> None:
    say(conn, pump.finding(0))
    (alarm,) = queries.alarms(conn)
    service.acknowledge(conn, "Wang", alarm["alarm_id"], now=T0)
    service.shelve(conn, "Wang", alarm["alarm_id"], until=T0 + 10 * HOUR, reason="test run", now=T0)
    quiet = persist(conn, pump, range(1, 10))
    assert {each.reasons[0].key for each in quiet} == {"shelved"}
    service.settle(conn, T0 + 10 * HOUR)
    assert queries.alarms(conn)[0]["state"] == "active"
    assert persist(conn, pump, range(11, 12))[0].action is Action.OPEN


# -- what the screens ask ---------------------------------------------------------------------------------------------


def test_predictions_are_ranked_by_risk(conn: Connection, site: int, pump: Pump) -> None:
    other = Pump(conn, site, "P-102")
    say(conn, pump.finding(0, health=0.8))
    for hour in range(4):
        say(conn, other.finding(hour, health=0.3 - 0.05 * hour))
    ranked = queries.predictions(conn)
    assert [each["asset"]["code"] for each in ranked] == ["P-102", "P-101"]
    first = ranked[0]
    assert first["risk"] > ranked[1]["risk"] and first["ticket"]["ref"].startswith("WO-")
    assert first["mode"] == {"code": "bearing_wear", "name": {"en": "Bearing wear", "zh": "轴承磨损"}}
    assert first["contributions"][0]["code"] == "vibration" and first["cost"]["currency"] == "EUR"
    assert set(first["sentence"]) == {"en", "zh"} and first["decision"]["action"] == "update"
    assert all(set(reason) == {"en", "zh"} for reason in first["decision"]["reasons"])


def test_an_alarm_opens_on_its_whole_story(conn: Connection, pump: Pump) -> None:
    persist(conn, pump)
    (alarm,) = queries.alarms(conn, asset_id=pump.asset_id)
    story = queries.alarm(conn, alarm["alarm_id"])
    assert story["detected_at"] == T0 and story["started_at"] == T0 - HOUR
    assert len(story["health_curve"]) == 4 and len(story["predictions"]) == 4
    assert [each["action"] for each in story["decisions"]][0:2] == ["update", "open"]
    assert sum(each["probability"] for each in story["diagnosis"]) == pytest.approx(1)
    with pytest.raises(NotFound):
        queries.alarm(conn, alarm["alarm_id"] + 1)


def test_the_health_light(conn: Connection, site: int, pump: Pump, superuser: Connection) -> None:
    line = assets.create_asset(conn, code="L1", name="Line", asset_class="", level="line")
    conn.execute("update assets set parent_id = %s where asset_id = %s", (line, pump.asset_id))

    def lights(now: datetime) -> tuple[str, str]:
        found = queries.health_lights(conn, now)
        return found[pump.asset_id], found[line]

    assert lights(T0) == ("unknown", "unknown")
    superuser.execute(
        "insert into last_values (signal_id, site_id, at, value, quality) values (%s, %s, %s, 1, 0)",
        (pump.signals["flow"], site, T0),
    )
    assert lights(T0) == ("normal", "normal")
    assert lights(T0 + HOUR) == ("stale", "stale")
    say(conn, pump.finding(0))
    assert lights(T0) == ("watch", "watch")
    persist(conn, pump, range(1, 4))
    assert lights(T0) == ("alarm", "alarm")


def test_modes_for_the_closing_form(conn: Connection, pump: Pump) -> None:
    codes = [each["code"] for each in queries.modes(conn, "pump")]
    assert "cavitation" in codes and codes[-1] == "unknown"
    assert {each["asset_class"] for each in queries.modes(conn)} >= {"pump", "motor", "turbofan", "generic"}
    say(conn, pump.sensor(0, "flow"))
    assert queries.alarms(conn)[0]["mode"]["name"]["en"] == "Sensor flow stuck"


def test_a_sentence_with_no_number_in_it_is_kept(conn: Connection, pump: Pump) -> None:
    odd = pump.finding(0)
    sentence = Sentence("drift", {"signal": "vibration", "value": float("nan"), "unit": "mm/s", "expected": 1.0})
    say(conn, Finding(**{**{name: getattr(odd, name) for name in Finding.__slots__}, "sentence": sentence}))
    assert queries.alarms(conn)[0]["sentence"]["en"] == "vibration drifts away from its normal value."


def test_another_site_sees_nothing(database: Database, site: int, wired: None) -> None:
    with database.tx() as conn:
        row = conn.execute("insert into sites (code, name) values ('other', 'Other') returning site_id").fetchone()
    assert row
    with database.tx(site_id=site) as conn:
        pump = Pump(conn, site)
        persist(conn, pump)
    with database.tx(site_id=row[0]) as conn:
        assert queries.alarms(conn) == queries.predictions(conn) == queries.detectors(conn) == []
        assert queries.health_lights(conn, T0) == {}
        with pytest.raises(NotFound):
            store.lock_asset(conn, pump.asset_id)
