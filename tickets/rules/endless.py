"""Rules without end, found before they run: a rule that opens tickets which open tickets. Pure.

Each ``create`` is tried as if it had happened: would the new ticket make a rule run that creates another one, and so in
a circle? What depends on the machine or on the site's fields cannot be known here; the loop guard catches that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from tickets.chain import BLANK
from tickets.model import NEW
from tickets.rules.errors import ExpressionFailed, RuleWithoutEnd
from tickets.rules.matching import ANY
from tickets.rules.model import Action, Definition, Form
from tickets.rules.wording import Value
from tickets.rules.world import NO_ASSET, Happening, World

SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)
OPENED = "opened"


def refuse(definitions: Sequence[Definition]) -> None:
    """Raise RuleWithoutEnd when the first of these would run without end, alone or with the others."""
    first = definitions[0]
    if first.form is Form.GUARD:
        return
    circle = _circle(first, definitions, (first.code,))
    if circle is not None:
        names = " → ".join(circle)
        raise RuleWithoutEnd(
            f"{names}: the ticket that this opens makes the rule run again, without end. Exclude it by the condition, "
            "for example with ticket.channel != 'rule'.",
            rules=list(circle),
        )


def _circle(rule: Definition, all_of: Sequence[Definition], path: tuple[str, ...]) -> tuple[str, ...] | None:
    for action in creations(rule.actions):
        for other in all_of:
            if not answers(other, action):
                continue
            if other.code == path[0]:
                return (*path, other.code)
            if other.code not in path and (found := _circle(other, all_of, (*path, other.code))) is not None:
                return found
    return None


def creations(actions: Sequence[Action]) -> Iterator[Action]:
    """The create actions, those of schedules included."""
    for action in actions:
        if action.do == "create":
            yield action
        elif action.do == "schedule":
            yield from creations(action.args["then"])


def answers(rule: Definition, action: Action) -> bool:
    """Whether the rule is sure to run for the ticket that the action opens, and creates one itself."""
    follows = rule.form is Form.RULE and rule.when.kinds & {OPENED, ANY}
    if not follows or not any(True for _ in creations(rule.actions)):
        return False
    if rule.condition is None:
        return True
    try:
        return rule.condition.holds(_opened(action))
    except ExpressionFailed:
        return False


def _opened(action: Action) -> World:
    args = action.args
    body: dict[str, Any] = {**BLANK, "fields": _plain(args.get("fields", {})), "assignment_reasons": ()}
    body |= {
        "ref": "WO-2026-000000",
        "kind": args["kind"],
        "status": NEW,
        "priority": args["priority"].plain if "priority" in args else 3,
        "title": args["title"].texts["en"],
        "description": args["description"].texts["en"] if "description" in args else "",
        "mode": args.get("mode"),
        "skill": args.get("skill"),
        "channel": "rule",
        "opened_at": SOME_TIME,
    }
    happened = Happening(OPENED, 1, SOME_TIME, "rule", 0, "", {"after": body})
    return World(ticket_id=0, row=body, before=None, happening=happened, asset_of=lambda _: NO_ASSET, now=SOME_TIME)


def _plain(fields: dict[str, Value]) -> dict[str, Any]:
    return {name: value.plain for name, value in fields.items() if value.expression is None}
