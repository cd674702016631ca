"""Sessions, tokens, links, lockout: signing in works once, for the right one, and tells a stranger nothing."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import idempotency, identity
from api.accounts import door, tries
from api.errors import WrongLogin
from api.identity import Kind
from core.clock import wall_now
from core.database import Database
from core.errors import NotFound
from tests.api_world import API, BASE, PASSWORD, World, living, problem


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    with living(database, tmp_path) as running:
        yield running


@pytest.fixture
def browser(world: World) -> Iterator[httpx.Client]:
    with world.browser() as client:
        yield client


def from_afar(world: World, path: str, body: dict[str, str]) -> httpx.Response:
    """A POST that reaches the app from another machine."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(world.app, client=("192.0.2.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            return await client.post(path, json=body)

    return asyncio.run(send())


def test_password_opens_a_session_that_ends_at_sign_out(world: World, browser: httpx.Client) -> None:
    answer = browser.post(f"{API}/session", json={"login": "planner", "password": world.password("planner")})
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"]["roles"] == {"alpha": "planner"}
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie
    assert browser.get(f"{API}/me").json()["login"] == "planner"
    kept = dict(browser.cookies)
    assert browser.delete(f"{API}/session", headers={"X-Requested-With": "millwright"}).status_code == 204
    assert not browser.cookies
    browser.cookies.update(kept)
    assert problem(browser.get(f"{API}/me"))["code"] == "not_signed_in"


def test_a_change_by_cookie_needs_our_header(world: World, browser: httpx.Client) -> None:
    browser.post(f"{API}/session", json={"login": "planner", "password": world.password("planner")})
    assert problem(browser.patch(f"{API}/me", json={"locale": "zh"}))["code"] == "cross_site"
    ours = {"X-Requested-With": "millwright"}
    assert browser.patch(f"{API}/me", json={"locale": "zh"}, headers=ours).json()["locale"] == "zh"
    assert browser.get(f"{API}/me").json()["locale"] == "zh"


def test_a_link_works_once_and_only_here(world: World, browser: httpx.Client) -> None:
    secret = world.link("engineer")
    assert problem(from_afar(world, f"{API}/session/link", {"token": secret}))["code"] == "not_loopback"
    proxied = browser.post(f"{API}/session/link", json={"token": secret}, headers={"x-forwarded-for": "127.0.0.1"})
    assert problem(proxied)["code"] == "not_loopback"
    assert browser.post(f"{API}/session/link", json={"token": secret}).json()["user"]["login"] == "engineer"
    assert problem(browser.post(f"{API}/session/link", json={"token": secret}))["code"] == "link_used"


def test_a_link_ends_after_15_minutes(world: World) -> None:
    with world.database.tx() as conn:
        secret = identity.create_link(conn, "engineer", now=wall_now() - timedelta(minutes=15, seconds=1))
    answer = world.as_(None).post(f"{API}/session/link", json={"token": secret})
    assert problem(answer)["code"] == "link_used"


@pytest.mark.parametrize("kind", [Kind.SESSION, Kind.LINK])
def test_a_secret_serves_only_its_own_kind(world: World, kind: Kind) -> None:
    with world.database.tx() as conn:
        assert identity.who(conn, world.tokens["admin"], kind=Kind.TOKEN, now=wall_now())
        assert identity.who(conn, world.tokens["admin"], kind=kind, now=wall_now()) is None


def test_sessions_end_when_old_or_idle(world: World) -> None:
    now = wall_now()
    with world.database.tx() as conn:
        secret = identity.open_session(conn, identity.user_named(conn, "planner"), now=now)
        assert identity.who(conn, secret, kind=Kind.SESSION, now=now + timedelta(days=2, hours=23))
        assert identity.who(conn, secret, kind=Kind.SESSION, now=now + timedelta(days=5))  # it was used meanwhile
        assert identity.who(conn, secret, kind=Kind.SESSION, now=now + timedelta(days=9)) is None
        busy = identity.open_session(conn, identity.user_named(conn, "planner"), now=now)
        for day in range(14):
            assert identity.who(conn, busy, kind=Kind.SESSION, now=now + timedelta(days=day))
        assert identity.who(conn, busy, kind=Kind.SESSION, now=now + timedelta(days=14)) is None


