"""What comes to the door with ill will: does the server stay up, answer 4xx, and go on serving everybody else?

python -m benchmarks.hostile [--quick] [--seed N]

The product's own app under its own server is a process of its own on a PostgreSQL of its own. Every POST, PUT and PATCH
of its OpenAPI document gets every small hostile body; bombs come eight at a time; then heads, hosts, paths, compressed
bombs, uploads, and clients that send a byte at a time. ``server_errors`` counts answers of 500 and above.
``loop_stall_ms`` is the worst delay of a heartbeat on the server's event loop, ``loop_stall_own_ms`` what of it the
process itself was at work (the rest the machine gave to others); with ``.quiet`` without any attack. ``rss_growth_mb``
is the highest memory during the attacks over that before, after every route had been used. ``malformed_taken``: no
JSON, yet not refused. ``cut``: connections that ended without an answer, which large bodies risk. ``slow_held``: slow
connections that were not let go within ``slow_held_s``.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import httpx

from benchmarks import hostile_bodies as bodies
from benchmarks import hostile_wire as wire
from benchmarks.hostile_bodies import Body
from benchmarks.hostile_wire import CUT, Answer, Wire
from benchmarks.result import finish
from benchmarks.served import Served

API = "/api/v1"
JSON = "application/json"
PROBLEM = "application/problem+json"
AT_ONCE = 8
HEAD_WITHIN_S, BODY_WITHIN_S = 15.0, 36.0
GOALS = {
    "server_errors": "== 0",
    "malformed_taken": "== 0",
    "no_problem_document": "== 0",
    "slow_held": "== 0",
    "loop_stall_ms": "<= 50",
    "rss_growth_mb": "<= 64",
}


class Target(NamedTuple):
    """A route that takes a body; ``path`` with its parameters filled in."""

    method: str
    path: str
    schema: dict[str, Any]


@dataclass(slots=True)
class Found:
    """What came back, over all attacks."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    taken: int = 0
    no_document: int = 0
    stalls: dict[str, tuple[float, float]] = field(default_factory=dict)
    worst: tuple[float, str] = (0.0, "")  # within this attack: the stall, and what was sent when it showed

    def add(self, what: str, answer: Answer, *, is_json: bool | None = True) -> None:
        self.statuses[answer.status] += 1
        if answer.status >= 500:
            self.wrong.append(f"{answer.status} {what}: {answer.body[:200]!r}")
        if answer.status >= 400 and answer.kind != PROBLEM:
            self.no_document += 1
            self.wrong.append(f"{answer.status} without a problem document, {what}: {answer.body[:80]!r}")
        if is_json is False and 0 < answer.status < 400:
            self.taken += 1
            self.wrong.append(f"{answer.status} although it is no JSON: {what}")


