"""Lines of an envelope spectrum where a bearing's defect would put them, and how surprising they are. Pure.

Bins of the envelope spectrum of noise are Rayleigh distributed about a floor that changes slowly with frequency: a
bin is r times the median of its neighbours, or higher, with probability 2^(-r²). The highest of the m bins near each of
the first three harmonics gives a tail probability; Fisher's method joins the three. So no level was chosen: a surprise
of five means one spectrum of noise in a hundred thousand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.vibration.bearings import Bearing, Part
from plant.model import Floats

HARMONICS = 3
LEAST_HARMONICS = 2  # a single line may be anything, impacts have harmonics
SEEN = 2.0  # surprise from which a harmonic counts
NEIGHBOURS = 0.25  # of the frequency, on either side, make the floor
LEAST_NEIGHBOURS = 32  # bins on either side
SHAFT_BINS = 3  # bins on either side of a multiple of the shaft speed: imbalance and load, not a defect …
SHAFT_SHARE = 0.005  # … and this share of the frequency, as the speed is known no better

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Line:
    """The line of one part's defect: where it should be and was found (Hz), its amplitude in the spectrum's unit.

    ``prominence``: how many times the floor; ``harmonics``: how many of the first three stand out; ``surprise`` of all.
    """

    part: Part
    expected_hz: float
    found_hz: float
    amplitude: float
    prominence: float
    harmonics: int
    surprise: float


def lines(frequency: Floats, amplitude: Floats, bearing: Bearing, *, speed_rpm: float) -> Mapping[Part, Line]:
    """The line of each part's defect in an envelope spectrum (Hz float64[n] evenly from 0, amplitude float64[n]).

    A part whose frequency lies outside the spectrum, or on a multiple of the shaft speed, has none.
    """
    shaft = _near_shaft(frequency, speed_rpm / 60.0)
    found = {
        part: _line(part, hz, frequency, amplitude, shaft, bearing.tolerance)
        for part, hz in bearing.frequencies_hz(speed_rpm).items()
    }
    return {part: line for part, line in found.items() if line is not None}


def _near_shaft(frequency: Floats, shaft_hz: float) -> Bools:
    away = np.abs(frequency - np.rint(frequency / shaft_hz) * shaft_hz)
    return np.asarray(away <= np.maximum(SHAFT_BINS * frequency[1], SHAFT_SHARE * frequency), np.bool_)


def _line(part: Part, hz: float, frequency: Floats, amplitude: Floats, shaft: Bools, tolerance: float) -> Line | None:
    tails: list[float] = []
    first: tuple[int, float] | None = None
    for harmonic in range(1, HARMONICS + 1):
        reach = max(tolerance * harmonic * hz, 0.5 * float(frequency[1]))  # at least its own bin
        near = np.flatnonzero((np.abs(frequency - harmonic * hz) <= reach) & ~shaft)
        floor = _floor(amplitude, near)
        if floor <= 0.0:
            continue
        best = int(near[np.argmax(amplitude[near])])
        prominence = float(amplitude[best]) / floor
        first = first or (best, prominence)
        tails.append(_tail(prominence, len(near)))
    if first is None:
        return None
    best, prominence = first
    stand_out = sum(tail >= SEEN for tail in tails)
    surprise = _fisher(tails) - math.log10(len(Part)) if stand_out >= LEAST_HARMONICS else 0.0
    found_hz = _peak_hz(frequency, amplitude, best)
    return Line(part, hz, found_hz, float(amplitude[best]), prominence, stand_out, max(surprise, 0.0))


def _floor(amplitude: Floats, near: npt.NDArray[np.intp]) -> float:
    """Median of the bins on either side; 0 where there are too few."""
    if len(near) == 0:
        return 0.0
    side = max(LEAST_NEIGHBOURS, int(NEIGHBOURS * near[-1]))
    below, above = max(near[0] - side, 1), near[-1] + 1 + side
    around = np.concatenate([amplitude[below : near[0]], amplitude[near[-1] + 1 : above]])
    return float(np.median(around)) if len(around) >= LEAST_NEIGHBOURS else 0.0


def _tail(prominence: float, bins: int) -> float:
    """Surprise of the highest of so many bins of noise."""
    one = 2.0 ** -min(prominence**2, 300.0)
    return -math.log10(max(-math.expm1(bins * math.log1p(-one)), 1e-300)) if one < 1.0 else 0.0


def _fisher(tails: list[float]) -> float:
    """Surprise of several independent tails together: the sum of −ln p is gamma distributed."""
    total = sum(tails) * math.log(10.0)
    terms = [k * math.log(max(total, 1e-300)) - math.lgamma(k + 1) for k in range(len(tails))]
    return max((total - math.log(sum(math.exp(each) for each in terms))) / math.log(10.0), 0.0)


def _peak_hz(frequency: Floats, amplitude: Floats, best: int) -> float:
    """Between bins, by the parabola through the highest and its neighbours."""
    if not 0 < best < len(amplitude) - 1:
        return float(frequency[best])
    left, top, right = (float(each) for each in amplitude[best - 1 : best + 2])
    bend = left - 2.0 * top + right
    shift = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
    return float(frequency[best] + min(max(shift, -0.5), 0.5) * frequency[1])
