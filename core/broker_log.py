"""The broker's log: what people should read goes to its file, denied publishes are counted by device.

mosquitto names a denied publish by client id alone, among a line for every packet, so the log comes through a pipe and
most of it ends here. The writing end never blocks: a reader that stands still costs log lines, not the broker's time.

    mosquitto ──pipe──> Reader ──> broker.log (people)
                          └──> Denials.take() ──> the database
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.broker_mosquitto import Trace
from core.broker_rules import USER_NAME

PIPE_BYTES = 1 << 20
CHUNK_BYTES = 1 << 16
LINE_BYTES = 1 << 17  # a longer one is none of ours: topics end at 64 KiB
MOST_CLIENTS = 100_000
MOST_USERS = 10_000
TOPIC_CHARS = 200
MOST_PACKETS_S, LOOK_S, PAUSE_S = 5_000, 5.0, 600.0  # a small message is four packets
NOTE_S = 60.0  # one log line a user and minute
STAMP = len("2026-01-01T00:00:00: ")
PACKET = (b"Received ", b"Sending ", b"No will message ", b"Will message specified ", b"\t")
NOISE = b"Warning: ACL pattern "  # that it holds no user name is meant
CONNECTED = re.compile(
    r"New client connected from \S+ as (.*) \(p\d+, c\d+, k\d+, u'([A-Za-z0-9_-]{1,64})'\)\.", re.DOTALL
)
DENIED = "Denied PUBLISH from "
AFTER_CLIENT = re.compile(r" \(d\d, q\d, r\d, m\d+, '")
AFTER_TOPIC = re.compile(r"', \.\.\. \(\d+ bytes\)\)$")
OURS = "DENIED "  # how core.broker_amqtt says it: user, topic


@dataclass(frozen=True, slots=True)
class Denied:
    """How often a user was denied, and the last topic it tried."""

    count: int
    topic: str


class Denials:
    """Counts denied publishes from log lines. Feed it from one thread; ``take`` may be called from another.

    Bounded: the newest 100,000 client ids, 10,000 users between two ``take``; what is beyond is counted nowhere.
    """

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._users: OrderedDict[str, str] = OrderedDict()  # client id → user
        self._counts: dict[str, Denied] = {}
        self._noted: dict[str, float] = {}
        self._now_s = now_s
        self._lock = threading.Lock()

    def line(self, text: str) -> bool:
        """Take in a line (without its time); whether a person should read it."""
        if text.startswith(OURS):
            user, _, topic = text.removeprefix(OURS).partition(" ")
            return self._denied(user, topic)
        if text.startswith(DENIED):
            user, topic = self._who(text.removeprefix(DENIED))
            return self._denied(user, topic)
        found = CONNECTED.fullmatch(text)
        if found:
            self._connected(found[1], found[2])
        return True

    def take(self) -> dict[str, Denied]:
        """Counts by user since the last call."""
        with self._lock:
            counts, self._counts = self._counts, {}
        return counts

    def give_back(self, counts: dict[str, Denied]) -> None:
        """Counts that could not be kept are counted on."""
        with self._lock:
            for user, each in counts.items():
                later = self._counts.get(user, Denied(0, each.topic))
                self._counts[user] = Denied(each.count + later.count, later.topic)

    def _connected(self, client: str, user: str) -> None:
        self._users[client] = user
        self._users.move_to_end(client)
        if len(self._users) > MOST_CLIENTS:
            self._users.popitem(last=False)

    def _who(self, text: str) -> tuple[str, str]:
        """(user, topic) of `CLIENT (d0, q1, r0, m1, 'TOPIC', ... (5 bytes))`.

        Client id and topic may hold anything, such a bracket too: the longest client id that is connected counts.
        Nobody can choose another's client id and stay: the broker ends the older connection.
        """
        for mark in reversed(list(AFTER_CLIENT.finditer(text))):
            user = self._users.get(text[: mark.start()])
            if user is not None:
                return user, AFTER_TOPIC.sub("", text[mark.end() :])
        return "", ""

    def _denied(self, user: str, topic: str) -> bool:
        if not USER_NAME.fullmatch(user):
            return False
        with self._lock:
            known = self._counts.get(user)
            if known is None and len(self._counts) >= MOST_USERS:
                return False
            self._counts[user] = Denied(known.count + 1 if known else 1, topic[:TOPIC_CHARS])
        return self._worth_a_line(user)

    def _worth_a_line(self, user: str) -> bool:
        now = self._now_s()
        if now - self._noted.get(user, -NOTE_S) < NOTE_S:
            return False
        if len(self._noted) >= MOST_USERS:
            self._noted.clear()
        self._noted[user] = now
        return True


class Load:
    """Decides whether every packet may be logged: not while there are thousands a second.

    ``look`` is called every second or so with the number of packets logged so far.
    """

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self.trace = Trace.FULL
        self._now_s = now_s
        self._seen, self._since = 0, now_s()

    def look(self, packets: int) -> Trace:
        """FULL until 5 seconds bring more than 5,000 packets each, then OFF for 10 minutes."""
        now = self._now_s()
        if self.trace is Trace.OFF:
            if now - self._since >= PAUSE_S:
                self.trace, self._seen, self._since = Trace.FULL, packets, now
        elif now - self._since >= LOOK_S:
            busy = packets - self._seen > MOST_PACKETS_S * (now - self._since)
            self.trace, self._seen, self._since = Trace.OFF if busy else Trace.FULL, packets, now
        return self.trace


class Reader:
    """Reads one broker process's log from a pipe until it ends. ``packets`` counts lines that named a packet."""

    def __init__(self, log_file: Path, denials: Denials) -> None:
        self._file, self._denials = log_file, denials
        self._end, self.writing_end = _pipe()
        self._thread = threading.Thread(target=self._run, name="broker-log", daemon=True)
        self.packets = 0

    def start(self) -> None:
        """After the child has the writing end."""
        os.close(self.writing_end)
        self._thread.start()

    def join(self, within_s: float) -> None:
        """Wait for the last line of a broker that has ended."""
        self._thread.join(within_s)

    def _run(self) -> None:
        rest = b""
        with os.fdopen(self._end, "rb", buffering=0) as source:
            while chunk := source.read(CHUNK_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                rest = rest[:LINE_BYTES]
                self._keep([line for line in lines if self._worth_keeping(line)])
        self._keep([rest] if rest else [])

    def _worth_keeping(self, line: bytes) -> bool:
        if line.startswith(PACKET, STAMP):
            self.packets += 1
            return False
        if line.startswith(NOISE, STAMP):
            return False
        text = line.decode("utf-8", "replace")
        return self._denials.line(text if text.startswith(OURS) else text[STAMP:])

    def _keep(self, lines: list[bytes]) -> None:
        if not lines:
            return
        try:
            with self._file.open("ab") as target:
                target.write(b"\n".join(lines) + b"\n")
        except OSError:
            return  # a full disk costs the log, not the broker


def _pipe() -> tuple[int, int]:
    """(reading end, writing end), large and never blocking the writer."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(OSError):  # the user's pipe limit is used up: the usual 64 KiB do
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reading, writing
