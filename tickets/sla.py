"""Service-level clocks: running, paused, stopped, warned, breached. Pure.

A clock uses up its target in the open time of its calendar while it runs. Whatever moves its due time gives it a new
generation; a timer set for an older one does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from tickets.calendars import AROUND_THE_CLOCK, ZERO, Calendar, due, elapsed


class ClockKind(StrEnum):
    """What a clock counts towards."""

    RESPONSE = "response"
    RESOLUTION = "resolution"


class Basis(StrEnum):
    """What set the target: the site's policy, or the forecast of a failure."""

    POLICY = "policy"
    FORECAST = "forecast"


class State(StrEnum):
    """How a clock stands."""

    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    BREACHED = "breached"


@dataclass(frozen=True, slots=True)
class Clock:
    """One clock of a ticket. ``used`` is what was consumed before ``running_since``."""

    kind: ClockKind
    calendar: Calendar
    target: timedelta
    warn_fraction: float
    basis: Basis = Basis.POLICY
    used: timedelta = ZERO
    running_since: datetime | None = None  # None = paused or stopped
    due_at: datetime | None = None
    warn_at: datetime | None = None
    warned_at: datetime | None = None
    breached_at: datetime | None = None
    stopped_at: datetime | None = None
    generation: int = 1


def start(clock: Clock, now: datetime) -> Clock:
    """A new clock begins to run."""
    return _run(clock, now)


def used(clock: Clock, now: datetime) -> timedelta:
    """Target consumed so far: the open time of all running intervals."""
    if clock.running_since is None:
        return clock.used
    return clock.used + elapsed(clock.calendar, clock.running_since, now)


def remaining(clock: Clock, now: datetime) -> timedelta:
    """Target left; negative when overdrawn."""
    return clock.target - used(clock, now)


def state(clock: Clock, now: datetime) -> State:
    """How the clock stands at ``now``."""
    if clock.breached_at is not None or is_overdue(clock, now) or clock.used > clock.target:
        return State.BREACHED
    if clock.stopped_at is not None:
        return State.MET
    return State.PAUSED if clock.running_since is None else State.RUNNING


def is_overdue(clock: Clock, now: datetime) -> bool:
    """Running, with the due time reached."""
    return clock.running_since is not None and clock.due_at is not None and now >= clock.due_at


def is_breach_due(clock: Clock, now: datetime) -> bool:
    """A breach is to be recorded now (once)."""
    return clock.breached_at is None and is_overdue(clock, now)


def is_warning_due(clock: Clock, now: datetime) -> bool:
    """A warning is to be recorded now (once)."""
    if clock.running_since is None or clock.warn_at is None:
        return False
    return clock.warned_at is None and now >= clock.warn_at


def pause(clock: Clock, now: datetime) -> Clock:
    """Hold the clock; no effect unless it runs."""
    if clock.running_since is None:
        return clock
    return _rest(clock, now)


def stop(clock: Clock, now: datetime) -> Clock:
    """The clock's goal is reached; no effect when it is stopped already."""
    if clock.stopped_at is not None:
        return clock
    return replace(_rest(clock, now), stopped_at=now)


def resume(clock: Clock, now: datetime) -> Clock:
    """Run again after a pause or a stop, with what is left; no effect while it runs."""
    if clock.running_since is not None:
        return clock
    return _run(replace(clock, stopped_at=None, generation=clock.generation + 1), now)


def retarget(clock: Clock, now: datetime, *, target: timedelta, calendar: Calendar, warn_fraction: float) -> Clock:
    """Another target counts from the beginning, but never makes a breach of the past.

    Where the new target is already used up, it counts from now instead, yet not longer than the old one would have.
    """
    spent = used(clock, now)
    if spent >= target:
        target = min(max(clock.target, spent), spent + target)
    changed = replace(
        _rest(clock, now), target=target, calendar=calendar, warn_fraction=warn_fraction, stopped_at=clock.stopped_at
    )
    return changed if clock.running_since is None else _run(changed, now)


def aim(clock: Clock, now: datetime, *, due_at: datetime) -> Clock:
    """Be due at ``due_at`` (after ``now``) around the clock, as a forecast asks, whatever was used before."""
    target = used(clock, now) + (due_at - now)
    changed = replace(_rest(clock, now), target=target, calendar=AROUND_THE_CLOCK, basis=Basis.FORECAST)
    return changed if clock.running_since is None else _run(changed, now)


def _run(clock: Clock, now: datetime) -> Clock:
    warn_after = clock.target * clock.warn_fraction - clock.used
    return replace(
        clock,
        running_since=now,
        due_at=due(clock.calendar, now, clock.target - clock.used),
        warn_at=due(clock.calendar, now, warn_after),
    )


def _rest(clock: Clock, now: datetime) -> Clock:
    return replace(
        clock,
        used=used(clock, now),
        running_since=None,
        due_at=None,
        warn_at=None,
        generation=clock.generation + 1,
    )
