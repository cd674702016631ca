"""Remaining life learnt from lives that ended: two judges, blended, with intervals that cover. Pure.

    runs ──> features ──> folds by machine ──> trees, kernel ──> predictions for machines unseen
                                                                  ├──> blend: the share of the kernel
                                                                  └──> residuals: the intervals
    all runs ──> trees, kernel: what answers

Life is counted in steps of an even grid. Beyond ``cap`` steps nothing shows yet: "at least so much".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maintenance.life import features
from maintenance.life.conformal import Residuals
from maintenance.life.experts import Kernel, Trees
from plant.model import Floats

MODEL, VERSION = "run-to-failure", "1"
FOLDS = 4
SEEDS = 2
ROWS = 4500  # that a fit looks at
THINNED = 1.36  # of the cap: beyond it every third row serves
LEAST_RUNS = 10
LATELY = 10  # steps that count as now
SHARES = np.linspace(0.0, 1.0, 21)


class TooFewLives(ValueError):
    """Fewer than LEAST_RUNS lives that ended: growth laws and similarity serve better."""


@dataclass(frozen=True, slots=True)
class Run:
    """One life so far on an even grid: ``values`` float64[n, k] (NaN = missing). It failed after the last step, or
    (``failed`` False) was still well then, and nobody knows how much was left."""

    values: Floats
    failed: bool = True

    def left(self) -> Floats:
        """Steps left after each row, float64[n]; of a run that did not fail, at least so many."""
        return np.arange(len(self.values) - 1.0, -1.0, -1.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """Remaining steps: ``expected`` up to the cap, ``quantiles`` float64[levels], ``chance`` to fail within."""

    expected: float
    quantiles: Floats
    chance: float


@dataclass(frozen=True, slots=True)
class Seen:
    """One step of a life: ``expected`` steps left up to the cap, ``chance`` to fail within, ``health`` 1 … 0."""

    expected: float
    chance: float
    health: float


@dataclass(frozen=True, slots=True)
class LifeModel:
    """Answers for machines of the class it was fitted on; signals in the order of the fit."""

    cap: float
    centre: Floats
    scale: Floats
    used: npt.NDArray[np.bool_]
    trees: tuple[Trees, ...]
    kernel: Kernel
    share: float
    residuals: Residuals

    def expected(self, x: Floats) -> Floats:
        """Remaining steps up to the cap, float64[n], for rows of features."""
        trees, kernel = _trees(self.trees, x), self.kernel.predict(x)
        return np.clip(self.share * kernel + (1.0 - self.share) * trees, 0.0, self.cap)

    def rows(self, values: Floats) -> Floats:
        """Features of a run's every step."""
        return features.features(values[:, self.used], centre=self.centre, scale=self.scale)

    def answer(self, values: Floats, *, levels: Sequence[float], within: float) -> Answer:
        """For a machine whose life so far is ``values`` float64[n ≥ 1, k]; everything is ≥ 0 and finite."""
        point = float(self.expected(self.rows(values)[-1:])[0])
        quantiles = np.maximum(self.residuals.quantiles(point, levels), 0.0)
        return Answer(point, quantiles, self.residuals.chance(point, within))

    def seen(self, values: Floats, *, newest: int, within: float) -> list[Seen]:
        """The last ``newest`` steps of a life, each as it was known then."""
        expected = self.expected(self.rows(values)[-newest:])
        return [
            Seen(float(each), self.residuals.chance(float(each), within), float(each) / self.cap) for each in expected
        ]

    def moved(self, values: Floats) -> Floats:
        """How far each signal has moved since the life began, float64[k] in the class's spread; 0: it never moves."""
        recent = features.held(values[:, self.used], self.centre)
        found = np.zeros(len(self.used))
        found[self.used] = (recent[-LATELY:].mean(axis=0) - recent[: features.START].mean(axis=0)) / self.scale
        return found


@dataclass(frozen=True, slots=True)
class Unseen:
    """Rows of lives, what was left there (capped; and in truth) and what judges said that had not met the machine."""

    x: Floats
    target: Floats
    left: Floats
    failed: npt.NDArray[np.bool_]
    trees: Floats
    kernel: Floats
    usual: tuple[npt.NDArray[np.bool_], Floats, Floats]


