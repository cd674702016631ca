"""Rules as text: TOML for a git repository. Export, compare, apply; applying the same text twice changes nothing.

[rules.pump-first]            [guards.finance]
enabled = true                enabled = true
if = "…"                      leaving = ["new"]
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg import Connection

from tickets.model import Actor
from tickets.rules import endless, forms, service, store
from tickets.rules.errors import BadExpression, BadRule, RuleWithoutEnd
from tickets.rules.model import Definition, Form, Status
from tickets.rules.store import Kept

SECTIONS = {"rules": Form.RULE, "guards": Form.GUARD}
TITLE = {Form.RULE: "rules", Form.GUARD: "guards"}
ORDER = ("name", "description", "when", "leaving", "entering", "if", "then", "approval", "limits", "log")
BARE = re.compile(r"[A-Za-z0-9_-]+")
LONGEST_FILE = 1_000_000
WIDTH = 110
HEAD = "# Rules of this site. `millwright rules diff FILE` compares, `millwright rules apply FILE` applies.\n"


class What(StrEnum):
    """What applying a text would do to a rule."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    ONLY_HERE = "only_here"  # on the site, not in the text: left alone, or retired when asked to prune


class Prune(StrEnum):
    """What becomes of rules that the text does not name."""

    KEEP = "keep"
    RETIRE = "retire"


@dataclass(frozen=True, slots=True)
class Entry:
    """A rule in a text."""

    code: str
    form: Form
    enabled: bool
    definition: Mapping[str, Any]
    parsed: Definition


@dataclass(frozen=True, slots=True)
class Difference:
    """One rule, between site and text; ``lines`` is a unified diff."""

    code: str
    form: Form
    what: What
    lines: tuple[str, ...]
    warnings: tuple[str, ...] = ()


# -- text -------------------------------------------------------------------------------------------------------------


def export(conn: Connection) -> str:
    """The site's rules as one text, in a fixed order."""
    return HEAD + "".join(f"\n{section(each)}" for each in _kept(conn))


def section(kept: Kept) -> str:
    """One rule as text."""
    return _section(kept.code, kept.form, kept.definition, enabled=kept.status is Status.ENABLED)


def _section(code: str, form: Form, definition: Mapping[str, Any], *, enabled: bool) -> str:
    lines = [f"[{TITLE[form]}.{_key(code)}]", f"enabled = {_toml(enabled)}"]
    lines += [f"{_key(name)} = {_value(definition[name])}" for name in ORDER if name in definition]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """On one line where it fits, a list of tables one a line."""
    text = _toml(value)
    if len(text) <= WIDTH or not isinstance(value, list | tuple):
        return text
    return "[\n" + "".join(f"  {_toml(item)},\n" for item in value) + "]"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(str(name))} = {_toml(value[name])}" for name in sorted(value, key=_rank)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    raise BadRule(f"TOML cannot hold {value!r}.")


def _rank(name: str) -> tuple[bool, bool, str]:
    """The database forgets the order of keys, so a fixed one is written: what is done first, the inner list last."""
    return name != "do", name == "then", name


def _string(text: str) -> str:
    if '"' in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else _string(name)


# -- reading ----------------------------------------------------------------------------------------------------------


def read(text: str) -> list[Entry]:
    """The rules of a text, all checked. Raises BadRule with every problem found."""
    if len(text) > LONGEST_FILE:
        raise BadRule("The text is longer than a megabyte.")
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadRule(f"This is no TOML: {error}") from error
    unknown = sorted(set(data) - set(SECTIONS))
    if unknown:
        raise BadRule(
            f"There is no section {unknown[0]!r}; rules stand under [rules.<code>], guards under [guards.<code>]."
        )
    entries, problems = _entries(data)
    if problems:
        raise BadRule("\n".join(problems), problems=problems)
    return entries


def _entries(data: Mapping[str, Any]) -> tuple[list[Entry], list[str]]:
    entries: list[Entry] = []
    problems: list[str] = []
    for title, form in SECTIONS.items():
        sections = data.get(title, {})
        if not isinstance(sections, Mapping):
            problems.append(f"{title} is no table.")
            continue
        for code, given in sections.items():
            try:
                entries.append(_entry(code, form, given))
            except (BadRule, BadExpression) as error:
                problems.append(error.message if error.message.startswith(code) else f"{code}: {error.message}")
    codes = [entry.code for entry in entries]
    problems += [f"{code} stands twice." for code in sorted({c for c in codes if codes.count(c) > 1})]
    return entries, problems + list(_endless(entries))


