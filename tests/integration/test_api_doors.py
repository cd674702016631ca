"""Whatever comes to the door: a clear 4xx, never a 5xx, and the right people alone come in."""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from psycopg import Connection

from api.app import create_app
from api.policies import ROLES, Grant, check_routes
from core.database import Database
from core.embedded import EmbeddedServer
from core.settings import Settings
from core.strict_json import MAX_BYTES
from tests.api_world import API, World, cloned, living, problem, seeded, served, ticket, tickets
from tests.unit.test_strict_json import MALFORMED, REFUSED

HEADERS = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for the tests that leave it as good as they found it."""
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("world")) as running:
        yield seeded(running)


@pytest.fixture
def fresh(database: Database, tmp_path: Path) -> Iterator[World]:
    """A world of the test's own, on the database that ``superuser`` sees."""
    with living(database, tmp_path) as running:
        yield seeded(running)


# bodies ---------------------------------------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "title is a number": {"title": 1},
    "title is null": {"title": None},
    "title is a list": {"title": ["t"]},
    "title is empty": {"title": ""},
    "title is blank": {"title": " \t "},
    "title has lines": {"title": "a\nb"},
    "title too long": {"title": "x" * 301},
    "description too long": {"description": "x" * 20_001},
    "unknown kind": {"kind": "nonsense"},
    "priority 0": {"priority": 0},
    "priority as text": {"priority": "3"},
    "priority as float": {"priority": 2.5},
    "priority as bool": {"priority": True},
    "asset beyond int4": {"asset_id": 2**31},
    "asset is int64": {"asset_id": 2**63 - 1},
    "asset is negative": {"asset_id": -1},
    "asset is missing": {"asset_id": 999_999},
    "mode with a quote": {"mode": "x'; drop table tickets; --"},
    "unknown field": {"colour": "red"},
    "privileged field": {"site_id": 2},
    "version from outside": {"version": 7},
}


@pytest.mark.parametrize("name", [*MALFORMED, *REFUSED])
def test_a_hostile_body_is_refused_by_name(world: World, name: str) -> None:
    body, before = (MALFORMED | REFUSED)[name], tickets(world)
    for client, path in ((world.as_("planner"), "/tickets"), (world.as_(None), "/session")):
        answer = client.post(API + path, content=body, headers=HEADERS)
        if name == "empty":
            assert problem(answer)["status"] == 422
        else:
            assert problem(answer)["status"] == (400 if name in MALFORMED else 422)
            assert problem(answer)["code"] in ("json_malformed", "json_refused")
    assert tickets(world) == before


def test_a_hostile_value_is_refused_by_field(world: World) -> None:
    for name, change in VALUES.items():
        answer = world.as_("planner").post(f"{API}/tickets", json={"kind": "request", "title": "t"} | change)
        assert answer.status_code in (404, 422), (name, answer.text)
        said = problem(answer)
        if said["code"] == "invalid_request":
            assert said["errors"][0]["loc"][-1] == next(iter(change)), name
    for body in ([], "text", 1, None, True):
        assert problem(world.as_("planner").post(f"{API}/tickets", json=body))["status"] == 422
    ticket(world)


def test_text_comes_back_as_it_went_in(world: World) -> None:
    texts = [
        "机器 ✓ 😀 👩‍🔧", "‮right to left", "zero​width", unicodedata.normalize("NFD", "Ünïcödé"), "a\u0301",
        "<script>alert(1)</script>", "'; drop table tickets; --", "{{7*7}} ${7*7} %s %(x)s {0}", "\\u0000 \\ud800", "ﷺ",
        "=cmd|'/c calc'!A0", "\ufeff mark", "\u2028\u2029", "𝒻𝒶𝓃𝒸𝓎", "NaN", "null", "-1e999", "9223372036854775808",
        "\x7f\x1f",
    ]  # fmt: skip
    for text in texts:
        made = ticket(world, description=text)
        found = world.as_("planner").get(f"{API}/tickets/{made['ticket_id']}").json()
        assert found["description"] == text.strip(), ascii(text)


