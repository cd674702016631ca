"""How near to the database's own speed a sample over MQTT becomes a durable row.

python -m benchmarks.ingest [--quick] [--seed N]

One machine, one run: an embedded PostgreSQL with its default settings, the managed broker, the real ingest process, and
a publisher with 1,000 samples a message. ``copy_rows_s`` is COPY of a prebuilt binary buffer of 10,000 rows a commit
into a day partition (heap + BRIN). ``durable_rows_s`` is from the first publish to the receipt of the last message: by
then every row was de-duplicated, committed and can be queried. Latency is from publish to the receipt's arrival at the
publisher, at half that rate.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
from paho.mqtt import client as mqtt

from benchmarks.result import finish
from core import log, places
from core.broker import Broker, Kind
from core.broker_rules import INGEST, hash_password
from core.database import Database, migrate
from core.embedded import EmbeddedServer
from core.secrets import Secrets, load_or_create
from edge import receipts, topics
from edge.link import Ack, Link, Session
from ingest import run as ingest_run
from plant import telemetry
from plant.assets import MachineSpec, SignalSpec, ensure_machine, register_device
from plant.binary import pack_samples
from plant.model import Floats, SampleBatch

SITE, DEVICE, PASSWORD = "bench", "gateway", "bench-only"
COMMIT_ROWS = 10_000
SIGNALS = 100
SERIES, SAMPLES = 10, 100
MESSAGE_ROWS = SERIES * SAMPLES
START_US = 1_767_225_600_000_000  # its day is the raw partition, the next one is the lane's
DAY_US = telemetry.DAY_US
CHILD = "MILLWRIGHT_BENCH_CHILD"  # how the ingest child is told what to do
WINDOW = 200  # messages on their way to a receipt
READY_S = 60.0


class Job(msgspec.Struct):
    """What the ingest child must know."""

    app: str
    ingest: str
    owner: str
    port: int
    password: str


def main(argv: list[str] | None = None) -> int:
    """Run it all and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="within a minute")
    parser.add_argument("--seed", type=int, default=1, help="of the sample values")
    parser.add_argument("--broker", default="auto", choices=["auto", "mosquitto", "amqtt"])
    chosen = parser.parse_args(argv)
    log.configure("WARNING")
    rows = 300_000 if chosen.quick else 2_000_000
    with tempfile.TemporaryDirectory(prefix="millwright-bench-") as folder:
        secrets = load_or_create(Path(folder))
        try:
            measure(Path(folder), secrets, rows=rows, seed=chosen.seed, kind=Kind(chosen.broker))
        finally:
            places.forget(secrets.instance_id)
    return 0


