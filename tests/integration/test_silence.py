"""A tag or source that falls silent: one sensor-fault order in time, never a machine's; closed when data are back."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as mqtt
from psycopg import Connection

from core import jobs
from core.database import Database
from maintenance import jobs as maintenance_jobs
from plant.assets import MachineSpec, SignalSpec, ensure_machine, register_device, signals
from tests.conftest import RunningBroker
from tests.integration.ingest_kit import publisher, running_ingest, start_ingest, wait_until
from tickets import jobs as ticket_jobs

PERIOD_S = 2.0
SETTLE_S = 5.0
assert maintenance_jobs and ticket_jobs  # importing them registers their handlers


class Sender:
    """A device that sends its tags every period in one message each, until told not to."""

    def __init__(self, client: mqtt.Client, device: str, tags: list[str], *, period_s: float = PERIOD_S) -> None:
        self.client, self.device, self.tags, self.period_s = client, device, set(tags), period_s
        self.last: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        value = 0
        while not self._stop.wait(self.period_s):
            value += 1
            for tag in sorted(self.tags):
                self.client.publish(f"mw/v1/plant/{self.device}/s/{tag}", json.dumps(
                    {"v": 20 + value % 7 * 0.1, "t_us": time.time_ns() // 1000}), qos=1)  # fmt: skip
                self.last[tag] = time.monotonic()


@contextmanager
def working(database: Database) -> Iterator[None]:
    """The job worker in a thread."""
    ready: list[Any] = []

    async def work() -> None:
        worker = jobs.Worker(database)
        ready.append((asyncio.get_running_loop(), worker))
        await worker.run()

    thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)
    thread.start()
    try:
        wait_until(lambda: bool(ready), what="the worker")
        yield
    finally:
        loop, worker = ready[0]
        loop.call_soon_threadsafe(worker.stop)
        thread.join(20)


def machine(database: Database, site: int, code: str, device: str, tags: list[str]) -> dict[str, int]:
    with database.tx(site_id=site) as conn:
        if conn.execute("select 1 from devices where name = %s", (device,)).fetchone() is None:
            register_device(conn, device, secret_hash="x")
        specs = [SignalSpec(tag.split("/")[-1], "temperature", "°C", device, tag, period_s=PERIOD_S) for tag in tags]
        asset_id = ensure_machine(conn, MachineSpec(code, code, "pump", signals=specs))
        return {each.code: each.signal_id for each in signals(conn, asset_id)}


def tickets(conn: Connection) -> list[tuple[str, str, str]]:
    return conn.execute("select kind, mode, status from tickets order by ticket_id").fetchall()


@pytest.fixture
def line(database: Database, site: int, mosquitto: RunningBroker, tmp_path: Path) -> Iterator[RunningBroker]:
    machine(database, site, "A", "da", ["A/x", "A/y"])
    machine(database, site, "B", "db", ["B/x"])
    with running_ingest(database, mosquitto.port, tmp_path / "ingest.log"), working(database):
        yield mosquitto


def heard(conn: Connection, times: int) -> bool:
    row = conn.execute("select count(*) from samples").fetchone()
    return row is not None and row[0] >= times


@pytest.mark.slow
def test_a_silent_source_and_a_silent_tag(line: RunningBroker, superuser: Connection) -> None:
    with publisher(line.port) as client:
        a, b = Sender(client, "da", ["A/x", "A/y"]), Sender(client, "db", ["B/x"])
        wait_until(lambda: heard(superuser, 15), within_s=60, what="warming up")
        assert tickets(superuser) == []

        b.stop()
        wait_until(lambda: len(tickets(superuser)) == 1, within_s=3 * PERIOD_S, what="the source's order")
        took = time.monotonic() - b.last["B/x"]
        assert tickets(superuser)[0][:2] == ("sensor-fault", "source:db:silent")
        assert took <= 2 * PERIOD_S

        a.tags.remove("A/y")
        wait_until(lambda: len(tickets(superuser)) == 2, within_s=3 * PERIOD_S, what="the tag's order")
        took = time.monotonic() - a.last["A/y"]
        assert tickets(superuser)[1][:2] == ("sensor-fault", "sensor:y:silent")
        assert took <= 2 * PERIOD_S

        row = superuser.execute("select state from source_status where source = 'db'").fetchone()
        assert row == ("silent",)

        a.tags.add("A/y")
        b = Sender(client, "db", ["B/x"])
        wait_until(
            lambda: {status for *_, status in tickets(superuser)} == {"closed"}, within_s=45, what="closing by itself"
        )
        assert superuser.execute("select count(*) from alarms where state <> 'cleared'").fetchone() == (0,)
        assert set(superuser.execute("select ended_as from source_faults")) == {("heard",)}
        a.stop()
        b.stop()
    assert len(tickets(superuser)) <= 4  # … and the two of this test's own end


@pytest.mark.slow
def test_everyone_at_once_is_one_order_and_our_own_absence_none(
    database: Database, site: int, mosquitto: RunningBroker, tmp_path: Path, superuser: Connection
) -> None:
    devices = [f"d{number}" for number in range(6)]
    for device in devices:
        machine(database, site, device.upper(), device, [f"{device}/x"])
    log = tmp_path / "ingest.log"
    with publisher(mosquitto.port) as client, working(database):
        senders = [Sender(client, device, [f"{device}/x"]) for device in devices]
        first = start_ingest(database, mosquitto.port, log)
        wait_until(lambda: len(superuser.execute("select from signal_pace").fetchall()) == 6, within_s=90, what="pace")
        first.kill()  # and away for longer than anybody's patience
        first.wait()
        time.sleep(4 * PERIOD_S)
        with running_ingest(database, mosquitto.port, log):
            before = superuser.execute("select count(*) from samples").fetchone()
            assert before is not None
            wait_until(lambda: heard(superuser, before[0] + 70), within_s=60, what="going on")
            assert tickets(superuser) == []
            for each in senders:
                each.stop()
            wait_until(lambda: bool(tickets(superuser)), within_s=4 * PERIOD_S, what="the order")
            time.sleep(2 * PERIOD_S)
            assert [each[:2] for each in tickets(superuser)] == [("sensor-fault", "source:many:silent")]
            senders = [Sender(client, device, [f"{device}/x"]) for device in devices]
            wait_until(lambda: tickets(superuser)[0][2] == "closed", within_s=45, what="closing by itself")
            assert len(tickets(superuser)) == 1
        for each in senders:
            each.stop()


@pytest.mark.slow
def test_of_two_ingest_processes_one_watches_and_another_takes_over(
    database: Database, site: int, mosquitto: RunningBroker, tmp_path: Path, superuser: Connection
) -> None:
    """Each hears half of what every source sends; nobody is silent because of that."""
    machine(database, site, "A", "da", ["A/x", "A/y"])
    machine(database, site, "B", "db", ["B/x"])
    logs = [tmp_path / f"log-{worker}" for worker in (1, 2)]
    both = [
        start_ingest(database, mosquitto.port, log, worker=worker, workers=2)
        for worker, log in enumerate(logs, start=1)
    ]
    try:
        for log in logs:
            wait_until(lambda log=log: "mqtt.connected" in log.read_text(), within_s=60, what="subscribing")  # type: ignore[misc]
        with publisher(mosquitto.port) as client, working(database):
            a, b = Sender(client, "da", ["A/x", "A/y"]), Sender(client, "db", ["B/x"])
            wait_until(lambda: heard(superuser, 40), within_s=90, what="warming up")
            both[0].kill()  # the one that led, as it was first
            both[0].wait()
            time.sleep(4 * PERIOD_S)  # the broker keeps for it what it should have heard
            both[0] = start_ingest(database, mosquitto.port, logs[0], worker=1, workers=2)
            wait_until(lambda: heard(superuser, 100), within_s=90, what="going on")
            assert tickets(superuser) == []
            b.stop()
            wait_until(lambda: len(tickets(superuser)) == 1, within_s=8 * PERIOD_S, what="the source's order")
            assert tickets(superuser)[0][:2] == ("sensor-fault", "source:db:silent")
            a.stop()
    finally:
        for process in both:
            process.kill()
            process.wait()
