"""Second factors, passkeys, sessions, tokens with scopes, agents: what proves who one is, and what it is good for."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pyotp
import pytest

from api import identity
from api.accounts import second, tries
from core.clock import wall_now
from core.embedded import EmbeddedServer
from tests.api_world import API, PASSWORD, World, cloned, living, problem
from tests.authenticator import PRESENT, Authenticator

OURS = {"X-Requested-With": "millwright"}


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("accounts")) as running:
        yield running


@pytest.fixture
def person(world: World, request: pytest.FixtureRequest) -> str:
    """The login of somebody new: a planner with a password."""
    login = f"p{abs(hash(request.node.name)) % 10**9}"
    with world.database.tx() as conn:
        identity.create_user(
            conn, login=login, name=login.title(), role="planner", site_id=world.alpha, password=PASSWORD
        )
    world.app.state.sign_in_limit._failed.clear()
    world.app.state.address_limit._failed.clear()
    return login


@contextmanager
def window(world: World, login: str | None = None) -> Iterator[httpx.Client]:
    """A browser on http://localhost:PORT, signed in by password if a login is given."""
    port = world.address.rpartition(":")[2]
    with httpx.Client(base_url=world.address, headers=OURS | {"host": f"localhost:{port}"}, timeout=20) as client:
        if login is not None:
            assert enter(client, login).json()["user"]["login"] == login
        yield client


def enter(client: httpx.Client, login: str, password: str = PASSWORD) -> httpx.Response:
    return client.post(f"{API}/session", json={"login": login, "password": password})


def codes_on(client: httpx.Client) -> tuple[pyotp.TOTP, list[str]]:
    """Turn codes on; the app, and the recovery codes."""
    made = client.post(f"{API}/me/totp")
    assert made.status_code == 201, made.text
    app = pyotp.TOTP(made.json()["secret"])
    done = client.post(f"{API}/me/totp/confirm", json={"code": app.now()})
    assert done.status_code == 200, done.text
    return app, done.json()["codes"]


def forget_steps(world: World, login: str) -> None:
    """As if the codes taken so far were older: tests do not wait for half a minute."""
    with world.database.tx() as conn:
        conn.execute(
            "update totp_secrets set last_step = last_step - 5 where user_id = %s", (identity.user_named(conn, login),)
        )


def kinds(world: World, login: str) -> list[str]:
    items = world.as_("admin").get(f"{API}/identity-record?limit=200").json()["items"]
    return [each["kind"] for each in reversed(items) if each["login"] == login]


def test_a_code_is_asked_for_taken_once_and_counts_as_a_second_factor(world: World, person: str) -> None:
    with window(world, person) as client:
        enrolled = client.post(f"{API}/me/totp").json()
        assert enrolled["uri"].startswith("otpauth://totp/Millwright") and len(enrolled["qr"]) >= 21
        app, recovery = codes_on(client)
        assert (len(set(recovery)), client.get(f"{API}/me/security").json()["method"]) == (10, "password+code")
    with window(world) as client:
        pending = enter(client, person).json()["second"]["pending"]
        assert not client.cookies and client.get(f"{API}/me").status_code == 401
        used = client.post(f"{API}/session/second", json={"pending": pending, "code": app.now()})
        assert problem(used)["code"] == "wrong_code"  # the code that turned codes on is used up
        forget_steps(world, person)
        code = app.now()
        entered = client.post(f"{API}/session/second", json={"pending": pending, "code": code})
        assert entered.json()["user"]["login"] == person
        again = client.post(f"{API}/session/second", json={"pending": pending, "code": code})
        assert problem(again)["code"] == "step_ended"
    with window(world) as client:
        replayed = enter(client, person).json()["second"]["pending"]
        answer = client.post(f"{API}/session/second", json={"pending": replayed, "code": code})
        assert problem(answer)["code"] == "wrong_code"
        entered = client.post(f"{API}/session/second", json={"pending": replayed, "code": recovery[0].lower()})
        assert entered.json()["user"]["login"] == person
        assert client.get(f"{API}/me/security").json()["recovery_left"] == 9
    with window(world) as client:
        pending = enter(client, person).json()["second"]["pending"]
        spent = client.post(f"{API}/session/second", json={"pending": pending, "code": recovery[0]})
        assert problem(spent)["code"] == "wrong_code"
    assert kinds(world, person)[:4] == ["user_added", "signed_in", "codes_on", "signed_in"]


