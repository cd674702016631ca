"""`millwright guides` on a real database: text to site and back, twice changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from api import cli
from core.database import Database
from core.settings import settings
from tickets import seed
from tickets.knowledge import store
from tickets.knowledge.store import State

TEXT = """
[house-bearing]
state = "published"
classes = ["pump"]
modes = ["bearing_wear"]
title = {en = "Bearings", zh = "轴承"}
body.en = '''
Say \"\"\"hot\"\"\" and C:\\temp\tor "quit"'''
body.zh = "加热"
steps = [{text = {en = "Measure", zh = "测量"}, unit = "mm/s", high = 4.5}]

["house.idea"]
title = {en = "An idea"}
body.en = "Later."
"""


@pytest.fixture
def file(database: Database, site: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILLWRIGHT_DATABASE_URL", database.app_dsn)
    monkeypatch.setenv("MILLWRIGHT_DATA_DIR", str(tmp_path / "data"))
    settings.cache_clear()
    with database.tx(site_id=site) as conn:
        seed.seed_site(conn)
    path = tmp_path / "guides.toml"
    path.write_text(TEXT, "utf-8")
    return path


def test_from_a_file_to_the_site_and_back(
    file: Path,
    database: Database,
    site: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    request.addfinalizer(settings.cache_clear)
    assert cli.main(["guides", "diff", str(file)]) == 3
    assert "+ house-bearing (new)" in capsys.readouterr().out
    assert cli.main(["guides", "apply", str(file), "--note", "first"]) == 0
    assert "2 guides changed" in capsys.readouterr().out
    assert cli.main(["guides", "apply", str(file)]) == 0
    assert "nothing to change" in capsys.readouterr().out
    exported = tmp_path / "exported.toml"
    assert cli.main(["guides", "export", str(exported)]) == 0
    assert cli.main(["guides", "diff", str(exported)]) == 0
    text = exported.read_text("utf-8")
    assert "pump-bearing-wear" not in text, "what only ships is not the site's text"
    exported.write_text(text.replace('"轴承"', '"轴承更换"').replace("high = 4.5", "high = 2.8"), "utf-8")
    assert cli.main(["guides", "diff", str(exported)]) == 3
    assert cli.main(["guides", "apply", str(exported)]) == 0
    with database.tx(site_id=site) as conn:
        found = store.by_code(conn, "house-bearing")
        idea = store.by_code(conn, "house.idea")
    assert found and idea
    assert (found.title["zh"], found.content.steps[0].high, found.published) == ("轴承更换", 2.8, 2)
    assert found.content.body["en"] == 'Say """hot""" and C:\\temp\tor "quit"'
    assert idea.state is State.DRAFT
    for wrong, says in (
        ("[x]\nstate = 'gone'", "state is one of"),
        ("x = 1", "is no guide"),
        ("[", "no TOML"),
        ('[x]\ntitle = {en = "x"}\nclasses = ["spaceship"]\nbody.en = "x"', "no asset class"),
        ('[house-bearing]\ntitle = {en = "x"}\nbody.en = "x"', "no draft again"),
    ):
        file.write_text(wrong, "utf-8")
        assert cli.main(["guides", "apply", str(file)]) == 1
        assert says in capsys.readouterr().err
