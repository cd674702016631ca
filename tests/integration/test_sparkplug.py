"""Sparkplug B through a real broker and the real pipeline into the database; our own edge node on the other side."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt import client as mqtt
from psycopg import Connection

from core.broker import Broker as ManagedBroker
from core.broker import Kind, choose
from core.broker_rules import INGEST, hash_password
from core.database import Database
from core.ports import reserve
from core.secrets import load_or_create
from edge import gateway
from edge.codecs import sparkplug as codec
from edge.codecs.sparkplug import DataType, Metric, Payload
from edge.inbox import Inbox
from edge.kinds import Place
from edge.sources import sparkplug as source
from edge.sources.sparkplug import SparkplugSource
from edge.sparkplug import state, topics
from edge.sparkplug.node import Broker, Node
from edge.sparkplug.outcomes import Life
from edge.sparkplug.voice import NODE, Tag, Told, Voice
from ingest.pipeline import Pipeline
from ingest.sparkplug import Sparkplug
from plant import proposals
from plant.assets import MachineSpec, SignalSpec, ensure_machine, register_device, signals
from plant.model import Quality
from tests.conftest import RunningBroker, missing
from tests.integration.ingest_kit import NOW_US, publisher, running_ingest, start_ingest, stop_process, wait_until

START_US = NOW_US - NOW_US % 1000 - 3_600_000_000
SECOND = 1_000_000
TAGS = {NODE: [Tag("load", DataType.INT32, "%")], "P1": [Tag("temp", DataType.FLOAT, "degF", 0.0, 300.0, "Bearing")]}


@pytest.fixture
def plant(database: Database, site: int) -> dict[str, int]:
    """A registered edge node whose device brings one bound signal in °C; tag → signal id."""
    with database.tx(site_id=site) as conn:
        register_device(conn, "n1", secret_hash="x")
        spec = MachineSpec("P-1", "Pump", "pump", signals=[SignalSpec("temp", "temperature", "°C", "n1", "P1/temp")])
        asset_id = ensure_machine(conn, spec)
        return {"P1/temp": signals(conn, asset_id)[0].signal_id}


@contextmanager
def hearing(database: Database, port: int, *, folder: Path | None = None) -> Iterator[Sparkplug]:
    """Pipeline and host as ingest runs them, in threads of the test."""
    pipeline = Pipeline(database, batch_rows=10_000, linger_s=0.02, most_messages=5_000)
    pipeline.prepare()
    host = Sparkplug(
        database,
        pipeline,
        host="127.0.0.1",
        port=port,
        user=None,
        password=None,
        instance="t",
        host_id="millwright",
        folder=folder,
    )
    over, stop = threading.Event(), threading.Event()
    threads = [
        threading.Thread(target=pipeline.run, args=(over,)),
        threading.Thread(target=host.run, args=(stop,)),
    ]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: host.source.connected, what="connecting")
        yield host
    finally:
        over.set()
        threads[0].join(20)
        stop.set()
        threads[1].join(20)
        assert not any(thread.is_alive() for thread in threads)


@contextmanager
def speaking(
    port: int, *, folder: Path | None = None, wait_for: str | None = None, group: str = "plant"
) -> Iterator[Node]:
    node = Node(Voice(group, "n1", TAGS), Broker("127.0.0.1", port), folder=folder, wait_for=wait_for)
    node.start()
    try:
        yield node
    finally:
        node.close()


def samples(conn: Connection) -> list[tuple[int, float, int]]:
    """Time, value, quality of every stored sample; a value that there is not is -1."""
    rows = conn.execute(
        """select (extract(epoch from at) * 1000000)::int8, case when value = 'NaN' then -1 else value end, quality
           from samples order by at, value"""
    )
    return [(at, float(value), quality) for at, value, quality in rows.fetchall()]


def good(conn: Connection) -> list[tuple[int, float]]:
    return [(at, round(value, 3)) for at, value, quality in samples(conn) if quality == Quality.GOOD]


def told(count: int, *, start_us: int = START_US) -> list[tuple[int, float]]:
    return [(start_us + index * SECOND, 50.0 + 9 * index) for index in range(count)]


def tell(node: Node, rows: list[tuple[int, float]]) -> None:
    for at_us, value in rows:
        node.tell("P1", [Told("temp", at_us, value)])


def celsius(rows: list[tuple[int, float]]) -> list[tuple[int, float]]:
    return [(at, round((value - 32) * 5 / 9, 3)) for at, value in rows]


def test_values_arrive_in_the_unit_of_the_birth(
    database: Database, plant: dict[str, int], superuser: Connection, mosquitto: RunningBroker
) -> None:
    with hearing(database, mosquitto.port) as host, speaking(mosquitto.port) as node:
        wait_until(lambda: host.source.lives[Life.LIVE] == 1, what="birth")
        tell(node, told(5))
        wait_until(lambda: good(superuser) == celsius(told(5)), what="storing")
        node.close()
        wait_until(lambda: (-1.0, 2) in [(value, quality) for _, value, quality in samples(superuser)], what="stale")
    assert host.source.rebirths == 0


def test_unbound_metrics_are_proposed_and_their_samples_released_when_bound(
    database: Database, site: int, plant: dict[str, int], superuser: Connection, mosquitto: RunningBroker
) -> None:
    with hearing(database, mosquitto.port) as host, speaking(mosquitto.port) as node:
        wait_until(lambda: host.source.lives[Life.LIVE] == 1, what="birth")
        node.tell(NODE, [Told("load", START_US, 40.0)])

        def proposed() -> list[tuple[object, ...]]:
            return superuser.execute("select source, tag, unit, data_type from tag_proposals").fetchall()

        wait_until(lambda: proposed() == [("n1", "load", "%", "INT32")], what="proposing")
        waiting = "select count(*) from quarantine where reason = 'unknown_tag' and tag = 'load' and settled_at is null"
        wait_until(lambda: superuser.execute(waiting).fetchone() not in (None, (0,)), what="waiting")
        with database.tx(site_id=site) as conn:
            wanted = [proposals.edited(each, asset_code="P-1") for each in proposals.listed(conn, source="n1")]
            assert set(proposals.accept(conn, wanted, create_assets=True).signals) == {"load"}
        host.pipeline.release_wanted.set()
        wait_until(lambda: (START_US, 40.0) in good(superuser), what="releasing")
        state_of = "select state, kind from source_status where source = 'n1'"
        wait_until(lambda: superuser.execute(state_of).fetchone() == ("connected", "sparkplug"), what="state")


def test_a_node_that_vanishes_counts_as_lost(
    database: Database, plant: dict[str, int], superuser: Connection, mosquitto: RunningBroker
) -> None:
    with hearing(database, mosquitto.port) as host, speaking(mosquitto.port) as node:
        wait_until(lambda: host.source.lives[Life.LIVE] == 1, what="birth")
        tell(node, told(1))
        wait_until(lambda: len(good(superuser)) == 1, what="storing")
        node.close()
        state_of = "select state from source_status where source = 'n1'"
        wait_until(lambda: superuser.execute(state_of).fetchone() == ("lost",), what="the state lost")


def test_a_host_that_comes_late_asks_for_births_and_loses_nothing_that_waits(
    database: Database, plant: dict[str, int], superuser: Connection, mosquitto: RunningBroker
) -> None:
    with speaking(mosquitto.port) as node:
        wait_until(lambda: node.is_heard, what="the node's birth")
        with hearing(database, mosquitto.port) as host:
            tell(node, told(1))  # by alias: nobody knows it yet
            wait_until(lambda: host.source.lives[Life.LIVE] == 1, what="rebirth")
            tell(node, told(3))
            wait_until(lambda: set(good(superuser)) >= set(celsius(told(3))), what="storing")
            assert host.source.rebirths == 1
            assert node.births == 2


def test_what_was_told_in_an_outage_comes_as_history(
    database: Database, plant: dict[str, int], superuser: Connection, mosquitto: RunningBroker, tmp_path: Path
) -> None:
    with hearing(database, mosquitto.port) as host:
        node = Node(Voice("plant", "n1", TAGS), Broker("127.0.0.1", mosquitto.port), folder=tmp_path)
        tell(node, told(700, start_us=START_US - 20 * 365 * 86_400 * SECOND))  # too old for the live lane
        node.start()
        try:
            wait_until(lambda: len(good(superuser)) >= 700, what="storing")
        finally:
            node.close()
        assert host.source.rebirths == 0
    assert Voice("plant", "n1", TAGS).bd_seq == 0
    assert (tmp_path / "n1.bdseq").read_text() == "1"


def test_a_node_that_waits_for_its_host_is_silent_until_it_comes_and_after_it_went(
    database: Database, plant: dict[str, int], superuser: Connection, mosquitto: RunningBroker
) -> None:
    with speaking(mosquitto.port, wait_for="millwright") as node:
        wait_until(node.link.connected.is_set, what="connecting")
        assert not node.is_heard
        tell(node, told(2))
        with hearing(database, mosquitto.port):
            wait_until(lambda: set(good(superuser)) >= set(celsius(told(2))), what="storing")
        wait_until(lambda: not node.is_heard, what="falling silent")


def test_state_is_retained_and_its_will_has_the_same_time(
    database: Database, plant: dict[str, int], mosquitto: RunningBroker
) -> None:
    heard: list[tuple[bool, bool, int]] = []

    def listen(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        said = json.loads(message.payload)
        heard.append((said["online"], message.retain, said["timestamp"]))

    with publisher(mosquitto.port, user="watcher") as client:
        client.on_message = listen
        with hearing(database, mosquitto.port) as host:
            wait_until(lambda: host.source.link.connected.is_set(), what="connecting")
            client.subscribe(topics.state("millwright"), qos=1)
            wait_until(lambda: (True, True) in [each[:2] for each in heard], what="a retained birth")
            online_ms = heard[-1][2]
            sock = host.source.link
            assert sock._will is not None
            assert host.source._since_ms == online_ms
            client.publish(topics.state("millwright"), state.Presence(False, 1).encode(), qos=1, retain=True)
            wait_until(lambda: heard[-1] == (True, False, online_ms), what="saying it again")
        wait_until(lambda: heard[-1][0] is False, what="a death before leaving")
        assert heard[-1][2] > online_ms


def test_a_foreign_group_is_dropped_and_not_asked(
    database: Database, plant: dict[str, int], superuser: Connection, mosquitto: RunningBroker
) -> None:
    with hearing(database, mosquitto.port) as host, publisher(mosquitto.port) as client:
        wait_until(lambda: host._sites is not None, what="knowing the sites")
        data = codec.encode(Payload(START_US, 3, (Metric(alias=1, field="double_value", value=1.0),)))
        client.publish("spBv1.0/elsewhere/NDATA/n9", data, qos=1).wait_for_publish(5)
        client.publish("spBv1.0/plant/NDATA/n1", data, qos=1).wait_for_publish(5)
        wait_until(lambda: host.source.rebirths == 1, what="asking ours")
        assert host.source.lives[Life.UNKNOWN] == 1


def test_a_further_broker_is_one_source(mosquitto: RunningBroker, tmp_path: Path) -> None:
    states: list[str] = []
    place = Place(
        "plant",
        "gw",
        "hall-2",
        f"mqtt://127.0.0.1:{mosquitto.port}",
        lambda: START_US,
        lambda s, _: states.append(s),
        folder=tmp_path,
    )
    inbox, stop = Inbox(most_messages=100), threading.Event()
    made = source.create(place, source.options({"group": "hall", "host_id": "gw"}))
    thread = threading.Thread(target=made.run, args=(inbox, stop))
    thread.start()
    try:
        wait_until(lambda: made.connected, what="connecting")
        with speaking(mosquitto.port, group="hall") as node:
            wait_until(lambda: node.is_heard, what="birth")
            tell(node, told(1))
            found = [each for _ in range(5) for each in inbox.take(most_bytes=10_000, within_s=1.0)]
    finally:
        stop.set()
        thread.join(20)
    assert {(each.site, each.source, each.kind, str(each.origin)) for each in found} == {
        ("plant", "hall-2", "sparkplug", "configured")
    }
    heard = {r.tag for each in found for r in each.content.readings}  # type: ignore[union-attr]
    assert {"n1/load", "n1/P1/temp"} <= heard
    assert states[:1] == ["connected"]


def test_the_ingest_process_hears_sparkplug(
    database: Database, plant: dict[str, int], superuser: Connection, mosquitto: RunningBroker, tmp_path: Path
) -> None:
    log = tmp_path / "ingest.log"
    with running_ingest(database, mosquitto.port, log), speaking(mosquitto.port, wait_for="millwright") as node:
        wait_until(lambda: node.is_heard, what="hearing of the host")
        tell(node, told(3))
        wait_until(lambda: set(good(superuser)) >= set(celsius(told(3))), what="storing")
        node.close()
        state_of = "select state from source_status where source = 'n1'"
        wait_until(lambda: superuser.execute(state_of).fetchone() == ("lost",), what="the state lost")
        time.sleep(3.0)  # counts that come later do not call it heard
        assert superuser.execute(state_of).fetchone() == ("lost",)


def test_kill_9_of_ingest_loses_and_doubles_nothing_of_a_node_that_waits_for_its_host(
    database: Database, plant: dict[str, int], superuser: Connection, mosquitto: RunningBroker, tmp_path: Path
) -> None:
    log, chance, over = tmp_path / "ingest.log", random.Random(5), threading.Event()
    ledger: list[tuple[int, float]] = []

    def speak(node: Node) -> None:
        while not over.wait(0.01):
            ledger.append((START_US + len(ledger) * SECOND, 32.0 + 9 * (len(ledger) % 20)))
            tell(node, ledger[-1:])

    process = start_ingest(database, mosquitto.port, log)
    try:
        with speaking(mosquitto.port, wait_for="millwright") as node:
            speaker = threading.Thread(target=speak, args=(node,))
            speaker.start()
            for _ in range(4):
                seen = len(good(superuser))
                wait_until(lambda: len(good(superuser)) > seen, within_s=60, what="storing")  # noqa: B023
                time.sleep(chance.uniform(0.0, 0.5))
                process.kill()
                process.wait(10)
                process = start_ingest(database, mosquitto.port, log)
            over.set()
            speaker.join(10)
            wait_until(lambda: len(good(superuser)) >= len(ledger), within_s=60, what="the rest")
            node.close()
        assert good(superuser) == celsius(ledger)
    finally:
        over.set()
        stop_process(process)


def test_what_waits_at_the_broker_during_a_restart_is_read_by_the_births_remembered(
    database: Database, plant: dict[str, int], superuser: Connection, mosquitto: RunningBroker, tmp_path: Path
) -> None:
    """A node that publishes data with QoS 1, by alias: what came while nobody listened is stored, not quarantined."""
    voice = Voice("plant", "n1", TAGS)
    at_us = START_US

    def say(client: mqtt.Client, said: list[tuple[str, bytes]]) -> None:
        for topic, payload in said:
            client.publish(topic, payload, qos=1).wait_for_publish(5)

    def answer(client: mqtt.Client, _data: object, _message: mqtt.MQTTMessage) -> None:
        nonlocal at_us
        at_us += 60 * SECOND
        for topic, payload in voice.birth(at_us):
            client.publish(topic, payload, qos=1)

    with publisher(mosquitto.port, user="n1") as client:
        client.on_message = answer
        client.subscribe(topics.command("plant", "n1"), qos=1)
        with hearing(database, mosquitto.port, folder=tmp_path / "births") as host:
            say(client, voice.birth(at_us))
            say(client, [voice.data("P1", [Told("temp", at_us + SECOND, 50.0)], at_us + SECOND)])
            wait_until(lambda: len(good(superuser)) == 1, what="storing")
            assert host.source.rebirths == 0
        later = at_us + 2 * SECOND
        say(client, [voice.data("P1", [Told("temp", later, 59.0)], later)])
        with hearing(database, mosquitto.port, folder=tmp_path / "births"):
            wait_until(lambda: (later, 15.0) in good(superuser), what="reading what waited")
    lost = superuser.execute("select count(*) from quarantine where reason = 'no_birth'").fetchone()
    assert lost == (0,)


def test_a_hole_in_the_sequence_is_written_down_as_a_gap(
    database: Database, plant: dict[str, int], superuser: Connection, mosquitto: RunningBroker
) -> None:
    with hearing(database, mosquitto.port) as host, speaking(mosquitto.port) as node:
        wait_until(lambda: host.source.lives[Life.LIVE] == 1, what="birth")
        tell(node, told(1))
        wait_until(lambda: len(good(superuser)) == 1, what="storing")
        node.voice.data("P1", [Told("temp", START_US, 1.0)], START_US)  # made and never sent
        tell(node, told(2))
        wait_until(lambda: node.births == 2, what="rebirth")
        gaps = "select source, tags, fill from source_gaps"
        wait_until(lambda: superuser.execute(gaps).fetchall() == [("n1", 1, "marked")], what="the gap")
        assert set(good(superuser)) >= set(celsius(told(2)))


def test_a_password_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    place = Place("plant", "gw", "x", f"mqtt://127.0.0.1:{reserve()}", lambda: 0, folder=tmp_path)
    with pytest.raises(source.SourceConfig, match="password_file"):
        source.create(place, source.options({"password_file": "missing"}))


@pytest.mark.parametrize(
    "table", [{"gruop": "x"}, {"group": "a/b"}, {"rebirth_s": 0}, {"rebirth_s": True}, {"host_id": ""}, {"hold_s": "5"}]
)
def test_wrong_options_are_refused(table: dict[str, object]) -> None:
    with pytest.raises(source.SourceConfig):
        source.options(table)


def test_the_source_has_no_way_to_write_to_a_controller() -> None:
    """Every topic that the source sends to is its own STATE or a node's NCMD, and the NCMD can only be a rebirth."""
    sent: list[tuple[str, bytes]] = []
    made = SparkplugSource(host="127.0.0.1", port=1, user=None, password=None, client_id="t", now_us=lambda: START_US)
    made.link.send = lambda topic, payload, **_: sent.append((topic, payload))  # type: ignore[method-assign, misc]
    made._emit = Inbox(most_messages=10_000)
    for verb in ("NBIRTH", "NDATA", "DBIRTH/", "DDATA/", "NDEATH", "DDEATH/", "NCMD", "DCMD/"):
        for seq in (None, 0, 9):
            name, device = verb.rstrip("/"), "/d" if verb.endswith("/") else ""
            payload = codec.encode(
                Payload(START_US, seq, (codec.metric("Node Control/Reboot", DataType.BOOLEAN, True),))
            )
            message = mqtt.MQTTMessage(topic=f"spBv1.0/plant/{name}/n{seq}{device}".encode())
            message.payload = payload
            made._heard(message, lambda: None)
    made._will()
    made._say_online()
    over = threading.Event()
    over.set()
    made.link.run(over)
    assert {topic.split("/")[2] for topic, _ in sent} == {"NCMD", "millwright"}
    for topic, payload in sent:
        if "/NCMD/" in topic:
            (metric,) = codec.decode(payload).metrics
            assert (metric.name, metric.value) == ("Node Control/Rebirth", True)
        else:
            assert topic == "spBv1.0/STATE/millwright"


