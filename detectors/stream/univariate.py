"""One signal of which nothing is known beforehand: row surprise and order strength, score first, then learn. Pure.

    value ─┬─ novelty of the value, of its short and of its long mean ──┐
           └─ deviation from the usual at this time of day × explained ─┴─> calibrated, each ──> the largest = evidence

    evidence ──> calibrated again ──> ROW: the surprise of the row, what alarms of an asked rate are made of
    evidence ──> refractory rule ──> + surprise among the earlier orders ──> ORDER: what a person is told

No weights: every component is calibrated, so their surprises compare and the largest speaks. The refractory rule lets
an order pass only when it is stronger than the last one or that one is long ago. Evidence that orders of this
strength are common on this signal lowers an order, whatever its rows say.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detectors.jit import inner, kernel
from detectors.stream import calibrator, daily, novelty
from detectors.stream.parameters import Parameters
from plant.model import Floats, Int64s

ROW, ORDER = range(2)
COLUMNS = 2

VALUE, SHORT, LONG, DAY, EVIDENCE, ORDERS = range(6)  # calibrated scores
SCORES = 6
MAPS = 3  # value, short mean, long mean

SEEN, CENTRE, SPREAD, SHORT_MEAN, LONG_MEAN, PEAK, PEAK_AT = range(7)
HEADER = 7
WINSOR = 4.0  # in mean absolute deviations: what one value teaches the spread at most
BASELINE = 20.0


class Memory(NamedTuple):
    """State of one signal, some 40 KiB: plain arrays, changed in place."""

    head: Floats  # float64[HEADER]
    maps: Floats  # novelty maps
    day: Floats
    scores: Floats  # calibrated scores
    settings: Floats  # float64[SETTINGS], the parameters the kernel needs


RATE, SHORT_RATE, LONG_RATE, REST_SHARE, REST_LEAST, REST_MOST, PEERS = range(7)


def empty(parameters: Parameters) -> Memory:
    return Memory(
        head=np.zeros(HEADER),
        maps=novelty.empty(MAPS, parameters.map_values),
        day=daily.empty(),
        scores=calibrator.empty(SCORES, parameters),
        settings=_settings(parameters),
    )


def _settings(parameters: Parameters) -> Floats:
    rates = (1.0 - 0.5 ** (1.0 / parameters.memory_rows), parameters.short_share, 2.0 / (parameters.long_rows + 1.0))
    rest = (parameters.rest_share, parameters.rest_least_rows, parameters.rest_most_rows)
    return np.array([*rates, *rest, parameters.peers])


@kernel
def judge(memory: Memory, at_s: Int64s, values: Floats) -> Floats:
    """float64[n, COLUMNS] of ``values`` float64[n] at ``at_s`` int64[n] (seconds, local midnight at multiples of a
    day), in time order; NaN values are skipped: no row surprise, no order."""
    out = np.empty((len(values), COLUMNS))
    for i in range(len(values)):
        out[i, ROW], out[i, ORDER] = judge_one(memory, at_s[i], values[i])
    return out


@inner
def judge_one(memory: Memory, at_s: int, value: float) -> tuple[float, float]:
    """Row surprise and order strength of one value."""
    if not np.isfinite(value):
        return np.nan, 0.0
    evidence = _evidence(memory, at_s, value)
    row = calibrator.surprise(memory.scores[EVIDENCE], evidence)
    return row, _order(memory, evidence)


@inner
def _evidence(memory: Memory, at_s: int, value: float) -> float:
    """The largest calibrated surprise of the components."""
    head, scores, settings = memory.head, memory.scores, memory.settings
    scale = _scale(head, value)
    _learn(head, value, settings)
    best = calibrator.surprise(scores[VALUE], novelty.distance(memory.maps[0], value) / scale)
    best = max(best, calibrator.surprise(scores[SHORT], novelty.distance(memory.maps[1], head[SHORT_MEAN]) / scale))
    best = max(best, calibrator.surprise(scores[LONG], novelty.distance(memory.maps[2], head[LONG_MEAN]) / scale))
    off, share = daily.deviation(memory.day, at_s, value, settings[RATE])
    usual = calibrator.surprise(scores[DAY], abs(off) / scale)
    return max(best, share * usual) if np.isfinite(usual) else best


@inner
def _scale(head: Floats, value: float) -> float:
    """Robust spread of what was seen so far; of a constant signal a billionth of its size."""
    return float(max(head[SPREAD], 1e-9 * max(abs(head[CENTRE]), abs(value)), 1e-300))


@inner
def _learn(head: Floats, value: float, settings: Floats) -> None:
    """Means of the value and its winsorised spread."""
    if head[SEEN] == 0.0:
        head[CENTRE] = head[SHORT_MEAN] = head[LONG_MEAN] = value
    head[SEEN] += 1.0
    off = value - head[CENTRE]
    if head[SEEN] > BASELINE and head[SPREAD] > 0.0:
        off = min(max(off, -WINSOR * head[SPREAD]), WINSOR * head[SPREAD])
    first = 1.0 / head[SEEN]
    step = max(settings[RATE], first)
    head[CENTRE] += step * off
    head[SPREAD] += step * (abs(off) - head[SPREAD])
    head[SHORT_MEAN] += max(settings[SHORT_RATE], first) * (value - head[SHORT_MEAN])
    head[LONG_MEAN] += max(settings[LONG_RATE], first) * (value - head[LONG_MEAN])


@inner
def _order(memory: Memory, evidence: float) -> float:
    """Strength of an order; 0 while the last, stronger one is not long enough ago."""
    head, settings = memory.head, memory.settings
    rest = min(max(settings[REST_SHARE] * head[SEEN], settings[REST_LEAST]), settings[REST_MOST])
    resting = evidence <= head[PEAK] and head[SEEN] - head[PEAK_AT] <= rest
    told = 0.0 if resting else evidence
    if not resting:
        head[PEAK], head[PEAK_AT] = evidence, head[SEEN]
    among = calibrator.surprise(memory.scores[ORDERS], told)
    return told + settings[PEERS] * among if told > 0.0 else 0.0
