"""How many samples a second one core judges, beside the memory's own speed.

python -m benchmarks.detect [--quick] [--seed N]

``bank_N_m_s`` is millions of samples a second of the fused bank with N signals, evidence written out, the signals of a
batch in arrival order (a random permutation, nothing sorted beforehand); ``bank_1m_sorted_m_s`` has a million signals
in order. Each is the best of several turns on warm memories. ``vs_memory_bound`` sets the sorted million against one
copy, in the same run, of the bytes that a sample moves: its signal's state read and written, index and value read,
evidence written. ``lone_message_p99_us`` is one call with one sample.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

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
}
LEAST_SAMPLES = 1_000_000  # a turn takes in at least so many
WARM_BATCHES = 40


def main(argv: list[str] | None = None) -> int:
    """Run it all and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="within a minute")
    parser.add_argument("--seed", type=int, default=1, help="of the values and of the order of arrival")
    chosen = parser.parse_args(argv)
    figures = banks(turns=5 if chosen.quick else 20, seed=chosen.seed)
    finish("detect", broker="none", figures=figures, goals=GOALS)
    return 0


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
