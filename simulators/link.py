"""One MQTT connection of a simulated device or gateway: batches out, receipts and floor commands in."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from core.log import get
from simulators.outbox import Outbox
from simulators.wire import Command, batch_topic, command_topic, read_command, read_receipt, receipt_topic

log = get("simulators")
RESENDS = 50  # most batches sent again in one go


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker listens."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A floor command as it arrived; ``wall_us`` is the wall time of its arrival."""

    asset_code: str
    command: Command
    wall_us: int


class DeviceLink:
    """A device that keeps every batch until the receipt for it has come. Reconnects by itself for ever."""

    def __init__(
        self,
        broker: Broker,
        site: str,
        device: str,
        *,
        password: str | None,
        asset_codes: Sequence[str] = (),
        resend_s: float = 5.0,
    ) -> None:
        self.device = device
        self.outbox = Outbox(secrets.token_hex(6), timeout_s=resend_s)
        self.commands: deque[Heard] = deque()
        self.progress = threading.Event()  # set whenever a receipt or a connection came
        self.sent = 0
        self._broker = broker
        self._site = site
        self._asset_codes = tuple(asset_codes)
        self._topic = batch_topic(site, device)
        self._refused = False
        self._up = threading.Event()
        self._closing = threading.Event()
        self._client = self._make_client(password)
        self._thread = threading.Thread(target=self._serve, name=f"link {device}", daemon=True)

    def start(self) -> None:
        """Connect in the background."""
        self._thread.start()

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    def wait_connected(self, timeout_s: float) -> bool:
        """Whether there is a connection within ``timeout_s``."""
        return self._up.wait(timeout_s)

    def pump(self, *, limit: int = RESENDS) -> int:
        """Send what is due, new or overdue; nothing while there is no connection. How many were sent."""
        if not self._up.is_set():
            return 0
        payloads = self.outbox.due(time.monotonic(), limit=limit)
        for payload in payloads:
            self._client.publish(self._topic, payload, qos=1)
        self.sent += len(payloads)
        return len(payloads)

    def close(self) -> None:
        """Disconnect; what has no receipt yet is dropped."""
        self._closing.set()
        deadline = time.monotonic() + 10.0
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._client.disconnect()  # again, should the thread have been connecting just then
            self._thread.join(0.2)

    def _make_client(self, password: str | None) -> mqtt.Client:
        # a session that outlives the connection: a command sent meanwhile waits at the broker
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"sim-{self._site}-{self.device}",
            clean_session=False,
            protocol=mqtt.MQTTv311,
        )
        client.username_pw_set(self.device, password)
        client.reconnect_delay_set(min_delay=1, max_delay=2)
        client.max_inflight_messages_set(200)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def _serve(self) -> None:
        """paho's loop ends when a callback or the network surprises it: begin again until closed."""
        while not self._closing.is_set():
            try:
                self._client.connect(self._broker.host, self._broker.port, keepalive=20)
                self._client.loop_forever()
            except (OSError, ValueError) as error:
                log.debug("no connection", device=self.device, error=str(error))
            self._up.clear()
            self._closing.wait(0.5)

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if code.is_failure:
            if not self._refused:
                log.warning("the broker refuses the device", device=self.device, reason=str(code))
            self._refused = True
            return
        self._refused = False
        topics = [receipt_topic(self._site, self.device)]
        topics += [command_topic(self._site, asset_code) for asset_code in self._asset_codes]
        client.subscribe([(topic, 1) for topic in topics])
        self.outbox.hurry(time.monotonic())
        self._up.set()
        self.progress.set()

    def _on_disconnect(self, _client: mqtt.Client, _data: Any, _flags: Any, _code: Any, _properties: Any) -> None:
        self._up.clear()

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            if message.topic.endswith("/receipt"):
                if self.outbox.confirm(read_receipt(message.payload)):
                    self.progress.set()
            else:
                command = read_command(message.payload)
                asset_code = message.topic.rpartition("/")[2]
                self.commands.append(Heard(asset_code, command, time.time_ns() // 1000))
        except msgspec.DecodeError as error:
            log.warning("not understood", device=self.device, topic=message.topic, error=str(error))
