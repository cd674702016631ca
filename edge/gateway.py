"""The gateway process: hears machines, spools on disk, sends on; needs no database and no web.

    sources ──> Inbox ──gather──> Spool (fsync) ──ack──> sources
                                    └──Pace──> Sender ──> broker ──> ingest ──receipt──> drop from the spool

``millwright gateway FILE.toml`` runs, ``millwright gateway check FILE.toml`` validates without the network.
"""

from __future__ import annotations

import argparse
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from core import log, registry
from core.errors import MillwrightError
from edge import config, envelope, pulse, refusals, topics
from edge.batches import Heard, batches, tagged
from edge.batches import check as check_heard
from edge.codecs import columns, faults, health, wave
from edge.delivery import Delivery, Fault, Lane, Message, Origin, Raw
from edge.inbox import Inbox
from edge.pace import Pace
from edge.reasons import DecodeError, Reason
from edge.sender import Sender
from edge.spool import Spool, SpoolBroken, SpoolFull, load
from edge.topics import Leaf
from plant.model import Reading, Wave

WINDOW = 100
INBOX_MESSAGES = 5_000
NEARLY_FULL = 0.8
ALARM_EVERY_S = 60.0
HEALTH_EVERY_S = 10.0
DROP_EVERY_S = 0.2
RETRY_S = 1.0
OPEN_AGAIN_S = 5.0
TURN_S = 0.05
Refused = tuple[Delivery, Fault]


def check(path: Path) -> config.Gateway:
    """Validate a gateway's file, and the disk of its spool, without touching the network. Raises GatewayConfig with
    every fault."""
    return config.read(path, surroundings=config.Surroundings.CHECKED)