def test_one_code_sent_twice_at_once_opens_one_session(world: World, person: str) -> None:
    with window(world, person) as client:
        app, _ = codes_on(client)
    forget_steps(world, person)
    with window(world) as client:
        pendings = [enter(client, person).json()["second"]["pending"] for _ in range(4)]
        code = app.now()
        with ThreadPoolExecutor(4) as pool:
            answers = list(
                pool.map(
                    lambda each: client.post(f"{API}/session/second", json={"pending": each, "code": code}).status_code,
                    pendings,
                )
            )
    assert sorted(answers) == [200, 401, 401, 401]


def test_wrong_codes_lock_the_login_and_end_the_step(world: World, person: str) -> None:
    with window(world, person) as client:
        app, _ = codes_on(client)
    forget_steps(world, person)
    with window(world) as client:
        pending = enter(client, person).json()["second"]["pending"]
        found = []
        for _ in range(6):
            answer = client.post(f"{API}/session/second", json={"pending": pending, "code": "000000"})
            found.append(problem(answer)["code"])
        assert found == ["wrong_code"] * tries.FREE + ["step_ended"]
        assert problem(enter(client, person))["code"] == "wrong_login"  # with the right password, too
        assert problem(client.post(f"{API}/session/second", json={"pending": pending, "code": app.now()}))


def test_secrets_of_apps_are_sealed_and_recovery_codes_hashed(world: World, person: str) -> None:
    with window(world, person) as client:
        app, recovery = codes_on(client)
    with world.database.tx() as conn:
        user_id = identity.user_named(conn, person)
        kept = conn.execute("select secret from totp_secrets where user_id = %s", (user_id,)).fetchone()
        hashes = conn.execute("select code_hash from recovery_codes where user_id = %s", (user_id,)).fetchall()
    assert kept and app.secret.encode() not in bytes(kept[0])
    plain = {each.replace("-", "").encode() for each in recovery}
    assert len(hashes) == 10 and not any(bytes(row[0]) in plain for row in hashes)


def test_a_role_that_needs_a_second_factor_can_only_set_one_up(world: World, person: str) -> None:
    admin = world.as_("admin")
    terms = admin.get(f"{API}/sign-in-policy").json()
    seen = {"if-match": f'"{terms["version"]}"'}
    answer = admin.put(f"{API}/sign-in-policy", json={"second_roles": ["planner"]}, headers=seen)
    assert answer.json()["second_roles"] == ["planner"], answer.text
    assert admin.put(f"{API}/sign-in-policy", json={"second_roles": []}, headers=seen).status_code == 412
    try:
        with window(world, person) as client:
            assert client.get(f"{API}/me").json()["second_needed"] is True
            assert problem(client.get(f"{API}/tickets"))["code"] == "second_needed"
            codes_on(client)
            assert client.get(f"{API}/tickets").status_code == 200
            assert client.get(f"{API}/me").json()["second_needed"] is False
        assert world.as_("planner").get(f"{API}/tickets").status_code == 200  # a token is a strong secret by itself
    finally:
        again = {"if-match": f'"{answer.json()["version"]}"'}
        assert admin.put(f"{API}/sign-in-policy", json={"second_roles": []}, headers=again).status_code == 200