def test_a_gateway_hears_sparkplug_and_sends_it_on(
    database: Database, site: int, superuser: Connection, mosquitto: RunningBroker, tmp_path: Path
) -> None:
    with database.tx(site_id=site) as conn:
        register_device(conn, "gw", secret_hash="x")
        spec = MachineSpec("P-1", "Pump", "pump", signals=[SignalSpec("temp", "temperature", "°C", "gw", "n1/P1/temp")])
        ensure_machine(conn, spec)
    (tmp_path / "gateway.toml").write_text(
        f"""
[gateway]
site = "plant"
device = "gw"
linger_s = 0.05
[broker]
host = "127.0.0.1"
port = {mosquitto.port}
[[sources]]
kind = "sparkplug"
name = "hall"
url = "mqtt://127.0.0.1:{mosquitto.port}"
group = "hall-2"
host_id = "gw"
"""
    )
    log, stop = tmp_path / "ingest.log", threading.Event()
    made = gateway.Gateway(gateway.check(tmp_path / "gateway.toml"))
    thread = threading.Thread(target=made.run, args=(stop,))
    with running_ingest(database, mosquitto.port, log):
        thread.start()
        try:
            with speaking(mosquitto.port, group="hall-2", wait_for="gw") as node:
                wait_until(lambda: node.is_heard, what="hearing of the host")
                tell(node, told(3))
                wait_until(lambda: set(good(superuser)) >= set(celsius(told(3))), what="storing")
        finally:
            stop.set()
            thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("kind", [Kind.MOSQUITTO, Kind.AMQTT])
