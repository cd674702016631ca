"""Devices and gateways on an MQTT broker: ``mw/v1/{site}/{device}/s/{tag}`` and ``…/b``.

A device's message on any other topic is quarantined with the reason.

The session is persistent and the client id fixed, so the broker keeps what comes while we are away; a message is acked
when it is durable. A topic that is none of ours is handed on without a site, to be counted and dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from paho.mqtt import client as mqtt

from edge import topics
from edge.codecs import columns
from edge.delivery import Delivery, Emit, Fault, Message, Raw
from edge.errors import SourceConfig
from edge.kinds import Place
from edge.link import Ack, Link, Session
from edge.reasons import DecodeError, Reason
from edge.topics import Address, Leaf

NAME = "mqtt"
SCHEMES = ("mqtt",)
PORT = 1883
CODECS = {Leaf.SAMPLE: "json", Leaf.BATCH: "json", Leaf.SIGNED: "json", Leaf.WAVE: "wave", Leaf.HEALTH: "health"}


class MqttSource:
    """Hears one broker. ``now_us`` is the plant's time of arrival; ``publish`` sends from any thread."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        user: str | None,
        password: str | None,
        client_id: str,
        now_us: Callable[[], int],
        subscriptions: tuple[str, ...] = topics.SUBSCRIPTIONS,
        no_longer: tuple[str, ...] = (),
    ) -> None:
        self.name = NAME
        self._now_us = now_us
        self._emit: Emit | None = None
        self.link = Link(
            host=host,
            port=port,
            user=user,
            password=password,
            client_id=client_id,
            session=Session.PERSISTENT,
            subscriptions=subscriptions,
            no_longer=no_longer,
            on_message=self._heard,
            has_room=lambda: self._emit is not None and self._emit.has_room(),
        )

    @property
    def connected(self) -> bool:
        return self.link.connected.is_set()

    def run(self, emit: Emit, stop: threading.Event) -> None:
        """Hear until ``stop`` is set; survives every loss of the broker."""
        self._emit = emit
        self.link.run(stop)

    def publish(self, topic: str, payload: bytes) -> None:
        """Send soon (receipts)."""
        self.link.send(topic, payload)

    def _heard(self, message: mqtt.MQTTMessage, ack: Ack) -> None:
        topic, address = _address(message)
        if topics.is_outward(topic):  # our own receipt, or a command, as the broker echoes it
            ack()
            return
        payload = bytes(message.payload)
        content: Raw | Message = Raw(payload, _codec(address.leaf, payload), address.tag, address.leaf is Leaf.SIGNED)
        if address is NOWHERE and (known := topics.sender(topic)) is not None:
            address, content = known, _misaddressed(topic, payload)
        if self._emit is not None:
            self._emit(Delivery(address.site, address.device, content, self._now_us(), topic, kind=NAME, ack=ack))


@dataclass(frozen=True, slots=True)
class Options:
    """Of a broker on a gateway's floor: its url is mqtt://USER:PASSWORD@HOST:PORT, or the password is in a file."""

    password_file: str | None = None


def options(table: Mapping[str, Any]) -> Options:
    """The options in a gateway's file. Raises SourceConfig."""
    unknown = set(table) - set(Options.__slots__)
    if unknown:
        raise SourceConfig(f"An MQTT source does not know {', '.join(map(repr, sorted(unknown)))}.")
    return Options(**table)


def create(place: Place, chosen: Options) -> MqttSource:
    """A gateway's ear at a broker of the floor, whose devices speak the house's topics."""
    parts = urlsplit(place.url)
    password = unquote(parts.password) if parts.password else None
    if chosen.password_file is not None:
        password = Path(chosen.password_file).read_text("utf-8").strip()
    return MqttSource(
        host=parts.hostname or "",
        port=parts.port or PORT,
        user=unquote(parts.username) if parts.username else None,
        password=password,
        client_id=f"{place.device}-{place.name}",
        now_us=place.now_us,
    )


NOWHERE = Address("", "", None)


def _misaddressed(topic: str, payload: bytes) -> Message:
    """A message of a known sender on a topic that is none of ours: for the quarantine, with the reason."""
    detail = f"{topic[:200]!r} is neither mw/v1/SITE/DEVICE/s/TAG nor mw/v1/SITE/DEVICE/b."
    return Message((), (Fault("", Reason.BAD_TOPIC, detail, payload),))


def _codec(leaf: Leaf, payload: bytes) -> str:
    return columns.named(payload) if leaf is Leaf.BATCH else CODECS[leaf]


def _address(message: mqtt.MQTTMessage) -> tuple[str, Address]:
    try:
        topic = message.topic
    except UnicodeDecodeError:
        return "", NOWHERE
    return topic, _parsed(topic)


@lru_cache(maxsize=100_000)
def _parsed(topic: str) -> Address:
    try:
        return topics.parse(topic)
    except DecodeError:
        return NOWHERE
