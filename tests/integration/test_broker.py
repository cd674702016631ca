"""The managed broker, both programs: right and wrong passwords, the rules, revocation, and no orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from core.broker import Broker, BrokerDown, Kind, choose, probe
from core.broker_log import Denials, Denied
from core.broker_rules import INGEST, SIMULATOR, hash_password
from core.ports import reserve
from core.processes import alive, pss_mb
from core.secrets import load_or_create
from tests.conftest import missing

ROOT = Path(__file__).resolve().parents[2]
USERS = [("gw-1", hash_password("one")), ("gw-2", hash_password("two")), ("pump_3", hash_password("three"))]
HOST = "127.0.0.1"
KINDS = (Kind.MOSQUITTO, Kind.AMQTT)


def until(condition: Callable[[], bool], *, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def installed(kind: Kind) -> Kind:
    if kind is Kind.MOSQUITTO and choose(Kind.AUTO)[0] is not Kind.MOSQUITTO:
        missing("mosquitto", "Install it: apt-get install mosquitto")
    return kind


@pytest.fixture(scope="module", params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running broker of each kind; tests leave its users as they were."""
    data_dir = tmp_path_factory.mktemp("broker")
    made = Broker(data_dir, load_or_create(data_dir), port=reserve(), kind=installed(request.param), users=USERS)
    try:
        made.start()
        yield made
    finally:
        made.destroy()


class Client:
    """A paho client that collects what it hears."""

    def __init__(self, broker: Broker, user: str, password: str, *, client_id: str = "", clean: bool = True) -> None:
        self.heard: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
        self.codes: SimpleQueue[int] = SimpleQueue()
        self.granted: SimpleQueue[int] = SimpleQueue()
        self.paho = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean, reconnect_on_failure=False
        )
        self.paho.username_pw_set(user, password)
        self.paho.on_connect = lambda _c, _u, _f, code, _p: self.codes.put(code.value)
        self.paho.on_message = lambda _c, _u, message: self.heard.put((message.topic, message.payload))
        self.paho.on_subscribe = lambda _c, _u, _m, codes, _p: self.granted.put(codes[0].value)
        self.paho.connect(HOST, broker.port)
        self.paho.loop_start()
        self.code = self.codes.get(timeout=10)

    def subscribe(self, topic: str) -> int:
        self.paho.subscribe(topic, qos=1)
        return self.granted.get(timeout=10)

    def publish(self, topic: str, payload: bytes) -> None:
        """Returns once the broker has taken it (denied ones are taken too: MQTT 3.1.1 has no way to say no)."""
        self.paho.publish(topic, payload, qos=1).wait_for_publish(10)

    def hears(self) -> tuple[str, bytes]:
        return self.heard.get(timeout=10)

    def hears_nothing(self) -> bool:
        return self.heard.empty()

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()


@pytest.fixture
def connect(broker: Broker) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make(user: str, password: str, **options: object) -> Client:
        clients.append(Client(broker, user, password, **options))  # type: ignore[arg-type]
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def ingest(broker: Broker, connect: Callable[..., Client]) -> Client:
    client = connect(INGEST, broker.secrets.mqtt_ingest)
    assert client.subscribe("mw/v1/+/+/s/#") == 1
    assert client.subscribe("mw/v1/+/+/b") == 1
    return client


def test_says_what_it_is(broker: Broker) -> None:
    info = broker.info
    assert (info.host, info.port, info.kind) == (HOST, broker.port, broker.kind)
    assert info.version[0].isdigit()
    assert (info.lossy is not None) is (info.kind is Kind.AMQTT)


@pytest.mark.parametrize(
    ("user", "password", "expected"),
    [
        ("gw-1", "one", 0),
        ("pump_3", "three", 0),
        ("gw-1", "two", 5),
        ("gw-1", "", 5),
        ("nobody", "one", 5),
        ("", "", 5),
        ("gw-1:", "one", 5),
    ],
)
def test_passwords(broker: Broker, user: str, password: str, expected: int) -> None:
    assert probe(HOST, broker.port, user=user, password=password) == expected


