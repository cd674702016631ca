"""The child processes of a drill: the real ingest, the real gateway, and gateways with one known defect each.

A drill whose control build does not fail proves nothing. The defects exist only here.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sqlite3
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import msgspec
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from core import log
from core.broker_rules import INGEST
from core.database import Database
from edge import config, envelope, gateway, topics
from edge.spool import Batch, Spool
from ingest import run as ingest_run

JOB = "MILLWRIGHT_DRILL_JOB"


class Build(StrEnum):
    """HONEST: the product. ACKED: lets a batch go at the broker's PUBACK. HASTY: its spool waits for no disk."""

    HONEST = "honest"
    ACKED = "acked"
    HASTY = "hasty"


class Job(msgspec.Struct):
    """What the ingest child must know."""

    app: str
    ingest: str
    owner: str
    port: int
    password: str


class _Linked:
    def __init__(self) -> None:
        self.connected = threading.Event()


class AckedSender:
    """The known defect: a PUBACK counts as durable. Otherwise as ``edge.sender.Sender``."""

    def __init__(self, chosen: config.Gateway, window: int, on_durable: Callable[[Sequence[int]], None]) -> None:
        self.link = _Linked()
        self.failure: BaseException | None = None
        self._topic, self._key = topics.batch(chosen.site, chosen.device), None
        if chosen.broker.sign and chosen.broker.password is not None:
            self._topic = topics.signed(chosen.site, chosen.device)
            self._key = envelope.key_of(chosen.broker.password, site=chosen.site, device=chosen.device)
        self._window, self._on_durable = window, on_durable
        self._unsure: OrderedDict[int, bytes] = OrderedDict()
        self._mids: dict[int, int] = {}
        self._acked: deque[int] = deque()
        self._broker = chosen.broker
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"{chosen.device}-acked", clean_session=False)
        self._client.username_pw_set(chosen.broker.user or "", chosen.broker.password)
        self._client.reconnect_delay_set(0.1, 0.5)  # type: ignore[arg-type]
        self._client.max_inflight_messages_set(window)
        self._client.on_publish = self._published
        self._client.on_connect = lambda *_: self.link.connected.set()

    def start(self) -> None:
        self._client.connect_async(self._broker.host, self._broker.port)
        self._client.loop_start()

    def stop(self) -> None:
        self._client.loop_stop()

    @property
    def unsure(self) -> int:
        return len(self._mids)

    def has_room(self) -> bool:
        return len(self._mids) < self._window and self._client.is_connected()

    def send(self, batch: Batch) -> None:
        payload = batch.payload if self._key is None else envelope.seal(self._key, self._topic, batch.payload)
        told = self._client.publish(self._topic, payload, qos=1)
        self._mids[told.mid] = batch.seq

    def say(self, _topic: str, _payload: bytes) -> None:
        """Nothing."""

    def turn(self) -> None:
        """Let go what the broker took."""
        done = [
            self._mids.pop(mid) for mid in [self._acked.popleft() for _ in range(len(self._acked))] if mid in self._mids
        ]
        if done:
            self._on_durable(done)

    def _published(self, _client: Any, _data: Any, mid: int, *_: Any) -> None:
        self._acked.append(mid)


class AckedGateway(gateway.Gateway):
    """A gateway that trusts the broker."""

    def _sender(self, _broker: config.Broker) -> Any:
        return AckedSender(self.chosen, gateway.WINDOW, self._durable_now)


class HastySpool(Spool):
    """The known defect: nothing waits for the disk."""

    def _read(self, file: sqlite3.Connection) -> None:
        super()._read(file)
        file.execute("pragma synchronous = off")

    @contextmanager
    def _unhurried(self, _file: sqlite3.Connection) -> Iterator[None]:
        yield


class HastyGateway(gateway.Gateway):
    """A gateway that trusts the disk's cache."""

    def _spool(self) -> Spool:
        return HastySpool(self.chosen.spool, most_bytes=self.chosen.spool_bytes)


GATEWAYS: dict[Build, Callable[[config.Gateway], gateway.Gateway]] = {
    Build.HONEST: gateway.Gateway,
    Build.ACKED: AckedGateway,
    Build.HASTY: HastyGateway,
}


def ingest(job: Job) -> None:
    """Be ingest."""
    log.configure("INFO", "json")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    broker = ingest_run.Broker("127.0.0.1", job.port, INGEST, job.password)
    ingest_run.run(database=Database(job.app, job.ingest, job.owner), broker=broker, instance="drill", stop=stop)


def main(argv: Sequence[str]) -> int:
    """``ingest`` (its job in the environment), or ``gateway BUILD FILE``. SIGUSR1 writes all stacks to the log."""
    faulthandler.register(signal.SIGUSR1)
    if argv[0] == "ingest":
        ingest(msgspec.json.decode(os.environ[JOB], type=Job))
        return 0
    return gateway.main([argv[2]], make=GATEWAYS[Build(argv[1])])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
