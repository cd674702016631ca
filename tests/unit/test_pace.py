"""A backlog goes out at the rate asked for, and at least twice as fast as data come in."""

from __future__ import annotations

import pytest

from edge.pace import Pace

STEP_S = 0.01


def drained(pace: Pace, *, arrival_s: float, seconds: float, batch: int = 100) -> float:
    """Samples a second that go out while an endless backlog waits, after the first ten seconds."""
    out = 0
    for step in range(int(seconds / STEP_S)):
        now = step * STEP_S
        pace.arrived(int(arrival_s * STEP_S), now_s=now)
        while pace.has_room(now):
            pace.sent(batch)
            out += batch * (now >= 10)
    return out / (seconds - 10)


def test_no_faster_than_asked_for() -> None:
    assert drained(Pace(5_000, now_s=0), arrival_s=100, seconds=60) == pytest.approx(5_000, rel=0.03)


def test_never_slower_than_twice_what_comes_in() -> None:
    rate = drained(Pace(1_000, now_s=0), arrival_s=4_000, seconds=120)
    assert 2 * 4_000 * 0.95 < rate < 2 * 4_000 * 1.1


def test_after_a_rest_at_most_a_second_is_made_up_for() -> None:
    pace = Pace(1_000, now_s=0)
    out = 0
    while pace.has_room(3_600):
        pace.sent(100)
        out += 100
    assert out == 1_000
