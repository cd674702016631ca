"""`millwright rules` on a real database, as a person at the terminal sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from api import cli
from core import clock
from core.database import Database
from core.settings import settings
from tests.integration.tickets_world import HOUR, NOW, build, order

TEXT = """
[rules.wear]
when = {on = ["opened"]}
if = "ticket.mode == 'bearing_wear'"
then = [{do = "tag", add = ["bearing"]}]

[rules.broken]
when = {on = ["opened"]}
if = "fields.hall == 'A'"
then = [{do = "assign"}]
"""


@pytest.fixture
def instance(database: Database, site: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILLWRIGHT_DATABASE_URL", database.app_dsn)
    monkeypatch.setenv("MILLWRIGHT_DATA_DIR", str(tmp_path / "data"))
    settings.cache_clear()
    with database.tx(site_id=site) as conn:
        clock.set_clock(conn, plant_now=NOW + HOUR, factor=1)
        order(conn, build(conn))
    path = tmp_path / "rules.toml"
    path.write_text(TEXT)
    return path


def test_from_a_file_to_the_site_and_back(
    instance: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(settings.cache_clear)
    assert cli.main(["rules", "check", str(instance)]) == 0
    assert cli.main(["rules", "diff", str(instance)]) == 3
    assert "+ wear (new)" in capsys.readouterr().out
    assert cli.main(["rules", "apply", str(instance), "--note", "first"]) == 0
    assert "2 rules changed" in capsys.readouterr().out
    assert cli.main(["rules", "apply", str(instance)]) == 0
    assert "nothing to change" in capsys.readouterr().out
    exported = tmp_path / "exported.toml"
    assert cli.main(["rules", "export", str(exported)]) == 0
    assert cli.main(["rules", "diff", str(exported)]) == 0
    assert cli.main(["rules", "test", "--days", "3", "--rule", "wear"]) == 0
    said = capsys.readouterr().out
    assert "wear: 1 of 1 events" in said
    assert cli.main(["rules", "test", str(instance), "--days", "3"]) == 3
    assert "has(fields.hall)" in capsys.readouterr().out
    instance.write_text("[rules.bad]\nwhen = {on = []}\n")
    assert cli.main(["rules", "apply", str(instance)]) == 1
    assert "bad: when.on lists" in capsys.readouterr().err
    assert cli.main(["rules", "check", str(tmp_path / "none.toml")]) == 1
