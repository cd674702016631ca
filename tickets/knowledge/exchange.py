"""Guides as text: TOML for a git repository. Export, compare, apply; applying the same text twice changes nothing.

    [house-bearing]
    state = "published"
    classes = ["pump"]
    title = {en = "…", zh = "…"}
    body.en = three-quoted Markdown

Exported are guides with a text of the site's own. What the text does not name is left alone.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg import Connection

from core.errors import Invalid
from tickets.knowledge import articles, revisions, store
from tickets.knowledge import content as contents
from tickets.knowledge.content import CODE, Content
from tickets.knowledge.revisions import Origin
from tickets.knowledge.store import Article, State
from tickets.model import Actor

BARE = re.compile(r"[A-Za-z0-9_-]+")
LONGEST_FILE = 5_000_000
HEAD = "# Guides of this site. `millwright guides diff FILE` compares, `millwright guides apply FILE` applies.\n"


class BadGuides(Invalid):
    """The text of guides does not fit."""

    code = "bad_guides"


class What(StrEnum):
    """What applying a text would do to a guide."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Entry:
    """A guide in a text."""

    code: str
    state: State
    content: Content


@dataclass(frozen=True, slots=True)
class Difference:
    """One guide, between site and text; ``lines`` is a unified diff."""

    code: str
    what: What
    lines: tuple[str, ...]


# -- text -------------------------------------------------------------------------------------------------------------


def export(conn: Connection) -> str:
    """The guides with a text of the site's own, by code."""
    own = (each for each in store.find(conn) if _is_own(conn, each))
    return HEAD + "".join(f"\n{_section(_entry_of(conn, each))}" for each in sorted(own, key=lambda each: each.code))


def _is_own(conn: Connection, found: Article) -> bool:
    return found.head is not None and revisions.get(conn, found.article_id, found.head).origin is not Origin.SHIPPED


def _entry_of(conn: Connection, found: Article) -> Entry:
    """As orders get it; a guide that no order gets, as it is worked on."""
    shown = found.content if found.state is State.PUBLISHED else articles.working(conn, found)
    return Entry(found.code, found.state, shown)


def _section(entry: Entry) -> str:
    kept = contents.as_json(entry.content)
    lines = [f"[{_key(entry.code)}]", f'state = "{entry.state}"']
    lines += [f"{name} = {_toml(kept[name])}" for name in ("classes", "modes", "title")]
    lines += [f"body.{language} = {_block(text)}" for language, text in kept["body"].items()]
    if kept["steps"]:
        lines.append("steps = [\n" + "".join(f"  {_toml(each)},\n" for each in kept["steps"]) + "]")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else repr(value)


def _block(text: str) -> str:
    """Markdown as it was written, line by line."""
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if escaped.endswith('"'):
        escaped = escaped[:-1] + '\\"'
    return '"""\n' + "".join(c if c == "\n" or c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"""'


def _key(code: str) -> str:
    return code if BARE.fullmatch(code) else f'"{code}"'


# -- reading ----------------------------------------------------------------------------------------------------------


def read(text: str) -> list[Entry]:
    """The guides of a text. Raises BadGuides, InvalidFields."""
    if len(text) > LONGEST_FILE:
        raise BadGuides("The text is longer than five megabytes.")
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadGuides(f"This is no TOML: {error}") from error
    return [_entry(code, given) for code, given in data.items()]


def _entry(code: str, given: object) -> Entry:
    if not CODE.match(code) or not isinstance(given, Mapping):
        raise BadGuides(f"[{code}] is no guide: a section is named by a code of a-z, 0-9 and . _ -.")
    state = given.get("state", "draft")
    if state not in set(State):
        raise BadGuides(f"{code}: state is one of {', '.join(State)}.")
    parts = {name: value for name, value in given.items() if name != "state"}
    return Entry(code, State(state), contents.parse(parts))


# -- comparing and applying -------------------------------------------------------------------------------------------


def diff(conn: Connection, text: str) -> list[Difference]:
    """What applying the text would do, guide by guide. Raises BadGuides, InvalidFields."""
    return [_difference(conn, each, store.by_code(conn, each.code)) for each in read(text)]


def apply(conn: Connection, actor: Actor, text: str, *, now: datetime, note: str = "") -> list[Difference]:
    """Make the guides that the text names what it says, all or none; returns what changed. Again: nothing.

    Raises BadGuides, InvalidFields.
    """
    changed = []
    for entry in read(text):
        found = _difference(conn, entry, store.by_code(conn, entry.code))
        if found.what is not What.SAME:
            _bring(conn, actor, entry, now=now, note=note)
            changed.append(found)
    return changed


def _difference(conn: Connection, entry: Entry, found: Article | None) -> Difference:
    if found is None:
        return Difference(entry.code, What.NEW, tuple(f"+{line}" for line in _section(entry).splitlines()))
    if entry.state is State.DRAFT and found.state is not State.DRAFT:
        raise BadGuides(f"{entry.code} is {found.state} here, and no draft again; say published or archived.")
    ours, theirs = _section(_entry_of(conn, found)), _section(entry)
    lines = difflib.unified_diff(ours.splitlines(), theirs.splitlines(), "site", "text", lineterm="", n=1)
    return Difference(entry.code, What.SAME if ours == theirs else What.CHANGED, tuple(lines))


def _bring(conn: Connection, actor: Actor, entry: Entry, *, now: datetime, note: str) -> None:
    given = contents.as_json(entry.content)
    found = store.by_code(conn, entry.code)
    if found is None:
        found = articles.make(conn, actor, code=entry.code, given=given, note=note, now=now)
    else:
        ident = found.article_id
        found = articles.edit(conn, actor, ident, given=given, version=found.version, note=note, now=now)
    if entry.state is State.PUBLISHED and (found.state is not State.PUBLISHED or found.published != found.head):
        articles.publish(conn, found.article_id, version=found.version)
    elif entry.state is State.ARCHIVED and found.state is not State.ARCHIVED:
        articles.archive(conn, found.article_id, version=found.version)
