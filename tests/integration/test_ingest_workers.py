"""Several ingest processes on one shared subscription: kill -9 of any of them, nothing lost, nothing doubled, receipts
that never say more than is durable and in the end say everything."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from pathlib import Path

import pytest
from psycopg import Connection

from core.database import Database
from edge.receipts import Receipt, decode
from ingest.lead import Lead
from tests.conftest import RunningBroker
from tests.integration.ingest_kit import (
    START_US,
    batch_payload,
    count,
    make_plant,
    publisher,
    start_ingest,
    stop_process,
    stored,
    wait_until,
)

WORKERS = 2
EPOCH = "drill"


class Gateway:
    """Publishes numbered batches and unnumbered samples, each again until a receipt covers it."""

    def __init__(self, port: int, tags: dict[str, int], superuser: Connection) -> None:
        self.sent: set[tuple[int, int, float]] = set()
        self.lies: list[Receipt] = []
        self.messages = 0
        self.covered: set[int] = set()
        self._port, self._tags, self._superuser = port, tags, superuser
        self._payloads: dict[int, bytes] = {}
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """Publish nothing new, and wait until all is covered."""
        self._end.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _heard(self, _client: object, _data: object, message: object) -> None:
        told = decode(message.payload)  # type: ignore[attr-defined]
        with self._lock:
            claimed = [seq for seq in range(1, told.seq + 1) if told.covers(seq) and seq not in self.covered]
            if claimed:
                row = self._superuser.execute(
                    "select count(*) from message_ledger where epoch = %s and seq = any(%s)", (EPOCH, claimed)
                ).fetchone()
                if row != (len(claimed),):
                    self.lies.append(told)
            self.covered.update(claimed)
            for seq in claimed:
                self._payloads.pop(seq, None)

    def _run(self) -> None:
        tags = list(self._tags)
        again = time.monotonic() + 2.0
        with publisher(self._port) as client:
            client.on_message = self._heard
            client.subscribe("mw/v1/plant/gw/receipt", 1)
            while not self._end.wait(0.01) or self._payloads:
                if not self._end.is_set():
                    self._publish(client, tags)
                elif time.monotonic() > again:
                    again = time.monotonic() + 2.0
                    with self._lock:
                        waiting = list(self._payloads.values())
                    for payload in waiting:
                        client.publish("mw/v1/plant/gw/b", payload, qos=1)

    def _publish(self, client: object, tags: list[str]) -> None:
        self.messages += 1
        at_us = START_US + 10_000_000 * self.messages
        values = [float(self.messages * 10 + index) for index in range(3)]
        payload = batch_payload(tags, at_us, values, epoch=EPOCH, seq=self.messages)
        with self._lock:
            self._payloads[self.messages] = payload
        single = b'{"v": %f, "t_us": %d}' % (values[0], at_us + 5_000_000)
        client.publish("mw/v1/plant/gw/b", payload, qos=1)  # type: ignore[attr-defined]
        for _ in range(2):  # the broker may give a sample that comes twice to two processes
            client.publish(f"mw/v1/plant/gw/s/{tags[0]}", single, qos=1)  # type: ignore[attr-defined]
        self.sent |= {(self._tags[tag], at_us + i * 1_000_000, value) for tag in tags for i, value in enumerate(values)}
        self.sent.add((self._tags[tags[0]], at_us + 5_000_000, values[0]))


@pytest.mark.slow
def test_two_workers_and_random_kills(
    database: Database, site: int, superuser: Connection, mosquitto: RunningBroker, tmp_path: Path
) -> None:
    tags = make_plant(database, site)
    chance = random.Random(3)
    processes = {worker: _start(database, mosquitto, tmp_path, worker) for worker in range(1, WORKERS + 1)}
    _connected(tmp_path)
    gateway = Gateway(mosquitto.port, tags, superuser)
    try:
        for _ in range(8):
            before = count(superuser, "message_ledger")
            wait_until(lambda: count(superuser, "message_ledger") > before, within_s=60, what="storing")  # noqa: B023
            time.sleep(chance.uniform(0.0, 0.3))
            worker = chance.choice(list(processes))
            processes[worker].kill()
            processes[worker].wait(10)
            processes[worker] = _start(database, mosquitto, tmp_path, worker)
    finally:
        gateway.end()
    wait_until(lambda: {row[:2] for row in stored(superuser)} >= {row[:2] for row in gateway.sent}, within_s=60)
    for process in processes.values():
        assert stop_process(process) == 0
    kept = stored(superuser)
    assert set(kept) == gateway.sent
    assert len(kept) == len(set(kept))
    assert gateway.lies == []
    assert gateway.covered == set(range(1, gateway.messages + 1))
    shares = [(tmp_path / f"log-{worker}").read_text().count("mqtt.connected") for worker in processes]
    assert all(shares)


def test_one_of_several_leads_and_another_takes_over(database: Database) -> None:
    first, second = (Lead(database, worker=worker, workers=2) for worker in (1, 2))
    for lead in (first, second):
        lead.renew()
    assert (first.held, second.held) == (True, False)
    with database.ingest_tx() as conn:
        assert first.all_alive(conn)
    first.give_up()
    wait_until(lambda: (second.renew(), second.held)[1], what="taking over")
    with database.ingest_tx() as conn:
        assert not second.all_alive(conn)
    second.give_up()
    assert Lead(database, worker=1, workers=1).held


def _start(database: Database, broker: RunningBroker, folder: Path, worker: int) -> subprocess.Popen[bytes]:
    return start_ingest(database, broker.port, folder / f"log-{worker}", worker=worker, workers=WORKERS)


def _connected(folder: Path) -> None:
    logs = [folder / f"log-{worker}" for worker in range(1, WORKERS + 1)]
    wait_until(lambda: all("mqtt.connected" in log.read_text() for log in logs), within_s=60, what="subscribing")
