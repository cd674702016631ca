"""Signing in in a real browser: a passkey of Chromium's own, codes of an app, links, and the administrator's page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from api import identity
from core.embedded import EmbeddedServer
from tests.api_world import API, PASSWORD, World, cloned, living, seeded
from tests.web.conftest import DEADLINE_MS, DESKTOP
from tests.web.windows import NARROW, accessible, look, watched

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
SECURITY = {"en": "Sign-in and security", "zh": "登录与安全"}


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("door")) as running:
        yield seeded(running)


@pytest.fixture
def door(chromium: Browser, world: World) -> Iterator[Page]:
    """A window at http://localhost, where passkeys work, on the sign-in page."""
    world.app.state.sign_in_limit._failed.clear()
    context = chromium.new_context(viewport=DESKTOP, locale="en-GB")
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    with watched(page):
        page.goto(world.address.replace("127.0.0.1", "localhost"))
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        yield page
    context.close()


def person(world: World, login: str, role: str = "planner") -> str:
    with world.database.tx() as conn:
        identity.create_user(conn, login=login, name=login, role=role, site_id=world.alpha, password=PASSWORD)
    return login


def enter(page: Page, login: str, password: str = PASSWORD) -> None:
    page.get_by_label("Login").fill(login)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def leave(page: Page) -> None:
    page.get_by_role("button", name="Account:").click()
    page.get_by_role("button", name="Sign out", exact=True).last.click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def secure(page: Page) -> None:
    page.wait_for_selector(".shell")
    page.get_by_role("button", name="Account:").click()
    page.get_by_role("link", name="Sign-in and security").click()
    expect(page.get_by_role("heading", name="Sign-in and security", level=1)).to_be_visible()


def test_a_passkey_of_the_browser_signs_in(world: World, door: Page) -> None:
    client = door.context.new_cdp_session(door)
    client.send("WebAuthn.enable")
    client.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    enter(door, person(world, "pat"))
    secure(door)
    door.get_by_label("Name of the passkey").fill("My laptop")
    door.get_by_role("button", name="Add a passkey").click()
    expect(door.get_by_role("region", name="Passkeys")).to_contain_text("My laptop")
    leave(door)
    door.get_by_role("button", name="Sign in with a passkey").click()
    door.wait_for_selector(".shell")
    secure(door)
    expect(door.get_by_role("region", name="Where you are signed in")).to_contain_text("passkey")


def test_codes_are_set_up_asked_for_and_shown_to_be_read(world: World, door: Page) -> None:
    enter(door, person(world, "kim"))
    secure(door)
    door.get_by_role("button", name="Set up an app").click()
    expect(door.get_by_role("img", name="QR code for the authenticator app")).to_be_visible()
    codes = door.get_by_role("region", name="Codes from an app")
    app = pyotp.TOTP(codes.locator("code").inner_text().replace(" ", ""))
    look(door, "codes")
    door.get_by_label("Code", exact=True).fill(app.now())
    door.get_by_role("button", name="Turn codes on").click()
    expect(codes).to_contain_text("10 recovery codes are unused")
    recovery = codes.locator("li code").first.inner_text()
    door.get_by_label("What it is for").fill("dashboards")
    door.get_by_role("button", name="Make a token").click()
    expect(door.get_by_label("The token, shown only now")).to_have_value(re.compile("^mwt_"))
    look(door, "security-en")
    door.get_by_role("button", name="Switch the language to Chinese").click()
    expect(door.get_by_role("heading", name=SECURITY["zh"], level=1)).to_be_visible()
    look(door, "security-zh")
    door.locator("button:has(span[lang='en'])").click()
    leave(door)
    enter(door, "kim")
    expect(door.get_by_role("heading", name="Second step")).to_be_visible()
    accessible(door)
    door.get_by_label("Code", exact=True).fill("000000")
    door.get_by_role("button", name="Sign in", exact=True).click()
    expect(door.get_by_role("alert")).to_contain_text("does not fit")
    door.get_by_label("Code", exact=True).fill(recovery)
    door.get_by_role("button", name="Sign in", exact=True).click()
    door.wait_for_selector(".shell")


def test_an_administrators_link_and_page(world: World, door: Page) -> None:
    person(world, "new.one", "engineer")
    enter(door, person(world, "boss", "admin"))
    door.wait_for_selector(".shell")
    door.goto(door.url.split("#")[0] + "#/settings/access")
    expect(door.get_by_role("heading", name="Sign-in and access", level=1)).to_be_visible()
    door.get_by_role("button", name="Password link new.one").click()
    link = door.get_by_label("Password link of new.one, shown only now").input_value()
    agents = door.get_by_role("region", name="Agents")
    agents.get_by_label("Login").fill("triage-bot")
    agents.get_by_label("Name", exact=True).fill("Triage bot")
    agents.get_by_role("button", name="Add an agent").click()
    expect(agents).to_contain_text("boss answers for it")
    door.get_by_role("button", name="Add a provider").click()
    form = door.get_by_role("form", name="Sign-in provider")
    form.get_by_label("Short name in addresses").fill("plant")
    form.get_by_label("Name on the button").fill("the plant's login")
    form.get_by_label("Issuer").fill("https://login.example.org")
    form.get_by_label("Client id").fill("millwright")
    form.get_by_role("button", name="Save", exact=True).click()
    rules = door.get_by_role("group", name="Rules of the plant's login")
    rules.get_by_role("button", name="Add a rule").click()
    rules.get_by_label("Value").fill("maintenance")
    rules.get_by_role("button", name="Save the rules").click()
    record = door.get_by_role("region", name="Record of accounts")
    expect(record).to_contain_text("plant: groups=maintenance → requester")
    look(door, "access-en")
    door.get_by_role("button", name="Switch the language to Chinese").click()
    expect(door.get_by_role("heading", name="登录与访问", level=1)).to_be_visible()
    look(door, "access-zh")
    door.locator("button:has(span[lang='en'])").click()
    leave(door)
    expect(door.get_by_role("link", name="Sign in with the plant's login")).to_be_visible()
    look(door, "door")
    door.goto("about:blank")
    door.goto(link)
    door.get_by_label("New password").fill("another good passphrase")
    accessible(door)
    door.get_by_role("button", name="Set the password").click()
    expect(door.get_by_role("status")).to_contain_text("Your password is set")
    door.get_by_role("link", name="Sign in with login and password").click()
    enter(door, "new.one", "another good passphrase")
    door.wait_for_selector(".phone")


def test_a_role_that_needs_a_second_factor_sees_only_how_to_get_one(world: World, door: Page) -> None:
    admin = world.as_("admin")
    version = admin.get(f"{API}/sign-in-policy").json()["version"]
    answer = admin.put(
        f"{API}/sign-in-policy", json={"second_roles": ["engineer"]}, headers={"if-match": f'"{version}"'}
    )
    try:
        door.set_viewport_size(NARROW)
        enter(door, person(world, "eve", "engineer"))
        expect(door.get_by_role("heading", name="Sign-in and security", level=1)).to_be_visible()
        expect(door.get_by_role("alert")).to_contain_text("needs a second factor")
    finally:
        seen = {"if-match": f'"{answer.json()["version"]}"'}
        assert admin.put(f"{API}/sign-in-policy", json={"second_roles": []}, headers=seen).status_code == 200
