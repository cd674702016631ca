"""One failure-mode library: TOML text → checked ``Library``. Pure; every refusal is a sentence that says what to do.

A file describes one asset class: per mode its names, the ISO 14224 codes (``iso_mode`` how it shows, ``mechanism`` what
goes on, ``cause`` where it comes from), the signature, lead, costs, skill, parts, effect, guide, checks, and by which
other modes it may be caused. ``docs/assets.md`` has the form.
"""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from core.errors import Invalid
from maintenance.model import LANGUAGES, UNKNOWN, Cost, Mode, Symptom, Words
from plant.units import UnknownQuantity, UnknownUnit, WrongUnit, canonical, conversion

DIRECTIONS = {"up": 1, "down": -1, "either": 0}
CODE = re.compile(r"[a-z0-9_]{1,64}")
MECHANISM = re.compile(r"[1-6]\.[0-9]( .+)?")
CAUSE = re.compile(r"[1-5]\.[0-9]")
ISO_MODES = re.compile(
    "AIR|BRD|CSF|DOP|ELP|ELU|ERO|FCO|FOF|FOV|FRO|FTC|FTF|FTI|FTL|FTO|FTR|FTS|HIO|IHT|INL|LBP|LCP|LOA|LOB|LOO|MOF|NOI|"
    "OHE|OTH|PDE|PLU|POD|PTF|SBU|SER|SET|SHH|SLL|SPO|STD|STP|UNK|UST|VIB|VLO"
)
ANY_QUANTITY = "*"
LONGEST_LEAD_H = 24.0 * 3650
LONGEST = 100_000  # characters of a file
MOST_MODES = 200
MOST_SHOWN = 20
CLASS_KEYS = frozenset({"asset_class", "name", "skill", "lead_h", "cost", "lockout", "mode"})
MODE_KEYS = frozenset(
    {
        "code", "name", "mechanism", "iso_mode", "cause", "caused_by", "skill", "lead_h", "cost", "signature", "checks",
        "effect", "parts", "article", "lockout",
    }
)  # fmt: skip
SIGN_KEYS = frozenset({"words", "quantity", "direction", "weight", "alert", "unit"})


class LibraryError(Invalid):
    """A failure-mode library does not fit. The message names the file and what is wrong in it; nothing was changed."""

    code = "failure_library"


@dataclass(frozen=True, slots=True)
class Library:
    """A class as its file describes it; ``modes`` in the file's order. ``sha256`` of the text tells versions apart."""

    asset_class: str
    name: Words
    skill: str
    lead_h: float
    cost: Cost
    lockout: Mapping[str, tuple[str, ...]]
    modes: tuple[Mode, ...]
    sha256: str


def parse(text: str, name: str) -> Library:
    """The library of a file called ``name``. Raises LibraryError with every problem that was found."""
    if len(text) > LONGEST:
        raise LibraryError(f"{name}: more than {LONGEST:,} characters; a class needs a few thousand.")
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise LibraryError(f"{name} is no TOML: {error}.") from error
    found = list(problems(document))
    if found:
        more = f" And {len(found) - MOST_SHOWN} more." if len(found) > MOST_SHOWN else ""
        raise LibraryError(f"{name}: {' '.join(found[:MOST_SHOWN])}{more}", problems=found[:MOST_SHOWN])
    return _library(document, hashlib.sha256(text.encode()).hexdigest())


def problems(document: Mapping[str, Any]) -> Iterator[str]:
    """Everything that does not fit, a sentence each."""
    yield from _class_problems(document)
    modes = document.get("mode", [])
    if not isinstance(modes, list) or not modes or not all(isinstance(each, dict) for each in modes):
        yield "It needs at least one [[mode]]."
        return
    if len(modes) > MOST_MODES:
        yield f"{len(modes)} modes are more than the {MOST_MODES} that a person can choose from."
        return
    for entry in modes:
        yield from (f"Mode {entry.get('code', '?')!r}: {each}" for each in _mode_problems(entry, document))
    yield from _between(modes)


