"""The ingest process behind a real broker: kill -9 at any moment, nothing lost, nothing doubled; and a control that
acks on arrival and must lose, so that the drill is known to be able to fail."""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection, sql

from core.database import Database
from core.embedded import EmbeddedServer
from edge.quota import BYTES_A_MINUTE
from edge.receipts import decode
from tests.conftest import RunningBroker
from tests.integration.ingest_kit import (
    START_US,
    batch_payload,
    count,
    make_plant,
    publisher,
    running_ingest,
    start_ingest,
    stop_process,
    stored,
    wait_until,
)

SECOND = 1_000_000
Rows = set[tuple[int, int, float]]


class Load:
    """Publishes numbered batches and single samples until told to end; ``ledger`` is what the broker took."""

    def __init__(self, port: int, tags: dict[str, int], *, per_s: float) -> None:
        self.ledger: Rows = set()
        self.batches = 0
        self._port, self._tags, self._pause = port, tags, 1.0 / per_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self._end.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        tags = list(self._tags)
        with publisher(self._port) as client:
            while not self._end.wait(self._pause):
                self.batches += 1
                at_us = START_US + 10 * self.batches * SECOND
                values = [float(self.batches * 10 + index) for index in range(5)]
                batch = batch_payload(tags, at_us, values, epoch="load", seq=self.batches)
                client.publish("mw/v1/plant/gw/b", batch, qos=1).wait_for_publish(10)
                single = json.dumps({"v": values[0], "t_us": at_us + 5 * SECOND}).encode()
                client.publish(f"mw/v1/plant/gw/s/{tags[0]}", single, qos=1).wait_for_publish(10)
                self.ledger |= {
                    (self._tags[tag], at_us + i * SECOND, value) for tag in tags for i, value in enumerate(values)
                }
                self.ledger.add((self._tags[tags[0]], at_us + 5 * SECOND, values[0]))


def drill(
    database: Database, superuser: Connection, broker: RunningBroker, tags: dict[str, int], *, kills: int, defect: str
) -> tuple[Rows, list[tuple[int, int, float]]]:
    """Kill ingest ``kills`` times while it stores; returns what was published and what is stored in the end."""
    chance = random.Random(7)
    log = broker.folder / "ingest.log"
    process = start_ingest(database, broker.port, log, defect=defect)
    wait_until(lambda: "mqtt.connected" in log.read_text(), what="connecting")
    load = Load(broker.port, tags, per_s=100)
    try:
        for _ in range(kills):
            before = count(superuser, "message_ledger")
            wait_until(lambda: count(superuser, "message_ledger") > before, within_s=60, what="storing")  # noqa: B023
            time.sleep(chance.uniform(0.0, 0.3))
            process.kill()
            process.wait(10)
            process = start_ingest(database, broker.port, log, defect=defect)
    finally:
        load.end()
    try:
        wait_until(lambda: log.read_text().count("mqtt.connected") > kills, within_s=60, what="the last connecting")
        quiet(superuser, load.batches)
    finally:
        assert stop_process(process) == 0, log.read_text()[-3000:]
    return load.ledger, stored(superuser)


def quiet(superuser: Connection, batches: int) -> None:
    """Wait until all is stored, or nothing more comes."""
    last, since, deadline = -1, time.monotonic(), time.monotonic() + 60
    while time.monotonic() < deadline and time.monotonic() - since < 6.0:
        found = count(superuser, "samples")
        if found != last:
            last, since = found, time.monotonic()
        if found == batches * 16:
            return
        time.sleep(0.1)


@pytest.mark.slow
def test_kill_9_under_load_loses_and_doubles_nothing(
    database: Database, site: int, superuser: Connection, mosquitto: RunningBroker
) -> None:
    tags = make_plant(database, site)
    sent, kept = drill(database, superuser, mosquitto, tags, kills=10, defect="none")
    assert len(sent) > 1000
    assert set(kept) - sent == set()
    assert sent - set(kept) == set()
    assert len(kept) == len(set(kept))


@pytest.mark.slow
def test_the_control_that_acks_on_arrival_loses(
    database: Database, site: int, superuser: Connection, mosquitto: RunningBroker
) -> None:
    tags = make_plant(database, site)
    sent, kept = drill(database, superuser, mosquitto, tags, kills=6, defect="ack-on-arrival")
    assert sent - set(kept)


