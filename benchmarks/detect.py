"""How many samples a second one core judges, beside the memory's own speed.

python -m benchmarks.detect [--quick] [--bank-only] [--seed N]

``bank_N_m_s`` is millions of samples a second of the fused bank with N signals, evidence written out, the signals of a
batch in arrival order (a random permutation, nothing sorted beforehand); ``bank_1m_sorted_m_s`` has a million signals
in order. Each is the best of several turns on warm memories. ``vs_memory_bound`` sets the sorted million against one
copy, in the same run, of the bytes that a sample moves: its signal's state read and written, index and value read,
evidence written. ``lone_message_p99_us`` is one call with one sample.

``river_hst_s`` and ``river_gaussian_s`` are samples a second of river's HalfSpaceTrees and GaussianScorer, score and
learn, each one model of one signal with its defaults and nothing else to do; ``vs_river_…`` sets ``bank_100k_m_s``
against them. They are null where river is not installed.

``detect_core_share`` is the share of a core that the detector process takes, of all there is to do: ``millwright up``
with 1,000 machines of ten signals at 1 Hz over MQTT. ``detect_lag_s`` is how far the median machine is judged behind
the wall. ``--bank-only`` leaves this out.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import detect_plant
from benchmarks.result import finish
from detectors import bank

Figures = dict[str, float | None]
Index = npt.NDArray[np.int32]
MEMORY = bank.Memory(short=15.0, long=120.0)
SIZES = {"1k": 1_000, "10k": 10_000, "100k": 100_000, "1m": 1_000_000}
GOALS = {
    "bank_100k_m_s": ">= 30",
    "bank_1m_sorted_m_s": ">= 50",
    "vs_memory_bound": ">= 0.35",
    "lone_message_p99_us": "<= 50",
    "detect_core_share": "<= 0.25",
}
RIVER = {"hst": "HalfSpaceTrees", "gaussian": "GaussianScorer"}
RIVER_SAMPLES = 2_000
LEAST_SAMPLES = 1_000_000  # a turn takes in at least so many
WARM_BATCHES = 40


def main(argv: list[str] | None = None) -> int:
    """Run it all and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="within a minute")
    parser.add_argument("--seed", type=int, default=1, help="of the values and of the order of arrival")
    parser.add_argument("--bank-only", action="store_true", help="without the plant")
    chosen = parser.parse_args(argv)
    turns, broker = 5 if chosen.quick else 20, "none"
    figures = banks(turns=turns, seed=chosen.seed)
    figures |= beside_river(figures["bank_100k_m_s"] or 0.0, turns=min(turns, 5), seed=chosen.seed)
    if not chosen.bank_only:
        with tempfile.TemporaryDirectory(prefix="millwright-detect-") as folder:
            plant, broker = detect_plant.run(Path(folder) / "data", quick=chosen.quick, seed=chosen.seed)
        figures |= plant
    finish("detect", broker=broker, figures=figures, goals=GOALS)
    return 0


def beside_river(bank_m_s: float, *, turns: int, seed: int) -> Figures:
    """river's estimators on one signal in [0, 1), the range that HalfSpaceTrees expects."""
    values = [{"x": value} for value in np.random.default_rng(seed).random(RIVER_SAMPLES).tolist()]
    figures: Figures = {}
    for name, kind in RIVER.items():
        rate = river_s(kind, values, turns)
        figures[f"river_{name}_s"] = rate
        figures[f"vs_river_{name}"] = bank_m_s * 1e6 / rate if rate else None
    return figures


def river_s(kind: str, values: list[dict[str, float]], turns: int) -> float | None:
    """Samples a second; None where river is not installed."""
    try:
        made = getattr(importlib.import_module("river.anomaly"), kind)
    except ModuleNotFoundError:
        return None
    model = made() if kind != "GaussianScorer" else _OfOne(made())

    def turn() -> None:
        for value in values:
            model.score_one(value)
            model.learn_one(value)

    turn()
    return len(values) / best_s(turn, turns)


class _OfOne:
    """A supervised estimator of river, which takes its one value as the target."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def score_one(self, value: dict[str, float]) -> float:
        return float(self._model.score_one(None, value["x"]))

    def learn_one(self, value: dict[str, float]) -> None:
        self._model.learn_one(None, value["x"])


def banks(*, turns: int, seed: int) -> Figures:
    """The bank alone."""
    chance = np.random.default_rng(seed)
    figures: Figures = {}
    for name, signals in SIZES.items():
        figures[f"bank_{name}_m_s"] = samples_s(chance.permutation(signals).astype(np.int32), chance, turns) / 1e6
    ordered = samples_s(np.arange(SIZES["1m"], dtype=np.int32), chance, turns) / 1e6
    bound = copies_s(SIZES["1m"], turns) / 1e6
    return figures | {
        "bank_1m_sorted_m_s": ordered,
        "memory_bound_m_s": bound,
        "vs_memory_bound": ordered / bound,
        "lone_message_p99_us": lone_message_us(chance),
    }


def samples_s(order: Index, chance: np.random.Generator, turns: int) -> float:
    """Samples a second with one sample a signal and batch, the signals of a batch in the order given."""
    batches = chance.normal(size=(6, len(order)))
    state, evidence = bank.empty(len(order)), np.empty((len(order), bank.COLUMNS), np.float32)
    values = itertools.cycle(batches)
    repeats = max(1, LEAST_SAMPLES // len(order))

    def turn() -> None:
        for _ in range(repeats):
            bank.update(state, order, next(values), memory=MEMORY, out=evidence)

    for _ in range(WARM_BATCHES):
        bank.update(state, order, next(values), memory=MEMORY, out=evidence)
    return repeats * len(order) / best_s(turn, turns)


def copies_s(signals: int, turns: int) -> float:
    """Samples a second if nothing but their bytes had to be moved: half of them read, half written, in a copy."""
    a_sample = 2 * bank.STATE.itemsize + 4 + 8 + 4 * bank.COLUMNS
    source = np.ones(signals * a_sample // 2, dtype=np.uint8)
    target = np.zeros_like(source)
    return signals / best_s(lambda: np.copyto(target, source), turns)


def lone_message_us(chance: np.random.Generator, calls: int = 20_000) -> float:
    """99th percentile of one call with one sample."""
    state, order = bank.empty(10_000), chance.integers(10_000, size=(calls, 1)).astype(np.int32)
    values, took = chance.normal(size=(calls, 1)), np.empty(calls)
    for i in range(calls):
        began = time.perf_counter_ns()
        bank.update(state, order[i], values[i], memory=MEMORY)
        took[i] = time.perf_counter_ns() - began
    return float(np.percentile(took, 99)) / 1_000


def best_s(work: Callable[[], object], turns: int) -> float:
    """The shortest of several turns: what the machine can do when nothing else takes its time."""
    took = []
    for _ in range(turns):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


if __name__ == "__main__":
    raise SystemExit(main())
