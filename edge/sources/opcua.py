"""An OPC UA server's nodes by subscription. Reads only: nothing is ever written to a server.

The loop lives in the source's own thread. Every step has a deadline; a server that says nothing, not even that it is
alive, is left and connected to again, and the subscription made anew. What a new subscription repeats is known by its
(tag, source time, value) and stored once. A gap while disconnected is not filled from history yet.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core import log
from edge.delivery import Delivery, Emit, Fault, Message, Origin, reading
from edge.errors import SourceConfig
from edge.kinds import Place
from edge.reasons import DecodeError, Reason
from edge.topics import clean_tag
from plant.model import Quality, Reading

NAME = "opcua"
SCHEMES = ("opc.tcp",)
STEP_S = 10.0  # deadline of each step towards the server
GATHER_S = 0.05
MOST_EVENTS = 2_000  # a delivery
QUEUED_EVENTS = 100_000
BACKOFF_S = (0.5, 10.0)
KEEPALIVES = 3  # the server says it lives at least this often within `silence_s`
LIFETIME_COUNT = 1_000
EXACT = float(1 << 53)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Options:
    """``nodes`` maps node id (``ns=2;s=…``) → tag. ``security`` is asyncua's ``Policy,Mode,certificate,key``."""

    nodes: Mapping[str, str]
    allow_none: bool = False
    security: str | None = None
    publishing_ms: float = 250.0
    sampling_ms: float = 100.0
    queue_size: int = 100
    silence_s: float = 10.0


def options(config: Mapping[str, Any]) -> Options:
    """The options in a table of configuration. Raises SourceConfig."""
    known = {"nodes", *Options.__slots__}
    unknown = set(config) - known
    if unknown:
        raise SourceConfig(f"An OPC UA source has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}.")
    nodes = _nodes(config.get("nodes"))
    security = config.get("security")
    allow_none = config.get("allow_none", False)
    if not isinstance(allow_none, bool) or not isinstance(security, str | None):
        raise SourceConfig("allow_none is true or false; security is a text.")
    if security is None and not allow_none:
        raise SourceConfig(
            "Without `security` everybody on the network may read and forge; say `allow_none` to accept."
        )
    numbers = {
        name: config[name] for name in ("publishing_ms", "sampling_ms", "queue_size", "silence_s") if name in config
    }
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise SourceConfig(f"{name} must be a positive number.")
    return Options(nodes, allow_none, security, **numbers)


def _nodes(config: Any) -> dict[str, str]:
    if not isinstance(config, list) or not config:
        raise SourceConfig("`nodes` must be a list of {node_id, tag}.")
    nodes: dict[str, str] = {}
    for each in config:
        if (
            not isinstance(each, Mapping)
            or set(each) != {"node_id", "tag"}
            or not all(isinstance(v, str) for v in each.values())
        ):
            raise SourceConfig("Each node is a table of node_id and tag, both texts.")
        try:
            nodes[each["node_id"]] = clean_tag(each["tag"])
        except DecodeError as error:
            raise SourceConfig(error.message) from None
    if len(set(nodes.values())) != len(config):
        raise SourceConfig("Every node id and every tag may occur once.")
    return nodes


