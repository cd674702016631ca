"""The publishing side of the ingest benchmark: one phase is one process, which prints what it saw as JSON.

flat   batches of 1,000 samples as fast as the receipts allow      small   three-sample messages, likewise
paced  batches at a steady rate, the time of each from publish to receipt
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from benchmarks.wire import Wire, packet
from edge import receipts, topics
from edge.codecs import columns
from edge.delivery import Message
from plant.model import Reading

SITE, DEVICE, PASSWORD = "bench", "gateway", "bench-only"
SERIES, SAMPLES = 10, 100
MESSAGE_ROWS = SERIES * SAMPLES
SMALL_ROWS = 3
STEP_US = 1_000
MOST_MIDS = 60_000
QUIET_S = 60.0
UNHEARD = f"mw/v1/{SITE}/{DEVICE}/cmd"  # ingest lets go of what comes here; only the stock client counts it
SLAB = 64  # small messages that go out together


class Phase(msgspec.Struct):
    """What to publish. ``start_us`` is the first sample's time, so that phases follow each other."""

    kind: str
    port: int
    epoch: str
    start_us: int
    messages: int
    signals: int = 100
    rows_s: float = 0.0
    window: int = 200
    seed: int = 1
    receipts: bool = True


class Seen(msgspec.Struct):
    """What came of it: ``seconds`` from the first publish to the last receipt; latency in ms; own CPU seconds."""

    seconds: float
    rows: int
    cpu_s: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0


def publish(phase: Phase) -> Seen:
    """Do a phase."""
    sender = _Sender(phase)
    packets = _small(phase) if phase.kind == "small" else _batches(phase)
    pause = MESSAGE_ROWS / phase.rows_s if phase.kind == "paced" else 0.0
    return sender.run(packets, pause_s=pause, rows=SMALL_ROWS if phase.kind == "small" else MESSAGE_ROWS)


class _Sender:
    def __init__(self, phase: Phase) -> None:
        self._phase = phase
        self._wire = Wire(phase.port, user=DEVICE, password=PASSWORD, on_publish=self._receipt)
        self._sent: list[float] = [0.0]
        self._done: list[float] = [0.0]
        if phase.receipts:
            self._wire.subscribe(topics.receipt(SITE, DEVICE))
            time.sleep(0.3)  # the subscription reaches the broker before the first receipt does

    def run(self, packets: Iterator[bytes | bytearray], *, pause_s: float, rows: int) -> Seen:
        cpu, began = time.process_time(), time.perf_counter()
        count = 0
        for number, each in enumerate(packets):
            self._wait_until(began + number * pause_s) if pause_s else self._wait_for(self._has_room)
            slab = each if isinstance(each, bytearray) else bytes(each)
            size = self._phase_slab(number)
            self._sent.extend([time.perf_counter()] * size)
            self._wire.send(slab)
            count += size
        self._wait_for(lambda: self._finished() >= count)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        waits = np.subtract(self._done[1:], self._sent[1 : len(self._done)]) * 1000 if len(self._done) > 1 else [0.0]
        p50, p99, most = np.percentile(waits, [50, 99, 100]).tolist()
        return Seen(seconds, count * rows, cpu, p50, p99, most)

    def _phase_slab(self, number: int) -> int:
        if self._phase.kind != "small":
            return 1
        return min(SLAB, self._phase.messages - number * SLAB)

    def _finished(self) -> int:
        return len(self._done) - 1 if self._phase.receipts else self._wire.acked

    def _has_room(self) -> bool:
        return len(self._sent) - 1 - self._finished() < self._phase.window

    def _wait_until(self, due: float) -> None:
        while (left := due - time.perf_counter()) > 0:
            self._wire.hear(left)
        self._wire.hear(0.0)

    def _wait_for(self, true: Callable[[], bool]) -> None:
        last, since = self._finished(), time.monotonic()
        while not true():
            self._wire.hear(1.0)
            if self._finished() != last:
                last, since = self._finished(), time.monotonic()
            elif time.monotonic() - since > QUIET_S:
                raise TimeoutError(f"Of {len(self._sent) - 1} messages {last} are durable, and no more come.")

    def _receipt(self, payload: bytes) -> None:
        now = time.perf_counter()
        told = receipts.decode(payload)
        if told.epoch == self._phase.epoch:
            durable = min([told.seq, *(low - 1 for low, _ in told.gaps)])
            self._done.extend([now] * (durable + 1 - len(self._done)))


def _batches(phase: Phase) -> Iterator[bytearray]:
    """One packet a group of signals, made once; the message id, the number and the times are written over."""
    groups = phase.signals // SERIES
    chance = np.random.default_rng(phase.seed)
    kept: dict[int, tuple[bytearray, int, int]] = {}
    heads = 24  # where a payload's series begin
    for seq in range(1, phase.messages + 1):
        turn, group = divmod(seq - 1, groups)
        if group not in kept:
            kept[group] = packet(topics.batch(SITE, DEVICE), _batch(phase, group, chance))
        buffer, mid, payload = kept[group]
        struct.pack_into("!H", buffer, mid, seq % MOST_MIDS + 1)
        struct.pack_into("<Q", buffer, payload + 16, seq)
        start = phase.start_us + turn * SAMPLES * STEP_US
        for series in range(SERIES):
            struct.pack_into("<q", buffer, payload + heads + 12 * series, start)
        yield buffer


def _batch(phase: Phase, group: int, chance: np.random.Generator) -> bytes:
    at_us = phase.start_us + np.arange(SAMPLES, dtype=np.int64) * STEP_US
    quality = np.zeros(SAMPLES, np.uint8)
    readings = tuple(
        Reading(DEVICE, f"s{group * SERIES + index}", at_us, chance.normal(size=SAMPLES).round(4), quality)
        for index in range(SERIES)
    )
    return columns.encode(Message(readings, epoch=phase.epoch, seq=1))


def _small(phase: Phase) -> Iterator[bytes]:
    """Prebuilt: JSON batches of three tags at one moment, numbered, from one device."""
    encode = msgspec.json.Encoder().encode
    topic = topics.batch(SITE, DEVICE) if phase.receipts else UNHEARD
    built = []
    for seq in range(1, phase.messages + 1):
        start = phase.start_us + seq * STEP_US
        series = [
            {"s": f"s{index}", "t0": start, "dt": [0], "v": [seq % 1000 + index / 4]} for index in range(SMALL_ROWS)
        ]
        buffer, mid, _ = packet(topic, encode({"epoch": phase.epoch, "seq": seq, "d": series}))
        struct.pack_into("!H", buffer, mid, seq % MOST_MIDS + 1)
        built.append(buffer)
    slabs = [b"".join(built[at : at + SLAB]) for at in range(0, len(built), SLAB)]
    yield from slabs
