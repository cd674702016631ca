"""The whole way of a sample, from real parts that can be killed: device, floor, gateway, broker, ingest, database.

    device ──> floor's broker ──> gateway + spool ──> broker ──> ingest ──> PostgreSQL

The device and the floor's broker stand for the plant: they are never touched. ``kill``, ``freeze`` and ``start`` work
on the other four by name. Everything is started from the main thread: children die with the thread that made them.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import msgspec
import psycopg
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.drills import device, verdict
from benchmarks.drills.disk import Disk
from benchmarks.drills.parts import JOB, Build, Job
from benchmarks.ledgers import Columns
from core import places
from core.broker import Broker, BrokerInfo, Kind
from core.broker_rules import INGEST, hash_password
from core.database import Database, migrate
from core.embedded import Dsns, EmbeddedServer
from core.ports import reserve
from core.processes import Child, alive, python_environment, spawn, tail, tree
from core.secrets import load_or_create
from edge import envelope, receipts, topics
from plant.assets import MachineSpec, SignalSpec, ensure_machine, register_device, signals

SITE, GATEWAY, DEVICE, PASSWORD = "drill", "gw", "dev", "drill-only"
TAGS = tuple(f"s{number}" for number in range(5))
WARM = "warm"  # a signal with a unit: °C
SETTLE_S = 0.15  # what was under way when a part was killed arrives within this
READY_S = 60.0
FILE = """
[gateway]
site = "{site}"
device = "{gateway}"
spool = "{spool}"
linger_s = 0.05
drain_samples_s = {drain}

[broker]
host = "127.0.0.1"
port = {port}
password = "{password}"

[[sources]]
kind = "mqtt"
name = "floor"
url = "mqtt://{floor_user}:{floor_password}@127.0.0.1:{floor_port}"
"""


class Part(StrEnum):
    """What can be killed."""

    GATEWAY = "gateway"
    BROKER = "broker"
    INGEST = "ingest"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a rig differs from the product: nothing, unless a control or a power cut asks for it."""

    build: Build = Build.HONEST
    seed: int = 1
    power: frozenset[Part] = frozenset()  # parts on a disk whose power can be cut: GATEWAY (its spool), DATABASE
    database: Mapping[str, str] = field(default_factory=dict)  # server settings
    drain_samples_s: int = 50_000
    behind: Callable[[int], int] | None = None  # port of the broker → port that the gateway uses


class Watch:
    """Follows the receipts on the broker: how far the gateway's batches are durable, and when that last moved."""

    def __init__(self, port: int, password: str) -> None:
        self.seq, self.moved = 0, 0.0
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="drill-watch")
        self._client.username_pw_set(INGEST, password)
        self._client.reconnect_delay_set(0.1, 0.3)  # type: ignore[arg-type]
        self._client.on_connect = lambda client, *_: client.subscribe(topics.receipt(SITE, GATEWAY), 1)
        self._client.on_message = lambda _client, _data, message: self._heard(bytes(message.payload))
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _heard(self, payload: bytes) -> None:
        told = receipts.decode(payload)
        if told.seq > self.seq:
            self.seq, self.moved = told.seq, time.monotonic()


