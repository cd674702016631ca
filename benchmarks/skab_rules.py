"""The public scoring rules of the Skoltech Anomaly Benchmark: rates of pooled rows, a score of changepoints. Pure.

Source: the rules published with the benchmark; the score of changepoints is the one of the Numenta Anomaly Benchmark
with windows of 60 s that begin at the true change. The first 400 rows of a run do not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]
Times = npt.NDArray[np.datetime64]

UNCOUNTED = 400
WINDOW = np.timedelta64(60, "s")
STEPS = 1000  # a window's worth falls in this many steps


@dataclass(frozen=True, slots=True)
class Rates:
    """``f1`` in [0, 1]; false-alarm rate of the normal rows and missed share of the anomalous ones, in per cent."""

    f1: float
    far: float
    mar: float


def rates(truth: Flags, alarm: Flags) -> Rates:
    """Of all counted rows together."""
    met, false = int((truth & alarm).sum()), int((~truth & alarm).sum())
    anomalous, normal = int(truth.sum()), int((~truth).sum())
    return Rates(
        f1=2 * met / max(anomalous + met + false, 1),
        far=100 * false / max(normal, 1),
        mar=100 * (anomalous - met) / max(anomalous, 1),
    )


@dataclass(frozen=True, slots=True)
class Profile:
    """What a false alarm and a missed change cost; meeting a change at once earns 1."""

    false_alarm: float
    miss: float


PROFILES: Mapping[str, Profile] = {
    "standard": Profile(0.11, 1.0),
    "low_fp": Profile(0.22, 1.0),
    "low_fn": Profile(0.11, 2.0),
}


@dataclass(frozen=True, slots=True)
class Met:
    """Of one run: how early each met change was, 1 (at once) to 0, changes missed, and alarms outside all windows."""

    early: Sequence[float]
    missed: int
    false: int


def changes(at: Times, truth: Flags, alarm: Flags) -> Met:
    """Which true changes were met by the alarms of rows at times ``at``; of overlapping windows the later is cut."""
    alarms = np.sort(at[alarm])
    outside = np.ones(len(alarms), np.bool_)
    early: list[float] = []
    windows = _windows(at[truth])
    for begin, end in windows:
        inside = (alarms >= begin) & (alarms <= end)
        outside &= ~inside
        if inside.any():
            early.append(_early((alarms[inside][0] - begin) / (end - begin)))
    return Met(early, missed=len(windows) - len(early), false=int(outside.sum()))


def _windows(changed: Times) -> list[tuple[np.datetime64, np.datetime64]]:
    windows: list[tuple[np.datetime64, np.datetime64]] = []
    for when in np.unique(changed):
        begin = windows[-1][1] if windows and windows[-1][1] >= when else when
        windows.append((begin, when + WINDOW))
    return windows


def _early(position: float) -> float:
    step = min(int(position * STEPS), STEPS - 1)
    x = np.pi * (step / (STEPS - 1) - 0.5)
    return float(0.5 - 0.5 * np.tanh(x) / np.tanh(np.pi / 2))


def score(runs: Sequence[Met], profile: Profile) -> float:
    """0 is what silence gets, 100 what meeting every change at once gets."""
    early = [each for run in runs for each in run.early]
    missed, false = sum(run.missed for run in runs), sum(run.false for run in runs)
    changed = len(early) + missed
    if changed == 0:
        return 0.0
    cost = profile.false_alarm
    raw = sum(each * (1 + cost) - cost for each in early) - profile.miss * missed - cost * false
    return 100 * (raw + profile.miss * changed) / (changed * (1 + profile.miss))
