"""A life cycle as text: TOML to read and keep in git, JSON for programs; both read back to the same. Pure."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any

from tickets.errors import BadDefinition
from tickets.lifecycle import LANGUAGES, Lifecycle, Requirement, State, Transition

LONGEST_TEXT = 400_000


def definition_of(flow: Lifecycle) -> dict[str, Any]:
    """The plain data that ``lifecycle.parse`` makes this life cycle of."""
    return {
        "initial": flow.initial,
        "states": {name: _state(state) for name, state in flow.states.items()},
        "transitions": [_transition(step) for step in flow.transitions],
    }


def _state(state: State) -> dict[str, Any]:
    listed = {name: sorted(getattr(state, name)) for name in ("stops", "resumes", "pauses_for")}
    return {"label": _label(state.label)} | {name: words for name, words in listed.items() if words}


def _transition(step: Transition) -> dict[str, Any]:
    data: dict[str, Any] = {
        "from": sorted(step.sources),
        "to": step.to,
        "label": _label(step.label),
        "roles": sorted(step.roles),
    }
    if step.guards:
        data["guards"] = list(step.guards)
    if step.requires:
        data["requires"] = [_requirement(each) for each in step.requires]
    return data


def _requirement(each: Requirement) -> str | dict[str, Any]:
    return (
        {"field": each.field, "when": {name: list(of) for name, of in each.when.items()}} if each.when else each.field
    )


def _label(label: Mapping[str, str]) -> dict[str, str]:
    return {name: label[name] for name in (*LANGUAGES, *sorted(set(label) - set(LANGUAGES))) if name in label}


def to_json(definition: Mapping[str, Any]) -> str:
    """The definition as JSON, indented."""
    return json.dumps(definition, indent=2, ensure_ascii=False) + "\n"


def to_toml(definition: Mapping[str, Any]) -> str:
    """The definition as TOML: one line a state, one table a transition."""
    lines = [f"initial = {_toml(definition['initial'])}", "", "[states]"]
    lines += [f"{name} = {_toml(state)}" for name, state in definition["states"].items()]
    for step in definition["transitions"]:
        lines += ["", "[[transitions]]", *(f"{name} = {_toml(value)}" for name, value in step.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {_toml(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace(
        "\x7f", "\\u007f"
    )  # TOML's basic strings are JSON's, but for DEL


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() and name.isascii() else json.dumps(name, ensure_ascii=False)


def read(text: str) -> dict[str, Any]:
    """A definition from JSON (it begins with a brace) or TOML. Raises BadDefinition naming line and column."""
    if len(text) > LONGEST_TEXT:
        raise BadDefinition(f"A life cycle is at most {LONGEST_TEXT} characters long.")
    try:
        data = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadDefinition(f"This is neither TOML nor JSON: {error}.") from error
    return dict(data)
