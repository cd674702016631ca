"""A device on a floor's broker. Its ledger, fsynced before it counts, is what that broker took of it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge import topics
from plant.model import Floats, Int64s

STEP_US = 1_000
GIVE_UP_S = 60.0


class Device:
    """Publishes ``tags`` at ``rate`` samples a second, full-range values; ``finish`` waits for what is under way."""

    def __init__(
        self, *, port: int, user: str, password: str, site: str, tags: Sequence[str], ledger: Path, seed: int
    ) -> None:
        self.rate, self.message_samples = 100.0, 10
        self.taken = 0
        self._topic, self._tags = topics.batch(site, user), tags
        self._file = ledger.open("ab")
        self._chance = np.random.default_rng(seed)
        self._at_us = time.time_ns() // 1000
        self._under_way: dict[int, bytes] = {}
        self._acked: deque[int] = deque()
        self._end = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"drill-{user}")
        self._client.username_pw_set(user, password)
        self._client.max_inflight_messages_set(200)
        self._client.on_publish = lambda _client, _data, mid, *_: self._acked.append(mid)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._run, name="device", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Stop publishing; raises TimeoutError when the broker does not take the rest."""
        self._end.set()
        self._thread.join(GIVE_UP_S)
        deadline = time.monotonic() + GIVE_UP_S
        while self._under_way:
            self._write_down()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the floor's broker did not take {len(self._under_way)} messages")
            time.sleep(0.02)
        self._client.disconnect()
        self._client.loop_stop()
        self._file.close()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._end.is_set():
            due = max(due + self.message_samples / self.rate, time.monotonic() - 1.0)
            pause = due - time.monotonic()
            if pause > 0 and self._end.wait(pause):
                return
            self._publish()
            self._write_down()

    def _publish(self) -> None:
        each = max(self.message_samples // len(self._tags), 1)
        values = self._chance.normal(size=(len(self._tags), each)) * 10.0 ** self._chance.integers(-3, 3)
        offsets = list(range(0, each * STEP_US, STEP_US))
        series = [
            {"s": tag, "t0": self._at_us, "dt": offsets, "v": row.tolist()}
            for tag, row in zip(self._tags, values, strict=True)
        ]
        self._at_us += each * STEP_US
        payload = json.dumps({"d": series}).encode()
        self._under_way[self._client.publish(self._topic, payload, qos=1).mid] = payload

    def _write_down(self) -> None:
        """What the broker took meanwhile."""
        taken = [self._under_way.pop(self._acked.popleft()) for _ in range(len(self._acked))]
        if not taken:
            return
        self._file.write(b"".join(payload + b"\n" for payload in taken))
        self._file.flush()
        os.fdatasync(self._file.fileno())
        self.taken += sum(len(each["v"]) for payload in taken for each in json.loads(payload)["d"])


def read(ledger: Path, signals: dict[str, int]) -> tuple[Int64s, Int64s, Floats]:
    """What a ledger says: signal id, µs, value."""
    signal: list[int] = []
    at: list[int] = []
    value: list[float] = []
    for line in ledger.read_bytes().splitlines():
        for each in json.loads(line)["d"]:
            signal += [signals[each["s"]]] * len(each["v"])
            at += [each["t0"] + offset for offset in each["dt"]]
            value += each["v"]
    return np.array(signal, np.int64), np.array(at, np.int64), np.array(value, np.float64)