class House:
    """Broker, ingest and database; at the end of ``with House(plan) as house:`` nothing is left."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.folder = Path(tempfile.mkdtemp(prefix="millwright-drill-"))
        self.folder.chmod(0o755)
        self.signals: dict[str, int] = {}
        self.site_id = 0
        self.disks: dict[Part, Disk] = {}
        self._children: dict[Part, Child] = {}
        self.dsns: Dsns
        self._asked: psycopg.Connection | None = None
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def _build(self) -> None:
        self._ends.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._disks()
        self._database()
        self.broker = self._new_broker("broker", GATEWAY)
        self._ends.callback(self._end_children)
        self.start(Part.INGEST)
        self.wait(lambda: "mqtt.connected" in self.log(Part.INGEST), what="ingest")

    def kill(self, part: Part) -> None:
        """kill -9 of the part and of whatever it started; returns when it is gone."""
        pids = tree(self.pid(part))
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._child(part).process.wait(10)
        self.wait(lambda: not any(alive(pid) for pid in pids), what=f"the end of the {part}")

    def freeze(self, part: Part, number: signal.Signals = signal.SIGSTOP) -> None:
        """SIGSTOP (or SIGCONT) to the part and whatever it started."""
        for pid in tree(self.pid(part)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def start(self, part: Part) -> None:
        """Start it again; the database and the broker are ready then, the others soon."""
        if part is Part.DATABASE:
            self.dsns = self.server.start()
        elif part is Part.BROKER:
            self.broker.start()
        elif part is Part.INGEST:
            self._spawn(part, "ingest")
        else:
            self._spawn(part, "gateway", self.plan.build, str(self.folder / "gateway.toml"))

    def pid(self, part: Part) -> int:
        return self._child(part).pid

    def log(self, part: Part) -> str:
        path = self.folder / f"{part}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def count(self) -> int:
        try:
            return int(self.query("select count(*) from samples")[0][0])
        except psycopg.Error:
            return -1

    def stored(self) -> Columns:
        rows = self.query("select signal_id, (extract(epoch from at) * 1000000)::int8, value from samples")
        return verdict.columns(rows)

    def log_has_no(self, event: str) -> bool:
        return event not in self.log(Part.INGEST)

    def dropped(self) -> int:
        """Messages that ingest counted and let go; written about once a second."""
        return int(self.query("select coalesce(sum(count), 0) from ingest_drops")[0][0])

    @contextmanager
    def database(self) -> Iterator[Database]:
        """As the product's roles."""
        found = Database(self.dsns.app, self.dsns.ingest, self.dsns.owner)
        try:
            yield found
        finally:
            found.close()

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """As the superuser, over one connection until it breaks. Raises psycopg.Error."""
        if self._asked is None or self._asked.closed:
            self._asked = psycopg.connect(self.dsns.superuser, autocommit=True, connect_timeout=3)
            self._ends.callback(self._asked.close)
        try:
            return self._asked.execute(text.encode()).fetchall()
        except psycopg.OperationalError:
            self._asked.close()
            raise

    def wait(self, true: Callable[[], object], *, within_s: float = READY_S, what: str) -> None:
        """Poll; raises TimeoutError with the ends of the logs."""
        deadline = time.monotonic() + within_s
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {within_s:.0f} s\n{self._ends_of_logs()}")
            time.sleep(0.01)

    def _ends_of_logs(self) -> str:
        """With the stacks of our own processes."""
        for child in self._children.values():
            child.send(signal.SIGUSR1)
        time.sleep(0.5)
        return "\n".join(f"--- {part}\n{tail(self.folder / f'{part}.log', lines=100)}" for part in Part)

    def _disks(self) -> None:
        for part, mb in ((Part.GATEWAY, 256), (Part.DATABASE, 1024)):
            if part in self.plan.power:
                self.disks[part] = Disk(self.folder / f"{part}.img", self.folder / f"{part}.disk", mb=mb)
                self._ends.callback(self.disks[part].destroy)

    def _database(self) -> None:
        secrets = self._secrets("database")
        disk = self.disks.get(Part.DATABASE)
        data = disk.folder if disk else self.folder / "database"
        settings = {"max_wal_size": "256MB", "min_wal_size": "64MB", **self.plan.database}
        self.server = EmbeddedServer(data, secrets, log=self.folder / "database.log", settings=settings)
        self._ends.callback(self.server.destroy)
        self.dsns = self.server.start()
        migrate(self.dsns.owner)
        with self.database() as database:
            self._make_plant(database)

    def _make_plant(self, database: Database) -> None:
        with database.tx() as conn:
            row = conn.execute(
                "insert into sites (code, name) values (%s, 'Drill') returning site_id", (SITE,)
            ).fetchone()
        assert row is not None
        specs = [SignalSpec(tag, "generic", "1", GATEWAY, f"{DEVICE}/{tag}") for tag in TAGS]
        specs.append(SignalSpec(WARM, "temperature", "°C", GATEWAY, f"{DEVICE}/{WARM}"))
        self.site_id = int(row[0])
        with database.tx(site_id=self.site_id) as conn:
            register_device(conn, GATEWAY, secret_hash=hash_password(PASSWORD))
            asset_id = ensure_machine(conn, MachineSpec("drill", "Drill", "generic", signals=specs))
            self.signals = {each.code: each.signal_id for each in signals(conn, asset_id)}

    def _new_broker(self, name: str, user: str) -> Broker:
        secrets = self._secrets(name)
        broker = Broker(
            self.folder / name,
            secrets,
            port=reserve(),
            kind=Kind.MOSQUITTO,
            users=[(user, hash_password(PASSWORD))],
            log_file=self.folder / f"{name}.log",
        )
        self._ends.callback(broker.destroy)
        self.info: BrokerInfo = broker.start()
        return broker

    def _secrets(self, name: str) -> Any:
        (self.folder / name).mkdir(exist_ok=True)
        secrets = load_or_create(self.folder / name)
        self._ends.callback(places.forget, secrets.instance_id)
        return secrets

    def _spawn(self, part: Part, *words: str) -> None:
        job = Job(self.dsns.app, self.dsns.ingest, self.dsns.owner, self.broker.port, self.broker.secrets.mqtt_ingest)
        more = {JOB: msgspec.json.encode(job).decode(), "MILLWRIGHT_INGEST_LINGER_S": "0.02"}
        self._children[part] = spawn(
            [sys.executable, "-m", "benchmarks.drills.parts", *words],
            log=self.folder / f"{part}.log",
            env=python_environment(more),
        )

    def _child(self, part: Part) -> Child:
        return {Part.DATABASE: self.server.child, Part.BROKER: self.broker.child}.get(part) or self._children[part]

    def _end_children(self) -> None:
        for child in self._children.values():
            child.send(signal.SIGCONT)
            child.stop((signal.SIGTERM, 15.0))


