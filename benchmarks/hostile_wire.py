"""A client without manners: sends what it is told to, byte by byte if need be, and says what came back."""

from __future__ import annotations

import contextlib
import gzip
import socket
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Self

TIMEOUT_S = 50.0
MIB = 1 << 20
CUT = 0  # the connection ended without an answer


class Answer(NamedTuple):
    """``status`` CUT: none came. ``kind``: its content type."""

    status: int
    kind: str
    body: bytes


class Wire:
    """One connection that is opened again whenever it was closed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """A request with its length; tried once more where the server had closed the connection meanwhile."""
        given = {"Host": f"127.0.0.1:{self.port}"} | dict(headers)
        if body is not None:
            given["Content-Length"] = str(len(body))
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in given.items())
        kept = self._socket is not None
        found = self.raw(head.encode("latin-1", "replace") + b"\r\n" + (body or b""))
        return (
            self.raw(head.encode("latin-1", "replace") + b"\r\n" + (body or b""))
            if kept and found.status == CUT
            else found
        )

    def raw(self, data: bytes) -> Answer:
        """Whatever bytes; a server that stops listening may still have answered."""
        if self._socket is None:
            self._socket = opened(self.port)
        with contextlib.suppress(OSError):
            self._socket.sendall(data)
        return self._answer()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _answer(self) -> Answer:
        assert self._socket is not None
        read = b""
        try:
            while b"\r\n\r\n" not in read:
                piece = self._socket.recv(65536)
                if not piece:
                    raise ConnectionError
                read += piece
            head, _, body = read.partition(b"\r\n\r\n")
            fields = dict(_field(line) for line in head.split(b"\r\n")[1:])
            length = int(fields.get("content-length", "0"))
            while len(body) < length:
                piece = self._socket.recv(65536)
                if not piece:
                    break
                body += piece
        except OSError:
            self.close()
            return Answer(CUT, "", b"")
        if fields.get("connection") == "close" or "content-length" not in fields:
            self.close()
        return Answer(int(head.split()[1]), fields.get("content-type", ""), body)


def _field(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").partition(":")
    return name.lower(), value.strip()


def opened(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def slow(port: int, sent: bytes, *, connections: int, within_s: float) -> tuple[int, float]:
    """So many connections that each send a byte a quarter second; returns how many were still open after ``within_s``,
    and when the last was let go, in seconds."""
    held = [opened(port) for _ in range(connections)]
    for each in held:
        each.setblocking(False)
    began, last, at = time.monotonic(), 0.0, 0
    try:
        while held and time.monotonic() - began < within_s:
            time.sleep(0.25)
            before = len(held)
            held = [each for each in held if _goes_on(each, sent[at : at + 1] or b"a")]
            at += 1
            if len(held) < before:
                last = time.monotonic() - began
    finally:
        for each in held:
            each.close()
    return len(held), last


def _goes_on(each: socket.socket, byte: bytes) -> bool:
    """Whether the connection still takes a byte and nobody has answered on it."""
    try:
        each.send(byte)
        each.recv(4096)
    except BlockingIOError:
        return True
    except OSError:
        pass
    each.close()
    return False


def packed(megabytes: int) -> Iterator[tuple[str, bytes]]:
    """(content coding, a body that grows to so many megabytes)."""
    zeros = b" " * (megabytes * MIB)
    yield "gzip", gzip.compress(zeros, 9)
    yield "deflate", zlib.compress(zeros, 9)
    yield "gzip, gzip", gzip.compress(gzip.compress(zeros, 9), 9)
    for name in ("br", "zstd", "compress", "x-gzip", "identity, gzip", "GZIP", "\t gzip"):
        yield name, gzip.compress(zeros[: 32 * MIB], 9)


GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
POST = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
HEADS = {
    "binary": b"\x00\x01\x02\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100c8010000c40303") + b"\x00" * 64,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: evil.example\r\n\r\n",
    "a bare line feed": b"GET / HTTP/1.1\nHost: 127.0.0.1\n\n",
    "a NUL in a value": GET + b"X: a\x00b\r\n\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n",
    "a method of 5,000 letters": b"A" * 5_000 + b" / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "an unknown method": b"BREW / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "TRACE": b"TRACE / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "an absolute target": b"GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a target of 100,000 letters": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "10,000 fields": GET + b"" + b"X: y\r\n" * 10_000 + b"\r\n",
    "5,000 short fields": GET + b"" + b"X: y\r\n" * 5_000 + b"\r\n",
    "a field of a megabyte": GET + b"X: " + b"y" * MIB + b"\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length of words": POST + b"Content-Length: many\r\n\r\n",
    "a length of 40 digits": POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
    "chunks of no number": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk of 2^64": POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "an unknown transfer coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "an upgrade": GET + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
}  # fmt: skip
HOSTS = (
    "", " ", "evil.example", "127.0.0.1.evil.example", "localhost@evil", "a b", "localhost:x", "localhost/x", "[::1",
    "ü", "localhost:99999999", "127.0.0.1:80:80", "127.1", "0", "[::ffff:127.0.0.1]", "localhost.", "LOCALHOST\tx",
    "a" * 5_000, "127.0.0.1, evil", "xn--", "%00", "*",
)  # fmt: skip
PATHS = (
    "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/assets/..%2f..%2fapp.py", "/%00", "/%ff%fe",
    "//evil.example/", "/./", "/a/../b", "/;a=b", "/%", "/%zz", "/%u0041", "/a%0d%0aX: y", "/?" + "a=b&" * 5_000,
    "/?a[]=1&a[b]=2", "/api/v1/../v1/me", "/api//v1/me", "/API/V1/ME", "/api/v1/me/",
    "/api/v1/tickets?q=" + "%F0%9F%98%80" * 200, "/api/v1/tickets?limit=1e9", "/api/v1/tickets?limit=-1",
    "/api/v1/tickets/%2e", "/api/v1/tickets?cursor=" + "9" * 64, "/api/v1/tickets?q=%00",
    "/api/v1/tickets/99999999999999999999", "/api/v1/tickets/1%2F..%2F2", "/api/v1/tickets?field.x=1..",
    "/api/v1/tickets?field.%00=1", "/api/v1/tickets?" + "field.a=1&" * 2_000, "/\\..\\..\\windows", "/.git/config",
    "/api/v1/tickets?open=maybe&open=true&open=", "/api/v1/tickets?site=%00", "/api/v1/search?q=%22%27%5C",
    "/api/v1/events?topics=%00",
)  # fmt: skip
