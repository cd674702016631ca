"""A clock that runs, and one that is held, while the clocks of the country change: both ways, here and overseas."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tickets import sla
from tickets.calendars import Calendar, is_open, parse
from tickets.sla import Clock, ClockKind, State

STEP, HOUR = timedelta(minutes=5), timedelta(hours=1)  # everything below falls on a step
NIGHT = {str(day): [["00:00", "06:00"], ["20:00", "24:00"]] for day in range(7)}
ALWAYS = {str(day): [["00:00", "24:00"]] for day in range(7)}
DAYS = {str(day): [["08:00", "16:00"]] for day in range(7)}
CHANGES = {  # zone, and the instant of each change
    "spring in Berlin": ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    "autumn in Berlin": ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    "spring in New York": ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    "autumn in New York": ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
}
TARGETS = {"night": 9 * HOUR, "always": 14 * HOUR, "days": 9 * HOUR}
HOURS = {"night": NIGHT, "always": ALWAYS, "days": DAYS}
PAUSES = {  # hours after the change
    "none": None,
    "over it": (-0.5, 1.5),
    "into it": (-3.0, 0.0),
    "out of it": (0.0, 2.25),
    "a day around it": (-12.0, 12.0),
}
CASES = [(change, hours, pause) for change in CHANGES for hours in HOURS for pause in PAUSES]


def counted(calendar: Calendar, since: datetime, until: datetime, held: tuple[datetime, datetime] | None) -> timedelta:
    """Step by step, by the clock on the wall: what a person would count."""
    steps, at = 0, since
    while at < until:
        steps += is_open(calendar, at) and not (held is not None and held[0] <= at < held[1])
        at += STEP
    return steps * STEP


def reached(calendar: Calendar, since: datetime, target: timedelta, held: tuple[datetime, datetime] | None) -> datetime:
    """When the target is used up, to a step."""
    spent, at = timedelta(0), since
    while spent < target:
        spent += counted(calendar, at, at + STEP, held)
        at += STEP
    return at


@pytest.mark.parametrize(("change", "hours", "pause"), CASES, ids=[" | ".join(case) for case in CASES])
def test_a_clock_counts_what_the_wall_shows(change: str, hours: str, pause: str) -> None:
    zone, turn = CHANGES[change]
    calendar = parse(zone, HOURS[hours])
    began, target = turn - 13 * HOUR, TARGETS[hours]
    span = PAUSES[pause]
    held = None if span is None else (turn + span[0] * HOUR, turn + span[1] * HOUR)
    clock = sla.start(Clock(ClockKind.RESOLUTION, calendar, target), began)
    if held is not None:
        clock, _ = sla.passing(clock, held[0], now=held[0])
        clock = sla.pause(clock, held[0])
        assert sla.used(clock, held[1]) == counted(calendar, began, held[0], None)
        assert clock.due_at is None or sla.state(clock, held[1]) is State.PAUSED
        clock = sla.resume(clock, held[1])
    ends = reached(calendar, began, target, held)
    assert clock.due_at == ends
    assert sla.used(clock, ends) == target
    assert sla.state(clock, ends - STEP) is State.RUNNING and sla.state(clock, ends) is State.BREACHED
    done, passed = sla.passing(clock, ends, now=ends)
    warned = reached(calendar, began, target * 0.8, held)
    told = {each.mark.key if each.mark else "breach": each.at for each in passed}
    assert done.breached_at == ends and told["breach"] == ends
    assert "80%" not in told or abs(told["80%"] - warned) < STEP  # not in it: passed before the pause


def test_the_shifted_hour_is_not_counted_and_the_repeated_one_twice() -> None:
    """Told in numbers, so that the model above cannot be wrong in the same way."""
    for zone, month, day, share in (
        ("Europe/Berlin", 3, 29, 5),
        ("Europe/Berlin", 10, 25, 7),
        ("America/New_York", 3, 8, 5),
        ("America/New_York", 11, 1, 7),
    ):
        calendar = parse(zone, NIGHT)
        midnight = datetime(2026, month, day, tzinfo=ZoneInfo(zone))
        morning = datetime(2026, month, day, 6, tzinfo=ZoneInfo(zone))
        clock = sla.start(Clock(ClockKind.RESPONSE, calendar, 30 * HOUR), midnight.astimezone(UTC))
        assert sla.used(clock, morning.astimezone(UTC)) == share * HOUR
        evening = sla.resume(sla.pause(clock, midnight.astimezone(UTC)), morning.astimezone(UTC))
        assert sla.used(evening, morning.astimezone(UTC)) == timedelta(0)  # the whole night was held
