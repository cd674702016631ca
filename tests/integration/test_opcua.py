"""OPC UA from a real server that is killed, frozen and started again, into the store."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

from core.database import Database
from core.ports import reserve
from edge.errors import SourceConfig
from edge.sources.opcua import options
from ingest.connectors import Connectors
from ingest.pipeline import Pipeline
from plant.assets import bind, create_asset, create_signal
from plant.model import Quality
from tests.conftest import wait_for_port
from tests.integration.ingest_kit import ROOT, count, stored, wait_until

# counts up in one node, every value written down before it is shown; other nodes show odd things
SERVER = """
import asyncio, os, sys
from datetime import UTC, datetime
from asyncua import Server, ua

async def main(port, ledger):
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    space = await server.register_namespace("urn:test")
    folder = await server.nodes.objects.add_folder(space, "machine")
    async def node(name, value):
        return await folder.add_variable(ua.NodeId(name, space), name, value)
    counter = await node("counter", 0.0)
    await node("text", "12,5")
    await node("flag", True)
    await node("big", ua.Variant(2**63 - 1, ua.VariantType.Int64))
    bad = await node("bad", 1.0)
    doubt = await node("doubt", 1.0)
    async with server:
        for odd, status in ((bad, ua.StatusCodes.BadSensorFailure), (doubt, ua.StatusCodes.UncertainInitialValue)):
            now = datetime.now(UTC)
            await odd.write_value(ua.DataValue(ua.Variant(7.0), ua.StatusCode(status), SourceTimestamp=now))
        number = 0
        while True:
            number += 1
            now = datetime.now(UTC)
            us = int(now.timestamp()) * 1_000_000 + now.microsecond
            ledger.write(f"{us} {float(number)}\\n")
            ledger.flush()
            await counter.write_value(ua.DataValue(ua.Variant(float(number)), SourceTimestamp=now))
            await asyncio.sleep(0.05)

with open(sys.argv[2], "a") as ledger:
    asyncio.run(main(int(sys.argv[1]), ledger))
