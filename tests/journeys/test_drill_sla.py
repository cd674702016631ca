"""The drill of the SLA timers at smoke size, beside a control that must fail."""

from __future__ import annotations

import pytest

from benchmarks.drills import sla
from benchmarks.drills.sla_parts import Build

KILLS, JUMPS, SEED = 4, 5, 3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_kills_and_jumps_of_the_clock_lose_and_double_no_timer() -> None:
    found = sla.run(KILLS, JUMPS, SEED, settings=sla.UNSYNCED)
    assert found["kills"] == KILLS
    assert found["jumps"] >= JUMPS - 1
    assert (found["lost"], found["double"], found["early"], found["untold"]) == (0, 0, 0, 0)


def test_timers_in_memory_are_lost() -> None:
    found = sla.run(2, 1, SEED, build=Build.MEMORY, tickets=10, settings=sla.UNSYNCED)
    assert 0 < found["lost"] < found["timers"]