def test_anonymous_is_refused(broker: Broker) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    codes: list[str] = []
    client.on_connect = lambda _c, _u, _f, code, _p: codes.append(str(code))
    client.connect(HOST, broker.port)
    until(lambda: client.loop(0.1) != mqtt.MQTT_ERR_SUCCESS or bool(codes))
    assert codes in ([], ["Not authorized"])
    assert not client.is_connected()


def test_ingest_hears_a_device_under_its_own_name_only(ingest: Client, connect: Callable[..., Client]) -> None:
    device = connect("gw-1", "one")
    assert device.code == 0
    device.publish("mw/v1/plant/gw-2/s/P-101/flow", b"forged")
    device.publish("mw/v1/plant/gw-2/b", b"forged")
    device.publish("mw/v1/plant/gw-1/s/P-101/flow", b"true")
    assert ingest.hears() == ("mw/v1/plant/gw-1/s/P-101/flow", b"true")
    assert ingest.hears_nothing()


def test_a_chinese_device_name_works(ingest: Client, connect: Callable[..., Client]) -> None:
    connect("pump_3", "three").publish("mw/v1/plant/pump_3/b", b"{}")
    assert ingest.hears() == ("mw/v1/plant/pump_3/b", b"{}")


def test_a_receipt_reaches_its_device_and_no_other(ingest: Client, connect: Callable[..., Client]) -> None:
    mine, other = connect("gw-1", "one"), connect("gw-2", "two")
    mine.subscribe("mw/v1/plant/gw-1/receipt")
    other.subscribe("mw/v1/plant/gw-2/receipt")
    other.subscribe("mw/v1/plant/gw-1/receipt")
    ingest.publish("mw/v1/plant/gw-1/receipt", b"1")
    assert mine.hears() == ("mw/v1/plant/gw-1/receipt", b"1")
    ingest.publish("mw/v1/plant/gw-2/receipt", b"2")
    assert other.hears() == ("mw/v1/plant/gw-2/receipt", b"2")
    assert other.hears_nothing()


@pytest.mark.parametrize("topic", ["#", "mw/v1/#", "mw/v1/+/gw-2/#", "+/+/+/+/b"])
def test_a_device_does_not_hear_others(ingest: Client, connect: Callable[..., Client], topic: str) -> None:
    listener, device = connect("gw-1", "one"), connect("gw-2", "two")
    listener.subscribe(topic)
    listener.subscribe("mw/v1/plant/gw-1/receipt")
    device.publish("mw/v1/plant/gw-2/b", b"secret")
    ingest.hears()
    ingest.publish("mw/v1/plant/gw-1/receipt", b"after")
    assert listener.hears() == ("mw/v1/plant/gw-1/receipt", b"after")
    if "#" not in topic:
        assert listener.hears_nothing()


def test_commands_come_from_the_simulators_floor_only(
    broker: Broker, ingest: Client, connect: Callable[..., Client]
) -> None:
    floor, machine, forger = (
        connect(SIMULATOR, broker.secrets.mqtt_simulator),
        connect("gw-1", "one"),
        connect("gw-2", "two"),
    )
    machine.subscribe("mw/v1/plant/sim-floor/cmd/#")
    forger.publish("mw/v1/plant/sim-floor/cmd/P-101", b"forged")
    ingest.publish("mw/v1/plant/sim-floor/cmd/P-101", b"forged too")
    floor.publish("mw/v1/plant/sim-floor/cmd/P-101", b"repair")
    assert machine.hears() == ("mw/v1/plant/sim-floor/cmd/P-101", b"repair")
    assert machine.hears_nothing()


def test_an_absent_ingest_gets_everything_later(broker: Broker, connect: Callable[..., Client]) -> None:
    """More than mosquitto's own limit of 1,000 queued messages."""
    session = {"client_id": f"ingest-{broker.kind}", "clean": False}
    first = connect(INGEST, broker.secrets.mqtt_ingest, **session)
    first.subscribe("mw/v1/+/+/b")
    first.close()
    device, count = connect("gw-1", "one"), 2000 if broker.kind is Kind.MOSQUITTO else 200
    sent = [device.paho.publish("mw/v1/plant/gw-1/b", str(n).encode(), qos=1) for n in range(count)]
    sent[-1].wait_for_publish(20)
    again = connect(INGEST, broker.secrets.mqtt_ingest, **session)
    heard: set[int] = set()
    while len(heard) < count:  # at least once: a broker may say one twice
        heard.add(int(again.hears()[1]))
    assert heard == set(range(count))


