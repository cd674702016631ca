"""Judges new samples of every asset: the loop around the pure part.

    store ──after the position──> samples ──> line (rows, chain) ──> on_finding ┐
                                                                     bands      ├ one transaction an asset and stretch
                                                                     snapshot   │
                                                                     watermark  ┘

The telemetry store is the log; a line's memory is a cache. After a crash a line starts from its snapshot, replays up
to the watermark in silence, and goes on: nothing is said twice, nothing is missed. What comes later than the watermark
is judged again beside it (``detectors.replay``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import psycopg
from psycopg import Connection

from core import log
from core.clock import Clock
from core.database import Database, site_ids
from core.errors import MillwrightError
from detectors import declared, history, late, store
from detectors.base import Changed, Finding, OnFinding, OnFindings, OnRejudged, Rejudged
from detectors.chain import NAME
from detectors.declared import Declared
from detectors.frames import SECOND_US, grid_step_us
from detectors.late import Stretch
from detectors.line import Action, Line, Request, Said
from detectors.replay import SNAPSHOT_ROWS, STRETCH_ROWS, TURN_S, Replays
from detectors.store import Heard, by_signal, samples_of
from plant import assets, telemetry
from plant.model import Asset, Role, SampleBatch, Signal

CHANNEL = "millwright_samples"
POLL_S = 1.0
RETRY_S = 2.0
GRACE_S = 5.0  # seconds of the wall that a late signal is waited for
HOLD_S = 4.0  # what is judged without waiting for a signal's next sample stays so far behind the newest
BACKFILL_S = 3.0  # a new asset is judged when its history has been coming no longer for so many seconds
PATIENCE_S = 30.0
REST, REST_S = 3.0, 8.0  # after a pass: times its length, and at most so many seconds of the wall
BEHIND_ROWS = 60  # a machine and pass: this is history, not live
TOGETHER = 100  # machines of which nothing is said and that share a transaction, at most
HISTORY = timedelta(hours=1)  # what is older than this when it comes is history …
LIVE_S = timedelta(seconds=30)  # … and older than so much of the wall, where the plant's clock runs fast


class Patience(Enum):
    """Whether to wait for signals that are late."""

    NONE = "none"  # everything that will come is there
    LIVE = "live"
    SHARED = "shared"  # as LIVE, with several processes that store: samples of one signal may overtake each other


@dataclass(frozen=True, slots=True)
class _Site:
    """What is to do on one site."""

    site_id: int
    clock: Clock
    due: Sequence[_Due]
    late: Sequence[Stretch]
    machines: Mapping[int, tuple[Asset, Sequence[Signal]]]
    declared: Declared


@dataclass(frozen=True, slots=True)
class _Due:
    """An asset with rows to judge up to ``until_us``."""

    asset: Asset
    signals: Sequence[Signal]
    until_us: int
    waiting: bool  # an open request


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a line said of a stretch. ``from_us``: a watermark beyond it is another owner's."""

    line: Line
    wanted: Sequence[Request]
    from_us: int
    said: Said

    @property
    def asset_id(self) -> int:
        return self.line.asset.asset_id


