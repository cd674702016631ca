"""`millwright doctor`: what is wrong, in words, and what to do about it.

Every question to a server has a deadline of its own: a stopped database must not stop the doctor.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion
from psycopg import Connection

from api import backing
from api.checks import Check, State
from api.doctor_pipeline import broker_certificate
from api.doctor_pipeline import checks as pipeline_checks
from api.instance import BrokerAccess, Instance, NotRunning
from api.supervisor import State as PartState
from api.supervisor import Status, read_status
from core import health, lock, ports, secrets
from core.broker import AMQTT_LOSSY, probe
from core.clock import wall_now
from core.errors import MillwrightError
from core.processes import pss_mb, tree
from core.settings import Settings

GB = 1e9
OLDEST_PYTHON = (3, 11, 0)
DISK_FAIL_BYTES, DISK_WARN_BYTES = 0.2 * GB, 2.0 * GB
DISK_WARN_SHARE = 0.05
MEMORY_FAIL_MB, MEMORY_WARN_MB = 150.0, 400.0
CLOCK_WARN_S, CLOCK_FAIL_S = 1.0, 10.0
MANY_RESTARTS = 3
HANGING_S = 30.0
ANSWER_S = 5.0
NEWER_THAN = datetime(2025, 1, 1, tzinfo=UTC)
MOSQUITTO_CONFIGS = ("/etc/mosquitto/mosquitto.conf", "/etc/mosquitto/conf.d/*.conf")
VERSION, DROPPED = "$SYS/broker/version", "$SYS/broker/publish/messages/dropped"
SYS_TOPICS = (VERSION, DROPPED)
ENOUGH_QUEUED = 100_000
UP = "Start it with `millwright up`."


def check(settings: Settings) -> list[Check]:
    """Look at everything; never raises for what is wrong, and takes at most some seconds a server."""
    instance = Instance(settings)
    running = lock.holder(instance.data_dir)
    found = [python(), data_dir(instance.data_dir), disk(instance.data_dir), memory(), secret_file(instance.data_dir)]
    found += [*broker_certificate(instance.data_dir), *backing.check(instance)]
    found += [running_check(instance.data_dir, running), *parts(read_status(instance.data_dir), running)]
    if running is None:
        found += [port("web", settings.port, instance), port("broker", settings.broker_port, instance)]
    found += [*_within(ANSWER_S, "database", lambda: database(instance)), clock_sync()]
    return [*found, *_within(ANSWER_S, "broker", lambda: broker(instance))]


def report(checks: list[Check]) -> str:
    """For people: one line a check, the remedy under it."""
    marks = {State.OK: "ok  ", State.WARN: "WARN", State.FAIL: "FAIL"}
    lines = []
    for each in checks:
        lines.append(f"{marks[each.state]}  {each.name:<10} {each.sentence}")
        if each.remedy:
            lines.append(f"{'':<17}→ {each.remedy}")
    bad = sum(each.state is not State.OK for each in checks)
    lines.append("All is well." if not bad else f"{bad} of {len(checks)} checks want attention.")
    return "\n".join(lines)


def python() -> Check:
    found = sys.version_info[:3]
    version = ".".join(str(part) for part in found)
    if found < OLDEST_PYTHON:
        return Check("python", State.FAIL, f"Python {version} is too old.", "Install Python 3.11 or newer.")
    return Check("python", State.OK, f"Python {version}.")


def data_dir(folder: Path) -> Check:
    if not health.writable(folder):
        return Check(
            "data", State.FAIL, f"{folder} cannot be written.", f"Run `chown -R $(id -u) {folder}`, or choose another."
        )
    return Check("data", State.OK, f"Data are kept in {folder}.")


def disk(folder: Path) -> Check:
    """Ingest stops when the disk is full (nothing is lost then, but nothing new is kept either)."""
    found = health.disk(folder)
    left = f"{found.free / GB:.1f} GB ({found.share_free:.0%}) are free where {folder} lies."
    if found.free < DISK_FAIL_BYTES:
        return Check("disk", State.FAIL, f"The disk is full: {left}", "Free some space; ingest waits until then.")
    if found.free < DISK_WARN_BYTES or found.share_free < DISK_WARN_SHARE:
        return Check(
            "disk", State.WARN, f"The disk is nearly full: {left}", "Free some space, or shorten the retention."
        )
    return Check("disk", State.OK, left)


def memory() -> Check:
    found = health.memory_available_mb()
    if found is None:
        return Check("memory", State.WARN, "The kernel does not say how much memory is available.")
    if found < MEMORY_WARN_MB:
        state = State.FAIL if found < MEMORY_FAIL_MB else State.WARN
        return Check("memory", state, f"Only {found:.0f} MB of memory are available.", "Stop other programs.")
    return Check("memory", State.OK, f"{found / 1000:.1f} GB of memory are available.")


def secret_file(folder: Path) -> Check:
    path = folder / secrets.NAME
    if not path.exists():
        return Check("secrets", State.OK, "No secrets yet: the first start makes them.")
    try:
        secrets.check(path)
    except secrets.SecretsExposed as error:
        return Check("secrets", State.FAIL, f"{path} can be read by others.", error.message)
    return Check("secrets", State.OK, f"Only its owner can read {path}.")


def running_check(folder: Path, running: lock.Holder | None) -> Check:
    if running is None:
        return Check("running", State.WARN, f"No Millwright runs on {folder}.", UP)
    where = f" at {running.address}" if running.address else ""
    weight = pss_mb(tree(running.pid))
    return Check("running", State.OK, f"Millwright runs as process {running.pid}{where}; it uses {weight:.0f} MB.")


def parts(status: Status | None, running: lock.Holder | None) -> list[Check]:
    """Dead or restarting parts, from what the supervisor writes down."""
    if running is None or status is None:
        return []
    if (wall_now() - status.at).total_seconds() > HANGING_S:
        return [Check("parts", State.FAIL, f"The supervisor, process {status.pid}, hangs.", "Stop it and start again.")]
    found = []
    for each in status.parts:
        if each.state is PartState.WAITING:
            sentence = f"{each.name} is down ({each.last_exit}) and starts again soon; {each.restarts} restarts so far."
            found.append(Check("parts", State.FAIL, sentence, f"Read {each.log_file}."))
        elif each.restarts >= MANY_RESTARTS:
            sentence = f"{each.name} runs, after {each.restarts} restarts (last: {each.last_exit})."
            found.append(Check("parts", State.WARN, sentence, f"Read {each.log_file}."))
    return found or [Check("parts", State.OK, f"All parts run: {', '.join(each.name for each in status.parts)}.")]


def port(name: str, preferred: int, instance: Instance) -> Check:
    """Whether the next start gets the port it wants."""
    wanted = ports.kept_ports(instance.data_dir).get(name, preferred)
    found = health.listener(wanted) if wanted else None
    if found is None:
        return Check(f"{name} port", State.OK, f"Port {wanted} is free.")
    who = f"{found.name} (process {found.pid})" if found.pid else found.name
    return Check(
        f"{name} port",
        State.WARN,
        f"Port {wanted} is in use by {who}; the next start takes the next free one.",
        "Stop that program to get the port back, or set MILLWRIGHT_PORT / MILLWRIGHT_BROKER_PORT.",
    )


def database(instance: Instance) -> list[Check]:
    """Reachable, migrated, safe role, durable settings, same time as here."""
    try:
        dsn = instance.dsn("millwright_app")
    except NotRunning:
        return [Check("database", State.WARN, "The embedded database does not run.", UP)]
    except MillwrightError as error:
        return [Check("database", State.FAIL, error.message)]
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=3) as conn:
            found = [_reachable(conn), _role(conn), _schema(conn), _durable(conn), _clock(conn)]
        if any(each.state is State.FAIL for each in found):
            return found
        with instance.database.tx() as conn:
            return found + pipeline_checks(conn)
    except psycopg.OperationalError as error:
        why = str(error).strip().splitlines()[0]
        return [
            Check("database", State.FAIL, f"The database cannot be reached: {why}", "Check MILLWRIGHT_DATABASE_URL.")
        ]


def clock_sync() -> Check:
    if wall_now() < NEWER_THAN:
        return Check("clock", State.FAIL, f"This machine thinks it is {wall_now():%Y-%m-%d}.", "Set the clock.")
    found = health.clock_sync()
    if found is health.Sync.FREE:
        return Check(
            "clock",
            State.WARN,
            "This machine's clock is not kept right by a time server.",
            "Run `timedatectl set-ntp true`, or install chrony: time stamps of devices are judged by this clock.",
        )
    return Check("clock", State.OK, f"The clock is {found}.")


def broker(instance: Instance) -> list[Check]:
    """Reachable with our user, and whether it may lose messages."""
    try:
        access = instance.broker()
    except NotRunning:
        return [Check("broker", State.WARN, "The managed broker does not run.", UP)]
    except MillwrightError as error:
        return [Check("broker", State.FAIL, error.message)]
    answer = probe(access.host, access.port, user=access.user, password=access.password)
    where = f"{access.host}:{access.port}"
    if answer is None:
        return [
            Check("broker", State.FAIL, f"No broker answers on {where}.", "Start it, or check MILLWRIGHT_BROKER_URL.")
        ]
    if answer != 0:
        return [Check("broker", State.FAIL, f"The broker on {where} refuses our user.", "Check user and password.")]
    return [Check("broker", State.OK, f"The broker ({access.kind}) answers on {where}."), *_lossy(access)]


def _lossy(access: BrokerAccess) -> list[Check]:
    if access.kind == "amqtt":
        return [Check("broker", State.WARN, f"{AMQTT_LOSSY}.", "Run `apt-get install mosquitto` and start again.")]
    found = []
    told = _told(access)
    dropped = told.get(DROPPED, "0")
    if dropped.isdigit() and int(dropped):
        sentence = f"The broker has dropped {dropped} messages since it started."
        found.append(
            Check("broker", State.WARN, sentence, "See whether ingest keeps up: `millwright doctor`, /system.")
        )
    if access.kind == "external" and "mosquitto" in told.get(VERSION, ""):
        found += _bounded(access)
    return found


def _bounded(access: BrokerAccess) -> list[Check]:
    """mosquitto's default keeps 1,000 messages for an absent subscriber and drops the rest without a word."""
    remedy = "Set `max_queued_messages 10000000` and `persistence true` in mosquitto.conf."
    if access.host not in ("127.0.0.1", "::1", "localhost"):
        return [Check("broker", State.WARN, "We cannot see the queue limit of a broker on another machine.", remedy)]
    values = mosquitto_values([path for each in MOSQUITTO_CONFIGS for path in sorted(Path("/").glob(each[1:]))])
    limit = values.get("max_queued_messages", "1000")
    if not limit.isdigit() or int(limit) < ENOUGH_QUEUED:
        sentence = f"mosquitto drops messages for an absent ingest beyond {limit} (max_queued_messages)."
        sentence += " With 0, several 2.0 releases drop more instead of nothing." if limit == "0" else ""
        return [Check("broker", State.WARN, sentence, remedy)]
    return []


