"""A real Chromium against a real instance.

``web`` is the running product: the fixture ``live_plant`` (a started instance: ``base_url``, ``link(role)`` → a fresh
sign-in link, ``unknown_tag()`` → a tag just published that nobody bound), or any server named by MILLWRIGHT_WEB_URL,
whose sign-in token for a role is the role's name.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, ViewportSize, sync_playwright

from tests.conftest import missing, wait_for_port

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ROOT = Path(__file__).resolve().parents[2]
STARTED_S = 180.0
NAMES = ("chromium", "chromium-browser", "google-chrome")
DEADLINE_MS = 15_000
DESKTOP = ViewportSize(width=1440, height=900)
PHONE = ViewportSize(width=360, height=740)
HEADERS = {"X-Requested-With": "millwright"}


@dataclass(frozen=True)
class Web:
    """The product under test."""

    base_url: str
    link: Callable[[str], str]  # role → a sign-in link that was not used yet
    unknown_tag: Callable[[], str]  # publishes a tag that nobody bound; returns its name

    def login(self, page: Page, role: str) -> None:
        """Sign in by link, as that role, and wait for the start page."""
        page.goto(self.link(role))
        page.wait_for_selector(".shell, .phone", timeout=DEADLINE_MS)

    def open(self, page: Page, path: str) -> None:
        """Go to a hash route and wait until nothing is loading any more."""
        page.goto(f"{self.base_url}/#{path}")
        page.wait_for_selector("main h1", timeout=DEADLINE_MS, state="attached")
        page.wait_for_function("() => !document.querySelector('main .bone')", timeout=DEADLINE_MS)


@dataclass
class Visitor:
    """A browser window and what went wrong in it."""

    page: Page
    context: BrowserContext
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def api(self, method: str, path: str, body: Any = None, *, version: int | None = None) -> Any:
        """Call the API with this window's session; a failure is the test's failure."""
        headers = HEADERS | ({} if version is None else {"If-Match": f'"{version}"'})
        base = self.page.url.split("#")[0].rstrip("/")
        answer = self.context.request.fetch(f"{base}/api/v1{path}", method=method, data=body, headers=headers)
        assert answer.ok, f"{method} {path}: {answer.status} {answer.text()}"
        return answer.json() if answer.body() else None


@pytest.fixture(scope="session")
def playwright_instance() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium(playwright_instance: Playwright) -> Iterator[Browser]:
    """The system's Chromium."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        missing("chromium", "Install it: apt install chromium")
    browser = playwright_instance.chromium.launch(executable_path=path, args=ARGUMENTS)
    yield browser
    browser.close()


