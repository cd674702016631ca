"""Articles: what ships with the product, and what a site makes of it, revision by revision.

    make ─> draft ──publish──> published ──archive──> archived
             edit: a revision more; orders get the published one until the newer is published too
    seed: a shipped text that an own revision stands before is offered, never put in its place

A file of ``library/`` holds one or more ``[code]`` sections with ``asset_class``, ``mode`` ('' = any), ``title`` and
``body`` (Markdown) in en and zh.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from psycopg import Connection

from core import clock
from core.errors import ConfigError, Conflict
from tickets import failure_codes, words
from tickets.failure_codes import Part
from tickets.knowledge import content as contents
from tickets.knowledge import revisions, store
from tickets.knowledge.content import CODE, LANGUAGES, Content
from tickets.knowledge.revisions import Origin
from tickets.knowledge.store import Article, State
from tickets.model import SYSTEM, Actor

UNKNOWN = "unknown"


class BadArticle(ConfigError):
    """A shipped article is not complete."""

    code = "bad_article"


class ArticleTaken(Conflict):
    """A guide with this code exists already."""

    code = "article_taken"


class NothingToPublish(Conflict):
    """The newest revision is published already."""

    code = "nothing_to_publish"


# -- what ships -------------------------------------------------------------------------------------------------------


@cache
def library() -> Mapping[str, Content]:
    """Every shipped article by code. Raises BadArticle for a missing language or a code used twice."""
    found: dict[str, Content] = {}
    for path in sorted(files("tickets.knowledge").joinpath("library").iterdir(), key=lambda each: each.name):
        if not path.name.endswith(".toml"):
            continue
        for code, data in tomllib.loads(path.read_text("utf-8")).items():
            if code in found:
                raise BadArticle(f"Two articles have the code {code!r}.")
            found[code] = _shipped(code, data)
    return dict(sorted(found.items()))


def _shipped(code: str, data: Mapping[str, Any]) -> Content:
    if any(set(data.get(part, ())) != set(LANGUAGES) or not all(data[part].values()) for part in ("title", "body")):
        raise BadArticle(f"Article {code!r} needs title and body in en and zh.")
    scope = {"classes": [data.get("asset_class", "")], "modes": [data.get("mode", "")]}
    return contents.parse({**scope, "title": data["title"], "body": data["body"], "steps": data.get("steps", [])})


def seed(conn: Connection, shipped: Mapping[str, Content] | None = None) -> int:
    """Bring the current site's copy of the shipped articles up to date; returns how many texts are new.

    Where the site has a revision of its own, the new text is only offered.
    """
    now = clock.load(conn).now()
    changed = sum(upgrade(conn, code, text, now=now) for code, text in (shipped or library()).items())
    for (article_id,) in conn.execute("select article_id from articles where head is null").fetchall():
        _with_history(conn, store.get(conn, article_id), now, origin=Origin.SITE)
    return changed


def upgrade(conn: Connection, code: str, text: Content, *, now: datetime) -> bool:
    """Take a shipped text over; whether it is new here."""
    found = store.by_code(conn, code)
    if found is None:
        made = store.insert(conn, code, text, state=State.PUBLISHED)
        number = revisions.add(conn, SYSTEM, made, text, origin=Origin.SHIPPED, now=now)
        store.update(conn, made, head=number, published=number)
        return True
    found = _with_history(conn, found, now)
    newest = revisions.newest(conn, found.article_id, origin=Origin.SHIPPED)
    if newest is not None and newest.content == text:
        return False
    number = revisions.add(conn, SYSTEM, found.article_id, text, origin=Origin.SHIPPED, now=now)
    untouched = newest is not None and found.head == found.published == newest.number
    if untouched and found.state is State.PUBLISHED:
        store.update(conn, found.article_id, text, head=number, published=number)
    else:
        store.update(conn, found.article_id, offered=number)
    return True


def _with_history(conn: Connection, found: Article, now: datetime, *, origin: Origin = Origin.SHIPPED) -> Article:
    """A text from before revisions were kept becomes the first one."""
    if found.head is not None:
        return found
    number = revisions.add(conn, SYSTEM, found.article_id, found.content, origin=origin, now=now)
    store.update(conn, found.article_id, head=number, published=number)
    return replace(found, head=number, published=number)


# -- what people do ---------------------------------------------------------------------------------------------------


def make(
    conn: Connection,
    actor: Actor,
    *,
    code: str,
    given: object,
    origin: Origin = Origin.SITE,
    note: str = "",
    now: datetime,
) -> Article:
    """A new guide, as a draft. Raises InvalidFields, ArticleTaken."""
    if not CODE.match(code):
        raise words.refuse("code", "code begins with a letter or digit: a-z, 0-9 and . _ -, at most 64 characters.")
    made = _fitting(conn, given)
    if store.by_code(conn, code) is not None:
        raise ArticleTaken(f"There is a guide {code!r} already. Edit it, or take another code.")
    article_id = store.insert(conn, code, made, state=State.DRAFT)
    number = revisions.add(conn, actor, article_id, made, origin=origin, note=_note(note), now=now)
    store.update(conn, article_id, head=number)
    return store.get(conn, article_id)


def edit(
    conn: Connection, actor: Actor, article_id: int, *, given: object, version: int, note: str = "", now: datetime
) -> Article:
    """Another text, as a revision; orders get it once it is published. The same text again changes nothing.

    Raises NotFound, Stale, InvalidFields.
    """
    found = _with_history(conn, store.lock(conn, article_id, version=version), now)
    made = _fitting(conn, given)
    if made == revisions.get(conn, article_id, found.head or 1).content:
        return found
    number = revisions.add(conn, actor, article_id, made, origin=Origin.SITE, note=_note(note), now=now)
    shown = made if found.published is None else None
    store.update(conn, article_id, shown, head=number)
    return store.get(conn, article_id)


def publish(conn: Connection, article_id: int, *, version: int) -> Article:
    """Let orders have the newest revision. Raises NotFound, Stale, NothingToPublish."""
    found = store.lock(conn, article_id, version=version)
    if found.state is State.PUBLISHED and found.published == found.head:
        raise NothingToPublish
    newest = revisions.get(conn, article_id, found.head or 1)
    store.update(conn, article_id, newest.content, state=State.PUBLISHED, published=newest.number)
    return store.get(conn, article_id)


def archive(conn: Connection, article_id: int, *, version: int) -> Article:
    """No order gets it any more; it can be published again. Raises NotFound, Stale."""
    store.lock(conn, article_id, version=version)
    store.update(conn, article_id, state=State.ARCHIVED)
    return store.get(conn, article_id)


def restore(conn: Connection, actor: Actor, article_id: int, *, number: int, version: int, now: datetime) -> Article:
    """Work on from an earlier revision, or from a shipped text that is offered: it is written anew. Raises NotFound,
    Stale."""
    store.lock(conn, article_id, version=version)
    wanted = revisions.get(conn, article_id, number)
    origin = wanted.origin if wanted.origin is Origin.SHIPPED else Origin.SITE
    again = revisions.add(conn, actor, article_id, wanted.content, origin=origin, note=f"= {number}", now=now)
    store.update(conn, article_id, head=again)
    if wanted.origin is Origin.SHIPPED:
        store.settle_offer(conn, article_id)
    return store.get(conn, article_id)


def working(conn: Connection, found: Article) -> Content:
    """The text that editors work on: the newest revision."""
    return found.content if found.head is None else revisions.get(conn, found.article_id, found.head).content


def _note(note: str) -> str:
    return words.text("note", note, longest=500, needed=False)


# -- what a guide may name --------------------------------------------------------------------------------------------


def _fitting(conn: Connection, given: object) -> Content:
    made = contents.parse(given)
    _refuse_unknown("classes", made.classes, known_classes(conn))
    _refuse_unknown("modes", made.modes, known_modes(conn))
    _refuse_no_pictures(conn, made.pictures)
    return made


def known_classes(conn: Connection) -> set[str]:
    """Asset classes of the site's machines, and those that the product brings guides and failure codes for."""
    of_assets = {row[0] for row in conn.execute("select distinct class from assets where class <> ''")}
    of_codes = {each.asset_class for each in failure_codes.catalogue(conn) if each.asset_class}
    return of_assets | of_codes | {each for text in library().values() for each in text.classes}


def known_modes(conn: Connection) -> set[str]:
    """Failure modes in use here."""
    of_codes = {each.code for each in failure_codes.catalogue(conn, part=Part.MODE)}
    return of_codes | {each for text in library().values() for each in text.modes} | {UNKNOWN}


def _refuse_unknown(field: str, given: tuple[str, ...], known: set[str]) -> None:
    for each in given:
        if each not in known:
            what = "asset class" if field == "classes" else "failure mode"
            detail = f"There is no {what} {each!r} here; known are {', '.join(sorted(known))}."
            raise words.refuse(field, detail, code="unknown_code")


def _refuse_no_pictures(conn: Connection, wanted: tuple[int, ...]) -> None:
    if not wanted:
        return
    rows = conn.execute("select attachment_id, kind from attachments where attachment_id = any(%s)", (list(wanted),))
    found: dict[int, str] = dict(rows.fetchall())
    for each in wanted:
        if found.get(each) != "image":
            raise words.refuse("steps", f"Attachment {each} is no picture of this site.", code="unknown_picture")
