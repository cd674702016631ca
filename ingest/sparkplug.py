"""The Sparkplug host at the instance's own broker: nodes are devices, their births become proposals, and whether they
live becomes the state of a source."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from psycopg import Connection

from core import log
from core.database import Database, use_site
from edge.kinds import Gap, State
from edge.sources.sparkplug import NAME, Options, SparkplugSource
from ingest import store, told
from ingest.pipeline import AWAY, Pipeline
from plant import proposals
from plant.offers import Offer

EVERY_S = 1.0
SETTLE_S = 3.0  # a node's last samples are counted first: they would call a lost source heard
SAME_AGAIN_S = 3_600.0
MOST_SOURCES = 10_000
MOST_GAPS = 100  # of one node that wait for the database
Source = tuple[str, str]  # site code, name


@dataclass(slots=True)
class _News:
    """Of one node, not written yet."""

    state: tuple[State, str] | None = None
    state_at: float = 0.0
    offers: dict[str, Offer] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)


class Sparkplug:
    """Runs the host, and writes down what its nodes tell beside samples."""

    def __init__(
        self,
        database: Database,
        pipeline: Pipeline,
        *,
        host: str,
        port: int,
        user: str | None,
        password: str | None,
        instance: str,
        host_id: str,
        folder: Path | None = None,
    ) -> None:
        self.database, self.pipeline = database, pipeline
        self._news: dict[Source, _News] = {}
        self._lock = threading.Lock()
        self._sites: dict[str, int] | None = None
        self._offered: dict[Source, tuple[float, frozenset[Offer]]] = {}
        self._log = log.get("ingest")
        self.source = SparkplugSource(
            host=host,
            port=port,
            user=user,
            password=password,
            client_id=f"millwright-sparkplug-{instance}",
            now_us=pipeline.now_us,
            chosen=Options(host_id=host_id),
            folder=folder,
            is_ours=self._is_ours,
            on_node=self._tell,
            on_born=self._offer,
            on_gap=self._note_gap,
        )

    def run(self, stop: threading.Event) -> None:
        """Hear and write until ``stop`` is set."""
        writer = threading.Thread(target=self._write_until, args=(stop,), name="sparkplug-news", daemon=True)
        writer.start()
        self.source.run(self.pipeline.inbox, stop)
        writer.join(5.0)

    def _is_ours(self, group: str) -> bool:
        return self._sites is None or group in self._sites

    def _tell(self, site: str, source: str, state: State, why: str) -> None:
        with self._lock:
            news = self._of((site, source))
            news.state, news.state_at = (state, why), time.monotonic()

    def _offer(self, site: str, source: str, offers: Sequence[Offer]) -> None:
        with self._lock:
            self._of((site, source)).offers.update({each.tag: each for each in offers})

    def _note_gap(self, site: str, source: str, gap: Gap) -> None:
        with self._lock:
            news = self._of((site, source))
            news.gaps = [*news.gaps, gap][-MOST_GAPS:]

    def _of(self, source: Source) -> _News:
        while len(self._news) >= MOST_SOURCES and source not in self._news:
            self._news.pop(next(iter(self._news)))
        return self._news.setdefault(source, _News())

    def _write_until(self, stop: threading.Event) -> None:
        over = False
        while not over:
            over = stop.wait(EVERY_S)
            try:
                self._write(time.monotonic() if not over else time.monotonic() + SETTLE_S)
            except AWAY as error:
                self._log.warning("sparkplug.retry", error=" ".join(str(error).split())[:300])

    def _write(self, now_s: float) -> None:
        with self.database.ingest_tx() as conn:
            sites: dict[str, int] = dict(conn.execute("select code, site_id from sites").fetchall())
        self._sites = sites
        for source, news in self._taken(now_s).items():
            if source[0] not in sites:
                continue
            try:
                with self.database.ingest_tx() as conn:
                    self._keep(conn, sites[source[0]], source, news)
            except AWAY:
                self._put_back(source, news)
                raise

    def _taken(self, now_s: float) -> dict[Source, _News]:
        with self._lock:
            ripe = {source: news for source, news in self._news.items() if now_s - news.state_at >= SETTLE_S}
            for source in ripe:
                del self._news[source]
        return ripe

    def _put_back(self, source: Source, news: _News) -> None:
        """It could not be written; what was told since counts more."""
        with self._lock:
            newer = self._of(source)
            newer.offers = {**news.offers, **newer.offers}
            newer.gaps = [*news.gaps, *newer.gaps][-MOST_GAPS:]
            if newer.state is None:
                newer.state, newer.state_at = news.state, news.state_at

    def _keep(self, conn: Connection, site_id: int, source: Source, news: _News) -> None:
        """Nothing is written of a device that is not registered."""
        name = source[1]
        known = conn.execute(
            "select from devices where site_id = %s and name = %s and revoked_at is null", (site_id, name)
        ).fetchone()
        if known is None:
            return
        if news.state is not None:
            store.write_state(conn, site_id, name, kind=NAME, state=news.state[0], detail=news.state[1])
        for gap in news.gaps:
            told.save_gap(conn, site_id, name, gap)
        self._propose(conn, site_id, source, news.offers)

    def _propose(self, conn: Connection, site_id: int, source: Source, offers: dict[str, Offer]) -> None:
        """Metrics that nobody bound yet; a rebirth that says the same again is not written again."""
        same, now_s = frozenset(offers.values()), time.monotonic()
        at_s, before = self._offered.get(source, (-SAME_AGAIN_S, frozenset()))
        if not offers or (same <= before and now_s - at_s < SAME_AGAIN_S):
            return
        use_site(conn, site_id)
        bound = {
            tag
            for (tag,) in conn.execute(
                "select tag from bindings where site_id = %s and source = %s", (site_id, source[1])
            )
        }
        proposals.put(conn, [each for each in offers.values() if each.tag not in bound], source=source[1])
        self._offered[source] = (now_s, before | same if same & before else same)
