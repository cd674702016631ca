"""A server of one's own by one setting: any log-in that may create tables will do."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest

from api import first
from api.instance import Instance
from core import jobs
from core.database import refuse_unsafe_role
from core.embedded import EmbeddedServer
from core.settings import Settings


@pytest.fixture
def own(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance whose only database setting is the DSN of an administrator."""
    name = f"own_{os.getpid()}"
    admin = server.dsn("postgres", database="postgres")
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute(f"create database {name}")  # type: ignore[arg-type]
    instance = Instance(
        Settings(data_dir=tmp_path_factory.mktemp("own"), database_url=server.dsn("postgres", database=name))
    )
    yield instance
    instance.database.close()
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute(f"drop database {name} with (force)")  # type: ignore[arg-type]


def test_it_is_prepared_once_and_isolation_holds(own: Instance) -> None:
    assert first.prepare(own.database, own.settings) is True
    assert first.prepare(own.database, own.settings) is False
    with own.database.tx() as conn:
        refuse_unsafe_role(conn)
        site = conn.execute("select site_id from sites").fetchone()
        assert conn.execute("select count(*) from articles").fetchone() == (0,)  # no site, no rows
    assert site
    with own.database.tx(site_id=site[0]) as conn:
        count = conn.execute("select count(*) from articles").fetchone()
        assert conn.execute("select current_user").fetchone() == ("millwright_app",)
    assert count and count[0] > 10
    with own.database.ingest_tx() as conn:
        assert conn.execute("select current_user").fetchone() == ("millwright_ingest",)


def test_jobs_run_there_too(own: Instance) -> None:
    first.prepare(own.database, own.settings)
    assert jobs.run_due(own.database) == 0
