"""The verbs replay and backtest from the command line, on a server that is not the embedded one of an instance."""

from __future__ import annotations

import json
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


def test_the_verbs_say_what_came_out(
    database: Database,
    site: int,
    server: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with hooks.only():
        Recorded(database, site).live_to(9)
        name = str(psycopg.conninfo.conninfo_to_dict(database.app_dsn)["dbname"])
        monkeypatch.setenv("MILLWRIGHT_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("MILLWRIGHT_DATABASE_URL", database.app_dsn)
        monkeypatch.setenv("MILLWRIGHT_DATABASE_INGEST_URL", database.ingest_dsn)
        monkeypatch.setenv("MILLWRIGHT_DATABASE_OWNER_URL", server.dsn("postgres", database=name))
        settings.cache_clear()
        try:
            assert replay_verb.replay(["--json"]) == 0
            said = json.loads(capsys.readouterr().out)
            assert said["differences"] == [] and said["samples"] == 9 * 60 * 7
            assert backtest_verb.backtest(["--days", "1", "--json"]) == 0
            assert json.loads(capsys.readouterr().out)["orders"] == 0
        finally:
            settings.cache_clear()
    with psycopg.connect(server.dsn("postgres", database="postgres")) as conn:
        row = conn.execute("select count(*) from pg_database where datname like %s", (PREFIX + "%",)).fetchone()
    assert row == (0,)