class Attack:
    """The attacks on one running server."""

    def __init__(self, up: Served, *, seed: int, quick: bool) -> None:
        self.up, self.quick = up, quick
        self.chance = random.Random(seed)  # noqa: S311
        self.seed = seed
        self.found = Found()
        self.headers = {"Authorization": f"Bearer {up.tokens['admin']}", "Content-Type": JSON, "If-Match": '"1"'}
        answer = httpx.get(up.address + API + "/openapi.json", headers=self.headers, timeout=60, trust_env=False)
        self.document: dict[str, Any] = answer.json()
        self.definitions = self.document["components"]["schemas"]
        self.targets = list(targets(self.document))

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        self.up.beat.reset()
        self.found.worst = (0.0, "")
        began, before = time.monotonic(), self.found.statuses.total()
        yield
        late, own = self.up.beat.worst()
        self.found.stalls[name] = late, min(late, own)
        print(
            f"  {name:<22} {self.found.statuses.total() - before:>7,} requests {time.monotonic() - began:>6.1f} s"
            f"   stall {late * 1000:>6.1f} ms (own {min(late, own) * 1000:.1f})   {self.up.rss_mb():.0f} MB"
            f"   {self.found.worst[1][:60]}",
            flush=True,
        )

    def warm(self) -> None:
        """Use every route once with an example, an empty object and nothing, so that what is loaded late is loaded."""
        with Wire(self.up.port) as line:
            for target in self.targets:
                good = bodies.example(target.schema, self.definitions)
                for body in (b"{}", json.dumps(good).encode()):
                    self.found.add(f"{target.method} {target.path} {body[:80]!r}", self._send(line, target, body))
            for path, methods in self.document["paths"].items():
                if "get" in methods and "/events" not in path:
                    name = filled(path)
                    self.found.add(f"GET {name}", line.ask("GET", name, self.headers))
            self._send(line, self.targets[0], b'"' + b"a" * 1_000_000 + b'"')

    def small(self) -> None:
        """Every small body to every route (quick: each body to two routes)."""
        made = bodies.small(self.seed, mutations=100 if self.quick else 250)
        with Wire(self.up.port) as line:
            for number, body in enumerate(made):
                step = len(self.targets) // 2 if self.quick else 1
                for target in self.targets[number % step :: step]:
                    answer = self._send(line, target, body.data)
                    self.found.add(f"{target.method} {target.path} {body.name}", answer, is_json=body.is_json)

    def shaped(self) -> None:
        """Bodies of each route's own shape with something strange in one field."""
        with Wire(self.up.port) as line:
            for target in self.targets:
                wanted = bodies.shaped(target.schema, self.definitions, self.chance, count=4 if self.quick else 40)
                for body in wanted:
                    what = f"{target.method} {target.path} {body.name}"
                    self.found.add(what, self._send(line, target, body.data))

    def bombs(self) -> None:
        """Large, deep and many, eight at a time; each to several routes."""
        made = [
            (body, self.chance.choice(self.targets)) for body in bodies.bombs() for _ in range(2 if self.quick else 8)
        ]
        self.chance.shuffle(made)
        self._at_once(lambda line, each: self._send(line, each[1], each[0].data), made)

    def _at_once(self, send: Callable[[Wire, tuple[Body, Target]], Answer], made: list[tuple[Body, Target]]) -> None:
        def work(part: list[tuple[Body, Target]]) -> list[tuple[tuple[Body, Target], Answer]]:
            with Wire(self.up.port) as line:
                return [(each, send(line, each)) for each in part]

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for answers in pool.map(work, [made[start::AT_ONCE] for start in range(AT_ONCE)]):
                for (body, target), answer in answers:
                    self.found.add(f"{target.method} {target.path} {body.name}", answer, is_json=body.is_json)

    def heads(self) -> None:
        """What is no HTTP, hosts that are not ours, paths that lead elsewhere."""
        for name, data in wire.HEADS.items():
            with Wire(self.up.port) as line:
                self.found.add(name, line.raw(data))
        with Wire(self.up.port) as line:
            for host in wire.HOSTS:
                for path in ("/", f"{API}/me", "/metrics"):
                    answer = line.ask("GET", path, self.headers | {"Host": host})
                    self.found.add(f"host {host[:40]!r}", answer, is_json=host in ("127.1", "0") or False)
            for path in wire.PATHS:
                for method in ("GET", "POST", "DELETE", "OPTIONS", "HEAD"):
                    if method != "HEAD":  # its answer has a length and no body
                        self.found.add(f"{method} {path[:60]}", line.ask(method, path, self.headers))
            for name, value in self._fields():
                self.found.add(f"{name}: {value[:40]}", line.ask("GET", f"{API}/me", self.headers | {name: value}))

    def _fields(self) -> Iterator[tuple[str, str]]:
        for name in (
            "Authorization",
            "If-Match",
            "Idempotency-Key",
            "X-Site",
            "X-Request-Id",
            "Cookie",
            "Accept",
            "Range",
        ):
            for value in (
                "",
                "\xff",
                "a" * 8_000,
                '"' * 100,
                "%00",
                "Bearer",
                "bytes=0-,1-,2-",
                "{{7*7}}",
                "9" * 60,
                "é",
                "=;=;",
            ):
                yield name, value

    def packed(self) -> None:
        """Bodies that grow, and kinds that are none of ours."""
        target = next(each for each in self.targets if each.path == f"{API}/tickets")
        with Wire(self.up.port) as line:
            for coding, data in wire.packed(64 if self.quick else 256):
                headers = self.headers | {"Content-Encoding": coding}
                self.found.add(coding, line.ask("POST", target.path, headers, data), is_json=False)
            for kind in (
                "text/plain",
                "application/xml",
                "multipart/form-data; boundary=x",
                "application/json; charset=utf-16",
                "",
                "a/b/c",
            ):
                headers = self.headers | {"Content-Type": kind}
                self.found.add(kind, line.ask("POST", target.path, headers, b"{}"), is_json=False)

    def uploads(self) -> None:
        """Files that are too large, packed, or not what they say, to the routes that take files."""
        path = f"{API}/tickets/1/attachments?name=a.png"
        with Wire(self.up.port) as line:
            for size in ("400000000", "99999999999999", "9" * 30, "-1", "x"):
                headers = self.headers | {"Content-Type": "image/png", "Content-Length": size}
                self.found.add(f"upload of {size}", line.ask("POST", path, headers))
                line.close()
            for data in (
                b"",
                b"\x89PNG\r\n\x1a\n" + b"\0" * 1000,
                b"<svg onload=alert(1)>",
                b"GIF89a" + b"\xff" * 50,
                b"PK\x03\x04" + b"\0" * 99,
            ):
                for kind in ("image/png", "application/pdf", "text/html", ""):
                    self.found.add(
                        f"upload {data[:8]!r}", line.ask("POST", path, self.headers | {"Content-Type": kind}, data)
                    )
            for coding, data in islice(wire.packed(64), 2):
                headers = self.headers | {"Content-Encoding": coding}
                self.found.add(f"upload {coding}", line.ask("POST", path, headers, data))
            table = self.headers | {"Content-Type": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
            self.found.add("table", line.ask("POST", f"{API}/asset-table", table, b"PK\x03\x04" + b"\0" * 10_000))

    def slow(self) -> tuple[int, float]:
        """Many at once that send a byte now and then: a head that never ends, a body that never does."""
        head = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{self.up.port}\r\nX-Slow: ".encode()
        count = 100 if self.quick else 400
        held, last = wire.slow(self.up.port, head, connections=count, within_s=HEAD_WITHIN_S)
        if self.quick:
            return held, last
        begun = (
            f"POST {API}/tickets HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\nContent-Type: {JSON}\r\n\r\n"
        )
        more, later = wire.slow(self.up.port, begun.encode(), connections=100, within_s=HEAD_WITHIN_S + BODY_WITHIN_S)
        return held + more, max(last, later)

    def halves(self) -> None:
        """Two hundred bodies of almost a mebibyte that stop before their end."""
        begun = (
            f"POST {API}/tickets HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\nContent-Type: {JSON}\r\n\r\n"
        )
        held = [wire.opened(self.up.port) for _ in range(40 if self.quick else 200)]
        for each in held:
            each.settimeout(0.5)
            try:
                each.sendall(begun.encode() + b" " * 999_990)
            except OSError:
                self.found.statuses[CUT] += 1
        for each in held:
            each.close()

    def _send(self, line: Wire, target: Target, body: bytes) -> Answer:
        answer = line.ask(target.method, target.path, self.headers, body)
        late = self.up.beat.worst()[0]
        if late > self.found.worst[0]:
            self.found.worst = late, f"{target.method} {target.path} {body[:30]!r} of {len(body):,}"
        return answer


def targets(document: dict[str, Any]) -> Iterator[Target]:
    """Every POST, PUT and PATCH but those that take files."""
    for path, methods in document["paths"].items():
        for method in ("post", "put", "patch"):
            if method in methods:
                content = methods[method].get("requestBody", {}).get("content", {JSON: {}})
                if JSON in content:
                    yield Target(method.upper(), filled(path), content[JSON].get("schema", {}))


def filled(path: str) -> str:
    """The path with 1 for whatever is asked for."""
    parts = ["1" if part.startswith("{") else part for part in path.split("/")]
    return "/".join(parts)


def run(up: Served, *, seed: int, quick: bool) -> dict[str, float | None]:
    """All attacks; the figures."""
    attack = Attack(up, seed=seed, quick=quick)
    with attack.measured("warming"):
        attack.warm()
    time.sleep(1.0)
    with attack.measured("quiet"):
        end = time.monotonic() + 3.0
        while time.monotonic() < end:
            httpx.get(up.address + "/health/live", trust_env=False)
    quiet = attack.found.stalls.pop("quiet")
    attack.found.stalls.pop("warming")
    base = up.rss_mb()
    up.forget_peak()
    for attacking in (
        attack.small,
        attack.shaped,
        attack.bombs,
        attack.heads,
        attack.packed,
        attack.uploads,
        attack.halves,
    ):
        with attack.measured(attacking.__name__):
            attacking()
    with attack.measured("slow"):
        held, last = attack.slow()
    growth = up.rss_mb("VmHWM") - base
    return figures(attack, quiet) | {
        "rss_growth_mb": round(growth, 1),
        "slow_held": held,
        "slow_held_s": round(last, 1),
    }


def figures(attack: Attack, quiet: tuple[float, float]) -> dict[str, float | None]:
    """As the issue names them."""
    found = attack.found
    for line in found.wrong[:40]:
        print(f"  ! {line}")
    late, own = (max(each[part] for each in found.stalls.values()) for part in (0, 1))
    stalls = {f"loop_stall_ms.{name}": round(each[0] * 1000, 1) for name, each in found.stalls.items()}
    return {
        "requests": found.statuses.total(),
        "routes": len(attack.targets),
        "server_errors": sum(count for status, count in found.statuses.items() if status >= 500),
        "malformed_taken": found.taken,
        "no_problem_document": found.no_document,
        "cut": found.statuses[CUT],
        "loop_stall_ms": round(late * 1000, 1),
        "loop_stall_own_ms": round(own * 1000, 1),
        "loop_stall_ms.quiet": round(quiet[0] * 1000, 1),
        **stalls,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Start the server, attack it, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(argv)
    with Served() as up:
        found = run(up, seed=chosen.seed, quick=chosen.quick)
        if not up.answers():
            raise SystemExit("the server has gone")
    finish("hostile", broker="none", figures=found, goals=GOALS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
