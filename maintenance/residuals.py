"""Samples and bands → what the verification looks at: residuals while running, in half widths of the healthy band.

A detector writes a band only for moments that it judges: the machine runs, has warmed up, and is asked for something
it was asked before. So a band is the same operating state by construction, and counting bands counts running time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from psycopg import Connection

from maintenance.model import Deviation, VerifyPolicy
from maintenance.verify import Track
from plant import telemetry
from plant.model import Floats, Int64s, Signal

HOUR_US = 3_600_000_000
LOOK_BACK = timedelta(minutes=5)  # a band is compared with the mean of what was measured just before it
EVERYTHING = 10_000_000
USUAL_BEAT_H = 0.25
PLOT_POINTS = 300


@dataclass(frozen=True, slots=True)
class Span:
    """``since`` the deviation began, the repair was ``done``, and data are judged ``until``."""

    since: datetime
    done: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class _Residuals:
    at_us: Int64s
    half_widths: Floats


def tracks(
    conn: Connection, signals: Sequence[Signal], evidence: Mapping[int, Deviation], span: Span, policy: VerifyPolicy
) -> tuple[list[Track], float]:
    """A track for each signal, and the hours of running data since done (settling left out)."""
    found = {signal.signal_id: _residuals(conn, signal, span) for signal in signals}
    done_us, settled_us = telemetry.to_us(span.done), telemetry.to_us(span.done + policy.settle)
    every = [each.at_us for each in found.values()]
    beats = np.unique(np.concatenate(every)) if every else np.empty(0, np.int64)
    beat_h = float(np.median(np.diff(beats))) / HOUR_US if len(beats) > 2 else USUAL_BEAT_H
    later = beats[beats > settled_us]
    most = max(1, round(policy.before / timedelta(hours=1) / beat_h))
    made = []
    for signal in signals:
        residuals = found[signal.signal_id]
        before, after = residuals.at_us <= done_us, residuals.at_us > settled_us
        deviation = evidence.get(signal.signal_id, Deviation(1.0 / len(signals), 0))
        made.append(
            Track(
                signal.signal_id,
                deviation.share,
                deviation.direction,
                residuals.half_widths[before][-most:],
                residuals.half_widths[after],
                np.asarray((np.searchsorted(later, residuals.at_us[after]) + 1) * beat_h, np.float64),
                signal.code,
            )
        )
    return made, len(later) * beat_h


def plot(conn: Connection, signals: Sequence[Signal], span: Span) -> list[dict[str, Any]]:
    """Signals with their limits before and after the repair, thinned, as plain JSON (times in ms since the epoch)."""
    ids = [signal.signal_id for signal in signals]
    series = telemetry.read(conn, ids, span.since, span.until, max_points=PLOT_POINTS)
    made = []
    for signal in signals:
        line = series[signal.signal_id]
        bands = telemetry.read_bands(conn, signal.signal_id, span.since, span.until, max_points=PLOT_POINTS)
        made.append(
            {
                "signal_id": signal.signal_id,
                "code": signal.code,
                "unit": signal.unit,
                "at": [int(us) // 1000 for us in line.at_us],
                "value": _short(line.value),
                "bands": {
                    "at": [int(us) // 1000 for us in bands.at_us],
                    "low": _short(bands.low),
                    "expected": _short(bands.expected),
                    "high": _short(bands.high),
                },
            }
        )
    return made


def _residuals(conn: Connection, signal: Signal, span: Span) -> _Residuals:
    look_us = max(int(LOOK_BACK.total_seconds() * 1e6), int(signal.period_s * 1e6))
    bands = telemetry.read_bands(conn, signal.signal_id, span.since, span.until, max_points=EVERYTHING)
    if len(bands.at_us) == 0:
        return _Residuals(np.empty(0, np.int64), np.empty(0))
    start = telemetry.from_us(int(bands.at_us[0]) - look_us)
    end = telemetry.from_us(int(bands.at_us[-1]) + 1)
    line = telemetry.read(
        conn, [signal.signal_id], start, end, resolution=telemetry.Resolution.RAW, max_points=EVERYTHING
    )[signal.signal_id]
    value = _means(line.at_us, line.value, bands.at_us, look_us)
    half = (bands.high - bands.low) / 2
    good = np.isfinite(value) & (half > 0)
    return _Residuals(bands.at_us[good], ((value - bands.expected)[good]) / half[good])


def _means(at_us: Int64s, values: Floats, wanted_us: Int64s, look_us: int) -> Floats:
    """Mean of the values in (wanted − look, wanted]; NaN where there is none."""
    first = np.searchsorted(at_us, wanted_us - look_us, side="right")
    last = np.searchsorted(at_us, wanted_us, side="right")
    total = np.concatenate([[0.0], np.cumsum(values)])
    count = (last - first).astype(np.float64)
    means = np.full(len(wanted_us), np.nan)
    np.divide(total[last] - total[first], count, out=means, where=count > 0)
    return means


def _short(values: Floats) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
