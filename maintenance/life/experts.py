"""The two kinds of judge over features, reduced to plain arrays: what is kept of a model is numbers, never code. Pure.

``Trees``   boosted regression trees (Friedman 2001, histogram variant)
``Kernel``  support-vector regression with a Gaussian kernel (Drucker et al. 1996): machines whose signals looked alike
            at some step of their lives are alike in what was left of them, a similarity to the whole fleet
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.svm import SVR
from threadpoolctl import threadpool_limits

from plant.model import Floats

Arrays = Mapping[str, npt.NDArray[Any]]
ROUNDS, RATE, LEAVES, LEAST_LEAF, SHRINK, SHARE = 250, 0.05, 16, 30, 5.0, 0.15
TOLERANCE, PENALTY, REACH = 5.0, 100.0, 0.5  # steps; reach = gamma × features
CHUNK = 512  # rows whose distances are held at once
SAME = 1e-6


class Unfaithful(RuntimeError):
    """The arrays taken out of a fitted model do not answer as it does: the library underneath has changed."""


@dataclass(frozen=True, slots=True)
class Trees:
    """Boosted trees as flat arrays: tree t starts at ``roots[t]``; a leaf has feature −1."""

    base: float
    roots: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int64]
    threshold: Floats
    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    value: Floats

    @classmethod
    def fit(cls, x: Floats, y: Floats, *, seed: int) -> Self:
        """Fit to ``x`` float64[n, m] (finite), ``y`` float64[n]. Raises Unfaithful."""
        model = HistGradientBoostingRegressor(
            max_iter=ROUNDS, learning_rate=RATE, max_leaf_nodes=LEAVES, min_samples_leaf=LEAST_LEAF,
            l2_regularization=SHRINK, max_features=SHARE, early_stopping=False, random_state=seed,
        )  # fmt: skip
        with threadpool_limits(1):  # threads that wait for one another cost more than they give here
            model.fit(x, y)
            asked = model.predict(x[:CHUNK])
        made = cls._of(model)
        if not np.allclose(made.predict(x[:CHUNK]), asked, atol=SAME):
            raise Unfaithful("The boosted trees could not be read out of the fitted model.")
        return made

    @classmethod
    def _of(cls, model: Any) -> Self:
        nodes = [predictors[0].nodes for predictors in model._predictors]  # noqa: SLF001 - checked by the caller
        roots = np.cumsum([0, *(len(each) for each in nodes[:-1])]).astype(np.int64)
        flat = np.concatenate(nodes)
        start = np.repeat(roots, [len(each) for each in nodes])
        leaf = flat["is_leaf"].astype(bool)
        return cls(
            float(np.ravel(model._baseline_prediction)[0]),  # noqa: SLF001 - checked by the caller
            roots,
            np.where(leaf, -1, flat["feature_idx"]).astype(np.int64),
            flat["num_threshold"].astype(np.float64),
            flat["left"].astype(np.int64) + start,
            flat["right"].astype(np.int64) + start,
            flat["value"].astype(np.float64),
        )

    def predict(self, x: Floats) -> Floats:
        """float64[n]."""
        node = np.repeat(self.roots[None, :], len(x), axis=0)
        rows = np.arange(len(x))[:, None]
        while True:
            feature = self.feature[node]
            inner = feature >= 0
            if not inner.any():
                return np.asarray(self.base + self.value[node].sum(axis=1), np.float64)
            low = x[rows, np.maximum(feature, 0)] <= self.threshold[node]
            node = np.where(inner, np.where(low, self.low[node], self.high[node]), node)

    def arrays(self) -> Arrays:
        return {"base": np.array(self.base), "roots": self.roots, "feature": self.feature,
                "threshold": self.threshold, "low": self.low, "high": self.high, "value": self.value}  # fmt: skip

    @classmethod
    def of_arrays(cls, kept: Arrays) -> Self:
        return cls(float(kept["base"]), *(kept[each] for each in ("roots", "feature", "threshold", "low", "high",
                                                                  "value")))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kernel:
    """Σ weight · exp(−gamma · distance²) + base over standardised features."""

    base: float
    gamma: float
    centre: Floats
    scale: Floats
    support: npt.NDArray[np.float32]
    weight: Floats

    @classmethod
    def fit(cls, x: Floats, y: Floats, *, seed: int) -> Self:  # noqa: ARG003 - judges are fitted alike
        """Fit to ``x`` float64[n, m] (finite), ``y`` float64[n]; chance plays no part."""
        centre, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-9)
        gamma = REACH / x.shape[1]
        model = SVR(C=PENALTY, epsilon=TOLERANCE, gamma=gamma).fit((x - centre) / scale, y)
        support = np.asarray(model.support_vectors_, np.float32)
        return cls(float(model.intercept_[0]), gamma, centre, scale, support, np.ravel(model.dual_coef_))

    def predict(self, x: Floats) -> Floats:
        """float64[n]."""
        parts = [self._near(x[at : at + CHUNK]) for at in range(0, len(x), CHUNK)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _near(self, x: Floats) -> Floats:
        asked = np.clip((x - self.centre) / self.scale, -1e6, 1e6)
        known = self.support.astype(np.float64)
        away = (asked**2).sum(axis=1)[:, None] + (known**2).sum(axis=1) - 2.0 * asked @ known.T
        return np.asarray(np.exp(-self.gamma * np.maximum(away, 0.0)) @ self.weight + self.base, np.float64)

    def arrays(self) -> Arrays:
        return {"base": np.array(self.base), "gamma": np.array(self.gamma), "centre": self.centre,
                "scale": self.scale, "support": self.support, "weight": self.weight}  # fmt: skip

    @classmethod
    def of_arrays(cls, kept: Arrays) -> Self:
        return cls(float(kept["base"]), float(kept["gamma"]), kept["centre"], kept["scale"], kept["support"],
                   kept["weight"])  # fmt: skip