def mosquitto_values(files: list[Path]) -> dict[str, str]:
    """The options of mosquitto configuration files, later files winning; unreadable ones are left out."""
    values: dict[str, str] = {}
    for path in files:
        try:
            lines = path.read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        values |= dict(line.split(maxsplit=1) for line in lines if len(line.split()) > 1 and line[0] != "#")
    return values


def _told(access: BrokerAccess) -> dict[str, str]:
    """What the broker says about itself under $SYS, heard within a second; empty when it says nothing."""
    heard: dict[str, str] = {}
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(access.user, access.password)
    client.on_message = lambda _client, _data, message: heard.update({message.topic: message.payload.decode()})
    client.connect(access.host, access.port, keepalive=5)
    asked, deadline = False, time.monotonic() + 1.0
    while len(heard) < len(SYS_TOPICS) and time.monotonic() < deadline:
        client.loop(0.1)
        if client.is_connected() and not asked:
            client.subscribe([(topic, 0) for topic in SYS_TOPICS])
            asked = True
    client.disconnect()
    return heard


def _reachable(conn: Connection) -> Check:
    version, name = _one(conn, "select current_setting('server_version'), current_database()")
    return Check("database", State.OK, f"PostgreSQL {version} answers, database {name}.")


def _role(conn: Connection) -> Check:
    name, unsafe = _one(conn, "select rolname, rolsuper or rolbypassrls from pg_roles where rolname = current_user")
    if unsafe:
        return Check(
            "database",
            State.FAIL,
            f"The application logs in as {name}, who sees the rows of every site whatever the policies say.",
            "Give MILLWRIGHT_DATABASE_URL a role that is neither superuser nor BYPASSRLS.",
        )
    return Check("database", State.OK, f"The application's role {name} is bound by row-level security.")


