"""Judges a time again that got late data, beside the live line, and puts the result in its place.

    late_stretches ── ripe ──> a memory from before ──> shadow line ── rows with all the data ──> at the watermark:
                                                                 findings, memory, older memories: one transaction

A shadow says what a line would have said that had known all data in time; until it has caught up the live line goes on.
Assets are judged together, so that the store is read once; a turn is bounded, so that live judging goes on beside.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from psycopg import Connection

from core import log
from core.database import Database
from detectors import declared, history, late, store
from detectors.base import Finding, OnRejudged, Rejudged
from detectors.chain import NAME
from detectors.findings import moment
from detectors.late import Stretch
from detectors.line import Line, Request, Said
from detectors.store import Snapshot, by_signal, samples_of
from plant import retention, telemetry
from plant.model import Asset, SampleBatch, Signal

SNAPSHOT_ROWS = 720
STRETCH_ROWS = 1_440  # rows of one transaction at most
TURN_S = 0.25  # of the wall, then live data have their turn
MOST_AT_ONCE = 64  # shadows in memory


@dataclass(slots=True)
class Shadow:
    """One asset under judgement again."""

    asset: Asset
    signals: Sequence[Signal]
    line: Line
    late_us: int  # the earliest late sample
    since_us: int  # judged again after this
    ids: list[int]  # of late_stretches
    rows: int = 0
    findings: list[Finding] = field(default_factory=list)
    memories: list[Snapshot] = field(default_factory=list)
    carried: set[int] = field(default_factory=set)  # requests

    def reached(self, mark_us: int) -> bool:
        return self.line.position_us + self.line.step_us > mark_us


class Replays:
    """The shadows of all sites. ``lines`` are the runner's live lines: a shadow that has caught up takes its place."""

    def __init__(self, database: Database, lines: MutableMapping[int, Line], on_rejudged: OnRejudged) -> None:
        self._database, self._lines, self._on_rejudged = database, lines, on_rejudged
        self._shadows: dict[int, Shadow] = {}
        self._log = log.get("detectors")

    @property
    def busy(self) -> bool:
        """Something is begun and not done."""
        return bool(self._shadows)

    def clear(self) -> None:
        """Forget what was begun: it is still written down as waiting."""
        self._shadows.clear()

    def turn(
        self,
        site_id: int,
        waiting: Sequence[Stretch],
        machines: Mapping[int, tuple[Asset, Sequence[Signal]]],
        *,
        now: datetime,
        turn_s: float = TURN_S,
    ) -> int:
        """Go on with the site's shadows for about ``turn_s``; returns the rows judged. ``now`` is plant time."""
        until_s = time.monotonic() + turn_s
        rows = 0
        self._begin(site_id, waiting, machines)
        while mine := [each for each in self._shadows.values() if each.asset.site_id == site_id]:
            rows += self._stretch(site_id, mine, now)
            if time.monotonic() >= until_s:
                break
        return rows

    # -- beginning ----------------------------------------------------------------------------------------------------

    def _begin(
        self,
        site_id: int,
        waiting: Sequence[Stretch],
        machines: Mapping[int, tuple[Asset, Sequence[Signal]]],
    ) -> None:
        room = MOST_AT_ONCE - len(self._shadows)
        fresh = [each for each in waiting if each.asset_id not in self._shadows][: max(room, 0)]
        if not fresh:
            return
        with self._database.tx(site_id=site_id) as conn:
            taken = late.take(conn, [each.asset_id for each in fresh])
            for each in fresh:
                found, ids = machines.get(each.asset_id), taken.get(each.asset_id, [])
                shadow = _shadow(conn, *found, each, ids) if found and ids else None
                if shadow is not None:
                    self._shadows[each.asset_id] = shadow
                elif ids:  # its signals or samples are gone: nothing is there to judge
                    late.settle(conn, ids, from_us=each.until_us, rows=0)

    # -- judging ------------------------------------------------------------------------------------------------------

    def _stretch(self, site_id: int, shadows: Sequence[Shadow], now: datetime) -> int:
        """The next rows of those that are furthest behind."""
        start = min(each.line.position_us for each in shadows)
        end = start + STRETCH_ROWS * min(each.line.step_us for each in shadows)
        turn = [each for each in shadows if each.line.position_us < end]
        ids = [signal.signal_id for each in turn for signal in each.signals]
        with self._database.tx(site_id=site_id) as conn:
            marks = store.watermarks(conn)
            batch = by_signal(telemetry.read_frame_samples(conn, ids, start, end))
            if not len(batch):
                _cross_hole(conn, turn, marks)
        return sum(
            self._advance(site_id, each, batch, min(end, marks.get(each.asset.asset_id, end)), now) for each in turn
        )

    def _advance(self, site_id: int, shadow: Shadow, batch: SampleBatch, until_us: int, now: datetime) -> int:
        asset_id = shadow.asset.asset_id
        before = shadow.rows
        with self._database.tx(site_id=site_id) as conn:
            known = store.requests(conn, after_us={asset_id: shadow.since_us}).get(asset_id, [])
            done = [each for each in known if each.done]
            if any(each.at_us <= shadow.line.position_us and each.request_id not in shadow.carried for each in done):
                self._again(shadow)
                return 0
            self._judge(conn, shadow, samples_of(batch, shadow.signals, shadow.line.position_us), done, until_us)
            mark = store.lock_watermarks(conn, [asset_id]).get(asset_id)
            if mark is not None and shadow.reached(mark):
                self._replace(conn, shadow, now)
        if mark is not None and shadow.reached(mark):
            self._take_over(shadow, mark)
        return shadow.rows - before

    def _judge(
        self, conn: Connection, shadow: Shadow, batch: SampleBatch, requests: Sequence[Request], until_us: int
    ) -> None:
        line = shadow.line
        position_us = line.position_us
        said: Said = line.advance(batch, [each for each in requests if each.at_us > position_us], until_us=until_us)
        shadow.carried.update(each.request_id for each in requests if each.at_us <= line.position_us)
        shadow.rows += said.rows
        shadow.findings += said.findings
        store.clear_bands(conn, [s.signal_id for s in shadow.signals], max(position_us, shadow.late_us - 1), until_us)
        telemetry.write_bands(conn, said.bands)
        if line.rows_since_snapshot >= SNAPSHOT_ROWS:
            shadow.memories.append(Snapshot(line.version, line.position_us, line.dump()))
            line.rows_since_snapshot = 0

    def _again(self, shadow: Shadow) -> None:
        """A request came for a time judged already: begin anew with the next turn."""
        del self._shadows[shadow.asset.asset_id]

    # -- taking its place ---------------------------------------------------------------------------------------------

    def _replace(self, conn: Connection, shadow: Shadow, now: datetime) -> None:
        asset_id, line = shadow.asset.asset_id, shadow.line
        changed = self._on_rejudged(
            conn,
            Rejudged(asset_id, shadow.asset.site_id, moment(shadow.late_us), moment(line.position_us), shadow.findings),
            now,
        )
        history.forget_from(conn, asset_id, NAME, from_us=shadow.late_us)
        for memory in shadow.memories:
            history.add(conn, asset_id, NAME, memory, spacing_us=SNAPSHOT_ROWS * line.step_us)
        store.save_snapshot(conn, asset_id, NAME, Snapshot(line.version, line.position_us, line.dump()))
        late.settle(
            conn,
            shadow.ids,
            from_us=shadow.since_us,
            rows=shadow.rows,
            told=changed.told,
            withdrawn=changed.withdrawn,
        )

    def _take_over(self, shadow: Shadow, mark_us: int) -> None:
        shadow.line.muted_us = max(mark_us, shadow.line.position_us)
        self._lines[shadow.asset.asset_id] = shadow.line
        del self._shadows[shadow.asset.asset_id]
        self._log.info(
            "detectors.judged_again",
            asset=shadow.asset.code,
            late=moment(shadow.late_us).isoformat(),
            since=moment(shadow.since_us).isoformat(),
            rows=shadow.rows,
        )


