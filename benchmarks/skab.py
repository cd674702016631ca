"""The Skoltech Anomaly Benchmark, a water pump's test rig, with the product's judge of several signals, truly online.

python -m benchmarks.skab FOLDER [--scores-out DIR] [--threshold T] [--quick] [--seed N]

FOLDER holds ``data/<group>/<run>.csv`` (semicolons: datetime, sensors, anomaly, changepoint); nothing of it is kept.
Of each run the first 400 rows are the baseline, the rest is judged row by row by ``detectors.stream.chain``, which the
product's detector ``stream`` runs, with the parameters of ``benchmarks.tep`` and ``benchmarks.nab``. No label is read
before the scores stand; the anomaly-free run is not needed. ``--scores-out`` writes evidence, fault and change of every
row; ``--threshold`` is the evidence at which a fault begins; ``--quick`` takes every third run; ``--seed`` draws the
halves.

``f1`` (a fraction), ``far`` and ``mar`` (per cent) are of all rows after the 400 together. ``changepoint``: 0 =
silence, 100 = every change met at once, ``.low_fp`` and ``.low_fn`` with other costs. That score is generous: an alarm
every 60 rows whatever the data gets ``changepoint.clockwork``, so see ``change_false`` beside it. ``held_…``: a half of
the runs at the threshold that was best for the other half, mean of 40 draws; the other parameters were looked at on all
runs.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from time import perf_counter

import numpy as np

from benchmarks import stream_options
from benchmarks.result import finish
from benchmarks.skab_rules import PROFILES, UNCOUNTED, Flags, Rates, Times, changes, rates, score
from detectors.stream.chain import StreamChain
from detectors.stream.multivariate import Verdicts
from detectors.stream.parameters import DEFAULT
from plant.model import Floats

GOALS = {"f1": ">= 0.83", "far": "<= 13.5", "mar": "<= 20", "changepoint": ">= 40"}
NORMAL = "anomaly-free"
TRUTH = ("anomaly", "changepoint")
CLOCKWORK_ROWS = 60
DRAWS = 20
LIMITS = (3.5, 3.75, 4.0, 4.25, 4.5, 4.75, 5.0, 5.25, 5.5)


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its name below ``data``, its rows as they came, and the truth of every row."""

    name: str
    stamps: Sequence[str]
    values: Floats
    anomaly: Flags
    changepoint: Flags

    @property
    def at(self) -> Times:
        return np.array([stamp.strip()[:19].replace(" ", "T") for stamp in self.stamps], dtype="datetime64[s]")


def main(argv: list[str] | None = None) -> int:
    """Run it all and print the figures."""
    asked = stream_options.read("skab", __doc__, argv)
    runs = load(asked.folder)[:: 3 if asked.quick else 1]
    began = perf_counter()
    verdicts = [judge(run.values, asked.threshold) for run in runs]
    seconds = perf_counter() - began
    if asked.scores_out:
        for run, verdict in zip(runs, verdicts, strict=True):
            write(asked.scores_out / run.name, run, verdict)
    figures = _rates(runs, verdicts) | _changes(runs, verdicts) | _held(runs, asked.seed)
    figures |= {"rows": float(sum(len(each.state) for each in verdicts)), "seconds": round(seconds, 3)}
    finish("skab", broker="none", figures=figures, goals=GOALS)
    return 0


def load(folder: Path) -> list[Run]:
    """Every run but the anomaly-free one, in order of name. Raises OSError where there is none."""
    paths = [path for path in sorted((folder / "data").glob("*/*.csv")) if path.parent.name != NORMAL]
    if not paths:
        raise FileNotFoundError(f"no runs below {folder / 'data'}")
    return [_run(path, f"{path.parent.name}/{path.name}") for path in paths]


def _run(path: Path, name: str) -> Run:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        table = list(csv.DictReader(lines, delimiter=";"))
    sensors = [column for column in table[0] if column not in ("datetime", *TRUTH)]
    values = np.array([[float(row[sensor] or "nan") for sensor in sensors] for row in table])
    anomaly, changepoint = (np.array([float(row[column]) > 0 for row in table]) for column in TRUTH)
    return Run(name, [row["datetime"] for row in table], values, anomaly, changepoint)


