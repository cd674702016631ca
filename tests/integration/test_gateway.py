"""The gateway between a floor's broker and ours: kill -9 of any part, nothing lost, nothing doubled."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import Connection

from core.database import Database
from core.ports import reserve
from edge import gateway
from edge.codecs import columns
from edge.errors import GatewayConfig
from edge.spool import Spool, SpoolBroken
from tests.conftest import RunningBroker, missing, wait_for_port
from tests.integration.ingest_kit import (
    ROOT,
    START_US,
    count,
    make_plant,
    publisher,
    start_ingest,
    stop_process,
    stored,
    wait_until,
)

FILE = """
[gateway]
site = "plant"
device = "gw"
spool = "gateway.spool"
linger_s = 0.05

[broker]
host = "127.0.0.1"
port = {port}

[[sources]]
kind = "mqtt"
name = "floor"
url = "mqtt://127.0.0.1:{floor}"
"""


class Mosquitto:
    """A broker of our own that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            missing("mosquitto", "Install it: apt-get install mosquitto")
        folder.mkdir()
        self.port = reserve()
        self._command = [str(program), "-c", str(folder / "conf")]
        (folder / "conf").write_text(
            f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 100000000\n"
        )
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self.port)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def central(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path / "central")
    yield broker
    broker.kill()


