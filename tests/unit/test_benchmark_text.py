"""The text benchmark: its scores by hand and beside the yardsticks, and a run over a folder made here."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmarks import text
from benchmarks.text_scores import ndcg, recall, share
from tickets.knowledge import embedding

YARDSTICKS = os.environ.get("MILLWRIGHT_YARDSTICKS")
DATA = os.environ.get("MILLWRIGHT_DATA")


def test_scores_worked_out_by_hand() -> None:
    assert ndcg(["a"], {"a"}) == 1
    assert ndcg(["b", "a"], {"a"}) == pytest.approx(1 / np.log2(3))
    assert ndcg([*"bcdefghijk", "a"], {"a"}) == 0 == ndcg([], {"a"})
    assert ndcg(["a", "x", "b"], {"a", "b"}) == pytest.approx((1 + 0.5) / (1 + 1 / np.log2(3)))
    assert recall([*"abcde", "f"], {"a", "f"}) == 0.5
    assert recall([*"abcdef"], set("abcdefg")) == 1
    assert share([True, False, False, True], last=1) == 1 and share([]) is None


@pytest.mark.skipif(not YARDSTICKS, reason="MILLWRIGHT_YARDSTICKS does not name the folder of scorers")
def test_scores_equal_the_yardstick(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = np.random.default_rng(1)
    runs = {f"q{n}": [f"d{at}" for at in chance.permutation(12)[:10]] for n in range(40)}
    wanted = {query: {f"d{at}" for at in chance.permutation(12)[: 1 + n % 7]} for n, query in enumerate(runs)}
    _table(tmp_path / "t.csv", ["query", "doc"], [[query, doc] for query in wanted for doc in wanted[query]])
    ranks = [[query, doc, place] for query in runs for place, doc in enumerate(runs[query], start=1)]
    _table(tmp_path / "r.csv", ["query", "doc", "rank"], ranks)
    _yardstick().main(["retrieve", "--truth", str(tmp_path / "t.csv"), "--run", str(tmp_path / "r.csv")])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["ndcg_10"] == pytest.approx(np.mean([ndcg(runs[query], wanted[query]) for query in runs]))
    assert found["recall_5"] == pytest.approx(np.mean([recall(runs[query], wanted[query]) for query in runs]))


def test_a_folder_is_measured_and_the_last_line_is_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world(tmp_path)
    assert text.main([str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["bench"] == "text"
    assert found["figures"]["stackfaq_ndcg10"] == 1 == found["figures"]["duplicates_r5"]
    assert (found["figures"]["stackfaq_ndcg10.embedding"] is None) is not embedding.installed()
    assert found["figures"]["assignment_top1"] > 0.9 and found["figures"]["assignment_people"] == 0
    assert found["goals"]["assignment_top3"]["ok"]


def test_no_group_is_learnt_before_its_incident_was_resolved(tmp_path: Path) -> None:
    world(tmp_path, resolved="1/3/2030 00:00")
    found = text.assignment(tmp_path, True)
    assert found["assignment_top1"] == 0 == found["assignment_top3"] == found["assignment_spoken"]


def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert text.main([str(tmp_path), "--only", "stackfaq,assignment"]) == 0
    printed = capsys.readouterr().out
    assert "stackfaq: not measured" in printed
    found = json.loads(printed.splitlines()[-1])
    assert found["figures"]["assignment_top1"] is None and not found["goals"]["stackfaq_ndcg10"]["ok"]


@pytest.mark.skipif(not DATA, reason="MILLWRIGHT_DATA does not name the folder of public data sets")
def test_the_public_questions_are_answered_as_well_as_before() -> None:
    assert (text.stackfaq(Path(DATA or ""), True)["stackfaq_ndcg10"] or 0) >= 0.88


def world(folder: Path, *, resolved: str = "") -> None:
    """A folder such as the benchmark reads, easy enough to be answered without a slip."""
    documents = [
        {"id": at, "question": f"How to change the {word}?", "answers": ["Stop. Lock."]} for at, word in THINGS
    ]
    queries = [{"query": f"changing a {word}", "doc": at} for at, word in THINGS]
    _json(folder / "stackfaq" / "docs.json", documents)
    _json(folder / "stackfaq" / "queries.json", queries)
    reports = [[f"{word} broken {n}", f"{at}-{n}", f"The {word} does not work"] for at, word in THINGS for n in (1, 2)]
    _table(folder / "gitbugs" / "seamonkey_bugs.csv", ["Summary", "Issue id", "Description"], reports)
    pairs = [[f"{at}-1", f"{at}-2"] for at, _ in THINGS]
    _table(folder / "gitbugs" / "seamonkey_dup.csv", ["Issue id", "Duplicate id"], pairs)
    _table(folder / "itil-incidents" / "incidents.csv", INCIDENT, [_incident(n, resolved) for n in range(400)])


def _incident(n: int, resolved: str) -> list[str]:
    opened = f"{1 + n // 20}/3/2016 {n % 20:02}:00"
    ended = resolved or f"{1 + n // 20}/3/2016 {n % 20:02}:30"
    return [opened, *(f"{field} {n % 4}" for field in text.KNOWN), "Nobody", f"Group {n % 4}", "?", ended]


INCIDENT = ["opened_at", *text.KNOWN, "first_group", "final_group", "resolved_at", "closed_at"]
THINGS = list(enumerate(["filter", "bearing", "belt", "coupling", "nozzle", "valve", "gearbox", "sensor"]))


def _json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _table(path: Path, head: list[str], rows: list[list[object]] | list[list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as target:
        csv.writer(target).writerows([head, *rows])


def _yardstick() -> ModuleType:
    folder = Path(YARDSTICKS or "")
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("score_text", folder / "score_text.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(folder))
