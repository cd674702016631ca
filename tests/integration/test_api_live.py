"""Live events: told after the commit, to the right site, never too often."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg import Connection, Notify

from api import live as events
from core import live
from core.database import Database
from tests.api_world import API, World, living, problem

Told = tuple[str, Any]


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    with living(database, tmp_path) as running:
        wait_until(running.app.state.hub.listening.is_set)
        yield running


def wait_until(condition: Any, *, within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@contextmanager
def listening(world: World, login: str, **params: str) -> Iterator[Iterator[Told]]:
    """The events of an open stream; hello has come."""
    with world.as_(login).stream("GET", f"{API}/events", params=params, timeout=10) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = _parse(answer.iter_lines())
        assert next(told)[0] == "hello"
        yield told


def _parse(lines: Iterator[str]) -> Iterator[Told]:
    name = ""
    for line in lines:
        if line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            yield name, json.loads(line.removeprefix("data:"))["id"]


def announce(database: Database, site_id: int, topic: str, ident: int) -> None:
    with database.tx(site_id=site_id) as conn:
        live.announce(conn, topic, ident)


class Undone(Exception):
    pass


def test_an_event_comes_after_the_commit_and_only_then(world: World) -> None:
    with listening(world, "planner") as told:
        with pytest.raises(Undone), world.database.tx(site_id=world.alpha) as conn:
            live.announce(conn, "ticket", 1)
            raise Undone
        made = world.as_("manager").post(f"{API}/tickets", json={"kind": "request", "title": "t"}).json()
        assert next(told) == ("ticket", made["ticket_id"])
        assert world.as_("planner").get(f"{API}/tickets/{made['ticket_id']}").status_code == 200


def test_another_site_hears_nothing_of_it(world: World) -> None:
    with listening(world, "stranger") as told:
        announce(world.database, world.alpha, "alarm", 1)
        announce(world.database, world.beta, "alarm", 2)
        assert next(told) == ("alarm", 2)


def test_the_site_may_be_named_in_the_address(world: World) -> None:
    assert problem(world.as_("planner").get(f"{API}/events", params={"site": "beta"}))["status"] == 404
    with listening(world, "planner", site="alpha") as told:
        announce(world.database, world.alpha, "asset", 3)
        assert next(told) == ("asset", 3)


def test_a_requester_hears_only_notices(world: World) -> None:
    with listening(world, "requester") as told:
        announce(world.database, world.alpha, "ticket", 1)
        announce(world.database, world.alpha, "notification", 2)
        assert next(told) == ("notification", 2)


def test_new_samples_are_told_at_most_once_a_second(world: World) -> None:
    with listening(world, "planner") as told:
        started, sent = time.monotonic(), 0
        while time.monotonic() - started < 2.5:
            with world.database.ingest_tx() as conn:
                conn.execute("select pg_notify('millwright_samples', %s)", (str(world.alpha),))
            sent += 1
        announce(world.database, world.alpha, "ticket", 9)
        heard = 0
        while next(told) != ("ticket", 9):
            heard += 1
        assert sent > 20 and 2 <= heard <= 1 + (time.monotonic() - started) / events.TELEMETRY_EVERY_S


def test_a_lost_connection_is_opened_again_and_said(world: World, superuser: Connection) -> None:
    with listening(world, "planner") as told:
        superuser.execute("select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen%'")
        assert next(told) == ("hello", None)
        announce(world.database, world.alpha, "ticket", 5)
        assert next(told) == ("ticket", 5)


def test_a_stream_that_does_not_read_is_dropped(database: Database) -> None:
    async def flood() -> events.Subscriber:
        hub = events.Hub(database)
        slow = hub.subscribe(1, frozenset(events.TOPICS))
        for number in range(events.QUEUE + 5):
            hub.take(Notify(live.CHANNEL, json.dumps({"site": 1, "topic": "ticket", "id": number}), 1))
        assert slow not in hub._subscribers
        return slow

    slow = asyncio.run(flood())
    kept = [slow.queue.get_nowait() for _ in range(slow.queue.qsize())]
    assert kept[-1] is events.END and len(kept) == events.QUEUE


def test_strange_notices_do_no_harm(database: Database) -> None:
    async def hear() -> None:
        hub = events.Hub(database)
        for payload in ("", "nonsense", "{}", '{"site": "x"}', "[]", "null"):
            hub.take(Notify(live.CHANNEL, payload, 1))
            hub.take(Notify(events.SAMPLES, payload, 1))

    asyncio.run(hear())


def test_a_stream_ends_with_its_sign_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "STILL_IN_S", 0.0)
    with world.browser() as browser:
        browser.headers["authorization"] = f"Bearer {world.tokens['manager']}"
        with browser.stream("GET", f"{API}/events", timeout=10) as answer:
            lines = answer.iter_lines()
            assert next(_parse(lines))[0] == "hello"
            assert world.as_("manager").delete(f"{API}/session").status_code == 204
            announce(world.database, world.alpha, "ticket", 1)
            assert list(_parse(lines)) == []


def test_many_streams_close_with_the_server(database: Database, tmp_path: Path) -> None:
    with living(database, tmp_path) as world:
        client = httpx.Client(base_url=world.address, headers={"authorization": f"Bearer {world.tokens['planner']}"})
        answers = [client.send(client.build_request("GET", f"{API}/events"), stream=True) for _ in range(5)]
        started = time.monotonic()
    assert time.monotonic() - started < 8
    for answer in answers:
        answer.close()
    client.close()
