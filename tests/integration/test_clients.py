"""The client that the documentation shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.database import Database
from tests.api_world import living

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"


def test_the_python_example_runs(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    with living(database, tmp_path) as world:
        monkeypatch.setenv("MILLWRIGHT_TOKEN", world.tokens["planner"])
        monkeypatch.setenv("MILLWRIGHT_URL", world.address)
        names: dict[str, object] = {}
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102 - the page is ours
        assert names["changed"]["priority"] == 2 and names["changed"]["ref"].startswith("INC-")  # type: ignore[index]
        names["api"].close()  # type: ignore[attr-defined]
    assert "INC-" in capsys.readouterr().out
