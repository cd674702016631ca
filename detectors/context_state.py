"""What the context model knows of one asset: what never changes, and what is learnt. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from plant.model import Floats, Int64s

Bools = npt.NDArray[np.bool_]

FULL = 3  # setpoints with squares, lags and products; further ones enter linearly
LAGS = 3  # low-passes a setpoint, of itself and of its square
CODES = 3  # state codes from 3 on that get a level of their own
RIDGE = 0.5  # rows of prior belief that a feature has no effect
FREE = 1e-3  # the same for the intercept: none to speak of
BLOCKS = 12  # of five rows: an hour of minutes in which a step is told from wear
FIRST_ROWS = 16  # running rows that centre and scale the setpoints

# counters
ROWS, FIRST, LEARNT, SETTLE, NOVEL, CODE, FIRST_US, NOT_BEFORE_US, GAP, LAST_US, RELEARN = range(11)


class Shape(NamedTuple):
    """What never changes for one asset; k = measured signals, m = setpoints."""

    setpoints: int
    measured: int
    features: int
    stateful: int
    warm_rows: int
    warm_us: int
    learn_rows: int  # rows after which known contexts have set
    around: Bools  # [m] setpoints that describe the surroundings
    spans: Floats  # [m]
    slow: Bools  # [k] slower than the grid
    material: Floats  # [k,2] share of the expected value and amount below which a deviation is immaterial
    start_spread: Floats  # [k] spread just after a start, before any start was seen, in sigmas


SETPOINT = np.dtype([(name, "f8") for name in ("centre", "width", "last", "lowest", "highest")])
SIGNAL = np.dtype(
    [
        ("sigma", "f8"),  # healthy spread, in the signal's unit
        ("known", "i8"),  # rows learnt
        ("repeats", "i8"),  # of them equal to the one before
        ("previous", "f8"),  # last reading learnt
        ("previous_z", "f8"),  # last standardised residual, for the autocorrelation
        ("covary", "f8"),
        ("vary", "f8"),
        ("since", "i8"),  # since when the deviation lasts, µs
        ("near", "f8"),  # where the residual was during the last few rows
        ("back", "f8"),  # a step is over when near comes back to this
    ]
)


class ContextState(NamedTuple):
    """Everything learnt; every member is written in place. Few members, since each lengthens compilation."""

    counters: Int64s
    setpoints: Any  # [m] of SETPOINT
    signals: Any  # [k] of SIGNAL
    lags: Floats  # [2·full+1, LAGS] low-passed setpoints, their squares, and whether the machine turned
    covariance: Floats  # [p,p]
    weights: Floats  # [k,p]
    starts: Floats  # [k,2] squared errors after starts, weighted by how cold the machine was; weights
    jump: Int64s  # [k,3] phase, rows in it (phase 0: rows in band), last judged row
    blocks: Floats  # [k,BLOCKS] means of z over the last blocks of rows, newest last
    block: Floats  # [k,3] sum of the block under way, rows in it, blocks filled without a gap


def feature_count(around: Bools, stateful: int) -> int:
    """Regression features: intercept, setpoints with lags, squares and products, running history, codes.

    Surroundings act linearly: squares of them would only extrapolate badly to the first hot day.
    """
    full = min(len(around), FULL)
    driven = full - int(np.sum(around[:full]))
    products = driven * (driven - 1) // 2
    return 1 + len(around) + full * LAGS + driven * (1 + LAGS) + products + stateful * (LAGS + CODES)


def empty(shape: Shape) -> ContextState:
    """A model that has seen nothing."""
    m, k, p = shape.setpoints, shape.measured, shape.features
    covariance = np.eye(p) / RIDGE
    covariance[0, 0] = 1.0 / FREE
    counters = np.zeros(11, dtype=np.int64)
    counters[CODE] = -2
    counters[FIRST] = 0 if m else FIRST_ROWS
    lags = np.zeros((2 * min(m, FULL) + 1, LAGS))
    lags[-1] = 1.0
    setpoints = np.zeros(m, dtype=SETPOINT)
    setpoints["last"], setpoints["lowest"], setpoints["highest"] = np.nan, np.inf, -np.inf
    signals = np.zeros(k, dtype=SIGNAL)
    signals["previous"] = signals["previous_z"] = np.nan
    return ContextState(
        counters=counters,
        setpoints=setpoints,
        signals=signals,
        lags=lags,
        covariance=covariance,
        weights=np.zeros((k, p)),
        starts=np.zeros((k, 2)),
        jump=np.zeros((k, 3), dtype=np.int64),
        blocks=np.zeros((k, BLOCKS)),
        block=np.zeros((k, 3)),
    )
