"""Who is silent? Pure: what was heard and the time come in, faults that open and end come out.

    newest samples, sources heard ──hear──> last sign of life, usual pause ──judge──> source │ tag │ many at once

Time is the time we *listened*: while we were down, cut off from the broker, or could not store, it stands still, so
nobody is called silent because of us. A tag is silent after 1.5 of its expected intervals; the interval is its signal's
nominal period or the longest pause it made lately, whichever is longer, so that a leisurely sender is no liar. Of a
silent source the source alone is said, not its tags; of many at once, one fault a site.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ingest.hearing import KNOWN_PAUSES, Hearing, Key, Row

LOST_S = 5.0
FEW_ASSETS = 3  # more assets of one living source silent: said of the source
FEW_SOURCES = 5  # more in a minute: said once
FLOOD_S = 60.0
SEVERAL = 3
QUIET = 1.5  # signs of life that should have come from the others while none came
UNUSUAL = 1.5  # times the longest while in which nobody was heard lately
SUSPECT = 0.5  # of its interval: nobody was heard more lately than that, so wait and see
HELD = 1.15  # of the time after which a source is silent: no longer than this do we wait


class Kind(StrEnum):
    """What is silent: a source, one tag of a living source, many sources at once."""

    SOURCE = "source"
    TAG = "tag"
    MANY = "many"


class End(StrEnum):
    """Why a fault ended: heard again; said by another fault now; nobody expects it any more."""

    HEARD = "heard"
    COVERED = "covered"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a fault is about; there is one open fault a subject."""

    kind: Kind
    site_id: int
    source: str = ""
    signal_id: int | None = None


class Scope(StrEnum):
    """WHOLE: nothing at all is heard of the source. PART: it lives, but many of its tags do not come."""

    WHOLE = "whole"
    PART = "part"


@dataclass(frozen=True, slots=True)
class Opened:
    """A fault that begins: nothing was heard for ``silent_s``, though every ``expected_s`` something should be."""

    subject: Subject
    silent_s: float
    expected_s: float
    scope: Scope = Scope.WHOLE
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """A fault that is open. ``since`` is listened time; ``covers`` the sources of one about many."""

    since: float
    scope: Scope = Scope.WHOLE
    covers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    opened: tuple[Opened, ...] = ()
    ended: tuple[tuple[Subject, End], ...] = ()


class Judge:
    """Judges what a ``Hearing`` remembers."""

    def __init__(self, hearing: Hearing) -> None:
        self.hearing = hearing

    def judge(
        self, standing: Mapping[Subject, Standing], lost: Mapping[Key, str], *, recent: Mapping[int, int]
    ) -> Verdict:
        """What opens and what ends. ``lost``: sources whose connection is known to be down, and why; ``recent``: how
        many faults about one source opened on a site within ``FLOOD_S``. One about many that stands already may be
        opened again: it covers more."""
        late = self.hearing.late_tags()
        if not (late or standing or lost or any(life.reports for life in self.hearing.sources.values())):
            return Verdict()
        rows = self.hearing.rows()
        ended = self._ended(standing, rows, late, lost)
        over = {subject for subject, _ in ended}
        holds = {subject: each for subject, each in standing.items() if subject not in over}
        opened: list[Opened] = []
        for site_id in sorted({key[0] for key in rows} | {key[0] for key in lost}):
            mine = {key: row for key, row in rows.items() if key[0] == site_id}
            silent = [key for key, row in mine.items() if key in lost or self._is_silent(key, row, late)]
            silent += [key for key in lost if key[0] == site_id and key not in mine]
            opened += self._tags_of_the_living(mine, late, set(silent), holds)
            opened += self._of_sources(site_id, mine, silent, holds, lost, recent.get(site_id, 0))
        ended += _covered(opened, holds)
        return Verdict(tuple(opened), tuple(ended))

    def _of_sources(
        self,
        site_id: int,
        rows: Mapping[Key, Row],
        silent: Sequence[Key],
        standing: Mapping[Subject, Standing],
        lost: Mapping[Key, str],
        recent: int,
    ) -> list[Opened]:
        """One fault a source, or one for all of them."""
        many = standing.get(Subject(Kind.MANY, site_id))
        covered = many.covers if many else frozenset()
        fresh = [key for key in silent if key[1] not in covered and Subject(Kind.SOURCE, *key) not in standing]
        if not fresh:
            return []
        quiet = self._is_quiet(site_id, rows, fresh)
        if quiet or recent + len(fresh) > FEW_SOURCES:
            everyone = covered | {key[1] for key in (rows if quiet else fresh)}
            return [self._of_many(site_id, fresh, everyone, rows)]
        if self._is_suspect(rows):
            fresh = [key for key in fresh if key in lost or self._waited_long(rows[key])]
        return [self._source_fault(key, rows.get(key), lost) for key in fresh]

    def _of_many(self, site_id: int, fresh: Sequence[Key], everyone: frozenset[str], rows: Mapping[Key, Row]) -> Opened:
        measured = [rows[key] for key in fresh if key in rows]
        age = min((self.hearing.listened - row.life.last for row in measured), default=LOST_S)
        expected = min((row.expected for row in measured if row.limit is not None), default=LOST_S)
        detail = {"sources": sorted(everyone), "count": len(everyone)}
        return Opened(Subject(Kind.MANY, site_id), age, expected, detail=detail)

    def _source_fault(self, key: Key, row: Row | None, lost: Mapping[Key, str]) -> Opened:
        detail: dict[str, Any] = {"why": lost[key]} if key in lost else {}
        if row is None:
            return Opened(Subject(Kind.SOURCE, *key), LOST_S, LOST_S, detail=detail)
        detail["tags"] = row.tags
        expected = LOST_S if row.limit is None else row.expected
        return Opened(Subject(Kind.SOURCE, *key), self.hearing.listened - row.life.last, expected, detail=detail)

    def _tags_of_the_living(
        self,
        rows: Mapping[Key, Row],
        late: Mapping[Key, list[int]],
        silent: set[Key],
        standing: Mapping[Subject, Standing],
    ) -> list[Opened]:
        found: list[Opened] = []
        for key in rows.keys() & late.keys() - silent:
            if Subject(Kind.SOURCE, *key) in standing:
                continue
            tags = [row for row in late[key] if self.hearing.missed(row, rows[key].life)]
            fresh = [row for row in tags if Subject(Kind.TAG, *key, self.hearing.tags[row].signal_id) not in standing]
            if fresh and len({self.hearing.tags[row].asset_id for row in tags}) > FEW_ASSETS:
                worst = max(fresh, key=self.hearing.age_of)
                subject, detail = Subject(Kind.SOURCE, *key), {"tags": len(tags)}
                found.append(
                    Opened(subject, self.hearing.age_of(worst), self.hearing.expected_of(worst), Scope.PART, detail)
                )
            else:
                found += [self._tag_fault(row) for row in fresh]
        return found

    def _tag_fault(self, row: int) -> Opened:
        tag = self.hearing.tags[row]
        subject = Subject(Kind.TAG, tag.site_id, tag.source, tag.signal_id)
        return Opened(subject, self.hearing.age_of(row), self.hearing.expected_of(row))

    def _is_silent(self, key: Key, row: Row, late: Mapping[Key, list[int]]) -> bool:
        """Nothing at all was heard of it, and something is missing (its tags may come by another way by now)."""
        if row.limit is None or self.hearing.listened - row.life.last <= row.limit:
            return False
        return key in late or (row.life.reports and not row.periodic)

    def _is_suspect(self, rows: Mapping[Key, Row]) -> bool:
        """Everybody is a little late: soon we shall know whether it is one source or all of them."""
        judged = [row for row in rows.values() if row.limit is not None]
        return len(judged) >= SEVERAL and all(
            self.hearing.listened - r.life.last > SUSPECT * r.expected for r in judged
        )

    def _waited_long(self, row: Row) -> bool:
        return row.limit is None or self.hearing.listened - row.life.last > HELD * row.limit

    def _is_quiet(self, site_id: int, rows: Mapping[Key, Row], fresh: Sequence[Key]) -> bool:
        """Nobody was heard for so long that it cannot be one source's doing. Senders may all send at the same moment:
        that nobody is heard in between is usual then, and learnt."""
        judged = {key: row for key, row in rows.items() if row.limit is not None}
        if len(judged) < SEVERAL:
            return False
        pause = self.hearing.listened - max(row.life.last for row in judged.values())
        anyone = self.hearing.anyone.get(site_id)
        if anyone is not None and anyone.pauses >= KNOWN_PAUSES and pause <= UNUSUAL * anyone.pause:
            return False
        others = judged.keys() - set(fresh)
        missed = sum(pause / max(rows[key].expected, 0.01) for key in others)
        return not others or missed >= QUIET

    def _ended(
        self,
        standing: Mapping[Subject, Standing],
        rows: Mapping[Key, Row],
        late: Mapping[Key, Sequence[int]],
        lost: Mapping[Key, str],
    ) -> list[tuple[Subject, End]]:
        if not standing:
            return []
        ended: list[tuple[Subject, End]] = []
        for subject, each in standing.items():
            key = (subject.site_id, subject.source)
            if subject.kind is Kind.MANY:
                back = [name for name in each.covers if self._back((subject.site_id, name), each, lost)]
                if 2 * len(back) >= len(each.covers):
                    ended.append((subject, End.HEARD))
            elif subject.kind is Kind.TAG:
                if (*key, subject.signal_id) not in self.hearing.watched:
                    ended.append((subject, End.FORGOTTEN))
                elif self.hearing.last_of(subject.signal_id or 0) > each.since:
                    ended.append((subject, End.HEARD))
            elif key not in rows and key not in lost:
                ended.append((subject, End.FORGOTTEN))
            elif self._back(key, each, lost) and (each.scope is Scope.WHOLE or self._is_small(late.get(key, ()))):
                ended.append((subject, End.HEARD))
        return ended

    def _is_small(self, rows: Sequence[int]) -> bool:
        return len({self.hearing.tags[row].asset_id for row in rows}) <= FEW_ASSETS

    def _back(self, key: Key, standing: Standing, lost: Mapping[Key, str]) -> bool:
        life = self.hearing.sources.get(key)
        if key in lost or life is None:
            return False
        return life.last > standing.since


def _covered(opened: Sequence[Opened], standing: Mapping[Subject, Standing]) -> list[tuple[Subject, End]]:
    """Tag faults of a source that is silent altogether are said by the source's."""
    whole = {(each.subject.site_id, each.subject.source) for each in opened if each.subject.kind is Kind.SOURCE}
    return [
        (subject, End.COVERED)
        for subject in standing
        if subject.kind is Kind.TAG and (subject.site_id, subject.source) in whole
    ]