def test_secrets_are_kept_as_hashes_only(world: World) -> None:
    world.password("planner")
    secret = world.link("planner")
    with world.database.tx() as conn:
        text = str(conn.execute("select row_to_json(s)::text from sessions s").fetchall())
        (kept,) = conn.execute("select password_hash from users where login = 'planner'").fetchone() or ("",)
    assert kept.startswith("$argon2id$")
    assert secret not in text and not any(token in text for token in world.tokens.values())


def test_a_new_password_and_a_shut_door_end_sessions(world: World, browser: httpx.Client) -> None:
    browser.post(f"{API}/session", json={"login": "planner", "password": world.password("planner")})
    world.password("planner")
    assert browser.get(f"{API}/me").status_code == 401
    user_id = world.as_("planner").get(f"{API}/me").json()["user_id"]
    assert world.as_("admin").patch(f"{API}/users/{user_id}", json={"disabled": True}).json()["disabled"] is True
    assert world.as_("planner").get(f"{API}/me").status_code == 401
    assert (
        problem(browser.post(f"{API}/session", json={"login": "planner", "password": PASSWORD}))["code"]
        == "wrong_login"
    )


def enters(world: World, login: str, password: str, *, now: datetime) -> bool:
    try:
        return bool(door.by_password(world.database, login, password, now=now, source=identity.Source()).secret)
    except WrongLogin:
        return False


@pytest.mark.parametrize("login", ["planner", "nobody"])
def test_wrong_tries_lock_a_login_for_longer_each_time_whether_it_exists_or_not(world: World, login: str) -> None:
    world.password("planner")
    now, waits = wall_now(), []
    for _ in range(tries.FREE + 3):
        assert not enters(world, login, "wrong", now=now)
        with world.database.tx() as conn:
            row = conn.execute(
                "select failed, locked_until from sign_in_tries where login_hash = %s", (tries.key(login),)
            ).fetchone()
        assert row
        until = row[1] or now
        waits.append((until - now).total_seconds())
        assert waits[-1] == tries.wait(row[0]).total_seconds()
        assert until == now or not enters(world, login, PASSWORD, now=until - timedelta(seconds=1))
        now = until
    assert waits == [0, 0, 0, 0, 30, 60, 120, 240]
    assert enters(world, login, PASSWORD, now=now) is (login == "planner")


def test_many_tries_at_once_do_not_pass_the_limit(world: World) -> None:
    world.password("planner")
    now = wall_now()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: enters(world, "planner", "wrong", now=now), range(12)))
    with world.database.tx() as conn:
        assert conn.execute("select failed from sign_in_tries").fetchone() == (tries.FREE,)
    assert not enters(world, "planner", PASSWORD, now=now)


def test_wrong_tries_reach_the_record_and_a_new_password_unlocks(world: World) -> None:
    world.password("planner")
    now = wall_now()
    for _ in range(tries.FREE):
        enters(world, "planner", "wrong", now=now)
        enters(world, "what I typed into the wrong field", "wrong", now=now)
    with world.database.tx() as conn:
        tries.tell(conn, now=now + timedelta(minutes=2))
        tries.tell(conn, now=now + timedelta(minutes=2))
    rows = [each for each in record(world) if each["kind"] == "sign_in_failed"]
    assert [(each["login"], each["detail"][:16]) for each in rows] == [("planner", "5 wrong tries in")]
    world.password("planner")
    assert enters(world, "planner", PASSWORD, now=now)


def record(world: World) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = world.as_("admin").get(f"{API}/identity-record?limit=200").json()["items"]
    return items


def test_too_many_tries_from_one_address_are_told_to_wait(world: World, browser: httpx.Client) -> None:
    for _ in range(10):
        assert browser.post(f"{API}/session", json={"login": "nobody", "password": "x"}).status_code == 401
    answer = browser.post(f"{API}/session", json={"login": "nobody", "password": "x"})
    assert problem(answer)["code"] == "too_many"
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_an_unknown_login_looks_like_a_wrong_password(world: World) -> None:
    world.password("planner")
    bodies, times = {}, {}
    for login in ("planner", "nobody"):
        taken = []
        for _ in range(5):
            started = time.perf_counter()
            answer = world.as_(None).post(f"{API}/session", json={"login": login, "password": "wrong password"})
            taken.append(time.perf_counter() - started)
        bodies[login] = {key: value for key, value in problem(answer).items() if key != "instance"}
        times[login] = statistics.median(taken)
    assert bodies["planner"] == bodies["nobody"]
    assert times["nobody"] > times["planner"] / 2, times


