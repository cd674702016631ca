"""Runs the sources that ingest connects to by itself (table ``sources``), each in a thread; follows changes.

Which kinds there are is what ``edge.sources`` holds (``edge.kinds``); nothing here knows any of them. Where several
ingest processes run, one of them has the turn.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import Connection

from core import locks, log
from core.database import INGEST, Database, use_site
from core.settings import settings
from edge.errors import SourceConfig
from edge.kinds import Gap, Place, State, TagStatus, check_url, kinds
from ingest import store, told
from ingest.pipeline import AWAY, Pipeline
from plant import proposals
from plant.offers import Offer

EVERY_S = 1.0
DEVICE = "millwright"
MOST_WAITING = 10_000  # things told that wait for the database; the oldest go first


@dataclass(slots=True)
class _News:
    """What a source told and is not written yet. Guarded by ``lock``: sources tell from their own threads."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    state: tuple[str, str] | None = None
    marks: dict[str, int] = field(default_factory=dict)
    gaps: dict[int, Gap] = field(default_factory=dict)
    statuses: list[TagStatus] = field(default_factory=list)
    offers: dict[str, Offer] = field(default_factory=dict)

    def take(self) -> _News:
        """Everything so far; nothing of it stays."""
        with self.lock:
            taken = _News(threading.Lock(), self.state, self.marks, self.gaps, self.statuses, self.offers)
            self.state, self.marks, self.gaps, self.statuses, self.offers = None, {}, {}, [], {}
        return taken

    def put_back(self, taken: _News) -> None:
        """It could not be written; what was told since counts more."""
        with self.lock:
            self.state = self.state or taken.state
            self.marks = {**taken.marks, **self.marks}
            self.gaps = {**taken.gaps, **self.gaps}
            self.statuses = [*taken.statuses, *self.statuses][-MOST_WAITING:]
            self.offers = {**taken.offers, **self.offers}

    def tell(self, state: str, detail: str) -> None:
        with self.lock:
            self.state = (state, detail)

    def tell_gap(self, gap: Gap) -> None:
        with self.lock:
            self.gaps[gap.from_us] = gap

    def tell_status(self, statuses: Sequence[TagStatus]) -> None:
        with self.lock:
            self.statuses = [*self.statuses, *statuses][-MOST_WAITING:]

    def offer(self, offers: Sequence[Offer]) -> None:
        with self.lock:
            self.offers.update({each.tag: each for each in offers})


@dataclass(frozen=True, slots=True)
class _Marks:
    """Marks as read at the start; those that advance go with the news."""

    start: Mapping[str, int]
    news: _News

    def load(self) -> Mapping[str, int]:
        return self.start

    def save(self, marks: Mapping[str, int]) -> None:
        with self.news.lock:
            self.news.marks.update(marks)


@dataclass(slots=True)
class _Running:
    wanted: store.Configured
    news: _News
    stop: threading.Event
    thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


class Connectors:
    """Keeps one thread an enabled source; one that changes is stopped and started anew.

    ``folder``: where keys and secrets of sources lie, the data directory by default.
    """

    def __init__(self, database: Database, pipeline: Pipeline, *, folder: Path | None = None) -> None:
        self.database, self.pipeline = database, pipeline
        self.folder = settings().data_dir.expanduser().resolve() if folder is None else folder
        self._running: dict[int, _Running] = {}
        self._ending: list[_Running] = []
        self._turn: Connection | None = None
        self._log = log.get("ingest")

    def run(self, stop: threading.Event) -> None:
        """Follow the table until ``stop`` is set."""
        while not stop.is_set():
            try:
                if self._has_turn():
                    self._follow()
                else:
                    self._end([*self._running])
            except AWAY as error:
                self._log.warning("connectors.retry", error=" ".join(str(error).split())[:300])
            stop.wait(EVERY_S)
        self._finish()

    def _has_turn(self) -> bool:
        """Whether this process is the one that connects. The lock lasts as long as its connection."""
        try:
            if self._turn is None:
                self._turn = self.database.connect(role=INGEST)
            row = self._turn.execute(
                """select exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()
                     and objid = %s) or pg_try_advisory_lock(%s)""",
                (locks.SOURCES, locks.SOURCES),
            ).fetchone()
        except psycopg.Error:
            self._let_go()
            raise
        return bool(row and row[0])

    def _let_go(self) -> None:
        if self._turn is not None:
            self._turn.close()
            self._turn = None

    def _follow(self) -> None:
        with self.database.ingest_tx() as conn:
            wanted = {each.source_id: each for kind in kinds() for each in store.configured(conn, kind)}
        self._end([each for each, running in self._running.items() if wanted.get(each) != running.wanted])
        self._write()
        self._ending = [each for each in self._ending if each.alive]
        busy = {each.wanted.source_id for each in self._ending}
        for source_id, each in wanted.items():
            if source_id not in self._running and source_id not in busy:
                self._running[source_id] = self._start(each)

    def _end(self, source_ids: Sequence[int]) -> None:
        for source_id in source_ids:
            running = self._running.pop(source_id)
            running.stop.set()
            self._ending.append(running)

    def _write(self) -> None:
        """Write down what sources told; what cannot be written stays to be written."""
        for running in [*self._running.values(), *self._ending]:
            news = running.news.take()
            try:
                with self.database.ingest_tx() as conn:
                    _keep(conn, running.wanted, news)
            except AWAY:
                running.news.put_back(news)
                raise

    def _start(self, wanted: store.Configured) -> _Running:
        """One with a wrong configuration stands still until it is changed, and says why."""
        with self.database.ingest_tx() as conn:
            marks = told.load_marks(conn, wanted.site_id, wanted.name)
        running = _Running(wanted, _News(), threading.Event())
        running.news.tell(State.LOST, "connecting")
        try:
            kind = kinds()[wanted.kind]
            check_url(kind, wanted.url)
            source = kind.create(self._place(wanted, running.news, marks), kind.options(wanted.config))
        except SourceConfig as error:
            running.news.tell(State.MISCONFIGURED, error.message)
            return running
        running.thread = threading.Thread(
            target=source.run,
            args=(self.pipeline.inbox, running.stop),
            name=f"{wanted.kind}-{wanted.name}",
            daemon=True,
        )
        running.thread.start()
        return running

    def _place(self, wanted: store.Configured, news: _News, marks: Mapping[str, int]) -> Place:
        return Place(
            site=wanted.site,
            device=DEVICE,
            name=wanted.name,
            url=wanted.url,
            now_us=self.pipeline.now_us,
            on_state=news.tell,
            folder=self.folder,
            marks=_Marks(marks, news),
            tell_status=news.tell_status,
            tell_gap=news.tell_gap,
            offer=news.offer,
        )

    def _finish(self) -> None:
        """Stop every source, and write what they last told."""
        self._end([*self._running])
        for running in self._ending:
            if running.thread is not None:
                running.thread.join(5.0)
        try:
            self._write()
        except AWAY as error:
            self._log.warning("connectors.unsettled", error=str(error)[:300])
        self._let_go()


def _keep(conn: Connection, wanted: store.Configured, news: _News) -> None:
    where = (wanted.site_id, wanted.name)
    if news.state is not None:
        state, detail = news.state
        store.write_state(conn, *where, kind=wanted.kind, state=state, detail=detail)
    told.save_marks(conn, *where, news.marks)
    for gap in news.gaps.values():
        told.save_gap(conn, *where, gap)
    if news.statuses:
        told.save_statuses(conn, *where, news.statuses)
    if news.offers:
        use_site(conn, wanted.site_id)
        proposals.put(conn, list(news.offers.values()), source=wanted.name)
