"""The guides that ship: one for every failure mode of the machines that plants have most, in both languages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from maintenance import library
from tickets import knowledge

FOLDER = Path(knowledge.__file__).parent / "library"


def guides(name: str) -> list[dict[str, Any]]:
    return list(tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8")).values())


@pytest.mark.parametrize("name", ["pump", "motor", "compressor", "conveyor"])
def test_every_failure_mode_has_its_guide(name: str) -> None:
    own = {mode.code for mode in library.modes(name)} - {mode.code for mode in library.modes("generic")}
    assert own <= {each["mode"] for each in guides(name)}


@pytest.mark.parametrize("name", ["pump", "motor", "compressor", "conveyor"])
def test_both_languages_have_the_same_parts_and_steps(name: str) -> None:
    for guide in guides(name):
        shape = [
            [(line[:2] == "##", re.match(r"\d+\.", line) is not None) for line in text.splitlines() if line.strip()]
            for text in (guide["body"]["en"], guide["body"]["zh"])
        ]
        assert shape[0] == shape[1], guide["title"]["en"]
