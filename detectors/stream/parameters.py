"""The one parameter set of the stream judges: the same for every data set, signal and asset. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parameters:
    """Few, and each with its reason; what a plant chooses by itself is the alarm rate, never one of these."""

    memory_rows: float = 10_000.0
    """Half-life of what calibration remembers: long enough for tails of one in a thousand, short enough to follow wear-in."""

    patience_rows: float = 60.0
    """An excursion longer than this is taken for a fault and hardly taught: a fault must not become normal by lasting."""

    gain: float = 0.3
    """How much one alarm raises the limit of the asked rate, in decades: after n rows the rate is off by at most
    1 / (gain · n) a decade of travel."""


DEFAULT = Parameters()
