"""mosquitto's doors: TLS with a password, client certificates, revocation while connected, denied publishes counted."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from queue import Empty, SimpleQueue

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from core import certificates, tls
from core.broker import Broker, BrokerDown, Kind, choose, probe
from core.broker_log import Denials, Denied, Reader
from core.broker_mosquitto import Listeners, Plain
from core.broker_rules import INGEST, Access, allowed, hash_password
from core.certificates import Identity
from core.clock import wall_now
from core.ports import reserve
from core.processes import rotate
from core.secrets import load_or_create
from edge.tls import context
from tests.conftest import missing

HOST = "127.0.0.1"
USERS = {"gw-1": "one", "gw-2": "two", "gw-3": "three"}
REVOKED_WITHIN_S = 5.0


def hashes(*names: str) -> list[tuple[str, str]]:
    return [(name, HASHES[name]) for name in names]


HASHES = {name: hash_password(password) for name, password in USERS.items()}


@dataclass
class Doors:
    """A running broker with every door, and the files of three devices."""

    broker: Broker
    folder: Path
    denials: Denials
    tls_port: int
    certificate_port: int
    issued: dict[str, Identity] = field(default_factory=dict)

    @property
    def ca(self) -> Path:
        return self.broker.authority.certificate_file

    def issue(self, name: str, authority: tls.Authority | None = None) -> tuple[Path, Path]:
        made = (authority or self.broker.authority).client(name)
        self.issued[name] = made
        certificate, key, _ = tls.write_client(self.folder / name, name, made, authority=b"")
        return certificate, key

    def serial(self, name: str) -> str:
        return certificates.serial(self.issued[name].certificate)


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    if choose(Kind.AUTO)[0] is not Kind.MOSQUITTO:
        missing("mosquitto", "Install it: apt-get install mosquitto")
    denials, ports = Denials(), (reserve(), reserve())
    made = Broker(
        tmp_path,
        load_or_create(tmp_path),
        port=reserve(),
        kind=Kind.MOSQUITTO,
        users=hashes("gw-1", "gw-2"),
        listeners=Listeners(tls_port=ports[0], certificate_port=ports[1]),
        denials=denials,
    )
    try:
        made.start()
        yield Doors(made, tmp_path / "devices", denials, *ports)
    finally:
        made.destroy()


def until(condition: Callable[[], bool], *, within_s: float = 10.0) -> float:
    """Seconds until it held."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + within_s, "did not happen in time"
        time.sleep(0.01)
    return time.monotonic() - began


class Client:
    """A paho client that reconnects by itself, as a real device does, and remembers what it met."""

    def __init__(
        self,
        port: int,
        *,
        user: str | None = None,
        tls: ssl.SSLContext | None = None,
        client_id: str = "",
        protocol: int = mqtt.MQTTv311,
    ) -> None:
        self.codes: SimpleQueue[int] = SimpleQueue()
        self.heard: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
        self.subscribed: SimpleQueue[int] = SimpleQueue()
        self.losses: list[float] = []
        self.connections: list[float] = []
        self.paho = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol)
        self.paho.reconnect_delay_set(min_delay=1, max_delay=1)
        if user is not None:
            self.paho.username_pw_set(user, USERS[user])
        if tls is not None:
            self.paho.tls_set_context(tls)
        self.paho.on_connect = self._connected
        self.paho.on_disconnect = lambda *_: self.losses.append(time.monotonic())
        self.paho.on_message = lambda _c, _u, message: self.heard.put((message.topic, message.payload))
        self.paho.on_subscribe = lambda _c, _u, _m, codes, _p: self.subscribed.put(codes[0].value)
        self.paho.connect(HOST, port)
        self.paho.loop_start()

    def _connected(self, _client: object, _data: object, _flags: object, code: mqtt.ReasonCode, _more: object) -> None:
        self.codes.put(code.value)
        if not code.is_failure:
            self.connections.append(time.monotonic())

    def code(self) -> int:
        return self.codes.get(timeout=10)

    def publish(self, topic: str, payload: bytes = b"x") -> None:
        self.paho.publish(topic, payload, qos=1).wait_for_publish(10)

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()


