"""The alarm machine after ISA-18.2 / IEC 62682. Pure.

                 deviates                 acknowledge
    (none) ───────────────▶ ACTIVE ──────────────────▶ ACKNOWLEDGED
                              ▲ ▲ ╲ shelve(owner, until)      │
          deviates, within    │ │  ▼                          │
          the reopen window   │ └─ SHELVED (expires)          │
                              │                               ▼
                              └─────────────────────────── CLEARED   after ``clear_delay`` of normal,
                                                                     and only when no order is open

An alarm that comes back within ``reopen_within`` is the same alarm: chatter makes one alarm with a count of returns.
Several detectors may deviate at once; the machine is normal when the last one says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from maintenance.errors import BadShelf, IllegalAlarmMove
from maintenance.model import Policy


class AlarmState(StrEnum):
    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"
    SHELVED = "shelved"
    CLEARED = "cleared"


class Order(StrEnum):
    """Whether an order for the alarm is open: it holds the alarm, since people are about to look."""

    OPEN = "open"
    NONE = "none"


class Shelf(StrEnum):
    """How a shelf ends: at its time alone, or also as soon as the alarm is back to normal (one shot)."""

    TIMED = "timed"
    ONCE = "once"


@dataclass(frozen=True, slots=True)
class Tuning:
    """How an alarm is kept from being a nuisance; the site's defaults, or what is said of a class and signal.

    ``dead_band``: a return counts as a new alarm only when health falls by this below what it was at the return.
    ``on_delay``: a deviation must last so long; ``off_delay``: a shorter pause is none. ISA-18.2 has the figures of
    chatter (three in a minute) and stale (24 hours).
    """

    dead_band: float = 0.0
    on_delay: timedelta = timedelta(0)
    off_delay: timedelta = timedelta(0)
    chatter_per_minute: int = 3
    fleeting: timedelta = timedelta(seconds=60)
    stale: timedelta = timedelta(hours=24)
    tell_severity: int = 2


DEFAULT = Tuning()


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm's life. ``deviating_since``: this time without a break; ``returned_at``: since when nothing deviates
    (None = deviating); ``onset_at``: when this deviation is believed to have begun."""

    state: AlarmState
    started_at: datetime
    raised_at: datetime
    last_at: datetime
    deviating_since: datetime
    deviating: frozenset[str]
    findings: int = 1
    returns: int = 0
    returned_at: datetime | None = None
    cleared_at: datetime | None = None
    acked_by: str | None = None
    acked_at: datetime | None = None
    shelved_until: datetime | None = None
    shelved_by: str | None = None
    shelve_reason: str | None = None
    onset_at: datetime | None = None
    shelf: Shelf = Shelf.TIMED


def raised(source: str, *, started_at: datetime, at: datetime) -> Alarm:
    """A new alarm: ``source`` (a detector) sees since ``started_at`` what it says at ``at``."""
    onset = min(started_at, at)
    return Alarm(AlarmState.ACTIVE, onset, at, at, at, frozenset([source]), onset_at=onset)


def same(alarm: Alarm, at: datetime, policy: Policy) -> bool:
    """Whether a deviation at ``at`` belongs to this alarm: it is open, or cleared only just."""
    return alarm.cleared_at is None or at - alarm.cleared_at <= policy.reopen_within


def in_dead_band(alarm: Alarm, *, before: float, health: float, tuning: Tuning) -> bool:
    """Whether a deviation of an alarm that is back to normal lies within the dead band. ``before``: health then.

    Without a dead band (0) nothing does: also a deviation that is milder than the return before it counts.
    """
    return alarm.returned_at is not None and tuning.dead_band > 0 and before - health < tuning.dead_band


def deviates(
    alarm: Alarm, source: str, *, at: datetime, started_at: datetime | None = None, tuning: Tuning = DEFAULT
) -> Alarm:
    """A detector says (again) that the machine deviates. A cleared alarm is active again, unacknowledged.

    A pause shorter than the off-delay is none: the deviation goes on. ``started_at``: since when it deviates this time.
    """
    paused = alarm.returned_at
    again = paused is not None and (alarm.state is AlarmState.CLEARED or at - paused >= tuning.off_delay)
    alarm = replace(
        _unshelved_at(alarm, at),
        findings=alarm.findings + 1,
        returns=alarm.returns + again,
        returned_at=None,
        deviating_since=at if again else alarm.deviating_since,
        onset_at=min(started_at or at, at) if again else alarm.onset_at,
        last_at=max(alarm.last_at, at),
        deviating=alarm.deviating | {source},
    )
    if alarm.state is AlarmState.CLEARED:
        alarm = replace(alarm, state=AlarmState.ACTIVE, cleared_at=None, acked_by=None, acked_at=None)
    return alarm