def test_receipts_reach_the_publisher_after_the_commit(
    database: Database, site: int, superuser: Connection, mosquitto: RunningBroker, tmp_path: Path
) -> None:
    tags = make_plant(database, site)
    heard: list[tuple[int, int]] = []  # seq of the receipt, messages stored when it came
    with running_ingest(database, mosquitto.port, tmp_path / "log"), publisher(mosquitto.port) as client:
        client.on_message = lambda _c, _d, m: heard.append((decode(m.payload).seq, count(superuser, "message_ledger")))
        client.subscribe("mw/v1/plant/gw/receipt", 1)
        for seq in (1, 2, 3):
            payload = batch_payload(tags, START_US + seq, [1.0], epoch="e", seq=seq)
            client.publish("mw/v1/plant/gw/b", payload, qos=1)
            wait_until(lambda: bool(heard) and heard[-1][0] == seq, what="the receipt")  # noqa: B023
            assert heard[-1][1] >= seq


def test_losing_the_database_for_a_while_costs_nothing(
    server: EmbeddedServer,
    database: Database,
    site: int,
    superuser: Connection,
    mosquitto: RunningBroker,
    tmp_path: Path,
) -> None:
    tags = make_plant(database, site)
    with running_ingest(database, mosquitto.port, tmp_path / "log"):
        load = Load(mosquitto.port, tags, per_s=50)
        try:
            for _ in range(2):
                more(superuser, within_s=60)
                without_database(server, superuser, lambda: time.sleep(1.5))
            more(superuser, within_s=15)
        finally:
            load.end()
        quiet(superuser, load.batches)
    kept = stored(superuser)
    assert set(kept) == load.ledger
    assert len(kept) == len(load.ledger)


def more(superuser: Connection, *, within_s: float) -> None:
    """Wait until more is stored than now."""
    before = count(superuser, "samples")
    wait_until(lambda: count(superuser, "samples") > before, within_s=within_s, what="storing")


def without_database(server: EmbeddedServer, superuser: Connection, meanwhile: Callable[[], None]) -> None:
    """Throw everybody else out of the database and let nobody in."""
    name = superuser.info.dbname
    allow = sql.SQL("alter database {} allow_connections {}")
    throw_out = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> %s"
    with psycopg.connect(server.dsn("postgres", database="postgres"), autocommit=True) as admin:
        admin.execute(allow.format(sql.Identifier(name), sql.Literal(False)))
        admin.execute(throw_out, (name, superuser.info.backend_pid))
        try:
            meanwhile()
        finally:
            admin.execute(allow.format(sql.Identifier(name), sql.Literal(True)))


def test_a_flood_of_bad_messages_delays_no_good_one(
    database: Database, site: int, superuser: Connection, mosquitto: RunningBroker, tmp_path: Path
) -> None:
    make_plant(database, site)
    bad = [b"\xff" * 100, b"[" * 5_000, b"{}", b'{"d": 7}', b"", b"\x00" * 1_000_000]
    with running_ingest(database, mosquitto.port, tmp_path / "log"), publisher(mosquitto.port) as client:
        for number in range(300):
            client.publish("mw/v1/plant/gw/b", bad[number % len(bad)], qos=1)
            client.publish("mw/v1/plant/" + "x" * 200 + "/b", b"{}", qos=1)
        client.publish("mw/v1/plant/gw/s/M-0/s0", b'{"v": 1, "t_us": %d}' % START_US, qos=1).wait_for_publish(30)
        wait_until(lambda: count(superuser, "samples") == 1, within_s=30, what="the good sample")
        wait_until(lambda: count(superuser, "quarantine") == 300, within_s=30, what="every bad message")
    row = superuser.execute("select sum(octet_length(payload)) from quarantine").fetchone()
    assert row is not None
    assert row[0] == sum(len(bad[number % len(bad)]) for number in range(300)) < BYTES_A_MINUTE  # all of it whole
    assert (tmp_path / "log").read_text().count("ingest.dropped") == 1  # an alarm, not a flood
    assert superuser.execute("select reason, sum(count)::int from ingest_drops group by 1").fetchall() == [
        ("unknown_site", 300)
    ]


def test_ingest_waits_for_a_database_that_is_not_there_yet(
    server: EmbeddedServer,
    database: Database,
    site: int,
    superuser: Connection,
    mosquitto: RunningBroker,
    tmp_path: Path,
) -> None:
    make_plant(database, site)
    log = tmp_path / "log"
    started: list[subprocess.Popen[bytes]] = []
    database.close()

    def start() -> None:
        started.append(start_ingest(database, mosquitto.port, log))
        wait_until(lambda: "ingest.wait" in log.read_text(), within_s=60, what="waiting")

    without_database(server, superuser, start)
    wait_until(lambda: "mqtt.connected" in log.read_text(), within_s=60, what="connecting")
    assert stop_process(started[0]) == 0
