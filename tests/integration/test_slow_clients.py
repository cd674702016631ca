"""Who sends or reads slowly, or speaks no HTTP, is told so, and holds nothing that others need."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from api import gate, server
from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, seeded

JSON = {"content-type": "application/json"}
HEAD = f"POST {API}/tickets HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("world")) as running:
        yield seeded(running)


def connected(world: World) -> socket.socket:
    where = urlsplit(world.address)
    return socket.create_connection((where.hostname, where.port), timeout=5)


def answer(raw: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and problem document of what comes until the connection is closed."""
    read = b""
    while piece := raw.recv(65536):
        read += piece
    head, _, body = read.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head and b"nosniff" in head, head
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize("sent", ["", "GET / HT", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b\r\n"])
def test_a_head_must_come_in_time(world: World, monkeypatch: pytest.MonkeyPatch, sent: str) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.3)
    with connected(world) as raw:
        raw.sendall(sent.encode())
        status, said = answer(raw)
    assert (status, said["code"]) == (408, "head_too_slow")


def test_a_second_head_must_come_in_time_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.3)
    with connected(world) as raw:
        raw.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 200")
        raw.sendall(b"GET /health/live HTTP/1.1\r\nHo")
        assert answer(raw)[0] == 408


def test_a_drop_at_a_time_is_not_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.4)
    began = time.monotonic()
    with connected(world) as raw, pytest.raises(OSError):
        while time.monotonic() - began < 5:
            raw.sendall(b"x")
            time.sleep(0.02)
    assert time.monotonic() - began < 3


NO_HTTP = {
    "binary": b"\x00\x01\x02\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + b"\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil\r\n\r\n",
    "two lengths": HEAD.encode() + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "negative length": HEAD.encode() + b"Content-Length: -1\r\n\r\n",
    "folded": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n folded: x\r\nA b: c\r\n\r\n",
    "a head of a megabyte": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: " + b"a" * 1_000_000,
    "three hundred lines": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    "no chunk": HEAD.encode() + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_http_gets_a_problem_document(world: World, name: str) -> None:
    with connected(world) as raw, ExitStack() as stack:
        if len(NO_HTTP[name]) > 100_000:  # cut off in the middle
            stack.enter_context(pytest.raises(OSError))
        raw.sendall(NO_HTTP[name])
        status, said = answer(raw)
        assert status == 400 and said["code"] in ("not_http", "unknown_host"), said
    assert httpx.get(world.address + "/health/live").status_code == 200


def test_a_body_must_come_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "BODY_WITHIN_S", 0.3)
    with connected(world) as raw:
        raw.sendall(f"{HEAD}Content-Length: 100\r\n\r\n{{".encode())
        status, said = answer(raw)
    assert (status, said["code"]) == (408, "body_too_slow")


def test_large_bodies_that_stop_halfway_are_not_all_held(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count together; what is small goes on, and when they have gone there is room again."""
    monkeypatch.setattr(gate, "MOST_HELD", 599_999)
    half = f"{HEAD}Content-Length: 1000000\r\n\r\n".encode() + b" " * 200_000
    planner, large = world.as_("planner"), '{"kind": "request", "title": "t"' + " " * 400_000 + "}"
    with ExitStack() as stack:
        first, second, third = (stack.enter_context(connected(world)) for _ in range(3))
        for each in (first, second):
            each.sendall(half)
        third.sendall(half)
        status, said = answer(third)
        assert (status, said["code"]) == (429, "too_many_large")
        assert planner.post(f"{API}/tickets", json={"kind": "request", "title": "t"}).status_code == 201
    began = time.monotonic()
    while planner.post(f"{API}/tickets", content=large, headers=JSON).status_code != 201:
        assert time.monotonic() - began < 5


def test_who_does_not_read_is_let_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of twenty large answers, asked for at once, few are read: the connection is cut."""
    monkeypatch.setattr(server, "WRITE_S", 0.3)
    ask = f"GET {API}/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {world.tokens['admin']}\r\n\r\n"
    where, read = urlsplit(world.address), bytearray()
    assert world.as_("admin").get(f"{API}/openapi.json").status_code == 200  # made once
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect((where.hostname, where.port))
        raw.sendall(ask.encode() * 20)
        time.sleep(1.0)
        with suppress(ConnectionResetError):
            while piece := raw.recv(1 << 20):
                read += piece
    assert 0 < read.count(b"HTTP/1.1 200") < 20


def test_when_too_many_are_open_the_one_that_owes_a_head_for_longest_gives_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 20)
    with ExitStack() as stack:
        idle = [stack.enter_context(connected(world)) for _ in range(30)]
        assert httpx.get(world.address + "/health/live").status_code == 200
        assert idle[0].recv(1) == b""  # the first to come was the first to go
