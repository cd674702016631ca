"""The compiled row loop of the context model (see ``context``). Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors import bank, regression, steps
from detectors import context_features as features
from detectors.context_state import (
    FIRST,
    FIRST_ROWS,
    FIRST_US,
    GAP,
    LAST_US,
    LEARNT,
    NOT_BEFORE_US,
    NOVEL,
    RELEARN,
    ROWS,
    SETTLE,
    ContextState,
    Shape,
)
from detectors.jit import inner, kernel
from detectors.pace import Pace, long_reach, short_reach
from plant.model import Floats, Int64s

DOUBT = 0.3  # model error in sigmas that does not average out; a context known worse than this is not judged
SUSPICIOUS = 4.0  # standard deviations of a memory, model error included: do not learn
HALF_LIFE_VARIANCE = 0.35  # variance of an EWMA with half-life h of white noise: about 0.35 / h


@kernel
def advance(
    pace: Pace,
    shape: Shape,
    s: ContextState,
    memory: bank.Bank,
    at_us: Int64s,
    x: Floats,
    y: Floats,
    state: npt.NDArray[np.int16],
    out: Any,
) -> None:
    """Rows in time order; ``out`` are the arrays of ``Residuals`` from ``row`` on, filled in place; ``y`` is spoilt."""
    phi = np.empty(shape.features)
    gain = np.empty(shape.features)
    z = np.empty(shape.measured)
    for i in range(len(at_us)):
        s.counters[ROWS] += 1
        out[0][i] = s.counters[ROWS]
        if at_us[i] - s.counters[LAST_US] > pace.novel_rows * pace.step_us and s.counters[LAST_US] > 0:
            s.counters[GAP] += pace.novel_rows  # nothing was heard: what the machine did meanwhile is unknown
        s.counters[LAST_US] = at_us[i]
        early = at_us[i] < s.counters[NOT_BEFORE_US]
        runs = features.running(pace, shape, s, state[i])
        seen = features.take_setpoints(pace, shape, s, x[i], runs)
        if s.counters[FIRST] < FIRST_ROWS:
            if runs == 1 and seen == 1 and not early:
                features.centre(shape, s, x[i])
            continue
        features.fill(shape, s, state[i], phi)
        features.advance_lags(pace, shape, s, 1 if shape.stateful == 0 or state[i] > 0 else 0)
        if runs == 0 or seen == 0 or s.counters[SETTLE] > 0 or early:
            regression.break_chain(s)
            continue
        _row(pace, shape, s, memory, at_us[i], y[i], phi, gain, z, i, out)


@inner
def _row(
    pace: Pace,
    shape: Shape,
    s: ContextState,
    memory: bank.Bank,
    at_us: int,
    y: Floats,
    phi: Floats,
    gain: Floats,
    z: Floats,
    i: int,
    out: Any,
) -> None:
    """One row of a running, settled machine in a known context."""
    _, expected, sigma, _, judged, learns, _, _ = out
    leverage = regression.leverage_of(s.covariance, phi, gain)
    longer = regression.autocorrelation_factor(s)
    warm = _expect(pace, shape, s, at_us, y, phi, leverage, longer, z, expected[i], sigma[i], judged[i])
    frozen = _suspicious(pace, shape, s, memory, longer)
    if warm and np.sqrt(leverage * longer) > DOUBT:
        judged[i, :] = False
        s.counters[NOVEL] += 1
        regression.break_chain(s)
        learns[i] = not frozen and s.counters[NOVEL] >= pace.novel_rows
    else:
        s.counters[NOVEL] = 0
        learns[i] = not warm or (not frozen and s.counters[LEARNT] < shape.learn_rows)
        _remember(pace, shape, s, memory, at_us, y, z, warm, i, out)
        if learns[i]:
            regression.learn_autocorrelation(s, z)
    if learns[i]:
        regression.learn(pace, shape, s, y, phi, gain, leverage)
    if s.counters[RELEARN] > 0:
        s.counters[RELEARN] -= 1
        for j in range(shape.measured):
            bank.forget(memory, j)


@inner
def _expect(
    pace: Pace,
    shape: Shape,
    s: ContextState,
    at_us: int,
    y: Floats,
    phi: Floats,
    leverage: float,
    longer: float,
    z: Floats,
    expected: Floats,
    sigma: Floats,
    judged: npt.NDArray[np.bool_],
) -> bool:
    """Expected value, spread and standardised residual of every signal; whether any baseline stands."""
    if s.counters[FIRST_US] == 0:
        s.counters[FIRST_US] = at_us
    spanned = at_us - s.counters[FIRST_US] >= shape.warm_us and s.counters[RELEARN] == 0
    strange = regression.unfamiliarity(shape, s, leverage)
    warm = False
    for j in range(shape.measured):
        z[j] = np.nan
        expected[j] = regression.dot(s.weights[j], phi)
        material = max(shape.material[j, 0] * abs(expected[j]), shape.material[j, 1])
        steady = s.signals[j]["sigma"] * np.sqrt(1.0 + leverage) * regression.transient_factor(pace, shape, s, j)
        sigma[j] = max(steady, material) * strange
        if np.isfinite(y[j]) and regression.spread_known(shape, s, j):
            z[j] = (y[j] - expected[j]) / sigma[j]
        if spanned and regression.ready(shape, s, j, longer):
            judged[j] = np.isfinite(z[j])
            warm = True
    return warm


@inner
def _remember(
    pace: Pace,
    shape: Shape,
    s: ContextState,
    memory: bank.Bank,
    at_us: int,
    y: Floats,
    z: Floats,
    warm: bool,
    i: int,
    out: Any,
) -> None:
    """Sort out readings no machine could make; the others enter the bank."""
    row, _, _, evidence, judged, learns, jump, since = out
    long_rows = long_reach(pace, row[i])
    short_rate = 1.0 - 0.5 ** (1.0 / short_reach(pace, row[i]))
    long_rate = 1.0 - 0.5 ** (1.0 / long_rows)
    if warm and pace.jump_rows > 0:
        for j in range(shape.measured):
            if judged[i, j]:
                jump[i, j] = steps.judge(pace, shape, s, memory, z, j)
            if jump[i, j] == 1 or jump[i, j] == 3:
                learns[i] = False  # perhaps the machine, perhaps a spike: nobody knows yet
    for j in range(shape.measured):
        watched = warm and pace.jump_rows > 0 and judged[i, j] and jump[i, j] == 0
        if watched and steps.watch_shape(pace, shape, s, memory, z[j], j):
            jump[i, j] = 2
            bank.forget(memory, j)
        if jump[i, j] != 0:
            y[j] = np.nan
            z[j] = np.nan
            judged[i, j] = False
        bank.step(memory, j, z[j], short_rate, long_rate, int(long_rows), 1.0, learns[i], evidence[i, j])
        if memory[j]["up"] == 0.0 and memory[j]["down"] == 0.0:
            s.signals[j]["since"] = at_us
        since[i, j] = s.signals[j]["since"]


@inner
def _suspicious(pace: Pace, shape: Shape, s: ContextState, memory: bank.Bank, longer: float) -> bool:
    """While any signal's memory is away from its baseline nothing is learnt."""
    short_rows, long_rows = short_reach(pace, s.counters[ROWS]), long_reach(pace, s.counters[ROWS])
    short_sd = np.sqrt(min(1.0, longer * HALF_LIFE_VARIANCE / short_rows) + DOUBT * DOUBT)
    long_sd = np.sqrt(min(1.0, longer * HALF_LIFE_VARIANCE / long_rows) + DOUBT * DOUBT)
    for j in range(shape.measured):
        if abs(memory[j]["short"]) > 1.5 * SUSPICIOUS * short_sd or abs(memory[j]["long"]) > SUSPICIOUS * long_sd:
            return True
    return False
