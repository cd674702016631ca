"""What the normal rows of an asset teach: scales, residuals of each signal given the others, how far normal goes. Pure.

    rows ──> z (standard scores) ──┬──────────────> 2k charts ──> largest squared deviate ──> calibrated surprise
                                   └─ ridge ──> r ──┘   each weighted by how stationary it is

A residual is judged by the spread of its short memory around its level, times its *variance ratio*: the variance of the
rows over half the variance of their steps (von Neumann, 1941). White noise has 1; a temperature that wanders has ten or
more, and what it does in a baseline says little about what it will do after it. Residuals of the baseline are those of
rows left out of the fit, so that their spread is not flattered. Ridge: Hoerl and Kennard (1970).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.stream.parameters import DEFAULT, Parameters
from plant.model import Floats

FOLDS = 5
LEAST_ROWS = 40


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was learnt from ``rows`` rows of k signals; z charts come first, then r charts.

    ``mean``, ``scale`` float64[k] in the signals' units; ``coefficients`` float64[k,k] (column j foretells signal j
    from the others), ``centre`` float64[k] of the residuals, ``precision`` float64[k,k] of z; ``spread`` float64[2k] of
    the charts, variance ratio counted in (infinite: not judged); ``residual`` float64[k], one row's residual sigma;
    ``charts`` float64[rows,2k], the baseline itself, as the charts see it.
    """

    mean: Floats
    scale: Floats
    coefficients: Floats
    centre: Floats
    precision: Floats
    spread: Floats
    residual: Floats
    charts: Floats
    parameters: Parameters

    @classmethod
    def learn(cls, rows: Floats, *, parameters: Parameters = DEFAULT) -> Baseline:
        """From normal rows float64[n,k] in time order; NaN = missing. Raises ValueError for fewer than 40 rows.

        A signal that stands still in the whole baseline has no scale and is never judged.
        """
        if len(rows) < LEAST_ROWS:
            raise ValueError(f"a baseline takes at least {LEAST_ROWS} rows, not {len(rows)}")
        filled = _filled(np.asarray(rows, dtype=np.float64))
        mean, scale = filled.mean(axis=0), _scale(filled)
        z = (filled - mean) / scale
        left_out = _left_out(z, parameters.ridge)
        centre = left_out.mean(axis=0)
        charts = np.ascontiguousarray(np.concatenate([z, left_out - centre], axis=1))
        coefficients, precision = _ridge(z, parameters.ridge)
        return cls(
            mean=mean,
            scale=scale,
            coefficients=coefficients,
            centre=centre,
            precision=precision,
            spread=_spread(charts, parameters),
            residual=np.maximum(left_out.std(axis=0), 1e-9),
            charts=charts,
            parameters=parameters,
        )


def _filled(rows: Floats) -> Floats:
    """Missing values as the last one before them; before the first one, the mean."""
    filled = rows.copy()
    for column in filled.T:
        known = np.isfinite(column)
        if not known.any():
            column[:] = 0.0
            continue
        last = np.maximum.accumulate(np.where(known, np.arange(len(column)), -1))
        column[:] = np.where(last >= 0, column[np.maximum(last, 0)], column[known].mean())
    return filled


def _scale(rows: Floats) -> Floats:
    """Standard deviation; infinite where a signal stands still."""
    spread = rows.std(axis=0)
    still = spread <= 1e-12 * np.maximum(np.abs(rows).max(axis=0), 1e-300)
    return np.where(still, np.inf, spread)


def _ridge(z: Floats, ridge: float) -> tuple[Floats, Floats]:
    """Coefficients (column j: signal j from the others) and the precision matrix they come from."""
    k = z.shape[1]
    precision = np.linalg.inv(z.T @ z / len(z) + ridge * np.eye(k))
    coefficients = -precision / np.diag(precision)[None, :]
    np.fill_diagonal(coefficients, 0.0)
    return np.ascontiguousarray(coefficients), np.ascontiguousarray(precision)


def _left_out(z: Floats, ridge: float) -> Floats:
    """Residuals of each stretch by a fit on the others."""
    residuals = np.empty_like(z)
    for part in np.array_split(np.arange(len(z)), FOLDS):
        others = np.delete(z, part, axis=0)
        residuals[part] = z[part] - z[part] @ _ridge(others, ridge)[0]
    return residuals


def _spread(charts: Floats, parameters: Parameters) -> Floats:
    """Spread float64[2k] of the short memory around the level, times the variance ratio."""
    short, level = np.zeros(charts.shape[1]), np.zeros(charts.shape[1])
    squares, counted = np.zeros(charts.shape[1]), 0
    for number, row in enumerate(charts):
        short += parameters.short_share * (row - short)
        if number >= parameters.warm_rows:
            squares += (short - level) ** 2
            counted += 1
        level += (short - level) / parameters.level_rows
    spread = np.sqrt(squares / max(counted, 1)) * variance_ratio(charts)
    return np.where(spread > 0.0, spread, np.inf)


def variance_ratio(charts: Floats) -> Floats:
    """Variance over half the variance of the steps, float64[columns], at least 1; 1 where nothing moves."""
    steps = np.diff(charts, axis=0).var(axis=0) / 2.0
    ratio = charts.var(axis=0) / np.where(steps > 0.0, steps, np.inf)
    return np.asarray(np.maximum(ratio, 1.0))
