"""A database that is stopped in the middle (SIGSTOP) hangs ingest no longer than the deadline, and costs nothing."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from core.database import INGEST, Database, migrate
from core.embedded import Durability, EmbeddedServer
from core.processes import tree
from core.secrets import load_or_create
from edge.delivery import Delivery, Raw
from ingest.keeper import Keeper
from ingest.pipeline import Pipeline
from tests.integration.ingest_kit import NOW_US, START_US, batch_payload, make_plant, wait_until

DEADLINE_S = 1.0


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server that nobody else needs while it is frozen."""
    server = EmbeddedServer(tmp_path, load_or_create(tmp_path), durability=Durability.THROWAWAY)
    server.start()
    try:
        with psycopg.connect(server.dsn("postgres", database="postgres"), autocommit=True) as admin:
            admin.execute("create database plant owner millwright_owner")
        migrate(server.dsn("millwright_owner", database="plant"))
        yield server
    finally:
        server.destroy()


@pytest.fixture
def database(own_server: EmbeddedServer) -> Iterator[Database]:
    dsns = own_server.dsns(database="plant")
    found = Database(dsns.app, dsns.ingest, dsns.owner)
    found.deadline_s = DEADLINE_S
    yield found
    found.close()


def send(server: EmbeddedServer, what: signal.Signals) -> None:
    assert server.pid
    for pid in tree(server.pid):
        os.kill(pid, what)


def test_a_frozen_database_hangs_no_connection(own_server: EmbeddedServer, database: Database) -> None:
    line = database.line()
    with line.tx() as conn:
        conn.execute("select 1")
    send(own_server, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError), line.tx() as conn:
            conn.execute("select 1")
        assert time.monotonic() - began < DEADLINE_S + 2
    finally:
        send(own_server, signal.SIGCONT)
    line.close()
    with line.tx() as conn:
        assert conn.execute("select 1").fetchone() == (1,)
    line.close()


def test_what_comes_in_time_is_not_cut(database: Database) -> None:
    for _ in range(3):
        with database.ingest_tx() as conn:
            conn.execute("select pg_sleep(%s)", (DEADLINE_S / 2,))


def test_ingest_goes_on_after_a_freeze(own_server: EmbeddedServer, database: Database) -> None:
    with database.tx() as conn:
        row = conn.execute("insert into sites (code, name) values ('plant', 'Frozen') returning site_id").fetchone()
    assert row
    tags = make_plant(database, row[0])
    acked: list[int] = []
    pipeline = Pipeline(database, batch_rows=500, linger_s=0.01, most_messages=1000)
    keeper = Keeper(database, pipeline)
    stop = threading.Event()
    pipeline.prepare()
    threads = [threading.Thread(target=part.run, args=(stop,)) for part in (pipeline, keeper)]
    for thread in threads:
        thread.start()

    def send_one(seq: int) -> None:
        payload = batch_payload(tags, START_US + seq * 10_000_000, [1.0, 2.0], epoch="e", seq=seq)
        pipeline.inbox(Delivery("plant", "gw", Raw(payload), NOW_US, "mw/v1/plant/gw/b", ack=lambda: acked.append(seq)))

    try:
        send_one(1)
        wait_until(lambda: acked == [1], what="the first ack")
        send(own_server, signal.SIGSTOP)
        for seq in range(2, 20):
            send_one(seq)
        time.sleep(DEADLINE_S * 3)  # long enough that connections were cut and made in vain
        assert acked == [1]
        send(own_server, signal.SIGCONT)
        wait_until(lambda: len(acked) == 19, within_s=30, what="the other acks")
        assert sorted(acked) == list(range(1, 20))
    finally:
        send(own_server, signal.SIGCONT)
        stop.set()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
    with database.connect(role=INGEST) as conn:
        rows = conn.execute("select count(*), count(distinct (signal_id, at)) from samples").fetchone()
    assert rows == (19 * 2 * len(tags), 19 * 2 * len(tags))