class Runner:
    """Runs all assets of all sites. One at a time an instance: a lock an asset keeps a second one out."""

    def __init__(
        self,
        database: Database,
        load_clock: Callable[[Connection], Clock],
        on_finding: OnFinding,
        on_rejudged: OnRejudged | None = None,
        on_findings: OnFindings | None = None,
    ) -> None:
        """``on_findings``: told of a machine's findings of a transaction together, instead of one by one."""
        self._on_findings = on_findings or _OneByOne(on_finding)
        self._database, self._load_clock = database, load_clock
        self._lines: dict[int, Line] = {}
        self._replays = Replays(database, self._lines, on_rejudged or _TellAgain(on_finding))
        self._waiting: dict[int, float] = {}  # new assets: since when their history is waited for
        self._log = log.get("detectors")

    def run_once(self) -> int:
        """Judge everything that is stored, late data too, and wait for nothing; returns the rows judged."""
        return self._pass(Patience.NONE)

    def run_forever(self, stop: threading.Event, *, patience: Patience = Patience.LIVE) -> None:
        """Judge whenever samples come, until ``stop``; outlives restarts of the database."""
        while not stop.is_set():
            try:
                with self._database.connect() as listener:
                    listener.execute("listen millwright_samples")
                    while not stop.is_set():
                        began = time.monotonic()
                        rows = self._pass(patience)
                        stop.wait(self._rest_s(rows, time.monotonic() - began))
                        for _ in listener.notifies(timeout=0 if self._replays.busy else POLL_S, stop_after=1):
                            pass
            except (psycopg.OperationalError, MillwrightError) as error:
                self._lines.clear()
                self._replays.clear()
                self._log.warning("detectors.waits", error=str(error))
                stop.wait(RETRY_S)

    def _pass(self, patience: Patience) -> int:
        with self._database.tx() as conn:
            sites = site_ids(conn)
        rows = 0
        for site_id in sites:
            site = self._look(site_id, patience)
            rows += self._run_site(site) + self._judge_again(site, patience)
        return rows

    def _rest_s(self, rows: int, worked_s: float) -> float:
        """How long to let samples gather: many machines are judged a few rows at once, as a row costs less then.

        Not while history is caught up with, or late data are judged again.
        """
        behind = self._replays.busy or rows > BEHIND_ROWS * len(self._lines)
        return 0.0 if behind else min(REST * worked_s, REST_S)

    def _judge_again(self, site: _Site, patience: Patience) -> int:
        """What came late: at most ``TURN_S``, so that live data are not kept waiting."""
        if not (site.late or self._replays.busy):
            return 0
        ripe = [each for each in site.late if each.ripe or patience is Patience.NONE]
        turn_s = float("inf") if patience is Patience.NONE else TURN_S
        return self._replays.turn(site.site_id, ripe, site.machines, now=site.clock.now(), turn_s=turn_s)

    def _look(self, site_id: int, patience: Patience) -> _Site:
        """What is to do on a site, by what was heard last."""
        with self._database.tx(site_id=site_id) as conn:
            clock = self._load_clock(conn)
            heard, marks, wanted = store.heard(conn), store.watermarks(conn), store.open_requests(conn)
            told = declared.load(conn)
            arriving = set() if patience is Patience.NONE else self._arriving(conn, clock)
            by_asset = _by_asset(assets.signals_of_site(conn))
            found = {asset.asset_id: (asset, by_asset.get(asset.asset_id, [])) for asset in assets.assets(conn)}
            late.note(conn, self._judged(marks))
            waiting_late = late.waiting(conn)
            due = []
            for asset, signals in found.values():
                until_us = complete_until(signals, heard, patience, factor=clock.factor)
                if until_us is None or (asset.asset_id not in marks and self._waits(asset, signals, arriving)):
                    continue
                waiting = wanted.get(asset.asset_id, until_us + 1) <= until_us
                if waiting or until_us >= marks.get(asset.asset_id, 0) + grid_step_us(signals):
                    due.append(_Due(asset, signals, until_us, waiting))
        return _Site(site_id, clock, due, waiting_late, found, told)

    def _judged(self, marks: Mapping[int, int]) -> dict[int, int]:
        """Up to when each asset is judged; a line in memory may have crossed a hole beyond its watermark."""
        return {
            asset_id: max(mark, self._lines[asset_id].position_us) if asset_id in self._lines else mark
            for asset_id, mark in marks.items()
        }

    @staticmethod
    def _arriving(conn: Connection, clock: Clock) -> set[int] | None:
        """Signals whose history is coming in just now; None: may be any."""
        before = clock.now() - max(HISTORY, LIVE_S * clock.factor)
        return store.backfilling(conn, before=before, within_s=BACKFILL_S)

    def _waits(self, asset: Asset, signals: Sequence[Signal], arriving: set[int] | None) -> bool:
        """Whether a new asset waits for the rest of its history; not longer than ``PATIENCE_S`` of the wall."""
        if arriving is not None and arriving.isdisjoint(signal.signal_id for signal in signals):
            return False
        since = self._waiting.setdefault(asset.asset_id, time.monotonic())
        return time.monotonic() - since < PATIENCE_S

    def _run_site(self, site: _Site) -> int:
        """Stretch by stretch, so that samples of all assets are read together."""
        rows, due = 0, [each for each in site.due if self._line(site, each)]
        while due:
            start = min(self._lines[each.asset.asset_id].position_us for each in due)
            end = start + STRETCH_ROWS * min(grid_step_us(each.signals) for each in due)
            now = [each for each in due if self._lines[each.asset.asset_id].position_us < end]
            batch = self._read(site, now, start, end)
            for first in range(0, len(now), TOGETHER):
                rows += self._advance(site, now[first : first + TOGETHER], batch, end)
            if not len(batch):
                self._skip(site, now)
            due = [each for each in due if self._unfinished(each)]
        return rows

    def _skip(self, site: _Site, due: Sequence[_Due]) -> None:
        """Cross a hole in the samples at once."""
        with self._database.tx(site_id=site.site_id) as conn:
            for each in due:
                line = self._lines.get(each.asset.asset_id)
                ids = [signal.signal_id for signal in each.signals]
                next_us = None if line is None else store.next_sample_us(conn, ids, line.position_us)
                if line is not None and next_us is not None:
                    line.skip_to(next_us)

    def _unfinished(self, due: _Due) -> bool:
        line = self._lines.get(due.asset.asset_id)
        return line is not None and line.position_us + line.step_us <= due.until_us

    def _read(self, site: _Site, due: Sequence[_Due], start_us: int, end_us: int) -> SampleBatch:
        ids = [signal.signal_id for each in due for signal in each.signals]
        end_us = min(end_us, max(each.until_us for each in due))
        with self._database.tx(site_id=site.site_id) as conn:
            return by_signal(telemetry.read_frame_samples(conn, ids, start_us, end_us))

    def _advance(self, site: _Site, due: Sequence[_Due], batch: SampleBatch, end_us: int) -> int:
        """One stretch of these assets; returns the rows judged.

        What is said of a machine has a transaction of its own; those of which nothing is said share one.
        """
        wanted = self._wanted(site, due)
        said = [_judged(self._lines, each, batch, wanted, end_us) for each in due]
        for each in said:
            if broken := each.line.take_broken():
                self._log.error("detectors.companion_broke", asset=each.line.asset.code, **broken)
        silent = [each for each in said if not (each.said.findings or each.said.carried_out)]
        loud = [[each] for each in said if each.said.findings or each.said.carried_out]
        return sum(self._keep(site, each) for each in [silent, *loud] if each)

    def _wanted(self, site: _Site, due: Sequence[_Due]) -> Mapping[int, Sequence[Request]]:
        positions = {each.asset.asset_id: self._lines[each.asset.asset_id].position_us for each in due}
        with self._database.tx(site_id=site.site_id) as conn:
            return store.requests(conn, after_us=positions)

    def _keep(self, site: _Site, those: Sequence[_Judged]) -> int:
        """Tell and write what was judged, in one transaction; where that fails for several, each in one of its own.

        Another owner or an error drops the line.
        """
        try:
            with self._database.tx(site_id=site.site_id) as conn:
                marks = store.lock_watermarks(conn, [each.asset_id for each in those])
                mine = [each for each in those if marks.get(each.asset_id, 0) <= each.from_us]
                self._write(conn, site, mine)
        except (psycopg.Error, MillwrightError) as error:
            if isinstance(error, psycopg.OperationalError):
                raise
            if len(those) > 1:  # one that fails must not keep the others from being judged
                return sum(self._keep(site, [each]) for each in those)
            self._log.error("detectors.failed", asset=those[0].line.asset.code, error=repr(error))
            return 0
        for each in mine:
            each.line.muted_us = max(each.line.muted_us, each.line.position_us)
            self._lines[each.asset_id] = each.line
        return sum(each.said.rows for each in mine)

    def _write(self, conn: Connection, site: _Site, those: Sequence[_Judged]) -> None:
        now = site.clock.now()
        for each in those:
            line, said = each.line, each.said
            self._on_findings(conn, said.findings, now)
            if said.carried_out:
                store.finish(conn, said.carried_out, now=now)
                history.forget_from(conn, each.asset_id, NAME, from_us=_earliest(each.wanted, said.carried_out))
            if said.carried_out or line.rows_since_snapshot >= SNAPSHOT_ROWS:
                kept = store.Snapshot(line.version, line.position_us, line.dump())
                store.save_snapshot(conn, each.asset_id, NAME, kept)
                history.add(conn, each.asset_id, NAME, kept, spacing_us=SNAPSHOT_ROWS * line.step_us)
                line.rows_since_snapshot = 0
        telemetry.write_bands(conn, [band for each in those for band in each.said.bands])
        moved = {each.asset_id: each.line.position_us for each in those if each.line.position_us > each.line.muted_us}
        store.save_watermarks(conn, moved)

    def _line(self, site: _Site, due: _Due) -> Line | None:
        """The asset's line, from memory, from its snapshot, or from the beginning of its samples."""
        asset_id = due.asset.asset_id
        line = self._lines.get(asset_id)
        if line is None or line.signals != due.signals:
            with self._database.tx(site_id=site.site_id) as conn:
                line = open_line(conn, due.asset, due.signals, site.declared)
            if line is None:
                self._lines.pop(asset_id, None)
                return None
            self._lines[asset_id] = line
        site.declared.tell(line)
        return line