"""


@contextmanager
def opcua_server(port: int, ledger: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(port), str(ledger)], stderr=subprocess.DEVNULL, cwd=ROOT
    )
    try:
        wait_for_port(port, within_s=60)
        yield process
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
        process.wait(10)


@pytest.fixture
def connected(database: Database, site: int) -> Iterator[tuple[int, dict[str, int]]]:
    """A running pipeline with one OPC UA source; its port, and tag → signal id."""
    port, names = reserve(), ("counter", "flag", "text", "big", "bad", "doubt")
    ids: dict[str, int] = {}
    with database.tx(site_id=site) as conn:
        asset_id = create_asset(conn, code="M", name="M", asset_class="pump")
        for name in names:
            ids[name] = create_signal(conn, asset_id=asset_id, code=name, name=name, quantity="generic", unit="1")
            bind(conn, source="plc", tag=name, signal_id=ids[name])
        nodes = [{"node_id": f"ns=2;s={name}", "tag": name} for name in names]
        config = {"nodes": nodes, "allow_none": True, "publishing_ms": 100, "sampling_ms": 20, "silence_s": 3}
        conn.execute(
            "insert into sources (name, kind, url, config) values ('plc', 'opcua', %s, %s)",
            (f"opc.tcp://127.0.0.1:{port}/", Jsonb(config)),
        )
    pipeline = Pipeline(database, batch_rows=1000, linger_s=0.05, most_messages=100)
    pipeline.prepare()
    stop = threading.Event()
    parts = [pipeline.run, Connectors(database, pipeline).run]
    threads = [threading.Thread(target=run, args=(stop,)) for run in parts]
    for thread in threads:
        thread.start()
    yield port, ids
    stop.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def state(superuser: Connection) -> tuple[str, str]:
    row = superuser.execute("select state, detail from source_status where source = 'plc'").fetchone()
    return ("none", "") if row is None else (str(row[0]), str(row[1]))


@pytest.mark.slow
def test_a_server_that_is_killed_and_frozen_is_heard_again(
    connected: tuple[int, dict[str, int]], superuser: Connection, tmp_path: Path
) -> None:
    port, ids = connected
    ledger = tmp_path / "ledger"

    def kept() -> list[tuple[int, float]]:
        return [(at, value) for signal_id, at, value in stored(superuser) if signal_id == ids["counter"]]

    def more(within_s: float) -> None:
        before = len(kept())
        wait_until(lambda: len(kept()) >= before + 20, within_s=within_s, what="hearing the server")

    with opcua_server(port, ledger):
        more(30)  # leaving the block kills it with -9
    wait_until(lambda: state(superuser)[0] == "lost", within_s=20, what="noticing the kill")
    with opcua_server(port, ledger) as server:
        more(40)
        os.kill(server.pid, signal.SIGSTOP)
        wait_until(lambda: state(superuser)[0] == "lost", within_s=40, what="noticing the silence")
        os.kill(server.pid, signal.SIGCONT)
        more(40)
        wait_until(lambda: state(superuser)[0] == "connected", what="saying so")
    written = {(int(at), float(value)) for at, value in (line.split() for line in ledger.read_text().splitlines())}
    assert len(kept()) == len(set(kept()))
    assert {row for row in kept() if row[1] > 0} <= written


@pytest.mark.slow
def test_values_carry_their_status_and_what_is_no_number_is_kept_aside(
    connected: tuple[int, dict[str, int]], superuser: Connection, tmp_path: Path
) -> None:
    port, ids = connected
    with opcua_server(port, tmp_path / "ledger"):
        wait_until(lambda: count(superuser, "quarantine") >= 2, within_s=40, what="the odd values")
        wait_until(lambda: count(superuser, "samples") >= 20, within_s=20, what="the counter")
    odd = superuser.execute("select distinct reason, source, tag from quarantine order by 3").fetchall()
    assert odd == [("not_a_number", "plc", "big"), ("not_a_number", "plc", "text")]
    rows = superuser.execute("select signal_id, quality, value from samples where signal_id <> %s", (ids["counter"],))
    found = {(signal_id, quality): value for signal_id, quality, value in rows}
    assert found[ids["flag"], Quality.GOOD] == 1.0
    assert found[ids["doubt"], Quality.UNCERTAIN] == 7.0
    assert math.isnan(found[ids["bad"], Quality.BAD])  # this server tells no value with a bad status


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({}, "nodes"),
        ({"nodes": {}}, "nodes"),
        ({"nodes": [{"node_id": "ns=2;s=a"}], "allow_none": True}, "node_id and tag"),
        ({"nodes": [{"node_id": "ns=2;s=a", "tag": "a\x00"}], "allow_none": True}, "printable"),
        ({"nodes": [{"node_id": "a", "tag": "t"}, {"node_id": "b", "tag": "t"}], "allow_none": True}, "once"),
        ({"nodes": [{"node_id": "a", "tag": "t"}]}, "allow_none"),
        ({"nodes": [{"node_id": "a", "tag": "t"}], "allow_none": "yes"}, "true or false"),
        ({"nodes": [{"node_id": "a", "tag": "t"}], "allow_none": True, "silence_s": 0}, "silence_s"),
        ({"nodes": [{"node_id": "a", "tag": "t"}], "allow_none": True, "write": True}, "write"),
    ],
)
def test_a_configuration_that_does_not_fit_says_why(config: dict[str, object], why: str) -> None:
    with pytest.raises(SourceConfig, match=why):
        options(config)


def test_a_source_with_a_wrong_configuration_says_so_in_its_status(
    database: Database, site: int, superuser: Connection
) -> None:
    with database.tx(site_id=site) as conn:
        conn.execute(
            "insert into sources (name, kind, url, config) values ('plc', 'opcua', 'opc.tcp://127.0.0.1:1/', %s)",
            (Jsonb({"nodes": [{"node_id": "a", "tag": "t"}]}),),
        )
    pipeline = Pipeline(database, batch_rows=10, linger_s=0.05, most_messages=10)
    stop = threading.Event()
    thread = threading.Thread(target=Connectors(database, pipeline).run, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: "allow_none" in state(superuser)[1], what="saying why")
    finally:
        stop.set()
        thread.join(10)
