"""Back-tests over HTTP, and the process that runs one: it tells how far it is, and ends when it is cancelled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from api import backtesting
from api.commands.parts import instance_of
from core import clock, jobs
from core.database import Database
from core.embedded import EmbeddedServer
from core.settings import settings
from maintenance import backtest_runs
from maintenance.backtest_runs import Asked, Kept
from maintenance.errors import BadPolicy
from maintenance.policies import Scope
from tests.api_world import API, World, cloned, living, problem
from tests.integration.test_maintenance_line import T0
from tests.integration.test_replay import Recorded
from tests.integration.test_replay_command import instance, sandboxes
from tickets import hooks

__all__ = ["instance"]
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("backtests")) as made:
        with hooks.only():
            Recorded(database, made.alpha).live_to(2)
        yield made


def test_one_is_asked_for_watched_and_cancelled(world: World) -> None:
    planner, place = world.as_("planner"), f"{API}/maintenance/backtests"
    body = {"asset_class": "pump", "settings": {"persist_h": 4}, "days": 30}
    assert world.as_("engineer").post(place, json=body).status_code == 403
    assert problem(planner.post(place, json={**body, "settings": {"travel": -1}}))["code"] == "bad_policy"
    assert problem(planner.post(place, json={**body, "gate_id": 99}))["code"] == "not_found"
    asked = planner.post(place, json=body, headers={"idempotency-key": "one"})
    assert asked.status_code == 202 and asked.json()["state"] == "waiting" and asked.json()["result"] is None
    again = planner.post(place, json=body, headers={"idempotency-key": "one"})
    assert again.json()["backtest_id"] == asked.json()["backtest_id"]
    one = asked.headers["location"]
    assert planner.get(one).json() == asked.json()
    same = planner.post(f"{place}/matching", json={k: v for k, v in body.items() if k != "days"}).json()
    assert same["config_hash"] == asked.json()["config_hash"]
    assert [each["backtest_id"] for each in same["backtests"]] == [asked.json()["backtest_id"]]
    assert planner.post(f"{place}/matching", json={}).json()["backtests"] == []
    assert world.as_("stranger").get(one).status_code == 404
    assert planner.post(f"{one}/cancel").json()["state"] == "cancelled"
    assert problem(planner.post(f"{one}/cancel"))["code"] == "backtest_over"
    assert [each["state"] for each in planner.get(place).json()] == ["cancelled"]


def ask(database: Database, site: int) -> int:
    with database.tx(site_id=site) as conn:
        asked = Asked({"persist_h": 4.0}, Scope("pump"), (), 30)
        return backtest_runs.ask(conn, asked, by="P", now=clock.load(conn).now()).backtest_id


def until(database: Database, site: int, number: int, seen: Callable[[Kept], bool]) -> Kept:
    deadline = time.monotonic() + 90
    while True:
        with database.tx(site_id=site) as conn:
            kept = backtest_runs.get(conn, number)
        if seen(kept):
            return kept
        assert time.monotonic() < deadline, kept
        time.sleep(0.05)


def test_a_process_of_its_own_runs_it(database: Database, site: int, server: Any, instance: None) -> None:
    with hooks.only():
        Recorded(database, site).live_to(2)
    number = ask(database, site)
    jobs.run_periodic(database, "backtests")
    try:
        done = until(database, site, number, lambda kept: kept.state not in ("waiting", "running"))
        assert done.state == "done" and done.progress == 1.0 and done.why == "", done
        assert done.result is not None and done.result["orders"] == 0 and done.from_at >= T0 - DAY

        assert backtesting.CHILDREN[site].wait(30) == 0
        other = ask(database, site)
        jobs.run_periodic(database, "backtests")
        until(database, site, other, lambda kept: kept.state == "running")
        with database.tx(site_id=site) as conn:
            backtest_runs.cancel(conn, other, now=clock.load(conn).now())
        backtesting.CHILDREN[site].wait(60)  # before or at its next beat
        assert until(database, site, other, lambda _kept: True).state == "cancelled"
        assert sandboxes(server) == 0
    finally:
        backtesting.stop()


def test_what_cannot_run_says_why(database: Database, site: int, instance: None) -> None:
    with hooks.only():
        Recorded(database, site).live_to(1)
    number = ask(database, site)
    with database.tx(site_id=site) as conn:
        conn.execute("""update backtests set config = jsonb_set(config, '{settings}', '{"travel": -1}')""")
        kept = backtest_runs.start(conn, number)
    assert kept is not None
    with pytest.raises(BadPolicy):
        backtesting.run(instance_of(settings()), "", site, kept)
    with database.tx(site_id=site) as conn:
        failed = backtest_runs.get(conn, number)
    assert failed.state == "failed" and "not negative" in failed.why