def _judged(
    lines: dict[int, Line], due: _Due, batch: SampleBatch, wanted: Mapping[int, Sequence[Request]], end_us: int
) -> _Judged:
    """Advance a line, which leaves ``lines`` until what it said is kept."""
    line = lines.pop(due.asset.asset_id)
    from_us, asked = max(line.muted_us, line.position_us), wanted.get(due.asset.asset_id, ())
    mine = samples_of(batch, due.signals, line.position_us)
    return _Judged(line, asked, from_us, line.advance(mine, asked, until_us=min(end_us, due.until_us)))


def open_line(conn: Connection, asset: Asset, signals: Sequence[Signal], told: Declared) -> Line | None:
    """A line at its snapshot; without one that fits, at the first sample. None: there are no samples."""
    mark = store.watermarks(conn, [asset.asset_id]).get(asset.asset_id, 0)
    kept = store.snapshot(conn, asset.asset_id, NAME)
    if kept is not None:
        line = Line(asset, signals, position_us=kept.watermark_us, muted_us=mark)
        told.tell(line)
        if kept.version == line.version:
            line.load(kept.state)
            return line
    first_us = store.first_sample_us(conn, [signal.signal_id for signal in signals])
    if first_us is None:
        return None
    return Line(asset, signals, position_us=first_us - 1, muted_us=mark)


