"""Service-level clocks: running, paused, stopped, passing their marks, breached. Pure.

A clock uses up its target in the open time of its calendar while it runs. Marks (warnings, escalations) and the breach
are points of used time: each is passed once a round. Whatever moves the due time begins a new generation, and whatever
makes the clock count from nothing, or towards another target, a new round.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from tickets.calendars import AROUND_THE_CLOCK, ZERO, Calendar, due, elapsed
from tickets.model import Text


class ClockKind(StrEnum):
    """What a clock counts towards."""

    RESPONSE = "response"
    UPDATE = "update"  # the next word to the requester
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


class Do(StrEnum):
    """What happens at a mark; people are told in any case."""

    NOTICE = "notice"
    RAISE = "raise_priority"
    REASSIGN = "reassign"


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of a clock at which something happens: a fraction of the target, or an offset from it in open time."""

    fraction: float | None = None
    offset: timedelta = ZERO
    whom: tuple[str, ...] = ("assignee", "planners")
    do: Do = Do.NOTICE

    @property
    def key(self) -> str:
        """Names the mark on its clock, like 80%, -1800s or +3600s:reassign."""
        point = f"{self.offset.total_seconds():+g}s" if self.fraction is None else f"{self.fraction * 100:g}%"
        return point if self.do is Do.NOTICE else f"{point}:{self.do}"

    def after(self, target: timedelta) -> timedelta:
        """The used time at which it comes."""
        return target + self.offset if self.fraction is None else target * self.fraction


STANDARD = (Mark(0.8), Mark())  # a warning at 80 %, and word of the breach


@dataclass(frozen=True, slots=True)
class Terms:
    """What was promised when the clock began, whatever becomes of the policy. ``pauses``: the reasons of a hold that
    pause this clock; None = as the life cycle says."""

    marks: tuple[Mark, ...] = STANDARD
    pauses: frozenset[str] | None = None
    policy_id: int | None = None
    policy_version: int | None = None
    name: str = ""
    why: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Clock:
    """One clock of a ticket. ``used`` is what was consumed before ``running_since``."""

    kind: ClockKind
    calendar: Calendar
    target: timedelta
    terms: Terms = Terms()
    basis: Basis = Basis.POLICY
    used: timedelta = ZERO
    running_since: datetime | None = None  # None = paused or stopped
    due_at: datetime | None = None
    next_at: datetime | None = None  # the next mark or the breach
    fired: frozenset[str] = field(default_factory=frozenset)  # keys of the marks passed in this round
    breached_at: datetime | None = None
    stopped_at: datetime | None = None
    generation: int = 1
    round: int = 1
    breaches: int = 0  # rounds that were breached


@dataclass(frozen=True, slots=True)
class Passed:
    """A mark, or (None) the target itself, was passed; ``at`` says when it should have been."""

    mark: Mark | None
    at: datetime


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


def is_due(clock: Clock, now: datetime) -> bool:
    """A mark or the breach is to be recorded now."""
    return clock.running_since is not None and clock.next_at is not None and now >= clock.next_at


def passing(clock: Clock, upto: datetime, *, now: datetime) -> tuple[Clock, tuple[Passed, ...]]:
    """The clock with everything recorded at ``now`` that was passed by ``upto``, and what that is, in order."""
    if not is_due(clock, upto):
        return clock, ()
    spent = used(clock, upto)
    passed = [(after, mark) for after, mark in _points(clock) if after <= spent]
    breached = any(mark is None for _, mark in passed)
    after_it = replace(
        clock,
        fired=clock.fired | {mark.key for _, mark in passed if mark is not None},
        breached_at=now if breached else clock.breached_at,
        breaches=clock.breaches + breached,
    )
    since = clock.running_since or upto
    told = tuple(Passed(mark, due(clock.calendar, since, after - clock.used)) for after, mark in passed)
    return replace(after_it, next_at=_next(after_it)), told


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


def restart(clock: Clock, now: datetime) -> Clock:
    """Count from nothing again: a new round, in which every mark may come once; what was breached stays counted."""
    fresh = replace(_rest(clock, now), used=ZERO, breached_at=None, stopped_at=None, fired=frozenset())
    return _run(replace(fresh, round=clock.round + 1), now)


def withdraw(clock: Clock, at: datetime) -> Clock:
    """Take back the breach of this round, and the marks that at ``at`` had not been passed: they may come yet."""
    spent = used(clock, at)
    kept = {mark.key for mark in clock.terms.marks if mark.after(clock.target) <= spent}
    return replace(clock, breached_at=None, breaches=clock.breaches - 1, fired=clock.fired & kept)


def retarget(clock: Clock, now: datetime, *, target: timedelta, calendar: Calendar, terms: Terms) -> Clock:
    """Other terms count from the beginning, but never make a breach, or a warning, of the past.

    Where the new target is already used up, it counts from now instead, yet not longer than the old one would have.
    """
    spent = used(clock, now)
    if spent >= target:
        target = min(max(clock.target, spent), spent + target)
    rested = replace(_rest(clock, now), calendar=calendar, stopped_at=clock.stopped_at)
    changed = _towards(replace(rested, terms=terms), target)
    return changed if clock.running_since is None else _run(changed, now)


def aim(clock: Clock, now: datetime, *, due_at: datetime) -> Clock:
    """Be due at ``due_at`` (after ``now``) around the clock, as a forecast asks, whatever was used before."""
    target = used(clock, now) + (due_at - now)
    rested = replace(_rest(clock, now), calendar=AROUND_THE_CLOCK, basis=Basis.FORECAST)
    changed = _towards(rested, target)
    return changed if clock.running_since is None else _run(changed, now)


def recalendar(clock: Clock, now: datetime, calendar: Calendar) -> Clock:
    """Count in another calendar from now on; what was used stays used."""
    changed = replace(_rest(clock, now), calendar=calendar)
    return changed if clock.running_since is None else _run(changed, now)


def _towards(clock: Clock, target: timedelta) -> Clock:
    """A resting clock gets a target. Marks in its past never come; after a breach none does."""
    behind = {
        mark.key for mark in clock.terms.marks if clock.breached_at is not None or mark.after(target) <= clock.used
    }
    return replace(clock, target=target, fired=frozenset(behind), round=clock.round + 1)


def _points(clock: Clock) -> list[tuple[timedelta, Mark | None]]:
    """What is still to come, in order: marks and, as None, the breach. A mark before the beginning never comes."""
    points: list[tuple[timedelta, Mark | None]] = [] if clock.breached_at else [(clock.target, None)]
    for mark in clock.terms.marks:
        after = mark.after(clock.target)
        if after > ZERO and mark.key not in clock.fired:
            points.append((after, mark))
    return sorted(points, key=lambda point: point[0])


def _next(clock: Clock) -> datetime | None:
    points = _points(clock)
    if clock.running_since is None or not points:
        return None
    return due(clock.calendar, clock.running_since, points[0][0] - clock.used)


def _run(clock: Clock, now: datetime) -> Clock:
    running = replace(clock, running_since=now, due_at=due(clock.calendar, now, clock.target - clock.used))
    return replace(running, next_at=_next(running))


def _rest(clock: Clock, now: datetime) -> Clock:
    return replace(
        clock,
        used=used(clock, now),
        running_since=None,
        due_at=None,
        next_at=None,
        generation=clock.generation + 1,
    )