class Gateway:
    """One gateway. ``run`` returns when ``stop`` is set; everything spooled and unsent waits for the next start."""

    def __init__(self, chosen: config.Gateway) -> None:
        self.chosen = chosen
        self.samples = 0  # spooled since the start, without what was refused
        self._refusals = refusals.Refusals()
        self.inbox = Inbox(most_messages=INBOX_MESSAGES)
        self.spool = self._spool()
        self.sender = self._sender(chosen.broker)
        self.ears = pulse.ears(
            chosen.sources,
            self.inbox,
            site=chosen.site,
            device=chosen.device,
            folder=chosen.spool.parent,
            now_us=_now_us,
        )
        self.pace = Pace(chosen.drain_samples_s, now_s=time.monotonic())
        self.failure: BaseException | None = None
        self._sent = 0
        self._durable: deque[int] = deque()
        self._next_drop = 0.0
        self._next_health = time.monotonic() + 1.0
        self._alarmed: dict[str, float] = {}
        self._log = log.get("edge")

    def run(self, stop: threading.Event) -> None:
        """Hear, spool and send until ``stop`` is set. Raises what ended a source or the connection."""
        sources_stop = threading.Event()
        threads = [self._thread(ear, sources_stop) for ear in self.ears.values()]
        self._log.info("gateway.start", device=self.chosen.device, spooled=len(self.spool), epoch=self.spool.epoch)
        for thread in threads:
            thread.start()
        self.sender.start()
        try:
            while not (stop.is_set() or self._failed()):
                self._turn(stop)
        finally:
            self.inbox.close()
            sources_stop.set()
            for thread in threads:
                thread.join(10.0)
            self.sender.stop()
            self._let_go()
            self.spool.close()
        if failure := self._failed():
            raise failure

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
        refused: list[Refused] = []
        messages = self._messages(deliveries, refused)
        if self._keep_heard(messages, refused, stop) and self._keep_refused(refused, stop):
            for delivery in deliveries:
                delivery.ack()

    def _keep_heard(
        self, messages: Sequence[tuple[Delivery, Message]], refused: list[Refused], stop: threading.Event
    ) -> bool:
        readings = [(message.lane, each) for _, message in messages for each in message.readings]
        for lane, batch in batches(readings, self.chosen.batch_samples):
            if not self._keep_batch(lane, batch, stop):
                return False
        for delivery, message in messages:
            for each in message.waves:
                try:
                    if not self._keep_wave(message.lane, each, stop):
                        return False
                except DecodeError as error:
                    named = replace(delivery, origin=Origin.CONFIGURED)  # its tag has the device's name by now
                    refused.append((delivery, refusals.part(named, each, message.lane, error)))
        return True

    def _keep_batch(self, lane: Lane, readings: tuple[Reading, ...], stop: threading.Event) -> bool:
        def encode(epoch: str, seq: int) -> bytes:
            return columns.encode(Message(readings, epoch=epoch, seq=seq, lane=lane))

        return self._insist(encode, sum(len(each.at_us) for each in readings), Leaf.BATCH, stop)

    def _keep_wave(self, lane: Lane, each: Wave, stop: threading.Event) -> bool:
        """Raises DecodeError when the waveform is too large to be sent."""

        def encode(epoch: str, seq: int) -> bytes:
            payload = wave.encode(each, epoch=epoch, seq=seq, lane=lane)
            if len(payload) > wave.MAX_BYTES:
                raise DecodeError(Reason.TOO_LARGE, f"{len(payload)} bytes; the most is {wave.MAX_BYTES}.")
            return payload

        return self._insist(encode, 1, f"{Leaf.WAVE}/{each.tag}", stop)

    def _keep_refused(self, refused: Sequence[Refused], stop: threading.Event) -> bool:
        """What could not be read travels as faults, numbered and receipted as every batch."""
        for delivery, fault in refused:
            where = {"source": delivery.source, "topic": delivery.topic[:200]}
            self._log.warning("gateway.refused", **where, reason=str(fault.reason), detail=fault.detail)
        named = [(delivery.source, fault) for delivery, fault in refused]
        groups = self._refusals.groups(named, now_s=time.monotonic())
        return all(self._keep_faults(group, stop) for group in groups)

    def _keep_faults(self, group: tuple[Fault, ...], stop: threading.Event) -> bool:
        def encode(epoch: str, seq: int) -> bytes:
            return faults.write(group, epoch=epoch, seq=seq)

        count = sum(each.readings for each in group)
        return self._insist(encode, count, Leaf.BATCH, stop, refused=count)

    def _insist(
        self,
        encode: Callable[[str, int], bytes],
        samples: int,
        topic: str,
        stop: threading.Event,
        *,
        refused: int = 0,
    ) -> bool:
        """Put until it is on the disk; False when told to stop."""
        weight = 0

        def weighed(epoch: str, seq: int) -> bytes:
            nonlocal weight
            payload = encode(epoch, seq)
            weight = load(samples, payload)
            return payload

        while not (stop.is_set() or self._failed()):
            try:
                self.spool.put(weighed, samples=samples, topic=topic, refused=refused)
            except (SpoolFull, SpoolBroken) as error:
                self._alarm("gateway.spool_refuses", error.message)
                self._send_on()
                stop.wait(RETRY_S)
                continue
            self.samples += samples - refused
            self.pace.arrived(weight, now_s=time.monotonic())
            return True
        return False

    def _send_on(self) -> None:
        """Fill the sender's window from the spool, oldest first and not too fast; forget what is durable."""
        self.sender.turn()
        try:
            self._drop_durable()
            while self.sender.has_room() and self.pace.has_room(time.monotonic()):
                waiting = self.spool.after(self._sent, most=WINDOW - self.sender.unsure)
                if not waiting:
                    break
                for batch in waiting:
                    if not self.pace.has_room(time.monotonic()):
                        break
                    self.sender.send(batch)
                    self.pace.sent(batch.load)
                    self._sent = batch.seq
        except SpoolBroken as error:
            self._alarm("gateway.spool_broken", error.message)
        self._say_health()

    def _drop_durable(self) -> None:
        """Those that were told meanwhile, together; what the disk does not let go now is dropped later."""
        if not self._durable or time.monotonic() < self._next_drop:
            return
        self._next_drop = time.monotonic() + DROP_EVERY_S
        told = [self._durable.popleft() for _ in range(len(self._durable))]
        try:
            self.spool.drop(told)
        except SpoolBroken:
            self._durable.extend(told)
            raise

    def _let_go(self) -> None:
        self._next_drop = 0.0
        try:
            self._drop_durable()
        except MillwrightError as error:
            self._log.warning("gateway.undropped", error=error.message)

    def _messages(self, deliveries: Sequence[Delivery], refused: list[Refused]) -> list[tuple[Delivery, Message]]:
        """What can be sent on, under the tags it gets there; the rest is added to ``refused``."""
        found: list[tuple[Delivery, Message]] = []
        for delivery in deliveries:
            if delivery.origin is Origin.DEVICE and delivery.source == self.chosen.device:
                continue  # its own voice, where the floor's broker is also its server's
            try:
                message = _decode(delivery)
            except DecodeError as error:
                refused.append((delivery, refusals.whole(delivery, error)))
                continue
            refused.extend((delivery, refusals.told(delivery, fault)) for fault in message.faults)
            good = self._fitting(delivery, message.readings, message.lane, refused)
            waves = self._fitting(delivery, message.waves, message.lane, refused)
            found.append((delivery, Message(good, lane=message.lane, waves=waves)))
            if delivery.via in self.ears:
                self.ears[delivery.via].samples += sum(len(each.at_us) for each in good) + len(waves)
        return found

    def _fitting(
        self, delivery: Delivery, heard: tuple[Heard, ...], lane: Lane, refused: list[Refused]
    ) -> tuple[Heard, ...]:
        """Those that can be sent on, under their tags at the centre."""
        found: list[Heard] = []
        for each in heard:
            (named,) = tagged(delivery, (each,))
            try:
                check_heard(named)
                found.append(named)
            except DecodeError as error:
                refused.append((delivery, refusals.part(delivery, each, lane, error)))
        return tuple(found)

    def _say_health(self) -> None:
        """Every ten seconds: to the server, and as an alarm to the log where something needs a person."""
        now = time.monotonic()
        if now < self._next_health:
            return
        self._next_health = now + HEALTH_EVERY_S
        share = self.spool.share_full
        if share > NEARLY_FULL:
            self._alarm("gateway.spool_nearly_full", f"{share:.0%} of {self.spool.most_bytes:,} bytes")
        if self.spool.damaged:
            self._alarm("gateway.spool_damaged", f"batches {sorted(self.spool.damaged)[:20]} are not what was written")
        state = health.State(
            epoch=self.spool.epoch,
            seq=self.spool.last,
            samples=self.spool.samples,
            waiting=len(self.spool),
            share_full=round(share, 4),
            refused=self.spool.refused,
            sources=[ear.tell(now) for ear in self.ears.values()],
        )
        self.sender.say(topics.health(self.chosen.site, self.chosen.device), health.write(state))

    def _alarm(self, event: str, detail: str) -> None:
        if time.monotonic() - self._alarmed.get(event, -ALARM_EVERY_S) >= ALARM_EVERY_S:
            self._alarmed[event] = time.monotonic()
            self._log.error(event, detail=detail)

    def _failed(self) -> BaseException | None:
        return self.failure or self.sender.failure

    def _thread(self, ear: pulse.Ear, stop: threading.Event) -> threading.Thread:
        def guarded() -> None:
            try:
                pulse.listen(ear, stop)
            except BaseException as error:  # noqa: BLE001 - raised again by run()
                self.failure = error
                self._log.exception("gateway.source_failed", source=ear.name)

        return threading.Thread(target=guarded, name=ear.name, daemon=True)

    def _spool(self) -> Spool:
        chosen = self.chosen
        return Spool(chosen.spool, most_bytes=chosen.spool_bytes, min_free_bytes=chosen.min_free_bytes)

    def _sender(self, broker: config.Broker) -> Sender:
        site, device = self.chosen.site, self.chosen.device
        key = None
        if broker.sign and broker.password is not None:
            key = envelope.key_of(broker.password, site=site, device=device)
        return Sender(
            host=broker.host,
            port=broker.port,
            user=broker.user,
            password=broker.password,
            site=site,
            device=device,
            epoch=self.spool.epoch,
            window=WINDOW,
            key=key,
            tls=broker.tls,
            on_durable=self._durable_now,
        )

    def _durable_now(self, seqs: Sequence[int]) -> None:
        self._durable.extend(seqs)


