"""The failure-mode libraries in force at a site: an administrator's uploads, then the data directory, then the shipped.

An upload is checked whole before anything is kept; each is a version of its class, and the one before can be taken up
again. Its modes are failure codes of the site at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from psycopg import Connection

from core.errors import NotFound
from maintenance import library
from maintenance.library_file import Library, LibraryError, parse
from maintenance.model import LANGUAGES, UNKNOWN, Mode
from maintenance.sentences import both
from tickets import failure_codes
from tickets.errors import CodeKnown


class Change(StrEnum):
    """What taking up a library does to a mode of the class."""

    ADDED = "added"
    CHANGED = "changed"
    SAME = "same"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Upload:
    """A version of a class's library as a person gave it; ``retired_at`` None = in force."""

    library_id: int
    asset_class: str
    version: int
    sha256: str
    note: str
    made_by: str
    made_at: datetime
    retired_at: datetime | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What an upload would do: mode → change, and how many machines of the class there are."""

    library: Library
    modes: Mapping[str, Change]
    machines: int


def modes(conn: Connection, asset_class: str) -> tuple[Mode, ...]:
    """Every failure mode of a class on this site, ``unknown`` last."""
    text = _own(conn, asset_class)
    return library.modes(asset_class) if text is None else _modes(text, asset_class)


def mode(conn: Connection, asset_class: str, code: str) -> Mode:
    """One mode; a code that the class does not have is its ``unknown``."""
    return library.pick(modes(conn, asset_class), code)


def mode_name(conn: Connection, asset_class: str, code: str) -> dict[str, str]:
    """What a mode is called; a shipped code keeps its name, so that a list of orders asks nothing for it."""
    shipped = library.modes(asset_class)
    if not any(each.code == code and each.asset_class == asset_class for each in shipped):
        shipped = modes(conn, asset_class)
    return both(library.pick(shipped, code).name)


def described(conn: Connection) -> dict[str, Library]:
    """Asset class → library in force on this site."""
    own = conn.execute("select document, asset_class from libraries where retired_at is null").fetchall()
    return {**library.described(), **{name: _parsed(text, name) for text, name in own}}


def uploads(conn: Connection, asset_class: str | None = None) -> list[Upload]:
    """The versions that people gave, newest first; of one class or of all."""
    rows = conn.execute(
        "select library_id, asset_class, version, sha256, note, made_by, made_at, retired_at from libraries "
        "where %s::text is null or asset_class = %s order by library_id desc",
        (asset_class, asset_class),
    )
    return [Upload(*row) for row in rows]


def document(conn: Connection, asset_class: str, version: int) -> str:
    """The text of a version. Raises NotFound."""
    row = conn.execute(
        "select document from libraries where asset_class = %s and version = %s", (asset_class, version)
    ).fetchone()
    if row is None:
        raise NotFound(f"There is no version {version} of a library for {asset_class!r} on this site.")
    return str(row[0])


def preview(conn: Connection, text: str, name: str) -> Preview:
    """What the file would do if it were taken up. Changes nothing. Raises LibraryError."""
    made = parse(text, name)
    if made.asset_class == library.GENERIC:
        raise LibraryError("The class 'generic' is the product's own: every class takes 'unknown' from it.")
    _keep_names(made)
    known = {each.code: each for each in modes(conn, made.asset_class) if each.asset_class == made.asset_class}
    fresh = {each.code: each for each in made.modes}
    told = {code: _change(known.get(code), fresh.get(code)) for code in [*fresh, *known] if code != UNKNOWN}
    row = conn.execute("select count(*) from assets where class = %s", (made.asset_class,)).fetchone()
    return Preview(made, told, row[0] if row else 0)


def take_up(conn: Connection, text: str, name: str, *, by: str, note: str = "", now: datetime) -> Upload:
    """Put a library in force as the class's next version; the same text again changes nothing. Raises LibraryError."""
    made = preview(conn, text, name).library
    conn.execute("select pg_advisory_xact_lock(hashtext('libraries'), hashtext(%s))", (made.asset_class,))
    known = uploads(conn, made.asset_class)
    running = next((each for each in known if each.retired_at is None), None)
    if running is not None and running.sha256 == made.sha256:
        return running
    retire(conn, made.asset_class, now=now)
    conn.execute(
        """insert into libraries (asset_class, version, document, sha256, note, made_by, made_at)
           values (%s, %s, %s, %s, %s, %s, %s)""",
        (made.asset_class, max((each.version for each in known), default=0) + 1, text, made.sha256, note, by, now),
    )
    _name_codes(conn, made, by=by)
    return uploads(conn, made.asset_class)[0]


def retire(conn: Connection, asset_class: str, *, now: datetime) -> bool:
    """Go back to the library of the data directory or the shipped one; True when there was one to take back."""
    taken = conn.execute(
        "update libraries set retired_at = %s where asset_class = %s and retired_at is null", (now, asset_class)
    )
    return taken.rowcount == 1


def _own(conn: Connection, asset_class: str) -> str | None:
    row = conn.execute(
        "select document from libraries where asset_class = %s and retired_at is null", (asset_class,)
    ).fetchone()
    return None if row is None else str(row[0])


def _keep_names(made: Library) -> None:
    named = {each.code: both(each.name) for each in library.modes(made.asset_class) if each.code != UNKNOWN}
    for each in made.modes:
        if (known := named.get(each.code)) is not None and known != both(each.name):
            raise LibraryError(
                f"{made.asset_class}: the mode {each.code!r} is called {known['en']!r} / {known['zh']!r} in orders "
                "already. Keep that name, or give yours another code."
            )


def _change(before: Mode | None, after: Mode | None) -> Change:
    if before is None:
        return Change.ADDED
    if after is None:
        return Change.REMOVED
    return Change.SAME if before == after else Change.CHANGED


def _name_codes(conn: Connection, made: Library, *, by: str) -> None:
    """An order may be finished with any of the modes."""
    for each in made.modes:
        name = {language: each.name[language] for language in LANGUAGES}
        with suppress(CodeKnown):
            failure_codes.add(
                conn, part=failure_codes.Part.MODE, code=each.code, name=name, asset_class=made.asset_class, by=by
            )


@lru_cache(maxsize=256)
def _parsed(text: str, name: str) -> Library:
    return parse(text, name)


@lru_cache(maxsize=256)
def _modes(text: str, name: str) -> tuple[Mode, ...]:
    return library.with_unknown(_parsed(text, name))
