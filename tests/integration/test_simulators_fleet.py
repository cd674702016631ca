"""The device fleet against a real broker and a small ingest that keeps batches and answers with receipts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from core.ports import reserve
from simulators import ledger
from simulators.fleet import Fleet, HistoryStalled, Member
from simulators.floor import FloorRadio
from simulators.ledger import LedgerWriter
from simulators.link import Broker
from simulators.machines.faults import SensorFault, SensorKind
from simulators.plantclock import PlantClock, started_at
from simulators.plants import demo, journey
from simulators.spec import DAY_US, HOUR_US
from simulators.wire import Command
from tests.conftest import missing, wait_for_port

LIVE_US = 1_767_225_600_000_000


class Mosquitto:
    """A broker of the test's own that can be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            missing("mosquitto", "Install it: apt-get install mosquitto")
        self.port = reserve()
        self._config = folder / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        self._config.write_text(f"{user}listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
        self._program = program
        self.start()

    def start(self) -> None:
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen([str(self._program), "-c", str(self._config)], stdout=quiet, stderr=quiet)
        wait_for_port(self.port)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    @property
    def address(self) -> Broker:
        return Broker("127.0.0.1", self.port)


class SmallIngest:
    """Keeps batches by (device, epoch, seq) and answers each with the receipt that ingest would send."""

    def __init__(self, broker: Broker, *, ignore: Callable[[int, int], bool] = lambda _seq, _time: False) -> None:
        self.stored: dict[tuple[str, str, int], dict[str, Any]] = {}
        self.heard: dict[tuple[str, str, int], int] = {}
        self._ignore = ignore
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="small-ingest", clean_session=False)
        self._client.on_connect = lambda client, *_: client.subscribe("mw/v1/+/+/b", qos=1)
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        device = message.topic.split("/")[3]
        body = json.loads(message.payload)
        key = (device, body["epoch"], body["seq"])
        self.heard[key] = self.heard.get(key, 0) + 1
        if self._ignore(body["seq"], self.heard[key]):
            return
        self.stored.setdefault(key, body)
        seqs = {seq for d, e, seq in self.stored if (d, e) == key[:2]}
        gaps = [[n, n] for n in range(1, max(seqs)) if n not in seqs]
        receipt = {"epoch": key[1], "seq": max(seqs), "gaps": gaps}
        self._client.publish(f"mw/v1/plant/{device}/receipt", json.dumps(receipt), qos=1)

    def triples(self) -> set[tuple[str, int, float]]:
        return {
            (s["s"], s["t0"] + dt, v)
            for body in self.stored.values()
            for s in body["d"]
            for dt, v in zip(s["dt"], s["v"], strict=True)
        }

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def mosquitto_of_mine(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    yield broker
    broker.kill()


def fleet(
    broker: Broker, clock: PlantClock, book: LedgerWriter | None, *, history_days: float = 0.0, resend_s: float = 1.0
) -> Fleet:
    """Two machines on devices of their own, two behind one gateway."""
    specs = demo(1).machines[:4]
    start_us = LIVE_US - round(history_days * DAY_US)
    members = []
    for number, spec in enumerate(specs):
        machine = spec.build(LIVE_US, start_us=start_us)
        if number == 0:
            machine.sensor_faults.append(SensorFault("flow", SensorKind.SILENT, LIVE_US))
        members.append(Member(machine, spec.device if number < 2 else "gw-1"))
    return Fleet(members, broker, site="plant", passwords={}, clock=clock, ledger=book, resend_s=resend_s)


def wait(true: Callable[[], bool], *, within_s: float = 15.0, step: Callable[[], None] = lambda: None) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "timeout"
        step()
        time.sleep(0.05)


def test_history_then_live_and_every_sample_arrives_once(mosquitto_of_mine: Mosquitto, tmp_path: Path) -> None:
    # every third message is lost on its first way, as if ingest had been killed before its commit
    ingest = SmallIngest(mosquitto_of_mine.address, ignore=lambda seq, time: seq % 3 == 0 and time == 1)
    clock = started_at(LIVE_US, factor=3600.0)
    with LedgerWriter(tmp_path / "ledger.jsonl") as book:
        plant = fleet(mosquitto_of_mine.address, clock, book, history_days=2.0)
        plant.start()
        plant.history(LIVE_US)
        assert plant.under_way == 0
        assert {body.get("hist") for body in ingest.stored.values()} == {True}
        stop = threading.Event()
        threading.Timer(3.0, stop.set).start()
        plant.run(stop, tick_s=0.25)
        assert plant.drain(20.0)
        plant.close()
    ingest.close()
    published = ledger.read(tmp_path / "ledger.jsonl")
    assert ingest.triples() == published.triples()
    assert len(published) == len(published.triples()) == plant.samples
    assert max(ingest.heard.values()) >= 2
    live = [body for body in ingest.stored.values() if "hist" not in body]
    assert min(s["t0"] for body in live for s in body["d"]) > LIVE_US
    assert {device for device, _, _ in ingest.stored} == {"P-101", "P-102", "gw-1"}
    at_us, _ = published.of("P-102/flow")
    assert (at_us[1:] - at_us[:-1] == 60_000_000).all() and at_us[-1] > LIVE_US + 2 * HOUR_US
    assert published.of("P-101/flow")[0].max() < LIVE_US


def test_nothing_is_lost_when_the_broker_is_killed(mosquitto_of_mine: Mosquitto, tmp_path: Path) -> None:
    ingest = SmallIngest(mosquitto_of_mine.address)
    with LedgerWriter(tmp_path / "ledger.jsonl") as book:
        plant = fleet(mosquitto_of_mine.address, started_at(LIVE_US, factor=3600.0), book)
        plant.start()
        wait(lambda: len(ingest.stored) >= 8, step=plant.tick)
        mosquitto_of_mine.kill()
        for _ in range(10):
            plant.tick()
            time.sleep(0.1)
        waiting = plant.under_way
        mosquitto_of_mine.start()
        assert waiting > 0
        seen = len(ingest.stored)
        wait(lambda: len(ingest.stored) >= seen + waiting + 4, step=plant.tick, within_s=30.0)
        assert plant.drain(30.0)
        plant.close()
    ingest.close()
    assert ingest.triples() == ledger.read(tmp_path / "ledger.jsonl").triples()


def test_the_window_is_bounded_while_nobody_answers(mosquitto_of_mine: Mosquitto) -> None:
    plant = fleet(mosquitto_of_mine.address, started_at(LIVE_US, factor=1.0), None, history_days=60.0)
    plant.start()
    with pytest.raises(HistoryStalled):
        plant.history(LIVE_US, stalled_s=2.0)
    assert plant.under_way == 50
    ingest = SmallIngest(mosquitto_of_mine.address)
    plant.history(LIVE_US)
    assert plant.under_way == 0
    assert len({t for t in ingest.triples() if t[0] == "P-102/flow"}) == 60 * 1440 + 1
    plant.close()
    ingest.close()


def test_hands_reach_the_machine_by_radio(mosquitto_of_mine: Mosquitto) -> None:
    clock = started_at(LIVE_US + 20 * HOUR_US, factor=600.0)
    plant = fleet(mosquitto_of_mine.address, clock, None)
    radio = FloorRadio(mosquitto_of_mine.address, "plant", password=None)
    radio.start()
    plant.start()
    machines = {m.code: m.machine for m in plant.members}
    for link in plant.links.values():
        assert link.wait_connected(10.0)
    # a subscription is in force after its SUBACK: say it until it is heard
    wait(lambda: bool(machines["P-101"].log), step=lambda: (radio.send("P-101", Command("sham")), plant.tick())[1])
    radio.send("M-202", Command("repair"))
    radio.send("P-101", Command("repair", "sensor"))
    wait(lambda: bool(machines["M-202"].log) and machines["P-101"].log[-1][1] != "sham", step=plant.tick)
    assert [what for _, what in machines["M-202"].log] == ["repair machine"]
    assert machines["P-101"].log[-1][1] == "repair sensor"
    at_us = machines["M-202"].log[0][0]
    assert 0 < at_us - LIVE_US - 20 * HOUR_US < 2 * HOUR_US * 3
    assert machines["P-101"].sensor_faults[-1].end_us < LIVE_US + DAY_US * 2
    radio.close()
    plant.close()


def test_a_fleet_needs_little_of_a_core(mosquitto_of_mine: Mosquitto, tmp_path: Path) -> None:
    """24 machines at factor 3600: less than 15 % of one core, links and ledger included."""
    ingest = SmallIngest(mosquitto_of_mine.address)
    clock = started_at(LIVE_US, factor=3600.0)
    members = [Member(spec.build(LIVE_US, start_us=LIVE_US), spec.device) for spec in journey(1).machines]
    with LedgerWriter(tmp_path / "ledger.jsonl") as book:
        plant = Fleet(members, mosquitto_of_mine.address, site="plant", passwords={}, clock=clock, ledger=book)
        plant.start()
        plant.tick()  # measures the vibration table once
        stop = threading.Event()
        threading.Timer(5.0, stop.set).start()
        used, rows = time.thread_time(), plant.samples
        plant.run(stop)
        used = time.thread_time() - used
        assert plant.drain(20.0)
        plant.close()
    ingest.close()
    assert plant.samples - rows > 24 * 60 * 4 * 6
    assert used / 5.0 < 0.15
