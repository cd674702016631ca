"""What a gateway says on the wire: signed batches, waveforms, its health; how fast, and how often again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from paho.mqtt import client as mqtt

from edge import config, envelope, gateway
from edge.codecs import columns, health, wave
from edge.receipts import Receipt
from edge.sender import Sender
from edge.spool import Batch, Spool
from plant.model import Wave
from tests.conftest import RunningBroker, missing
from tests.integration.ingest_kit import ROOT, START_US, publisher, wait_until

BASE = "mw/v1/plant/gw"
KEY = envelope.key_of("secret", site="plant", device="gw")
FILE = """
[gateway]
site = "plant"
device = "gw"
linger_s = 0.05
drain_samples_s = {drain}

[broker]
host = "127.0.0.1"
port = {port}
{more}

[[sources]]
kind = "mqtt"
name = "floor"
url = "mqtt://127.0.0.1:{port}"
"""


class Ear:
    """Everything that a gateway says; ``answer`` lets it have a receipt for all of it."""

    def __init__(self, client: mqtt.Client) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._client = client
        client.on_message = lambda _client, _data, message: self.heard.append((message.topic, bytes(message.payload)))
        client.subscribe(f"{BASE}/#", 1)

    def of(self, leaf: str) -> list[bytes]:
        return [payload for topic, payload in list(self.heard) if topic == f"{BASE}/{leaf}"]

    def answer(self, receipt: Receipt) -> None:
        self._client.publish(f"{BASE}/receipt", receipt.encode(), qos=1)


@contextmanager
def listening(port: int) -> Iterator[Ear]:
    with publisher(port, user="ear") as client:
        yield Ear(client)


@contextmanager
def running(file: Path) -> Iterator[gateway.Gateway]:
    """A gateway in a thread of its own, from when it hears until it has ended in order."""
    found, stop = gateway.Gateway(config.read(file)), threading.Event()
    thread = threading.Thread(target=found.run, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: found.sender.link.connected.is_set(), what="the broker")
        wait_until(lambda: getattr(found.ears["floor"].source, "connected", False), what="the floor")
        time.sleep(0.2)  # until it has subscribed
        yield found
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def written(folder: Path, port: int, *, drain: int = 50_000, more: str = "") -> Path:
    file = folder / "gateway.toml"
    file.write_text(FILE.format(port=port, drain=drain, more=more))
    return file


def test_samples_and_waves_go_out_signed_and_are_let_go_by_their_receipt(
    mosquitto: RunningBroker, tmp_path: Path
) -> None:
    samples = np.arange(256, dtype=np.int16)
    sent = Wave("dev", "vib", START_US, 1_000.0, samples, 0.5, "mm/s")
    file = written(tmp_path, mosquitto.port, more='password = "secret"')
    with listening(mosquitto.port) as ear, running(file) as found, publisher(mosquitto.port, user="dev") as device:
        device.publish("mw/v1/plant/dev/s/temp", json.dumps({"v": 21.5, "t_us": START_US}), qos=1)
        device.publish("mw/v1/plant/dev/w/vib", wave.encode(sent), qos=1)
        wait_until(lambda: bool(ear.of("g") and ear.of("w/dev/vib")), what="batch and wave")
        sealed = ear.of("g")[0]
        batch = columns.decode(envelope.open(KEY, f"{BASE}/g", sealed), source="gw", tag=None, heard_us=0)
        assert [(each.tag, each.at_us.tolist(), each.values.tolist()) for each in batch.readings] == [
            ("dev/temp", [START_US], [21.5])
        ]
        payload = envelope.open(KEY, f"{BASE}/w/dev/vib", ear.of("w/dev/vib")[0])
        heard = wave.decode(payload, source="gw", tag="dev/vib", heard_us=0)
        assert {batch.seq, heard.seq} == {1, 2}
        assert (heard.waves[0].tag, heard.waves[0].unit, heard.waves[0].scale) == ("dev/vib", "mm/s", 0.5)
        np.testing.assert_array_equal(heard.waves[0].samples, samples)
        assert len(found.spool) == 2
        ear.answer(Receipt(found.spool.epoch, 2, ()))
        wait_until(lambda: len(found.spool) == 0, what="letting go")


def test_it_says_how_it_is_doing(mosquitto: RunningBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "HEALTH_EVERY_S", 0.2)
    with (
        listening(mosquitto.port) as ear,
        running(written(tmp_path, mosquitto.port)) as found,
        publisher(mosquitto.port, user="dev") as device,
    ):
        for number in range(5):
            device.publish("mw/v1/plant/dev/s/temp", json.dumps({"v": number, "t_us": START_US + number}), qos=1)
        device.publish("mw/v1/plant/dev/s/temp", b"{}", qos=1)
        wait_until(lambda: found.samples == 5 and found.spool.refused == 1, what="hearing")
        count = len(ear.of("health"))
        wait_until(lambda: len(ear.of("health")) > count + 1, what="its health")
        said = health.read(ear.of("health")[-1])
    assert (said.epoch, said.seq, said.samples, said.refused) == (found.spool.epoch, found.spool.last, 6, 1)
    assert said.waiting == found.spool.last
    assert [(each.name, each.kind, each.state) for each in said.sources] == [("floor", "mqtt", "connected")]
    assert abs(said.sources[0].last_heard_us - time.time_ns() // 1000) < 60_000_000


def test_a_backlog_goes_out_in_order_and_no_faster_than_asked_for(mosquitto: RunningBroker, tmp_path: Path) -> None:
    file = written(tmp_path, mosquitto.port, drain=2_000)
    spool = Spool(config.read(file).spool, most_bytes=10**9)
    for _ in range(100):
        spool.put(lambda _epoch, seq: str(seq).encode(), samples=100)
    spool.close()
    with listening(mosquitto.port) as ear:
        began = time.monotonic()
        with running(file) as found:
            wait_until(lambda: len(ear.of("b")) >= 60, within_s=20, what="a part of the backlog")
            took = time.monotonic() - began
            assert took > (60 * 100 - 2_000) / 2_000 * 0.9  # a second's worth goes at once
            ear.answer(Receipt(found.spool.epoch, 50, ()))
            wait_until(lambda: len(ear.of("b")) >= 100, within_s=20, what="the rest")
        assert [int(each) for each in ear.of("b")[:100]] == list(range(1, 101))


def test_without_any_receipt_only_the_oldest_is_sent_again_and_a_gap_at_once(mosquitto: RunningBroker) -> None:
    durable: list[int] = []
    sender = Sender(
        host="127.0.0.1",
        port=mosquitto.port,
        user=None,
        password=None,
        site="plant",
        device="gw",
        epoch="e",
        window=50,
        on_durable=durable.extend,
        resend_s=0.2,
    )
    with listening(mosquitto.port) as ear:
        sender.start()
        wait_until(sender.link.connected.is_set, what="the broker")
        for seq in range(1, 21):
            sender.send(Batch(seq, 1, str(seq).encode()))
        turn_for(sender, 2.0)
        copies = [int(each) for each in ear.of("b")]
        assert copies[:20] == list(range(1, 21))
        assert len(copies) < 20 + 20 + 8  # the first round again (nothing said yet that ingest is away), then probes
        assert set(copies[-2:]) == {1}
        ear.answer(Receipt("e", 20, ((7, 8),)))
        wait_until(lambda: sender.unsure == 2, what="the receipt")
        count = len(ear.of("b"))
        turn_for(sender, 1.0)
        assert {7, 8} <= {int(each) for each in ear.of("b")[count:]}
        sender.stop()
    assert sorted(durable) == [*range(1, 7), *range(9, 21)]


def turn_for(sender: Sender, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sender.turn()
        time.sleep(0.02)


PUTS = """
import sys, time
from pathlib import Path
from edge.spool import Spool, SpoolBroken
spool, told, failures = Spool(Path(sys.argv[1]), most_bytes=10**9), [], 0
while len(told) < 60:
    try:
        told.append(spool.put(lambda epoch, seq: str(len(told)).encode(), samples=1))
    except SpoolBroken:
        failures += 1
kept = {int(batch.payload) for batch in spool.after(0, most=10**6)}
print(failures, sorted(kept) == list(range(60)))
"""


def test_a_disk_that_fails_for_a_while_loses_nothing(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        missing("strace", "Install it: apt-get install strace")
    command = ["strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]
    command += ["-e", "inject=fdatasync,fsync:error=EIO:when=20..32", sys.executable, "-c", PUTS, str(tmp_path / "s")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    if "ptrace" in done.stderr or "unexpected inject" in done.stderr:
        pytest.skip(f"strace cannot inject faults here: {done.stderr.strip()[:200]}")
    failures, whole = done.stdout.split()
    assert int(failures) > 0, done.stderr[-2000:]
    assert whole == "True"
