"""The Tennessee Eastman plant (simulated) with the product's judge of several signals, truly online.

python -m benchmarks.tep FOLDER [--scores-out DIR] [--threshold T] [--quick] [--seed N]

FOLDER holds ``d00.dat`` (a normal run, the only one learnt from) and ``dNN_te.dat`` (runs with fault NN from row 160
on; ``d00_te.dat`` is normal), blanks, 52 variables, a row per 3 minutes; nothing of it is kept. Each row is judged by
``detectors.stream.chain``, which the product's detector ``stream`` runs, with the parameters of ``benchmarks.skab``.
``--scores-out`` writes evidence and alarm of every row; ``--threshold`` is the evidence at which a fault begins;
``--quick`` takes every third run; nothing here rests on chance, so ``--seed`` changes nothing.

All in per cent: ``detection``, mean share of the rows of a fault that alarm, ``detection_visible`` without the faults
3, 9 and 15, which are nearly invisible; ``far``, of the rows before the faults; ``far_normal_run``. ``delay_min.N``:
minutes until fault N alarmed six rows in a row (null: never).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks import stream_options
from benchmarks.result import finish
from benchmarks.tep_rules import Fault, fault, summary
from detectors.stream.chain import StreamChain
from detectors.stream.multivariate import Verdicts
from plant.model import Floats

GOALS = {"detection": ">= 60", "far": "<= 1.5", "detection_visible": ">= 81"}
VARIABLES = 52


def main(argv: list[str] | None = None) -> int:
    """Run it all and print the figures."""
    asked = stream_options.read("tep", __doc__, argv)
    baseline, runs = load(asked.folder)
    if asked.quick:
        runs = dict(list(runs.items())[::3])
    began = perf_counter()
    verdicts = {number: judge(baseline, rows, asked.threshold) for number, rows in runs.items()}
    seconds = perf_counter() - began
    if asked.scores_out:
        for number, verdict in verdicts.items():
            write(asked.scores_out / f"d{number:02}_te.csv", verdict)
    figures = _figures(verdicts)
    figures |= {"rows": float(sum(len(each.state) for each in verdicts.values())), "seconds": round(seconds, 3)}
    finish("tep", broker="none", figures=figures, goals=GOALS)
    return 0


def load(folder: Path) -> tuple[Floats, dict[int, Floats]]:
    """The normal run and the runs to judge by the number of their fault. Raises OSError where there is none."""
    paths = sorted(folder.glob("d[0-9][0-9]_te.dat"))
    if not paths:
        raise FileNotFoundError(f"no runs dNN_te.dat in {folder}")
    return _rows(folder / "d00.dat"), {int(path.name[1:3]): _rows(path) for path in paths}


def _rows(path: Path) -> Floats:
    """float64[n, 52]; the normal run is published with rows and columns changed over."""
    table = np.loadtxt(path)
    return np.ascontiguousarray(table if table.shape[1] == VARIABLES else table.T)


def judge(baseline: Floats, rows: Floats, limit: float) -> Verdicts:
    """Verdicts on the rows of one run; each stands when its row has come."""
    chain = StreamChain(VARIABLES, limit=limit)
    chain.learn(baseline)
    return chain.together(rows)


def write(path: Path, verdict: Verdicts) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = zip(verdict.evidence.tolist(), verdict.state.astype(int).tolist(), strict=True)
    path.write_text("score,alarm\n" + "".join(f"{evidence!r},{alarm}\n" for evidence, alarm in rows))


def _figures(verdicts: Mapping[int, Verdicts]) -> dict[str, float | None]:
    faults = {number: fault(verdict.state) for number, verdict in verdicts.items() if number}
    figures = {name: _rounded(value) for name, value in summary(faults).items()} if faults else {}
    normal = 100 * float(verdicts[0].state.mean()) if 0 in verdicts else None
    return figures | {"far_normal_run": _rounded(normal)} | _per_fault(faults)


def _per_fault(faults: Mapping[int, Fault]) -> dict[str, float | None]:
    detection = {f"detection.{number}": _rounded(each.detection) for number, each in faults.items()}
    return detection | {f"delay_min.{number}": each.delay_min for number, each in faults.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


if __name__ == "__main__":
    sys.exit(main())
