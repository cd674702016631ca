"""The bearing benchmark on run-to-failure tests made here: a rig of four bearings, one of which wears out."""

from __future__ import annotations

import csv
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import bearing
from plant.model import Floats

DATA = os.environ.get("MILLWRIGHT_DATA")
START = datetime(2026, 2, 1, tzinfo=UTC)
ROWS = 3_000  # of ten minutes: three weeks
STOP = 700  # the rig stands still for two days, and starts again under a little more load


def rig(seed: int, *, failing: int | None, spall: int = 2_200) -> Floats:
    """Mean absolute acceleration float64[ROWS, 4].

    Running noise of a few per cent; all bearings settle during the first days. Once the race spalls, at row ``spall``,
    the spall grows as its edge is rolled over (faster the longer it is) and each pass hits harder; a tenth of that is
    heard through the shaft by the others. A sound bearing has spikes and, once, grease that moves: up by a third, gone
    within a day.
    """
    rng = np.random.default_rng(seed)
    row = np.arange(ROWS)
    running_in = 1.0 + 0.08 * np.exp(-row / 150.0)
    load = np.where(row < STOP, 1.0, 1.03)
    level = np.array([0.058, 0.066, 0.053, 0.042]) * (load * running_in)[:, None] * rng.lognormal(0.0, 0.015, (ROWS, 4))
    sound = (failing or 0) % 4
    level[:, sound] *= 1.0 + 0.33 * np.where(row > 1_200, np.exp(-(row - 1_200) / 50.0), 0.0)
    level[rng.integers(0, ROWS, 12), sound] *= 1.8
    if failing is not None:
        left = np.clip((row - spall) / (ROWS - spall), 0.0, 0.999)
        hits = np.where(row > spall, 0.02 * ((1.0 - left) ** -1.0 - 0.9), 0.0)
        share = np.full(4, 0.1)
        share[failing - 1] = 1.0
        level += hits[:, None] * share
    return np.asarray(level, np.float64)


def write(folder: Path, name: str, levels: Floats) -> None:
    rest = timedelta(days=2)
    with (folder / f"merged_dataset_BearingTest_{name}.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["", *(f"Bearing {n}" for n in range(1, 5))])
        for at, row in enumerate(levels):
            lines.writerow(
                [(START + at * timedelta(minutes=10) + (rest if at >= STOP else timedelta())).isoformat(" "), *row]
            )


def figures(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert bearing.main([str(folder), *more]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["bench"] == "bearing"
    return {**found["figures"], "ok": all(goal["ok"] for goal in found["goals"].values())}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_worn_bearing_is_named_first_and_days_ahead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    write(tmp_path, "9", rig(seed, failing=seed))
    found = figures(tmp_path, capsys, "--quick", "--truth", f"9={seed}")
    assert found["first_is_failing.9"] == 1 and found["alarms_before_on_healthy.9"] == 0
    assert found["alarms_in_first_fifth.9"] == 0 and found["ok"]
    assert 24 <= found["lead_h.9"] <= (ROWS - 2_200) / 6


def test_a_healthy_rig_says_nothing_and_the_wrong_truth_is_a_miss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "8", rig(4, failing=None))
    write(tmp_path, "9", rig(5, failing=2))
    found = figures(tmp_path, capsys, "--quick", "--truth", "8=1", "--truth", "9=4")
    assert found["lead_h.8"] is None and found["alarms_before_on_healthy.8"] == 0
    assert found["alarms_before_on_healthy.9"] >= 1 and found["first_is_failing.9"] == 0 and not found["ok"]


def test_alarms_do_not_depend_on_what_comes_after(tmp_path: Path) -> None:
    levels = rig(2, failing=2)
    write(tmp_path, "9", levels)
    whole = bearing.alarms(bearing.read("9", bearing.files(tmp_path)["9"], {"9": frozenset({"Bearing 2"})}))
    write(tmp_path, "9", levels[:2_700])
    cut = bearing.alarms(bearing.read("9", bearing.files(tmp_path)["9"], {"9": frozenset({"Bearing 2"})}))
    assert cut == whole[: len(cut)] and cut


def test_a_folder_without_a_test_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="BearingTest"):
        bearing.files(tmp_path)


@pytest.mark.skipif(not DATA, reason="MILLWRIGHT_DATA does not name the folder of development data")
def test_recorded_rigs_meet_the_goals(capsys: pytest.CaptureFixture[str]) -> None:
    assert figures(Path(str(DATA)) / "ims_bearing", capsys)["ok"]
