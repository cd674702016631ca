"""The published guides of the current site as this process keeps them indexed, under the mark that every change renews.

An opening asks nothing more (mark and hold-out are kept like definitions); the index is built anew only after a guide
was changed.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from uuid import UUID

from psycopg import Connection

from tickets import checklist_store, marks
from tickets.knowledge import store
from tickets.knowledge.fit import Fit, Scope, Wanted, fit
from tickets.knowledge.fit import standing as standing_of
from tickets.knowledge.ranking import Document, Ranking
from tickets.knowledge.store import Article, State

KEPT = 32
MOST = 3  # guides an order
LONGEST_QUESTION = 4000


@dataclass(frozen=True, slots=True)
class Shelf:
    """Guides ready to be asked."""

    scopes: Mapping[int, Scope]
    revisions: Mapping[int, int]
    ranking: Ranking[int]

    def best(self, wanted: Wanted, *, most: int = MOST) -> list[Fit]:
        """The guides that fit well enough, best first."""
        scopes = {key: scope for key, scope in self.scopes.items() if standing_of(scope, wanted) is not None}
        if not scopes:
            return []
        scored = self.ranking.best(wanted.text[:LONGEST_QUESTION], most=len(scopes), among=scopes)
        found = {each.key: each for each in scored}
        fits = (fit(key, scope, wanted, found.get(key)) for key, scope in scopes.items())
        return sorted((each for each in fits if each), key=lambda each: (-each.score, each.article_id))[:most]


@dataclass(frozen=True, slots=True)
class Standing:
    """What an order needs to know: the shelf, the share that is held out, and the class of its machine."""

    shelf: Shelf
    hold_out: float
    salt: str
    asset_class: str

    def holds_out(self, ticket_id: int) -> bool:
        """The same order is always drawn the same way."""
        if self.hold_out <= 0:
            return False
        drawn = hashlib.sha256(f"{self.salt}:{ticket_id}".encode()).digest()
        return int.from_bytes(drawn[:8], "big") / 2**64 < self.hold_out


_kept: OrderedDict[UUID, Shelf] = OrderedDict()
_lock = Lock()


def standing(conn: Connection, asset_id: int | None) -> Standing | None:
    """None where the site has no guide at all."""
    row = marks.kept(conn, "guides", lambda: conn.execute("select mark, hold_out, salt from guide_settings").fetchone())
    if row is None:
        return None
    asset_class = None if asset_id is None else checklist_store.class_of(conn, asset_id)
    return Standing(_current(conn, row[0]), row[1], row[2], asset_class or "")


def _current(conn: Connection, mark: UUID) -> Shelf:
    with _lock:
        found = _kept.get(mark)
        if found is not None:
            _kept.move_to_end(mark)
            return found
    made = build(store.find(conn, state=State.PUBLISHED))
    with _lock:
        _kept[mark] = made
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return made


def build(articles: list[Article]) -> Shelf:
    """A shelf of these guides."""
    return Shelf(
        {each.article_id: Scope(each.content.classes, each.content.modes) for each in articles},
        {each.article_id: each.published or 1 for each in articles},
        Ranking.of({each.article_id: _document(each) for each in articles}),
    )


def _document(found: Article) -> Document:
    steps = [text for step in found.content.steps for text in step.text.values()]
    tags = tuple(each.replace("_", " ") for each in (*found.content.classes, *found.content.modes))
    return Document(" ".join(found.title.values()), "\n".join([*found.content.body.values(), *steps]), tags)
