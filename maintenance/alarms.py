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
from datetime import datetime
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


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm's life. ``deviating_since``: this time without a break; ``returned_at``: since when nothing deviates
    (None = deviating)."""

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


def raised(source: str, *, started_at: datetime, at: datetime) -> Alarm:
    """A new alarm: ``source`` (a detector) sees since ``started_at`` what it says at ``at``."""
    return Alarm(AlarmState.ACTIVE, min(started_at, at), at, at, at, frozenset([source]))


def same(alarm: Alarm, at: datetime, policy: Policy) -> bool:
    """Whether a deviation at ``at`` belongs to this alarm: it is open, or cleared only just."""
    return alarm.cleared_at is None or at - alarm.cleared_at <= policy.reopen_within


def deviates(alarm: Alarm, source: str, *, at: datetime) -> Alarm:
    """A detector says (again) that the machine deviates. A cleared alarm is active again, unacknowledged."""
    again = alarm.returned_at is not None
    alarm = replace(
        _unshelved_at(alarm, at),
        findings=alarm.findings + 1,
        returns=alarm.returns + again,
        returned_at=None,
        deviating_since=at if again else alarm.deviating_since,
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
    )


def acknowledge(alarm: Alarm, *, by: str, at: datetime) -> Alarm:
    """A person has seen it. Raises IllegalAlarmMove unless it is active; again by anyone changes nothing."""
    if alarm.state is AlarmState.ACKNOWLEDGED:
        return alarm
    if alarm.state is not AlarmState.ACTIVE:
        raise IllegalAlarmMove(f"A {alarm.state} alarm cannot be acknowledged; only an active one can.")
    return replace(alarm, state=AlarmState.ACKNOWLEDGED, acked_by=by, acked_at=at)


def shelve(alarm: Alarm, *, by: str, until: datetime, reason: str, now: datetime, policy: Policy) -> Alarm:
    """Silence it for a while, with an owner and a reason. Raises IllegalAlarmMove, BadShelf."""
    if alarm.state is AlarmState.CLEARED:
        raise IllegalAlarmMove("A cleared alarm needs no shelving.")
    if not by.strip() or not reason.strip():
        raise BadShelf("Shelving needs an owner and a reason.")
    if not now < until <= now + policy.shelve_most:
        raise BadShelf(f"Shelve until a time after now and within {policy.shelve_most.days} days.")
    return replace(alarm, state=AlarmState.SHELVED, shelved_by=by, shelved_until=until, shelve_reason=reason)


def _unshelved_at(alarm: Alarm, at: datetime) -> Alarm:
    if alarm.state is not AlarmState.SHELVED or alarm.shelved_until is None or at < alarm.shelved_until:
        return alarm
    return replace(alarm, state=AlarmState.ACTIVE, shelved_until=None, shelved_by=None, shelve_reason=None)
