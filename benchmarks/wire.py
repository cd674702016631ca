"""A publisher that costs next to nothing, so that a benchmark measures the other side: MQTT 3.1.1 on a plain socket.

Packets are written once and patched in place (message id, number, times); acknowledgements are counted by their bytes.
OASIS MQTT 3.1.1, section 3.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Self

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ = 0x10, 0x20, 0x30, 0x40, 0x82, 0xC0
QOS1 = 0x02
KEEPALIVE_S = 600
READ_BYTES = 1 << 18
PATIENCE_S = 60.0


class Wire:
    """One connection. ``on_publish(payload)`` is told of every message that comes; it is acked by itself."""

    def __init__(self, port: int, *, user: str, password: str, on_publish: Callable[[bytes], None]) -> None:
        self.acked = 0  # PUBACKs that came
        self._on_publish = on_publish
        self._heard = bytearray()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = b"\x00\x04MQTT\x04\xc2" + struct.pack("!H", KEEPALIVE_S)
        self._write(CONNECT, head + _text(f"wire-{time.monotonic_ns()}") + _text(user) + _text(password))
        self._socket.setblocking(True)
        answer = self._socket.recv(4)
        if answer[:1] != bytes([CONNACK]) or answer[3]:
            raise ConnectionRefusedError(f"the broker answers {answer.hex()}")
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def subscribe(self, topic: str) -> None:
        self._write(SUBSCRIBE, b"\x00\x01" + _text(topic) + b"\x01")

    def send(self, packets: bytes | bytearray) -> None:
        """Send whole packets; hears meanwhile, since a broker that cannot send does not read."""
        rest = memoryview(packets)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                select.select([self._socket], [self._socket], [], PATIENCE_S)
                self.hear(0.0)

    def hear(self, within_s: float) -> None:
        """Take in what came; waits at most ``within_s`` for it."""
        if within_s and not select.select([self._socket], [], [], within_s)[0]:
            return
        try:
            while more := self._socket.recv(READ_BYTES):
                self._heard += more
                if len(more) < READ_BYTES:
                    break
            else:
                raise ConnectionResetError("the broker hung up")
        except BlockingIOError:
            pass
        self._packets()

    def _packets(self) -> None:
        heard, at = self._heard, 0
        while at + 2 <= len(heard):
            size, body = _size(heard, at + 1)
            if body < 0 or body + size > len(heard):
                break
            kind = heard[at] & 0xF0
            if kind == PUBACK:
                self.acked += 1
            elif kind == PUBLISH:
                self._published(heard[at], bytes(heard[body : body + size]))
            at = body + size
        del heard[:at]

    def _published(self, head: int, packet: bytes) -> None:
        start = 2 + int.from_bytes(packet[:2])
        if head & 0x06:
            self.send(bytes([PUBACK, 2]) + packet[start : start + 2])
            start += 2
        self._on_publish(packet[start:])

    def _write(self, kind: int, body: bytes) -> None:
        self._socket.setblocking(True)
        self._socket.sendall(bytes([kind]) + length(len(body)) + body)
        self._socket.setblocking(False)


def packet(topic: str, payload: bytes) -> tuple[bytearray, int, int]:
    """A QoS 1 PUBLISH, and where in it the message id and the payload begin."""
    name = _text(topic)
    head = bytes([PUBLISH | QOS1]) + length(len(name) + 2 + len(payload))
    return bytearray(head + name + b"\x00\x01" + payload), len(head) + len(name), len(head) + len(name) + 2


def length(number: int) -> bytes:
    """MQTT's variable length."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + length(rest) if rest else bytes([low])


def _size(heard: bytearray, at: int) -> tuple[int, int]:
    """The length that begins at ``at``, and where what it measures begins; -1 when it is not all there."""
    size = shift = 0
    for index in range(at, min(at + 4, len(heard))):
        size |= (heard[index] & 0x7F) << shift
        shift += 7
        if heard[index] < 0x80:
            return size, index + 1
    return 0, -1


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("!H", len(raw)) + raw
