"""Single sign-on against a real OpenID Connect provider on loopback, and every way an answer can be wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from api import identity
from api.accounts import oidc, providers
from api.errors import ProviderAway, ProviderRefused
from core.clock import wall_now
from core.embedded import EmbeddedServer
from core.ports import reserve
from tests.api_world import API, PASSWORD, World, cloned, living, problem

TERMS = {"name": "Plant login", "client_id": "millwright", "client_secret": "s:ec/ret"}


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("oidc")) as running:
        yield running


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """A provider of its own, started as a program."""
    port = reserve()
    command = [sys.executable, "-m", "oidc_provider_mock", "--host", "localhost", "--port", str(port), "-n"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://localhost:{port}"
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"{address}/.well-known/openid-configuration", timeout=2)
                break
            except httpx.HTTPError:
                assert time.monotonic() < deadline and process.poll() is None, "the provider does not start"
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def provider(world: World, issuer: str) -> str:
    admin = world.as_("admin")
    made = admin.post(f"{API}/identity-providers", json=TERMS | {"code": "plant", "issuer": issuer})
    assert made.status_code == 201, made.text
    assert made.json()["callback"].endswith("/api/v1/session/oidc/plant/callback")
    rules = [
        {"claim": "groups", "value": "staff", "role": "requester"},
        {"claim": "groups", "value": "maintenance", "role": "engineer"},
        {"claim": "realm.roles", "value": "planning", "role": "planner"},
    ]
    answer = admin.put(f"{API}/identity-providers/plant/rules", json={"rules": rules})
    assert [each["role"] for each in answer.json()["rules"]] == ["requester", "engineer", "planner"], answer.text
    assert admin.post(f"{API}/identity-providers/plant/test").json()["keys"] == 1
    return "plant"


def claims(issuer: str, subject: str, **values: Any) -> None:
    assert httpx.put(f"{issuer}/users/{subject}", json=values, timeout=5).status_code == 204


@contextmanager
def browser(world: World) -> Iterator[httpx.Client]:
    world.app.state.sign_in_limit._failed.clear()
    world.app.state.address_limit._failed.clear()
    with world.browser() as client:
        yield client


def sent_back(client: httpx.Client, subject: str) -> str:
    """Go to the provider and say who one is; the address that it sends the browser back to."""
    away = client.get(f"{API}/session/oidc/plant")
    assert away.status_code == 302, away.text
    asked = parse_qs(urlsplit(away.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"] and asked["state"] and asked["nonce"]
    back = httpx.post(away.headers["location"], data={"sub": subject}, timeout=5)
    assert back.status_code == 302, back.text
    return str(back.headers["location"])


def through(world: World, client: httpx.Client, subject: str) -> str:
    """Where the console is opened after the whole way."""
    answer = client.get(sent_back(client, subject))
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"])


def test_a_person_is_made_let_in_by_rules_and_follows_their_groups(world: World, issuer: str, provider: str) -> None:
    claims(issuer, "u-1", preferred_username="li.na", name="Li Na", groups=["staff", "maintenance"], locale="zh-CN")
    with browser(world) as client:
        assert through(world, client, "u-1") == "/#/"
        me = client.get(f"{API}/me").json()
        assert (me["login"], me["name"], me["role"], me["locale"]) == ("li.na", "Li Na", "engineer", "zh")
    claims(issuer, "u-1", preferred_username="somebody.else", realm={"roles": ["planning"]})
    with browser(world) as client:
        assert through(world, client, "u-1") == "/#/"
        me = client.get(f"{API}/me").json()
        assert (me["login"], me["role"]) == ("li.na", "planner")  # the subject names the account, not the name
    claims(issuer, "u-1", preferred_username="li.na", groups=["left"])
    with browser(world) as client:
        assert through(world, client, "u-1") == "/#/door/refused/not_let_in"
        assert client.get(f"{API}/me").status_code == 401


def test_a_stranger_and_a_name_that_exists_are_not_let_in(world: World, issuer: str, provider: str) -> None:
    claims(issuer, "u-2", preferred_username="nobody.knows", groups=["visitors"])
    claims(issuer, "u-3", preferred_username="admin", groups=["staff"])
    with browser(world) as client:
        assert through(world, client, "u-2") == "/#/door/refused/not_let_in"
        assert through(world, client, "u-3") == "/#/door/refused/not_let_in"
    with world.database.tx() as conn:
        assert conn.execute("select 1 from users where login = 'nobody.knows'").fetchone() is None


def test_an_existing_login_is_matched_only_where_every_site_trusts_the_provider(
    world: World, issuer: str, provider: str
) -> None:
    admin = world.as_("admin")
    with world.database.tx() as conn:
        identity.create_user(conn, login="wu", name="Wu", role="manager", site_id=world.alpha)
        identity.create_user(conn, login="zhao", name="Zhao", role="manager", site_id=world.alpha)
        identity.give_role(conn, identity.user_named(conn, "zhao"), site_id=world.beta, role="planner")
    row = admin.get(f"{API}/identity-providers").json()["items"][0]
    terms = TERMS | {"issuer": issuer, "matching": "login"}
    answer = admin.put(f"{API}/identity-providers/plant", json=terms, headers={"if-match": f'"{row["version"]}"'})
    assert answer.json()["matching"] == "login", answer.text
    claims(issuer, "u-wu", preferred_username="wu", groups=["staff"])
    claims(issuer, "u-zhao", preferred_username="zhao", groups=["staff"])
    with browser(world) as client:
        assert through(world, client, "u-wu") == "/#/"
        assert client.get(f"{API}/me").json()["role"] == "manager"  # what a person gave stays
    with browser(world) as client:
        assert through(world, client, "u-zhao") == "/#/door/refused/not_let_in"


def test_codes_are_asked_for_after_the_provider(world: World, issuer: str, provider: str) -> None:
    claims(issuer, "u-5", preferred_username="qian", groups=["staff"])
    with browser(world) as client:
        assert through(world, client, "u-5") == "/#/"
        assert client.get(f"{API}/me/security").json()["method"] == "provider"
        with world.database.tx() as conn:
            conn.execute(
                "insert into totp_secrets values (%s, 'x', now(), now(), 0)", (identity.user_named(conn, "qian"),)
            )
    with browser(world) as client:
        where = through(world, client, "u-5")
        assert where.startswith("/#/door/second/") and client.get(f"{API}/me").status_code == 401


@pytest.mark.parametrize("wrong", ["state", "another browser", "code", "twice", "denied"])
def test_an_answer_that_fits_no_sign_in_of_this_browser_is_refused(
    world: World, issuer: str, provider: str, wrong: str
) -> None:
    claims(issuer, "u-6", preferred_username="sun", groups=["staff"])
    with browser(world) as client, browser(world) as other:
        back = sent_back(client, "u-6")
        asked = parse_qs(urlsplit(back).query)
        if wrong == "state":
            back = back.replace(asked["state"][0], "x" * 43)
        elif wrong == "another browser":
            client = other
        elif wrong == "code":
            back = back.replace(asked["code"][0], "made-up")
        elif wrong == "twice":
            assert client.get(back).headers["location"] == "/#/"
            client.cookies.clear()
        else:
            back = f"{API}/session/oidc/plant/callback?error=access_denied&state={asked['state'][0]}"
        assert client.get(back).headers["location"] == "/#/door/refused/provider_refused"
        assert client.get(f"{API}/me").status_code == 401


def test_only_the_site_that_declared_it_changes_a_provider(world: World, issuer: str, provider: str) -> None:
    beta = world.as_("stranger")
    row = next(each for each in beta.get(f"{API}/identity-providers").json()["items"] if each["code"] == "plant")
    assert (row["ours"], row["rules"]) == (False, [])
    seen = {"if-match": f'"{row["version"]}"'}
    refused = beta.put(f"{API}/identity-providers/plant", json=TERMS | {"issuer": issuer}, headers=seen)
    assert refused.status_code == 404
    mine = [{"claim": "groups", "value": "visitors", "role": "requester"}]
    assert beta.put(f"{API}/identity-providers/plant/rules", json={"rules": mine}).status_code == 200
    claims(issuer, "u-7", preferred_username="guest", groups=["visitors"])
    with browser(world) as client:
        assert through(world, client, "u-7") == "/#/"
        assert client.get(f"{API}/me").json()["roles"] == {"beta": "requester"}
    assert "s:ec/ret" not in world.as_("admin").get(f"{API}/identity-providers").text
    plain = TERMS | {"code": "plain", "issuer": "http://login.example.org"}
    assert "https" in problem(beta.post(f"{API}/identity-providers", json=plain))["detail"]


@pytest.mark.parametrize(
    ("claim", "value", "fits"),
    [
        ("groups", "a", True),
        ("groups", "A", False),
        ("groups", "*", True),
        ("none", "*", False),
        ("realm.roles", "x", True),
        ("admin", "true", True),
        ("https://example.org/role", "boss", True),
    ],
)
def test_a_rule_reads_lists_objects_and_flags(claim: str, value: str, fits: bool) -> None:
    held = {"groups": ["a", "b"], "realm": {"roles": ["x"]}, "admin": True, "https://example.org/role": "boss"}
    assert providers.fits(held, claim, value) is fits


class Small:
    """A provider's two documents, with the keys given to it; counts what is asked."""

    def __init__(self) -> None:
        self.keys = [RSAKey.generate_key(2048, {"kid": "one"})]
        self.asked: list[str] = []
        self.slow_s = 0.0
        small = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                small.asked.append(self.path)
                time.sleep(small.slow_s)
                body = json.dumps(small.answer(self.path)).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        self.client = oidc.Client(self.issuer, "us", None, "openid")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> dict[str, Any]:
        if path == "/keys":
            return {"keys": [key.as_dict(private=False) for key in self.keys]}
        ends = {"authorization_endpoint": "/in", "token_endpoint": "/token", "jwks_uri": "/keys"}
        return {"issuer": self.issuer} | {name: self.issuer + end for name, end in ends.items()}

    def token(self, key: RSAKey | None = None, **other: Any) -> str:
        now = int(wall_now().timestamp())
        body = {"iss": self.issuer, "aud": "us", "sub": "1", "iat": now, "exp": now + 60, "nonce": "n"} | other
        signer = key or self.keys[-1]
        return jwt.encode({"alg": "RS256", "kid": signer.kid}, body, signer)


