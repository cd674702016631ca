"""What a finished order says of the fault, after ISO 14224: mode, mechanism and cause, in two languages.

``failure_codes.toml`` ships them; a site adds its own as rows. The mode is the ticket's ``failure_code``; mechanism and
cause are the built-in fields ``failure_mechanism`` and ``failure_cause``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from tickets import words
from tickets.errors import CodeKnown
from tickets.field_types import Definition, FieldType, Option, line
from tickets.model import Text, Ticket
from tickets.rows import one, refuse_stale

ANY_CLASS = "*"
MECHANISM, CAUSE = "failure_mechanism", "failure_cause"
SELECT: LiteralString = "select part, code, name, asset_class, code_id, version, changed_by from failure_codes "
LABELS: Mapping[str, Text] = {
    MECHANISM: {"en": "Failure mechanism", "zh": "失效机理"},
    CAUSE: {"en": "Failure cause", "zh": "失效原因"},
}


class Part(StrEnum):
    """What of the fault a code names."""

    MODE = "mode"
    MECHANISM = "mechanism"
    CAUSE = "cause"


@dataclass(frozen=True, slots=True)
class Code:
    """One code. ``asset_class`` "" = of every class; ``code_id`` None = shipped; ``mechanism`` usually lies behind."""

    part: Part
    code: str
    name: Text
    asset_class: str = ""
    mechanism: str | None = None
    code_id: int | None = None
    version: int = 0
    changed_by: str = ""


@cache
def shipped() -> tuple[Code, ...]:
    """The codes of ``failure_codes.toml``."""
    data = tomllib.loads(files("tickets").joinpath("failure_codes.toml").read_text("utf-8"))
    return (*_modes(data["modes"]), *_flat(Part.MECHANISM, data["mechanism"]), *_flat(Part.CAUSE, data["cause"]))


def catalogue(conn: Connection, *, part: Part | None = None, asset_class: str | None = None) -> list[Code]:
    """The codes in use here; of one part; of one asset class together with those of every class, its own first."""
    found = [each for each in (*_own(conn), *shipped()) if part in (None, each.part)]
    wanted = [each for each in found if asset_class in (None, each.asset_class) or not each.asset_class]
    return sorted(wanted, key=lambda each: (each.part, not each.asset_class, each.asset_class))


def definitions(conn: Connection) -> list[Definition]:
    """Mechanism and cause as fields, so that forms, filters, rules and reports know them."""
    codes = catalogue(conn)
    return [
        Definition(None, key, LABELS[key], FieldType.CHOICE, options=_options(codes, part))
        for key, part in ((MECHANISM, Part.MECHANISM), (CAUSE, Part.CAUSE))
    ]


def check(conn: Connection, ticket: Ticket, code: object) -> None:
    """Raise InvalidFields unless a finished order may name this mode: one of any class, or the order's own."""
    if code in (None, "", ticket.mode) or any(e.code == code and e.part is Part.MODE for e in shipped()):
        return
    if conn.execute(
        "select 1 from failure_codes where part = 'mode' and code = %s and retired_at is null", (code,)
    ).fetchone():
        return
    detail = f"There is no failure code {code!r}; GET /failure-codes lists them, and 'other' is one of them."
    raise words.refuse("failure_code", detail, code="choice")


def add(conn: Connection, *, part: Part | str, code: str, name: Text, asset_class: str = "", by: str = "") -> Code:
    """Add a code of the site's own, or take a retired one up again. Raises CodeKnown, InvalidFields."""
    made = Code(_part(part), _code(code), _name(name), words.code("asset_class", asset_class or None) or "")
    if any((e.part, e.code) == (made.part, made.code) and e.asset_class in ("", made.asset_class) for e in shipped()):
        raise CodeKnown(f"{code!r} ships with the product.")
    row = conn.execute(
        """insert into failure_codes as known (part, code, asset_class, name, changed_by) values (%s, %s, %s, %s, %s)
           on conflict (site_id, part, asset_class, code)
             do update set name = excluded.name, retired_at = null, changed_by = excluded.changed_by
             where known.retired_at is not null or known.name = excluded.name
           returning code_id""",
        (made.part.value, made.code, made.asset_class, Jsonb(dict(made.name)), by),
    ).fetchone()
    if row is None:
        raise CodeKnown(f"There is a failure code {code!r} already; change its name instead.")
    return get(conn, row[0])


def rename(conn: Connection, code_id: int, *, name: Text, version: int | None = None, by: str = "") -> Code:
    """Another name; the code stays, for orders have it. Raises NotFound, InvalidFields, and Stale unless it fits."""
    _lock(conn, code_id, version)
    conn.execute(
        "update failure_codes set name = %s, changed_by = %s where code_id = %s",
        (Jsonb(dict(_name(name))), by, code_id),
    )
    return get(conn, code_id)


def retire(conn: Connection, code_id: int, *, at: datetime, version: int | None = None, by: str = "") -> None:
    """Take a code of the site's own out of use; orders that have it keep it. Raises NotFound, Stale."""
    _lock(conn, code_id, version)
    conn.execute("update failure_codes set retired_at = %s, changed_by = %s where code_id = %s", (at, by, code_id))


def get(conn: Connection, code_id: int) -> Code:
    """One code of the site's own, in use or retired; raises NotFound."""
    missing = f"This site has no failure code {code_id} of its own."
    return _read(one(conn, SELECT + "where code_id = %s", (code_id,), missing=missing))


def _lock(conn: Connection, code_id: int, version: int | None) -> Code:
    conn.execute("select 1 from failure_codes where code_id = %s for update", (code_id,))
    found = get(conn, code_id)
    refuse_stale(found.code, standing=found.version, given=version, current=asdict(found))
    return found


def _own(conn: Connection) -> Iterator[Code]:
    return map(_read, conn.execute(SELECT + "where retired_at is null order by code"))


def _read(row: tuple[Any, ...]) -> Code:
    part, code, name, asset_class, code_id, version, by = row
    return Code(Part(part), code, name, asset_class, None, code_id, version, by)


def _options(codes: list[Code], part: Part) -> tuple[Option, ...]:
    found = {each.code: each.name for each in codes if each.part is part}
    return tuple(Option(code, name) for code, name in sorted(found.items()))


def _modes(classes: Mapping[str, Mapping[str, Mapping[str, str]]]) -> Iterator[Code]:
    for asset_class, modes in classes.items():
        for code, words_ in modes.items():
            name = {"en": words_["en"], "zh": words_["zh"]}
            yield Code(Part.MODE, code, name, asset_class.replace(ANY_CLASS, ""), words_.get("mechanism"))


def _flat(part: Part, names: Mapping[str, Text]) -> Iterator[Code]:
    return (Code(part, code, name) for code, name in names.items())


def _part(given: object) -> Part:
    try:
        return Part(str(given))
    except ValueError as error:
        raise words.refuse("part", f"part is one of {', '.join(Part)}.", code="choice") from error


def _code(given: object) -> str:
    code = words.code("code", given)
    if code is None or ":" in code:
        raise words.refuse("code", "code needs letters, digits and . _ - only.")
    return code


def _name(given: object) -> Text:
    if not isinstance(given, Mapping) or set(given) != {"en", "zh"}:
        raise words.refuse("name", "name needs a text in en and one in zh.")
    return {lang: line("name", given[lang], longest=120) for lang in ("en", "zh")}