def main(argv: Sequence[str] | None = None, *, make: Callable[[config.Gateway], Gateway] = Gateway) -> int:
    """`millwright gateway [check] FILE.toml`."""
    parser = argparse.ArgumentParser(prog="millwright gateway", description="Hear machines, spool on disk, send on.")
    parser.add_argument("verb", nargs="?", choices=["run", "check"], default="run", help="default: run")
    parser.add_argument("file", type=Path, help="the gateway's TOML file; docs/telemetry.md shows one")
    chosen = parser.parse_args(argv)
    try:
        if chosen.verb == "run":
            _run(config.read(chosen.file), make)
            return 0
        found = check(chosen.file)
    except MillwrightError as error:
        print(error.message)
        return 1
    print(f"{chosen.file}: good. Device {found.device} of site {found.site}, {len(found.sources)} source(s).")
    return 0


def _run(found: config.Gateway, make: Callable[[config.Gateway], Gateway]) -> None:
    log.configure()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        try:
            made = make(found)
        except SpoolBroken as error:
            log.get("edge").error("gateway.spool_broken", detail=error.message)
            stop.wait(OPEN_AGAIN_S)
            continue
        made.run(stop)
        return


def _decode(delivery: Delivery) -> Message:
    if isinstance(delivery.content, Message):
        return delivery.content
    raw: Raw = delivery.content
    if raw.signed:
        raise DecodeError(Reason.BAD_SIGNATURE, "A gateway knows no device's key: let signed batches go to the server.")
    name = columns.named(raw.payload) if raw.codec == "json" else raw.codec
    found = registry.load("edge.codecs").get(name)
    if found is None:
        raise DecodeError(Reason.MALFORMED, f"This gateway knows no {raw.codec!r}.")
    message: Message = found.decode(raw.payload, source=delivery.source, tag=raw.tag, heard_us=delivery.heard_us)
    return message


def _now_us() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    raise SystemExit(main())