def test_a_token_is_made_shown_once_and_revoked(world: World) -> None:
    admin = world.as_("admin")
    made = admin.post(f"{API}/tokens", json={"login": "agent", "name": "ci", "expires_in_days": 1}).json()
    assert made["token"].startswith("mwt_")
    bearer = {"authorization": f"Bearer {made['token']}"}
    assert world.as_(None).get(f"{API}/me", headers=bearer).json()["role"] == "agent"
    rows = admin.get(f"{API}/tokens").json()["items"]
    assert made["token"] not in str(rows)
    mine = next(row for row in rows if row["name"] == "ci")
    assert admin.delete(f"{API}/tokens/{mine['token_id']}").status_code == 204
    assert world.as_(None).get(f"{API}/me", headers=bearer).status_code == 401
    assert admin.delete(f"{API}/tokens/{mine['token_id']}").status_code == 404


def test_an_administrator_reaches_only_the_own_site(world: World) -> None:
    stranger = world.as_("stranger").get(f"{API}/me").json()["user_id"]
    admin = world.as_("admin")
    assert admin.patch(f"{API}/users/{stranger}", json={"name": "X"}).status_code == 404
    assert admin.post(f"{API}/tokens", json={"login": "stranger", "name": "x"}).status_code == 404
    assert "stranger" not in admin.get(f"{API}/users").text
    with world.database.tx() as conn:
        identity.give_role(conn, identity.user_named(conn, "planner"), site_id=world.beta, role="planner")
        shared = identity.user_named(conn, "planner")
    assert admin.patch(f"{API}/users/{shared}", json={"password": PASSWORD}).status_code == 403
    assert admin.post(f"{API}/tokens", json={"login": "planner", "name": "x"}).status_code == 403


def test_the_site_is_chosen_by_header_and_must_be_ones_own(world: World) -> None:
    planner = world.as_("planner")
    assert planner.get(f"{API}/me").json()["site"]["code"] == "alpha"
    other = planner.get(f"{API}/me", headers={"X-Site": "beta"})
    missing = planner.get(f"{API}/me", headers={"X-Site": "nowhere"})
    assert problem(other)["detail"] == problem(missing)["detail"]
    assert (other.status_code, missing.status_code) == (404, 404)
    with world.database.tx() as conn:
        identity.give_role(conn, identity.user_named(conn, "planner"), site_id=world.beta, role="manager")
    mine = planner.get(f"{API}/me", headers={"X-Site": "beta"}).json()
    assert (mine["role"], mine["site"]["code"]) == ("manager", "beta")


def test_people_are_added_by_the_administrator(world: World) -> None:
    admin = world.as_("admin")
    made = admin.post(f"{API}/users", json={"login": "wang.li", "name": "王丽", "role": "engineer", "locale": "zh"})
    assert made.status_code == 201, made.text
    again = admin.post(f"{API}/users", json={"login": "wang.li", "name": "Wang", "role": "engineer"})
    assert problem(again)["code"] == "login_taken"
    weak = admin.post(f"{API}/users", json={"login": "x", "name": "X", "role": "engineer", "password": "x" * 12})
    assert problem(weak)["code"] == "weak_password"
    assert "王丽" in admin.get(f"{API}/users", params={"limit": 200}).text
    me = admin.get(f"{API}/me").json()["user_id"]
    assert problem(admin.patch(f"{API}/users/{me}", json={"role": "engineer"}))["status"] == 409


def test_lists_are_paged_by_cursor(world: World) -> None:
    admin, seen, cursor = world.as_("admin"), [], None
    while True:
        part = admin.get(f"{API}/users", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        seen += [user["login"] for user in part["items"]]
        cursor = part["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 8


def test_create_link_for_nobody_is_an_error(world: World) -> None:
    with pytest.raises(NotFound), world.database.tx() as conn:
        identity.create_link(conn, "nobody", now=wall_now())


def test_housekeeping_forgets_what_ended_long_ago(world: World) -> None:
    now = wall_now()
    with world.database.tx() as conn:
        identity.create_link(conn, "planner", now=now - timedelta(days=31))
        assert identity.sweep(conn, now=now) == 1
        assert identity.sweep(conn, now=now) == 0
    world.as_("planner").post(
        f"{API}/tickets", json={"kind": "request", "title": "t"}, headers={"Idempotency-Key": "k"}
    )
    with world.database.tx(site_id=world.alpha) as conn:
        assert idempotency.sweep(conn, now=now + timedelta(days=6)) == 0
        assert idempotency.sweep(conn, now=now + timedelta(days=8)) == 1
