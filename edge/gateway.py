"""The gateway process: hears machines, spools on disk, sends on; needs no database and no web.

    sources ──> Inbox ──gather──> Spool (fsync) ──ack──> sources
                                    └──> Sender ──> broker ──> ingest ──receipt──> drop from the spool

``millwright gateway FILE.toml`` runs, ``millwright gateway check FILE.toml`` validates without the network.
"""

from __future__ import annotations

import argparse
import signal
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core import log
from core.errors import MillwrightError
from core.registry import load
from edge import config
from edge.codecs import json as codec
from edge.delivery import Delivery, Lane, Message, Source
from edge.inbox import Inbox
from edge.reasons import DecodeError
from edge.sender import Sender
from edge.sources.mqtt import MqttSource
from edge.sources.opcua import OpcUaSource
from edge.spool import Spool, SpoolBroken, SpoolFull
from plant.model import Reading

WINDOW = 100
INBOX_MESSAGES = 5_000
NEARLY_FULL = 0.8
ALARM_EVERY_S = 60.0
RETRY_S = 1.0
TURN_S = 0.05


@dataclass(slots=True)
class Counts:
    """Since the start: samples spooled, and readings that could not be read."""

    samples: int = 0
    refused: int = 0


def check(path: Path) -> config.Gateway:
    """Validate a gateway's file without touching the network. Raises GatewayConfig with every fault."""
    return config.read(path)


class Gateway:
    """One gateway. ``run`` returns when ``stop`` is set; everything spooled and unsent waits for the next start."""

    def __init__(self, chosen: config.Gateway) -> None:
        self.chosen = chosen
        self.counts = Counts()
        self.inbox = Inbox(most_messages=INBOX_MESSAGES)
        self.spool = Spool(chosen.spool, most_bytes=chosen.spool_bytes)
        self.sender = Sender(
            host=chosen.broker.host,
            port=chosen.broker.port,
            user=chosen.broker.user,
            password=chosen.broker.password,
            site=chosen.site,
            device=chosen.device,
            epoch=self.spool.epoch,
            window=WINDOW,
            on_durable=self.spool.drop,
        )
        self._sent = 0
        self._alarmed = -ALARM_EVERY_S
        self._log = log.get("edge")

    def run(self, stop: threading.Event) -> None:
        """Hear, spool and send until ``stop`` is set."""
        sources_stop = threading.Event()
        threads = [
            threading.Thread(target=each.run, args=(self.inbox, sources_stop), name=each.name, daemon=True)
            for each in self._sources()
        ]
        self._log.info("gateway.start", device=self.chosen.device, spooled=len(self.spool), epoch=self.spool.epoch)
        for thread in threads:
            thread.start()
        self.sender.start()
        try:
            while not stop.is_set():
                self._turn(stop)
        finally:
            self.inbox.close()
            sources_stop.set()
            for thread in threads:
                thread.join(10.0)
            self.sender.stop()
            self.spool.close()

    def _turn(self, stop: threading.Event) -> None:
        deliveries = self._gather(stop)
        if deliveries:
            self._keep(deliveries, stop)
        self._send_on()

    def _gather(self, stop: threading.Event) -> list[Delivery]:
        """What comes until a batch is full or its first delivery has waited long enough; sends on meanwhile."""
        found: list[Delivery] = []
        size, deadline = 0, time.monotonic() + self.chosen.linger_s
        most = self.chosen.batch_samples * 16
        while size < most and not stop.is_set():
            taken = self.inbox.take(most_bytes=most - size, within_s=TURN_S)
            if taken and not found:
                deadline = time.monotonic() + self.chosen.linger_s
            found.extend(taken)
            size += sum(each.size for each in taken)
            self._send_on()
            if time.monotonic() > deadline:
                break
        return found

    def _keep(self, deliveries: Sequence[Delivery], stop: threading.Event) -> None:
        """Spool, then ack. While the disk is full or broken the deliveries wait, and so do their sources."""
        batches = list(_batches(self._readings(deliveries), self.chosen.batch_samples))
        for lane, readings in batches:
            if not self._insist(lane, readings, stop):
                return
        for delivery in deliveries:
            delivery.ack()

    def _insist(self, lane: Lane, readings: tuple[Reading, ...], stop: threading.Event) -> bool:
        samples = sum(len(each.at_us) for each in readings)

        def encode(epoch: str, seq: int) -> bytes:
            return codec.encode(Message(readings, epoch=epoch, seq=seq, lane=lane))

        while not stop.is_set():
            try:
                self.spool.put(encode, samples=samples)
            except (SpoolFull, SpoolBroken) as error:
                self._alarm("gateway.spool_refuses", error.message)
                self._send_on()
                stop.wait(RETRY_S)
                continue
            self.counts.samples += samples
            if self.spool.share_full > NEARLY_FULL:
                self._alarm(
                    "gateway.spool_nearly_full", f"{self.spool.share_full:.0%} of {self.spool.most_bytes} bytes"
                )
            return True
        return False

    def _send_on(self) -> None:
        """Fill the sender's window from the spool, oldest first."""
        self.sender.turn()
        while self.sender.has_room():
            waiting = self.spool.after(self._sent, most=WINDOW - self.sender.unsure)
            if not waiting:
                return
            for seq, payload in waiting:
                if not self.sender.send(seq, payload, within_s=0.0):
                    return
                self._sent = seq

    def _readings(self, deliveries: Sequence[Delivery]) -> list[tuple[Lane, Reading]]:
        found: list[tuple[Lane, Reading]] = []
        for delivery in deliveries:
            try:
                message = _decode(delivery)
            except DecodeError as error:
                self._refuse(delivery, str(error.reason), error.message, 1)
                continue
            for fault in message.faults:
                self._refuse(delivery, str(fault.reason), fault.detail, fault.readings)
            found.extend((message.lane, _tagged(delivery, each)) for each in message.readings)
        return found

    def _refuse(self, delivery: Delivery, reason: str, detail: str, readings: int) -> None:
        self.counts.refused += readings
        self._log.warning("gateway.refused", source=delivery.source, topic=delivery.topic, reason=reason, detail=detail)

    def _alarm(self, event: str, detail: str) -> None:
        if time.monotonic() - self._alarmed >= ALARM_EVERY_S:
            self._alarmed = time.monotonic()
            self._log.error(event, detail=detail)

    def _sources(self) -> Iterable[Source]:
        for each in self.chosen.sources:
            if isinstance(each, config.OpcUa):
                yield OpcUaSource(
                    site=self.chosen.site, name=each.name, url=each.url, chosen=each.options, now_us=_now_us
                )
            else:
                yield MqttSource(
                    host=each.broker.host,
                    port=each.broker.port,
                    user=each.broker.user,
                    password=each.broker.password,
                    client_id=f"{self.chosen.device}-{each.name}",
                    now_us=_now_us,
                )