def complete_until(
    signals: Sequence[Signal], heard: Mapping[int, Heard], patience: Patience, *, factor: float = 1.0
) -> int | None:
    """Time up to which an asset's samples are complete; None when there is nothing to judge.

    The slowest signal counts, unless it is late by more than two of its periods and has been waited for. Beyond a
    signal's newest sample nothing is judged that is younger than ``HOLD_S`` of the wall (``factor``: of the plant
    clock): a sample on its way is not late.
    """
    known = [(signal, heard[signal.signal_id]) for signal in signals if signal.signal_id in heard]
    if not known or all(signal.role is not Role.MEASURED for signal in signals):
        return None
    newest, ago_s = max((last.at_us, -last.ago_s) for _, last in known)
    if patience is Patience.NONE:
        return newest
    ripe_us = newest - round(max(HOLD_S + ago_s, 0.0) * factor * SECOND_US)
    step_us = grid_step_us(signals)
    until_us = max(ripe_us, 0) if patience is Patience.SHARED else newest
    for signal, last in known:
        period_us = round(signal.period_s * SECOND_US)
        late = newest - last.at_us > 2 * max(period_us, step_us) and last.ago_s > GRACE_S
        bound_us = ripe_us if late else min(last.at_us + max(period_us - step_us, 0), ripe_us)
        until_us = min(until_us, max(bound_us, last.at_us))
    return until_us


def relearn(conn: Connection, asset_id: int, at: datetime) -> int:
    """Ask for a new baseline of the asset's detectors after a repair at a plant time."""
    return store.request(conn, asset_id, Action.RELEARN, at=at)


def _by_asset(signals: Sequence[Signal]) -> dict[int, list[Signal]]:
    found: dict[int, list[Signal]] = {}
    for signal in signals:
        found.setdefault(signal.asset_id, []).append(signal)
    return found


def _earliest(requests: Sequence[Request], ids: Sequence[int]) -> int:
    return min(each.at_us for each in requests if each.request_id in ids)


class _OneByOne:
    """Tells findings one by one."""

    def __init__(self, on_finding: OnFinding) -> None:
        self._on_finding = on_finding

    def __call__(self, conn: Any, said: Sequence[Finding], now: datetime) -> None:
        for finding in said:
            self._on_finding(conn, finding, now)


class _TellAgain:
    """Tells each finding again, in order, to a callback that knows what it was told before."""

    def __init__(self, on_finding: OnFinding) -> None:
        self._on_finding = on_finding

    def __call__(self, conn: Any, rejudged: Rejudged, now: datetime) -> Changed:
        for finding in rejudged.findings:
            self._on_finding(conn, finding, now)
        return Changed(told=len(rejudged.findings), withdrawn=0)
