"""The failure-mode library: one TOML file an asset class, read once and checked.

A class inherits ``unknown`` from ``generic.toml``; a class nobody described has the generic modes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from core.errors import ConfigError
from maintenance.model import LANGUAGES, UNKNOWN, Cost, Mode, Symptom, Words

FOLDER = Path(__file__).parent / "library"
GENERIC = "generic"
DIRECTIONS = {"up": 1, "down": -1, "either": 0}


class LibraryError(ConfigError):
    """A failure-mode library does not fit. The message names the file and what is wrong in it."""

    code = "failure_library"


def modes(asset_class: str) -> tuple[Mode, ...]:
    """Every failure mode of a class, ``unknown`` last; the generic ones for a class that nobody described."""
    classes = load(FOLDER)
    return classes.get(asset_class, classes[GENERIC])


def mode(asset_class: str, code: str) -> Mode:
    """One mode; a code that the class does not have (a person's own word) is its ``unknown``."""
    known = {each.code: each for each in modes(asset_class)}
    return known.get(code, known[UNKNOWN])


def classes() -> tuple[str, ...]:
    """The described asset classes in alphabetical order."""
    return tuple(sorted(load(FOLDER)))


def class_name(asset_class: str) -> Words:
    """What people call the class."""
    return _names(FOLDER).get(asset_class, _names(FOLDER)[GENERIC])


@cache
def load(folder: Path) -> Mapping[str, tuple[Mode, ...]]:
    """Asset class → modes for every file of a folder. Raises LibraryError."""
    documents = {path: _read(path) for path in sorted(folder.glob("*.toml"))}
    by_class = {str(document["asset_class"]): _modes(path, document) for path, document in documents.items()}
    if GENERIC not in by_class:
        raise LibraryError(f"{folder} has no {GENERIC}.toml, which gives every class the mode 'unknown'.")
    unknown = next((each for each in by_class[GENERIC] if each.code == UNKNOWN), None)
    if unknown is None:
        raise LibraryError(f"{folder / GENERIC}.toml has no mode 'unknown'.")
    return {name: _with_unknown(name, found, unknown, documents) for name, found in by_class.items()}


@cache
def _names(folder: Path) -> Mapping[str, Words]:
    documents = [_read(path) for path in sorted(folder.glob("*.toml"))]
    return {str(document["asset_class"]): document["name"] for document in documents}


def _with_unknown(
    name: str, found: tuple[Mode, ...], unknown: Mode, documents: Mapping[Path, dict[str, Any]]
) -> tuple[Mode, ...]:
    named = tuple(each for each in found if each.code != UNKNOWN)
    document = next(each for each in documents.values() if each["asset_class"] == name)
    own = Mode(
        code=UNKNOWN,
        asset_class=name,
        name=unknown.name,
        mechanism=unknown.mechanism,
        signature=(),
        skill=str(document["skill"]),
        typical_lead_h=float(document["lead_h"]),
        checks=unknown.checks,
        cost=Cost(**document["cost"]),
    )
    return (*named, own)


def _read(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LibraryError(f"{path.name}: {error}") from error
    for key in ("asset_class", "name", "skill", "lead_h", "cost"):
        if key not in document:
            raise LibraryError(f"{path.name}: {key!r} is missing.")
    return document


def _modes(path: Path, document: dict[str, Any]) -> tuple[Mode, ...]:
    found = tuple(_mode(path, document, entry) for entry in document.get("mode", ()))
    codes = [each.code for each in found]
    if len(set(codes)) != len(codes):
        raise LibraryError(f"{path.name}: two modes have the same code.")
    return found


def _mode(path: Path, document: dict[str, Any], entry: dict[str, Any]) -> Mode:
    where = f"{path.name}, mode {entry.get('code', '?')!r}"
    try:
        symptoms = tuple(_symptom(where, each) for each in entry.get("signature", ()))
        made = Mode(
            code=entry["code"],
            asset_class=document["asset_class"],
            name=_words(where, entry["name"]),
            mechanism=entry["mechanism"],
            signature=symptoms,
            skill=entry.get("skill", document["skill"]),
            typical_lead_h=float(entry.get("lead_h", document["lead_h"])),
            checks={language: tuple(entry["checks"][language]) for language in LANGUAGES},
            symptoms=symptoms,
            cost=Cost(**entry.get("cost", document["cost"])),
        )
    except (KeyError, TypeError) as error:
        raise LibraryError(f"{where}: {error} is missing or does not fit.") from error
    if min(made.cost.planned, made.cost.failure) < 0 or made.typical_lead_h <= 0:
        raise LibraryError(f"{where}: costs are not negative and lead_h is positive.")
    return made


def _symptom(where: str, entry: dict[str, Any]) -> Symptom:
    if entry["direction"] not in DIRECTIONS:
        raise LibraryError(f"{where}: direction is up, down or either, not {entry['direction']!r}.")
    if entry["weight"] <= 0:
        raise LibraryError(f"{where}: a weight is positive.")
    return Symptom(
        quantity=entry["quantity"],
        direction=DIRECTIONS[entry["direction"]],
        weight=float(entry["weight"]),
        words=tuple(entry["words"]),
    )


def _words(where: str, texts: Mapping[str, str]) -> Words:
    if missing := [language for language in LANGUAGES if not texts.get(language)]:
        raise LibraryError(f"{where}: no name in {', '.join(missing)}.")
    return {language: texts[language] for language in LANGUAGES}
