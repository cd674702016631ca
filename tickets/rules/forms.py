"""The forms of the actions: what each asks for, checked once when a rule is read. Pure.

The table below is all there is: the editor's help, the check and the parser read it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tickets.model import Audience, Own, TicketKind
from tickets.rules import model, wording
from tickets.rules.errors import BadRule
from tickets.rules.expressions import compiled
from tickets.rules.model import DEEPEST, MOST_ACTIONS, Action, Definition, Form

NAME = re.compile(r"[\w .@:-]{1,100}")
WHO = re.compile(r"assignee|requester|planners|watchers|role:[a-z]{1,32}|user:[a-z0-9._@-]{1,64}")
SETTABLE = {"title", "description", "priority", "skill", "mode", "fields"}
RELATED = ("parent", "none")
MOST_TAGS = 20


@dataclass(frozen=True, slots=True)
class Param:
    """One argument of an action. ``kind`` names its reader."""

    kind: str
    needed: bool = False
    help: str = ""


ACTIONS: Mapping[str, tuple[str, Mapping[str, Param]]] = {
    "set": (
        "change columns or custom fields; a mode where there is none",
        {"values": Param(
            "values", True, "{priority = 1, skill = 'electrical', fields = {line = 'A'}}; a value may be {cel = '…'}"
        )},
    ),
    "move": (
        "move along the life cycle, as far as it lets rules",
        {"to": Param("state", True), "reason": Param("template"), "note": Param("template")},
    ),
    "assign": ("give to an engineer, or to whom routing finds", {"engineer": Param("name", help="by name")}),
    "notify": (
        "tell people in their inbox",
        {"to": Param("people", True, "assignee, requester, planners, watchers, role:manager, user:login"),
         "text": Param("template", True, "may name {ticket.ref}, {asset.code} …")},
    ),
    "approve": (
        "ask for an approval",
        {"topic": Param("code", True), "role": Param("role", True), "text": Param("template"),
         "amount": Param("value", help="what it must cover, like {cel = 'ticket.cost'}"),
         "own": Param("own", help="refused (default), or allowed: who made it needed may give it")},
    ),
    "create": (
        "open another ticket",
        {"kind": Param("kind", True), "title": Param("template", True), "description": Param("template"),
         "priority": Param("value"), "asset": Param("asset", help="same (default), none, or an asset's code"),
         "mode": Param("name"), "skill": Param("name"), "fields": Param("object"),
         "link": Param("name", help="how it is linked to this one; child makes this its parent")},
    ),
    "link": (
        "link to another ticket",
        {"kind": Param("name", True), "to": Param("template", True, "its number, like {fields.order}")},
    ),
    "comment": ("say something on the timeline", {"text": Param("template", True), "audience": Param("audience")}),
    "tag": ("add and take away tags", {"add": Param("tags"), "remove": Param("tags")}),
    "webhook": (
        "send the event to an address kept under a name",
        {"endpoint": Param("code", True), "type": Param("code", help="default: ticket.<event>")},
    ),
    "schedule": (
        "do something later; cancelled when its condition no longer holds then",
        {"after": Param("length", True), "if": Param("expression"), "then": Param("actions", True)},
    ),
}  # fmt: skip


def parse(code: object, form: Form, data: object) -> Definition:
    """A checked definition with its actions. Raises BadRule, BadExpression."""
    return model.parse(code, form, data, parse_actions=actions)


def actions(data: object, depth: int) -> tuple[Action, ...]:
    """The actions of a list. Raises BadRule, BadExpression."""
    if depth > DEEPEST:
        raise BadRule(f"schedules stand within schedules at most {DEEPEST} deep.")
    if not isinstance(data, list | tuple) or not 1 <= len(data) <= MOST_ACTIONS:
        raise BadRule(f"then lists 1 to {MOST_ACTIONS} actions, like [{{do = 'assign'}}].")
    return tuple(_action(item, depth) for item in data)


def _action(data: object, depth: int) -> Action:
    if not isinstance(data, Mapping) or str(data.get("do")) not in ACTIONS:
        raise BadRule(f"an action is a table with do = one of {', '.join(ACTIONS)}.")
    do = str(data["do"])
    params = ACTIONS[do][1]
    unknown = sorted(set(data) - set(params) - {"do"})
    if unknown:
        raise BadRule(f"{do} has no {unknown[0]!r}; known are {', '.join(params) or 'none'}.")
    missing = [name for name, param in params.items() if param.needed and name not in data]
    if missing:
        raise BadRule(f"{do} needs {missing[0]!r}.")
    args = {
        name: actions(data[name], depth + 1)
        if param.kind == "actions"
        else READERS[param.kind](data[name], f"{do}.{name}")
        for name, param in params.items()
        if name in data
    }
    if do == "tag" and not args:
        raise BadRule("tag needs 'add' or 'remove'.")
    return Action(do, args)


# -- readers of one argument ------------------------------------------------------------------------------------------


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[object, str], str]:
    def read(value: object, name: str) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise BadRule(f"{name} is {what}, not {value!r}.")
        return value

    return read


def _one_of(*choices: str) -> Callable[[object, str], str]:
    def read(value: object, name: str) -> str:
        if value not in choices:
            raise BadRule(f"{name} is one of {', '.join(choices)}.")
        return str(value)

    return read


def _values(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value or not set(value) <= SETTABLE:
        raise BadRule(f"{name} is a table of {', '.join(sorted(SETTABLE))}.")
    found: dict[str, Any] = {key: wording.value(item) for key, item in value.items() if key != "fields"}
    if "fields" in value:
        found["fields"] = _object(value["fields"], f"{name}.fields")
    return found


def _object(value: object, name: str) -> dict[str, wording.Value]:
    if not isinstance(value, Mapping) or len(value) > 100:
        raise BadRule(f"{name} is a table of at most 100 fields.")
    return {str(key): wording.value(item) for key, item in value.items()}


def _people(value: object, name: str) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not 1 <= len(listed) <= 20:
        raise BadRule(f"{name} lists who is told.")
    for who in listed:
        if not isinstance(who, str) or not WHO.fullmatch(who):
            raise BadRule(f"{name}: {who!r} is nobody; use assignee, requester, planners, watchers, role:… or user:….")
    return tuple(listed)


def _tags(value: object, name: str) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not 1 <= len(listed) <= MOST_TAGS:
        raise BadRule(f"{name} lists 1 to {MOST_TAGS} tags.")
    if any(not isinstance(tag, str) or not 1 <= len(tag.strip()) <= 64 for tag in listed):
        raise BadRule(f"{name} has a tag that is empty or longer than 64 characters.")
    return tuple(tag.strip() for tag in listed)


def _text(value: object, name: str) -> wording.Template:
    return wording.template(value, name)


def _value(value: object, name: str) -> wording.Value:  # noqa: ARG001 - a reader's signature
    return wording.value(value)


def _expression(value: object, name: str) -> Any:
    if not isinstance(value, str):
        raise BadRule(f"{name} is an expression, as text.")
    return compiled(value)


READERS: Mapping[str, Callable[[object, str], Any]] = {
    "values": _values,
    "object": _object,
    "people": _people,
    "tags": _tags,
    "template": _text,
    "value": _value,
    "expression": _expression,
    "length": wording.length,
    "state": _matching(model.STATE, "a state"),
    "code": _matching(model.CODE, "a short code"),
    "name": _matching(NAME, "a name"),
    "asset": _matching(NAME, "same, none, or an asset's code"),
    "role": _one_of("planner", "manager", "admin"),
    "own": _one_of(*Own),
    "audience": _one_of(*Audience),
    "kind": _one_of(*TicketKind),
}