def test_the_managed_broker_lets_node_and_host_through_and_nobody_else(kind: Kind, tmp_path: Path) -> None:
    """Under the rules of the instance's own broker: births, data, rebirth and STATE pass; a stranger does not."""
    if kind is Kind.MOSQUITTO and choose(Kind.AUTO)[0] is not Kind.MOSQUITTO:
        missing("mosquitto", "Install it: apt-get install mosquitto")
    secrets = load_or_create(tmp_path)
    users = [("n1", hash_password("one")), ("n2", hash_password("two"))]
    broker = ManagedBroker(tmp_path, secrets, port=reserve(), kind=kind, users=users)
    broker.start()
    inbox, stop = Inbox(most_messages=1_000), threading.Event()
    host = SparkplugSource(
        host="127.0.0.1",
        port=broker.port,
        user=INGEST,
        password=secrets.mqtt_ingest,
        client_id="host",
        now_us=lambda: START_US,
    )
    thread = threading.Thread(target=host.run, args=(inbox, stop))
    thread.start()
    address = Broker("127.0.0.1", broker.port, "n1", "one")
    node = Node(Voice("plant", "n1", TAGS), address, wait_for="millwright")
    stranger = Node(Voice("plant", "n1", TAGS), Broker("127.0.0.1", broker.port, "n2", "two"))
    try:
        node.start()
        wait_until(lambda: host.lives[Life.LIVE] == 1, what="a birth")
        host.link.send(topics.command("plant", "n1"), state.rebirth(START_US), qos=0)
        wait_until(lambda: node.births == 2, what="a rebirth")
        tell(node, told(1))
        found: list[tuple[str, float]] = []

        def heard() -> bool:
            for each in inbox.take(most_bytes=1 << 20, within_s=0.1):
                found.extend((r.tag, v) for r in each.content.readings for v in r.values.tolist())  # type: ignore[union-attr]
            return ("P1/temp", 50.0) in found

        wait_until(heard, what="data")
        before = host._host.counts.messages
        stranger.start()
        wait_until(lambda: stranger.is_heard or bool(stranger.link.trouble), what="the stranger's birth")
        stranger.tell("P1", [Told("temp", START_US, 999.0)])
        tell(node, told(1, start_us=START_US + SECOND))
        wait_until(lambda: host._host.counts.messages > before, what="the node's own")
        heard()
        assert ("P1/temp", 999.0) not in found
    finally:
        node.close()
        stranger.close()
        stop.set()
        thread.join(20)
        broker.destroy()
