"""Setpoints and states of a row → regression features, with memory for what warms and cools slowly. Pure, compiled."""

from __future__ import annotations

import numpy as np

from detectors.context_state import CODE, CODES, FIRST, FIRST_ROWS, FULL, GAP, LAGS, SETTLE, ContextState, Shape
from detectors.jit import inner
from detectors.pace import Pace
from plant.model import Floats

LARGE_STEP = 0.2  # of the range seen


@inner
def running(pace: Pace, shape: Shape, s: ContextState, code: int) -> int:
    """1 while the machine runs; counts the settling time down after a start or a change of state."""
    if shape.stateful == 0:
        s.counters[SETTLE] = max(s.counters[SETTLE] - 1, 0)
        return 1
    runs = 1 if code == 1 or code >= 3 else 0
    if s.counters[CODE] != code:
        s.counters[SETTLE] = pace.settle_rows
        s.counters[CODE] = code
    elif runs == 1 and s.counters[SETTLE] > 0:
        s.counters[SETTLE] -= 1
    return runs


@inner
def take_setpoints(pace: Pace, shape: Shape, s: ContextState, x: Floats, runs: int) -> int:
    """1 when all setpoints are known; a large step starts a short settling time."""
    seen = 1
    for a in range(shape.setpoints):
        if not np.isfinite(x[a]):
            seen = 0
            continue
        if runs == 1:
            s.setpoints[a]["lowest"] = min(s.setpoints[a]["lowest"], x[a])
            s.setpoints[a]["highest"] = max(s.setpoints[a]["highest"], x[a])
            stride = max(LARGE_STEP * (s.setpoints[a]["highest"] - s.setpoints[a]["lowest"]), s.setpoints[a]["width"])
            if s.counters[FIRST] >= FIRST_ROWS and abs(x[a] - s.setpoints[a]["last"]) > stride:
                s.counters[SETTLE] = max(s.counters[SETTLE], pace.step_rows)
        s.setpoints[a]["last"] = x[a]
    if seen == 0:
        s.counters[GAP] += 1
    elif s.counters[GAP] > 0:
        if s.counters[GAP] >= pace.novel_rows and shape.features > 1:
            # What the machine was asked meanwhile is unknown, and it still shows.
            s.counters[SETTLE] = max(s.counters[SETTLE], int(pace.long_rows))
        s.counters[GAP] = 0
    return seen


@inner
def centre(shape: Shape, s: ContextState, x: Floats) -> None:
    """Centre and width of each setpoint from the first running rows; then the low-passes start from there."""
    n = s.counters[FIRST] + 1
    s.counters[FIRST] = n
    for a in range(shape.setpoints):
        delta = x[a] - s.setpoints[a]["centre"]
        s.setpoints[a]["centre"] += delta / n
        s.setpoints[a]["width"] += delta * (x[a] - s.setpoints[a]["centre"])
        if n == FIRST_ROWS:
            spread = 3.0 * np.sqrt(s.setpoints[a]["width"] / n)
            s.setpoints[a]["width"] = max(
                max(spread, 0.1 * abs(s.setpoints[a]["centre"])), max(0.02 * shape.spans[a], 1e-9)
            )
    if n == FIRST_ROWS:
        for a in range(min(shape.setpoints, FULL)):
            u = (x[a] - s.setpoints[a]["centre"]) / s.setpoints[a]["width"]
            s.lags[2 * a] = u
            s.lags[2 * a + 1] = u * u


@inner
def fill(shape: Shape, s: ContextState, code: int, phi: Floats) -> None:
    """Write the row's features into ``phi`` float64[p]."""
    full = min(shape.setpoints, FULL)
    phi[0] = 1.0
    at = 1
    for a in range(shape.setpoints):
        u = (s.setpoints[a]["last"] - s.setpoints[a]["centre"]) / s.setpoints[a]["width"]
        phi[at] = u
        at += 1
        if a >= full:
            continue
        for lag in range(LAGS):
            phi[at + lag] = s.lags[2 * a, lag]
        at += LAGS
        if shape.around[a]:
            continue
        phi[at] = u * u
        for lag in range(LAGS):
            phi[at + 1 + lag] = s.lags[2 * a + 1, lag]
        at += 1 + LAGS
        for b in range(a):
            if not shape.around[b]:
                phi[at] = u * (s.setpoints[b]["last"] - s.setpoints[b]["centre"]) / s.setpoints[b]["width"]
                at += 1
    if shape.stateful == 1:
        for lag in range(LAGS):
            phi[at + lag] = s.lags[-1, lag] - 1.0
        for own in range(CODES):
            phi[at + LAGS + own] = 1.0 if code == 3 + own else 0.0


@inner
def advance_lags(pace: Pace, shape: Shape, s: ContextState, turning: int) -> None:
    """Low-passed context for the next row; load counts as nothing while the machine stands."""
    for a in range(min(shape.setpoints, FULL)):
        u = (s.setpoints[a]["last"] - s.setpoints[a]["centre"]) / s.setpoints[a]["width"]
        if turning == 0 and not shape.around[a]:
            u = 0.0
        for lag in range(LAGS):
            s.lags[2 * a, lag] += pace.lag_rates[lag] * (u - s.lags[2 * a, lag])
            s.lags[2 * a + 1, lag] += pace.lag_rates[lag] * (u * u - s.lags[2 * a + 1, lag])
    for lag in range(LAGS):
        s.lags[-1, lag] += pace.lag_rates[lag] * (turning - s.lags[-1, lag])


@inner
def since_start(shape: Shape, s: ContextState) -> float:
    """1 = just started, 0 = running for long: how much of the slowest memory is still of standing still."""
    return float(abs(1.0 - s.lags[-1, LAGS - 1])) if shape.stateful == 1 else 0.0