def _class_problems(document: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown_keys(document, CLASS_KEYS)
    if not _matches(CODE, document.get("asset_class")):
        yield "asset_class is a word of small letters, digits and _, such as 'pump'."
    yield from _words_problems("name", document.get("name"))
    if not _line(document.get("skill")):
        yield "skill names who repairs it, such as 'mechanical'."
    yield from _lead_problems(document.get("lead_h"))
    yield from _cost_problems(document.get("cost"))
    if "lockout" in document:
        yield from _lists_problems("lockout", document["lockout"])


def _mode_problems(entry: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown_keys(entry, MODE_KEYS)
    if not _matches(CODE, entry.get("code")):
        yield "code is a word of small letters, digits and _."
    yield from _words_problems("name", entry.get("name"))
    if not _matches(MECHANISM, entry.get("mechanism")):
        yield "mechanism is a code of ISO 14224 such as '2.4 wear'."
    if "iso_mode" in entry and not _matches(ISO_MODES, entry["iso_mode"]):
        yield f"iso_mode is a failure mode of ISO 14224 such as VIB or ELP, not {entry['iso_mode']!r}."
    if "cause" in entry and not _matches(CAUSE, entry["cause"]):
        yield f"cause is a code of ISO 14224 such as '3.4', not {entry['cause']!r}."
    yield from _lead_problems(entry.get("lead_h", document.get("lead_h")))
    yield from _cost_problems(entry.get("cost", document.get("cost")))
    if "checks" not in entry:
        yield "checks.en and checks.zh say what to look at."
    for key in ("checks", "parts", "lockout"):
        if key in entry:
            yield from _lists_problems(key, entry[key])
    for key in ("effect", "article"):
        if key in entry:
            yield from _words_problems(key, entry[key])
    yield from _signature_problems(entry)


def _signature_problems(entry: Mapping[str, Any]) -> Iterator[str]:
    signature = entry.get("signature", [])
    if not isinstance(signature, list) or not all(isinstance(each, dict) for each in signature):
        yield "signature is a list of { words, quantity, direction, weight }."
        return
    if not signature and entry.get("code") != UNKNOWN:
        yield "a mode without a signature can never be recognised; only 'unknown' has none."
    for each in signature:
        yield from _symptom_problems(each)


def _symptom_problems(entry: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown_keys(entry, SIGN_KEYS)
    quantity, words = entry.get("quantity"), entry.get("words", [])
    try:
        if quantity != ANY_QUANTITY:
            canonical(str(quantity))
    except UnknownQuantity as error:
        yield error.message
    else:
        yield from _unit_problems(entry)
    if entry.get("direction") not in DIRECTIONS:
        yield f"direction is up, down or either, not {entry.get('direction')!r}."
    if not _number(entry.get("weight")) or not 0 < entry["weight"] <= 10:
        yield "a weight is a number above 0, at most 10."
    if not isinstance(words, list) or not all(_line(word) for word in words):
        yield "words is a list of words by which the signal is called."


def _unit_problems(entry: Mapping[str, Any]) -> Iterator[str]:
    if "unit" not in entry and "alert" not in entry:
        return
    if not _number(entry.get("alert")) or "unit" not in entry:
        yield "alert is a number and comes with its unit."
        return
    try:
        conversion(str(entry["quantity"]), str(entry["unit"]))
    except (UnknownUnit, WrongUnit, UnknownQuantity) as error:
        yield error.message


def _between(modes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong between the modes: a code twice, a cause that is none, a chain of causes that bites its tail."""
    codes = [str(entry.get("code")) for entry in modes]
    yield from (f"There are two modes {code!r}." for code in sorted({each for each in codes if codes.count(each) > 1}))
    causes: dict[str, list[str]] = {}
    for entry in modes:
        named = entry.get("caused_by", [])
        if not isinstance(named, list):
            yield f"Mode {entry.get('code')!r}: caused_by is a list of modes of this file."
            continue
        causes[str(entry.get("code"))] = [str(each) for each in named]
        yield from (
            f"Mode {entry.get('code')!r} is caused by {each!r}, which this file has not."
            for each in named
            if each not in codes
        )
    if ring := _ring(causes):
        yield f"The causes go in a circle: {' ← '.join(ring)}. A mode cannot be its own cause."


def _ring(causes: Mapping[str, Sequence[str]]) -> list[str]:
    """A circle of causes, its first named again at the end; empty when there is none."""
    try:
        TopologicalSorter(causes).prepare()
    except CycleError as error:
        return [str(each) for each in error.args[1]]
    return []


def _words_problems(key: str, texts: object) -> Iterator[str]:
    known = texts if isinstance(texts, dict) else {}
    if missing := [language for language in LANGUAGES if not _line(known.get(language), most=2000)]:
        yield f"no {key} in {' and '.join(missing)}."


def _lists_problems(key: str, texts: object) -> Iterator[str]:
    known = texts if isinstance(texts, dict) else {}
    for language in LANGUAGES:
        lines = known.get(language, [] if key == "parts" else None)
        if not isinstance(lines, list) or not all(_line(each, most=2000) for each in lines):
            yield f"{key}.{language} is a list of sentences."


def _lead_problems(lead: object) -> Iterator[str]:
    if not _number(lead) or not 0 < float(str(lead)) <= LONGEST_LEAD_H:
        yield "lead_h, the usual time from first sign to failure, is a positive number of hours."


def _cost_problems(cost: object) -> Iterator[str]:
    if not isinstance(cost, dict) or not {"planned", "failure"} <= cost.keys() <= {"planned", "failure", "currency"}:
        yield "cost is { planned, failure, currency }."
    elif not all(_number(cost[key]) and cost[key] >= 0 for key in ("planned", "failure")):
        yield "costs are numbers and never negative."
    elif not re.fullmatch(r"[A-Z]{3}", str(cost.get("currency", "EUR"))):
        yield "the currency is a code of three letters such as EUR."


def _unknown_keys(entry: Mapping[str, Any], known: frozenset[str]) -> Iterator[str]:
    if strange := sorted(set(entry) - known):
        yield f"{', '.join(map(repr, strange))} is not known here; known are {', '.join(sorted(known))}."


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and bool(pattern.fullmatch(value))


def _line(value: object, *, most: int = 200) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= most and value.isprintable()


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _library(document: Mapping[str, Any], sha256: str) -> Library:
    return Library(
        asset_class=document["asset_class"],
        name=_words(document["name"]),
        skill=document["skill"],
        lead_h=float(document["lead_h"]),
        cost=Cost(**document["cost"]),
        lockout=_lists(document.get("lockout", {})),
        modes=tuple(_mode(entry, document) for entry in document["mode"]),
        sha256=sha256,
    )


def _mode(entry: Mapping[str, Any], document: Mapping[str, Any]) -> Mode:
    symptoms = tuple(_symptom(each) for each in entry.get("signature", ()))
    return Mode(
        code=entry["code"],
        asset_class=document["asset_class"],
        name=_words(entry["name"]),
        mechanism=entry["mechanism"],
        signature=symptoms,
        skill=entry.get("skill", document["skill"]),
        typical_lead_h=float(entry.get("lead_h", document["lead_h"])),
        checks=_lists(entry["checks"]),
        symptoms=symptoms,
        cost=Cost(**entry.get("cost", document["cost"])),
        iso_mode=entry.get("iso_mode", "OTH"),
        cause=entry.get("cause", "5.5"),
        caused_by=tuple(entry.get("caused_by", ())),
        effect=_words(entry.get("effect", {})),
        parts=_lists(entry.get("parts", {})),
        article=_words(entry.get("article", {})),
        lockout=_lists(entry.get("lockout", document.get("lockout", {}))),
    )


def _symptom(entry: Mapping[str, Any]) -> Symptom:
    return Symptom(
        quantity=entry["quantity"],
        direction=DIRECTIONS[entry["direction"]],
        weight=float(entry["weight"]),
        words=tuple(word.lower() for word in entry.get("words", ())),
        alert=None if "alert" not in entry else float(entry["alert"]),
        unit=str(entry.get("unit", "")),
    )


def _words(texts: Mapping[str, str]) -> Words:
    return {language: texts.get(language, "") for language in LANGUAGES}


def _lists(texts: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {language: tuple(texts.get(language, ())) for language in LANGUAGES}