def test_a_body_must_be_plain_json(world: World) -> None:
    planner, body = world.as_("planner"), json.dumps({"kind": "request", "title": "t"}).encode()
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "",
    ):
        assert problem(planner.post(f"{API}/tickets", content=body, headers={"content-type": kind}))["status"] == 415
    utf16 = HEADERS | {"content-type": "application/json; charset=utf-16"}
    assert problem(planner.post(f"{API}/tickets", content=body, headers=utf16))["status"] == 415
    packed = HEADERS | {"content-encoding": "gzip"}
    assert problem(planner.post(f"{API}/tickets", content=gzip.compress(body), headers=packed))["status"] == 415
    named = HEADERS | {"content-type": 'Application/JSON; charset="UTF-8"'}
    assert planner.post(f"{API}/tickets", content=body, headers=named).status_code == 201


def test_one_mebibyte_is_taken_and_no_byte_more(world: World) -> None:
    planner = world.as_("planner")
    filled = json.dumps({"kind": "request", "title": "t", "description": ""}).encode()
    exact = filled + b" " * (MAX_BYTES - len(filled))
    assert planner.post(f"{API}/tickets", content=exact, headers=HEADERS).status_code == 201
    assert problem(planner.post(f"{API}/tickets", content=exact + b" ", headers=HEADERS))["status"] == 413


