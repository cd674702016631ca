"""Who may do what: one truth table, and the Policy that every route carries. No Policy, no start.

    @router.get("/assets", dependencies=[allow("asset.read")])
    @router.get("/clock", dependencies=[open_to_all("a screen shows the time before sign-in")])

The request's transaction (``api.deps``) authorises on the matched route object, never on the URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fastapi import Depends
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute

from api.errors import PolicyMissing


class Grant(StrEnum):
    """How far a role's right reaches. Another site's things are never in reach."""

    SITE = "site"  # everything on the site
    ASSIGNED = "assigned"  # tickets assigned to oneself
    OWN = "own"  # what one asked for oneself
    NO = "-"


# reliability.md §5. Engineers read the whole site for now; writes are bound to what is assigned to them.
TABLE = """
action             device gateway requester engineer planner manager admin agent
session.end        own    own     own       own      own     own     own   own
me.read            own    own     own       own      own     own     own   own
me.edit            own    own     own       own      own     own     own   own
me.secure          own    own     own       own      own     own     own   own
identity.read      -      -       -         -        -       site    site  -
agent.manage       -      -       -         -        -       -       site  -
provider.manage    -      -       -         -        -       -       site  -
asset.read         -      -       -         site     site    site    site  site
asset.edit         -      -       -         -        site    site    site  -
telemetry.read     -      -       -         site     site    site    site  site
prediction.read    -      -       -         site     site    site    site  site
failure.record     -      -       -         site     site    site    site  -
event.record       -      -       -         site     site    site    site  site
alarm.read         -      -       -         site     site    site    site  site
alarm.acknowledge  -      -       -         site     site    site    site  -
alarm.shelve       -      -       -         -        site    site    site  -
mode.read          -      -       -         site     site    site    site  site
detector.read      -      -       -         site     site    site    site  site
ticket.read        -      -       own       site     site    site    site  site
ticket.create      -      -       own       site     site    site    site  site
ticket.edit        -      -       -         assigned site    site    site  -
ticket.transition  -      -       -         assigned site    site    site  -
ticket.assign      -      -       -         -        site    site    site  -
ticket.comment     -      -       own       site     site    site    site  site
article.read       -      -       -         site     site    site    site  site
engineer.read      -      -       -         site     site    site    site  site
engineer.manage    -      -       -         -        site    site    site  -
quarantine.read    -      -       -         -        site    site    site  -
quarantine.settle  -      -       -         -        site    site    site  -
source.read        -      -       -         -        site    site    site  -
source.edit        -      -       -         -        -       site    site  -
notification.read  -      -       own       own      own     own     own   own
live.listen        -      -       own       site     site    site    site  site
device.manage      -      -       -         -        -       -       site  -
user.manage        -      -       -         -        -       -       site  -
retention.read     -      -       -         -        site    site    site  -
retention.edit     -      -       -         -        -       site    site  -
system.read        -      -       -         -        site    site    site  -
sla.read           -      -       -         -        site    site    site  -
sla.edit           -      -       -         -        -       site    site  -
rule.read          -      -       -         -        site    site    site  -
rule.draft         -      -       -         -        site    site    site  -
rule.edit          -      -       -         -        -       site    site  -
webhook.manage     -      -       -         -        -       site    site  -
search.use         -      -       own       site     site    site    site  site
list.export        -      -       -         site     site    site    site  -
bulk.edit          -      -       -         -        site    site    site  -
report.read        -      -       -         site     site    site    site  -
report.schedule    -      -       -         -        site    site    site  -
saved.edit         -      -       own       site     site    site    site  -
lifecycle.read     -      -       -         site     site    site    site  site
lifecycle.edit     -      -       -         -        site    site    site  -
lifecycle.publish  -      -       -         -        -       site    site  -
attachment.read    -      -       own       site     site    site    site  site
attachment.add     -      -       own       site     site    site    site  -
work.read          -      -       -         site     site    site    site  site
work.record        -      -       -         site     site    site    site  -
field.read         -      -       site      site     site    site    site  site
field.edit         -      -       -         -        -       site    site  -
ticket.plan        -      -       -         -        site    site    site  -
ticket.link        -      -       -         assigned site    site    site  -
approval.read      -      -       -         site     site    site    site  site
approval.decide    -      -       -         site     site    site    site  -
checklist.edit     -      -       -         -        site    site    site  -
ticket.take        -      -       -         site     -       -       -     -
ticket.hand_over   -      -       -         assigned site    site    site  -
dispatch.read      -      -       -         site     site    site    site  site
dispatch.plan      -      -       -         -        site    site    site  -
calendar.make      -      -       -         own      site    site    site  -
stock.read         -      -       -         site     site    site    site  site
stock.use          -      -       -         assigned site    site    site  -
stock.manage       -      -       -         -        site    site    site  -
article.draft      -      -       -         site     site    site    site  -
article.publish    -      -       -         -        site    site    site  -
article.use        -      -       -         site     site    site    site  -
article.report     -      -       -         -        site    site    site  -
article.hold_out   -      -       -         -        -       site    site  -
triage.read        -      -       -         site     site    site    site  site
review.read        -      -       -         site     site    site    site  site
review.decide      -      -       -         -        site    site    site  -
policy.read        -      -       -         -        site    site    site  -
policy.edit        -      -       -         -        -       site    site  -
gate.read          -      -       -         -        site    site    site  -
gate.decide        -      -       -         -        -       site    site  -
backtest.run       -      -       -         -        site    site    site  -
plan.read          -      -       -         site     site    site    site  site
plan.edit          -      -       -         -        site    site    site  -
window.edit        -      -       -         -        site    site    site  -
meter.read         -      -       -         site     site    site    site  site
meter.record       -      -       -         site     site    site    site  -
alarm.design       -      -       -         -        site    site    site  -
alarm_rule.read    -      -       -         site     site    site    site  site
alarm_rule.edit    -      -       -         -        site    site    site  -
alarm_rule.enable  -      -       -         -        -       site    site  -
alarm.work         -      -       -         site     site    site    site  -
library.edit       -      -       -         -        -       -       site  -
verdict.read       -      -       -         site     site    site    site  site
verdict.correct    -      -       -         -        site    site    site  -
evidence.read      -      -       -         site     site    site    site  -
indicator.read     -      -       -         site     site    site    site  -
"""


def parse(table: str) -> Mapping[str, Mapping[str, Grant]]:
    """action → role → Grant; raises ValueError for a missing, double or unknown cell."""
    head, *lines = (line.split() for line in table.split("\n") if line.strip())
    rules: dict[str, dict[str, Grant]] = {}
    for action, *cells in lines:
        if action in rules or len(cells) != len(head) - 1:
            raise ValueError(f"policy table: row {action!r} is double or has {len(cells)} of {len(head) - 1} cells")
        rules[action] = {role: Grant(cell) for role, cell in zip(head[1:], cells, strict=True)}
    return rules


RULES = parse(TABLE)
ROLES = tuple(TABLE.split("\n")[1].split()[1:])


@dataclass(frozen=True, slots=True)
class Policy:
    """What a route asks of its caller: a right of the table, or nothing but a reason why it is open."""

    action: str | None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.action is None and not self.reason:
            raise PolicyMissing("An open route needs a reason.")
        if self.action is not None and self.action not in RULES:
            raise PolicyMissing(f"The policy table has no row {self.action!r}.")

    @property
    def is_open(self) -> bool:
        return self.action is None

    def grant(self, role: str) -> Grant:
        """How far this right reaches for a role; an unknown role has none."""
        return Grant.NO if self.action is None else RULES[self.action].get(role, Grant.NO)

    async def __call__(self) -> None:
        """As a dependency it only marks its route; ``api.deps.Guarded`` makes every marked route enforce it."""


def allow(action: str) -> Any:
    """Dependency: the caller's role needs this right."""
    return Depends(Policy(action))


def open_to_all(reason: str) -> Any:
    """Dependency: no sign-in is needed, for this reason."""
    return Depends(Policy(None, reason))


def policy_of(route: BaseRoute) -> Policy:
    """The one Policy of a route; raises PolicyMissing."""
    found = [each.dependency for each in getattr(route, "dependencies", []) if isinstance(each.dependency, Policy)]
    if len(found) != 1:
        raise PolicyMissing(
            f"The route {getattr(route, 'path', route)!r} carries {len(found)} policies instead of one."
        )
    return found[0]


def check_routes(routes: Iterable[BaseRoute]) -> dict[tuple[str, str], Policy]:
    """(method, path) → Policy of every route; raises PolicyMissing for one without, or of an unknown kind."""
    policies = {}
    for context in iter_route_contexts(list(routes)):
        route = context.original_route
        if not isinstance(route, APIRoute):
            raise PolicyMissing(f"{route!r} is no API route and carries no policy.")
        for method in route.methods or ():
            policies[method, str(context.path)] = policy_of(route)
    return policies
