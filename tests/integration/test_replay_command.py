"""The verbs replay and backtest from the command line, on a server that is not the embedded one of an instance."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.commands import backtest as backtest_verb
from api.commands import replay as replay_verb
from core.database import Database
from core.settings import settings
from maintenance.replay.sandbox import PREFIX
from tests.integration.test_replay import Recorded
from tickets import hooks

REPLAY = (sys.executable, "-m", "api.cli", "replay")
# what a shell starts in the background ignores Ctrl-C, and hands that on
AT_A_TERMINAL = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from api.cli import main; sys.exit(main(['replay']))"
)


@pytest.fixture
def instance(database: Database, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The settings of an instance on the tests' server."""
    name = str(psycopg.conninfo.conninfo_to_dict(database.app_dsn)["dbname"])
    monkeypatch.setenv("MILLWRIGHT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MILLWRIGHT_DATABASE_URL", database.app_dsn)
    monkeypatch.setenv("MILLWRIGHT_DATABASE_INGEST_URL", database.ingest_dsn)
    monkeypatch.setenv("MILLWRIGHT_DATABASE_OWNER_URL", server.dsn("postgres", database=name))
    settings.cache_clear()
    yield
    settings.cache_clear()


def sandboxes(server: Any, pid: int | str = "") -> int:
    """Sandboxes of a process (of any) that are there now."""
    with psycopg.connect(server.dsn("postgres", database="postgres")) as conn:
        row = conn.execute("select count(*) from pg_database where datname like %s", (f"{PREFIX}{pid}%",)).fetchone()
    return int(row[0]) if row else 0


def test_the_verbs_say_what_came_out(
    database: Database, site: int, server: Any, instance: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with hooks.only():
        Recorded(database, site).live_to(9)
        assert replay_verb.replay(["--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["differences"] == [] and said["samples"] == 9 * 60 * 7
        assert backtest_verb.backtest(["--days", "1", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["orders"] == 0
    assert sandboxes(server) == 0


def test_what_cannot_run_is_not_taken_for_a_difference(database: Database, site: int, instance: None) -> None:
    refused = subprocess.run([*REPLAY, "--site", "nowhere"], capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith("millwright: ") and "Traceback" not in refused.stderr


def test_after_ctrl_c_the_sandbox_is_gone(database: Database, site: int, server: Any, instance: None) -> None:
    with hooks.only():
        Recorded(database, site).live_to(2)
    process = subprocess.Popen(
        [sys.executable, "-c", AT_A_TERMINAL], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not sandboxes(server, process.pid):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert sandboxes(server, process.pid) == 0