@pytest.fixture
def clients() -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(*arguments: object, **options: object) -> Client:
        made.append(Client(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def listener(doors: Doors, clients: Callable[..., Client]) -> Client:
    """Hears all that the broker let pass."""
    USERS[INGEST] = doors.broker.secrets.mqtt_ingest
    client = clients(doors.broker.port, user=INGEST)
    assert client.code() == 0
    client.paho.subscribe([("mw/v1/#", 1), ("spBv1.0/#", 1)])
    client.subscribed.get(timeout=10)
    return client


def published(port: int, topic: str, *options: str | Path, message: str = "x") -> int:
    """Exit code of a real mosquitto_pub."""
    program = shutil.which("mosquitto_pub") or missing("mosquitto_pub", "Install it: apt-get install mosquitto-clients")
    command = [str(program), "-h", "localhost", "-p", str(port), "-q", "1", "-t", topic, "-m", message]
    return subprocess.run([*command, *map(str, options)], capture_output=True, timeout=20, check=False).returncode


def test_a_password_over_tls(doors: Doors, listener: Client) -> None:
    topic = "mw/v1/plant/gw-1/b"
    assert published(doors.tls_port, topic, "--cafile", doors.ca, "-u", "gw-1", "-P", "one", message="in") == 0
    assert listener.heard.get(timeout=10) == (topic, b"in")
    assert published(doors.tls_port, topic, "--cafile", doors.ca, "-u", "gw-1", "-P", "two") != 0
    assert published(doors.tls_port, topic, "--cafile", doors.ca) != 0
    assert published(doors.tls_port, topic, "-u", "gw-1", "-P", "one") != 0  # no TLS
    other = tls.Authority(doors.folder / "other")
    assert other.identity
    assert published(doors.tls_port, topic, "--cafile", other.certificate_file, "-u", "gw-1", "-P", "one") != 0
    assert listener.heard.empty()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(("newest", "expected"), [("TLSv1_1", None), ("TLSv1_2", "TLSv1.2"), ("TLSv1_3", "TLSv1.3")])
def test_old_tls_is_refused(doors: Doors, newest: str, expected: str | None) -> None:
    trusting = ssl.create_default_context(cafile=str(doors.ca))
    trusting.minimum_version = ssl.TLSVersion.TLSv1
    trusting.maximum_version = ssl.TLSVersion[newest]
    trusting.set_ciphers("DEFAULT:@SECLEVEL=0")  # the client would take it
    with socket.create_connection((HOST, doors.tls_port), timeout=10) as link:
        if expected is None:
            with pytest.raises(ssl.SSLError):
                trusting.wrap_socket(link, server_hostname="localhost")
        else:
            with trusting.wrap_socket(link, server_hostname="localhost") as wrapped:
                assert wrapped.version() == expected


def test_a_certificate_is_the_name(doors: Doors, listener: Client) -> None:
    certificate, key = doors.issue("gw-1")
    ours = ("--cafile", doors.ca, "--cert", certificate, "--key", key)
    assert published(doors.certificate_port, "mw/v1/plant/gw-2/b", *ours, message="forged") == 0  # taken, denied
    as_other = ("-u", "gw-2", "-P", "two", "-i", "gw-2")
    assert published(doors.certificate_port, "mw/v1/plant/gw-2/b", *ours, *as_other, message="forged") == 0
    assert published(doors.certificate_port, "mw/v1/plant/gw-1/b", *ours, message="mine") == 0
    assert listener.heard.get(timeout=10) == ("mw/v1/plant/gw-1/b", b"mine")
    assert listener.heard.empty()


def test_no_certificate_and_foreign_certificates_are_refused(doors: Doors, listener: Client) -> None:
    topic, ca = "mw/v1/plant/gw-1/b", ("--cafile", doors.ca)
    assert published(doors.certificate_port, topic, *ca, "-u", "gw-1", "-P", "one") != 0
    certificate, key = doors.issue("gw-1", tls.Authority(doors.folder / "other"))
    assert published(doors.certificate_port, topic, *ca, "--cert", certificate, "--key", key) != 0
    server = doors.broker.authority.server(tls.server_names(HOST))
    tls.write_client(doors.folder, "server", server, authority=b"")
    files = ("--cert", doors.folder / "server.pem", "--key", doors.folder / "server.key")
    assert published(doors.certificate_port, topic, *ca, *files) != 0
    assert listener.heard.empty()


def test_a_revoked_password_ends_its_session(doors: Doors, clients: Callable[..., Client]) -> None:
    secure = context(ca_file=doors.ca)
    sessions = [clients(doors.tls_port, user="gw-1", tls=secure), clients(doors.broker.port, user="gw-1")]
    other = clients(doors.tls_port, user="gw-2", tls=secure)
    assert [each.code() for each in (*sessions, other)] == [0, 0, 0]
    assert doors.broker.refresh(hashes("gw-2"))
    took = until(lambda: all(each.losses for each in sessions), within_s=REVOKED_WITHIN_S)
    print(f"password session ended after {took:.3f} s")
    until(lambda: all(not each.codes.empty() for each in sessions))  # they came back and were told no
    assert [each.code() for each in sessions] == [5, 5] or all(not each.paho.is_connected() for each in sessions)
    assert not other.losses


def test_a_revoked_certificate_ends_its_session(doors: Doors, clients: Callable[..., Client], listener: Client) -> None:
    files = {name: doors.issue(name) for name in ("gw-1", "gw-3")}
    contexts = {
        name: context(ca_file=doors.ca, cert_file=certificate, key_file=key)
        for name, (certificate, key) in files.items()
    }
    revoked = clients(doors.certificate_port, tls=contexts["gw-1"], client_id="some id of its own")
    other = clients(doors.certificate_port, tls=contexts["gw-3"])
    assert (revoked.code(), other.code()) == (0, 0)
    revoked.publish("mw/v1/plant/gw-1/b", b"before")
    assert listener.heard.get(timeout=10)[1] == b"before"
    assert doors.broker.refresh(hashes("gw-2"), {doors.serial("gw-1"): "gw-1"})
    took = until(lambda: bool(revoked.losses), within_s=REVOKED_WITHIN_S)
    print(f"certificate session ended after {took:.3f} s")
    until(lambda: time.monotonic() - revoked.losses[0] > 2.5)  # it tries again each second
    assert len(revoked.connections) == 1 and not revoked.paho.is_connected()
    certificate, key = files["gw-1"]
    ours = ("--cafile", doors.ca, "--cert", certificate, "--key", key)
    assert published(doors.certificate_port, "mw/v1/plant/gw-1/b", *ours) != 0
    assert not other.losses
    other.publish("mw/v1/plant/gw-3/b", b"still here")
    assert listener.heard.get(timeout=10)[1] == b"still here"


def test_without_hanging_up_a_revoked_certificates_session_would_stay(
    doors: Doors, clients: Callable[..., Client], listener: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: mosquitto takes over the new revocation list and lets the open session be."""
    certificate, key = doors.issue("gw-1")
    session = clients(doors.certificate_port, tls=context(ca_file=doors.ca, cert_file=certificate, key_file=key))
    assert session.code() == 0
    monkeypatch.setattr(doors.broker, "_hang_up", lambda _names: doors.broker._tell())
    assert doors.broker.refresh(hashes("gw-2"), {doors.serial("gw-1"): "gw-1"})
    assert probe(HOST, doors.broker.port, user="gw-2", password="two") == 0  # read after the signal
    ours = ("--cafile", doors.ca, "--cert", certificate, "--key", key)
    assert published(doors.certificate_port, "mw/v1/plant/gw-1/b", *ours) != 0
    session.publish("mw/v1/plant/gw-1/b", b"still here")
    until(lambda: heard(listener)[-1:] == [b"still here"])
    assert not session.losses


def test_a_revoked_certificate_stays_revoked_over_a_restart(doors: Doors) -> None:
    certificate, key = doors.issue("gw-1")
    ours = ("--cafile", doors.ca, "--cert", certificate, "--key", key)
    topic = "mw/v1/plant/gw-1/b"
    assert published(doors.certificate_port, topic, *ours) == 0
    doors.broker.refresh(hashes("gw-1", "gw-2"), {doors.serial("gw-1"): "gw-1"})
    doors.broker.stop()
    doors.broker.start()
    assert published(doors.certificate_port, topic, *ours) != 0
    assert published(doors.tls_port, topic, "--cafile", doors.ca, "-u", "gw-1", "-P", "one") == 0


def test_nobody_takes_a_session_by_its_client_id(doors: Doors, clients: Callable[..., Client]) -> None:
    certificate, key = doors.issue("gw-1")
    secure = context(ca_file=doors.ca)
    victims = [
        clients(doors.certificate_port, tls=context(ca_file=doors.ca, cert_file=certificate, key_file=key)),
        clients(doors.tls_port, user="gw-2", tls=secure),
    ]
    assert [each.code() for each in victims] == [0, 0]
    assert doors.broker.refresh(hashes("gw-1", "gw-2", "gw-3"))
    for taken in ("gw-1", "gw-2"):
        thief = clients(doors.tls_port, user="gw-3", tls=secure, client_id=taken)
        assert thief.code() == 0
        thief.publish("mw/v1/plant/gw-3/b")
        thief.close()
    assert [each.losses for each in victims] == [[], []]


def test_a_new_certificate_opens_where_the_old_one_was_revoked(doors: Doors, listener: Client) -> None:
    certificate, key = doors.issue("gw-1")
    old, old_serial = ("--cafile", doors.ca, "--cert", certificate, "--key", key), doors.serial("gw-1")
    assert doors.broker.refresh(hashes("gw-1", "gw-2"), {old_serial: "gw-1"})
    until(lambda: published(doors.certificate_port, "mw/v1/plant/gw-1/b", *old) != 0)
    doors.issue("gw-1")
    assert published(doors.certificate_port, "mw/v1/plant/gw-1/b", *old, message="new") == 0  # same paths, new files
    until(lambda: heard(listener)[-1:] == [b"new"])


def heard(listener: Client) -> list[bytes]:
    found = []
    try:
        while True:
            found.append(listener.heard.get(timeout=0.5)[1])
    except Empty:
        return found


def test_denied_publishes_are_counted_by_device(doors: Doors, clients: Callable[..., Client]) -> None:
    certificate, key = doors.issue("gw-3")
    honest = clients(doors.broker.port, user="gw-2", client_id="gw-1")
    culprit = clients(doors.broker.port, user="gw-1", client_id="x (p2, c1, k60, u'gw-2').", protocol=mqtt.MQTTv5)
    masked = clients(
        doors.certificate_port, tls=context(ca_file=doors.ca, cert_file=certificate, key_file=key), client_id="gw-2"
    )
    assert [each.code() for each in (honest, culprit, masked)] == [0, 0, 0]
    for number in range(5):
        honest.publish("mw/v1/plant/gw-2/b")
        culprit.publish(f"mw/v1/plant/gw-2/{number} (d0, q1, r0, m1, 'x")
        masked.publish("mw/v1/plant/gw-1/b")
    totals: dict[str, int] = {}

    def all_counted() -> bool:
        for user, each in doors.denials.take().items():
            totals[user] = totals.get(user, 0) + each.count
        return sum(totals.values()) >= 10

    until(all_counted)
    assert totals == {"gw-1": 5, "gw-3": 5}
    text = doors.broker.log_file.read_text()
    assert text.count("Denied PUBLISH") == 2 and "Received PUBLISH" not in text
    assert "New client connected" in text


def test_counting_survives_a_cut_log_and_a_restart(doors: Doors) -> None:
    def denied() -> bool:
        found = doors.denials.take()
        return found == {"gw-1": Denied(1, "mw/v1/plant/x/b")}

    def publish() -> None:
        assert published(doors.broker.port, "mw/v1/plant/x/b", "-u", "gw-1", "-P", "one") == 0
        until(denied)

    publish()
    assert rotate(doors.broker.log_file, most_bytes=1)
    publish()
    doors.broker.log_file.unlink()
    publish()
    doors.broker.stop()
    doors.broker.start()
    publish()


def test_a_flood_stops_the_count_and_not_the_broker(
    doors: Doors, clients: Callable[..., Client], listener: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the flood nothing but notices is logged; ten minutes later denied publishes are counted again."""
    load = doors.broker._load
    load.look(0)
    monkeypatch.setattr("core.broker_log.MOST_PACKETS_S", 0)
    monkeypatch.setattr("core.broker_log.LOOK_S", 0.0)
    monkeypatch.setattr("core.broker_log.PAUSE_S", 1e9)
    assert published(doors.broker.port, "mw/v1/plant/gw-1/b", "-u", "gw-1", "-P", "one") == 0
    until(lambda: doors.broker._reader is not None and doors.broker._reader.packets > 0)
    doors.broker.turn()
    assert doors.broker._reader
    before = doors.broker._reader.packets
    client = clients(doors.broker.port, user="gw-1")
    assert client.code() == 0
    for _ in range(50):
        client.publish("mw/v1/plant/gw-1/b")
    assert doors.broker._reader.packets - before < 20
    monkeypatch.setattr("core.broker_log.PAUSE_S", 0.0)
    doors.broker.turn()

    def counted() -> bool:
        client.publish("mw/v1/plant/x/b")
        return "gw-1" in doors.denials.take()

    until(counted)


def test_a_log_reader_that_stands_still_does_not_hold_the_broker(tmp_path: Path) -> None:
    """The pipe is full of denied publishes that nobody reads; messages still pass."""

    class Still(Reader):
        def start(self) -> None:
            os.close(self.writing_end)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.broker.Reader", Still)
        made = Broker(
            tmp_path,
            load_or_create(tmp_path),
            port=reserve(),
            kind=Kind.MOSQUITTO,
            users=hashes("gw-1"),
            denials=Denials(),
        )
        try:
            made.start()
            client = Client(made.port, user="gw-1")
            assert client.code() == 0
            for _ in range(40):
                batch = [client.paho.publish("mw/v1/plant/gw-1/b", b"x", qos=1) for _ in range(200)]
                batch[-1].wait_for_publish(10)
                assert batch[-1].is_published()
            client.close()
        finally:
            made.destroy()


def test_the_servers_certificate_is_renewed_while_it_runs(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    def served() -> str:
        return certificates.serial(ssl.get_server_certificate((HOST, doors.tls_port)).encode())

    first = served()
    doors.broker.turn()
    assert served() == first
    later = wall_now() + certificates.SERVER_LASTS - timedelta(days=10)
    monkeypatch.setattr(tls, "wall_now", lambda: later)
    monkeypatch.setattr("core.broker.wall_now", lambda: later)
    doors.broker.turn()
    until(lambda: served() != first)
    assert doors.broker.authority.server_expires() == later.replace(microsecond=0) + certificates.SERVER_LASTS


def test_a_given_certificate_is_the_one_shown(tmp_path: Path) -> None:
    given = tls.Authority(tmp_path / "theirs").server(("localhost",))
    port = reserve()
    made = Broker(
        tmp_path,
        load_or_create(tmp_path),
        port=reserve(),
        kind=Kind.MOSQUITTO,
        listeners=Listeners(tls_port=port, given=given),
    )
    try:
        made.start()
        shown = ssl.get_server_certificate((HOST, port)).encode()
        assert certificates.serial(shown) == certificates.serial(given.certificate)
    finally:
        made.destroy()


def test_plain_mqtt_leaves_loopback_only_when_told() -> None:
    shut = Listeners(address="10.0.0.5", tls_port=8883)
    assert shut.plain_addresses == (HOST,)
    assert replace(shut, plain=Plain.OUTSIDE).plain_addresses == (HOST, "10.0.0.5")
    assert Listeners(address="0.0.0.0", plain=Plain.OUTSIDE).plain_addresses == ("0.0.0.0",)  # noqa: S104
    assert not Listeners().encrypted


def test_the_embedded_broker_says_that_it_has_no_tls(tmp_path: Path) -> None:
    with pytest.raises(BrokerDown, match="need mosquitto"):
        Broker(tmp_path, load_or_create(tmp_path), port=1, kind=Kind.AMQTT, listeners=Listeners(tls_port=8883))


TOPICS = (
    "mw/v1/plant/gw-1/b",
    "mw/v1/plant/gw-1/s/P-101/flow",
    "mw/v1/plant/gw-1",
    "mw/v1/other/gw-1/b",
    "mw/v1/plant/gw-2/b",
    "mw/v1/gw-1/b",
    "mw/v1/plant/gw-1x/b",
    "mw/v1/plant/sim-floor/cmd/x",
    "mw/v1/plant/gw-2/receipt",
    "mw/v2/plant/gw-1/b",
    "spBv1.0/plant/NBIRTH/gw-1",
    "spBv1.0/plant/NDATA/gw-1",
    "spBv1.0/plant/NDATA/gw-1/pump",
    "spBv1.0/plant/DDATA/gw-1/pump",
    "spBv1.0/plant/DDATA/gw-1",
    "spBv1.0/plant/DDATA/gw-1/pump/x",
    "spBv1.0/plant/DBIRTH/gw-2/gw-1",
    "spBv1.0/plant/NCMD/gw-1",
    "spBv1.0/plant/DCMD/gw-1/pump",
    "spBv1.0/STATE/gw-1",
    "spBv1.0/STATE/NDATA/gw-1",
)


def test_the_rules_are_what_mosquitto_does(doors: Doors, clients: Callable[..., Client], listener: Client) -> None:
    """core.broker_rules.allowed is the model; every user tries every topic."""
    for user in ("gw-1", "gw-2", INGEST):
        client = clients(doors.broker.port, user=user)
        assert client.code() == 0
        for topic in TOPICS:
            client.publish(topic, user.encode())
    own = clients(doors.broker.port, user="gw-2")
    assert own.code() == 0
    own.publish("mw/v1/plant/gw-2/end", b"end")
    found: set[tuple[str, str]] = set()
    while (message := listener.heard.get(timeout=10))[1] != b"end":
        found.add((message[1].decode(), message[0]))
    expected = {
        (user, topic)
        for user in ("gw-1", "gw-2", INGEST)
        for topic in TOPICS
        if allowed(user, Access.WRITE, topic) and allowed(INGEST, Access.READ, topic)
    }
    assert found == expected


def test_client_id_tricks_lend_no_name(doors: Doors, clients: Callable[..., Client], listener: Client) -> None:
    """Wildcards, another's name, a client id of our own: the user name alone counts, or (mosquitto) nothing at all."""
    for client_id in ("#", "+", "gw-2", INGEST, "mw/v1/plant/gw-2", "%u", "$SYS", "", "x" * 200):
        client = clients(doors.broker.port, user="gw-1", client_id=client_id)
        assert client.code() == 0
        client.publish("mw/v1/plant/gw-2/b", b"forged")
        client.publish(f"mw/v1/plant/{client_id.replace('#', 'x').replace('+', 'y') or 'z'}/b", b"forged")
        client.publish("mw/v1/plant/gw-1/b", b"mine")
        client.close()
    own = clients(doors.broker.port, user="gw-2")
    assert own.code() == 0
    own.publish("mw/v1/plant/gw-2/end", b"end")
    while (message := listener.heard.get(timeout=10)) != ("mw/v1/plant/gw-2/end", b"end"):
        assert message == ("mw/v1/plant/gw-1/b", b"mine")
    assert probe(HOST, doors.broker.port, user="+", password="one") == 5
    assert probe(HOST, doors.broker.port, user="#", password="one") == 5
