"""Search over everything on the site: tickets with their comments, assets, guides, people.

    row written ──trigger──> search_dirty ──(periodic, or the next question)──> search_documents, search_words
    question ──> every word by its beginning ──nothing?──> words that were meant ──nothing?──> one word may be missing

A requester finds their own tickets by what they may read. An index entry is no right: what is shown is read again
through the site's policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection

from core import locks
from core.jobs import every
from tickets import search_text
from tickets.search_text import Word

BATCH = 500
CATCH_UP = 100  # entries that a question brings up to date by itself
CANDIDATES = 200  # of each kind and stage, newest first
KINDS = ("ticket", "asset", "article", "engineer")
ENOUGH = 60  # among the newest: older ones are not looked for, but by their headings
TITLE_BONUS = 1.0


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks: the crew sees the site, a requester (``requester_id``) their own tickets."""

    requester_id: int | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """Something found. ``text`` is the part that fits; ``rank`` only compares hits of one answer."""

    kind: str
    object_id: int
    code: str
    title: str
    state: str
    text: str
    rank: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Hits, best first. ``meant`` says which words were replaced by which known ones."""

    hits: tuple[Hit, ...]
    meant: Mapping[str, tuple[str, ...]]


def search(conn: Connection, text: str, *, reader: Reader, kinds: Sequence[str] = KINDS, limit: int = 20) -> Answer:
    """The best ``limit`` hits for a question in any language of the product; nothing for an empty one."""
    words = search_text.asked(text)
    if not words:
        return Answer((), {})
    index(conn, most=CATCH_UP)
    wanted = ("ticket",) if reader.requester_id is not None else tuple(kind for kind in KINDS if kind in kinds)
    found, meant = _stages(conn, words, reader, wanted)
    best = sorted(found.items(), key=lambda each: (-each[1], each[0][0], -each[0][1]))[:limit]
    hits = _shown(conn, [(kind, object_id, rank) for (kind, object_id), rank in best], words, reader)
    return Answer(tuple(hits), meant)


def ticket_ids(conn: Connection, text: str, *, reader: Reader, most: int = 5000) -> list[int] | None:
    """Tickets with every word of the text, newest first, for the filter of a list; None when the text asks nothing."""
    words = search_text.asked(text)
    if not words:
        return None
    index(conn, most=CATCH_UP)
    return [found for found, _ in _find(conn, "ticket", search_text.strict(words), reader, most=most, enough=most)]


Found = dict[tuple[str, int], float]


def _stages(
    conn: Connection, words: Sequence[str], reader: Reader, kinds: Sequence[str]
) -> tuple[Found, dict[str, tuple[str, ...]]]:
    found = _ask(conn, search_text.strict(words), reader, kinds)
    if found:
        return found, {}
    guessed = [Word(word, _meant(conn, word)) for word in words]
    meant = {word.text: word.meant for word in guessed if word.meant}
    found = _ask(conn, search_text.tolerant(guessed), reader, kinds)
    return found or _ask(conn, search_text.lenient(guessed), reader, kinds), meant


def _ask(conn: Connection, query: str, reader: Reader, kinds: Sequence[str]) -> Found:
    found: Found = {}
    if not query:
        return found
    for kind in kinds:
        found |= {(kind, ident): rank for ident, rank in _find(conn, kind, query, reader)}
        if len(found) >= ENOUGH:  # more than were looked at: those whose heading fits come before newer ones
            headed = _find(conn, kind, search_text.heading(query), reader)
            found |= {(kind, ident): TITLE_BONUS + rank for ident, rank in headed}
    return found


def _find(
    conn: Connection, kind: str, query: str, reader: Reader, *, most: int = CANDIDATES, enough: int = ENOUGH
) -> list[tuple[int, float]]:
    rows = conn.execute(
        "select object_id, rank from search_find(%s, %s::tsquery, %s, %s, %s)",
        (kind, query, reader.requester_id, most, enough),
    )
    return [(ident, float(rank)) for ident, rank in rows]


def _meant(conn: Connection, word: str) -> tuple[str, ...]:
    if not search_text.spellable(word):
        return ()
    rows = conn.execute("select word from search_near(%s::text[], 40)", (search_text.grams(word),))
    return search_text.nearest(word, [row[0] for row in rows])


# -- what is shown ----------------------------------------------------------------------------------------------------

ROWS: Mapping[str, LiteralString] = {
    "ticket": """select ticket_id, ref, title, status, description from tickets
                 where ticket_id = any(%(ids)s) and (%(requester)s::int is null or requester_id = %(requester)s)""",
    "asset": """select asset_id, code, name, class, concat_ws(' ', name_zh, location) from assets
                where asset_id = any(%(ids)s)""",
    "article": """select article_id, code, title->>'en', '', concat_ws(' ', title->>'zh', body->>'en', body->>'zh')
                  from articles where article_id = any(%(ids)s) and state = 'published'""",
    "engineer": """select engineer_id, '', name, case when active then 'active' else 'away' end,
                     array_to_string(array(select jsonb_object_keys(skills)), ' ')
                   from engineers where engineer_id = any(%(ids)s)""",
}


def _shown(conn: Connection, best: Sequence[tuple[str, int, float]], words: Sequence[str], reader: Reader) -> list[Hit]:
    rows: dict[tuple[str, int], tuple[Any, ...]] = {}
    for kind in {kind for kind, _, _ in best}:
        ids = [ident for of, ident, _ in best if of == kind]
        for row in conn.execute(ROWS[kind], {"ids": ids, "requester": reader.requester_id}):
            rows[kind, row[0]] = row
    return [_hit(kind, rows[kind, ident], words, rank) for kind, ident, rank in best if (kind, ident) in rows]


def _hit(kind: str, row: tuple[Any, ...], words: Sequence[str], rank: float) -> Hit:
    ident, code, title, state, text = row
    if kind == "article":
        text = search_text.plain(text)
    return Hit(kind, ident, code, title or code, state, search_text.excerpt(text or "", words), rank)


# -- the index --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Document:
    """What is indexed of one thing: heading, what everybody may read, what the crew alone may."""

    object_id: int
    heading: list[str]
    public: list[str]
    internal: list[str]
    requester_id: int | None = None


@every(seconds=5.0, name="search.index", wake="millwright_search")
def keep_up(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a handler's signature
    """Index what was written; a large backlog in bites."""
    for _ in range(20):
        if index(conn) < BATCH:
            return


def index(conn: Connection, *, most: int = BATCH) -> int:
    """Bring at most ``most`` stale entries up to date; returns how many there were. 0 while somebody else does it."""
    if conn.execute("select 1 from search_dirty limit 1").fetchone() is None:
        return 0
    row = conn.execute("select pg_try_advisory_xact_lock(%s, current_site())", (locks.INDEXING,)).fetchone()
    if not (row and row[0]):
        return 0
    stale = conn.execute(
        """delete from search_dirty
           where dirty_id in (select dirty_id from search_dirty order by dirty_id desc limit %s)
           returning kind, object_id""",
        (most,),
    ).fetchall()
    for kind in {kind for kind, _ in stale}:
        _put(conn, kind, sorted({ident for of, ident in stale if of == kind}))
    return len(stale)


def _put(conn: Connection, kind: str, ids: list[int]) -> None:
    documents = READERS[kind](conn, ids)
    gone = sorted(set(ids) - {each.object_id for each in documents})
    if gone:
        conn.execute("select search_drop(%s::int[], %s)", (gone, kind))
    if not documents:
        return
    conn.execute(
        "select search_put(%s::int[], %s, %s::int[], %s::text[], %s::text[])",
        (
            [each.object_id for each in documents],
            kind,
            [each.requester_id for each in documents],
            [search_text.vector(each.heading, each.public + each.internal) for each in documents],
            [search_text.vector(each.heading, each.public) for each in documents],
        ),
    )
    _learn(conn, documents)


def _learn(conn: Connection, documents: Sequence[Document]) -> None:
    words = search_text.vocabulary(text for each in documents for text in each.heading + each.public + each.internal)
    if words:
        grams = [" ".join(search_text.grams(word)) for word in words]
        conn.execute("select search_learn(%s::text[], %s::text[])", (words, grams))


def _tickets(conn: Connection, ids: list[int]) -> list[Document]:
    rows = conn.execute(
        """select t.ticket_id, t.requester_id, t.ref, t.title, t.description, t.fields, t.tags, t.mode, t.failure_code,
             a.code, a.name, a.name_zh
           from tickets t left join assets a using (asset_id) where t.ticket_id = any(%s)""",
        (ids,),
    ).fetchall()
    said: dict[int, list[Document]] = {}
    for ident, audience, text in conn.execute(SAID, (ids,)):
        public, internal = ([text], []) if audience == "requester" else ([], [text])
        said.setdefault(ident, []).append(Document(ident, [], public, internal))
    return [_ticket(row, said.get(row[0], [])) for row in rows]


SAID: LiteralString = """
  select ticket_id, audience, concat_ws(' ', body->>'text', body->>'title', body->>'description', body->>'note')
  from ticket_events where ticket_id = any(%s)
    and (kind in ('comment', 'reported_again') or body ? 'note')"""


def _ticket(row: tuple[Any, ...], said: Sequence[Document]) -> Document:
    ident, requester, ref, title, description, fields, tags, mode, failure_code, code, name, name_zh = row
    internal = [*search_text.texts_of(fields), *tags, mode or "", failure_code or ""]
    public = [description, code or "", name or "", name_zh or ""]
    return Document(
        ident,
        [ref, title],
        public + [text for each in said for text in each.public],
        internal + [text for each in said for text in each.internal],
        requester,
    )


def _assets(conn: Connection, ids: list[int]) -> list[Document]:
    rows = conn.execute(
        "select asset_id, code, name, name_zh, class, location from assets where asset_id = any(%s)", (ids,)
    )
    return [Document(row[0], [row[1], row[2], row[3] or ""], [], [row[4], row[5]]) for row in rows]


def _articles(conn: Connection, ids: list[int]) -> list[Document]:
    rows = conn.execute(
        """select article_id, code, title, body, classes || modes from articles
           where article_id = any(%s) and state = 'published'""",
        (ids,),
    )
    return [Document(row[0], [row[1], *row[2].values()], [], [*row[3].values(), *row[4]]) for row in rows]


def _engineers(conn: Connection, ids: list[int]) -> list[Document]:
    rows = conn.execute("select engineer_id, name, skills from engineers where engineer_id = any(%s)", (ids,))
    return [Document(row[0], [row[1]], [], list(row[2])) for row in rows]


READERS: Mapping[str, Callable[[Connection, list[int]], list[Document]]] = {
    "ticket": _tickets,
    "asset": _assets,
    "article": _articles,
    "engineer": _engineers,
}
