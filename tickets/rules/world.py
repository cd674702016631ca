"""What an expression may see of a ticket and what happened to it; the same live and in a replay of the timeline. Pure.

    ticket  before  event  actor  asset  fields  now
Parts are made when first asked for. ``before`` is the ticket as it was (all empty when it was opened); without an asset
``asset`` is there with empty values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tickets.chain import COLUMNS
from tickets.model import TERMINAL
from tickets.rules import native

HIDDEN = frozenset({"assignment_reasons", "lifecycle_id"})
FACTS = tuple(name for name in COLUMNS if name not in HIDDEN)
NOTHING: Mapping[str, Any] = dict.fromkeys(FACTS)
NO_ASSET: Mapping[str, Any] = {
    "asset_id": None,
    "code": "",
    "name": "",
    "class": "",
    "criticality": 0,
    "location": "",
    "level": "",
    "parent": "",
}
TECHNICAL = frozenset({"before", "after", "cause", "rows"})
EVENT = ("kind", "seq", "at", "audience", "changed", "body")
WORDS: Mapping[str, tuple[str, ...] | None] = {
    "ticket": (*FACTS, "ticket_id", "open"),
    "before": (*FACTS, "open"),
    "event": EVENT,
    "actor": ("kind", "id", "name"),
    "asset": tuple(NO_ASSET),
    "fields": None,  # the site's own
    "now": None,
}


class _Missing:
    """What is not there."""


MISSING: Final = _Missing()
Row = Mapping[str, Any]  # columns of tickets, as Python values


@dataclass(frozen=True, slots=True)
class Happening:
    """An event, or the tick of a clock, as rules see it. ``changed`` names columns."""

    kind: str
    seq: int
    at: datetime
    actor_kind: str
    actor_id: int | None
    actor_name: str
    body: Mapping[str, Any]
    audience: str = "internal"


class World:
    """One happening to one ticket."""

    __slots__ = ("_asset_of", "_context", "_known", "_parts", "before", "happening", "now", "row", "ticket_id")

    def __init__(
        self,
        *,
        ticket_id: int,
        row: Row,
        before: Row | None,
        happening: Happening,
        asset_of: Callable[[int], Row],
        now: datetime,
    ) -> None:
        self.ticket_id, self.row, self.before, self.happening, self.now = ticket_id, row, before, happening, now
        self._asset_of = asset_of
        self._parts: dict[str, Any] = {}
        self._context: Any = None
        self._known: set[str] = set()

    def fresh(self) -> World:
        """The same world with nothing made yet."""
        return World(
            ticket_id=self.ticket_id,
            row=self.row,
            before=self.before,
            happening=self.happening,
            asset_of=self._asset_of,
            now=self.now,
        )

    def dearer(self, by: float) -> World:
        """The same world with a ticket that costs so much more."""
        if not by:
            return self
        found = self.fresh()
        found.row = {**self.row, "cost": round(float(self.row["cost"] or 0) + by, 2)}
        return found

    def look(self, path: tuple[str, ...]) -> Any:
        """The value at a path like ("ticket", "kind"), or MISSING; nothing is converted."""
        if path[0] == "ticket" and len(path) == 2 and path[1] in self.row and path[1] not in HIDDEN:
            return self.row[path[1]]
        if path == ("event", "kind"):
            return self.happening.kind
        found: Any = self.part(path[0]) if path[0] in WORDS else MISSING
        for name in path[1:]:
            if not isinstance(found, Mapping) or name not in found:
                return MISSING
            found = found[name]
        return found

    def part(self, name: str) -> Any:
        """One of the words, as plain data."""
        if name not in self._parts:
            self._parts[name] = getattr(self, f"_make_{name}")()
        return self._parts[name]

    def context(self, names: Iterable[str]) -> Any:
        """The engine's context that has at least these parts; converted once."""
        if self._context is None:
            self._context = native.Context()
        for name in names:
            if name not in self._known:
                self._add(name)
        return self._context

    def _add(self, name: str) -> None:
        self._known.add(name)
        if name == "event" and "event.body" not in self._known:
            self._context.add_variable("event", {**self.part("event"), "body": {}})
        elif name == "event.body":
            self._known.add("event")
            self._context.add_variable("event", dict(self.part("event")))
        elif "." not in name:
            self._context.add_variable(name, self.part(name))

    def _make_ticket(self) -> dict[str, Any]:
        return {"ticket_id": self.ticket_id, **_facts(self.row)}

    def _make_before(self) -> dict[str, Any]:
        return _facts(self.before) if self.before is not None else {**NOTHING, "open": None}

    def _make_fields(self) -> dict[str, Any]:
        return dict(self.row["fields"] or {})

    def _make_event(self) -> dict[str, Any]:
        event = self.happening
        details = {name: value for name, value in event.body.items() if name not in TECHNICAL}
        changed = [name for name in event.body.get("after", ()) if name not in HIDDEN]
        values = (event.kind, event.seq, event.at, event.audience, changed, details)
        return dict(zip(EVENT, values, strict=True))

    def _make_actor(self) -> dict[str, Any]:
        event = self.happening
        return {"kind": event.actor_kind, "id": event.actor_id, "name": event.actor_name}

    def _make_asset(self) -> dict[str, Any]:
        asset_id = self.row["asset_id"]
        return dict(NO_ASSET if asset_id is None else self._asset_of(asset_id))

    def _make_now(self) -> datetime:
        return self.now


def _facts(row: Row) -> dict[str, Any]:
    facts = {name: row[name] for name in FACTS}
    facts["open"] = row["status"] not in TERMINAL
    facts["fields"] = dict(row["fields"] or {})
    facts["tags"] = list(row["tags"] or ())
    return facts