def _schema(conn: Connection) -> Check:
    """As far as the app role may see: the tables are there. Which version is the migration's own business."""
    if _one(conn, "select to_regclass('public.tickets') is null")[0]:
        return Check("database", State.FAIL, "The schema is missing.", "Run `millwright migrate`.")
    return Check("database", State.OK, "The schema is there.")


def _durable(conn: Connection) -> Check:
    rows = conn.execute(
        """select name from pg_settings where setting = 'off'
           and name in ('fsync', 'synchronous_commit', 'full_page_writes') order by name"""
    ).fetchall()
    if rows:
        names = ", ".join(row[0] for row in rows)
        sentence = f"The database may lose what it has confirmed: {names} off."
        return Check("database", State.WARN, sentence, f"Set {names} on.")
    return Check("database", State.OK, "The database waits for the disk before it confirms.")


def _clock(conn: Connection) -> Check:
    before = wall_now()
    theirs: datetime = _one(conn, "select clock_timestamp()")[0]
    off = (theirs - before).total_seconds()
    if abs(off) > CLOCK_WARN_S:
        state = State.FAIL if abs(off) > CLOCK_FAIL_S else State.WARN
        sentence = f"The database's clock differs from ours by {off:+.1f} s."
        return Check("clock", state, sentence, "Let both machines follow a time server.")
    return Check("clock", State.OK, "The database's clock agrees with ours.")


def _one(conn: Connection, query: Any) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = conn.execute(query).fetchone()
    if row is None:
        raise psycopg.OperationalError(f"no answer to {query}")
    return row


def _within(seconds: float, name: str, work: Callable[[], list[Check]]) -> list[Check]:
    """What ``work`` finds, or that it took too long: a stopped server answers nothing, not even an error."""
    answers: queue.SimpleQueue[list[Check]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(work())
        except (OSError, psycopg.Error) as error:
            answers.put([Check(name, State.FAIL, f"The {name} does not answer as it should: {error}", "Restart it.")])

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return [Check(name, State.FAIL, f"The {name} does not answer within {seconds:.0f} s.", "Restart it.")]