def normal(alarm: Alarm, source: str, *, at: datetime) -> Alarm:
    """A detector's deviation has ended; the last one to end makes the alarm wait for its clearing."""
    left = alarm.deviating - {source}
    ended = not left and alarm.returned_at is None
    if ended and alarm.state is AlarmState.SHELVED and alarm.shelf is Shelf.ONCE:
        alarm = _unshelved(alarm)
    return replace(
        alarm, deviating=left, returned_at=at if ended else alarm.returned_at, last_at=max(alarm.last_at, at)
    )


def tick(alarm: Alarm, *, now: datetime, order: Order, policy: Policy) -> Alarm:
    """What time alone does: a shelf expires; an alarm normal for ``clear_delay`` without an open order clears."""
    alarm = _unshelved_at(alarm, now)
    if alarm.returned_at is None or order is Order.OPEN or alarm.state is AlarmState.CLEARED:
        return alarm
    return cleared(alarm, at=now) if now - alarm.returned_at >= policy.clear_delay else alarm


def cleared(alarm: Alarm, *, at: datetime) -> Alarm:
    """Clear for a reason of its own: the repair is verified."""
    if alarm.state is AlarmState.CLEARED:
        return alarm
    return replace(
        alarm,
        state=AlarmState.CLEARED,
        cleared_at=at,
        returned_at=alarm.returned_at or at,
        deviating=frozenset(),
        shelved_until=None,
        shelved_by=None,
        shelve_reason=None,
        shelf=Shelf.TIMED,
    )


def acknowledge(alarm: Alarm, *, by: str, at: datetime) -> Alarm:
    """A person has seen it. Raises IllegalAlarmMove unless it is active; again by anyone changes nothing."""
    if alarm.state is AlarmState.ACKNOWLEDGED:
        return alarm
    if alarm.state is not AlarmState.ACTIVE:
        raise IllegalAlarmMove(f"A {alarm.state} alarm cannot be acknowledged; only an active one can.")
    return replace(alarm, state=AlarmState.ACKNOWLEDGED, acked_by=by, acked_at=at)


def shelve(
    alarm: Alarm, *, by: str, until: datetime, reason: str, now: datetime, policy: Policy, shelf: Shelf = Shelf.TIMED
) -> Alarm:
    """Silence it for a while, with an owner and a reason. A shelved one gets the new owner, time and reason.

    Raises IllegalAlarmMove, BadShelf.
    """
    if alarm.state is AlarmState.CLEARED:
        raise IllegalAlarmMove("A cleared alarm needs no shelving.")
    if not by.strip() or not reason.strip():
        raise BadShelf("Shelving needs an owner and a reason.")
    if not now < until <= now + policy.shelve_most:
        raise BadShelf(f"Shelve until a time after now and within {policy.shelve_most.days} days.")
    return replace(
        alarm, state=AlarmState.SHELVED, shelved_by=by, shelved_until=until, shelve_reason=reason, shelf=shelf
    )


def unshelve(alarm: Alarm) -> Alarm:
    """Bring it back before its time. Raises IllegalAlarmMove unless it is shelved."""
    if alarm.state is not AlarmState.SHELVED:
        raise IllegalAlarmMove(f"This alarm is {alarm.state}; only a shelved one is brought back.")
    return _unshelved(alarm)


def _unshelved_at(alarm: Alarm, at: datetime) -> Alarm:
    if alarm.state is not AlarmState.SHELVED or alarm.shelved_until is None or at < alarm.shelved_until:
        return alarm
    return _unshelved(alarm)


def _unshelved(alarm: Alarm) -> Alarm:
    return replace(
        alarm, state=AlarmState.ACTIVE, shelved_until=None, shelved_by=None, shelve_reason=None, shelf=Shelf.TIMED
    )
