"""Job plans and plans as text: TOML for a git repository. Export, compare, apply; again: nothing changes.

    [job_plan.BEARING]
    title = {en = "…", zh = "…"}
    minutes = 120

    [plan.PUMP-WEEK]
    assets = ["P-101"]
    calendar = [{every = 1, unit = "week", first = "2026-03-02", mode = "fixed"}]

What the text does not name is left alone.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg import Connection

from maintenance import job_plans, job_plans_store, plans, plans_model, plans_store
from maintenance.errors import BadPlan

BARE = re.compile(r"[A-Za-z0-9_-]+")
LONGEST = 5_000_000
HEAD = "# Job plans and plans. `millwright plans diff FILE` compares, `millwright plans apply FILE` applies.\n"
SECTIONS = ("job_plan", "plan")


class What(StrEnum):
    """What applying a text would do."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Difference:
    """One job plan or plan, between site and text; ``lines`` is a unified diff."""

    name: str
    what: What
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A definition in a text, as it would be kept."""

    section: str
    code: str
    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.section} {self.code}"


def export(conn: Connection) -> str:
    """Every active job plan and plan, by code; what absorbs comes after what it absorbs."""
    return HEAD + "".join(f"\n{_section(each)}" for each in _standing(conn).values())


def diff(conn: Connection, text: str) -> list[Difference]:
    """What applying the text would do. Raises BadPlan."""
    standing = _standing(conn)
    return [_difference(standing.get(each.name), each) for each in _read(text)]


def apply(conn: Connection, text: str, *, by_name: str, now: datetime) -> list[Difference]:
    """Make what the text names what it says; returns what changed. All of it or nothing: the caller's transaction.

    Raises BadPlan, NeverReady, AssetNotFound.
    """
    standing = _standing(conn)
    entries = _read(text)
    changed = [each for each in entries if _difference(standing.get(each.name), each).what is not What.SAME]
    for each in changed:
        if each.section == "job_plan":
            job_plans_store.put(conn, each.code, each.body, version=None, by_name=by_name, now=now)
        else:
            plans.put(conn, each.code, each.body, version=None, by_name=by_name, now=now)
    return [_difference(standing.get(each.name), each) for each in changed]


# -- inside -----------------------------------------------------------------------------------------------------------


def _standing(conn: Connection) -> dict[str, Entry]:
    jobs = [
        Entry("job_plan", each.code, job_plans.as_json(each.plan))
        for each in job_plans_store.find(conn)
        if each.state == "active"
    ]
    kept = {each.code: each.plan for each in plans_store.find(conn)}
    found = [Entry("plan", code, plans_model.as_json(kept[code])) for code in _smaller_first(kept)]
    return {each.name: each for each in [*jobs, *found]}


def _smaller_first(kept: Mapping[str, plans_model.Plan]) -> Iterator[str]:
    done: set[str] = set()

    def walk(code: str) -> Iterator[str]:
        if code in kept and code not in done:
            done.add(code)
            for below in kept[code].absorbs:
                yield from walk(below)
            yield code

    for code in sorted(kept):
        yield from walk(code)


def _read(text: str) -> list[Entry]:
    if len(text) > LONGEST:
        raise BadPlan("The text is longer than 5 MB.")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadPlan(f"The text is no TOML: {error}.") from error
    unknown = sorted(set(document) - set(SECTIONS))
    if unknown:
        raise BadPlan(f"The text has a section {unknown[0]!r}; it may have {' and '.join(SECTIONS)}.")
    jobs = [_entry("job_plan", code, body) for code, body in _bodies(document, "job_plan")]
    read = {code: _entry("plan", code, body) for code, body in _bodies(document, "plan")}
    order = _smaller_first({code: plans_model.parse(code, entry.body) for code, entry in read.items()})
    return [*jobs, *(read[code] for code in order)]


def _bodies(document: Mapping[str, Any], section: str) -> Sequence[tuple[str, Any]]:
    found = document.get(section, {})
    if not isinstance(found, Mapping):
        raise BadPlan(f"{section} holds tables, one a code.")
    return sorted(found.items())


def _entry(section: str, code: str, body: Any) -> Entry:
    if not isinstance(body, Mapping):
        raise BadPlan(f"{section} {code} is a table of fields.")
    try:
        if section == "job_plan":
            kept = job_plans.as_json(job_plans.parse(body))
        else:
            kept = plans_model.as_json(plans_model.parse(code, body))
    except BadPlan as error:
        raise BadPlan(f"{section} {code}: {error.message}") from error
    return Entry(section, code, kept)


def _difference(standing: Entry | None, wanted: Entry) -> Difference:
    if standing is not None and standing.body == wanted.body:
        return Difference(wanted.name, What.SAME, ())
    before = _section(standing).splitlines() if standing else []
    lines = list(difflib.unified_diff(before, _section(wanted).splitlines(), lineterm="", n=1))[2:]
    return Difference(wanted.name, What.NEW if standing is None else What.CHANGED, tuple(lines))


def _section(entry: Entry) -> str:
    code = entry.code if BARE.fullmatch(entry.code) else f'"{entry.code}"'
    lines = [f"[{entry.section}.{code}]"]
    for name, value in entry.body.items():
        lines.append(f"{name} = {_block(value)}")
    return "\n".join(lines) + "\n"


def _block(value: Any) -> str:
    """A list of tables a line each, so that a comparison shows which one changed."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return "[\n" + "".join(f"  {_toml(each)},\n" for each in value) + "]"
    return _toml(value)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else repr(value)
