"""Asked against got: the share of alarms on normal streams, with the parameters of every other judgement.

python -m benchmarks.calibration DIR [--rate R …] [--skip N] [--alarms-out DIR] [--quick]

DIR holds one CSV a stream, timestamp,value, all of it normal. Each is judged row by row by ``detectors.stream.chain``,
which the product's detector ``stream`` runs, with its parameters; the asked rate R, alarms a row, is the only thing
that differs. The first ``--skip`` rows do not count. ``ratio.STREAM@R`` is the rate got over the rate asked;
``worst_ratio`` is the ratio farthest from 1, over all streams and rates. ``surprise_ratio`` is the worst without the
moving limit: rows whose surprise reaches −log10 R, for the coarsest rate. A rate whose alarms asked are fewer than 100
is left out of the worst: chance alone leaves the band. ``--alarms-out`` writes the alarms of the first rate.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.result import finish
from detectors.stream.chain import StreamChain
from detectors.stream.parameters import DEFAULT, Parameters
from plant.model import Floats

GOALS = {"worst_ratio": "0.7..1.3"}
RATES = (0.001, 0.003, 0.01)
LEAST_ALARMS = 100.0
QUICK_ROWS = 40_000


def main(argv: list[str] | None = None) -> int:
    asked = _arguments(argv)
    print(f"  {DEFAULT}")
    figures: dict[str, float | None] = {}
    bare: list[float] = []
    for path in sorted(asked.folder.glob("*.csv")):
        stamps, values = read(path, QUICK_ROWS if asked.quick else None)
        surprise = surprises(stamps, values, DEFAULT)
        for number, rate in enumerate(asked.rate):
            alarms = StreamChain(1, parameters=DEFAULT).alarms(surprise, rate)
            figures[f"ratio.{path.stem}@{rate:g}"] = ratio(alarms[asked.skip :], rate)
            if asked.alarms_out and not number:
                write(asked.alarms_out / path.name, stamps, alarms)
        coarse = max(asked.rate)
        bare.append(ratio(surprise[asked.skip :] >= -np.log10(coarse), coarse) or np.nan)
    figures |= {"worst_ratio": _worst([v for v in figures.values() if v is not None]), "surprise_ratio": _worst(bare)}
    finish("calibration", broker="none", figures=figures, goals=GOALS)
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.calibration", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rate", type=float, nargs="+", default=list(RATES), metavar="R")
    parser.add_argument("--skip", type=int, default=1000, metavar="N")
    parser.add_argument("--alarms-out", type=Path, metavar="DIR")
    parser.add_argument("--quick", action="store_true", help=f"the first {QUICK_ROWS} rows")
    return parser.parse_args(argv)


def read(path: Path, most: int | None) -> tuple[list[str], Floats]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        table = list(csv.DictReader(lines))[:most]
    return [row["timestamp"] for row in table], np.array([float(row["value"]) for row in table])


def surprises(stamps: list[str], values: Floats, parameters: Parameters) -> Floats:
    """The calibrated surprise of every row."""
    at_s = np.array(stamps, dtype="datetime64[s]").astype(np.int64)
    return StreamChain(1, parameters=parameters).judge(at_s, values[:, None]).evidence


def ratio(alarms: npt.NDArray[np.bool_], rate: float) -> float | None:
    """The rate got over the rate asked; None where fewer than LEAST_ALARMS alarms are asked for."""
    return round(float(alarms.mean() / rate), 4) if len(alarms) * rate >= 0.95 * LEAST_ALARMS else None


def _worst(ratios: list[float]) -> float | None:
    """The ratio farthest from 1."""
    return max(ratios, key=lambda each: abs(each - 1.0), default=None)


def write(path: Path, stamps: list[str], alarms: npt.NDArray[np.bool_]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "timestamp,alarm\n" + "".join(f"{stamp},{int(alarm)}\n" for stamp, alarm in zip(stamps, alarms, strict=True))
    )


if __name__ == "__main__":
    sys.exit(main())
