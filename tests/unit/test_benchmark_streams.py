"""The benchmarks of several signals: scores by hand and beside the yardsticks, runs over folders made here."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from benchmarks import skab, skab_rules, tep, tep_rules
from plant.model import Floats

YARDSTICKS = os.environ.get("MILLWRIGHT_YARDSTICKS")
DATA = os.environ.get("MILLWRIGHT_DATA")
BEGAN = np.datetime64("2026-03-01T00:00:00", "s")
needs_yardsticks = pytest.mark.skipif(not YARDSTICKS, reason="MILLWRIGHT_YARDSTICKS does not name the scorers' folder")
needs_data = pytest.mark.skipif(not DATA, reason="MILLWRIGHT_DATA does not name the folder of public data sets")


def at(count: int) -> skab_rules.Times:
    return BEGAN + np.arange(count).astype("timedelta64[s]")


def flags(count: int, *rows: int) -> skab_rules.Flags:
    found = np.zeros(count, np.bool_)
    found[list(rows)] = True
    return found


def test_rates_worked_out_by_hand() -> None:
    found = skab_rules.rates(flags(10, 0, 1, 2, 3), flags(10, 2, 3, 4))
    assert (found.f1, found.far, found.mar) == pytest.approx((4 / 7, 100 / 6, 50.0))


def test_changes_worked_out_by_hand() -> None:
    at_once = skab_rules.changes(at(500), flags(500, 100, 300), flags(500, 100, 101, 300))
    assert at_once == skab_rules.Met([1.0, 1.0], missed=0, false=0)
    standard = skab_rules.PROFILES["standard"]
    assert skab_rules.score([at_once], standard) == pytest.approx(100)
    silent = skab_rules.changes(at(500), flags(500, 100, 300), flags(500))
    assert silent == skab_rules.Met([], missed=2, false=0) and skab_rules.score([silent], standard) == 0
    half = skab_rules.changes(at(500), flags(500, 100), flags(500, 130, 400))
    assert half.early[0] == pytest.approx(0.5, abs=0.01) and (len(half.early), half.false) == (1, 1)
    assert skab_rules.score([half], standard) == pytest.approx(100 * (1 + 0.5 * 1.11 - 0.11 - 0.11) / 2, abs=1)


def test_of_two_overlapping_windows_the_later_is_cut() -> None:
    found = skab_rules.changes(at(500), flags(500, 100, 130), flags(500, 131, 162))
    assert len(found.early) == 2 and found.early[1] > 0.9


def test_delay_ends_with_the_sixth_alarm_in_a_row() -> None:
    assert tep_rules.delay(flags(20, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12)) == 36.0
    assert tep_rules.delay(flags(20, *range(6))) == 15.0
    assert tep_rules.delay(flags(20, 1, 2, 3, 4, 5)) is None


def rig(folder: Path, *, runs: int = 3, rows: int = 900) -> Path:
    """Runs of a made-up rig whose flow drops from row 600 to 750."""
    chance = np.random.default_rng(5)
    for number in range(runs):
        values = chance.normal(size=(rows, 3)) * [1.0, 2.0, 0.5] + [10.0, 50.0, 3.0]
        values[600:750, 0] -= 4.0
        path = folder / "data" / f"valve{number % 2}" / f"{number}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            f"{stamp};{';'.join(map(repr, row))};{float(600 <= n < 750)};{float(n in (600, 750))}"
            for n, (stamp, row) in enumerate(zip(at(rows).astype(str), values.tolist(), strict=True))
        ]
        path.write_text("datetime;flow;speed;current;anomaly;changepoint\n" + "\n".join(lines) + "\n")
    return folder


def plant(folder: Path) -> Path:
    """A normal run, changed over as published, and runs with a fault in one variable that others tell of."""
    chance = np.random.default_rng(6)
    mixing = chance.normal(size=(6, 52))

    def rows(count: int) -> Floats:
        return chance.normal(size=(count, 6)) @ mixing + 0.2 * chance.normal(size=(count, 52))

    folder.mkdir(exist_ok=True)
    np.savetxt(folder / "d00.dat", rows(500).T)
    for fault, by in ((0, 0.0), (1, 2.0), (3, 0.0), (5, -1.0)):
        run = rows(960)
        run[160:, fault] += by
        np.savetxt(folder / f"d{fault:02}_te.dat", run)
    return folder


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_a_rig_is_measured_and_its_scores_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = tmp_path / "scores"
    assert skab.main([str(rig(tmp_path / "rig")), "--scores-out", str(scores)]) == 0
    figures = last_line(capsys)["figures"]
    assert figures["f1"] > 0.9 and figures["far"] < 7 and figures["mar"] < 5 and figures["changepoint"] > 80
    assert len((scores / "valve0" / "0.csv").read_text().splitlines()) == 901
    skab.main([str(tmp_path / "rig"), "--threshold", "1000", "--quick"])
    assert last_line(capsys)["figures"]["mar"] == 100


def test_a_plant_is_measured_from_its_normal_run_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tep.main([str(plant(tmp_path / "plant")), "--scores-out", str(tmp_path / "scores")])
    figures = last_line(capsys)["figures"]
    assert figures["detection_visible"] > 95 and figures["detection.3"] < 5 and figures["far"] < 1
    assert 15 <= figures["delay_min.1"] < 60
    assert len((tmp_path / "scores" / "d01_te.csv").read_text().splitlines()) == 961


@needs_yardsticks
def test_rig_scores_equal_the_yardstick(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, scores = rig(tmp_path / "rig"), tmp_path / "scores"
    skab.main([str(folder), "--scores-out", str(scores), "--threshold", "2"])
    mine = last_line(capsys)["figures"]
    yardstick(monkeypatch, "score_skab").main(["--data", str(folder), "--scores", str(scores)])
    theirs = last_line(capsys)
    assert [mine["f1"], mine["far"], mine["mar"]] == pytest.approx(
        [theirs["f1"], theirs["far_pct"], theirs["mar_pct"]], abs=0.001
    )
    names = {"changepoint": "standard", "changepoint.low_fp": "low_FP", "changepoint.low_fn": "low_FN"}
    for own, other in names.items():
        assert mine[own] == pytest.approx(theirs["changepoint"][other], abs=0.001)


@needs_yardsticks
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # the scorer leaves files to the collector
def test_plant_scores_equal_the_yardstick(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, scores = plant(tmp_path / "plant"), tmp_path / "scores"
    tep.main([str(folder), "--scores-out", str(scores), "--threshold", "2.5"])
    mine = last_line(capsys)["figures"]
    yardstick(monkeypatch, "score_tep").main(["--data", str(folder), "--scores", str(scores)])
    theirs = last_line(capsys)
    assert [mine["detection"], mine["detection_visible"], mine["far"], mine["far_normal_run"]] == pytest.approx(
        [theirs[f"{name}_pct"] for name in ("detection", "detection_visible", "far", "far_normal_run")], abs=0.001
    )
    assert mine["delay_min.5"] == theirs["per_fault"]["5"]["delay_min"]


def yardstick(monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    monkeypatch.syspath_prepend(YARDSTICKS or "")
    return importlib.import_module(name)


@needs_data
@pytest.mark.parametrize("judged", ["skab", "tep"])
def test_cutting_a_public_stream_leaves_every_earlier_score_identical(judged: str) -> None:
    chance, judge = np.random.default_rng(3), PUBLIC[judged]
    whole, rows = judge(None)
    for end in chance.integers(1, rows, size=4).tolist():
        part, _ = judge(end)
        np.testing.assert_array_equal(part, whole[: len(part)])


def _rig_run(end: int | None) -> tuple[Floats, int]:
    run = skab.load(Path(DATA or "") / "skab")[1]
    found = skab.judge(run.values[: None if end is None else skab_rules.UNCOUNTED + end], 4.5)
    return np.column_stack([found.evidence, found.state, found.changed]), len(run.values) - skab_rules.UNCOUNTED


def _plant_run(end: int | None) -> tuple[Floats, int]:
    normal, runs = tep.load(Path(DATA or "") / "tep")
    found = tep.judge(normal, runs[11][:end], 4.5)
    return np.column_stack([found.evidence, found.state, found.changed]), len(runs[11])


PUBLIC: dict[str, Callable[[int | None], tuple[Floats, int]]] = {"skab": _rig_run, "tep": _plant_run}


@needs_data
def test_the_public_runs_are_judged_as_well_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    skab.main([str(Path(DATA or "") / "skab")])
    assert all(goal["ok"] for goal in json.loads(capsys.readouterr().out.splitlines()[-1])["goals"].values())
    tep.main([str(Path(DATA or "") / "tep")])
    assert all(goal["ok"] for goal in json.loads(capsys.readouterr().out.splitlines()[-1])["goals"].values())