def _shadow(
    conn: Connection, asset: Asset, signals: Sequence[Signal], stretch: Stretch, ids: list[int]
) -> Shadow | None:
    """A line at the newest memory from before the late data; without one, at the first sample. None: no samples.

    Where retention has taken samples since, what is left is judged again from the first memory that needs none of them.
    """
    signal_ids = [signal.signal_id for signal in signals]
    raw_us = retention.raw_since_us(conn, signal_ids)
    late_us = max(stretch.from_us, raw_us)
    line = Line(asset, signals, position_us=0, muted_us=0)
    memory = _memory(conn, asset.asset_id, line.version, late_us)
    if memory is None or memory.watermark_us < raw_us:
        memory = history.since(conn, asset.asset_id, NAME, version=line.version, since_us=raw_us) if raw_us else None
        late_us = late_us if memory is None else max(late_us, memory.watermark_us + 1)
    since_us = store.first_sample_us(conn, signal_ids) if memory is None else memory.watermark_us
    if since_us is None:
        return None
    line = Line(asset, signals, position_us=since_us - (memory is None), muted_us=late_us - 1)
    declared.load(conn).tell(line)
    if memory is not None:
        line.load(memory.state)
    return Shadow(asset, signals, line, late_us, line.position_us, ids)


def _memory(conn: Connection, asset_id: int, version: str, before_us: int) -> Snapshot | None:
    newest = store.snapshot(conn, asset_id, NAME)
    if newest is not None and newest.version == version and newest.watermark_us < before_us:
        return newest
    return history.before(conn, asset_id, NAME, version=version, before_us=before_us)


def _cross_hole(conn: Connection, shadows: Sequence[Shadow], marks: Mapping[int, int]) -> None:
    """Nothing was heard in this stretch: go to the next sample at once, or to the watermark."""
    for each in shadows:
        ids = [signal.signal_id for signal in each.signals]
        mark = marks.get(each.asset.asset_id, each.line.position_us)
        next_us = store.next_sample_us(conn, ids, each.line.position_us)
        each.line.skip_to(mark if next_us is None else min(next_us, mark))
