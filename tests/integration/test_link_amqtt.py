"""The embedded broker knows MQTT 3.1.1 alone and gives MQTT 5 no answer: the link must find that out by itself."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from core.broker import Broker, Kind
from core.broker_rules import INGEST
from core.ports import reserve
from core.secrets import load_or_create
from edge.delivery import Delivery
from edge.sources.mqtt import MqttSource

WITHIN_S = 30.0


class Room:
    """A keeper with room for everything."""

    def __call__(self, delivery: Delivery) -> None:
        delivery.ack()

    def has_room(self) -> bool:
        return True


def test_ingest_reaches_amqtt(tmp_path: Path) -> None:
    secrets = load_or_create(tmp_path)
    broker = Broker(tmp_path, secrets, port=reserve(), kind=Kind.AMQTT)
    info = broker.start()
    stop = threading.Event()
    source = MqttSource(
        host=info.host,
        port=info.port,
        user=INGEST,
        password=secrets.mqtt_ingest,
        client_id="link-test",
        now_us=lambda: 0,
    )
    thread = threading.Thread(target=source.run, args=(Room(), stop))
    thread.start()
    try:
        deadline = time.monotonic() + WITHIN_S
        assert source.link.connected.wait(deadline - time.monotonic()), source.link.trouble
    finally:
        stop.set()
        thread.join(10)
        broker.destroy()
        for end in (source.link._wake_r, source.link._wake_w):
            end.close()
    assert not thread.is_alive()