def test_users_change_while_it_runs(broker: Broker, connect: Callable[..., Client]) -> None:
    revoked = connect("gw-2", "two")
    revoked.subscribe("mw/v1/plant/gw-2/receipt")
    try:
        assert broker.refresh([*USERS[:1], ("gw-9", hash_password("nine"))])
        until(lambda: probe(HOST, broker.port, user="gw-9", password="nine") == 0)
        assert probe(HOST, broker.port, user="gw-2", password="two") == 5
        assert probe(HOST, broker.port, user="gw-1", password="one") == 0
        watcher = connect(INGEST, broker.secrets.mqtt_ingest)
        watcher.subscribe("mw/v1/+/+/b")
        good = connect("gw-1", "one")

        def only_good_is_heard() -> bool:
            if revoked.paho.is_connected():
                revoked.paho.publish("mw/v1/plant/gw-2/b", b"still here?", qos=1)
            good.publish("mw/v1/plant/gw-1/b", b"good")
            heard = [watcher.hears()[1]]
            while heard[-1] != b"good":
                heard.append(watcher.hears()[1])
            return heard == [b"good"]

        until(only_good_is_heard)
        assert only_good_is_heard()
        until(lambda: not revoked.paho.is_connected(), within_s=5)
        assert good.paho.is_connected()
    finally:
        broker.refresh(USERS)
        until(lambda: probe(HOST, broker.port, user="gw-2", password="two") == 0)
    assert not broker.refresh(list(reversed(USERS)))


def test_a_new_password_ends_the_sessions_of_the_old_one(broker: Broker, connect: Callable[..., Client]) -> None:
    device, other = connect("gw-2", "two"), connect("gw-1", "one")
    try:
        assert broker.refresh([USERS[0], ("gw-2", hash_password("new")), USERS[2]])
        until(lambda: not device.paho.is_connected(), within_s=5)
        assert probe(HOST, broker.port, user="gw-2", password="new") == 0
        assert probe(HOST, broker.port, user="gw-2", password="two") == 5
        assert other.paho.is_connected()
    finally:
        broker.refresh(USERS)


def test_denied_publishes_are_counted(broker: Broker, tmp_path: Path) -> None:
    """Of a broker of its own: the shared one does not count."""
    denials = Denials()
    counting = Broker(
        tmp_path, load_or_create(tmp_path), port=reserve(), kind=broker.kind, users=USERS, denials=denials
    )
    try:
        counting.start()
        device = Client(counting, "gw-1", "one")
        device.publish("mw/v1/plant/gw-1/b", b"mine")
        for topic in ("mw/v1/plant/gw-2/b", "mw/v1/plant/gw-2/s/last one"):
            device.paho.publish(topic, b"not mine", qos=1)

        def both_counted() -> bool:
            found = denials.take()
            denials.give_back(found)
            return found == {"gw-1": Denied(2, "mw/v1/plant/gw-2/s/last one")}

        until(both_counted)
        device.close()
        assert "gw-2" in counting.log_file.read_text()
    finally:
        counting.destroy()


def test_a_wrong_password_does_not_lend_a_name_to_an_open_session(
    broker: Broker, ingest: Client, connect: Callable[..., Client]
) -> None:
    """amqtt takes over the user name of a persistent session before it asks for the password."""
    device = connect("gw-1", "one", client_id="mine", clean=False)
    device.subscribe("mw/v1/plant/gw-1/receipt")
    intruder = connect(INGEST, "wrong", client_id="mine", clean=False)
    assert intruder.code != 0
    device.paho.subscribe("mw/v1/+/+/b", qos=1)  # answered or not: amqtt may have dropped the connection by now
    connect("gw-2", "two").publish("mw/v1/plant/gw-2/b", b"secret")
    assert ingest.hears()[1] == b"secret"
    assert device.hears_nothing()
    again = connect("gw-1", "one", client_id="mine", clean=False)
    assert again.code == 0
    again.subscribe("mw/v1/plant/gw-1/receipt")
    ingest.publish("mw/v1/plant/gw-1/receipt", b"after")
    assert again.hears() == ("mw/v1/plant/gw-1/receipt", b"after")