def start_gateway(file: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen([sys.executable, "-m", "edge.gateway", str(file)], cwd=ROOT, stdout=out, stderr=out)


class Floor:
    """A device behind the gateway; its ledger is what the floor's broker took."""

    def __init__(self, port: int, tags: dict[str, int]) -> None:
        self.ledger: set[tuple[int, int, float]] = set()
        self._port, self._tags = port, tags
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self._end.set()
        self._thread.join(30)

    def _run(self) -> None:
        with publisher(self._port, user="dev") as client:
            number = 0
            while not self._end.wait(0.01):
                number += 1
                for tag, signal_id in self._tags.items():
                    at_us = START_US + number * 1_000_000
                    payload = json.dumps({"v": float(number), "t_us": at_us}).encode()
                    client.publish(f"mw/v1/plant/dev/s/{tag.removeprefix('dev/')}", payload, qos=1).wait_for_publish(10)
                    self.ledger.add((signal_id, at_us, float(number)))


@pytest.mark.slow
def test_kill_9_of_gateway_broker_and_ingest_loses_and_doubles_nothing(
    database: Database,
    site: int,
    superuser: Connection,
    mosquitto: RunningBroker,
    central: Mosquitto,
    tmp_path: Path,
) -> None:
    tags = plant_behind_gateway(database, site)
    file, log, ingest_log = tmp_path / "gateway.toml", tmp_path / "gateway.log", tmp_path / "ingest.log"
    file.write_text(FILE.format(port=central.port, floor=mosquitto.port))
    ingest = start_ingest(database, central.port, ingest_log)
    forwarding = start_gateway(file, log)
    wait_until(lambda: log.read_text().count("mqtt.connected") >= 2, within_s=60, what="the gateway's connections")
    floor = Floor(mosquitto.port, tags)
    chance = random.Random(3)
    try:
        for victim in ["gateway", "broker", "ingest", "gateway", "broker", "gateway", "ingest", "gateway"]:
            before = count(superuser, "samples")
            wait_until(lambda: count(superuser, "samples") > before, within_s=90, what="storing")  # noqa: B023
            time.sleep(chance.uniform(0.0, 0.3))
            if victim == "gateway":
                forwarding.kill()
                forwarding.wait(10)
                forwarding = start_gateway(file, log)
            elif victim == "broker":
                central.kill()
                central.start()
            else:
                ingest.kill()
                ingest.wait(10)
                ingest = start_ingest(database, central.port, ingest_log)
    finally:
        floor.end()
    try:
        wait_until(lambda: count(superuser, "samples") >= len(floor.ledger), within_s=90, what="the last sample")
        assert stop_process(forwarding) == 0, log.read_text()[-3000:]
    finally:
        forwarding.kill()
        assert stop_process(ingest) == 0, ingest_log.read_text()[-3000:]
    kept = stored(superuser)
    assert set(kept) == floor.ledger
    assert len(kept) == len(floor.ledger)
    assert len(Spool(tmp_path / "gateway.spool", most_bytes=1)) <= 1  # the last receipt may come after the stop


def plant_behind_gateway(database: Database, site: int) -> dict[str, int]:
    """Tags as the gateway sends them: ``dev/M-0/s0`` …"""
    found = make_plant(database, site, device="gw")
    with database.tx(site_id=site) as conn:
        conn.execute("update bindings set tag = 'dev/' || tag")
    return {f"dev/{tag}": signal_id for tag, signal_id in found.items()}


def test_without_a_broker_everything_waits_in_the_spool(mosquitto: RunningBroker, tmp_path: Path) -> None:
    file, log = tmp_path / "gateway.toml", tmp_path / "gateway.log"
    file.write_text(FILE.format(port=reserve(), floor=mosquitto.port))
    process = start_gateway(file, log)
    wait_until(lambda: "mqtt.connected" in log.read_text(), within_s=60, what="hearing the floor")
    floor = Floor(mosquitto.port, {"dev/t": 1})
    wait_until(lambda: len(floor.ledger) >= 100, what="some samples")
    floor.end()
    time.sleep(0.5)  # longer than the linger
    process.kill()
    process.wait(10)
    spool = Spool(tmp_path / "gateway.spool", most_bytes=10**9)
    found = [sample for batch in spool.after(0, most=10_000) for sample in samples(batch.payload)]
    assert sorted(found) == sorted((at, value) for _, at, value in floor.ledger)


def samples(payload: bytes) -> list[tuple[int, float]]:
    return [
        sample
        for each in columns.decode(payload, source="gw", tag=None, heard_us=0).readings
        for sample in zip(each.at_us.tolist(), each.values.tolist(), strict=True)
    ]


GOOD = FILE.format(port=1883, floor=1884)


def test_check_reads_a_good_file_without_the_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(
        GOOD
        + """
[[sources]]
kind = "opcua"
name = "press-3"
url = "opc.tcp://10.0.0.3:4840/"
allow_none = true
nodes = [{ node_id = "ns=2;s=temp", tag = "P-3/temp" }]
"""
    )
    assert gateway.main(["check", str(file)]) == 0
    assert "2 source(s)" in capsys.readouterr().out
    found = gateway.check(file)
    assert found.spool == tmp_path / "gateway.spool"
    assert not found.spool.exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('site = "plant"', 'site = "a plant"'), "site must be"),
        (('device = "gw"', ""), "device must be"),
        (("linger_s = 0.05", "linger_s = -1"), "linger_s must be"),
        (("linger_s = 0.05", 'linger_s = "soon"'), "linger_s must be"),
        (("linger_s = 0.05", "lingers = 1"), "does not know 'lingers'"),
        (('host = "127.0.0.1"', ""), "host is missing"),
        (("port = 1883", "port = 99999"), "port must be"),
        (("port = 1883", 'password_file = "none"'), "password_file"),
        (("port = 1883", 'ca_file = "none"'), "TLS files cannot be used .*none"),
        (("port = 1883", 'cert_file = "gateway.toml"'), "needs both cert_file and key_file"),
        (("port = 1883", 'tls = false\nca_file = "gateway.toml"'), "ca_file need tls = true"),
        (("port = 1883", "tls = 1"), "tls must be true or false"),
        (("port = 1883", "sign = true"), "sign needs the device's password"),
        (("linger_s = 0.05", "drain_samples_s = 0"), "drain_samples_s must be"),
        (("linger_s = 0.05", "min_free_mb = -1"), "min_free_mb must be"),
        (("linger_s = 0.05", "min_free_mb = 900000000"), "MB are free on its disk, 900,000,009 are needed"),
        (('spool = "gateway.spool"', 'spool = ""'), "spool must name a file"),
        (('spool = "gateway.spool"', 'spool = "gateway.toml"'), "spool names this very file"),
        (('spool = "gateway.spool"', 'spool = "no/where/spool"'), "there is no folder .*where"),
        (("port = 1883", 'password_file = "/dev/null"'), "password_file: /dev/null is empty"),
        (("port = 1883", 'password_file = "none"'), "none cannot be read: No such file"),
        (('kind = "mqtt"', 'kind = "smoke"'), "kind must be one of mqtt, opcua"),
        (('name = "floor"', 'name = "floor"\npassword_file = "none"'), "password_file: .*none cannot be read"),
        (('name = "floor"', 'name = "floor"\ncolour = 3'), "MQTT source does not know 'colour'"),
        (("mqtt://127.0.0.1:1884", "http://127.0.0.1"), "url must read mqtt://HOST:PORT"),
        (('kind = "mqtt"', 'kind = "opcua"'), "nodes"),
        (("[[sources]]", "[[wells]]"), "there is no \\[\\[sources\\]\\]"),
        (("[gateway]", "[gateway"), "is no TOML"),
    ],
)
def test_check_names_every_fault(tmp_path: Path, change: tuple[str, str], why: str) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(GOOD.replace(*change))
    with pytest.raises(GatewayConfig, match=why):
        gateway.check(file)
    assert gateway.main(["check", str(file)]) == 1
    with pytest.raises(GatewayConfig, match="cannot be read"):
        gateway.check(tmp_path / "missing.toml")


def test_a_gateway_waits_for_its_disk_and_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(GOOD.replace("linger_s = 0.05", "min_free_mb = 900000000"))
    monkeypatch.setattr(gateway, "OPEN_AGAIN_S", 0.01)
    monkeypatch.setattr(gateway.log, "configure", lambda: None)  # it would outlive this test, and its streams
    tries: list[str] = []

    class Running:
        def run(self, stop: threading.Event) -> None:
            tries.append("ran")

    def make(found: object) -> Running:
        tries.append("made")
        if len(tries) < 3:
            raise SpoolBroken("9 MB are needed")
        return Running()

    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        assert gateway.main([str(file)], make=make) == 0  # type: ignore[arg-type]
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), handlers, strict=True):
            signal.signal(number, handler)
    assert tries == ["made", "made", "made", "ran"]
    told = capfd.readouterr()
    assert "9 MB are needed" in told.out + told.err
