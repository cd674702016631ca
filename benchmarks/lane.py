"""What the ingest benchmark needs around it: a database, a broker, a plant, ingest processes, and what they cost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks import senders
from benchmarks.senders import DEVICE, PASSWORD, SITE, Phase, Seen
from core import log, places
from core.broker import Broker, Kind
from core.broker_rules import INGEST, hash_password
from core.database import Database, migrate
from core.embedded import EmbeddedServer
from core.ports import reserve
from core.processes import tree
from core.secrets import load_or_create
from ingest import run as ingest_run
from plant import telemetry
from plant.assets import MachineSpec, ensure_machine, register_device
from plant.binary import pack_samples
from plant.model import SampleBatch

CHILD = "MILLWRIGHT_BENCH_CHILD"  # how a child is told what to do
COMMIT_ROWS = 10_000
START_US = 1_767_225_600_000_000  # its day is the raw partition, the next one is the lane's
DAY_US = telemetry.DAY_US
READY_S = 60.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Ingest(msgspec.Struct, tag=True):
    """Be an ingest process."""

    app: str
    ingest: str
    owner: str
    port: int
    password: str
    worker: int
    workers: int


class Publish(msgspec.Struct, tag=True):
    """Be the publisher."""

    phase: Phase


class Stock(msgspec.Struct, tag=True):
    """Be a stock paho client that only receives and acknowledges ``messages`` messages."""

    port: int
    password: str
    messages: int


Job = Ingest | Publish | Stock


@dataclass(slots=True)
class Rig:
    """Everything that runs. ``next_us`` is where the next phase's samples begin."""

    folder: Path
    database: Database
    broker: Broker
    server: EmbeddedServer
    port: int
    password: str
    seed: int
    next_us: int = field(default_factory=lambda: time.time_ns() // 1000)  # just measured, and ahead from then on
    epochs: int = 0
    rows: int = 0
    _logs: int = field(default=0)

    @classmethod
    @contextmanager
    def up(cls, kind: Kind, seed: int) -> Iterator[Self]:
        """Start it all, and take it down."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="millwright-bench-")))
            secrets = load_or_create(folder)
            stack.callback(places.forget, secrets.instance_id)
            server = EmbeddedServer(folder, secrets)
            stack.callback(server.destroy)
            server.start()
            dsns = server.dsns()
            broker = Broker(folder, secrets, port=reserve(), kind=kind, users=[(DEVICE, hash_password(PASSWORD))])
            stack.callback(broker.destroy)
            migrate(dsns.owner)
            database = Database(dsns.app, dsns.ingest, dsns.owner, statement_timeout_s=600.0)
            stack.callback(database.close)
            info = broker.start()
            yield cls(folder, database, broker, server, info.port, secrets.mqtt_ingest, seed)

    @contextmanager
    def ingest(self, *, workers: int = 1) -> Iterator[list[int]]:
        """Real ingest processes, ready; gives their pids."""
        dsns = self.server.dsns()
        with ExitStack() as stack:
            pids = []
            for worker in range(1, workers + 1):
                self._logs += 1
                log_file = self.folder / f"ingest-{self._logs}.log"
                job = Ingest(dsns.app, dsns.ingest, dsns.owner, self.port, self.password, worker, workers)
                pids.append(stack.enter_context(child(job, log_file)).pid)
            yield pids

    def publish(
        self,
        kind: str,
        messages: int,
        *,
        signals: int = 100,
        rows_s: float = 0.0,
        window: int = 200,
        receipts: bool = True,
    ) -> Seen:
        """Run a phase in the publisher's process."""
        self.epochs += 1
        phase = Phase(
            kind,
            self.port,
            f"bench-{self.epochs}",
            self.next_us,
            messages,
            signals,
            rows_s,
            window,
            self.seed,
            receipts,
        )
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.ingest"],
            env={**os.environ, CHILD: msgspec.json.encode(Publish(phase)).decode()},
            stdout=subprocess.PIPE,
            check=True,
        )
        seen = msgspec.json.decode(done.stdout, type=Seen)
        turns = messages if kind == "small" else (messages * senders.SERIES // signals + 1) * senders.SAMPLES
        self.next_us += (turns + 1) * senders.STEP_US
        if receipts:
            self.rows += seen.rows
        return seen

    def cpu_s(self, pids: list[int]) -> dict[str, float]:
        """CPU seconds so far: of the ingest processes, the broker and PostgreSQL."""
        return {
            "ingest": sum(map(_cpu_s, pids)),
            "broker": _cpu_s(self.broker.pid or 0),
            "postgres": sum(map(_cpu_s, tree(self.server.pid or 0))),
        }


def make_plant(database: Database, signals: int) -> None:
    """One site, one gateway, and bound signals s0, s1 …, a second apart (so that they have minute rollups)."""
    with database.tx() as conn:
        row = conn.execute("insert into sites (code, name) values (%s, 'Bench') returning site_id", (SITE,)).fetchone()
    with database.tx(site_id=row[0] if row else 0) as conn:
        register_device(conn, DEVICE, secret_hash=hash_password(PASSWORD))
        ensure_machine(conn, MachineSpec("bench", "Bench", "generic"))
    add_signals(database, range(signals))


def add_signals(database: Database, numbers: range) -> None:
    """Bound signals by the thousand."""
    with database.ingest_tx() as conn:
        row = conn.execute("select site_id from sites where code = %s", (SITE,)).fetchone()
    with database.tx(site_id=row[0] if row else 0) as conn:
        conn.execute(
            """with made as (
                 insert into signals (asset_id, code, name, quantity, unit)
                 select asset_id, 's' || n, 's' || n, 'generic', '1'
                 from assets, generate_series(%s::int, %s::int) as n where code = 'bench'
                 returning signal_id, code)
               insert into bindings (source, tag, signal_id, unit) select %s, code, signal_id, '1' from made""",
            (numbers.start, numbers.stop - 1, DEVICE),
        )


def raw_copy(database: Database, rows: int, chance: np.random.Generator) -> float:
    """Rows a second of COPY alone: one prebuilt buffer a commit, into the same form of partition."""
    batch = SampleBatch(
        np.repeat(np.arange(100, dtype=np.int32), COMMIT_ROWS // 100),
        START_US + np.arange(COMMIT_ROWS, dtype=np.int64) * 1_000,
        chance.normal(size=COMMIT_ROWS),
        np.zeros(COMMIT_ROWS, np.uint8),
    )
    packed = pack_samples(batch, np.zeros(COMMIT_ROWS, np.int16), np.arange(COMMIT_ROWS))
    day = START_US // DAY_US
    with database.ingest_tx() as conn:
        telemetry.ensure_days(conn, [day])
    line = database.line()
    with line.tx():
        pass
    began = time.perf_counter()
    for _ in range(rows // COMMIT_ROWS):
        with line.tx() as conn:
            telemetry.copy_rows(conn, day, packed)
    spent = time.perf_counter() - began
    line.close()
    return rows / spent


def check(rig: Rig) -> None:
    """The figures count only if every row is there, once."""
    with rig.database.ingest_tx() as conn:
        row = conn.execute(
            "select count(*), count(distinct (signal_id, at)) from samples where at >= %s",
            (telemetry.from_us(START_US + DAY_US),),
        ).fetchone()
    if row != (rig.rows, rig.rows):
        raise AssertionError(f"{rig.rows} rows were sent, {row} (rows, different ones) are stored")


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def run_child(text: str) -> None:
    """Be the child that the environment asks for."""
    job = msgspec.json.decode(text, type=Job)
    if isinstance(job, Publish):
        sys.stdout.write(msgspec.json.encode(senders.publish(job.phase)).decode())
    elif isinstance(job, Stock):
        stock(job)
    else:
        serve(job)


def serve(job: Ingest) -> None:
    """Be an ingest process."""
    log.configure("INFO")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    broker = ingest_run.Broker("127.0.0.1", job.port, INGEST, job.password)
    database = Database(job.app, job.ingest, job.owner)
    place = ingest_run.Place(job.worker, job.workers)
    ingest_run.run(database=database, broker=broker, instance="bench", stop=stop, place=place)


def stock(job: Stock) -> None:
    """Receive and acknowledge with paho as its documentation shows it; print the seconds from first to last."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="stock")
    client.username_pw_set(INGEST, job.password)
    times: list[float] = []
    done = threading.Event()

    def heard(_client: object, _data: object, _message: object) -> None:
        times.append(time.perf_counter())
        if len(times) == job.messages:
            done.set()

    client.on_message = heard
    client.on_subscribe = lambda *_: print("mqtt.connected", flush=True)
    client.connect("127.0.0.1", job.port)
    client.subscribe(senders.UNHEARD, 1)
    client.loop_start()
    done.wait(READY_S)
    client.loop_stop()
    print(json.dumps({"messages": len(times), "seconds": times[-1] - times[0]}), flush=True)


@contextmanager
def child(job: Job, log_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the benchmark, from when it has subscribed until it is told to end."""
    environment = {**os.environ, CHILD: msgspec.json.encode(job).decode()}
    with log_file.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "benchmarks.ingest"], env=environment, stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + READY_S
            while "mqtt.connected" not in log_file.read_text():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise TimeoutError(f"A child did not start: {log_file.read_text()[-2000:]}")
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            process.wait(20)


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process; 0 when it has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS
