"""What was heard of every tag and source: the last sign of life, and how long its pauses are. Pure.

Time is *listened* time: it stands still while we are down, cut off from the broker, or cannot store. A pause is learnt
as usual, so that a leisurely sender is no liar; a very long one only in part, since it may have been a fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Key = tuple[int, str]  # site, source
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEVER = np.iinfo(np.int64).min
LATE = 1.5  # nominal periods
PATIENT = 1.25  # of the longest pause lately
SOONEST_S = 1.0
STRANGE_S = 600.0  # whose pace nobody knows yet
KNOWN_PAUSES = 3
FORGET = 0.98  # of the longest pause, at each sign of life
LEAP = 4.0  # a pause teaches at most this many times what was waited for
HEARTBEAT_S = 10.0  # a gateway reports this often
POLL_S = 0.25  # times are known no better


@dataclass(frozen=True, slots=True)
class Tag:
    """A bound tag. ``every_s``: nominal seconds of the wall between samples; None: it comes when it changes."""

    site_id: int
    source: str
    signal_id: int
    asset_id: int
    every_s: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """A watched source: ``limit`` None = it cannot be called silent by time alone."""

    life: Life
    tags: int
    periodic: bool  # has tags that come by themselves
    expected: float
    limit: float | None


@dataclass(slots=True)
class Life:
    """Signs of life of one source: the last one, the longest pause lately, pauses seen, whether it reports itself."""

    last: float = 0.0
    pause: float = 0.0
    pauses: int = -1
    reports: bool = False


class Hearing:
    """Remembers who was heard when. Not thread-safe."""

    def __init__(self, *, soonest_s: float = SOONEST_S, slack_s: float = 0.0) -> None:
        """``slack_s``: how much later than in truth we may come to know that somebody was heard."""
        self.listened = 0.0
        self.soonest_s, self.slack_s = soonest_s, slack_s
        self.sources: dict[Key, Life] = {}
        self.anyone: dict[int, Life] = {}  # site → signs of life of whoever it was
        self.tags: Sequence[Tag] = ()
        self.watched: set[tuple[int, str, int]] = set()
        self._seen: Ints | None = None
        self._last = np.zeros(0)
        self._pause = np.zeros(0)
        self._pauses = np.zeros(0, np.int64)
        self._ids = np.zeros(0, np.int64)
        self._every = np.zeros(0)
        self._limit = np.zeros(0)
        self._keys: list[Key] = []
        self._order, self._starts, self._counts = (np.zeros(0, np.int64) for _ in range(3))

    def plan(self, tags: Sequence[Tag], paces: Mapping[int, float]) -> None:
        """The tags to watch; ``paces``: longest pauses of signals as kept from earlier."""
        self.tags = tags
        self._ids = np.array([tag.signal_id for tag in tags], np.int64)
        self._every = np.array([np.nan if tag.every_s is None else tag.every_s for tag in tags])
        self._make_room(int(self._ids.max(initial=0)) + 1)
        for signal_id, pause in paces.items():
            if signal_id < len(self._pause) and self._pauses[signal_id] < KNOWN_PAUSES:
                self._pause[signal_id] = max(pause, self._pause[signal_id])
                self._pauses[signal_id] = KNOWN_PAUSES
        self._limit = self._limits()
        self._group()

    def _group(self) -> None:
        """Put the tags of each source side by side."""
        index: dict[Key, int] = {}
        self.watched = {(tag.site_id, tag.source, tag.signal_id) for tag in self.tags}
        of = np.array([index.setdefault((tag.site_id, tag.source), len(index)) for tag in self.tags], np.int64)
        self._keys = list(index)
        self._order = np.argsort(of, kind="stable")
        self._counts = np.bincount(of, minlength=len(index))
        self._starts = np.concatenate([[0], np.cumsum(self._counts)[:-1]]).astype(np.int64)
        for key in index:
            self.sources.setdefault(key, Life(last=self.listened))

    def hear(self, newest_us: Ints, heard: Iterable[Key], *, reports: Iterable[Key] = ()) -> None:
        """Signals whose newest sample advanced have been heard, and so have the named sources."""
        if self._seen is None:
            self._seen = newest_us.copy()  # what was stored before we began is no sign of life
            self._make_room(len(newest_us))
            return
        self._make_room(len(newest_us))
        ids = np.flatnonzero(newest_us > self._seen[: len(newest_us)])
        self._seen[ids] = newest_us[ids]
        if len(ids):
            self._heard_tags(ids)
        names = set(heard)
        for site_id in {key[0] for key in names}:
            _heard(self.anyone.setdefault(site_id, Life(last=self.listened)), self.listened)
        for key in names:
            _heard(self.sources.setdefault(key, Life(last=self.listened)), self.listened)
        for key in reports:
            self.sources.setdefault(key, Life(last=self.listened)).reports = True

    def forgive(self, keys: Iterable[Key]) -> None:
        """Count from now on, as if these sources and their tags had just been heard."""
        chosen = set(keys)
        for key in chosen & self.sources.keys():
            self.sources[key].last = self.listened
        ids = [tag.signal_id for tag in self.tags if (tag.site_id, tag.source) in chosen]
        self._last[ids] = self.listened

    def paces(self) -> dict[int, float]:
        """The longest pause of every watched signal whose pace is known."""
        known = self._ids[self._pauses[self._ids] >= KNOWN_PAUSES]
        return dict(zip(known.tolist(), self._pause[known].tolist(), strict=True))

    def expected(self) -> dict[Key, float]:
        """Seconds between two signs of life of each source that can be silent."""
        return {key: each.expected for key, each in self.rows().items() if each.limit is not None}

    # -- rows ---------------------------------------------------------------------------------------------------------

    def rows(self) -> dict[Key, Row]:
        """What each watched source is measured by: its fastest tag that comes by itself."""
        if not len(self._ids):
            return {}
        self._limit = self._limits()
        fastest = np.fmin.reduceat(self._limit[self._order], self._starts)
        known = self._pauses[self._ids] >= KNOWN_PAUSES
        expected = np.where(known, np.fmax(self._every, self._pause[self._ids]), self._every)
        expected = np.fmin.reduceat(np.where(np.isfinite(self._limit), expected, np.nan)[self._order], self._starts)
        columns = zip(self._keys, self._counts.tolist(), fastest.tolist(), expected.tolist(), strict=True)
        return {key: _row(self.sources[key], tags, limit, each) for key, tags, limit, each in columns}

    def _limits(self) -> Floats:
        """float64[tags]: how long each may be silent; NaN = for ever."""
        pause, known = self._pause[self._ids], self._pauses[self._ids] >= KNOWN_PAUSES
        usual = np.maximum(np.maximum(LATE * self._every, PATIENT * pause), self.soonest_s) + self.slack_s
        limit = np.where(known, usual, np.maximum(5 * self._every, STRANGE_S))
        ever = self._seen[self._ids] != NEVER if self._seen is not None else np.zeros(len(self._ids), bool)
        return np.where(ever & np.isfinite(self._every), limit, np.nan)

    def late_tags(self) -> dict[Key, list[int]]:
        """Rows of ``tags`` that are overdue, by source."""
        self._limit = self._limits()
        with np.errstate(invalid="ignore"):
            rows = np.flatnonzero(self.listened - self._last[self._ids] > self._limit)
        found: dict[Key, list[int]] = {}
        for row in rows.tolist():
            tag = self.tags[row]
            found.setdefault((tag.site_id, tag.source), []).append(row)
        return found

    def expected_of(self, row: int) -> float:
        signal_id = self.tags[row].signal_id
        known = self._pauses[signal_id] >= KNOWN_PAUSES
        return max(float(self._every[row]), float(self._pause[signal_id]) if known else 0.0)

    def last_of(self, signal_id: int) -> float:
        """Listened time of its last sign of life."""
        return float(self._last[signal_id])

    def age_of(self, row: int) -> float:
        return float(self.listened - self._last[self.tags[row].signal_id])

    def missed(self, row: int, source: Life) -> bool:
        """Its source was heard when the tag was due: so it is the tag and not the source."""
        expected = self.expected_of(row)
        return source.last >= self.last_of(self.tags[row].signal_id) + max(expected - POLL_S, 0.75 * expected)

    def _heard_tags(self, ids: npt.NDArray[np.intp]) -> None:
        """A pause is learnt, but a very long one only in part: it may have been a fault."""
        pause = self.listened - self._last[ids]
        waited = np.maximum(self._pause[ids], self.soonest_s)
        first = self._pauses[ids] < 0
        taught = np.where(self._pauses[ids] < KNOWN_PAUSES, pause, np.minimum(pause, LEAP * waited))
        self._pause[ids] = np.where(first, self._pause[ids], np.maximum(taught, FORGET * self._pause[ids]))
        listening = first | (pause > 0)  # while we do not listen, nobody's pauses can be told
        self._pauses[ids] = np.minimum(self._pauses[ids] + listening, KNOWN_PAUSES)
        self._last[ids] = self.listened

    def _make_room(self, size: int) -> None:
        more = size - len(self._last)
        if more > 0:
            self._last = np.concatenate([self._last, np.full(more, self.listened)])
            self._pause = np.concatenate([self._pause, np.zeros(more)])
            self._pauses = np.concatenate([self._pauses, np.full(more, -1, np.int64)])
        if self._seen is not None and size > len(self._seen):
            self._seen = np.concatenate([self._seen, np.full(size - len(self._seen), NEVER)])


@dataclass(slots=True)
class Attention:
    """Turns the time of day into listened time: it runs only while we hear and store, and after a settling time."""

    settle_s: float
    longest_s: float
    _before: float | None = None
    _since: float | None = None

    def settle(self) -> None:
        """Begin anew with the settling time: everybody's pace has changed."""
        self._since = None

    def turn(self, now_s: float, *, hears: bool) -> float:
        """Seconds listened since the last turn."""
        before, self._before = self._before, now_s
        if not hears or (before is not None and now_s - before > self.longest_s):
            self._since = None
        if hears and self._since is None:
            self._since = now_s
        if before is None or self._since is None or now_s - self._since < self.settle_s:
            return 0.0
        return min(now_s - before, self.longest_s)


def _row(life: Life, tags: int, limit: float, expected: float) -> Row:
    usual = life.pause if life.pauses >= KNOWN_PAUSES else 0.0
    if np.isfinite(limit):
        return Row(life, tags, True, max(expected, usual), max(limit, PATIENT * usual))
    if life.reports:
        return Row(life, tags, False, HEARTBEAT_S, max(LATE * HEARTBEAT_S, PATIENT * usual))
    return Row(life, tags, False, 0.0, None)


def _heard(life: Life, now: float) -> None:
    if life.pauses >= 0:
        if now <= life.last:
            return
        pause = now - life.last
        if life.pauses >= KNOWN_PAUSES:
            pause = min(pause, LEAP * max(life.pause, SOONEST_S))
        life.pause = max(pause, FORGET * life.pause)
    life.pauses = min(life.pauses + 1, KNOWN_PAUSES)
    life.last = now
