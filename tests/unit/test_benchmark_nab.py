"""The benchmarks of plain streams: rules by hand and beside the yardsticks, and runs over folders made here."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from benchmarks import calibration, nab
from benchmarks.nab_rules import PROFILES, UNCOUNTED, Corpus, rows, uncounted

YARDSTICKS = os.environ.get("MILLWRIGHT_YARDSTICKS")
DATA = os.environ.get("MILLWRIGHT_DATA")
STANDARD = PROFILES["standard"]
ROWS = 1_000


def stamps(count: int = ROWS) -> Any:
    return np.datetime64("2026-03-01T00:00:00", "s") + 300 * np.arange(count)


def one(score: np.ndarray[Any, Any], *windows: tuple[int, int]) -> Corpus:
    at = stamps()
    return Corpus([(rows(at, [(at[a], at[b]) for a, b in windows]), score, len(windows))])


def alarms(*at: int) -> np.ndarray[Any, Any]:
    found = np.zeros(ROWS)
    found[list(at)] = 1.0
    return found


def test_the_rules_worked_out_by_hand() -> None:
    assert one(alarms(), (500, 599)).at(0.5, STANDARD).score == 0
    assert one(alarms(500), (500, 599)).at(0.5, STANDARD).score == pytest.approx(100)
    assert one(alarms(500, 501, 550), (500, 599)).at(0.5, STANDARD).score == pytest.approx(100)  # only the earliest
    last = (2 / (1 + np.exp(-0.05)) - 1) / (2 / (1 + np.exp(-5.0)) - 1)
    assert one(alarms(599), (500, 599)).at(0.5, STANDARD).score == pytest.approx(100 * (1 + last) / 2)
    assert one(alarms(400, 500), (500, 599)).at(0.5, STANDARD).score == pytest.approx(100 * (2 - 0.11) / 2)
    assert one(alarms(100, 500), (500, 599)).at(0.5, STANDARD).score == pytest.approx(100)  # not counted so early
    assert one(alarms(400), (500, 599)).at(0.5, PROFILES["low_fp"]).score == pytest.approx(100 * -0.22 / 2)
    assert one(alarms(500), (500, 599)).at(0.5, PROFILES["low_fn"]).score == pytest.approx(100)


def test_an_alarm_just_after_a_window_costs_less() -> None:
    costs = [-one(alarms(row), (500, 599)).at(0.5, STANDARD).score for row in (600, 620, 700, 899, 950)]
    assert costs == sorted(costs) and costs[0] < 0.2 < costs[1]
    assert costs[-1] == pytest.approx(100 * 0.11 / 2)


def test_the_start_of_a_file_does_not_count() -> None:
    assert (uncounted(1_000), uncounted(5_000), uncounted(20_000), uncounted(7)) == (150, 750, 750, 1)
    assert (rows(stamps(), []).window == UNCOUNTED).sum() == 150


def test_a_window_whose_edge_is_no_row_is_refused() -> None:
    at = stamps()
    with pytest.raises(ValueError, match="no row at"):
        rows(at, [(at[3] + 7, at[9])])


def test_the_tuned_threshold_is_the_best_of_all() -> None:
    chance = np.random.default_rng(3)
    score = chance.random(ROWS).round(2)
    corpus = one(score, (300, 399), (700, 749))
    for profile in PROFILES.values():
        best = max(corpus.at(each, profile).score for each in [*np.unique(score), 1.1])
        assert corpus.tune(profile).score == pytest.approx(best)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files of the form of the public ones: days with a missing peak, noise with spikes, and nothing at all."""
    chance, count = np.random.default_rng(6), 2_500
    at = stamps(count)
    day = np.where(np.arange(count) % 288 < 100, 80.0, 20.0) + chance.normal(size=count)
    day[2_016:2_116] = 20.0 + chance.normal(size=100)
    noise = chance.normal(size=count)
    noise[[1_500, 2_200]] += 25.0
    files = {"a/days.csv": (day, [(1_950, 2_150)]), "b/noise.csv": (noise, [(1_450, 1_550), (2_150, 2_250)]),
             "b/nothing.csv": (chance.normal(size=count), [])}  # fmt: skip
    labels = {}
    for name, (values, windows) in files.items():
        path = tmp_path / "world" / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = [str(each).replace("T", " ") for each in at]
        path.write_text("timestamp,value\n" + "".join(f"{t},{v:.6f}\n" for t, v in zip(text, values, strict=True)))
        labels[name] = [[text[a] + ".000000", text[b] + ".000000"] for a, b in windows]
    (tmp_path / "world" / "labels").mkdir()
    (tmp_path / "world" / "labels" / "combined_windows.json").write_text(json.dumps(labels))
    return tmp_path / "world"


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_a_folder_is_judged_and_a_fixed_threshold_gives_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nab.main([str(folder)])
    tuned = last_line(capsys)
    assert tuned["bench"] == "nab" and tuned["figures"]["standard"] > 60 and tuned["figures"]["parameters"] >= 1
    nab.main([str(folder), "--threshold", *(str(tuned["figures"][f"threshold.{name}"]) for name in PROFILES)])
    fixed = last_line(capsys)
    for name in PROFILES:
        assert fixed["figures"][name] == tuned["figures"][name]


@pytest.mark.skipif(not YARDSTICKS, reason="MILLWRIGHT_YARDSTICKS does not name the folder of scorers")
def test_scores_equal_the_yardstick(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for world in [folder, *([Path(DATA) / "nab"] if DATA else [])]:
        nab.main([str(world), "--scores-out", str(tmp_path / "scores")])
        ours = last_line(capsys)["figures"]
        yardstick("score_nab").main(["--data", str(world), "--scores", str(tmp_path / "scores"), "--tune"])
        theirs = last_line(capsys)
        for mine, its in zip(PROFILES, ("standard", "reward_low_FP", "reward_low_FN"), strict=True):
            assert ours[mine] == pytest.approx(theirs[its]["score"], abs=1e-3)
            assert ours[f"threshold.{mine}"] == theirs[its]["threshold"]


def test_the_rate_got_on_normal_streams_is_the_rate_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance, count = np.random.default_rng(11), 25_000
    walk = np.convolve(chance.normal(size=count + 9), np.ones(10) / 10, "valid")
    made = {"white": chance.normal(size=count), "gamma": chance.gamma(2.0, size=count), "walk": walk,
            "steps": np.round(chance.normal(size=count))}  # fmt: skip
    for name, values in made.items():
        text = "".join(f"{t},{v:.6g}\n" for t, v in zip(stamps(count), values, strict=True))
        (tmp_path / f"{name}.csv").write_text("timestamp,value\n" + text)
    calibration.main([str(tmp_path), "--rate", "0.01", "0.005", "--alarms-out", str(tmp_path / "alarms")])
    found = last_line(capsys)
    assert found["goals"]["worst_ratio"]["ok"], found
    assert set(found["figures"]) >= {f"ratio.{name}@0.005" for name in made}
    told = (tmp_path / "alarms" / "white.csv").read_text().splitlines()
    share = np.mean([line.endswith(",1") for line in told[1_001:]])
    assert share / 0.01 == pytest.approx(found["figures"]["ratio.white@0.01"], abs=1e-3)


def yardstick(name: str) -> ModuleType:
    """A yardstick's module, its folder on the path while it loads."""
    assert YARDSTICKS
    sys.path.insert(0, YARDSTICKS)
    try:
        spec = importlib.util.spec_from_file_location(name, Path(YARDSTICKS) / f"{name}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(YARDSTICKS)
    return module
