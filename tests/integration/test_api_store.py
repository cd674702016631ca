"""Retention over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, problem

TIER = {"name": "*", "raw_days": 30, "minute_days": 365, "hour_days": None, "wave_days": 30}


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("store")) as made:
        yield made


def test_a_manager_previews_and_sets_tiers_and_a_planner_sees_them(world: World) -> None:
    found = world.as_("planner").get(f"{API}/retention").json()
    assert found["tiers"] == [found["built_in"]]
    wanted = {"tiers": [TIER, {**TIER, "name": "role:state", "raw_days": None, "minute_days": None}]}
    seen = world.as_("planner").post(f"{API}/retention/preview", json=wanted)
    assert (seen.status_code, seen.json()) == (200, {"classes": [], "bytes": 0})
    assert world.as_("planner").get(f"{API}/retention").json() == found
    assert world.as_("planner").put(f"{API}/retention", json=wanted).status_code == 403
    kept = world.as_("manager").put(f"{API}/retention", json=wanted)
    assert kept.status_code == 200, kept.text
    assert kept.json()["tiers"] == wanted["tiers"] == world.as_("planner").get(f"{API}/retention").json()["tiers"]
    assert world.as_("stranger").get(f"{API}/retention").json() == found  # another site


@pytest.mark.parametrize(
    "tiers",
    [
        [{**TIER, "raw_days": 400}],
        [{**TIER, "name": "warmth"}],
        [TIER, TIER],
        [{**TIER, "raw_days": 0}],
        [{**TIER, "raw_days": 1.5}],
        [{"name": "*"}],
    ],
)
def test_tiers_that_make_no_sense_are_refused(world: World, tiers: list[dict[str, object]]) -> None:
    for answer in (
        world.as_("admin").put(f"{API}/retention", json={"tiers": tiers}),
        world.as_("planner").post(f"{API}/retention/preview", json={"tiers": tiers}),
    ):
        assert problem(answer)["status"] == 422


def test_an_engineer_has_no_say_in_retention(world: World) -> None:
    assert world.as_("engineer").get(f"{API}/retention").status_code == 403