@pytest.fixture(scope="module")
def small() -> Iterator[Small]:
    made = Small()
    yield made
    made.server.shutdown()
    made.server.server_close()


def judged(small: Small, token: str, known: oidc.Providers | None = None) -> dict[str, Any]:
    return oidc.verified(token, providers=known or oidc.Providers(), client=small.client, nonce="n", now=wall_now())


@pytest.mark.parametrize(
    "other",
    [
        {"nonce": "of another sign-in"},
        {"aud": "somebody else"},
        {"aud": ["us", "them"]},
        {"azp": "them"},
        {"iss": "http://127.0.0.1:1"},
        {"exp": 1},
        {"iat": 4102444800},
        {"sub": ""},
    ],
)
def test_a_token_for_somebody_else_is_refused(small: Small, other: dict[str, Any]) -> None:
    assert judged(small, small.token())["sub"] == "1"
    with pytest.raises(ProviderRefused):
        judged(small, small.token(**other))


def test_a_token_without_a_signature_of_the_provider_is_refused(small: Small) -> None:
    head, body, tail = small.token().split(".")
    none = "eyJhbGciOiJub25lIn0"
    for forged in (
        small.token(RSAKey.generate_key(2048, {"kid": "one"})),
        f"{none}.{body}.",
        f"{head}.{body}.{tail[:-4]}AAAA",
        "x",
    ):
        with pytest.raises(ProviderRefused):
            judged(small, forged)


