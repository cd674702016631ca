"""Recorded weeks again: samples, what people did and what time did, in the order in which it happened, through the code
that is live.

    feed ──samples──> sandbox store ──> detectors.runner ──finding──┐ waits for the moment at which it was told live
                                                                    ▼
    recorded inputs ──by plant time──> acting ──> maintenance, tickets ──> rows of the sandbox ──> difference

Nothing here reads the time of day but for the speed that is told. A finding is told when it was told live; one that
live did not have, as long after its row as is usual on this plant.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from psycopg import Connection

from core import clock
from core.clock import Clock
from core.database import Database
from detectors.base import Changed, Finding, Rejudged
from detectors.runner import Runner
from maintenance import late, service, store
from maintenance.errors import BadReplay
from maintenance.replay import feed, recorded
from maintenance.replay.acting import Acting, drop_engineer, drop_part
from maintenance.replay.feed import Feed
from maintenance.replay.model import Change, Input, InputKind, Period, Report
from plant.times import from_us, to_us

OTHERS = ("watch", "remaining-life", "event-hazard")  # detectors that are not of the chain: what they said is put in
VERIFY = "maintenance.verify"
STEP = timedelta(hours=6)  # the sandbox looks around at least so often

Key = tuple[object, ...]
Waiting = tuple[datetime, int, int, Finding]
Progress = Callable[[datetime, float], None]


@dataclass(frozen=True, slots=True)
class Still(Clock):
    """A clock that stands where the replay is."""

    def now(self) -> datetime:
        """Plant time."""
        return self.plant_anchor


@dataclass(slots=True)
class _Now:
    """Where the replay is, and which late data are being brought in."""

    at: datetime
    bringing: Input | None = None


@dataclass(slots=True)
class _Heap:
    """Findings that wait for their moment."""

    told: dict[Key, tuple[datetime, int]]
    lag: timedelta
    waiting: list[Waiting] = field(default_factory=list)
    number: itertools.count[int] = field(default_factory=itertools.count)

    def push(self, finding: Finding) -> None:
        at, place = self.told.get(_key(finding), (finding.at + self.lag, 0))
        heapq.heappush(self.waiting, (at, place, next(self.number), finding))

    def pop(self, at: datetime) -> tuple[datetime, Finding] | None:
        """The next that is due by then, with its moment."""
        if not self.waiting or self.waiting[0][0] > at:
            return None
        told, _, _, finding = heapq.heappop(self.waiting)
        return told, finding

    def forget(self, asset_id: int, after: datetime) -> None:
        """What was judged of the asset without its late data, later than that."""
        self.waiting = [w for w in self.waiting if w[3].asset_id != asset_id or w[3].at <= after]
        heapq.heapify(self.waiting)


class Replay:
    """One replay of one site, from a live database into a sandbox that has its master data."""

    def __init__(self, live: Database, sandbox: Database, site_id: int, *, period: Period, change: Change) -> None:
        self._live, self._sandbox, self._site = live, sandbox, site_id
        self._period, self._change = period, change
        begin_us = to_us(period.begin) - 1
        with live.tx(site_id=site_id) as conn:
            self._inputs = recorded.inputs(conn, from_us(begin_us), period.end, others=OTHERS)
            self._heap = _Heap(
                recorded.told(conn, from_us(begin_us), period.end), timedelta(seconds=recorded.lag_s(conn))
            )
            self._versions = recorded.policies_at(conn, from_us(begin_us))
            self._gates = recorded.gates_at(conn, from_us(begin_us))
            arrivals = feed.arrivals(conn)
        self._now = _Now(period.begin)
        self._feed = Feed(live, sandbox, site_id, begin_us=begin_us, late=arrivals)
        self._acting = Acting(sandbox, site_id, change=change)
        self._runner = Runner(sandbox, self._still, self._said, self._rejudged)

    def run(self, progress: Progress | None = None) -> Report:
        """From begin to end; returns what was done. The difference is for the caller to take."""
        started = time.monotonic()
        self._prepare()
        whole = (self._period.end - self._period.begin) / timedelta(seconds=1)
        queue = [(put.at if put else self._period.end, number, put) for number, put in enumerate(self._timeline())]
        numbers = itertools.count(len(queue))
        while queue:
            at, _, put = heapq.heappop(queue)
            later = self._forward(at, put)
            if later is not None and later.at <= self._period.end:
                heapq.heappush(queue, (later.at, next(numbers), later))
            elif later is not None:
                self._acting.leave(later)
            if progress is not None:
                progress(at, (at - self._period.begin) / timedelta(seconds=1) / whole)
        seconds = time.monotonic() - started
        return Report(
            dict(self._acting.applied), self._acting.refused, self._feed.samples, seconds, whole / max(seconds, 1e-9)
        )

    def _prepare(self) -> None:
        self._set_clock(self._period.begin)
        self._acting.configure(self._versions, self._gates, self._period.begin)
        with self._sandbox.tx(site_id=self._site) as conn:
            for name in self._change.without_engineers:
                drop_engineer(conn, name)
            for code in self._change.without_parts:
                drop_part(conn, code)
        self._runner.run_once()  # from here on it looks for late data

    def _timeline(self) -> list[Input | None]:
        """Every input, and a look around where nothing happened for long; None: the end."""
        found: list[Input | None] = []
        at = self._period.begin
        for put in self._inputs:
            while put.at - at > STEP:
                at += STEP
                found.append(Input(at, 0, InputKind.ROUND, {}))
            found.append(put)
            at = put.at
        while self._period.end - at > STEP:
            at += STEP
            found.append(Input(at, 0, InputKind.ROUND, {}))
        return [*found, None]

    def _forward(self, at: datetime, put: Input | None) -> Input | None:
        """Up to then, and the input; returns it when it is to be done later."""
        self._now.at = at
        stored = self._feed.to(to_us(at))
        self._set_clock(at)
        if stored:
            self._runner.run_once()
        self._tell(at)
        if put is None or not put.body:
            self._acting.ring(at)
        elif put.kind is InputKind.REJUDGED:
            self._bring(put)
        else:
            if put.body.get("name") == VERIFY:
                self._feed.roll()
            self._acting.ring(at)
            return self._acting.apply(put)
        return None

    def _tell(self, at: datetime) -> None:
        while (due := self._heap.pop(at)) is not None:
            told, finding = due
            with self._sandbox.tx(site_id=self._site) as conn:
                service.on_finding(conn, finding, told)

    def _bring(self, put: Input) -> None:
        """Late data of one asset: stored, judged again, and told as of then."""
        self._now.bringing = put
        if self._feed.release(put.body["asset_id"], to_us(put.at)):
            self._runner.run_once()
        self._now.bringing = None
        self._acting.applied[InputKind.REJUDGED] += 1

    def _set_clock(self, at: datetime) -> None:
        with self._sandbox.tx() as conn:
            clock.set_clock(conn, plant_now=at, factor=1.0)

    # -- what the runner calls ----------------------------------------------------------------------------------------

    def _still(self, conn: Connection) -> Clock:
        del conn
        return Still(self._now.at, self._now.at, 1.0)

    def _said(self, conn: Connection, finding: Finding, now: datetime) -> None:
        del conn, now
        self._heap.push(finding)

    def _rejudged(self, conn: Connection, rejudged: Rejudged, now: datetime) -> Changed:
        """As live did it: up to where live had judged; what is later is told in its own time."""
        put = self._now.bringing
        until = rejudged.until_at if put is None else min(put.body["until_at"], rejudged.until_at)
        self._heap.forget(rejudged.asset_id, until)
        for finding in rejudged.findings:
            if finding.at > until:
                self._heap.push(finding)
        known = [each for each in rejudged.findings if each.at <= until]
        return late.on_rejudged(conn, replace(rejudged, until_at=until, findings=known), now)


def period(conn: Connection, *, start: datetime | None, end: datetime, days: float | None = None) -> Period:
    """The time to run and to compare. ``conn`` reads the live site. Raises BadReplay."""
    first_us = feed.first_us(conn)
    if first_us is None:
        raise BadReplay("There are no samples on this site to run again.")
    begin = from_us(first_us)
    if start is None:
        start = begin if days is None else max(begin, end - timedelta(days=days))
    if start >= end:
        raise BadReplay("A replay goes from an earlier time to a later one.")
    if end > clock.load(conn).now():
        raise BadReplay("This time has not come yet: replay what is recorded.")
    if end <= begin:
        raise BadReplay(f"The samples that are kept begin at {begin.isoformat()}: choose a later time.")
    return Period(begin, max(start, begin), end)


def _key(finding: Finding) -> Key:
    return (
        finding.asset_id, finding.detector, finding.kind.value, finding.failure_mode or "", finding.at, finding.active,
        store.subject(finding),
    )  # fmt: skip