@dataclass(frozen=True)
class LivePlant:
    """A running demo in a folder of its own."""

    folder: Path
    base_url: str

    def link(self, role: str) -> str:
        """A fresh sign-in link."""
        return self._millwright("link", role).split()[0]

    def unknown_tag(self) -> str:
        """Publish one sample of a tag that nobody bound, as a new device; returns the tag."""
        name = f"press-{secrets.token_hex(3)}"
        told = self._millwright("device", "add", name)
        line = next(line for line in told.splitlines() if "mosquitto_pub" in line)
        words = dict(itertools.pairwise(line.split()))
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set(name, words["-P"])
        wait_for_port(int(words["-p"]))
        deadline = time.monotonic() + DEADLINE_MS / 1000
        tag = f"probe-{name}"
        topic = words["-t"].rsplit("/", 1)[0] + f"/{tag}"
        while client.connect(words["-h"], int(words["-p"])) or not self._taken(client, topic):
            assert time.monotonic() < deadline, "the broker does not take the new device"
        client.disconnect()
        return tag

    @staticmethod
    def _taken(client: mqtt.Client, topic: str) -> bool:
        client.loop_start()
        try:
            sent = client.publish(topic, '{"v": 0.5}', qos=1)
            sent.wait_for_publish(2.0)
            return bool(sent.is_published())
        except (RuntimeError, ValueError):
            return False
        finally:
            client.loop_stop()

    def _millwright(self, *words: str) -> str:
        command = [sys.executable, "-m", "api.cli", *words]
        done = subprocess.run(
            command, cwd=ROOT, env=environment(self.folder), check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout


def environment(folder: Path) -> dict[str, str]:
    ports = {"MILLWRIGHT_PORT": "18180", "MILLWRIGHT_BROKER_PORT": "11983"}
    return dict(os.environ) | ports | {"MILLWRIGHT_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def live_plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlant]:
    """`millwright demo`, until its last line is printed; ended and deleted afterwards."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    log = folder.with_suffix(".log")
    with log.open("wb") as out:
        demo = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "demo"], cwd=ROOT, env=environment(folder), stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + STARTED_S
        while "console: http" not in log.read_text():
            assert demo.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        yield LivePlant(folder, log.read_text().split("console: ")[1].split()[0].rstrip("/"))
    finally:
        demo.terminate()
        demo.wait(30)
        reset = [sys.executable, "-m", "api.cli", "reset", "--yes"]
        subprocess.run(reset, cwd=ROOT, env=environment(folder), check=False, capture_output=True, timeout=60)


@pytest.fixture
def web(request: pytest.FixtureRequest) -> Web:
    url = os.environ.get("MILLWRIGHT_WEB_URL")
    if url:
        base = url.rstrip("/")
        return Web(base, lambda role: f"{base}/#/link/{role}", lambda: os.environ["MILLWRIGHT_WEB_UNKNOWN_TAG"])
    plant = request.getfixturevalue("live_plant")
    return Web(plant.base_url, plant.link, plant.unknown_tag)


@pytest.fixture(scope="session")
def sessions() -> dict[tuple[str, str], Any]:
    """(address, role) → cookies: sign-in is rate limited, so the windows of a role share a session."""
    return {}


@pytest.fixture
def visit(chromium: Browser, web: Web, sessions: dict[tuple[str, str], Any]) -> Iterator[Callable[..., Visitor]]:
    """``visit(role, …)`` opens a window of its own; at the end none may have an error or have asked another host.

    ``fresh`` signs in anew, for tests that end the session.
    """
    visitors: list[Visitor] = []

    def open_window(
        role: str | None, *, phone: bool = False, dark: bool = False, language: str = "en", fresh: bool = False
    ) -> Visitor:
        context = chromium.new_context(
            viewport=PHONE if phone else DESKTOP,
            color_scheme="dark" if dark else "light",
            locale="zh-CN" if language == "zh" else "en-GB",
            has_touch=phone,
        )
        context.set_default_timeout(DEADLINE_MS)
        # An earlier test may have changed the account's language.
        context.add_init_script(f"localStorage['millwright.language'] ??= '{language}'")
        visitor = Visitor(context.new_page(), context)
        visitors.append(visitor)
        visitor.page.on("pageerror", lambda error: visitor.errors.append(str(error)))
        visitor.page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((web.base_url, "data:", "blob:"))
                else visitor.strangers.append(request.url)
            ),
        )
        visitor.page.on(
            "console",
            lambda message: visitor.errors.append(message.text) if "Content Security Policy" in message.text else None,
        )
        if role is not None:
            enter(visitor, role, fresh=fresh)
        return visitor

    def enter(visitor: Visitor, role: str, *, fresh: bool) -> None:
        known = None if fresh else sessions.get((web.base_url, role))
        if known is None:
            web.login(visitor.page, role)
            if not fresh:
                sessions[web.base_url, role] = visitor.context.cookies()
        else:
            visitor.context.add_cookies(known)
            visitor.page.goto(web.base_url)
            visitor.page.wait_for_selector(".shell, .phone", timeout=DEADLINE_MS)

    yield open_window
    for visitor in visitors:
        visitor.context.close()
    assert [error for visitor in visitors for error in visitor.errors] == []
    assert [url for visitor in visitors for url in visitor.strangers] == []


@pytest.fixture
def job(visit: Callable[..., Visitor]) -> Callable[[str], dict[str, Any]]:
    """``job(title)`` opens a corrective ticket as planner and assigns it to the engineer who can sign in."""

    def open_job(title: str) -> dict[str, Any]:
        engineer_id = visit("engineer", phone=True).api("GET", "/me")["engineer_id"]
        planner = visit("planner")
        made = planner.api("POST", "/tickets", {"kind": "corrective", "title": title, "priority": 2})
        path = f"/tickets/{made['ticket_id']}/assign"
        given: dict[str, Any] = planner.api("POST", path, {"engineer_id": engineer_id}, version=made["version"])
        return given

    return open_job