def test_a_session_is_not_handed_to_another_device(ingest: Client, connect: Callable[..., Client]) -> None:
    """The second device knows its own password and the first one's client id."""
    first = connect("gw-1", "one", client_id="shared", clean=False)
    first.subscribe("mw/v1/plant/gw-1/receipt")
    first.close()
    ingest.publish("mw/v1/plant/gw-1/receipt", b"for the first")
    second = connect("gw-2", "two", client_id="shared", clean=False)
    if second.code == 0:
        second.subscribe("mw/v1/plant/gw-2/receipt")
        ingest.publish("mw/v1/plant/gw-2/receipt", b"for the second")
        assert second.hears() == ("mw/v1/plant/gw-2/receipt", b"for the second")
    assert second.hears_nothing()


def test_files_are_private_and_processes_small(broker: Broker) -> None:
    assert broker.home.stat().st_mode & 0o077 == 0
    assert {path.stat().st_mode & 0o077 for path in broker.home.iterdir()} == {0}
    assert broker.pid
    assert pss_mb([broker.pid]) < (20 if broker.kind is Kind.MOSQUITTO else 80)
    if os.geteuid() == 0 and broker.kind is Kind.MOSQUITTO:
        assert Path(f"/proc/{broker.pid}").stat().st_uid != 0


def test_messages_survive_a_clean_restart_of_mosquitto(tmp_path: Path) -> None:
    made = Broker(tmp_path, load_or_create(tmp_path), port=reserve(), kind=installed(Kind.MOSQUITTO), users=USERS)
    try:
        made.start()
        session = {"client_id": "kept", "clean": False}
        reader = Client(made, INGEST, made.secrets.mqtt_ingest, **session)  # type: ignore[arg-type]
        reader.subscribe("mw/v1/+/+/b")
        reader.close()
        device = Client(made, "gw-1", "one")
        device.publish("mw/v1/plant/gw-1/b", b"kept")
        device.close()
        made.stop()
        assert made.pid is None
        made.start()
        reader = Client(made, INGEST, made.secrets.mqtt_ingest, **session)  # type: ignore[arg-type]
        assert reader.hears()[1] == b"kept"
        reader.close()
    finally:
        made.destroy()
    assert not made.home.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_survives_a_killed_parent(tmp_path: Path, kind: Kind) -> None:
    script = f"""
import sys, time
from pathlib import Path
from core.broker import Broker, Kind
from core.secrets import load_or_create
data = Path(sys.argv[1])
broker = Broker(data, load_or_create(data), port=int(sys.argv[2]), kind=Kind({str(installed(kind))!r}))
broker.start()
print("pid", broker.pid, flush=True)
time.sleep(120)
"""
    host = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), str(reserve())],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
    )
    assert host.stdout
    pid = next(int(line.split()[1]) for line in host.stdout if line.startswith("pid "))
    host.stdout.close()
    host.send_signal(signal.SIGKILL)
    host.wait(10)
    until(lambda: not alive(pid))
    Broker(tmp_path, load_or_create(tmp_path), port=reserve(), kind=kind).destroy()


def test_a_taken_port_is_said_with_the_log(tmp_path: Path, broker: Broker) -> None:
    second = Broker(tmp_path, load_or_create(tmp_path), port=broker.port, kind=broker.kind)
    try:
        with pytest.raises(BrokerDown, match=r"does not start on 127\.0\.0\.1:\d+[\s\S]*[Aa]ddress already in use"):
            second.start(within_s=5)
    finally:
        second.destroy()


def test_choice() -> None:
    assert choose(Kind.AMQTT)[0] is Kind.AMQTT
    assert choose(Kind.AUTO)[0] in KINDS


def test_probe_of_nobody_and_of_a_mute_port() -> None:
    assert probe(HOST, reserve(), user="a", password="b", within_s=0.5) is None
