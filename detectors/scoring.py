"""Residuals → surprise: what a scorer is, and the healthy spread of the memories that scorers share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from detectors import bank
from detectors.context import Residuals
from detectors.context_rows import DOUBT, HALF_LIFE_VARIANCE
from detectors.jit import inner
from detectors.snapshot import Array
from plant.model import Floats


class Scorer(Protocol):
    """Gives every grid row a calibrated surprise; keeps its state in named arrays."""

    name: str

    def score(self, residuals: Residuals) -> Floats:
        """Calibrated surprise float64[n] (NaN = not judged); scores, then learns."""

    def arrays(self) -> Mapping[str, Array]: ...


SHORT, LONG, COUNT = range(3)
SIZE = 3
MARGIN = 1.5  # a spread learnt from a few independent hours may well be too small


def empty_spread(signals: int) -> Floats:
    """float64[signals, SIZE]: mean squares of the short and the long memory on healthy rows, and their count."""
    return np.zeros((signals, SIZE))


@inner
def deviate(spread: Floats, value: float, kind: int, half_life: float) -> float:
    """Memory ``value`` of one signal in standard deviations, model error included; ``spread`` float64[SIZE]."""
    noise = max(HALF_LIFE_VARIANCE / half_life, MARGIN * spread[kind])
    return float(value / np.sqrt(noise + DOUBT * DOUBT))


@inner
def learn_spread(spread: Floats, evidence: Floats, long_rows: float) -> None:
    """Learn one healthy row of one signal; ``evidence`` float64[bank.COLUMNS]."""
    if not np.isfinite(evidence[bank.LONG]):
        return
    spread[COUNT] += 1.0
    rate = 1.0 / max(min(spread[COUNT], 20_000.0), 2.0 * long_rows)
    spread[SHORT] += rate * (evidence[bank.SHORT] ** 2 - spread[SHORT])
    spread[LONG] += rate * (evidence[bank.LONG] ** 2 - spread[LONG])
