"""Sparkplug B with an implementation not ours: its edge node before our host, our edge node before its client."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from core.database import Database
from edge.codecs.sparkplug import DataType
from edge.sparkplug.node import Broker, Node
from edge.sparkplug.outcomes import Life
from edge.sparkplug.voice import NODE, Tag, Told, Voice
from plant.assets import MachineSpec, SignalSpec, ensure_machine, register_device, signals
from plant.model import Quality
from tests.conftest import RunningBroker, missing
from tests.integration.ingest_kit import NOW_US, wait_until
from tests.integration.test_sparkplug import hearing

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-interop/bin/python"
NUMBERS = {"int8": -5.0, "int32": -70_000.0, "int64": -float(1 << 40), "uint16": 60_000.0, "float": 0.5, "double": 1.25}


class Partner:
    """The other implementation in a process of its own, and what it says."""

    def __init__(self, role: str, port: int) -> None:
        if not PYTHON.exists():
            missing(".venv-interop", "Make it: make interop")
        script = Path(__file__).with_name("sparkplug_partner.py")
        self.said: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            [str(PYTHON), str(script), role, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def order(self, line: str) -> None:
        """Give a command and wait until it is carried out."""
        done = self.count("done")
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        wait_until(lambda: self.count("done") > done, what=line)

    def count(self, event: str) -> int:
        return sum(each["event"] == event for each in self.said)

    def kill(self) -> None:
        """Without a word: the broker says the will."""
        self._process.kill()

    def end(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._thread.join(10)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(json.loads(line))


@contextmanager
def partner(role: str, port: int) -> Iterator[Partner]:
    made = Partner(role, port)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def codes(database: Database, site: int) -> dict[int, str]:
    """Every metric of their node bound to a signal of the same code; signal id → tag."""
    tags = [*NUMBERS, "bool", "P1/float"]
    with database.tx(site_id=site) as conn:
        register_device(conn, "n1", secret_hash="x")
        specs = [SignalSpec(tag.replace("/", "-"), "generic", "1", "n1", tag) for tag in tags]
        asset_id = ensure_machine(conn, MachineSpec("M-1", "Machine", "pump", signals=specs))
        return {each.signal_id: each.code.replace("-", "/") for each in signals(conn, asset_id)}


def stored(conn: Connection, codes: dict[int, str], *, quality: Quality = Quality.GOOD) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for signal_id, value in conn.execute(
        "select signal_id, value from samples where quality = %s order by at", (int(quality),)
    ):
        found.setdefault(codes[signal_id], []).append(value)
    return found


def test_their_node_is_heard_by_our_host(
    database: Database, codes: dict[int, str], superuser: Connection, mosquitto: RunningBroker
) -> None:
    with hearing(database, mosquitto.port) as host, partner("node", mosquitto.port) as node:
        wait_until(lambda: host.source.lives[Life.LIVE] == 1, what="their birth")
        born = {**{tag: [value] for tag, value in NUMBERS.items()}, "bool": [1.0], "P1/float": [20.5]}
        wait_until(lambda: stored(superuser, codes) == born, what="the values of the birth")
        node.order('update {"int8": -128, "bool": false, "double": -2.5}')
        node.order('device {"float": 21.5}')
        told = {**born, "int8": [-5.0, -128.0], "bool": [1.0, 0.0], "double": [1.25, -2.5], "P1/float": [20.5, 21.5]}
        wait_until(lambda: stored(superuser, codes) == told, what="data")
        assert host.source.rebirths == 0
        node.kill()
        wait_until(lambda: set(stored(superuser, codes, quality=Quality.BAD)) == set(born), what="the will")
        assert host.source.lives[Life.DEAD] == 1


def test_their_node_hears_our_request_for_rebirth_and_is_followed_into_its_next_session(
    database: Database, codes: dict[int, str], superuser: Connection, mosquitto: RunningBroker
) -> None:
    with partner("node", mosquitto.port) as node:
        node.order('update {"double": 1.5}')
        with hearing(database, mosquitto.port) as host:
            node.order('update {"double": 2.5}')
            wait_until(lambda: node.count("command") > 0, what="our request")
            (command,) = [each for each in node.said if each["event"] == "command"]
            assert command["metrics"] == {"Node Control/Rebirth": True}
            node.order("again")
            wait_until(lambda: host.source.lives[Life.LIVE] == 1, what="the next session")
            node.order('update {"double": 3.5}')
            wait_until(lambda: 3.5 in stored(superuser, codes).get("double", []), what="data of the next session")
            node.order("leave")
            wait_until(lambda: host.source.lives[Life.DEAD] == 1, within_s=30, what="their death")


def test_our_node_is_understood_by_their_client(mosquitto: RunningBroker) -> None:
    at_us = NOW_US - NOW_US % 1000
    tags = {
        NODE: [Tag("load", DataType.INT8, "%"), Tag("on", DataType.BOOLEAN)],
        "P1": [Tag("temp", DataType.FLOAT, "°C"), Tag("count", DataType.INT64)],
    }
    with partner("listen", mosquitto.port) as client:
        wait_until(lambda: client.count("connected") == 1, what="their subscription")
        node = Node(Voice("plant", "n1", tags), Broker("127.0.0.1", mosquitto.port))
        node.tell("P1", [Told("temp", at_us - 1_000_000, 19.5)])  # before anybody hears
        node.start()
        wait_until(lambda: node.is_heard, what="birth")
        node.tell(NODE, [Told("load", at_us, -7), Told("on", at_us, 1)])
        node.tell("P1", [Told("temp", at_us, None), Told("count", at_us, -(1 << 45))])
        node.close()
        wait_until(lambda: any(each.get("verb") == "NDEATH" for each in client.said), what="our death")
    heard = [each for each in client.said if each["event"] == "heard"]
    assert [(each["verb"], each["seq"]) for each in heard] == [
        ("NBIRTH", 0), ("DBIRTH", 1), ("DDATA", 2), ("NDATA", 3), ("DDATA", 4), ("NDEATH", None),
    ]  # fmt: skip
    at_ms = at_us // 1000
    assert heard[0]["metrics"][0][:2] == ["bdSeq", 0]
    assert ["Node Control/Rebirth", False] in [each[:2] for each in heard[0]["metrics"]]
    assert heard[2]["metrics"] == [["temp", 19.5, at_ms - 1000, True]]
    assert heard[3]["metrics"] == [["load", -7, at_ms, False], ["on", True, at_ms, False]]
    assert heard[4]["metrics"] == [["temp", None, at_ms, False], ["count", -(1 << 45), at_ms, False]]
    assert heard[5]["metrics"][0][:2] == ["bdSeq", 0]
