"""The patient API client against a real HTTP server that stumbles."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from core.ports import reserve
from simulators import plantclock
from simulators.client import ApiClient, ApiDown, ApiError

Answer = tuple[int, dict[str, str], Any]


class Stumbling(ThreadingHTTPServer):
    """Answers from a list, in order, and remembers what it was asked."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answers: list[Answer], *, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.answers = answers
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class Handler(BaseHTTPRequestHandler):
    server: Stumbling

    def answer(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        headers = {k.lower(): v for k, v in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, body))
        status, more, out = self.server.answers.pop(0)
        raw = b"" if out is None else json.dumps(out).encode()
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Stumbling]:
    running = Stumbling([])
    yield running
    running.close()


def test_a_post_is_sent_again_with_the_same_key(server: Stumbling) -> None:
    server.answers = [(503, {"Retry-After": "0"}, {}), (500, {}, {}), (200, {}, {"ok": True})]
    with ApiClient(server.url, token="mwt_x", site="plant") as api:
        assert api.post("/tickets/7/transition", {"to": "done"}, version=3) == {"ok": True}
    keys = {headers["idempotency-key"] for _, _, headers, _ in server.asked}
    assert len(server.asked) == 3 and len(keys) == 1
    method, path, headers, body = server.asked[-1]
    assert (method, path, body) == ("POST", "/api/v1/tickets/7/transition", {"to": "done"})
    assert headers["if-match"] == '"3"' and headers["authorization"] == "Bearer mwt_x"
    assert headers["x-site"] == "plant" and headers["x-requested-with"] == "millwright"


def test_two_posts_have_two_keys(server: Stumbling) -> None:
    server.answers = [(200, {}, {}), (200, {}, {})]
    with ApiClient(server.url, token="t") as api:
        api.post("/a")
        api.post("/a")
    assert len({headers["idempotency-key"] for _, _, headers, _ in server.asked}) == 2


def test_retry_after_is_obeyed(server: Stumbling) -> None:
    server.answers = [(429, {"Retry-After": "1"}, {}), (200, {}, {"items": []})]
    began = time.monotonic()
    with ApiClient(server.url, token="t") as api:
        assert list(api.items("/tickets")) == []
    assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize(("status", "lost"), [(412, True), (409, True), (422, False), (428, False), (403, False)])
def test_a_refusal_is_told_at_once(server: Stumbling, status: int, lost: bool) -> None:
    server.answers = [(status, {}, {"code": "stale", "detail": "Look again.", "version": 9})]
    with ApiClient(server.url, token="t") as api, pytest.raises(ApiError, match="Look again") as caught:
        api.patch("/tickets/7", {"title": "x"}, version=2)
    assert (caught.value.status, caught.value.code, caught.value.lost_race) == (status, "stale", lost)
    assert caught.value.body["version"] == 9 and len(server.asked) == 1


def test_lists_are_read_to_the_end(server: Stumbling) -> None:
    server.answers = [(200, {}, {"items": [{"n": 1}, {"n": 2}], "next": "c1"}), (200, {}, {"items": [{"n": 3}]})]
    with ApiClient(server.url, token="t") as api:
        assert [item["n"] for item in api.items("/tickets", open="true")] == [1, 2, 3]
    assert [path for _, path, _, _ in server.asked] == [
        "/api/v1/tickets?open=true",
        "/api/v1/tickets?open=true&cursor=c1",
    ]


def test_a_lost_session_is_opened_again(server: Stumbling) -> None:
    cookie = {"Set-Cookie": "millwright_session=abc; Path=/; HttpOnly"}
    me = (200, {}, {"login": "crew-1"})
    server.answers = [(200, cookie, {}), me, (401, {}, {"code": "not_signed_in"}), (200, cookie, {}), me]
    with ApiClient(server.url, login="crew-1", password="a long secret") as api:
        assert api.get("/me")["login"] == "crew-1"
        assert api.get("/me")["login"] == "crew-1"
    assert [path for _, path, _, _ in server.asked] == [
        f"/api/v1/{p}" for p in ("session", "me", "me", "session", "me")
    ]
    assert server.asked[1][2]["cookie"] == "millwright_session=abc"


def test_a_server_that_is_killed_and_comes_back() -> None:
    port = reserve()
    found: list[Any] = []
    api = ApiClient(f"http://127.0.0.1:{port}", token="t", patience_s=20.0)
    asking = threading.Thread(target=lambda: found.append(api.post("/tickets", {})))
    asking.start()
    time.sleep(0.5)  # nobody listens yet: that is the case under test
    assert not found
    server = Stumbling([(201, {}, {"ticket_id": 1})], port=port)
    asking.join(20.0)
    api.close()
    server.close()
    assert found == [{"ticket_id": 1}]


def test_patience_ends() -> None:
    with (
        ApiClient(f"http://127.0.0.1:{reserve()}", token="t", patience_s=0.5) as api,
        pytest.raises(ApiDown, match="GET /me"),
    ):
        api.get("/me")


def test_the_plant_clock_is_taken_from_the_instance(server: Stumbling) -> None:
    server.answers = [(200, {}, {"now": "2026-01-01T00:00:00Z", "factor": 3600.0, "offset_s": 5.0})]
    clock = plantclock.fetch(server.url)
    passed_us = clock.now_us() - 1_767_225_600_000_000
    assert 0 <= passed_us < 3600 * 5_000_000
    assert clock.factor == 3600.0 and clock.wall_s(7200.0) == 2.0
    assert clock.differs(plantclock.started_at(clock.now_us(), factor=60.0))
    assert clock.differs(plantclock.started_at(clock.now_us() + 4 * 3600 * 1_000_000, factor=3600.0))
    assert not clock.differs(plantclock.started_at(clock.now_us(), factor=3600.0))
