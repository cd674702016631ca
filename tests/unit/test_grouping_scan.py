"""Which alarms have something in common: the scan over topology and time, and what members look like."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance import grouping_profile
from maintenance.grouping_profile import Look
from maintenance.grouping_scan import GAP_S, SITE, Onset, Scope, Topology, belongs, bursts, ratio

RATE = 1 / (30 * 86_400)
# 1 site; 2, 3 lines with machines 10..29 and 30..49; 5 feeds 10..19 and 30..39, 6 feeds 5
PARENTS = {1: None, 2: 1, 3: 1, 5: None, 6: None} | dict.fromkeys(range(10, 30), 2) | dict.fromkeys(range(30, 50), 3)
FED = [*range(10, 20), *range(30, 40)]
PLANT = Topology(PARENTS, {each: [(5, "power")] for each in FED} | {5: [(6, "power")]}, frozenset(range(10, 50)))


def onsets(machines: list[int], *, at: float = 0.0, step: float = 1.0, first: int = 1) -> list[Onset]:
    return [Onset(first + n, machine, at + n * step) for n, machine in enumerate(machines)]


def scan(found: list[Onset]) -> list[tuple[Scope, set[int]]]:
    return [(each.scope, set(each.members)) for each in bursts(found, PLANT, rate_s=RATE, least=5)]


def test_the_supply_explains_what_two_lines_share() -> None:
    assert scan(onsets(FED)) == [(Scope(5, "power"), set(range(1, 21)))]


def test_the_line_explains_what_one_line_has() -> None:
    assert scan(onsets(list(range(10, 30)))) == [(Scope(2), set(range(1, 21)))]


def test_a_machine_elsewhere_in_the_same_minute_is_left_out() -> None:
    assert scan([*onsets(FED), Onset(99, 45, 5.0)]) == [(Scope(5, "power"), set(range(1, 21)))]


def test_one_that_began_long_before_is_left_out() -> None:
    assert scan([*onsets(FED[1:]), Onset(99, FED[0], -GAP_S - 1)]) == [(Scope(5, "power"), set(range(1, 20)))]


def test_two_causes_at_other_times_are_two() -> None:
    found = scan([*onsets(list(range(10, 30))), *onsets(list(range(30, 50)), at=9000, first=50)])
    assert {scope for scope, _ in found} == {Scope(2), Scope(3)}


def test_bursts_of_the_same_minutes_are_one() -> None:
    ((scope, members),) = scan([*onsets(list(range(20, 28))), *onsets(list(range(40, 48)), first=50)])
    assert len(members) == 16 and scope.asset_id in (SITE, 1)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_few_are_no_burst(count: int) -> None:
    assert scan(onsets(FED[:count])) == []


@given(st.integers(0, 10_000))
def test_chance_makes_no_burst(seed: int) -> None:
    """A month of alarms at the usual rate."""
    chance = random.Random(seed)
    found = [Onset(n, chance.randrange(10, 50), chance.uniform(0, 30 * 86_400)) for n in range(40)]
    assert scan(found) == []


def test_a_cycle_in_what_feeds_what_does_no_harm() -> None:
    plant = Topology({1: None, 2: 1}, {1: [(2, "air")], 2: [(1, "air")]}, frozenset({2}))
    assert Scope(2, "air") in plant.scopes(2)


def test_a_late_one_belongs_while_it_is_near_and_inside() -> None:
    (burst,) = bursts(onsets(FED), PLANT, rate_s=RATE, least=5)
    near, far = burst.last_s + GAP_S, burst.last_s + GAP_S + 1
    assert belongs(burst, Onset(99, 10, near), PLANT)
    assert not belongs(burst, Onset(99, 10, far), PLANT) and not belongs(burst, Onset(99, 29, near), PLANT)


def test_the_ratio_grows_with_what_is_reached() -> None:
    assert ratio(10, 10, 1e-5) > ratio(10, 20, 1e-5) > ratio(5, 20, 1e-5) > 0 == ratio(0, 10, 1e-5)


# -- what members look like -------------------------------------------------------------------------------------------


def looks(count: int, seed: int = 1) -> list[Look]:
    chance = random.Random(seed)
    return [
        Look(
            "pump",
            {"current": -0.7 + chance.gauss(0, 0.03), "flow": -0.3 + chance.gauss(0, 0.03)},
            0.7 + chance.gauss(0, 0.02),
        )
        for _ in range(count)
    ]


@given(st.integers(0, 500))
def test_members_like_the_others_do_not_stand_out(seed: int) -> None:
    members = looks(300, seed)
    profile = grouping_profile.profiles(members)["pump"]
    assert sum(grouping_profile.own_part(each.vector, profile) is not None for each in members) == 0
    assert sum(each.health < profile.health for each in members) == 0


def test_something_of_its_own_stands_out_and_is_what_is_left() -> None:
    profile = grouping_profile.profiles(looks(50))["pump"]
    rest = grouping_profile.own_part({"current": -0.4, "flow": -0.2, "vibration": 0.4}, profile)
    assert rest is not None and max(rest, key=lambda name: abs(rest[name])) == "vibration"
    (first, *_) = sorted(grouping_profile.deviations(rest, {"vibration": 1, "flow": 2}).items())
    assert first[0] == 1 and first[1].direction == 1 and first[1].share > 0.8


def test_few_have_no_picture() -> None:
    assert grouping_profile.profiles(looks(3)) == {}


def test_a_profile_survives_json() -> None:
    made = grouping_profile.profiles(looks(9))
    assert grouping_profile.of_json(grouping_profile.to_json(made), "pump") == made["pump"]  # type: ignore[arg-type]
    assert grouping_profile.of_json({}, "pump") is None
