"""No Policy, no start; no empty cell in the truth table."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI

from api import reference
from api.app import create_app
from api.deps import router
from api.errors import PolicyMissing, TooMany
from api.limits import Limit
from api.policies import RULES, TABLE, Grant, Policy, allow, check_routes, open_to_all, parse
from core.database import Database
from core.settings import Settings


def endpoint() -> None: ...


def test_a_route_without_a_policy_cannot_even_be_declared() -> None:
    with pytest.raises(PolicyMissing, match="/bare"):
        router("test").get("/bare")(endpoint)


def test_a_route_with_two_policies_cannot_be_declared() -> None:
    with pytest.raises(PolicyMissing):
        router("test").get("/two", dependencies=[allow("me.read"), open_to_all("test")])(endpoint)


def test_an_app_with_a_bare_route_does_not_start() -> None:
    app = create_app(Database("", "", ""), settings=Settings())
    app.get("/bare")(endpoint)
    with pytest.raises(PolicyMissing, match="/bare"):
        check_routes(app.routes)


def test_a_mounted_app_carries_no_policy() -> None:
    app = create_app(Database("", "", ""), settings=Settings())
    app.mount("/other", FastAPI())
    with pytest.raises(PolicyMissing):
        check_routes(app.routes)


def test_every_route_of_the_app_has_one_policy_and_every_row_of_the_table_a_route() -> None:
    policies = check_routes(create_app(Database("", "", ""), settings=Settings()).routes)
    assert len(policies) > 40
    assert {policy.action for policy in policies.values() if policy.action} == set(RULES)
    opened = {path for (_, path), policy in policies.items() if policy.is_open}
    assert opened == {
        "/api/v1/session", "/api/v1/session/link", "/api/v1/clock", "/api/v1/health", "/api/v1/openapi.json",
        "/health/live", "/health/ready", "/metrics", "/api/v1/calendar/{token}.ics",
        "/api/v1/session/second", "/api/v1/session/password", "/api/v1/session/passkey",
        "/api/v1/session/passkey/options", "/api/v1/session/providers", "/api/v1/session/oidc/{code}",
        "/api/v1/session/oidc/{code}/callback",
    }  # fmt: skip


@pytest.mark.parametrize("policy", [(None, ""), ("no.such.right", "")])
def test_a_policy_names_a_right_or_a_reason(policy: tuple[str | None, str]) -> None:
    with pytest.raises(PolicyMissing):
        Policy(*policy)


@pytest.mark.parametrize("row", ["x.read - -", "x.read " + "- " * 9, "me.read " + "- " * 8, "x.read " + "maybe " * 8])
def test_the_table_has_no_missing_double_or_unknown_cell(row: str) -> None:
    with pytest.raises(ValueError, match=r"policy table|maybe"):
        parse(TABLE + row)


def test_an_unknown_role_has_no_right() -> None:
    assert all(Policy(action).grant("owner") is Grant.NO for action in RULES)


def test_agents_and_devices_never_move_tickets() -> None:
    for action in ("ticket.transition", "ticket.assign", "ticket.edit", "user.manage", "device.manage"):
        assert {Policy(action).grant(role) for role in ("agent", "device", "gateway", "requester")} == {Grant.NO}


def test_the_reference_of_routes_and_rights_is_up_to_date() -> None:
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    app = create_app(Database("", "", ""), settings=Settings())
    assert reference.api(page, app) == page, "run `make docs`"


def test_the_limit_counts_failures_and_forgets_them() -> None:
    limit = Limit(2, seconds=60)
    for _ in range(2):
        with pytest.raises(KeyError), limit.counting("a", KeyError):
            raise KeyError
        with limit.counting("b", KeyError):
            pass
    with pytest.raises(TooMany) as caught, limit.counting("a", KeyError):
        pytest.fail("it was tried")
    assert 55 <= caught.value.extra["retry_after_s"] <= 60
    with limit.counting("b", KeyError):
        pass
    short = Limit(1, seconds=0.0)
    for _ in range(3):
        with pytest.raises(KeyError), short.counting("a", KeyError):
            raise KeyError
