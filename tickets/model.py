"""The words of the ticket core. Pure: no I/O, no clock.

A ticket row and its append-only timeline say the same: ``tickets.chain.replay`` rebuilds the row from the events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

Text = Mapping[str, str]  # language (en, zh) → text


class TicketKind(StrEnum):
    """What a case is about."""

    REQUEST = "request"
    INCIDENT = "incident"
    CORRECTIVE = "corrective"
    PREVENTIVE = "preventive"
    INSPECTION = "inspection"
    SENSOR_FAULT = "sensor-fault"


class Verdict(StrEnum):
    """What the engineer found; it labels the alarm that asked for the work."""

    CONFIRMED = "confirmed"
    OTHER_FAULT = "other_fault"
    NOTHING_FOUND = "nothing_found"
    SENSOR = "sensor"


RIGHT_VERDICTS = frozenset({Verdict.CONFIRMED, Verdict.OTHER_FAULT})  # there was a fault
WRONG_VERDICTS = frozenset({Verdict.NOTHING_FOUND, Verdict.SENSOR})  # there was none of the machine


class Audience(StrEnum):
    """Who may read an event: the crew alone, or the requester too."""

    INTERNAL = "internal"
    REQUESTER = "requester"


class Late(StrEnum):
    """Whether something may still be added to a finished ticket."""

    REFUSED = "refused"
    TAKEN = "taken"


class ActorKind(StrEnum):
    """What kind of hand moved something."""

    PERSON = "person"
    RULE = "rule"
    DETECTOR = "detector"
    AGENT = "agent"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. ``actor_id`` is the user's id for persons and agents; ``role`` their role on this site."""

    kind: ActorKind
    actor_id: int | None
    name: str
    role: str | None = None

    @property
    def part(self) -> str:
        """The word that life cycles name: the role of people and agents, the kind of everything else."""
        if self.kind in (ActorKind.PERSON, ActorKind.AGENT):
            return self.role or ""
        return self.kind.value


SYSTEM = Actor(ActorKind.SYSTEM, None, "millwright")

CLOSED = "closed"
CANCELLED = "cancelled"
TERMINAL = frozenset({CLOSED, CANCELLED})  # the partial unique index "one open order" names them too
NEW = "new"
ASSIGNED = "assigned"
DONE = "done"
VERIFYING = "verifying"
REOPENED = "reopened"
ON_HOLD = "on_hold"


@dataclass(frozen=True, slots=True)
class Ticket:
    """One row of ``tickets``; the last two fields are looked up beside it and are no part of the timeline."""

    ticket_id: int
    site_id: int
    ref: str
    kind: TicketKind
    status: str
    priority: int  # 1 = most urgent … 5
    title: str
    description: str
    asset_id: int | None
    mode: str | None
    channel: str
    requester_id: int | None  # user
    assignee_id: int | None  # engineer
    skill: str | None
    opened_at: datetime
    respond_by: datetime | None
    resolve_by: datetime | None
    responded_at: datetime | None
    done_at: datetime | None
    closed_at: datetime | None
    held_from: str | None
    hold_reason: str | None
    verdict: Verdict | None
    failure_code: str | None
    fields: Mapping[str, Any]
    lifecycle_id: int | None  # None = the built-in definition
    assignment_reasons: tuple[Text, ...]
    version: int
    event_count: int
    head_hash: bytes
    parent_id: int | None = None  # ticket
    merged_into: int | None = None  # ticket
    cost: float = 0.0  # of labour, parts and other, in the site's currency
    downtime_s: float | None = None  # how long the machine stood
    safety: bool = False  # somebody may get hurt
    tags: tuple[str, ...] = ()
    assignee_name: str | None = None
    assignee_user_id: int | None = None

    @property
    def is_open(self) -> bool:
        return self.status not in TERMINAL


class Own(StrEnum):
    """Whether who asked for an approval, or made the change that needs it, may give it."""

    REFUSED = "refused"
    ALLOWED = "allowed"


class LinkKind(StrEnum):
    """What one ticket is to another, read from the first to the second."""

    RELATES = "relates"
    BLOCKS = "blocks"
    DUPLICATES = "duplicates"
    CAUSED_BY = "caused_by"
    CONVERTED_FROM = "converted_from"
    SPLIT_FROM = "split_from"


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a ticket's timeline. ``body`` holds ``before`` and ``after`` of the columns it changed."""

    ticket_id: int
    site_id: int
    seq: int  # 1, 2, 3 …
    at: datetime
    actor: Actor  # its role is not kept
    kind: str
    audience: Audience
    body: Mapping[str, Any]
    prev_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """What is about to be written: an event, and the columns that change with it."""

    kind: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    audience: Audience = Audience.INTERNAL


@dataclass(frozen=True, slots=True)
class Opened:
    """Answer of ``open``: ``created`` is False when the fault already had an open order."""

    ticket: Ticket
    created: bool
