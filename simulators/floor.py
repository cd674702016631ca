"""The simulated floor's radio: hands on machines, sent over MQTT as the user ``sim-floor``."""

from __future__ import annotations

import secrets
import threading
import time
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from simulators.link import Broker
from simulators.wire import FLOOR, Command, command_topic, encode


class FloorSilent(Exception):
    """The broker did not take the command in time."""


class FloorRadio:
    """Sends commands to machines; safe for several threads."""

    def __init__(self, broker: Broker, site: str, *, password: str | None) -> None:
        self._site = site
        self._broker = broker
        self._up = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"sim-people-{secrets.token_hex(4)}",
            protocol=mqtt.MQTTv311,
        )
        self._client.username_pw_set(FLOOR, password)
        self._client.reconnect_delay_set(min_delay=1, max_delay=2)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect

    def start(self) -> None:
        """Connect in the background, for ever."""
        self._client.connect_async(self._broker.host, self._broker.port, keepalive=20)
        self._client.loop_start()

    def send(self, asset_code: str, command: Command, *, timeout_s: float = 30.0) -> None:
        """Send until the broker has taken it (QoS 1). Raises FloorSilent."""
        deadline = time.monotonic() + timeout_s
        if self._up.wait(timeout_s):
            info = self._client.publish(command_topic(self._site, asset_code), encode(command), qos=1)
            info.wait_for_publish(max(0.1, deadline - time.monotonic()))
            if info.is_published():
                return
        raise FloorSilent(f"{FloorSilent.__doc__} ({asset_code}: {command.action})")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, _client: mqtt.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if not code.is_failure:
            self._up.set()

    def _on_disconnect(self, _client: mqtt.Client, _data: Any, _flags: Any, _code: Any, _properties: Any) -> None:
        self._up.clear()
