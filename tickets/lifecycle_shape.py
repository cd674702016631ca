"""Whether plain data has the shape of a life cycle: every mistake as a sentence that names the place. Pure.

What it means (unknown roles, states without way out) is ``tickets.lifecycle.validate``'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

LANGUAGES = ("en", "zh")
NAME = re.compile(r"[a-z][a-z_]{0,31}\Z")
MOST_STATES, MOST_TRANSITIONS, MOST_WORDS, LONGEST_LABEL = 60, 400, 40, 60
TOP = {"initial", "states", "transitions", "kinds", "extends"}
STATE = {"label", "stops", "resumes", "pauses_for"}
TRANSITION = {"from", "to", "label", "roles", "guards", "requires"}
NEEDED = ("from", "to", "label", "roles")


def problems(data: object) -> Iterator[str]:
    """What is not of the right shape; nothing when it can be read."""
    if not isinstance(data, Mapping):
        yield "A life cycle is an object with initial, states and transitions."
        return
    yield from _unknown("The life cycle", data, TOP)
    if not isinstance(data.get("initial"), str):
        yield "`initial` names the state that a ticket begins in."
    yield from _states(data.get("states"))
    yield from _transitions(data.get("transitions"))


def _states(states: object) -> Iterator[str]:
    if not isinstance(states, Mapping) or not 0 < len(states) <= MOST_STATES:
        yield f"`states` is an object of 1 to {MOST_STATES} states by name."
        return
    for name, state in states.items():
        if not NAME.match(str(name)):
            yield f"State {str(name)[:64]!r}: a name is 1 to 32 of a–z and _."
        elif not isinstance(state, Mapping):
            yield f"State {name!r} is an object with a label."
        else:
            yield from _state(str(name), state)


def _state(name: str, state: Mapping[str, Any]) -> Iterator[str]:
    where = f"State {name!r}"
    yield from _unknown(where, state, STATE)
    yield from _label(where, state.get("label"))
    for key in ("stops", "resumes", "pauses_for"):
        yield from _words(f"{where}, `{key}`", state.get(key, []))


def _transitions(transitions: object) -> Iterator[str]:
    if not isinstance(transitions, list | tuple) or not 0 < len(transitions) <= MOST_TRANSITIONS:
        yield f"`transitions` is a list of 1 to {MOST_TRANSITIONS} transitions."
        return
    for number, step in enumerate(transitions, start=1):
        if isinstance(step, Mapping):
            yield from _transition(f"Transition {number}", step)
        else:
            yield f"Transition {number} is an object with from, to, label and roles."


def _transition(where: str, step: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(where, step, TRANSITION)
    missing = [name for name in NEEDED if name not in step]
    if missing:
        yield f"{where} lacks {', '.join(missing)}."
        return
    if not isinstance(step["to"], str):
        yield f"{where}: `to` names one state."
    yield from _words(f"{where}, `from`", step["from"], needed=True)
    yield from _words(f"{where}, `roles`", step["roles"])
    yield from _words(f"{where}, `guards`", step.get("guards", []))
    yield from _label(where, step["label"])
    yield from _requirements(where, step.get("requires", []))


def _requirements(where: str, requires: object) -> Iterator[str]:
    if not isinstance(requires, list | tuple) or len(requires) > MOST_WORDS:
        yield f"{where}: `requires` is a list of fields."
        return
    for each in requires:
        if not isinstance(each, str) and not _is_condition(each):
            yield f"{where}: what it requires is a field's name, or an object with `field` and `when` (field → values)."


def _is_condition(each: object) -> bool:
    if not isinstance(each, Mapping) or set(each) != {"field", "when"} or not isinstance(each["field"], str):
        return False
    when = each["when"]
    return isinstance(when, Mapping) and all(_is_words(values) for values in when.values())


def _label(where: str, label: object) -> Iterator[str]:
    if not isinstance(label, Mapping) or not all(_is_text(text) for text in label.values()):
        yield f"{where} needs a label in {' and '.join(LANGUAGES)}, each a text of 1 to {LONGEST_LABEL} characters."


def _is_text(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip()) and len(text) <= LONGEST_LABEL and "\x00" not in text


def _words(where: str, words: object, *, needed: bool = False) -> Iterator[str]:
    if not _is_words(words) or (needed and not words):
        yield f"{where} is a list of names."


def _is_words(words: object) -> bool:
    return isinstance(words, list | tuple) and len(words) <= MOST_WORDS and all(isinstance(each, str) for each in words)


def _unknown(where: str, data: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    names = sorted(repr(str(name)[:64]) for name in data if name not in known)
    if names:
        yield f"{where} has unknown entries: {', '.join(names[:5])}; known are {', '.join(sorted(known))}."
