"""Runs the sources that ingest connects to by itself (table ``sources``), each in a thread; follows changes."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from psycopg import Connection

from core import log
from core.database import Database
from edge.errors import SourceConfig
from edge.sources.opcua import OpcUaSource, options
from ingest import store
from ingest.pipeline import AWAY, Pipeline

EVERY_S = 2.0
KIND = "opcua"


@dataclass(slots=True)
class _Running:
    wanted: store.Configured
    thread: threading.Thread
    stop: threading.Event
    state: tuple[str, str] = ("lost", "connecting")
    told: tuple[str, str] = ("", "")


class Connectors:
    """Keeps one thread an enabled source; one that changes is stopped and started anew."""

    def __init__(self, database: Database, pipeline: Pipeline) -> None:
        self.database, self.pipeline = database, pipeline
        self._running: dict[int, _Running] = {}
        self._log = log.get("ingest")

    def run(self, stop: threading.Event) -> None:
        """Follow the table until ``stop`` is set."""
        while not stop.is_set():
            try:
                self._follow()
            except AWAY as error:
                self._log.warning("connectors.retry", error=" ".join(str(error).split())[:300])
            stop.wait(EVERY_S)
        for running in self._running.values():
            running.stop.set()
        for running in self._running.values():
            if running.thread.is_alive():
                running.thread.join(5.0)

    def _follow(self) -> None:
        with self.database.ingest_tx() as conn:
            wanted = {each.source_id: each for each in store.configured(conn, KIND)}
            states = {source_id: running.state for source_id, running in self._running.items()}
            for source_id, state in states.items():
                _tell(conn, self._running[source_id], state)
        for source_id, state in states.items():
            self._running[source_id].told = state
        for source_id, running in list(self._running.items()):
            if wanted.get(source_id) != running.wanted:
                running.stop.set()
                del self._running[source_id]
        for source_id, each in wanted.items():
            if source_id not in self._running:
                self._running[source_id] = self._start(each)

    def _start(self, wanted: store.Configured) -> _Running:
        """One with a wrong configuration stands still until it is changed, and says why."""
        stop = threading.Event()
        try:
            chosen = options(wanted.config)
        except SourceConfig as error:
            return _Running(wanted, threading.Thread(), stop, ("lost", error.message))
        running = _Running(wanted, threading.Thread(), stop)

        def heard(state: str, detail: str) -> None:
            running.state = (state, detail)

        source = OpcUaSource(
            site=wanted.site,
            name=wanted.name,
            url=wanted.url,
            chosen=chosen,
            now_us=self.pipeline.now_us,
            on_state=heard,
        )
        running.thread = threading.Thread(
            target=source.run, args=(self.pipeline.inbox, stop), name=f"opcua-{wanted.name}", daemon=True
        )
        running.thread.start()
        return running


def _tell(conn: Connection, running: _Running, state: tuple[str, str]) -> None:
    """Write a state down once it has changed."""
    if state != running.told:
        wanted = running.wanted
        store.write_state(conn, wanted.site_id, wanted.name, kind=wanted.kind, state=state[0], detail=state[1])
