"""Runs the detectors over the store: live, in catch-up after a crash, and over a new machine's history alike.

    NOTIFY millwright_samples ──> round ──> per asset: samples after the watermark ──> frame ──> detector
                                                       │
             one transaction: findings ──> on_finding, bands, snapshot now and then, the watermark

The watermark is the fence: it moves from the value that this process knows, or somebody else has moved it and our state
is thrown away. A snapshot may be older than the watermark; then the rows between are judged again in silence.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import psycopg
from psycopg import Connection

from core import log
from core.clock import Clock
from core.database import Database, site_ids
from core.errors import Unavailable
from detectors import store
from detectors.base import Finding, Judgement, OnFinding
from detectors.chain import NAME, VERSION, Chain, create_chain
from detectors.frames import build_frames, grid_step_us, look_back_us
from detectors.store import Action, Machine, Request, Snapshot
from plant import telemetry
from plant.model import SampleBatch

CHANNEL = "millwright_samples"
ROWS_AT_ONCE = 4_000
ASSETS_AT_ONCE = 32
SILENCE = timedelta(seconds=30)  # of wall time: then a whole machine's silence counts as missing rows
SILENCE_STEPS = 5
MACHINES_S = 2.0  # how often assets and signals are read again
REBUILD_ROWS = 20_160  # a fortnight of minutes
LEAST_PAUSE_S = 0.2
RETRY_S = 1.0
GIVE_UP_FOR_S = 30.0
logger = log.get("detectors")


class Overtaken(Exception):
    """Another process moved the asset's watermark."""


@dataclass(slots=True)
class Watch:
    """One asset with its detector in memory. ``known_us``: the watermark as this process left it."""

    machine: Machine
    chain: Chain
    step_us: int
    look_back_us: int
    known_us: int | None = None
    saved_s: float = field(default_factory=time.monotonic)


