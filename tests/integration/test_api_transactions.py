"""One request, one transaction: committed before the answer, once for a key, never over somebody else's change."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from psycopg import Connection

from api.app import create_app
from core.database import Database
from core.embedded import EmbeddedServer
from core.ports import reserve
from core.settings import Settings
from tests.api_world import API, World, cloned, living, problem, seeded, served, ticket, tickets


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for the tests that leave it as good as they found it."""
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("world")) as running:
        yield seeded(running)


@pytest.fixture
def fresh(database: Database, tmp_path: Path) -> Iterator[World]:
    """A world of the test's own, on the database that ``superuser`` sees."""
    with living(database, tmp_path) as running:
        yield seeded(running)


# one transaction ------------------------------------------------------------------------------------------------------


def test_the_commit_comes_before_the_answer(fresh: World, superuser: Connection) -> None:
    """A commit that fails must not have been answered with 201."""
    superuser.execute(
        """create function refuse_late() returns trigger language plpgsql as $$
             begin raise exception 'too late' using errcode = 'serialization_failure'; end $$;
           create constraint trigger late after insert on tickets deferrable initially deferred
             for each row execute function refuse_late()"""
    )
    answer = fresh.as_("planner").post(f"{API}/tickets", json={"kind": "request", "title": "t"})
    assert problem(answer)["code"] == "unavailable" and answer.headers["retry-after"]
    assert superuser.execute("select count(*) from tickets").fetchone() == (0,)


def test_an_answer_can_be_read_back_by_anyone_at_once(world: World) -> None:
    for _ in range(30):
        made = ticket(world)
        assert world.as_("manager").get(f"{API}/tickets/{made['ticket_id']}").status_code == 200


def test_an_error_in_the_endpoint_rolls_back_and_tells_nothing(fresh: World, superuser: Connection) -> None:
    superuser.execute("alter table ticket_events rename to elsewhere")
    answer = fresh.as_("planner").post(f"{API}/tickets", json={"kind": "request", "title": "t"})
    said = problem(answer)
    assert answer.status_code == 500 and said["code"] == "unexpected"
    assert "ticket_events" not in answer.text and "Traceback" not in answer.text
    superuser.execute("alter table elsewhere rename to ticket_events")
    assert superuser.execute("select count(*) from tickets").fetchone() == (0,)
    ticket(fresh)


# the same again -------------------------------------------------------------------------------------------------------


def test_the_same_key_and_request_give_the_same_answer(world: World) -> None:
    planner, key, before = world.as_("planner"), {"Idempotency-Key": "k-1"}, tickets(world)
    body = {"kind": "request", "title": "once"}
    first, second = (planner.post(f"{API}/tickets", json=body, headers=key) for _ in range(2))
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert second.headers["idempotency-replayed"] == "true" and second.headers["etag"] == first.headers["etag"]
    other = planner.post(f"{API}/tickets", json=body | {"title": "twice"}, headers=key)
    assert problem(other)["code"] == "idempotency_key_reused"
    assert problem(planner.post(f"{API}/tickets", json=body, headers={"Idempotency-Key": "a b"}))["status"] == 422
    assert problem(planner.post(f"{API}/tickets", json=body, headers={"Idempotency-Key": "k" * 201}))["status"] == 422
    theirs = world.as_("manager").post(f"{API}/tickets", json=body, headers=key)
    assert theirs.json()["ticket_id"] != first.json()["ticket_id"]
    assert tickets(world) == before + 2


def test_a_failed_request_leaves_its_key_free(world: World) -> None:
    planner, key = world.as_("planner"), {"Idempotency-Key": "k-2"}
    body = {"kind": "request", "title": "t", "asset_id": 999_999}
    assert planner.post(f"{API}/tickets", json=body, headers=key).status_code == 404
    assert planner.post(f"{API}/tickets", json={"kind": "request", "title": "t"}, headers=key).status_code == 201


def test_eight_at_once_have_one_effect(fresh: World, superuser: Connection) -> None:
    body = {"kind": "request", "title": "once"}
    for round_ in range(5):
        key, start = {"Idempotency-Key": f"race-{round_}"}, threading.Barrier(8)

        def send(_number: int, key: dict[str, str] = key, start: threading.Barrier = start) -> tuple[int, bytes]:
            start.wait()
            answer = fresh.as_("planner").post(f"{API}/tickets", json=body, headers=key)
            return answer.status_code, answer.content

        with ThreadPoolExecutor(8) as pool:
            answers = set(pool.map(send, range(8)))
        assert len(answers) == 1 and next(iter(answers))[0] == 201
    assert superuser.execute("select count(*) from tickets").fetchone() == (5,)