def main(argv: Sequence[str] | None = None) -> int:
    """`millwright gateway [check] FILE.toml`."""
    parser = argparse.ArgumentParser(prog="millwright gateway", description="Hear machines, spool on disk, send on.")
    parser.add_argument("verb", nargs="?", choices=["run", "check"], default="run", help="default: run")
    parser.add_argument("file", type=Path, help="the gateway's TOML file; docs/telemetry.md shows one")
    chosen = parser.parse_args(argv)
    try:
        found = check(chosen.file)
    except MillwrightError as error:
        print(error.message)
        return 1
    if chosen.verb == "check":
        print(f"{chosen.file}: good. Device {found.device} of site {found.site}, {len(found.sources)} source(s).")
        return 0
    log.configure()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Gateway(found).run(stop)
    return 0


def _decode(delivery: Delivery) -> Message:
    if isinstance(delivery.content, Message):
        return delivery.content
    raw = delivery.content
    message: Message = load("edge.codecs")[raw.codec].decode(
        raw.payload, source=delivery.source, tag=raw.tag, heard_us=delivery.heard_us
    )
    return message


def _tagged(delivery: Delivery, reading: Reading) -> Reading:
    """Devices behind the gateway keep their name as the first part of the tag."""
    if delivery.kind != "mqtt":
        return reading
    return replace(reading, tag=f"{delivery.source}/{reading.tag}")


def _batches(readings: Sequence[tuple[Lane, Reading]], most: int) -> Iterable[tuple[Lane, tuple[Reading, ...]]]:
    """Readings of one lane, one series a tag and unit, at most ``most`` samples a batch."""
    for lane in Lane:
        batch: list[Reading] = []
        room = most
        for each in _joined([reading for own, reading in readings if own is lane]):
            for start in range(0, len(each.at_us), most):
                part = _rows(each, slice(start, start + most))
                if len(part.at_us) > room:
                    yield lane, tuple(batch)
                    batch, room = [], most
                batch.append(part)
                room -= len(part.at_us)
        if batch:
            yield lane, tuple(batch)


def _joined(readings: Iterable[Reading]) -> list[Reading]:
    groups: dict[tuple[str, str | None], list[Reading]] = {}
    for each in readings:
        groups.setdefault((each.tag, each.unit), []).append(each)
    return [
        Reading(
            "",
            tag,
            np.concatenate([each.at_us for each in group]),
            np.concatenate([each.values for each in group]),
            np.concatenate([each.quality for each in group]),
            unit,
        )
        for (tag, unit), group in groups.items()
    ]


def _rows(reading: Reading, rows: slice) -> Reading:
    return replace(reading, at_us=reading.at_us[rows], values=reading.values[rows], quality=reading.quality[rows])


def _now_us() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    raise SystemExit(main())
