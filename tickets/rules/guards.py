"""Guards: while a guard's condition holds, a ticket gets past its states with an approval only, whoever moves it.

Asked in ``tickets.store``, the only writer of tickets: web, API, rules, agents, importers, merges and conversions all
come through it. What a ticket costs is what its family does (``tickets.rules.family``), and an approval of one of them
covers their sum. A guard that cannot be judged refuses. The approval is demanded by the rules' engine as soon as the
condition holds, not when somebody is refused: a refusal writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg import Connection

from tickets.given import KEYS
from tickets.model import Actor, Ticket
from tickets.rules import family, shelf, worlds
from tickets.rules.errors import ExpressionFailed, GuardUnclear, NeedsApproval
from tickets.rules.family import Family
from tickets.rules.model import Need, Rule
from tickets.rules.world import World

STEPS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


def check(
    conn: Connection,
    ticket: Ticket,
    changes: Mapping[str, Any],
    actor: Actor,
    now: datetime,
    *,
    origin: int | None = None,
) -> None:
    """Refuse the step that is about to be written if a guard stands in its way. ``origin``: the ticket out of which a
    new one comes. Raises NeedsApproval, GuardUnclear."""
    target = changes.get("status", ticket.status)
    if target == ticket.status:
        return
    rules = [r for r in shelf.current(conn).guards if r.definition.guards(source=ticket.status, target=target)]
    if rules:
        as_it_is = worlds.proposed(conn, ticket, {"status": target}, actor, now)
        as_it_will_be = worlds.proposed(conn, ticket, changes, actor, now)
        for rule in rules:  # what the step itself makes cheaper was dear before it
            kin = family.of(conn, rule, ticket, origin=origin)
            _ask(conn, rule, as_it_is, ticket.ref, target, kin=kin)
            _ask(conn, rule, as_it_will_be, ticket.ref, target, kin=kin)


def holds(conn: Connection, ticket: Ticket, *, to: str, actor: Actor, now: datetime, origin: int | None = None) -> bool:
    """Whether a guard would refuse that step."""
    try:
        check(conn, ticket, {"status": to}, actor, now, origin=origin)
    except (NeedsApproval, GuardUnclear):
        return True
    return False


def _ask(conn: Connection, rule: Rule, world: World, ref: str, target: str, *, kin: Family) -> None:
    name = rule.definition.name["en"]
    try:
        key = wanted(rule, world.dearer(kin.others))
    except ExpressionFailed as error:
        raise GuardUnclear(
            f"The guard “{name}” could not be judged for {ref}: {error.message}", rule=rule.code
        ) from error
    need = rule.definition.need
    if key is not None and need is not None and not stands(conn, kin, rule, key):
        raise NeedsApproval(
            f"{ref} cannot become {target!r}: “{name}” asks for an approval ({need.topic}) by a {need.role} first.",
            rule=rule.code,
            topic=need.topic,
            role=need.role,
        )


def wanted(rule: Rule, world: World) -> float | None:
    """The amount that an approval must cover now (0: no amount), or None: none is needed. Raises ExpressionFailed."""
    condition, need = rule.definition.condition, rule.definition.need
    if condition is None or need is None or not condition.holds(world):
        return None
    return 0.0 if need.amount is None else ceiling(_number(need, world))


def _number(need: Need, world: World) -> float:
    found = None if need.amount is None else need.amount.value(world)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ExpressionFailed(f"The amount of the approval {need.topic!r} is no number.")
    return float(found)


def ceiling(amount: float) -> float:
    """The next round number: approvals are given up to it, so that a cent more does not ask again."""
    if not amount > 0:
        return 0.0
    power = 10.0 ** (len(str(int(amount))) - 1)
    return next(step * power for step in STEPS if amount <= step * power)


def key_of(rule: Rule, amount: float) -> str:
    """The name of an approval; a dearer one is another."""
    return f"guard:{rule.code}:{amount:.2f}"


def asked(conn: Connection, kin: Family, rule: Rule, amount: float) -> bool:
    """Whether an approval for at least this amount was demanded, whatever became of it; one that was never given counts
    only on a ticket that is open still."""
    return any(covered >= amount for covered in _amounts(conn, kin, rule, states=("pending", "approved", "declined")))


def stands(conn: Connection, kin: Family, rule: Rule, amount: float) -> bool:
    """Whether an approval for at least this amount was given."""
    return any(covered >= amount for covered in _amounts(conn, kin, rule, states=("approved",)))


def _amounts(conn: Connection, kin: Family, rule: Rule, *, states: tuple[str, ...]) -> list[float]:
    prefix = key_of(rule, 0).removesuffix("0.00")
    rows = conn.execute(KEYS, (list(kin.ids), list(states), prefix))
    return [float(key.removeprefix(prefix)) for (key,) in rows]
