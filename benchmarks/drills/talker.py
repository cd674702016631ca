"""A publisher that speaks straight to the broker: as the gateway's user, anything it likes, at any speed.

Bare MQTT 3.1.1 over a socket: what a drill wants to send, a decent client may refuse to.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Sequence
from typing import Self

from benchmarks.drills.rig import GATEWAY, PASSWORD, SITE
from edge import receipts, topics

CHUNK = 65_536
MOST_UNDER_WAY = 20_000
GIVE_UP_S = 60.0
PUBLISH, PUBACK = 0x30, 0x40


class Talker:
    """``publish`` at quality of service 1; ``acked`` counts what the broker took, ``durable`` what its receipts say."""

    def __init__(self, port: int) -> None:
        self.sent = self.acked = 0
        self.durable: dict[str, receipts.Receipt] = {}
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=GIVE_UP_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._moved = threading.Condition()
        self._closed = False
        self._socket.sendall(_connect(f"talker-{time.monotonic_ns()}", GATEWAY, PASSWORD))
        self._socket.sendall(_packet(0x82, struct.pack("!H", 1) + _text(topics.receipt(SITE, GATEWAY)) + b"\x00"))
        self._thread = threading.Thread(target=self._read, name="talker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        time.sleep(0.2)  # the subscription comes before the first receipt
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._socket.close()
        self._thread.join(5)

    def publish(self, messages: Sequence[tuple[bytes, bytes]]) -> None:
        """(topic, payload) each; waits while too much is under way."""
        packets = []
        for topic, payload in messages:
            self.sent += 1
            mid = self.sent % 65_000 + 1
            packets.append(
                _packet(PUBLISH | 2, struct.pack("!H", len(topic)) + topic + struct.pack("!H", mid) + payload)
            )
        self._socket.sendall(b"".join(packets))
        self._wait(lambda: self.sent - self.acked < MOST_UNDER_WAY, "PUBACKs")

    def wait_taken(self) -> None:
        self._wait(lambda: self.acked >= self.sent, "PUBACKs")

    def wait_durable(self, epoch: str, seq: int, *, within_s: float = GIVE_UP_S) -> None:
        """Until the receipt of a numbered message is there. Raises TimeoutError."""
        self._wait(lambda: epoch in self.durable and self.durable[epoch].covers(seq), f"receipt of {seq}", within_s)

    def _wait(self, true: object, what: str, within_s: float = GIVE_UP_S) -> None:
        with self._moved:
            if not self._moved.wait_for(true, within_s):  # type: ignore[arg-type]
                raise TimeoutError(f"{what}: not within {within_s:.0f} s; {self.acked} of {self.sent} taken")

    def _read(self) -> None:
        held = b""
        while not self._closed:
            try:
                more = self._socket.recv(CHUNK)
            except (TimeoutError, OSError):
                return
            if not more:
                return
            held = self._packets(held + more)

    def _packets(self, data: bytes) -> bytes:
        start = 0
        with self._moved:
            while (found := _head(data, start)) is not None and found[1] <= len(data):
                body, end = found
                if data[start] & 0xF0 == PUBACK:
                    self.acked += 1
                elif data[start] & 0xF0 == PUBLISH:
                    self._receipt(data[body:end])
                start = end
            self._moved.notify_all()
        return data[start:]

    def _receipt(self, body: bytes) -> None:
        told = receipts.decode(body[2 + struct.unpack_from("!H", body)[0] :])
        self.durable[told.epoch] = told


def _head(data: bytes, start: int) -> tuple[int, int] | None:
    """Where the body of the packet at ``start`` begins, and where it ends; None while the head is not there."""
    length, shift = 0, 0
    for place in range(start + 1, min(start + 5, len(data))):
        length |= (data[place] & 0x7F) << shift
        shift += 7
        if not data[place] & 0x80:
            return place + 1, place + 1 + length
    return None


def _connect(client_id: str, user: str, password: str) -> bytes:
    return _packet(0x10, b"\x00\x04MQTT\x04\xc2\x00\x3c" + _text(client_id) + _text(user) + _text(password))


def _text(text: str) -> bytes:
    return struct.pack("!H", len(text.encode())) + text.encode()


def _packet(kind: int, body: bytes) -> bytes:
    length, head = len(body), bytearray([kind])
    while True:
        length, low = length >> 7, length & 0x7F
        head.append(low | (0x80 if length else 0))
        if not length:
            return bytes(head) + body
