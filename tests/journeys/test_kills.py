"""kill -9 of every part in the middle of a journey loses and doubles nothing."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from benchmarks import journey
from benchmarks.instance import Running, Simulator, wait_until
from benchmarks.ledgers import compare
from core import clock
from simulators import config, ledger, plants, stage
from tests.conftest import missing
from tickets import store as ticket_store

KILLS = 20
VICTIMS = ("ingest", "detect", "serve", "worker", "database")
BETWEEN_S = (0.8, 2.2)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

Killed = tuple[Running, Path, dict[str, int]]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """A small plant that lives while its instance's parts are killed, and then comes to rest."""
    if not (shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")):
        missing("mosquitto", "amqtt keeps nothing over a restart of its clients. Run apt-get install mosquitto")
    folder = tmp_path_factory.mktemp("kills")
    live_us = int(clock.wall_now().timestamp()) // 3600 * 3_600_000_000
    plant = plants.plant("quick:5", live_us=live_us)
    with Running(folder / "instance") as up:
        journey.set_clock(up, live_us, 1.0)
        wire = up.wire()
        with up.admin() as admin:
            made = stage.build(admin, plant, folder)
        config.write(folder / "fleet.json", wire.fleet(plant, made, live_us=live_us, ledger=folder / "ledger.jsonl"))
        config.write(folder / "people.json", wire.people(plant, made, live_us=live_us))
        fleet = Simulator("fleet", folder / "fleet.json")
        wait_until(lambda: fleet.has_said("history_done"), within_s=120, what="the history")
        journey.set_clock(up, live_us, plant.factor / 2)
        people = Simulator("people", folder / "people.json")
        kills = _kill_at_random(up, random.Random(5))
        wait_until(lambda: _whole(up), within_s=60, what="all parts running again")
        people.stop()
        fleet.stop()
        newest = int(ledger.read(folder / "ledger.jsonl").at_us.max())
        wait_until(lambda: journey.judged_until(up) >= newest - 300_000_000, within_s=90, what="judging to the end")
        yield up, folder, kills


def _kill_at_random(up: Running, chance: random.Random) -> dict[str, int]:
    """KILLS times a random part at a random moment; every part at least twice."""
    turns = list(VICTIMS) * (KILLS // len(VICTIMS))
    chance.shuffle(turns)
    kills = dict.fromkeys(VICTIMS, 0)
    for part in turns:
        time.sleep(chance.uniform(*BETWEEN_S))
        wait_until(partial(up.pid_of, part), within_s=60, what=f"{part} running")
        kills[part] += up.kill(part) > 0
    return kills


def _whole(up: Running) -> bool:
    return all(part.state == "running" for part in up.status().parts)


def test_every_part_was_killed_and_runs_again(killed: Killed) -> None:
    up, _, kills = killed
    assert sum(kills.values()) >= KILLS - 2
    assert min(kills.values()) >= 2
    assert sum(part.restarts for part in up.status().parts) >= sum(kills.values())


def test_no_sample_is_lost_or_doubled(killed: Killed) -> None:
    up, folder, _ = killed
    found = compare(up.instance, 1, folder / "ledger.jsonl")
    assert found.published > 295_000  # more than the history
    assert (found.lost, found.doubled) == (0, 0)


def test_one_open_order_a_fault_and_every_timeline_holds(killed: Killed) -> None:
    up, _, _ = killed
    with up.instance.database.tx(site_id=1) as conn:
        tickets = [row[0] for row in conn.execute("select ticket_id from tickets")]
        doubled = conn.execute(
            """select asset_id, mode, count(*) from tickets where mode is not null
               and status not in ('closed', 'cancelled') group by 1, 2 having count(*) > 1"""
        ).fetchall()
        broken = ticket_store.verify_site(conn)
    assert tickets
    assert doubled == []
    assert broken == {}


def test_no_finding_is_told_twice(killed: Killed) -> None:
    up, _, _ = killed
    with up.instance.database.tx(site_id=1) as conn:
        row = conn.execute(
            """select count(*) - count(distinct (asset_id, detector, kind, at, active, sentence::text, subject))
               from findings"""
        ).fetchone()
    assert row == (0,)


def test_the_checker_sees_a_missing_and_a_doubled_sample(killed: Killed) -> None:
    """The control: a drill that cannot fail proves nothing."""
    up, folder, _ = killed
    endpoints = up.endpoints
    dsn = psycopg.conninfo.make_conninfo(
        host=endpoints.database_host,
        port=endpoints.database_port,
        user="postgres",
        password=up.instance.secrets.db_superuser,
        dbname="millwright",
    )
    newest = json.loads((folder / "ledger.jsonl").read_text().splitlines()[-1])["payload"]["d"][0]
    with psycopg.connect(dsn, autocommit=True) as conn:
        signal = conn.execute("select signal_id from bindings where tag = %s", (newest["s"],)).fetchone()
        gone = conn.execute(
            """delete from samples where ctid = (select ctid from samples where signal_id = %s order by at desc limit 1)
               and signal_id = %s and at = (select max(at) from samples where signal_id = %s)
               returning at, value, signal_id, quality, site_id""",
            (signal[0], signal[0], signal[0]),
        ).fetchone()
        assert compare(up.instance, 1, folder / "ledger.jsonl").lost == 1
        for _ in range(2):
            conn.execute(
                "insert into samples (at, value, signal_id, quality, site_id) values (%s, %s, %s, %s, %s)", gone
            )
        found = compare(up.instance, 1, folder / "ledger.jsonl")
        assert (found.lost, found.doubled) == (0, 1)
