"""The doctor, before real patients: each thing wrong is said in words with a remedy, and never takes long."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from api import doctor
from api.checks import Check, State
from api.doctor import check, mosquitto_values, report
from api.instance import Endpoints
from api.supervisor import CommandPart, Supervisor
from api.supervisor import State as PartState
from core import health
from core.broker import Broker, Kind, choose
from core.database import Database
from core.embedded import Durability, EmbeddedServer
from core.lock import Lock
from core.ports import reserve
from core.secrets import load_or_create
from core.settings import Settings
from tests.conftest import RunningBroker, missing


def until(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def said(checks: list[Check], name: str) -> list[Check]:
    return [each for each in checks if each.name == name]


def worst(checks: list[Check], name: str) -> Check:
    order = [State.FAIL, State.WARN, State.OK]
    return min(said(checks, name), key=lambda each: order.index(each.state))


def settings(folder: Path, **more: object) -> Settings:
    return Settings(data_dir=folder, **more)  # type: ignore[arg-type]


def test_nothing_runs(tmp_path: Path) -> None:
    found = check(settings(tmp_path / "new", port=reserve(), broker_port=reserve()))
    for name in ("running", "database", "broker"):
        assert (worst(found, name).state, worst(found, name).remedy) == (State.WARN, doctor.UP)
    for name in ("python", "data", "secrets", "web port", "broker port"):
        assert worst(found, name).state is State.OK
    assert not (tmp_path / "new").exists(), "looking changes nothing"
    text = report(found)
    assert "WARN  database   The embedded database does not run." in text
    assert "checks want attention." in text


def test_every_complaint_has_a_remedy_and_a_sentence(tmp_path: Path) -> None:
    for each in check(settings(tmp_path)):
        assert each.sentence.endswith(".")
        assert each.remedy or each.state is State.OK


def test_a_port_in_use_names_its_program(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        found = worst(check(settings(tmp_path, port=port, broker_port=reserve())), "web port")
    assert found.state is State.WARN
    assert f"Port {port} is in use by" in found.sentence
    assert f"(process {os.getpid()})" in found.sentence


def test_secrets_that_others_can_read(tmp_path: Path) -> None:
    load_or_create(tmp_path)
    (tmp_path / "secrets.json").chmod(0o644)
    found = worst(check(settings(tmp_path)), "secrets")
    assert found.state is State.FAIL
    assert "chmod 600" in found.remedy


@pytest.mark.parametrize(
    ("total", "free", "state"),
    [
        (100e9, 50e9, State.OK),
        (100e9, 4e9, State.WARN),
        (10e9, 1e9, State.WARN),
        (1000e9, 0.1e9, State.FAIL),
        (100e9, 0, State.FAIL),
    ],
)
def test_disk_thresholds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total: float, free: float, state: State
) -> None:
    monkeypatch.setattr(health, "disk", lambda path: health.Disk(path, int(total), int(free)))
    assert doctor.disk(tmp_path).state is state


@pytest.mark.parametrize(
    ("megabytes", "state"), [(5000, State.OK), (300, State.WARN), (100, State.FAIL), (None, State.WARN)]
)
def test_memory_thresholds(monkeypatch: pytest.MonkeyPatch, megabytes: float | None, state: State) -> None:
    monkeypatch.setattr(health, "memory_available_mb", lambda: megabytes)
    assert doctor.memory().state is state


@pytest.mark.parametrize(
    ("sync", "state"),
    [(health.Sync.SYNCHRONISED, State.OK), (health.Sync.FREE, State.WARN), (health.Sync.UNKNOWN, State.OK)],
)
def test_clock_sync(monkeypatch: pytest.MonkeyPatch, sync: health.Sync, state: State) -> None:
    monkeypatch.setattr(health, "clock_sync", lambda: sync)
    assert doctor.clock_sync().state is state


def test_the_machine_is_really_asked(tmp_path: Path) -> None:
    assert health.disk(tmp_path / "not" / "yet").total > 1e6
    assert (health.memory_available_mb() or 0) > 10
    assert health.clock_sync() in health.Sync
    assert health.writable(tmp_path / "not yet")
    assert not health.writable(Path("/proc/1"))
    assert health.listener(reserve()) is None
    assert list(tmp_path.iterdir()) == []


def test_a_healthy_database(tmp_path: Path, database: Database) -> None:
    found = check(settings(tmp_path, database_url=database.app_dsn))
    states = {each.sentence.split()[0]: each.state for each in said(found, "database")}
    sentences = " ".join(each.sentence for each in said(found, "database"))
    assert "PostgreSQL 18" in sentences
    assert "role millwright_app is bound by row-level security" in sentences
    assert "The schema is there." in sentences
    assert (
        "may lose what it has confirmed: fsync, full_page_writes, synchronous_commit off" in sentences
    )  # a test server
    assert State.FAIL not in states.values()
    assert "The database's clock agrees with ours." in [each.sentence for each in said(found, "clock")]


def test_a_superuser_is_refused(tmp_path: Path, database: Database, server: EmbeddedServer) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(database.app_dsn)["dbname"])
    found = worst(check(settings(tmp_path, database_url=server.dsn("postgres", database=name))), "database")
    assert found.state is State.FAIL
    assert "sees the rows of every site" in found.sentence


def test_an_empty_database_wants_migrating(tmp_path: Path, server: EmbeddedServer) -> None:
    found = worst(check(settings(tmp_path, database_url=server.dsn("millwright_app"))), "database")
    assert (found.state, found.remedy) == (State.FAIL, "Run `millwright migrate`.")


def test_an_absent_database(tmp_path: Path) -> None:
    url = f"host=127.0.0.1 port={reserve()} user=x dbname=x"
    found = worst(check(settings(tmp_path, database_url=url)), "database")
    assert found.state is State.FAIL
    assert "cannot be reached" in found.sentence


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[str]:
    """The DSN of a server that is stopped in its tracks: it takes connections and says nothing."""
    server = EmbeddedServer(tmp_path / "frozen", load_or_create(tmp_path / "frozen"), durability=Durability.THROWAWAY)
    dsn = server.start().app
    assert server.pid
    os.kill(server.pid, signal.SIGSTOP)
    yield dsn
    os.kill(server.pid, signal.SIGCONT)
    server.destroy()


def test_a_frozen_database_does_not_freeze_the_doctor(tmp_path: Path, frozen: str) -> None:
    began = time.monotonic()
    found = worst(check(settings(tmp_path, database_url=frozen)), "database")
    assert time.monotonic() - began < 2 * doctor.ANSWER_S
    assert found.state is State.FAIL


def test_amqtt_is_called_lossy(tmp_path: Path) -> None:
    secrets = load_or_create(tmp_path)
    broker = Broker(tmp_path, secrets, port=reserve(), kind=Kind.AMQTT)
    info = broker.start()
    try:
        Endpoints("", "", 0, str(info.kind), info.host, info.port).write(tmp_path)
        with Lock(tmp_path):
            found = check(settings(tmp_path))
    finally:
        broker.destroy()
    assert [each.state for each in said(found, "broker")] == [State.OK, State.WARN]
    assert "amqtt" in worst(found, "broker").sentence


def test_external_brokers(tmp_path: Path, mosquitto: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"mqtt://someone:secret@{mosquitto.host}:{mosquitto.port}"
    limits = tmp_path / "mosquitto.conf"
    monkeypatch.setattr(doctor, "MOSQUITTO_CONFIGS", (str(limits),))
    limits.write_text("# max_queued_messages 9\n")
    found = check(settings(tmp_path, broker_url=url))
    assert [each.state for each in said(found, "broker")] == [State.OK, State.WARN]
    assert "beyond 1000" in worst(found, "broker").sentence
    limits.write_text("max_queued_messages 10000000\n")
    assert [each.state for each in said(check(settings(tmp_path, broker_url=url)), "broker")] == [State.OK]
    absent = check(settings(tmp_path, broker_url=f"mqtt://a:b@127.0.0.1:{reserve()}"))
    assert worst(absent, "broker").state is State.FAIL


def test_a_broker_that_drops_is_noticed(tmp_path: Path) -> None:
    kind, program, _ = choose(Kind.AUTO)
    if kind is not Kind.MOSQUITTO:
        missing("mosquitto", "Install it: apt-get install mosquitto")
    port, config = reserve(), tmp_path / "m.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 5\nsys_interval 1\n")
    process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: health.listener(port) is not None)
        absent = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="absent", clean_session=False)
        subscribed: list[int] = []
        absent.on_subscribe = lambda *_: subscribed.append(1)
        absent.connect("127.0.0.1", port)
        absent.subscribe("x", qos=1)
        until(lambda: absent.loop(0.05) == mqtt.MQTT_ERR_SUCCESS and bool(subscribed))
        absent.disconnect()
        sender = mqtt.Client(CallbackAPIVersion.VERSION2)
        sender.connect("127.0.0.1", port)
        sender.loop_start()
        for _ in range(100):
            sender.publish("x", b"y", qos=1)
        sender.publish("x", b"y", qos=1).wait_for_publish(10)
        sender.disconnect()
        sender.loop_stop()
        url = f"mqtt://a:b@127.0.0.1:{port}"
        until(
            lambda: any(
                "has dropped" in each.sentence for each in said(check(settings(tmp_path, broker_url=url)), "broker")
            )
        )
    finally:
        process.terminate()
        process.wait(10)


def test_a_dying_part_is_named(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "ingest.log"
    with Lock(tmp_path), Supervisor(tmp_path) as supervisor:
        supervisor.start(CommandPart("ingest", [sys.executable, "-c", "raise SystemExit(3)"], log))
        supervisor.start(
            CommandPart("worker", [sys.executable, "-c", "import time; time.sleep(60)"], log.with_name("w"))
        )
        assert supervisor.wait_for(lambda: supervisor.status().parts[0].state is PartState.WAITING, within_s=20)
        found = check(settings(tmp_path))
    part = worst(found, "parts")
    assert part.state is State.FAIL
    assert part.sentence.startswith("ingest is down (exit code 3)")
    assert str(log) in part.remedy
    assert worst(found, "running").state is State.OK
    assert said(found, "web port") == []


def test_mosquitto_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("# x 1\n\nlistener 1883\nmax_queued_messages 50\n")
    (tmp_path / "b").write_text("max_queued_messages 0\nallow_anonymous\n")
    found = mosquitto_values([tmp_path / "a", tmp_path / "none", tmp_path / "b"])
    assert found == {"listener": "1883", "max_queued_messages": "0"}
