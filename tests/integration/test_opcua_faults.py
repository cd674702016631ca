"""A server that is killed, frozen, black-holed and cut at random: nothing is lost and nothing doubled."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from psycopg import Connection

from core.database import Database
from tests.integration.ingest_kit import wait_until
from tests.integration.opcua_kit import Plc, Proxy, configure, gaps, hearing, kept, machine, reaches, state

NAMES = [f"n{index}" for index in range(4)]
FAULTS = 8


def at(row: tuple[str, int, float]) -> int:
    """A sample's time."""
    return row[1]


@pytest.mark.slow
def test_random_faults_lose_nothing_and_double_nothing(
    database: Database, site: int, superuser: Connection, tmp_path: Path
) -> None:
    chance = random.Random(7)
    plc = Plc(tmp_path)
    plc.start()
    proxy = Proxy(plc.port)
    machine(database, site, NAMES)
    configure(database, site, f"opc.tcp://127.0.0.1:{proxy.port}/", NAMES)
    try:
        with hearing(database, tmp_path):
            wait_until(lambda: len(kept(superuser)) > 20, within_s=30, what="hearing the server")
            first = min(row[1] for row in kept(superuser))
            for _ in range(FAULTS):
                one_fault(chance, plc, proxy)
                reaches(superuser, "connected", within_s=60)
                time.sleep(chance.uniform(0.0, 2.0))
            expected = {row for row in plc.written() if row[1] > first}
            wait_until(lambda: expected <= set(kept(superuser)), within_s=60, what="filling every gap")
            wait_until(lambda: {fill for fill, _ in gaps(superuser)} == {"filled"}, what="closing every gap")
        rows = kept(superuser)
        assert len(rows) == len(set(rows))
        assert {row for row in rows if row[2] > 0} <= plc.written()
    finally:
        proxy.close()
        plc.kill()


def one_fault(chance: random.Random, plc: Plc, proxy: Proxy) -> None:
    kind = chance.choice(["kill", "freeze", "hold", "cut"])
    pause = chance.uniform(0.2, 4.0)
    if kind == "kill":
        plc.kill()
        time.sleep(pause)
        plc.start()
    elif kind == "freeze":
        plc.freeze()
        time.sleep(pause)
        plc.thaw()
    elif kind == "hold":
        proxy.hold()
        time.sleep(pause)
        proxy.release()
    else:
        proxy.cut()


@pytest.mark.slow
def test_a_gap_over_a_restart_of_ingest_is_filled_too(
    database: Database, site: int, superuser: Connection, tmp_path: Path
) -> None:
    plc = Plc(tmp_path)
    plc.start()
    machine(database, site, NAMES)
    configure(database, site, f"opc.tcp://127.0.0.1:{plc.port}/", NAMES)
    try:
        with hearing(database, tmp_path):
            wait_until(lambda: len(kept(superuser)) > 100, within_s=30, what="hearing the server")
        first = min(row[1] for row in kept(superuser))
        time.sleep(3)
        with hearing(database, tmp_path):
            reaches(superuser, "connected")
            expected = {row for row in plc.written() if row[1] > first}
            wait_until(lambda: expected <= set(kept(superuser)), within_s=30, what="filling the gap")
        rows = kept(superuser)
        assert len(rows) == len(set(rows))
    finally:
        plc.kill()


@pytest.mark.slow
def test_without_history_the_gap_is_marked(
    database: Database, site: int, superuser: Connection, tmp_path: Path
) -> None:
    plc = Plc(tmp_path, history=False)
    plc.start()
    machine(database, site, NAMES)
    configure(database, site, f"opc.tcp://127.0.0.1:{plc.port}/", NAMES)
    try:
        with hearing(database, tmp_path):
            wait_until(lambda: len(kept(superuser)) > 20, within_s=30, what="hearing the server")
            plc.kill()
            reaches(superuser, "lost")
            plc.start()
            wait_until(lambda: "marked" in dict(gaps(superuser)), within_s=60, what="marking the gap")
            assert "keeps no history" in dict(gaps(superuser))["marked"]
            wait_until(lambda: "cannot be filled" in state(superuser)[1], what="saying so in the state")
            written = plc.written()
            wait_until(lambda: max(written, key=at) in kept(superuser), what="hearing what came after")
        rows = kept(superuser)
        assert len(rows) == len(set(rows))
        assert {row for row in rows if row[2] > 0} <= plc.written()
        assert {row for row in written if row[1] > min(rows, key=at)[1]} - set(rows), "the control must lose"
    finally:
        plc.kill()