class OpcUaSource:
    """Hears one server. ``on_state(state, detail)`` is told *connected* and *lost*, from the source's thread."""

    def __init__(
        self,
        *,
        site: str,
        name: str,
        url: str,
        chosen: Options,
        now_us: Callable[[], int],
        on_state: Callable[[str, str], None] = lambda _state, _detail: None,
    ) -> None:
        self.name = name
        self._site, self._url, self._chosen = site, url, chosen
        self._now_us, self._on_state = now_us, on_state
        self._log = log.get("edge").bind(source=name)

    def run(self, emit: Emit, stop: threading.Event) -> None:
        """Hear until ``stop`` is set; survives every loss of the server."""
        asyncio.run(self._run(emit, stop))

    async def _run(self, emit: Emit, stop: threading.Event) -> None:
        pause = BACKOFF_S[0]
        while not stop.is_set():
            began = time.monotonic()
            try:
                why = await self._session(emit, stop)
            except Exception as error:  # noqa: BLE001 - asyncua raises of every kind; whichever it is, connect again
                why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            if stop.is_set():
                return
            self._on_state("lost", why)
            self._log.warning("opcua.lost", url=self._url, why=why)
            pause = BACKOFF_S[0] if time.monotonic() - began > BACKOFF_S[1] else min(pause * 2, BACKOFF_S[1])
            await _wait(stop, pause)

    async def _session(self, emit: Emit, stop: threading.Event) -> str:
        """From connecting to losing the server; returns why it was left."""
        from asyncua import Client  # loaded only where there is an OPC UA source: it weighs some 40 MB

        logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # what goes wrong is told here, in one line
        client = Client(self._url, timeout=STEP_S)
        client.session_timeout = 60_000
        if self._chosen.security is not None:
            await asyncio.wait_for(client.set_security_string(self._chosen.security), STEP_S)
        await asyncio.wait_for(client.connect(), STEP_S)
        try:
            subscription, tags = await asyncio.wait_for(self._subscribe(client), STEP_S)
            self._on_state("connected", "")
            self._log.info("opcua.connected", url=self._url, nodes=len(tags))
            return await self._listen(subscription, tags, emit, stop)
        finally:
            await _leave(client)

    async def _subscribe(self, client: Any) -> tuple[Any, dict[str, str]]:
        from asyncua import ua
        from asyncua.common.subscription import OverflowPolicy

        chosen = self._chosen
        wanted = ua.CreateSubscriptionParameters()
        wanted.RequestedPublishingInterval = chosen.publishing_ms
        wanted.RequestedLifetimeCount = LIFETIME_COUNT
        wanted.RequestedMaxKeepAliveCount = max(1, int(chosen.silence_s * 1000 / KEEPALIVES / chosen.publishing_ms))
        wanted.MaxNotificationsPerPublish = 10_000
        wanted.PublishingEnabled = True
        subscription = await client.create_subscription(
            wanted, queue_maxsize=QUEUED_EVENTS, overflow=OverflowPolicy.DISCONNECT
        )
        nodes = [client.get_node(node_id) for node_id in chosen.nodes]
        results = await subscription.subscribe_data_change(
            nodes, queuesize=chosen.queue_size, sampling_interval=chosen.sampling_ms
        )
        refused = [
            tag for tag, result in zip(chosen.nodes.values(), results, strict=True) if not isinstance(result, int)
        ]
        if refused:
            self._log.warning("opcua.refused_nodes", tags=refused[:20], count=len(refused))
        return subscription, {
            node.nodeid.to_string(): tag for node, tag in zip(nodes, chosen.nodes.values(), strict=True)
        }

    async def _listen(self, subscription: Any, tags: Mapping[str, str], emit: Emit, stop: threading.Event) -> str:
        """Gather what comes and hand it on; the server may be busy but not silent."""
        loop = asyncio.get_running_loop()
        heard_at = time.monotonic()
        while not stop.is_set():
            events = await _gather(subscription)
            if events:
                await loop.run_in_executor(None, emit, self._delivery(events, tags))
            heard_at = max(heard_at, subscription.last_publish_at or 0.0)
            if time.monotonic() - heard_at > self._chosen.silence_s:
                return f"silent for {self._chosen.silence_s} s"
        return "stopped"

    def _delivery(self, events: Sequence[Any], tags: Mapping[str, str]) -> Delivery:
        now_us = self._now_us()
        readings: list[Reading] = []
        faults: list[Fault] = []
        for event in events:
            tag = tags.get(event.node.nodeid.to_string(), "")
            found = _reading(self.name, tag, event.data.monitored_item.Value, now_us)
            (readings if isinstance(found, Reading) else faults).append(found)  # type: ignore[arg-type]
        message = Message(tuple(readings), tuple(faults))
        return Delivery(self._site, self.name, message, now_us, self._url, Origin.CONFIGURED, NAME)


def create(place: Place, chosen: Options) -> OpcUaSource:
    """A gateway's ear at one server."""
    return OpcUaSource(
        site=place.site,
        name=place.name,
        url=place.url,
        chosen=chosen,
        now_us=place.now_us,
        on_state=place.on_state,
    )


def _reading(source: str, tag: str, data: Any, now_us: int) -> Reading | Fault:
    """A reading of a DataValue: its status is the quality, its source time the time."""
    status = data.StatusCode.value if data.StatusCode is not None else 0
    quality = Quality(min(status >> 30, 2))
    value = _number(None if data.Value is None else data.Value.Value, quality)
    if value is None:
        shown = ascii(None if data.Value is None else data.Value.Value)[:80]
        return Fault(tag, Reason.NOT_A_NUMBER, f"The node's value is {shown}.")
    stamp = data.SourceTimestamp or data.ServerTimestamp
    if stamp is None:
        return reading(source, tag, now_us, value, max(quality, Quality.UNCERTAIN))
    return reading(source, tag, _us(stamp), value, quality)


def _number(value: Any, quality: Quality) -> float | None:
    """The value as a float that equals it; NaN for a bad sample without one; None when it is no number."""
    if quality is Quality.BAD and (value is None or not isinstance(value, int | float)):
        return math.nan
    if not isinstance(value, int | float) or (isinstance(value, int) and abs(value) > EXACT):
        return None
    return float(value)


def _us(stamp: datetime) -> int:
    """µs since epoch; OPC UA times are UTC."""
    aware = stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)
    span = aware - _EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


async def _gather(subscription: Any) -> list[Any]:
    """Value changes of the next moment: wait a little for the first, then take what is there."""
    events: list[Any] = []
    event = await subscription.next_event(timeout=0.5)
    deadline = time.monotonic() + GATHER_S
    while event is not None and len(events) < MOST_EVENTS:
        if hasattr(event, "data"):  # not a status change of the subscription
            events.append(event)
        left = deadline - time.monotonic()
        if left <= 0:
            break
        event = await subscription.next_event(timeout=left)
    return events


async def _leave(client: Any) -> None:
    try:
        await asyncio.wait_for(client.disconnect(), 3.0)
    except Exception as error:  # noqa: BLE001 - it is lost anyway
        log.get("edge").debug("opcua.leave", error=str(error))


async def _wait(stop: threading.Event, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not stop.is_set() and time.monotonic() < deadline:  # noqa: ASYNC110 - the event belongs to threads
        await asyncio.sleep(0.05)
