"""How alarms on the runs of the Tennessee Eastman plant are scored. Pure.

A run has a row every 3 minutes and its fault from row 160 on. Detection is the share of the rows of a fault that alarm;
the false-alarm rate is that of the rows before all faults; the delay lasts until six rows in a row alarmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]

ONSET = 160
STEP_MIN = 3.0
IN_A_ROW = 6
INVISIBLE = frozenset({3, 9, 15})  # known to be nearly so


@dataclass(frozen=True, slots=True)
class Fault:
    """Of one run: detection and false alarms before the fault in per cent, minutes until it was seen (None: never)."""

    detection: float
    far: float
    delay_min: float | None


def fault(alarm: Flags) -> Fault:
    """Score the alarms bool[n] of a run with a fault."""
    return Fault(100 * float(alarm[ONSET:].mean()), 100 * float(alarm[:ONSET].mean()), delay(alarm[ONSET:]))


def delay(alarm: Flags) -> float | None:
    """Minutes from the first row to the end of the first six alarms in a row, or None."""
    total = np.concatenate([[0], np.cumsum(alarm)])
    whole = np.flatnonzero(total[IN_A_ROW:] - total[:-IN_A_ROW] == IN_A_ROW)
    return float(whole[0] + IN_A_ROW - 1) * STEP_MIN if len(whole) else None


def summary(faults: Mapping[int, Fault]) -> dict[str, float | None]:
    """Means over the faults, in per cent; ``detection_visible`` without those known to be nearly invisible."""
    visible = [each.detection for number, each in faults.items() if number not in INVISIBLE]
    known = [each.delay_min for each in faults.values() if each.delay_min is not None]
    return {
        "detection": fmean(each.detection for each in faults.values()),
        "detection_visible": fmean(visible) if visible else None,
        "far": fmean(each.far for each in faults.values()),
        "delay_min": float(np.median(known)) if known else None,
        "undetected": float(len(faults) - len(known)),
    }
