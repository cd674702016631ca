"""The chain of rules that led to a write: how deep, and which rule has run for which ticket. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tickets.cause import Cause

DEEPEST = 10


@dataclass(frozen=True, slots=True)
class Chain(Cause):
    """``ticket_ids`` are the tickets that the rules ran for, in the same order."""

    ticket_ids: tuple[int, ...] = ()

    def then(self, rule_id: int, ticket_id: int) -> Chain:
        """One rule further."""
        return Chain(self.root, (*self.rule_ids, rule_id), (*self.ticket_ids, ticket_id))

    def has(self, rule_id: int, ticket_id: int) -> bool:
        """Whether the rule has run for the ticket; where the ticket is not known, for any."""
        padded = (*self.ticket_ids, *([ticket_id] * (len(self.rule_ids) - len(self.ticket_ids))))
        return (rule_id, ticket_id) in zip(self.rule_ids, padded, strict=False)

    def as_payload(self) -> dict[str, Any]:
        """For keeping it until later; :func:`kept` reads it."""
        return {"root": self.root, "rules": list(self.rule_ids), "tickets": list(self.ticket_ids)}


def kept(payload: Mapping[str, Any]) -> Chain:
    """The inverse of :meth:`Chain.as_payload`."""
    return Chain(payload["root"], tuple(payload["rules"]), tuple(payload["tickets"]))


def of(cause: Cause | None, *, ref: str, seq: int) -> Chain:
    """The chain that a change belongs to; without a cause it begins one."""
    if cause is None:
        return Chain(f"{ref}#{seq}", ())
    return cause if isinstance(cause, Chain) else Chain(cause.root, cause.rule_ids)
