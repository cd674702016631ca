"""The fleet speaks Sparkplug: what its machines say reaches a host to the value, also what nobody heard at first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from edge.delivery import Message
from edge.inbox import Inbox
from edge.sources.sparkplug import SparkplugSource
from edge.sparkplug.outcomes import Life
from simulators.fleet import Member
from simulators.link import Broker
from simulators.plantclock import PlantClock, started_at
from simulators.plants import demo
from simulators.sparkplug import SparkplugFleet
from simulators.spec import Protocol
from tests.conftest import RunningBroker
from tests.integration.ingest_kit import wait_until

LIVE_US = 1_767_225_600_000_000
HOUR_US = 3_600_000_000


class Listener:
    """A host, and every value that it heard."""

    def __init__(self, port: int) -> None:
        self.found: dict[str, dict[int, float]] = {}
        self.source = SparkplugSource(
            host="127.0.0.1", port=port, user=None, password=None, client_id="listener", now_us=lambda: LIVE_US
        )
        self._inbox, self._stop = Inbox(most_messages=1_000), threading.Event()
        self._threads = [
            threading.Thread(target=self.source.run, args=(self._inbox, self._stop)),
            threading.Thread(target=self._take),
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _take(self) -> None:
        while not self._stop.is_set():
            for delivery in self._inbox.take(most_bytes=1 << 20, within_s=0.1):
                assert isinstance(delivery.content, Message)
                for each in delivery.content.readings:
                    pairs = zip(each.at_us.tolist(), each.values.tolist(), strict=True)
                    self.found.setdefault(each.tag, {}).update((at, v) for at, v in pairs if not np.isnan(v))
                delivery.ack()


@contextmanager
def listening(port: int) -> Iterator[Listener]:
    made = Listener(port)
    try:
        wait_until(lambda: made.source.connected, what="connecting")
        yield made
    finally:
        made.end()


@pytest.mark.parametrize("late", [False, True], ids=["host first", "host late"])
def test_a_fleet_is_heard_to_the_value(mosquitto: RunningBroker, late: bool) -> None:
    plant = demo(1)
    specs = [spec for spec in plant.machines if spec.protocol is Protocol.SPARKPLUG]
    assert [spec.device for spec in specs] == ["V-402"] and plant.speakers == {"V-402"}
    twin = specs[0].build(LIVE_US, start_us=LIVE_US).advance(LIVE_US + HOUR_US)
    # its machine speaks once a minute, and who came late hears of a node when it speaks
    clock: PlantClock = started_at(LIVE_US + HOUR_US, factor=60.0 if late else 1.0)
    fleet = SparkplugFleet(
        [Member(spec.build(LIVE_US, start_us=LIVE_US), spec.device) for spec in specs],
        Broker("127.0.0.1", mosquitto.port),
        site="plant",
        passwords={},
        clock=clock,
        speakers=plant.speakers,
    )
    fleet.start()
    try:
        if late:
            fleet.tick()
            assert fleet.nodes["V-402"].waiting or fleet.nodes["V-402"].is_heard
        with listening(mosquitto.port) as host:
            wait_until(lambda: (fleet.tick() or host.source.lives[Life.LIVE]) == 1, within_s=40, what="birth")
            assert fleet.drain(20.0)
            last = {code: values[~np.isnan(values)][-1] for code, values in twin.values.items()}
            wait_until(lambda: {f"V-402/{code}" for code in last} <= set(host.found), what="every signal")
            if not late:
                wait_until(
                    lambda: all(_same(host, code, twin.at_us, v) for code, v in twin.values.items()), what="every value"
                )
    finally:
        fleet.close()


def _same(host: Listener, code: str, at_us: np.ndarray, values: np.ndarray) -> bool:
    heard = host.found.get(f"V-402/{code}", {})
    return all(heard.get(int(at)) == value for at, value in zip(at_us, values, strict=True) if not np.isnan(value))