def measure(folder: Path, secrets: Secrets, *, rows: int, seed: int, kind: Kind) -> None:
    """Raw COPY, then the whole way, before and after which COPY is measured so that both see the same machine."""
    server = EmbeddedServer(folder, secrets)
    server.start()
    dsns = server.dsns()
    broker = Broker(folder, secrets, port=free_port(), kind=kind, users=[(DEVICE, hash_password(PASSWORD))])
    try:
        migrate(dsns.owner)
        database = Database(dsns.app, dsns.ingest, dsns.owner)
        make_plant(database)
        info = broker.start()
        chance = np.random.default_rng(seed)
        first = raw_copy(database, rows // 2, chance)
        job = Job(dsns.app, dsns.ingest, dsns.owner, info.port, secrets.mqtt_ingest)
        with ingest_child(job, folder / "ingest.log"), Publisher(info.port, chance) as publisher:
            publisher.warm_up()
            durable = publisher.flat_out(rows)
            latency = publisher.paced(durable / 2, seconds=5.0 if rows < 1_000_000 else 15.0)
        second = raw_copy(database, rows // 2, chance)
        check(database, publisher.rows)
        database.close()
    finally:
        broker.destroy()
        server.destroy()
    copy = 2 / (1 / first + 1 / second)
    figures = {
        "copy_rows_s": round(copy),
        "durable_rows_s": round(durable),
        "ratio": round(durable / copy, 3),
        "p50_ms": round(float(np.percentile(latency, 50)) * 1000, 2),
        "p99_ms": round(float(np.percentile(latency, 99)) * 1000, 2),
        "commit_rows": COMMIT_ROWS,
        "message_rows": MESSAGE_ROWS,
        "rows": publisher.rows,
    }
    finish("ingest", broker=f"{info.kind} {info.version}", figures=figures, goals={"ratio": ">= 0.25"})


def make_plant(database: Database) -> None:
    """One site, one gateway, 100 bound signals."""
    with database.tx() as conn:
        row = conn.execute("insert into sites (code, name) values (%s, 'Bench') returning site_id", (SITE,)).fetchone()
    if row is None:
        raise RuntimeError("insert … returning gave no row")
    specs = [SignalSpec(f"s{number}", "generic", "1", DEVICE, f"s{number}") for number in range(SIGNALS)]
    with database.tx(site_id=row[0]) as conn:
        register_device(conn, DEVICE, secret_hash=hash_password(PASSWORD))
        ensure_machine(conn, MachineSpec("bench", "Bench", "generic", signals=specs))


def raw_copy(database: Database, rows: int, chance: np.random.Generator) -> float:
    """Rows a second of COPY alone: one prebuilt buffer a commit, into the same form of partition."""
    batch = SampleBatch(
        np.repeat(np.arange(SIGNALS, dtype=np.int32), COMMIT_ROWS // SIGNALS),
        START_US + np.arange(COMMIT_ROWS, dtype=np.int64) * 1_000,
        chance.normal(size=COMMIT_ROWS),
        np.zeros(COMMIT_ROWS, np.uint8),
    )
    packed = pack_samples(batch, np.zeros(COMMIT_ROWS, np.int16), np.arange(COMMIT_ROWS))
    day = START_US // DAY_US
    with database.ingest_tx() as conn:
        telemetry.ensure_days(conn, [day])
    began = time.perf_counter()
    for _ in range(rows // COMMIT_ROWS):
        with database.ingest_tx() as conn:
            telemetry.copy_rows(conn, day, packed)
    return rows / (time.perf_counter() - began)


class Publisher:
    """Sends prepared batches over one connection and follows the receipts."""

    def __init__(self, port: int, chance: np.random.Generator) -> None:
        self.rows = 0
        self._values = chance.normal(size=(SERIES, SAMPLES)).round(4)
        self._seq = 0
        self._sent: list[float] = [0.0]
        self._done: list[float] = [0.0]
        self._moved = threading.Condition()
        self._stop = threading.Event()
        self._link = Link(
            host="127.0.0.1",
            port=port,
            user=DEVICE,
            password=PASSWORD,
            client_id="bench-publisher",
            session=Session.CLEAN,
            subscriptions=[topics.receipt(SITE, DEVICE)],
            on_message=self._receipt,
        )
        self._thread = threading.Thread(target=self._link.run, args=(self._stop,))

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._link.connected.wait(READY_S):
            raise TimeoutError(f"The publisher does not reach the broker: {self._link.trouble}")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def warm_up(self) -> None:
        """Partitions, plans and caches are there, and the receipts come."""
        time.sleep(0.5)  # our subscription reaches the broker before the first receipt does
        self._send(self._payloads(20))
        self._wait_for(self._seq)

    def flat_out(self, rows: int) -> float:
        """Durable rows a second."""
        payloads = self._payloads(rows // MESSAGE_ROWS)
        began = time.perf_counter()
        self._send(payloads)
        self._wait_for(self._seq)
        return rows / (time.perf_counter() - began)

    def paced(self, rows_s: float, *, seconds: float) -> Floats:
        """Seconds from publish to receipt, a message each, at a steady rate."""
        first = self._seq + 1
        payloads = self._payloads(int(rows_s * seconds / MESSAGE_ROWS))
        began = time.perf_counter()
        for number, payload in enumerate(payloads):
            pause = began + number * MESSAGE_ROWS / rows_s - time.perf_counter()
            if pause > 0:
                time.sleep(pause)
            self._publish(payload)
        self._wait_for(self._seq)
        return np.subtract(self._done[first:], self._sent[first:], dtype=np.float64)

    def _payloads(self, count: int) -> list[bytes]:
        """Prepared before the clock starts: each signal's samples go on where they ended."""
        offsets = list(range(0, SAMPLES * 1_000, 1_000))
        encode = msgspec.json.Encoder().encode
        found = []
        for number in range(count):
            seq = self._seq + number + 1
            turn, group = divmod(seq, SIGNALS // SERIES)
            start = START_US + DAY_US + turn * SAMPLES * 1_000
            series = [
                {
                    "s": f"s{group * SERIES + index}",
                    "t0": start,
                    "dt": offsets,
                    "v": (self._values[index] + seq).tolist(),
                }
                for index in range(SERIES)
            ]
            found.append(encode({"epoch": "bench", "seq": seq, "d": series}))
        return found

    def _send(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            with self._moved:
                while len(self._sent) - len(self._done) >= WINDOW:
                    if not self._moved.wait(READY_S):
                        raise TimeoutError("The receipts stopped coming.")
            self._publish(payload)

    def _publish(self, payload: bytes) -> None:
        self._seq += 1
        self.rows += MESSAGE_ROWS
        self._sent.append(time.perf_counter())
        self._link.send(topics.batch(SITE, DEVICE), payload)

    def _receipt(self, message: mqtt.MQTTMessage, ack: Ack) -> None:
        now = time.perf_counter()
        told = receipts.decode(bytes(message.payload))
        durable = min([told.seq, *(low - 1 for low, _ in told.gaps)])
        with self._moved:
            self._done.extend([now] * (durable + 1 - len(self._done)))
            self._moved.notify_all()
        ack()

    def _wait_for(self, seq: int) -> None:
        with self._moved:
            if not self._moved.wait_for(lambda: len(self._done) > seq, READY_S):
                raise TimeoutError(f"Of {seq} messages {len(self._done) - 1} are durable after {READY_S:.0f} s.")


def check(database: Database, rows: int) -> None:
    """The figures count only if every row is there, once."""
    with database.ingest_tx() as conn:
        row = conn.execute(
            "select count(*), count(distinct (signal_id, at)) from samples where at >= %s",
            (telemetry.from_us(START_US + DAY_US),),
        ).fetchone()
    if row != (rows, rows):
        raise AssertionError(f"{rows} rows were sent, {row} (rows, different ones) are stored")


@contextmanager
def ingest_child(job: Job, log_file: Path) -> Iterator[None]:
    """The real ingest, in a process of its own."""
    environment = {**os.environ, CHILD: msgspec.json.encode(job).decode()}
    with log_file.open("wb") as out:
        child = subprocess.Popen([sys.executable, "-m", "benchmarks.ingest"], env=environment, stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + READY_S
            while "mqtt.connected" not in log_file.read_text():
                if child.poll() is not None or time.monotonic() > deadline:
                    raise TimeoutError(f"Ingest did not start: {log_file.read_text()[-2000:]}")
                time.sleep(0.05)
            yield
        finally:
            child.terminate()
            child.wait(20)


def serve(job: Job) -> None:
    """Be the ingest child."""
    log.configure("INFO")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    broker = ingest_run.Broker("127.0.0.1", job.port, INGEST, job.password)
    ingest_run.run(database=Database(job.app, job.ingest, job.owner), broker=broker, instance="bench", stop=stop)


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    if CHILD in os.environ:
        serve(msgspec.json.decode(os.environ[CHILD], type=Job))
    else:
        sys.exit(main())
