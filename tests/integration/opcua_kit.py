"""What the OPC UA tests share: a real server in a process of its own, a proxy that can hold, and a pipeline.

The server writes every value into its ledger before it shows it, and its history is that ledger: whatever a machine has
measured can be had, so that a value missing in the store was lost by us.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.database import Database
from core.ports import reserve
from ingest.connectors import Connectors
from ingest.pipeline import Pipeline
from plant.assets import bind, create_asset, create_signal
from tests.conftest import wait_for_port
from tests.integration.ingest_kit import ROOT, wait_until

# argv: port, ledger, history (1/0), nodes, period s
SERVER = """
import asyncio, os, sys
from datetime import UTC, datetime, timedelta
from asyncua import Server, ua
from asyncua.server.history import HistoryStorageInterface

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

class Ledger(HistoryStorageInterface):
    def __init__(self, path):
        super().__init__(max_history_data_response_size=40)  # small: continuation points are used
        self.file, self.rows = open(path, "a+"), {}
        self.file.seek(0)
        for line in self.file:
            if line.endswith("\\n"):
                name, us, value = line.split()
                self.keep(name, int(us), float(value))

    def keep(self, name, us, value):
        self.rows.setdefault(name, []).append((us, value))

    def write(self, name, us, value):
        self.file.write(f"{name} {us} {value}\\n")
        self.file.flush()
        self.keep(name, us, value)

    async def init(self): pass
    async def stop(self): pass
    async def new_historized_node(self, node_id, period, count=0): pass
    async def save_node_value(self, node_id, datavalue): pass

    async def read_node_history(self, node_id, start, end, nb_values):
        def us(at):
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            return (at - EPOCH) // timedelta(microseconds=1)
        rows = [row for row in self.rows.get(str(node_id.Identifier), []) if us(start) <= row[0] <= us(end)]
        most = self.max_history_data_response_size
        more = EPOCH + timedelta(microseconds=rows[most][0]) if len(rows) > most else None
        return [data(*row) for row in rows[:most]], more

def data(us, value):
    at = EPOCH + timedelta(microseconds=us)
    return ua.DataValue(ua.Variant(value, ua.VariantType.Double), SourceTimestamp=at, ServerTimestamp=at)

async def main(port, path, with_history, count, period):
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    ledger = Ledger(path)
    server.iserver.history_manager.set_storage(ledger)
    space = await server.register_namespace("urn:test")
    folder = await server.nodes.objects.add_folder(space, "machine")
    nodes = {}
    for index in range(count):
        name = f"n{index}"
        rows = ledger.rows.get(name)
        nodes[name] = await folder.add_variable(ua.NodeId(name, space), name, 0.0)
        if rows:
            await nodes[name].write_value(data(*rows[-1]))
    async with server:
        for node in nodes.values() if with_history else []:
            await server.iserver.enable_history_data_change(node)
        number = 0
        while True:
            number += 1
            name = f"n{number % count}"
            us = (datetime.now(UTC) - EPOCH) // timedelta(microseconds=1)
            ledger.write(name, us, float(number))
            await nodes[name].write_value(data(us, float(number)))
            await asyncio.sleep(period)

asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3] == "1", int(sys.argv[4]), float(sys.argv[5])))
"""


class Plc:
    """A server that is started, killed, frozen and thawed; it goes on where its ledger ends."""

    def __init__(self, folder: Path, *, history: bool = True, nodes: int = 4, period_s: float = 0.02) -> None:
        self.port = reserve()
        self.ledger = folder / "ledger"
        self._arguments = [str(self.port), str(self.ledger), str(int(history)), str(nodes), str(period_s)]
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", SERVER, *self._arguments], cwd=ROOT, stdout=log, stderr=log
            )
        wait_for_port(self.port, within_s=60)

    def kill(self) -> None:
        if self._process is not None:
            self._signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def written(self) -> set[tuple[str, int, float]]:
        """Everything measured so far."""
        lines = self.ledger.read_text().splitlines(keepends=True)
        return {(n, int(us), float(v)) for n, us, v in (line.split() for line in lines if line.endswith("\n"))}


class Proxy:
    """A TCP proxy in front of a server; it can hold everything (a black hole that still accepts) or cut every line."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._open = threading.Event()
        self._open.set()
        self._over = threading.Event()
        self._sockets: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        """Pass nothing on, and close nothing."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def cut(self) -> None:
        """Reset every connection."""
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._sockets.clear()

    def close(self) -> None:
        self._over.set()
        self._open.set()
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._server.accept()
                server = socket.create_connection(("127.0.0.1", self.target), 2)
            except OSError:
                if self._over.is_set():
                    return
                with suppress(OSError, UnboundLocalError):
                    client.close()
                continue
            self._sockets += [client, server]
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                self._open.wait()
                other.sendall(data)
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def machine(database: Database, site: int, names: list[str], *, source: str = "plc") -> dict[str, int]:
    """An asset with a signal a name, each bound to the source's tag of that name; name → signal id."""
    ids = {}
    with database.tx(site_id=site) as conn:
        asset_id = create_asset(conn, code="M", name="M", asset_class="pump")
        for name in names:
            ids[name] = create_signal(conn, asset_id=asset_id, code=name, name=name, quantity="generic", unit="1")
            bind(conn, source=source, tag=name, signal_id=ids[name])
    return ids


def configure(database: Database, site: int, url: str, names: list[str], **config: object) -> None:
    """One OPC UA source `plc`, quick to notice."""
    nodes = [{"node_id": f"ns=2;s={name}", "tag": name} for name in names]
    quick = {"allow_none": True, "publishing_ms": 100, "sampling_ms": 10, "silence_s": 2, "settle_s": 0.3}
    with database.tx(site_id=site) as conn:
        conn.execute(
            "insert into sources (name, kind, url, config) values ('plc', 'opcua', %s, %s)",
            (url, Jsonb({"nodes": nodes, **quick, **config})),
        )


@contextmanager
def hearing(database: Database, folder: Path) -> Iterator[None]:
    """The storing thread and the connectors of one ingest process."""
    pipeline = Pipeline(database, batch_rows=1000, linger_s=0.05, most_messages=100)
    pipeline.prepare()
    stop = threading.Event()
    parts: list[Callable[[threading.Event], None]] = [
        pipeline.run,
        Connectors(database, pipeline, folder=folder).run,
    ]
    threads = [threading.Thread(target=run, args=(stop,)) for run in parts]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()


def state(superuser: Connection) -> tuple[str, str]:
    row = superuser.execute("select state, detail from source_status where source = 'plc'").fetchone()
    return ("none", "") if row is None else (str(row[0]), str(row[1]))


def reaches(superuser: Connection, wanted: str, *, within_s: float = 30.0) -> str:
    """Wait for a state; returns its detail."""
    wait_until(lambda: state(superuser)[0] == wanted, within_s=within_s, what=f"becoming {wanted}")
    return state(superuser)[1]


def kept(superuser: Connection) -> list[tuple[str, int, float]]:
    """Every stored sample: signal code, µs, value."""
    rows = superuser.execute(
        "select code, (extract(epoch from at) * 1000000)::int8, value from samples join signals using (signal_id)"
    )
    return rows.fetchall()


def gaps(superuser: Connection) -> list[tuple[str, str]]:
    """Fate and reason of every gap, oldest first."""
    return superuser.execute("select fill, why from source_gaps order by from_at").fetchall()
