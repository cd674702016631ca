"""``millwright up``: the database, the broker and the parts as one supervised tree of processes."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import httpx

from api import backing, broker_watch, devices, first
from api.instance import Endpoints, Instance
from api.supervisor import CommandPart, ServerPart, Supervisor
from core import log, places
from core.broker import Broker, BrokerInfo, Kind
from core.broker_log import Denials
from core.database import Database
from core.embedded import EmbeddedServer
from core.errors import Unavailable
from core.lock import Lock
from core.ports import Ports
from ingest.run import workers

READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """A tree that serves. ``first`` says whether this was the instance's first start."""

    instance: Instance
    address: str
    broker: BrokerInfo | None
    supervisor: Supervisor
    first: bool


def run(instance: Instance, *, on_ready: Callable[[Running], None], say: Callable[[str], None]) -> None:
    """Start everything, call ``on_ready`` when the web answers, and keep it running until a signal."""
    instance.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Lock(instance.data_dir) as lock, Supervisor(instance.data_dir) as supervisor:
        ports = Ports(instance.data_dir)
        port = ports.choose("web", instance.settings.port, host=instance.settings.host)
        address = f"http://{instance.settings.host}:{port}"
        lock.tell(address)
        server = _database(instance, supervisor, say)
        database = _handle(instance, server)
        say("bringing the schema up to date …")
        fresh = first.prepare(database, instance.settings)
        denials = Denials()
        broker = _broker(instance, supervisor, ports, database, denials, say)
        _endpoints(address, server, broker).write(instance.data_dir)
        _parts(instance, supervisor, port)
        backing.start(instance, supervisor, server, say)
        if broker:
            supervisor.every(1.0, broker_watch.Watch(database, broker, denials).look)
        _until_it_answers(address, supervisor)
        if not supervisor.stopping:
            on_ready(Running(instance, address, broker.info if broker else None, supervisor, fresh))
        supervisor.run()
        say("stopping …")
        database.close()


def destroy(instance: Instance) -> None:
    """Delete all that an instance keeps; nothing may run on it. Raises AlreadyRunning."""
    if not instance.data_dir.exists():
        return
    with Lock(instance.data_dir):
        EmbeddedServer(instance.data_dir, instance.secrets).destroy()
        places.forget(instance.secrets.instance_id)
        shutil.rmtree(instance.data_dir)


def _database(instance: Instance, supervisor: Supervisor, say: Callable[[str], None]) -> EmbeddedServer | None:
    if instance.settings.database_url:
        say("using your own database server")
        return None
    server = EmbeddedServer(instance.data_dir, instance.secrets)
    say("starting the embedded PostgreSQL …")
    supervisor.start(ServerPart("database", server, server.log))
    return server


def _handle(instance: Instance, server: EmbeddedServer | None) -> Database:
    if server is None:
        return instance.database
    dsns = server.dsns()
    return Database(dsns.app, dsns.ingest, dsns.owner, statement_timeout_s=instance.settings.statement_timeout_s)


def _broker(
    instance: Instance,
    supervisor: Supervisor,
    ports: Ports,
    database: Database,
    denials: Denials,
    say: Callable[[str], None],
) -> Broker | None:
    if instance.settings.broker_url:
        say("using your own broker")
        return None
    with database.ingest_tx() as conn:
        users, revoked = devices.broker_users(conn), devices.revoked_certificates(conn)
    broker = Broker(
        instance.data_dir,
        instance.secrets,
        port=ports.choose("broker", instance.settings.broker_port),
        kind=Kind(instance.settings.broker_kind),
        users=users,
        revoked=revoked,
        listeners=broker_watch.listeners(instance.settings),
        denials=denials,
    )
    supervisor.start(ServerPart("broker", broker, broker.log_file))
    say(f"broker: {broker.info.kind} {broker.info.version} on port {broker.info.port}")
    if broker.info.lossy:
        say(f"note: {broker.info.lossy}")
    return broker


def _endpoints(address: str, server: EmbeddedServer | None, broker: Broker | None) -> Endpoints:
    return Endpoints(
        address=address,
        database_host=server.host if server else "",
        database_port=server.listen_port if server else 0,
        broker_kind=str(broker.info.kind) if broker else "external",
        broker_host=broker.info.host if broker else "",
        broker_port=broker.info.port if broker else 0,
        tls_port=broker.listeners.tls_port if broker else None,
        certificate_port=broker.listeners.certificate_port if broker else None,
    )


def _parts(instance: Instance, supervisor: Supervisor, port: int) -> None:
    environment = {"MILLWRIGHT_DATA_DIR": str(instance.data_dir), "PYTHONUNBUFFERED": "1"}
    count = workers(instance.settings.ingest_workers, instance.broker().kind)
    if count < instance.settings.ingest_workers:
        log.get("up").warning("ingest.one_worker", why="amqtt has no shared subscriptions; install mosquitto for more")
    verbs = {
        "ingest": ["ingest"],
        **{f"ingest-{worker}": ["ingest", "--worker", str(worker)] for worker in range(2, count + 1)},
        "detect": ["detect"],
        "worker": ["worker"],
        "serve": ["serve", "--host", instance.settings.host, "--port", str(port)],
    }
    for name, arguments in verbs.items():
        command = [sys.executable, "-m", "api.cli", *arguments]
        supervisor.start(CommandPart(name, command, instance.data_dir / "logs" / f"{name}.log", environment))


def _until_it_answers(address: str, supervisor: Supervisor) -> None:
    """Wait for the web server. Raises Unavailable with where to look when it does not come."""
    if not supervisor.wait_for(lambda: _answers(address), within_s=READY_S) and not supervisor.stopping:
        logs = ", ".join(part.log_file for part in supervisor.status().parts)
        raise Unavailable(f"The web server does not answer at {address} within {READY_S:.0f} s. Look into {logs}.")


def _answers(address: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{address}/health/live", timeout=2.0, trust_env=False).status_code == httpx.codes.OK
    return False
