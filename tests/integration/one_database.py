"""Fixtures for a file whose tests share one database: each test has a transaction of its own that is rolled back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import Connection

from core.database import Database
from core.embedded import EmbeddedServer
from tests.api_world import cloned
from tests.external_server import ExternalServer


class RolledBack(Exception):
    """Ends a test's transaction."""


@pytest.fixture(scope="module")
def shared(server: EmbeddedServer | ExternalServer) -> Iterator[tuple[Database, int]]:
    """The file's database, and a site in it."""
    with cloned(server) as database:
        with database.tx() as conn:
            query = "insert into sites (code, name) values ('plant', 'Test plant') returning site_id"
            row = conn.execute(query).fetchone()
        assert row
        yield database, int(row[0])


@pytest.fixture
def conn(shared: tuple[Database, int]) -> Iterator[Connection]:
    """The app role in a transaction on the site."""
    database, site_id = shared
    try:
        with database.tx(site_id=site_id) as connection:
            yield connection
            raise RolledBack
    except RolledBack:
        pass
