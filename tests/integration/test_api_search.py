"""The door to search: every role finds what it may read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, problem, seeded


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("world")) as running:
        yield seeded(running)


def test_search_by_role(world: World) -> None:
    for login in ("planner", "requester"):
        body = {"kind": "request", "title": "Squeaking conveyor 皮带跑偏", "description": f"by {login}"}
        assert world.as_(login).post(f"{API}/tickets", json=body).status_code == 201
    found = {
        login: world.as_(login).get(f"{API}/search", params={"q": "squeeking 皮带跑偏"}).json()
        for login in ("requester", "engineer", "planner", "manager", "admin", "agent", "stranger")
    }
    tickets = {login: [each for each in answer["items"] if each["kind"] == "ticket"] for login, answer in found.items()}
    assert {login: len(items) for login, items in tickets.items()} == {
        "requester": 1, "engineer": 2, "planner": 2, "manager": 2, "admin": 2, "agent": 2, "stranger": 0,
    }  # fmt: skip
    assert found["planner"]["meant"] == {"squeeking": ["squeaking"]}
    for login in ("device", "gateway"):
        assert problem(world.as_(login).get(f"{API}/search?q=x"))["status"] == 403


@pytest.mark.parametrize("query", ["q=%00", "q=%26", "q=' | !", "kind=nothing", "limit=0", "q=" + "x" * 301, "q="])
def test_strange_questions_are_answered_plainly(world: World, query: str) -> None:
    assert world.as_("planner").get(f"{API}/search?{query}").status_code in (200, 422)