class Runner:
    """All assets of all sites. ``clock_of(conn)`` gives the plant clock; one thread calls the methods."""

    def __init__(
        self,
        database: Database,
        clock_of: Callable[[Connection], Clock],
        on_finding: OnFinding,
        *,
        snapshot_s: float = 30.0,
        poll_s: float = 2.0,
    ) -> None:
        self.database = database
        self._clock_of = clock_of
        self._on_finding = on_finding
        self._snapshot_s = snapshot_s
        self._poll_s = poll_s
        self._watches: dict[int, Watch] = {}
        self._machines: dict[int, list[Machine]] = {}
        self._machines_s = float("-inf")
        self._resting: dict[int, float] = {}  # asset id → monotonic time until which it is left alone

    def run_forever(self, stop: threading.Event) -> None:
        """Judge until ``stop``; woken by ingest, and by itself every ``poll_s``. Waits for a database that is away."""
        while not stop.is_set():
            try:
                with self.database.connect() as listener:
                    listener.execute(f"listen {CHANNEL}")
                    self._rounds(listener, stop)
            except (psycopg.OperationalError, Unavailable) as error:
                logger.warning("database away", why=str(error))
                self._watches.clear()
                stop.wait(RETRY_S)

    def run_once(self) -> int:
        """Judge everything that is there; returns the number of rows judged."""
        total = 0
        while rows := self._round():
            total += rows
        return total

    def _rounds(self, listener: Connection, stop: threading.Event) -> None:
        while not stop.is_set():
            began = time.monotonic()
            if not self._round():
                for _ in listener.notifies(timeout=self._poll_s, stop_after=1):
                    pass
            stop.wait(max(0.0, LEAST_PAUSE_S - (time.monotonic() - began)))

    def _round(self) -> int:
        """One step of every asset that has rows waiting."""
        self._read_machines()
        return sum(self._site_round(site_id, machines) for site_id, machines in self._machines.items())

    def _read_machines(self) -> None:
        if time.monotonic() - self._machines_s < MACHINES_S:
            return
        with self.database.tx() as conn:
            sites = site_ids(conn)
        for site_id in sites:
            with self.database.tx(site_id=site_id) as conn:
                self._machines[site_id] = store.machines(conn)
        self._machines_s = time.monotonic()

    def _site_round(self, site_id: int, machines: Sequence[Machine]) -> int:
        with self.database.tx(site_id=site_id) as conn:
            clock = self._clock_of(conn)
            silent_us = telemetry.to_us(clock.now() - SILENCE * clock.factor)
            newest, marks, asked = store.newest(conn), store.watermarks(conn), store.requests(conn)
        for request in asked:
            self._carry_out(site_id, request, machines, marks)
        waiting = []
        for machine in machines:
            if machine.asset_id not in newest or self._rests(machine.asset_id):
                continue
            step_us = grid_step_us(machine.signals)
            until_us = _until(newest[machine.asset_id], silent_us, step_us)
            if until_us > marks.get(machine.asset_id, 0):
                waiting.append((machine, marks.get(machine.asset_id), until_us))
        return self._judge(site_id, waiting)

    def _rests(self, asset_id: int) -> bool:
        return self._resting.get(asset_id, 0.0) > time.monotonic()

    def _judge(self, site_id: int, waiting: Sequence[tuple[Machine, int | None, int]]) -> int:
        """The assets that are furthest behind, over one window of time that is read once."""
        spans = []
        with self.database.tx(site_id=site_id) as conn:
            for machine, mark_us, until_us in sorted(waiting, key=lambda each: each[1] or 0)[:ASSETS_AT_ONCE]:
                after_us = mark_us if mark_us is not None else self._beginning(conn, machine)
                if after_us is not None:
                    spans.append((machine, mark_us, after_us, until_us))
            if not spans:
                return 0
            window_us = min(after + ROWS_AT_ONCE * grid_step_us(m.signals) for m, _, after, _ in spans)
            spans = [(m, mark, after, min(until, window_us)) for m, mark, after, until in spans if after < window_us]
            batch = self._read(conn, [(m, after, until) for m, _, after, until in spans])
        return sum(self._step(site_id, m, mark, after, until, batch) for m, mark, after, until in spans)

    def _beginning(self, conn: Connection, machine: Machine) -> int | None:
        """Just before the first sample of a machine that was never judged."""
        first_us = store.first_sample_us(conn, [signal.signal_id for signal in machine.signals])
        step_us = grid_step_us(machine.signals)
        return None if first_us is None else (first_us // step_us - 1) * step_us

    def _read(self, conn: Connection, spans: Iterable[tuple[Machine, int, int]]) -> SampleBatch:
        ids: list[int] = []
        first_us, last_us = 1 << 62, 0
        for machine, after_us, until_us in spans:
            ids += [signal.signal_id for signal in machine.signals]
            back_us = look_back_us(machine.signals, step_us=grid_step_us(machine.signals))
            first_us, last_us = min(first_us, after_us - back_us), max(last_us, until_us)
        return telemetry.read_frame_samples(conn, ids, first_us, last_us)

    def _step(
        self, site_id: int, machine: Machine, mark_us: int | None, after_us: int, until_us: int, batch: SampleBatch
    ) -> int:
        """Judge one asset's rows in (after, until]; a failure leaves the watermark, and the asset alone for a while."""
        asset_id = machine.asset_id
        try:
            watch = self._watch(site_id, machine, mark_us)
            mine = _of(batch, machine)
            frame = build_frames(mine, machine.signals, after_us=after_us, until_us=until_us, step_us=watch.step_us)
            judgement = watch.chain.update(frame)
            with self.database.tx(site_id=site_id) as conn:
                self._keep(conn, watch, judgement, before_us=mark_us, until_us=until_us)
            watch.known_us = until_us
            return len(frame)
        except Overtaken:
            self._watches.pop(asset_id, None)
            logger.warning("another process judges this asset", asset=asset_id)
        except (psycopg.OperationalError, Unavailable):
            self._watches.pop(asset_id, None)
            raise
        except Exception:  # one asset's trouble must not silence all others; it is said and tried again
            self._watches.pop(asset_id, None)
            self._resting[asset_id] = time.monotonic() + GIVE_UP_FOR_S
            logger.exception("asset not judged", asset=asset_id, after_us=after_us, until_us=until_us)
        return 0

    def _keep(
        self, conn: Connection, watch: Watch, judgement: Judgement, *, before_us: int | None, until_us: int
    ) -> None:
        """Everything that follows from a judged span, in the caller's transaction. Raises Overtaken."""
        asset_id = watch.machine.asset_id
        if not store.advance(conn, asset_id, before_us=before_us, to_us=until_us):
            raise Overtaken
        self._report(conn, judgement.findings)
        telemetry.write_bands(conn, judgement.bands)
        if time.monotonic() - watch.saved_s >= self._snapshot_s or before_us is None:
            store.save(conn, asset_id, NAME, Snapshot(VERSION, until_us, watch.chain.dump()))
            watch.saved_s = time.monotonic()

    def _report(self, conn: Connection, findings: Sequence[Finding]) -> None:
        now = self._clock_of(conn).now()
        for finding in findings:
            self._on_finding(conn, finding, max(now, finding.at))

    def _carry_out(self, site_id: int, request: Request, machines: Sequence[Machine], marks: dict[int, int]) -> None:
        """Relearn, or gather evidence anew, right after the last judged row; kept with a snapshot of that moment."""
        machine = next((each for each in machines if each.asset_id == request.asset_id), None)
        mark_us = marks.get(request.asset_id)
        if machine is None or mark_us is None:
            with self.database.tx(site_id=site_id) as conn:
                store.settle(conn, request.request_id, at_us=request.at_us)
            return
        if mark_us < request.at_us or self._rests(request.asset_id):
            return  # not judged up to that moment yet
        watch = self._watch(site_id, machine, mark_us)
        if request.action is Action.RELEARN:
            watch.chain.relearn(mark_us)
        else:
            watch.chain.intervene(mark_us)
        with self.database.tx(site_id=site_id) as conn:
            store.save(conn, machine.asset_id, NAME, Snapshot(VERSION, mark_us, watch.chain.dump()))
            store.settle(conn, request.request_id, at_us=mark_us)
        watch.saved_s = time.monotonic()

    def _watch(self, site_id: int, machine: Machine, mark_us: int | None) -> Watch:
        """The asset's detector as it was after the row at ``mark_us``."""
        watch = self._watches.get(machine.asset_id)
        if watch and watch.known_us == mark_us and watch.machine.signals == machine.signals:
            return watch
        watch = self._fresh(machine)
        if mark_us is not None:
            self._resume(site_id, watch, mark_us)
        watch.known_us = mark_us
        self._watches[machine.asset_id] = watch
        return watch

    def _fresh(self, machine: Machine) -> Watch:
        step_us = grid_step_us(machine.signals)
        chain = create_chain(machine.asset_id, machine.site_id, machine.asset_class, machine.signals)
        return Watch(machine, chain, step_us, look_back_us(machine.signals, step_us=step_us))

    def _resume(self, site_id: int, watch: Watch, mark_us: int) -> None:
        """Snapshot, and the rows after it judged in silence; without one that fits, the last fortnight's rows."""
        asset_id = watch.machine.asset_id
        with self.database.tx(site_id=site_id) as conn:
            snapshot = store.load(conn, asset_id, NAME)
        from_us = mark_us - REBUILD_ROWS * watch.step_us
        if snapshot and snapshot.watermark_us <= mark_us:
            try:
                watch.chain.load(snapshot.state)
                from_us = snapshot.watermark_us
            except ValueError as error:
                logger.warning("detector state rebuilt from the store", asset=asset_id, why=str(error))
        while from_us < mark_us:
            until_us = min(mark_us, from_us + ROWS_AT_ONCE * watch.step_us)
            with self.database.tx(site_id=site_id) as conn:
                batch = self._read(conn, [(watch.machine, from_us, until_us)])
            frame = build_frames(
                batch, watch.machine.signals, after_us=from_us, until_us=until_us, step_us=watch.step_us
            )
            watch.chain.update(frame)
            from_us = until_us


def _until(newest_us: int, silent_us: int, step_us: int) -> int:
    """Last grid row that may be judged: complete by data, or silent for so long that its absence is the news."""
    complete = (newest_us // step_us - 1) * step_us
    silent = (silent_us // step_us - SILENCE_STEPS) * step_us
    return max(complete, silent)


def _of(batch: SampleBatch, machine: Machine) -> SampleBatch:
    """The rows of a batch that belong to one machine."""
    lookup = [signal.signal_id for signal in machine.signals]
    mine = (batch.signal_id[:, None] == lookup).any(axis=1) if len(lookup) < 64 else None
    if mine is None:
        return batch
    return SampleBatch(batch.signal_id[mine], batch.at_us[mine], batch.value[mine], batch.quality[mine])