def test_a_secret_is_not_kept_for_a_repeated_key(fresh: World, superuser: Connection) -> None:
    admin, key = fresh.as_("admin"), {"Idempotency-Key": "device"}
    made = admin.post(f"{API}/devices", json={"name": "gw"}, headers=key)
    assert made.status_code == 201
    assert problem(admin.post(f"{API}/devices", json={"name": "gw"}, headers=key))["code"] == "shown_once"
    kept = superuser.execute("select string_agg(i::text, ' ') from idempotency i").fetchone()
    assert kept and made.json()["secret"] not in kept[0]


def test_eight_writers_lose_no_update(world: World) -> None:
    """Each answered success is exactly one version."""
    made = ticket(world)
    path, start = f"{API}/tickets/{made['ticket_id']}", threading.Barrier(8)

    def write(number: int) -> int:
        client, done = world.as_("planner"), 0
        start.wait()
        for turn in range(5):
            version = client.get(path).headers["etag"]
            answer = client.patch(path, json={"title": f"{number}.{turn}"}, headers={"If-Match": version})
            assert answer.status_code in (200, 412), answer.text
            done += answer.status_code == 200
        return done

    with ThreadPoolExecutor(8) as pool:
        done = sum(pool.map(write, range(8)))
    assert world.as_("planner").get(path).json()["version"] == made["version"] + done


# trouble --------------------------------------------------------------------------------------------------------------


def test_a_hanging_database_is_a_503_within_the_deadline(
    database: Database, tmp_path: Path, superuser: Connection
) -> None:
    with living(database, tmp_path, deadline_s=1.0) as world:
        assert world.as_("planner").get(f"{API}/tickets").status_code == 200
        with superuser.transaction():
            superuser.execute("lock table tickets in access exclusive mode")
            started = time.monotonic()
            answer = world.as_("planner").get(f"{API}/tickets")
            assert time.monotonic() - started < 3
            assert problem(answer)["code"] == "unavailable" and int(answer.headers["retry-after"]) > 0
            assert world.as_(None).get("/health/live").status_code == 200
            assert world.as_(None).get("/health/ready").status_code == 200
        assert world.as_("planner").get(f"{API}/tickets").status_code == 200


def test_no_database_is_a_503_and_not_ready(tmp_path: Path) -> None:
    nowhere = f"host=127.0.0.1 port={reserve()} dbname=x user=x"
    database = Database(nowhere, nowhere, nowhere)
    with served(create_app(database, settings=Settings(data_dir=tmp_path))) as address:
        answer = httpx.get(f"{address}{API}/me", headers={"authorization": "Bearer mwt_x"}, timeout=20)
        assert problem(answer)["code"] == "unavailable" and answer.headers["retry-after"]
        ready = httpx.get(f"{address}/health/ready", timeout=20)
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert httpx.get(f"{address}/health/live").status_code == 200
    database.close()


def test_a_restarted_database_is_found_again(fresh: World, superuser: Connection) -> None:
    planner = fresh.as_("planner")
    assert planner.get(f"{API}/me").status_code == 200
    superuser.execute(
        """select pg_terminate_backend(pid) from pg_stat_activity
           where usename = 'millwright_app' and datname = current_database()"""
    )
    assert planner.get(f"{API}/me").status_code == 200, "a dead connection is replaced, not handed out"


def test_health_and_metrics_need_no_account(world: World) -> None:
    client = world.as_(None)
    assert client.get("/health/ready").json()["status"] == "ok"
    assert client.get(f"{API}/health").json()["checks"][0] == {"name": "database", "ok": True, "detail": ""}
    client.get(f"{API}/me")
    text = client.get("/metrics").text
    assert 'millwright_http_requests_total{method="GET",route="/me",status="401"} ' in text
    assert 'millwright_detector_lag_seconds{site="alpha"}' in text
    assert client.get("/metrics", headers={"x-forwarded-for": "192.0.2.1"}).status_code == 403
    clock = client.get(f"{API}/clock").json()
    assert clock["now"].endswith("Z") and clock["factor"] == 1.0