def test_ten_megabytes_are_refused_unread(world: World) -> None:
    """Declared: answered before a byte of it came. Chunked: answered after the first mebibyte."""
    where = urlsplit(world.address)
    head = f"POST {API}/tickets HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with socket.create_connection((where.hostname, where.port), timeout=5) as raw:
        raw.sendall(f"{head}Content-Length: 10000000\r\n\r\n".encode())
        assert raw.recv(4096).startswith(b"HTTP/1.1 413")
    with socket.create_connection((where.hostname, where.port), timeout=5) as raw:
        raw.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(17):
            raw.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_slow_or_vanished_client_harms_nobody(world: World) -> None:
    where = urlsplit(world.address)
    head = f"POST {API}/tickets HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    half = head + "Content-Length: 100\r\n\r\n{"
    with socket.create_connection((where.hostname, where.port)) as slow:
        slow.sendall(half.encode())
        started = time.monotonic()
        assert world.as_("planner").get(f"{API}/me").status_code == 200
        assert time.monotonic() - started < 2
    assert world.as_("planner").get(f"{API}/me").status_code == 200


# paths, headers, hosts ------------------------------------------------------------------------------------------------


STRANGE = """
GET 404 /api/v1/nothing
POST 404 /api/v1/nothing
GET 404 /api
GET 404 /nothing.html
PUT 405 /api/v1/tickets
GET 405 /api/v1/session
PATCH 405 /
GET 404 /api/v1/tickets/
GET 422 /api/v1/tickets/x
GET 422 /api/v1/tickets/0
GET 422 /api/v1/tickets/99999999999999999999
GET 422 /api/v1/tickets/%00
GET 422 /api/v1/tickets/%ff%fe
GET 404 /..%2f..%2fetc/passwd
GET 404 /assets/..%2f..%2fapp.py
GET 404 /%00
GET 422 /api/v1/tickets?q=%00
GET 200 /api/v1/tickets?q=%ed%a0%80
GET 200 /api/v1/tickets?q=%25_
GET 422 /api/v1/tickets?cursor=x
GET 422 /api/v1/tickets?cursor=%00
GET 422 /api/v1/tickets?limit=0
GET 422 /api/v1/tickets?limit=1e9
GET 422 /api/v1/tickets?status=x'--
GET 422 /api/v1/alarms?cursor=9e9
GET 200 /api/v1/assets?cursor=999999999999999999
GET 200 /api/v1/quarantine?cursor=999999999999999999
GET 200 /api/v1/notifications?cursor=999999999999999999
GET 422 /api/v1/articles?mode=%00
"""


@pytest.mark.parametrize("line", STRANGE.split("\n")[1:-1])
def test_a_strange_path_or_query_is_answered_plainly(world: World, line: str) -> None:
    method, status, path = line.split(" ", 2)
    answer = world.as_("planner").request(method, path)
    assert answer.status_code == int(status), answer.text
    if answer.status_code >= 400:
        problem(answer)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost@evil", "", "a b", "localhost:x", "localhost/x", "[::1", "ü"],
)
def test_an_unknown_or_malformed_host_is_refused_on_every_route(world: World, host: str) -> None:
    where = urlsplit(world.address)
    for path in ("/", f"{API}/me", f"{API}/clock", "/metrics", "/health/live"):
        with socket.create_connection((where.hostname, where.port), timeout=5) as raw:
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert raw.recv(4096).startswith(b"HTTP/1.1 400"), path


def test_every_answer_has_safe_headers_and_its_request_id(world: World) -> None:
    for path in ("/", f"{API}/me", f"{API}/nothing", "/health/live"):
        headers = world.as_("planner").get(path, headers={"X-Request-Id": "trace-1"}).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-request-id"] == "trace-1"
        assert "server" not in headers or "uvicorn" in headers["server"]
    assert "no-store" in world.as_("planner").get(f"{API}/me").headers["cache-control"]
    forged = world.as_("planner").get(f"{API}/nothing", headers={"X-Request-Id": "a" * 65})
    assert (
        problem(forged)["instance"].endswith(forged.headers["x-request-id"])
        and len(forged.headers["x-request-id"]) == 16
    )


def test_the_web_app_is_served_or_its_absence_explained(world: World, tmp_path: Path) -> None:
    built = tmp_path / "dist"
    with living_again(world.database, tmp_path, web_root=None) as address:
        page = httpx.get(address + "/")
        assert page.status_code == 200 and ("make web" in page.text or "<!doctype html>" in page.text.lower())
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_text("<!doctype html><title>x</title>")
    (built / "assets" / "app-1.js").write_text("let a = 1;" * 1000)
    with living_again(world.database, tmp_path, web_root=built) as address:
        page, script = httpx.get(address + "/"), httpx.get(address + "/assets/app-1.js")
        assert page.headers["cache-control"] == "no-cache" and "immutable" in script.headers["cache-control"]
        assert script.headers["content-encoding"] == "gzip" and script.headers["content-type"].startswith(
            "text/javascript"
        )
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert httpx.get(address + "/assets/none.js").status_code == 404
        assert httpx.get(address + "/assets/..%2f..%2fsecrets.json").status_code == 404


def living_again(database: Database, folder: Path, *, web_root: Path | None) -> Any:
    """The app alone, with a web root of the test's own."""
    return served(create_app(database, settings=Settings(data_dir=folder), web_root=web_root))


# who may what ---------------------------------------------------------------------------------------------------------


def test_nobody_anonymous_and_no_forged_secret_passes_any_closed_route(world: World) -> None:
    forged = ({}, {"authorization": "Bearer mwt_wrong"}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer"},
              {"cookie": "millwright_session=x"}, {"authorization": f"bearer {world.link('admin')}"},
              {"x-forwarded-user": "admin", "x-remote-user": "admin"})  # fmt: skip
    policies = check_routes(world.app.routes)
    closed = [route for route, policy in policies.items() if not policy.is_open]
    assert len(closed) > 35
    for method, path in closed:
        for headers in forged:
            answer = world.as_(None).request(method, _concrete(path), headers=headers)
            assert answer.status_code == 401, (method, path, headers, answer.text)
            assert answer.headers["www-authenticate"] == "Bearer"


def test_every_role_on_every_route_as_the_table_says(world: World) -> None:
    for (method, path), policy in check_routes(world.app.routes).items():
        for role in ROLES:
            if policy.is_open or policy.action in ("session.end", "me.secure"):  # me.secure: test_accounts, by session
                continue
            status = _status(world.as_(role), method, _concrete(path))
            if policy.grant(role) is Grant.NO:
                assert status == 403, (role, method, path, status)
            else:
                assert status not in (401, 403, 405) and status < 500, (role, method, path, status)


def _concrete(path: str) -> str:
    """The path with ids that nobody has."""
    nobody = {"{token_id}": "0" * 16}
    return re.sub(r"{[^}]*}", lambda part: nobody.get(part[0], "999999"), path)


def _status(client: httpx.Client, method: str, path: str) -> int:
    with client.stream(method, path, headers={"If-Match": '"1"'}) as answer:
        return answer.status_code


def test_a_token_of_a_role_without_a_site_is_refused(fresh: World, superuser: Connection) -> None:
    superuser.execute("delete from memberships where user_id = (select user_id from users where login = 'manager')")
    assert problem(fresh.as_("manager").get(f"{API}/me"))["status"] == 403
