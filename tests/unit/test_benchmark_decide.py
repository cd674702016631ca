"""The simulated faults: drawn again alike, hidden from nobody who knows the future, and fair to the rivals."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import decide
from benchmarks import decide_world as world

FAULTS = list(world.faults(60, 901))


def test_the_same_seed_draws_the_same_faults() -> None:
    again = list(world.faults(60, 901))
    assert all(np.array_equal(one.health, other.health) for one, other in zip(FAULTS, again, strict=True))
    assert [each.plant for each in again] == [each.plant for each in FAULTS]
    assert 0.6 < sum(each.real for each in FAULTS) / len(FAULTS) < 1


def test_nobody_beats_hindsight_by_what_one_fault_costs() -> None:
    for fault in FAULTS:
        best = world.hindsight(fault)
        rate = fault.plant.planned + fault.plant.travel
        for hour in np.linspace(0, 0.999 * fault.ends_h, 7):
            ready = hour >= fault.plant.lead_h
            if not ready:
                continue
            other = world.worked(fault, float(hour))
            assert best.cost - rate * best.lived <= (other.cost - rate * other.lived) * (1 + 1e-9) + 0.05 * rate


def test_a_window_costs_less_than_production_and_comes_again() -> None:
    plant = next(each.plant for each in FAULTS if each.plant.windows)
    start = world.next_window(plant, 1_000.0)
    assert 1_000 <= start <= 1_000 + plant.every_h
    assert world.standing(plant, start) == pytest.approx(plant.work_h * plant.windows[0].cost_h)
    assert world.standing(plant, start) <= plant.work_h * plant.stop_cost_h
    assert world.next_window(plant, start - 3 * plant.every_h) == pytest.approx(start - 3 * plant.every_h)


def test_the_decider_never_sees_what_is_to_come() -> None:
    fault = max(FAULTS, key=lambda each: each.ends_h if each.real else 0)
    at = fault.ends_h / 3
    shortened = world.Fault(fault.number, fault.real, at, fault.age_h, fault.seen_h[fault.seen_h <= at],
                            fault.health[fault.seen_h <= at], fault.plant)  # fmt: skip
    assert decide.forecast(fault, at) == decide.forecast(shortened, at)
