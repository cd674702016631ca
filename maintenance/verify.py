"""Has the repair healed the machine? Pure.

The signals that convinced the detector are looked at again, in the same operating state, against the same baseline:
each residual (value − expected) is counted in half widths of the healthy band. What is left of the deviation after the
repair, as a share of what there was before it, decides, so that a fault still inside the limits is not called healed.
A detector's slow memory therefore cannot reopen a good repair, nor can wide limits close a sham one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import numpy as np

from maintenance.model import Reason, VerifyPolicy
from plant.model import Floats

HOUR = timedelta(hours=1)


class Status(StrEnum):
    RUNNING = "running"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    NEEDS_PERSON = "needs_person"


class Watch(StrEnum):
    """What the detectors say about the asset now."""

    QUIET = "quiet"
    OLD = "old"  # a finding from before the repair has not ended: memory, or the fault
    FRESH = "fresh"  # a finding began after the repair


@dataclass(frozen=True, slots=True)
class Track:
    """One signal's residuals while running, in half widths of its band (±1 = at the limit).

    ``before`` float64[m]: running data before the repair; ``after`` float64[n] since, with ``after_h`` float64[n],
    each one's hour of running data since the repair (ascending).
    """

    signal_id: int
    share: float
    direction: int
    before: Floats
    after: Floats
    after_h: Floats
    code: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """What has been seen since done: ``running_h`` hours of running data, ``elapsed`` plant time."""

    tracks: Sequence[Track]
    running_h: float
    elapsed: timedelta
    watch: Watch


@dataclass(frozen=True, slots=True)
class SignalCheck:
    """One signal before and after, in half widths, and the share of running data inside the limits."""

    signal_id: int
    before: float | None
    after: float | None
    inside: float | None


@dataclass(frozen=True, slots=True)
class Assessment:
    """The guard's answer; ``left`` is the share of the deviation that is left (None = cannot be told)."""

    status: Status
    reasons: tuple[Reason, ...]
    left: float | None
    signals: tuple[SignalCheck, ...]


def assess(seen: Observation, policy: VerifyPolicy) -> Assessment:
    """Judge a repair by what has been seen so far."""
    recent_h = min(seen.running_h, policy.unhealthy / HOUR)
    long_h = min(seen.running_h, policy.verify / HOUR)
    left_now = _left(seen.tracks, seen.running_h - recent_h, policy)
    left_long = _left(seen.tracks, seen.running_h - long_h, policy)
    checks = tuple(_check(track, seen.running_h - long_h) for track in seen.tracks)
    status, reasons = _judge(seen, policy, left_now, left_long, checks)
    gone = missing(seen.tracks, seen.running_h - long_h)
    if gone and status is Status.HEALTHY:  # what nobody sees is not called healed
        asked = seen.elapsed >= policy.limit
        status = Status.NEEDS_PERSON if asked else Status.RUNNING
        reasons = (Reason("blind" if asked else "missing", {"signals": ", ".join(gone)}), *reasons[1:])
    return Assessment(status, reasons, left_long, checks)


def _judge(
    seen: Observation,
    policy: VerifyPolicy,
    left_now: float | None,
    left_long: float | None,
    checks: Sequence[SignalCheck],
) -> tuple[Status, tuple[Reason, ...]]:
    if seen.running_h >= policy.unhealthy / HOUR and _ill(seen.watch, left_now, policy):
        return Status.UNHEALTHY, _words("still_deviates", seen, left_now)
    inside = all(check.inside is None or check.inside >= policy.inside for check in checks)
    if seen.running_h >= policy.verify / HOUR and inside and _healed(seen.watch, left_long, policy):
        return Status.HEALTHY, _words("healed", seen, left_long)
    if seen.elapsed >= policy.limit:
        ran = seen.running_h >= policy.verify / HOUR
        return Status.NEEDS_PERSON, _words("undecided" if ran else "hardly_ran", seen, left_long)
    values: dict[str, str | float] = {"hours": seen.running_h, "need": policy.verify / HOUR}
    return Status.RUNNING, (Reason("watching", values),)


def _ill(watch: Watch, left: float | None, policy: VerifyPolicy) -> bool:
    if left is None:
        return watch is not Watch.QUIET
    return left >= policy.ill or (watch is Watch.FRESH and left > policy.healed)


def _healed(watch: Watch, left: float | None, policy: VerifyPolicy) -> bool:
    if left is None:
        return watch is Watch.QUIET
    return left <= policy.healed and watch is not Watch.FRESH


def _left(tracks: Sequence[Track], since_h: float, policy: VerifyPolicy) -> float | None:
    """Deviation after ÷ before over all tracks, weighted by share; None when there was none to measure."""
    before = after = 0.0
    for track in tracks:
        recent = track.after[track.after_h >= since_h]
        if len(track.before) == 0 or len(recent) == 0:
            continue
        level = float(np.median(track.before))
        way = track.direction or (1 if level >= 0 else -1)
        before += track.share * way * level
        after += track.share * way * float(np.median(recent))
    return max(after, 0.0) / before if before >= policy.least_deviation else None


def missing(tracks: Sequence[Track], since_h: float) -> list[str]:
    """Signals that were seen before the repair and have hardly been seen since (under half as often as the others)."""
    counts = [int(np.count_nonzero(track.after_h >= since_h)) for track in tracks]
    most = max(counts, default=0)
    return [
        track.code or str(track.signal_id)
        for track, count in zip(tracks, counts, strict=True)
        if len(track.before) and 2 * count < most
    ]


def _check(track: Track, since_h: float) -> SignalCheck:
    recent = track.after[track.after_h >= since_h]
    return SignalCheck(
        track.signal_id,
        float(np.median(track.before)) if len(track.before) else None,
        float(np.median(recent)) if len(recent) else None,
        float(np.mean(np.abs(recent) <= 1.0)) if len(recent) else None,
    )


def _words(key: str, seen: Observation, left: float | None) -> tuple[Reason, ...]:
    values: dict[str, str | float] = {"hours": seen.running_h, "elapsed": seen.elapsed / HOUR}
    first = Reason(key, values)
    return (first,) if left is None else (first, Reason("left", {"percent": 100 * left}))
