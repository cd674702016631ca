"""A benchmark's last line says the truth about its goals."""

from __future__ import annotations

import json

import pytest

from benchmarks.result import finish, meets


@pytest.mark.parametrize(
    ("value", "goal", "ok"),
    [
        (0.6, ">= 0.60", True),
        (0.59, ">= 0.60", False),
        (0, "== 0", True),
        (1, "== 0", False),
        (4, "3..5", True),
        (6, "3..5", False),
        (None, ">= 1", False),
        (2.0, "<= 2", True),
    ],
)
def test_goals(value: float | None, goal: str, ok: bool) -> None:
    assert meets(value, goal) is ok


def test_a_goal_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="goal"):
        meets(1.0, "about 3")


def test_the_last_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    finish(
        "x", broker="mosquitto", figures={"rows_s": 12345.6, "lost": 0}, goals={"lost": "== 0", "rows_s": ">= 20000"}
    )
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["goals"]["lost"] == {"value": 0, "goal": "== 0", "ok": True}
    assert last["goals"]["rows_s"]["ok"] is False
