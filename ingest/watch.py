"""Looks several times a second whether somebody has fallen silent, and writes down what it notices.

One process of an instance watches; ``hears`` says whether it is in a position to judge at all. What is noticed is a row
and a notice in one transaction: whoever tells people (``maintenance.silence``) finds the rows also after a crash.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np

from core import log
from core.database import Database
from ingest import faults
from ingest.faults import Elsewhere
from ingest.hearing import SOONEST_S, Attention, Hearing, Key
from ingest.pipeline import AWAY, Pipeline
from ingest.silence import FLOOD_S, End, Judge, Kind, Opened, Scope, Standing, Subject, Verdict

EVERY_S = 0.2
MOST_SHARE = 0.1  # of the time goes into looking
SETTLE_S = 5.0  # after a (re)connection: senders need a moment to find back
STALL_S = 1.5
PLAN_EVERY_S = 10.0
ASK_EVERY_S = 1.0
KEEP_EVERY_S = 10.0
CHANGED = 0.25  # of a pace that is worth writing down
CUT_OFF_S = 10.0
SHARED_S = 1.5  # after which another process's keeper has told of what it heard
ELSEWHERE = timedelta(seconds=3)


class Watch:
    """Runs in a thread of its own. ``connected``: whether the broker's messages reach us."""

    def __init__(
        self,
        database: Database,
        pipeline: Pipeline,
        connected: Callable[[], bool],
        *,
        settle_s: float = SETTLE_S,
        soonest_s: float = SOONEST_S,
    ) -> None:
        self.database, self.pipeline, self.connected = database, pipeline, connected
        self._shared = pipeline.lead.workers > 1
        self._settle_s, self._soonest_s = settle_s, soonest_s
        self._forget()
        self._log = log.get("ingest")

    def _forget(self) -> None:
        """Begin with empty hands: what counts is in the database."""
        self.hearing = Hearing(soonest_s=self._soonest_s, slack_s=SHARED_S if self._shared else 0.0)
        self._judge = Judge(self.hearing)
        self._attention = Attention(settle_s=self._settle_s, longest_s=STALL_S)
        self._others = Elsewhere()
        self._complete = not self._shared
        self._standing: dict[Subject, Standing] = {}
        self._lost: dict[Key, str] = {}
        self._kept: dict[int, float] = {}
        self._told: dict[Key, float] = {}
        self._recent: dict[int, deque[float]] = {}
        self._heard_until = self._lived = 0.0
        self._factor = 0.0
        self._due = {"plan": 0.0, "ask": 0.0, "keep": time.monotonic() + KEEP_EVERY_S}
        self._cut_off: float | None = None

    def run(self, stop: threading.Event) -> None:
        """Watch until ``stop`` is set; survives loss of the database."""
        begun = False
        while not stop.is_set():
            began = time.monotonic()
            if not self.pipeline.lead.held:
                begun = False
                stop.wait(ASK_EVERY_S)
                continue
            try:
                if not begun:
                    self._begin()
                    begun = True
                self.look(began)
            except AWAY as error:
                self._log.warning("watch.retry", error=" ".join(str(error).split())[:300])
                stop.wait(1.0)
            spent = time.monotonic() - began
            stop.wait(max(EVERY_S - spent, spent * (1 / MOST_SHARE - 1) if spent > EVERY_S / 4 else 0.0))

    def look(self, now: float) -> None:
        """One turn at the monotonic time ``now``."""
        if self.pipeline.clock.factor != self._factor:
            self._attention.settle()
            self._plan()
        elif self._is_due("plan", now, PLAN_EVERY_S):
            self._plan()
        if self._is_due("ask", now, ASK_EVERY_S):
            with self.database.ingest_tx() as conn:
                self._lost = faults.lost(conn)
                if self._shared:
                    faults.listen_elsewhere(conn, self._others, within=ELSEWHERE)
                    self._complete = self.pipeline.lead.all_alive(conn)  # what one that died should hear waits for it
        self._listen(now)
        recent = {site_id: self._fresh(site_id, now) for site_id in self._recent}
        verdict = self._judge.judge(self._standing, self._lost, recent=recent)
        self._keep(self._with_cut_off(verdict, now), now)
        if self._is_due("keep", now, KEEP_EVERY_S):
            self._save()

    def _begin(self) -> None:
        self._forget()
        with self.database.ingest_tx() as conn:
            self._standing = faults.standing(conn)
            self._kept = faults.paces(conn)
        self._heard_until = time.monotonic()
        self.hearing.hear(self._newest(), ())

    def _listen(self, now: float) -> None:
        # only time that the storing thread has lived through counts: what it did not store it may have been sent
        self._lived = max(self._lived, min(now, self.pipeline.stored_at))
        self.hearing.listened += self._attention.turn(self._lived, hears=self.connected() and self._complete)
        with self.pipeline.lock:
            heard = {key for key, at in self.pipeline.heard.items() if at >= self._heard_until}
            reports = set(self.pipeline.tally.health)
        self._heard_until = now
        self.hearing.hear(self._others.onto(self._newest()), heard | self._others.take(), reports=reports)

    def _newest(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        with self.pipeline.writer.lock:
            return self.pipeline.writer.newest.at_us.copy()

    def _plan(self) -> None:
        self._factor = self.pipeline.clock.factor
        with self.database.ingest_tx() as conn:
            tags = faults.tags(conn, factor=self._factor)
        self.hearing.plan(tags, self._kept)

    def _with_cut_off(self, verdict: Verdict, now: float) -> Verdict:
        """Cut off from the broker for long: that is one fault a site, and says nothing of any source."""
        if self.connected():
            self._cut_off = None
            return verdict
        self._cut_off = now if self._cut_off is None else self._cut_off
        if now - self._cut_off < CUT_OFF_S:
            return verdict
        sites: dict[int, set[str]] = {}
        for tag in self.hearing.tags:
            sites.setdefault(tag.site_id, set()).add(tag.source)
        many = [
            Opened(
                Subject(Kind.MANY, site_id),
                now - self._cut_off,
                CUT_OFF_S / 2,
                detail={"why": "broker", "sources": sorted(names), "count": len(names)},
            )
            for site_id, names in sites.items()
            if Subject(Kind.MANY, site_id) not in self._standing
        ]
        return replace(verdict, opened=(*verdict.opened, *many))

    def _keep(self, verdict: Verdict, now: float) -> None:
        """Write it down first; what could not be written is judged again."""
        if not (verdict.opened or verdict.ended):
            return
        ends = [(subject, how, self._about(subject)) for subject, how in verdict.ended]
        with self.database.ingest_tx() as conn:
            faults.ended(conn, ends)
            faults.opened(conn, verdict.opened)
        for subject, how, names in ends:
            del self._standing[subject]
            if how is End.HEARD and subject.kind is not Kind.TAG:
                self.hearing.forgive((subject.site_id, name) for name in names)
            if subject.kind is Kind.MANY:
                self._attention.settle()  # those who have not come back yet get the time of a new start
            self._log.info("watch.ended", kind=subject.kind, source=subject.source, signal=subject.signal_id, how=how)
        for each in verdict.opened:
            covers = frozenset(each.detail.get("sources", ()))
            self._standing[each.subject] = Standing(self.hearing.listened, each.scope, covers)
            if each.subject.kind is Kind.SOURCE:
                self._recent.setdefault(each.subject.site_id, deque()).append(now)
            self._log.warning(
                "watch.silent", kind=each.subject.kind, source=each.subject.source, signal=each.subject.signal_id
            )

    def _about(self, subject: Subject) -> frozenset[str]:
        if subject.kind is Kind.MANY:
            return self._standing[subject].covers
        return frozenset({subject.source}) if self._standing[subject].scope is Scope.WHOLE else frozenset()

    def _fresh(self, site_id: int, now: float) -> int:
        times = self._recent[site_id]
        while times and now - times[0] > FLOOD_S:
            times.popleft()
        return len(times)

    def _save(self) -> None:
        """Paces and expected intervals that changed enough to be worth a row."""
        paces = {
            signal_id: pause
            for signal_id, pause in self.hearing.paces().items()
            if abs(pause - self._kept.get(signal_id, -1.0)) > CHANGED * max(self._kept.get(signal_id, 0.0), 0.5)
        }
        expected = {
            key: every
            for key, every in self.hearing.expected().items()
            if abs(every - self._told.get(key, 0.0)) > 0.05 * every
        }
        with self.database.ingest_tx() as conn:
            if paces:
                faults.save_paces(conn, paces)
            if expected:
                faults.save_expected(conn, expected)
        self._kept |= paces
        self._told |= expected

    def _is_due(self, what: str, now: float, every_s: float) -> bool:
        if now < self._due[what]:
            return False
        self._due[what] = now + every_s
        return True
