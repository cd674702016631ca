"""Estimators of river made resumable: two of a kind, the younger learning what the elder will be replaced for. Pure.

    row ──> elder scores, both learn ──> every EPOCH rows the younger becomes the elder, and a fresh one begins

river's estimators are kept by pickling, which would run whatever a stored byte string says and may grow without end.
Here nothing of theirs is kept: the rows since the elder began are (at most two epochs), and estimators that learnt the
same rows in the same order are the same. So memory is bounded, a resumed twin is exact, and nothing is unpickled.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from core.errors import ConfigError

EPOCH = 500  # rows; what an estimator knows is 500 to 1,000 rows old at most
SEED = 7
SCALE = 50.0
Kept = npt.NDArray[np.float32]


class RiverMissing(ConfigError):
    """Judging with river's estimators needs river, which is not installed: ``pip install 'millwright[river]'``, or
    leave ``river_estimators`` empty."""

    code = "river_missing"


class UnknownEstimator(ConfigError):
    """river has no such anomaly or drift estimator. Name one as `anomaly.HalfSpaceTrees` or `drift.ADWIN`."""

    code = "unknown_estimator"


class Model(Protocol):
    """One river estimator over one row of scaled values float32[k], NaN = missing; gives raw scores ≥ 0, NaN = none."""

    scores: int

    def feed(self, row: Kept) -> npt.NDArray[np.float64]: ...


class Whole:
    """An anomaly estimator over all signals of a row; a missing value stands in the middle."""

    scores = 1

    def __init__(self, make: Any, signals: int) -> None:
        self._estimator, self._names = make(), [f"x{i}" for i in range(signals)]

    def feed(self, row: Kept) -> npt.NDArray[np.float64]:
        whole = np.where(np.isfinite(row), row, 0.0)
        said = dict(zip(self._names, (1.0 / (1.0 + np.exp(-whole))).tolist(), strict=True))
        score = _number(self._estimator.score_one(said))
        self._estimator.learn_one(said)
        return np.array([score])


class Each:
    """An anomaly estimator of a target, or a drift estimator, one a signal."""

    def __init__(self, make: Any, signals: int) -> None:
        self.scores = signals
        self._estimators = [make() for _ in range(signals)]
        self._drift = hasattr(self._estimators[0], "drift_detected") if signals else False

    def feed(self, row: Kept) -> npt.NDArray[np.float64]:
        told = np.full(self.scores, np.nan)
        for j in np.flatnonzero(np.isfinite(row)):
            told[j] = self._one(self._estimators[j], float(row[j]))
        return told

    def _one(self, estimator: Any, value: float) -> float:
        if self._drift:
            estimator.update(value)
            return float(bool(estimator.drift_detected))
        score = _number(estimator.score_one({}, value))
        estimator.learn_one({}, value)
        return score


class Pair:
    """Elder and younger of one estimator; ``feed`` gives the elder's scores."""

    _elder: Model
    _younger: Model

    def __init__(self, name: str, signals: int) -> None:
        self._name, self._signals = name, signals
        self.scores = model(name, signals).scores
        self.begin(np.zeros((0, signals), np.float32), 0)

    def feed(self, row: Kept, count: int) -> npt.NDArray[np.float64]:
        """``count``: rows fed before this one."""
        if count and count % EPOCH == 0:
            self._elder, self._younger = self._younger, model(self._name, self._signals)
        told: npt.NDArray[np.float64] = self._elder.feed(row)
        self._younger.feed(row)
        return told

    def begin(self, rows: Kept, count: int) -> None:
        """As if ``count`` rows had been fed, of which ``rows`` are those since the elder began."""
        self._elder = model(self._name, self._signals)
        self._younger = model(self._name, self._signals)
        young = min(len(rows), (count - 1) % EPOCH + 1 if count else 0)
        for row in rows:
            self._elder.feed(row)
        for row in rows[len(rows) - young :]:
            self._younger.feed(row)


def kept_rows(count: int) -> int:
    """How many of ``count`` fed rows the elder has seen."""
    return count if count <= 2 * EPOCH else (count - 1) % EPOCH + 1 + EPOCH


def model(name: str, signals: int) -> Model:
    """A fresh estimator by its name in river. Raises RiverMissing, UnknownEstimator."""
    kind, found = _found(name)
    seeded = {"seed": SEED} if "seed" in inspect.signature(found).parameters else {}

    def make() -> Any:
        try:
            return found(**seeded)
        except TypeError as error:
            raise UnknownEstimator(f"river's {name} cannot be made without arguments: {error}.") from None

    return Whole(make, signals) if kind == "AnomalyDetector" else Each(make, signals)


def _found(name: str) -> tuple[str, type]:
    package, _, code = name.partition(".")
    if package not in ("anomaly", "drift"):
        raise UnknownEstimator(f"{name!r} is no estimator: name one as anomaly.HalfSpaceTrees or drift.ADWIN.")
    try:
        found = getattr(importlib.import_module(f"river.{package}"), code, None)
    except ImportError:
        raise RiverMissing from None
    bases = {each.__name__ for each in getattr(found, "__mro__", ())}
    for kind in ("AnomalyDetector", "SupervisedAnomalyDetector", "DriftDetector"):
        if kind in bases:
            return kind, found  # type: ignore[return-value]  # it is a class: it has bases
    raise UnknownEstimator(f"river has no anomaly or drift estimator {name!r}.")


def _number(score: Any) -> float:
    value = float(score)
    return abs(value) if np.isfinite(value) else np.nan