def test_documents_are_kept_and_new_keys_are_fetched_once_a_minute(small: Small) -> None:
    clock = [0.0]
    known = oidc.Providers(lambda: clock[0])
    small.asked.clear()
    for _ in range(3):
        judged(small, small.token(), known)
    assert sorted(small.asked) == ["/.well-known/openid-configuration", "/keys"]
    small.keys.append(RSAKey.generate_key(2048, {"kid": "two"}))
    with pytest.raises(ProviderRefused):
        judged(small, small.token(), known)  # a stranger's tokens do not make us ask at every request
    assert small.asked.count("/keys") == 1
    clock[0] = oidc.KEYS_AGAIN_S + 1
    assert judged(small, small.token(), known)["sub"] == "1"
    assert small.asked.count("/keys") == 2


def test_a_slow_or_silent_provider_is_given_up_within_the_deadline(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "ANSWER_S", 0.3)
    small.slow_s, began = 1.0, time.monotonic()
    try:
        with pytest.raises(ProviderAway):
            oidc.Providers().document(small.issuer)
    finally:
        small.slow_s = 0.0
    with pytest.raises(ProviderAway):
        oidc.Providers().document(f"http://127.0.0.1:{reserve()}")
    assert time.monotonic() - began < 2


def test_the_password_of_a_person_without_one_is_set_after_a_fresh_sign_in(
    world: World, issuer: str, provider: str
) -> None:
    claims(issuer, "u-8", preferred_username="zhou", groups=["staff"])
    ours = {"X-Requested-With": "millwright"}
    with browser(world) as client:
        assert through(world, client, "u-8") == "/#/"
        set_it = client.post(f"{API}/me/password", json={"password": PASSWORD}, headers=ours)
        assert set_it.status_code == 204, set_it.text
        entered = client.post(f"{API}/session", json={"login": "zhou", "password": PASSWORD})
        assert entered.json()["user"]["login"] == "zhou"