def _entry(code: str, form: Form, given: object) -> Entry:
    if not isinstance(given, Mapping):
        raise BadRule(f"{code} is no table.")
    enabled = given.get("enabled", False)
    if not isinstance(enabled, bool):
        raise BadRule(f"{code}: enabled is true or false.")
    definition = {name: value for name, value in given.items() if name != "enabled"}
    return Entry(code, form, enabled, definition, forms.parse(code, form, definition))


def _endless(entries: Sequence[Entry]) -> Iterable[str]:
    active = [entry.parsed for entry in entries if entry.enabled and entry.form is Form.RULE]
    for i, one in enumerate(active):
        try:
            endless.refuse([one, *active[:i], *active[i + 1 :]])
        except RuleWithoutEnd as error:
            yield error.message


# -- comparing and applying -------------------------------------------------------------------------------------------


def diff(conn: Connection, text: str) -> list[Difference]:
    """What applying the text would do, rule by rule. Raises BadRule."""
    entries = {entry.code: entry for entry in read(text)}
    here = {kept.code: kept for kept in store.every(conn, retired=True)}
    found = [_difference(entry, here.get(code)) for code, entry in entries.items()]
    found += [
        Difference(code, kept.form, What.ONLY_HERE, ())
        for code, kept in here.items()
        if code not in entries and kept.status is not Status.RETIRED
    ]
    return sorted(found, key=lambda each: each.code)


def apply(
    conn: Connection, actor: Actor, text: str, *, prune: Prune = Prune.KEEP, now: datetime, note: str = ""
) -> list[Difference]:
    """Make the site's rules what the text says, all or none; returns what changed. The same text again: nothing.

    Raises BadRule, BadExpression, RuleWithoutEnd, NotAllowed.
    """
    conn.execute("select pg_advisory_xact_lock(hashtext('rules'), current_site())")
    entries = {entry.code: entry for entry in read(text)}
    changed = [each for each in diff(conn, text) if each.what is not What.SAME]
    for each in changed:
        if each.what is not What.ONLY_HERE:
            _bring(conn, actor, entries[each.code], now=now, note=note)
        elif prune is Prune.RETIRE:
            service.retire(conn, actor, _existing(conn, each.code).rule_id, now=now)
    return [each for each in changed if each.what is not What.ONLY_HERE or prune is Prune.RETIRE]


def _difference(entry: Entry, kept: Kept | None) -> Difference:
    theirs = _section(entry.code, entry.form, entry.definition, enabled=entry.enabled)
    ours = "" if kept is None or kept.status is Status.RETIRED else section(kept)
    if kept is not None and kept.form is not entry.form:
        raise BadRule(f"{entry.code} is a {kept.form} here and a {entry.form} in the text; give it another code.")
    if ours == theirs:
        return Difference(entry.code, entry.form, What.SAME, ())
    lines = difflib.unified_diff(ours.splitlines(), theirs.splitlines(), "site", "text", lineterm="", n=1)
    return Difference(
        entry.code, entry.form, What.CHANGED if ours else What.NEW, tuple(lines), tuple(_warnings(entry, kept))
    )


def _warnings(entry: Entry, kept: Kept | None) -> Iterable[str]:
    same = kept is not None and dict(kept.definition) == dict(entry.definition)
    if entry.enabled and not (same and kept is not None and not service.warnings(kept)):
        yield service.UNREHEARSED


def _bring(conn: Connection, actor: Actor, entry: Entry, *, now: datetime, note: str) -> None:
    kept = store.by_code(conn, entry.code)
    if kept is None:
        kept = service.make(
            conn, actor, code=entry.code, form=entry.form, definition=entry.definition, now=now, note=note
        )
    elif dict(kept.definition) != dict(entry.definition):
        kept = service.edit(conn, actor, kept.rule_id, definition=entry.definition, now=now, note=note)
    if entry.enabled:
        service.enable(conn, actor, kept.rule_id, now=now)
    elif kept.status is Status.ENABLED:
        service.disable(conn, actor, kept.rule_id, now=now)
    elif kept.status is Status.RETIRED:
        service.revive(conn, actor, kept.rule_id, now=now)


def _existing(conn: Connection, code: str) -> Kept:
    kept = store.by_code(conn, code)
    if kept is None:
        raise BadRule(f"There is no rule {code!r}.")
    return kept


def _kept(conn: Connection) -> list[Kept]:
    return sorted(store.every(conn), key=lambda kept: (TITLE[kept.form], kept.code))
