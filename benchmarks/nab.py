"""The Numenta Anomaly Benchmark with the product's judge of plain streams, truly online.

python -m benchmarks.nab FOLDER [--scores-out DIR] [--threshold T [T T]] [--quick] [--seed N]

FOLDER holds ``data/<group>/<name>.csv`` (timestamp,value) and ``labels/combined_windows.json``; nothing of it is kept.
Every file is judged row by row by ``detectors.stream.chain``, which the product's detector ``stream`` runs, with its
parameters: no minimum, maximum, length or label is known. An order's strength x gives the score x / (1 + x).
``--scores-out`` writes the score of every row; ``--threshold`` judges with fixed ones (one, or standard, low_fp,
low_fn) in place of the best over the corpus; ``--quick`` takes every third file; ``--seed`` draws the halves.

``standard``, ``low_fp``, ``low_fn``: 0 = silence, 100 = every window met at its first row. ``held_halves``: the
standard score of a half of the files at the threshold of the other, mean of 40 draws; ``held_groups``: each group of
files at the threshold of all others. Both change the threshold only: the parameters were looked at on all files.

``parameters`` counts every constant that was chosen with the score in sight: map_values, short_rows, long_rows,
memory_rows, rest_share, rest_least_rows, peers and the threshold. Halving or doubling any one of the parameters moves
``standard`` by at most three; docs/detectors.md tells what else was tried.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from benchmarks.nab_rules import PROFILES, Corpus, Rows, rows
from benchmarks.result import finish
from detectors.stream.chain import ORDER, StreamChain
from plant.model import Floats

GOALS = {"standard": ">= 74"}
TUNED = 8
DRAWS = 20

Scored = tuple[Rows, Floats, int]


@dataclass(frozen=True, slots=True)
class Stream:
    """One file: its name below ``data``, rows as they came, and the labelled windows."""

    name: str
    stamps: Sequence[str]
    values: Floats
    windows: Sequence[tuple[np.datetime64, np.datetime64]]

    @property
    def at(self) -> npt.NDArray[np.datetime64]:
        return np.array([time(stamp) for stamp in self.stamps])


def main(argv: list[str] | None = None) -> int:
    asked = _arguments(argv)
    streams = load(asked.folder)[:: 3 if asked.quick else 1]
    score(Stream("", ["2026-01-01T00:00:00"], np.zeros(1), ()))  # compiles
    began = perf_counter()
    scores = [score(stream) for stream in streams]
    seconds = perf_counter() - began
    if asked.scores_out:
        for stream, scored in zip(streams, scores, strict=True):
            write(asked.scores_out / stream.name, stream, scored)
    files = [(rows(s.at, s.windows), scored, len(s.windows)) for s, scored in zip(streams, scores, strict=True)]
    figures = _profiles(files, asked.threshold)
    figures |= _held(files, [stream.name.split("/")[0] for stream in streams], asked.seed)
    figures |= {"parameters": float(TUNED), "rows": float(sum(map(len, scores))), "seconds": round(seconds, 3)}
    finish("nab", broker="none", figures=figures, goals=GOALS)
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nab", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scores-out", type=Path, metavar="DIR")
    parser.add_argument("--threshold", type=float, nargs="+", metavar="T")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(argv)
    if asked.threshold and len(asked.threshold) not in (1, len(PROFILES)):
        parser.error("--threshold takes one number or three: standard, low_fp, low_fn")
    return asked


def time(stamp: str) -> np.datetime64:
    return np.datetime64(stamp.strip()[:19].replace(" ", "T"), "s")


def load(folder: Path) -> list[Stream]:
    """Every file that the labels name, in order of name. Raises OSError where one is missing."""
    labels = json.loads((folder / "labels" / "combined_windows.json").read_text())
    return [_stream(folder / "data" / name, name, labels[name]) for name in sorted(labels)]


def _stream(path: Path, name: str, windows: Sequence[tuple[str, str]]) -> Stream:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        table = list(csv.DictReader(lines))
    values = np.array([float(row["value"]) for row in table])
    return Stream(name, [row["timestamp"] for row in table], values, [(time(a), time(b)) for a, b in windows])


def score(stream: Stream) -> Floats:
    """The score of every row in [0, 1), known when the row is."""
    strength = StreamChain(1).judge(stream.at.astype(np.int64), stream.values[:, None]).alone[:, 0, ORDER]
    return strength / (1.0 + strength)


def write(path: Path, stream: Stream, scored: Floats) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (f"{stamp},{value!r}\n" for stamp, value in zip(stream.stamps, scored.tolist(), strict=True))
    path.write_text("timestamp,anomaly_score\n" + "".join(lines))


def _profiles(files: Sequence[Scored], thresholds: Sequence[float] | None) -> dict[str, float | None]:
    corpus, figures = Corpus(files), dict[str, float | None]()
    for number, (name, profile) in enumerate(PROFILES.items()):
        fixed = None if not thresholds else thresholds[number % len(thresholds)]
        found = corpus.tune(profile) if fixed is None else corpus.at(fixed, profile)
        print(f"  {name:8s} {found.score:6.2f} at {found.threshold!r}: {found.met} of {found.windows} windows, "
              f"{found.false_rows} false rows")  # fmt: skip
        figures |= {name: round(found.score, 3), f"threshold.{name}": found.threshold}
    return figures


def _held(files: Sequence[Scored], groups: Sequence[str], seed: int) -> dict[str, float | None]:
    """The standard score at thresholds of other files."""
    if len(files) < 2:
        return {"held_halves": None, "held_groups": None}
    chance, halves = np.random.default_rng(seed), list[float]()
    for _ in range(DRAWS):
        one = {int(each) for each in chance.permutation(len(files))[: len(files) // 2]}
        halves += [_left(files, one), _left(files, set(range(len(files))) - one)]
    return {"held_halves": round(float(np.mean(halves)), 3), "held_groups": _left_groups(files, groups)}


def _left(files: Sequence[Scored], mine: Collection[int]) -> float:
    profile = PROFILES["standard"]
    threshold = Corpus([each for n, each in enumerate(files) if n not in mine]).tune(profile).threshold
    return Corpus([each for n, each in enumerate(files) if n in mine]).at(threshold, profile).score


def _left_groups(files: Sequence[Scored], groups: Sequence[str]) -> float | None:
    profile, thresholds = PROFILES["standard"], dict[str, float]()
    for group in set(groups):
        others = [each for each, its in zip(files, groups, strict=True) if its != group]
        if not others:
            return None
        thresholds[group] = Corpus(others).tune(profile).threshold
    moved = [(judged, scored - thresholds[its], n) for (judged, scored, n), its in zip(files, groups, strict=True)]
    return round(Corpus(moved).at(0.0, profile).score, 3)


if __name__ == "__main__":
    sys.exit(main())