class Rig(House):
    """The whole way, from the device on; ``with Rig(plan) as rig:`` samples flow."""

    def _build(self) -> None:
        super()._build()
        self._must_sign()
        self.ledger = self.folder / "ledger.jsonl"
        self.floor = self._new_broker("floor", DEVICE)
        self._write_file()
        self.start(Part.GATEWAY)
        self.watch = Watch(self.broker.port, self.broker.secrets.mqtt_ingest)
        self._ends.callback(self.watch.stop)
        self.device = device.Device(
            port=self.floor.port,
            user=DEVICE,
            password=PASSWORD,
            site=SITE,
            tags=TAGS,
            ledger=self.ledger,
            seed=self.plan.seed,
        )
        self.wait(lambda: "mqtt.connected" in self.log(Part.GATEWAY), what="the gateway")
        self.device.start()
        self.wait(lambda: self.watch.seq > 0, what="the first receipt")

    def cut_power(self, part: Part) -> None:
        """The disk stops, then the machine; both come back."""
        disk = self.disks[part]
        disk.cut()
        self.kill(part)
        disk.unmount()
        disk.mount()
        self.start(part)

    def recovered(self, began: float, *, within_s: float = READY_S) -> float:
        """Seconds from ``began`` (a kill, just now) to the first receipt that moves on."""
        time.sleep(max(0.0, began + SETTLE_S - time.monotonic()))
        mark = time.monotonic()
        self.wait(lambda: self.watch.moved > mark, within_s=within_s, what="a receipt")
        return self.watch.moved - began

    def backlog(self) -> int:
        """Samples in the spool."""
        return waiting(self.spool)

    def settle(self, *, within_s: float = 180.0) -> verdict.Verdict:
        """Stop the device, wait until everything it told is stored (or nothing comes any more), and judge."""
        self.device.finish()
        taken = self.taken()
        with suppress(TimeoutError):
            self.wait(lambda: self.count() >= len(taken[0]) and not self.backlog(), within_s=within_s, what="the rest")
        return verdict.judge(taken, self.stored())

    def taken(self) -> Columns:
        return device.read(self.ledger, self.signals)

    def _must_sign(self) -> None:
        """From now on ingest takes nothing of the gateway without its signature."""
        key = envelope.key_of(PASSWORD, site=SITE, device=GATEWAY)
        with psycopg.connect(self.dsns.superuser, autocommit=True) as conn:
            conn.execute("update devices set mac_key = %s, kind = 'gateway', signing = 'required'", (key,))
            conn.execute("notify millwright_plant, 'all'")
            conn.execute("checkpoint")  # the plant itself is on the disk, also where a control does not wait for it

    def _write_file(self) -> None:
        port = self.plan.behind(self.broker.port) if self.plan.behind else self.broker.port
        disk = self.disks.get(Part.GATEWAY)
        self.spool = (disk.folder if disk else self.folder) / "gateway.spool"
        (self.folder / "gateway.toml").write_text(
            FILE.format(
                site=SITE,
                gateway=GATEWAY,
                spool=self.spool,
                drain=self.plan.drain_samples_s,
                port=port,
                password=PASSWORD,
                floor_user=INGEST,
                floor_password=self.floor.secrets.mqtt_ingest,
                floor_port=self.floor.port,
            )
        )


def waiting(spool: Path) -> int:
    """Samples in a spool that another process has open."""
    try:
        with closing(sqlite3.connect(f"file:{spool}?mode=ro", uri=True, timeout=1.0)) as file:
            return int(file.execute("select coalesce(sum(samples), 0) from batches").fetchone()[0])
    except sqlite3.Error:
        return -1
