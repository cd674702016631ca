"""What the ticket core refuses, each with a sentence to act on."""

from __future__ import annotations

from typing import ClassVar

from core.errors import Conflict, Forbidden, Invalid, MillwrightError


class IllegalTransition(Conflict):
    """The ticket cannot go there from where it is."""

    code = "illegal_transition"


class NotYours(Forbidden):
    """This ticket is assigned to somebody else. Ask the planner to assign it to you."""

    code = "not_yours"


class NotAllowed(Forbidden):
    """Your role may not do this to a ticket."""

    code = "not_allowed"


class MissingFields(Invalid):
    """This step needs more fields."""

    code = "missing_fields"


class InvalidFields(Invalid):
    """Some fields do not fit."""

    code = "invalid_fields"


class TicketClosed(Conflict):
    """The ticket is closed or cancelled; its timeline is finished. Open a new one."""

    code = "ticket_closed"


class BadDeadline(Invalid):
    """A deadline is moved on preventive orders only, and never into the past."""

    code = "bad_deadline"


class BadDefinition(Invalid):
    """The life cycle's definition does not hold together."""

    code = "bad_lifecycle"


class BadCalendar(Invalid):
    """The business calendar does not hold together."""

    code = "bad_calendar"


class ChainBroken(MillwrightError):
    """A ticket's timeline was changed outside the program."""

    code: ClassVar[str] = "chain_broken"
    status: ClassVar[int] = 500