def fit(
    runs: Sequence[Run], *, cap: float, seed: int, asked_until: float = np.inf, judged: Unseen | None = None
) -> LifeModel:
    """Learn from ``runs``; intervals are made for machines with at most ``asked_until`` steps left.

    The same runs and seed give the same model; ``judged`` spares making it again. Raises TooFewLives.
    """
    found = judged or unseen(runs, cap=cap, seed=seed)
    share = _blend(found)
    said = np.clip(share * found.kernel + (1.0 - share) * found.trees, 0.0, cap)
    asked = found.failed & (found.left <= asked_until)
    lives = float(sum(run.failed for run in runs))
    residuals = Residuals.of(said[asked], found.left[asked], lives=lives)
    trees = tuple(Trees.fit(found.x, found.target, seed=seed + number) for number in range(SEEDS))
    kernel = Kernel.fit(found.x, found.target, seed=seed)
    used, centre, scale = found.usual
    return LifeModel(cap, centre, scale, used, trees, kernel, share, residuals)


def unseen(runs: Sequence[Run], *, cap: float, seed: int) -> Unseen:
    """Judge every machine by the others, in FOLDS parts. Raises TooFewLives."""
    if sum(run.failed for run in runs) < LEAST_RUNS:
        raise TooFewLives(f"{LEAST_RUNS} lives that ended are needed.")
    used, centre, scale = usual = _usual(runs)
    rows = _sampled(runs, cap)
    x = [
        features.features(run.values[:, used], centre=centre, scale=scale)[row]
        for run, row in zip(runs, rows, strict=True)
    ]
    left = [run.left()[row] for run, row in zip(runs, rows, strict=True)]
    fold = np.random.default_rng(seed).permutation(len(runs)) % FOLDS
    part = np.repeat(fold, [len(row) for row in rows])
    failed = np.repeat([run.failed for run in runs], [len(row) for row in rows])
    every, truth = np.vstack(x), np.concatenate(left)
    target = np.minimum(truth, cap)
    trees, kernel = np.empty(len(every)), np.empty(len(every))
    for number in range(FOLDS):
        inside, outside = part != number, part == number
        trees[outside] = Trees.fit(every[inside], target[inside], seed=seed).predict(every[outside])
        kernel[outside] = Kernel.fit(every[inside], target[inside], seed=seed).predict(every[outside])
    return Unseen(every, target, truth, failed, trees, kernel, usual)


def _blend(found: Unseen) -> float:
    """Share of the kernel that errs least on machines unseen."""
    mixed = (share * found.kernel + (1.0 - share) * found.trees for share in SHARES)
    return float(SHARES[int(np.argmin([float(np.mean((each - found.target) ** 2)) for each in mixed]))])


def _usual(runs: Sequence[Run]) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
    """Which signals move at all, and their mean and spread."""
    values = np.vstack([run.values for run in runs])
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(known, (values - mean) ** 2, 0.0).sum(axis=0) / count)
    used = spread > 1e-9 * np.maximum(np.abs(mean), 1e-9)
    return np.asarray(used, np.bool_), mean[used], spread[used]


def _sampled(runs: Sequence[Run], cap: float) -> list[npt.NDArray[np.int64]]:
    """Rows of each run to learn from: past the healthy start, few of those with a long life ahead."""
    chosen = []
    for run in runs:
        at, left = np.arange(len(run.values)), run.left()
        known = np.full(len(at), run.failed) | (left >= cap)
        chosen.append(at[known & (at >= features.START) & ((left <= THINNED * cap) | (at % 3 == 0))])
    stride = max(1, round(sum(map(len, chosen)) / ROWS))
    return [rows[number % stride :: stride] for number, rows in enumerate(chosen)]


def _trees(judges: Sequence[Trees], x: Floats) -> Floats:
    return np.asarray(np.mean([each.predict(x) for each in judges], axis=0), np.float64)