def passkey(world: World, client: httpx.Client, **more: Any) -> Authenticator:
    """A software authenticator whose passkey was registered with the signed-in account."""
    made = Authenticator(f"http://{client.headers['host']}", **more)
    options = client.post(f"{API}/me/passkeys/options").json()["publicKey"]
    body = {"name": "laptop", "credential": made.create(options)}
    answer = client.post(f"{API}/me/passkeys", json=body)
    assert answer.status_code == 201, answer.text
    return made


def ask(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.post(f"{API}/session/passkey/options").json()["publicKey"]
    return found


def test_a_passkey_signs_in_without_a_login_and_asks_for_no_code(world: World, person: str) -> None:
    with window(world, person) as client:
        device = passkey(world, client, step=0)
        codes_on(client)
    with window(world) as client:
        answer = device.get(ask(client))
        assert "user" not in str(ask(client).get("allowCredentials"))
        entered = client.post(f"{API}/session/passkey", json=answer)
        assert entered.json()["user"]["login"] == person, entered.text
        assert client.get(f"{API}/me/security").json()["method"] == "passkey"
        assert client.get(f"{API}/me/passkeys").json()["items"][0]["used_at"] is not None
    with window(world) as client:
        assert problem(client.post(f"{API}/session/passkey", json=answer))["code"] == "passkey_refused"  # a replay


@pytest.mark.parametrize("wrong", ["origin", "not verified", "counter", "challenge", "key", "purpose"])
def test_a_passkey_that_is_not_right_opens_nothing(world: World, person: str, wrong: str) -> None:
    with window(world, person) as client:
        device = passkey(world, client, count=5)
        creation = client.post(f"{API}/me/passkeys/options").json()["publicKey"]
    with window(world) as client:
        options = ask(client)
        if wrong == "origin":
            device.origin = "http://localhost.evil.example"
        elif wrong == "not verified":
            device.flags = PRESENT
        elif wrong == "counter":
            device.count = 2  # a copy of the key
        elif wrong == "challenge":
            options["challenge"] = "A" * 54
        elif wrong == "key":
            device.key = Authenticator("x").key
        else:
            options["challenge"] = creation["challenge"]
        assert problem(client.post(f"{API}/session/passkey", json=device.get(options)))["code"] == "passkey_refused"
        assert client.get(f"{API}/me").status_code == 401


def test_passkeys_are_removed_and_an_ip_address_has_none(world: World, person: str) -> None:
    with window(world, person) as client:
        device = passkey(world, client)
        (row,) = client.get(f"{API}/me/passkeys").json()["items"]
        assert client.delete(f"{API}/me/passkeys/{row['passkey_id']}").status_code == 204
        assert client.delete(f"{API}/me/passkeys/{row['passkey_id']}").status_code == 404
        refused = client.post(f"{API}/session/passkey", json=device.get(ask(client)))
        assert problem(refused)["code"] == "passkey_refused"
    by_number = world.as_(None).post(f"{API}/session/passkey/options")
    assert problem(by_number)["code"] == "no_passkeys_here"
    assert kinds(world, person)[-2:] == ["passkey_added", "passkey_removed"]


def test_sessions_are_listed_ended_one_by_one_and_all_by_a_new_password(world: World, person: str) -> None:
    with window(world, person) as here, window(world, person) as there, window(world, person) as third:
        rows = here.get(f"{API}/me/sessions").json()["items"]
        assert len(rows) == 3 and [each["current"] for each in rows].count(True) == 1
        assert rows[0]["address"] == "127.0.0.1" and "httpx" in rows[0]["client"]
        other = there.get(f"{API}/me/sessions").json()["items"]
        ident = next(each["session_id"] for each in other if each["current"])
        assert here.delete(f"{API}/me/sessions/{ident}").status_code == 204
        assert (there.get(f"{API}/me").status_code, third.get(f"{API}/me").status_code) == (401, 200)
        body = {"current": "wrong password", "password": "another good passphrase"}
        assert problem(here.post(f"{API}/me/password", json=body))["code"] == "wrong_login"
        body["current"] = PASSWORD
        assert here.post(f"{API}/me/password", json=body).status_code == 204
        assert (here.get(f"{API}/me").status_code, third.get(f"{API}/me").status_code) == (200, 401)
    with window(world) as client:
        assert problem(enter(client, person))["code"] == "wrong_login"
        assert enter(client, person, "another good passphrase").status_code == 200


def test_changing_how_one_signs_in_needs_a_fresh_proof(world: World, person: str) -> None:
    with window(world, person) as client:
        with world.database.tx() as conn:
            conn.execute("update sessions set confirmed_at = %s", (wall_now() - timedelta(minutes=16),))
        for path in ("totp", "passkeys/options", "recovery-codes"):
            assert problem(client.post(f"{API}/me/{path}"))["code"] == "confirm_needed"
        made = client.post(f"{API}/me/tokens", json={"name": "t", "scopes": ["*.read"], "expires_in_days": 1})
        assert problem(made)["code"] == "confirm_needed"
        assert problem(client.post(f"{API}/me/confirm", json={"password": "no"}))["code"] == "wrong_login"
        assert client.post(f"{API}/me/confirm", json={"password": PASSWORD}).status_code == 204
        assert client.post(f"{API}/me/totp").status_code == 201
    assert problem(world.as_("planner").post(f"{API}/me/totp"))["code"] == "session_needed"  # a token never does


def test_an_administrators_link_sets_a_password_once_from_anywhere(world: World, person: str) -> None:
    admin = world.as_("admin")
    with world.database.tx() as conn:
        user_id = identity.user_named(conn, person)
    with window(world, person) as client:
        codes_on(client)
        assert admin.delete(f"{API}/users/{user_id}/second-factors").status_code == 204
        assert client.get(f"{API}/me").status_code == 401
        paths = [admin.post(f"{API}/users/{user_id}/invite").json()["path"] for _ in range(2)]
        secrets = [path.removeprefix("/#/invite/") for path in paths]
        body = {"token": secrets[0], "password": "yet another passphrase"}
        assert problem(client.post(f"{API}/session/password", json=body))["code"] == "invite_used"  # a newer one came
        body["token"] = secrets[1]
        weak = client.post(f"{API}/session/password", json=body | {"password": "x" * 12})
        assert problem(weak)["code"] == "weak_password"
        assert client.post(f"{API}/session/password", json=body).status_code == 204
        assert problem(client.post(f"{API}/session/password", json=body))["code"] == "invite_used"
        assert enter(client, person, "yet another passphrase").json()["second"] is None
    told = kinds(world, person)
    assert told[-6:] == ["second_reset", "invite_made", "invite_made", "invite_used", "password_set", "signed_in"]


def test_a_tokens_scopes_narrow_and_follow_the_owners_rights(world: World, person: str) -> None:
    with window(world, person) as client:
        limits = {"name": "dashboards", "scopes": ["ticket.read", "asset.*"], "expires_in_days": 30}
        made = client.post(f"{API}/me/tokens", json=limits)
        assert made.status_code == 201, made.text
        for bad in ("user.manage", "no.right", "nonsense.*"):
            refused = client.post(f"{API}/me/tokens", json=limits | {"scopes": [bad]})
            assert problem(refused)["code"] == "bad_scope"
        rows = client.get(f"{API}/me/tokens").json()["items"]
        assert (rows[0]["scopes"], rows[0]["used_at"]) == (["asset.*", "ticket.read"], None)
    with window(world) as robot:
        robot.headers["authorization"] = f"Bearer {made.json()['token']}"
        assert robot.get(f"{API}/tickets").status_code == 200
        assert problem(robot.get(f"{API}/alarms"))["code"] == "scope_missing"
        assert problem(robot.post(f"{API}/tickets", json={"kind": "request", "title": "t"}))["code"] == "scope_missing"
        assert problem(robot.get(f"{API}/me"))["code"] == "scope_missing"
        with world.database.tx() as conn:
            identity.give_role(conn, identity.user_named(conn, person), site_id=world.alpha, role="requester")
        assert problem(robot.get(f"{API}/assets"))["code"] == "forbidden"  # its owner may no more, so it may not
        with world.database.tx() as conn:
            conn.execute("update sessions set expires_at = now() where name = 'dashboards'")
        assert robot.get(f"{API}/tickets").status_code == 401


def test_a_limited_token_makes_no_token(world: World) -> None:
    admin = world.as_("admin")
    made = admin.post(f"{API}/tokens", json={"login": "admin", "name": "people", "scopes": ["user.manage"]}).json()
    with window(world) as robot:
        robot.headers["authorization"] = f"Bearer {made['token']}"
        assert robot.get(f"{API}/users").status_code == 200
        wider = robot.post(f"{API}/tokens", json={"login": "admin", "name": "wider"})
        assert problem(wider)["code"] == "session_needed"


def test_an_agent_has_tokens_only_and_is_named_as_one(world: World) -> None:
    admin = world.as_("admin")
    body = {"login": "triage-bot", "name": "Triage bot", "role": "planner"}
    made = admin.post(f"{API}/agents", json=body)
    assert (made.status_code, made.json()["owner"]) == (201, "admin"), made.text
    assert problem(admin.post(f"{API}/agents", json=body | {"login": "boss", "role": "admin"}))["status"] == 409
    user_id = made.json()["user_id"]
    assert admin.post(f"{API}/users/{user_id}/invite").status_code == 409
    with world.database.tx() as conn:
        identity.set_password(conn, "triage-bot", PASSWORD)
    with window(world) as client:
        assert problem(enter(client, "triage-bot"))["code"] == "wrong_login"
    token = admin.post(
        f"{API}/tokens", json={"login": "triage-bot", "name": "t", "scopes": ["ticket.*", "me.read"]}
    ).json()["token"]
    with window(world) as robot:
        robot.headers["authorization"] = f"Bearer {token}"
        assert robot.get(f"{API}/me").json()["kind"] == "agent"
        ticket = robot.post(f"{API}/tickets", json={"kind": "request", "title": "found"}).json()
        events = admin.get(f"{API}/tickets/{ticket['ticket_id']}/events").json()["items"]
        assert events[-1]["actor"]["kind"] == "agent" and events[-1]["actor"]["name"] == "Triage bot"
        off = admin.patch(f"{API}/agents/{user_id}", json={"disabled": True}).json()
        assert (off["disabled"], off["tokens"], robot.get(f"{API}/me").status_code) == (True, 0, 401)


def test_the_record_is_append_only_and_another_sites_stays_there(world: World, person: str) -> None:
    assert "user_added" in kinds(world, person)
    stranger = world.as_("stranger").get(f"{API}/identity-record?limit=200").json()["items"]
    assert person not in str(stranger) and "stranger" in str(stranger)
    assert world.as_("planner").get(f"{API}/identity-record").status_code == 403
    for statement in ("update identity_events set detail = ''", "delete from identity_events"):
        with pytest.raises(Exception, match="permission denied"), world.database.tx(site_id=world.alpha) as conn:
            conn.execute(statement)


def test_a_code_of_another_account_does_not_fit(world: World, person: str) -> None:
    """The seal names its owner: a secret moved to another row opens nothing."""
    with window(world, person) as client:
        codes_on(client)
    with world.database.tx() as conn:
        other = identity.user_named(conn, "planner")
        conn.execute(
            "insert into totp_secrets select %s, secret, made_at, confirmed_at, 0 from totp_secrets where user_id = %s",
            (other, identity.user_named(conn, person)),
        )
    vault = world.app.state.vault
    with pytest.raises(Exception, match=r"secrets\.json"), world.database.tx() as conn:
        second.check(conn, other, "123456", vault=vault, now=wall_now())
    with world.database.tx() as conn:
        second.turn_off(conn, other)