def judge(values: Floats, limit: float) -> Verdicts:
    """Verdicts on the rows after the baseline; each stands when its row has come."""
    assert DEFAULT.baseline_rows == UNCOUNTED
    found = StreamChain(values.shape[1], limit=limit).together(values)
    return Verdicts(*(getattr(found, name)[UNCOUNTED:] for name in Verdicts.__slots__))


def write(path: Path, run: Run, verdict: Verdicts) -> None:
    """The score of every row; those of the baseline are 0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first = np.zeros(UNCOUNTED)
    evidence = np.concatenate([first, verdict.evidence]).tolist()
    flags = np.column_stack([verdict.state, verdict.changed]).astype(int)
    pairs = np.concatenate([np.zeros((UNCOUNTED, 2), np.int64), flags]).tolist()
    rows = zip(run.stamps, evidence, pairs, strict=True)
    path.write_text("datetime,score,anomaly,changepoint\n" + "".join(f"{t},{e!r},{s},{c}\n" for t, e, (s, c) in rows))


def _pooled(runs: Sequence[Run], alarms: Sequence[Flags]) -> Rates:
    return rates(np.concatenate([run.anomaly[UNCOUNTED:] for run in runs]), np.concatenate(alarms))


def _rates(runs: Sequence[Run], verdicts: Sequence[Verdicts]) -> dict[str, float | None]:
    whole = _pooled(runs, [verdict.state for verdict in verdicts])
    figures: dict[str, float | None] = {
        "f1": round(whole.f1, 4),
        "far": round(whole.far, 3),
        "mar": round(whole.mar, 3),
        "always_anomalous_f1": round(_pooled(runs, [np.ones_like(each.state) for each in verdicts]).f1, 4),
    }
    for run, verdict in zip(runs, verdicts, strict=True):
        figures[f"f1.{run.name.removesuffix('.csv')}"] = round(_pooled([run], [verdict.state]).f1, 4)
    return figures


def _changes(runs: Sequence[Run], verdicts: Sequence[Verdicts]) -> dict[str, float | None]:
    truth = [(run.at[UNCOUNTED:], run.changepoint[UNCOUNTED:]) for run in runs]
    met = [changes(at, true, each.changed) for (at, true), each in zip(truth, verdicts, strict=True)]
    clockwork = [changes(at, true, np.arange(len(at)) % CLOCKWORK_ROWS == 0) for at, true in truth]
    return {
        "changepoint": round(score(met, PROFILES["standard"]), 3),
        "changepoint.low_fp": round(score(met, PROFILES["low_fp"]), 3),
        "changepoint.low_fn": round(score(met, PROFILES["low_fn"]), 3),
        "changepoint.clockwork": round(score(clockwork, PROFILES["standard"]), 3),
        "change_met": float(sum(len(each.early) for each in met)),
        "change_missed": float(sum(each.missed for each in met)),
        "change_false": float(sum(each.false for each in met)),
        "change_alarms": float(sum(int(each.changed.sum()) for each in verdicts)),
    }


def _held(runs: Sequence[Run], seed: int) -> dict[str, float | None]:
    """Each half at the limit of the other: what a threshold chosen on some runs is worth on others."""
    if len(runs) < 2:
        return {"held_f1": None, "held_far": None, "held_mar": None}
    alarms = {limit: [judge(run.values, limit).state for run in runs] for limit in LIMITS}
    chance, found = np.random.default_rng(seed), list[Rates]()
    for _ in range(DRAWS):
        order = chance.permutation(len(runs)).tolist()
        one, other = order[: len(runs) // 2], order[len(runs) // 2 :]
        found += [_left(runs, alarms, chosen, judged) for chosen, judged in ((one, other), (other, one))]
    return {
        "held_f1": round(fmean(each.f1 for each in found), 4),
        "held_far": round(fmean(each.far for each in found), 3),
        "held_mar": round(fmean(each.mar for each in found), 3),
    }


def _left(
    runs: Sequence[Run],
    alarms: Mapping[float, Sequence[Flags]],
    chosen: Sequence[int],
    judged: Sequence[int],
) -> Rates:
    def pooled(limit: float, which: Sequence[int]) -> Rates:
        return _pooled([runs[n] for n in which], [alarms[limit][n] for n in which])

    return pooled(max(LIMITS, key=lambda limit: pooled(limit, chosen).f1), judged)


if __name__ == "__main__":
    sys.exit(main())
