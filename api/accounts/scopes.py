"""What a token is good for: a list of rights of the policy table. Pure.

    ticket.read     that right
    ticket.*        every right on tickets
    *.read          every right to read
    *               all

A scope only narrows: at every request the caller's role must have the right too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from api.policies import RULES
from core.errors import Forbidden, Invalid

MOST = 50


class ScopeMissing(Forbidden):
    """This token is not good for that: its scopes do not include the right. Make one whose scopes do."""

    code = "scope_missing"


class BadScope(Invalid):
    """There is no such scope, or its owner has no such right."""

    code = "bad_scope"


def covers(scopes: Iterable[str] | None, action: str) -> bool:
    """Whether these scopes include a right; None stands for all."""
    return scopes is None or any(_fits(scope, action) for scope in scopes)


def _fits(scope: str, action: str) -> bool:
    room, _, verb = action.partition(".")
    return scope == "*" or scope in (action, f"{room}.*", f"*.{verb}")


def reach(scope: str) -> frozenset[str]:
    """The rights that a scope stands for; none for a word that is no scope."""
    return frozenset(action for action in RULES if _fits(scope, action))


def checked(scopes: Iterable[str], may: Callable[[str], bool]) -> list[str]:
    """The scopes in order, each once. Raises BadScope for one that gives an owner who ``may`` do so much nothing."""
    owned = {action for action in RULES if may(action)}
    chosen = sorted(set(scopes))
    if not 1 <= len(chosen) <= MOST:
        raise BadScope(f"Give 1 to {MOST} scopes.")
    for scope in chosen:
        if not reach(scope):
            raise BadScope(f"There is no scope {scope!r}. A scope is a right like ticket.read, ticket.*, *.read or *.")
        if not reach(scope) & owned:
            raise BadScope(f"The owner of this token has no right that the scope {scope!r} stands for.")
    return chosen
