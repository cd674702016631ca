"""What another site has answers like what nobody has, also where nothing would be shown; a job stays on its site."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core import jobs
from core.database import Database
from core.embedded import EmbeddedServer
from core.errors import ConfigError
from tests.api_world import API, World, cloned, living, problem, seeded, ticket
from tests.external_server import ExternalServer

NOBODY_HAS = 2_000_000_000


@pytest.fixture(scope="module")
def world(server: EmbeddedServer | ExternalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("alike")) as made:
        yield seeded(made)


def test_the_parts_and_needs_of_a_foreign_order_are_not_there(world: World) -> None:
    ticket_id = ticket(world)["ticket_id"]
    for room in ("needs", "parts"):
        assert world.as_("planner").get(f"{API}/tickets/{ticket_id}/{room}").status_code == 200
        for number in (ticket_id, NOBODY_HAS):
            told = problem(world.as_("stranger").get(f"{API}/tickets/{number}/{room}"))
            assert (told["status"], told["detail"]) == (404, f"There is no ticket {number} on this site.")


def test_what_no_webhook_sent_and_no_engineer_shows_is_not_there(world: World) -> None:
    manager = world.as_("manager")
    assert problem(manager.get(f"{API}/webhooks/{NOBODY_HAS}/deliveries"))["status"] == 404
    assert problem(manager.delete(f"{API}/engineers/{NOBODY_HAS}/calendar"))["status"] == 404


def test_a_job_runs_on_the_site_it_is_asked_for_on(
    database: Database, site: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(jobs.HANDLERS, "test.site", lambda _conn, _payload, _now: None)
    with pytest.raises(ConfigError, match="another site"), database.tx(site_id=site) as conn:
        jobs.later(conn, "test.site", {"site_id": site + 1})
