"""The ingest process: sources → pipeline, and the keeper beside it.

run(database=database, broker=Broker("127.0.0.1", 1883, user, password, "mosquitto"), instance="a1b2", stop=stop)
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

from core import log
from core.database import Database
from core.settings import Settings, settings
from edge import topics
from edge.sources.mqtt import MqttSource
from ingest.connectors import Connectors
from ingest.keeper import Keeper
from ingest.lead import Lead
from ingest.pipeline import AWAY, Pipeline
from ingest.sparkplug import Sparkplug
from ingest.watch import Watch

FINISH_S = 10.0
AMQTT = "amqtt"
SHARED = tuple(f"$share/millwright/{topic}" for topic in topics.SUBSCRIPTIONS)  # each message to one of the processes
SWITCH_S = 0.0005  # the storing thread waits for the database some ten times a flush, and then for the others


@dataclass(frozen=True, slots=True)
class Broker:
    """Where to hear devices, and as whom."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    kind: str = "mosquitto"


@dataclass(frozen=True, slots=True)
class Place:
    """Which of how many ingest processes this is, from 1."""

    worker: int = 1
    workers: int = 1


ALONE = Place()


def run(*, database: Database, broker: Broker, instance: str, stop: threading.Event, place: Place = ALONE) -> None:
    """Hear and keep until ``stop`` is set, then finish the batch at hand. Survives loss of broker and database."""
    Ingest(database, broker, instance, settings(), place).run(stop)


def workers(wanted: int, broker: str) -> int:
    """How many processes can share what this kind of broker hears: amqtt knows no shared subscriptions."""
    return 1 if broker == AMQTT else wanted


class Ingest:
    """The parts of the process, wired. A thread that ends by an error ends the process: its supervisor starts it anew,
    and nothing unstored was acked."""

    def __init__(
        self, database: Database, broker: Broker, instance: str, chosen: Settings, place: Place = ALONE
    ) -> None:
        database.deadline_s = chosen.ingest_deadline_s
        self.place = place
        own, other = (topics.SUBSCRIPTIONS, SHARED) if place.workers == 1 else (SHARED, topics.SUBSCRIPTIONS)
        self.pipeline = Pipeline(
            database,
            batch_rows=chosen.ingest_batch_rows,
            linger_s=chosen.ingest_linger_s,
            most_messages=chosen.ingest_queue_messages,
            publish=self._publish,
            lead=Lead(database, worker=place.worker, workers=place.workers),
        )
        self.mqtt = MqttSource(
            host=broker.host,
            port=broker.port,
            user=broker.user,
            password=broker.password,
            client_id=f"millwright-ingest-{instance}" + (f"-{place.worker}" if place.worker > 1 else ""),
            now_us=self.pipeline.now_us,
            subscriptions=own,
            no_longer=other,
        )
        self.keeper = Keeper(database, self.pipeline)
        self.connectors = Connectors(database, self.pipeline)
        self.sparkplug = _sparkplug(database, self.pipeline, broker, instance, chosen) if place.worker == 1 else None
        self.watch = Watch(database, self.pipeline, self.mqtt.link.connected.is_set)
        self.failure: BaseException | None = None
        self._log = log.get("ingest")
        self._log.info("ingest.start", broker=broker.kind, host=broker.host, port=broker.port, worker=place.worker)

    def run(self, stop: threading.Event) -> None:
        """Raises what ended a thread."""
        sys.setswitchinterval(SWITCH_S)
        self._prepare(stop)
        gc.collect()
        gc.freeze()  # modules and bindings live as long as we do: to look at them again and again only delays flushes
        over, sources_stop = threading.Event(), threading.Event()
        threads = {
            "store": self._thread("store", lambda: self.pipeline.run(over), over),
            "keep": self._thread("keep", lambda: self.keeper.run(over), over),
            "mqtt": self._thread("mqtt", lambda: self.mqtt.run(self.pipeline.inbox, sources_stop), over),
            "connect": self._thread("connect", lambda: self.connectors.run(over), over),
            "watch": self._thread("watch", lambda: self.watch.run(over), over),
        }
        sparkplug = self.sparkplug
        if sparkplug is not None:
            threads["sparkplug"] = self._thread("sparkplug", lambda: sparkplug.run(sources_stop), over)
        while not (stop.is_set() or over.is_set()):
            stop.wait(0.2)
        over.set()
        threads["store"].join(FINISH_S)
        sources_stop.set()  # last, so that the last acks still go out
        for thread in threads.values():
            thread.join(FINISH_S)
        if self.failure is not None:
            raise self.failure
        self._last_words()

    def _prepare(self, stop: threading.Event) -> None:
        """The database may still be starting."""
        while not stop.is_set():
            try:
                self.pipeline.prepare()
                self.keeper.settle()
            except AWAY as error:
                self._log.warning("ingest.wait", error=" ".join(str(error).split())[:300])
                self.pipeline.database.close()
                stop.wait(0.5)
            else:
                return

    def _thread(self, name: str, work: Callable[[], None], over: threading.Event) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised again by run()
                self.failure = error
                self._log.exception("ingest.failed", thread=name)
                over.set()

        thread = threading.Thread(target=guarded, name=f"ingest-{name}", daemon=True)
        thread.start()
        return thread

    def _last_words(self) -> None:
        try:
            self.keeper.settle()
        except AWAY as error:
            self._log.warning("ingest.unsettled", error=str(error)[:300])

    def _publish(self, topic: str, payload: bytes) -> None:
        self.mqtt.publish(topic, payload)


def _sparkplug(
    database: Database, pipeline: Pipeline, broker: Broker, instance: str, chosen: Settings
) -> Sparkplug | None:
    """The Sparkplug host at the same broker, unless it is switched off."""
    if not chosen.sparkplug:
        return None
    return Sparkplug(
        database,
        pipeline,
        host=broker.host,
        port=broker.port,
        user=broker.user,
        password=broker.password,
        instance=instance,
        host_id=chosen.sparkplug_host_id,
        folder=chosen.data_dir.expanduser().resolve() / "sparkplug",
    )
