"""The detector that CONTRIBUTING.md teaches works as it stands there, and appears by itself."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import detectors.algorithms
from core import registry
from detectors.base import Frame
from plant.model import Role, Signal

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "detectors.md"
MINUTE_US = 60_000_000


@pytest.fixture
def loudest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The code block of CONTRIBUTING.md as a file among the algorithms."""
    found = re.search(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert found
    (tmp_path / "loudest.py").write_text(found.group(1))
    monkeypatch.setattr(detectors.algorithms, "__path__", [*detectors.algorithms.__path__, str(tmp_path)])
    registry.load.cache_clear()
    yield importlib.import_module("detectors.algorithms.loudest")
    sys.modules.pop("detectors.algorithms.loudest")
    registry.load.cache_clear()


def signals() -> list[Signal]:
    """A motor with a load and two symptoms."""
    roles = [("load", Role.SETPOINT), ("vibration", Role.MEASURED), ("current", Role.MEASURED)]
    return [
        Signal(i, 1, 1, code, code, "generic", "1", None, None, 60.0, role) for i, (code, role) in enumerate(roles, 1)
    ]


def frame(*, rows: int, grows_at: int, seed: int = 3) -> Frame:
    rng = np.random.default_rng(seed)
    load = 60 + 20 * np.sin(np.arange(rows) / 200) + rng.normal(0, 1, rows)
    wear = np.maximum(0, np.arange(rows) - grows_at) / 400
    values = np.column_stack(
        [load, 2 + 0.02 * load + rng.normal(0, 0.05, rows) + 0.1 * wear, 5 + 0.1 * load + rng.normal(0, 0.1, rows)]
    )
    at_us = (np.arange(rows, dtype=np.int64) + 28_000_000) * MINUTE_US
    return Frame(1, signals(), at_us, values, np.zeros(values.shape, np.bool_), np.full(rows, -1, np.int16))


def test_it_appears_in_the_registry(loudest: ModuleType) -> None:
    assert registry.load("detectors.algorithms")["loudest"] is loudest


def test_it_sees_wear_and_is_quiet_before(loudest: ModuleType) -> None:
    rows, grows_at = 12_000, 9_000
    detector = loudest.create(asset_id=1, site_id=1, asset_class="motor", signals=signals())
    judgement = detector.update(frame(rows=rows, grows_at=grows_at))
    began = [finding for finding in judgement.findings if finding.active]
    assert began, "wear was not seen"
    onset_us = frame(rows=rows, grows_at=grows_at).at_us[grows_at]
    assert min(finding.at.timestamp() * 1e6 for finding in began) > onset_us
    assert max(began[-1].contributions, key=lambda key: began[-1].contributions[key]) == 2


def test_it_inherits_the_battery_and_needs_nothing_but_its_file_and_a_line_in_the_docs(loudest: ModuleType) -> None:
    battery = importlib.import_module("tests.contract.test_detector_battery")
    plugins = battery.factories()
    assert plugins["loudest"]().name == loudest.NAME
    assert f"## `{loudest.NAME}`" not in DOCS.read_text()  # the fitness check names it until somebody wrote what it is
