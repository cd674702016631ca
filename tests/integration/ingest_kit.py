"""What ingest's tests share: a plant with one gateway, and the ingest process as a subprocess."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from psycopg import Connection

from core.database import Database
from plant.assets import MachineSpec, SignalSpec, ensure_machine, register_device, signals

ROOT = Path(__file__).resolve().parents[2]
NOW_US = time.time_ns() // 1000
START_US = NOW_US - 3_600_000_000

# the ingest process of the tests: argv = dsn app, ingest, owner, broker port, defect
PROGRAM = """
import signal, sys, threading
from core import log
from core.database import Database
from ingest import run
log.configure("INFO", "json")
app, ingest, owner, port, defect = sys.argv[1:6]
if defect == "ack-on-arrival":
    from edge.sources.mqtt import MqttSource
    heard = MqttSource._heard
    def careless(self, message, ack):
        ack()
        heard(self, message, lambda: None)
    MqttSource._heard = careless
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
worker, workers = sys.argv[6:8]
run.run(
    database=Database(app, ingest, owner),
    broker=run.Broker("127.0.0.1", int(port)), instance="test", stop=stop, place=run.Place(int(worker), int(workers)),
)
"""


def make_plant(
    database: Database, site: int, *, machines: int = 1, signals_each: int = 3, device: str = "gw"
) -> dict[str, int]:
    """Machines M-0 … with temperature signals s0 …, all sent by one registered device; tag → signal id."""
    found: dict[str, int] = {}
    with database.tx(site_id=site) as conn:
        register_device(conn, device, secret_hash="x")
        for number in range(machines):
            specs = [
                SignalSpec(f"s{index}", "temperature", "°C", device, f"M-{number}/s{index}")
                for index in range(signals_each)
            ]
            asset_id = ensure_machine(conn, MachineSpec(f"M-{number}", "Machine", "pump", signals=specs))
            found |= {f"M-{number}/{each.code}": each.signal_id for each in signals(conn, asset_id)}
    return found


def batch_payload(tags: Iterable[str], start_us: int, values: Iterable[float], **more: object) -> bytes:
    """A batch: every tag has all the values, a second apart."""
    column = list(values)
    series = [
        {"s": tag, "t0": start_us, "dt": [i * 1_000_000 for i in range(len(column))], "v": column} for tag in tags
    ]
    return json.dumps({**more, "d": series}).encode()


def wait_until(true: Callable[[], bool], *, within_s: float = 20.0, what: str = "it") -> None:
    """Poll until it is true; raises AssertionError."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        time.sleep(0.02)


def stored(conn: Connection) -> list[tuple[int, int, float]]:
    """Every stored sample: signal, µs, value."""
    rows = conn.execute(
        "select signal_id, (extract(epoch from at) * 1000000)::int8, value from samples order by 1, 2, 3"
    )
    return rows.fetchall()


def count(conn: Connection, table: str) -> int:
    row = conn.execute(f"select count(*) from {table}").fetchone()  # noqa: S608 - a test's own table names
    assert row is not None
    return int(row[0])


@contextmanager
def publisher(port: int, *, user: str = "gw") -> Iterator[mqtt.Client]:
    """A connected client with its loop running."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"test-{user}-{time.monotonic_ns()}")
    client.connect("127.0.0.1", port)
    client.loop_start()
    wait_until(client.is_connected, what="connecting")
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def start_ingest(
    database: Database, port: int, log: Path, *, defect: str = "none", worker: int = 1, workers: int = 1
) -> subprocess.Popen[bytes]:
    """The real ingest process, or one of several."""
    with log.open("ab") as out:
        return subprocess.Popen(
            [
                sys.executable,
                "-c",
                PROGRAM,
                database.app_dsn,
                database.ingest_dsn,
                database.owner_dsn,
                str(port),
                defect,
                str(worker),
                str(workers),
            ],
            cwd=ROOT,
            stdout=out,
            stderr=out,
            env={
                **os.environ,
                "MILLWRIGHT_INGEST_LINGER_S": "0.02",
                "MILLWRIGHT_INGEST_DEADLINE_S": "2",
                "MILLWRIGHT_DATA_DIR": str(log.parent / "data"),
            },
        )


@contextmanager
def running_ingest(database: Database, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The ingest process from when it has subscribed until it has ended in order."""
    process = start_ingest(database, port, log)
    try:
        wait_until(lambda: "mqtt.connected" in log.read_text(), within_s=60, what="subscribing")
        yield process
    finally:
        code = stop_process(process)
    assert code == 0, log.read_text()[-3000:]


def stop_process(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        return process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
