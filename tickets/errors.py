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


class OwnApproval(NotAllowed):
    """You asked for this approval, or your change needs it: somebody else gives it. Where a site has one person alone,
    its administrator lets the rule or the approval take one's own (`own = "allowed"`)."""

    code = "own_approval"


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


class FieldTaken(Conflict):
    """A field with this key exists already; a retired one can be taken up again."""

    code = "field_taken"


class TooManyFields(Conflict):
    """A site has at most 200 fields. Retire what nobody fills in."""

    code = "too_many_fields"


class CodeKnown(Conflict):
    """There is such a failure code already: it ships with the product, or the site added it."""

    code = "code_known"


class ApprovalPending(Conflict):
    """The ticket waits for an approval."""

    code = "approval_pending"


class AlreadyDecided(Conflict):
    """This approval was decided already. Ask again if it has to be decided anew."""

    code = "already_decided"


class Cyclic(Conflict):
    """A ticket cannot be part of itself, nor wait for itself."""

    code = "cyclic_tickets"


class OpenChildren(Conflict):
    """The ticket has open parts. Finish or cancel them first."""

    code = "open_children"


class CannotMerge(Conflict):
    """These tickets cannot be merged."""

    code = "cannot_merge"


class NotARequest(Conflict):
    """Only an open request becomes an order."""

    code = "not_a_request"


class AlreadyTaken(Conflict):
    """Somebody else was first, or the order is not where it can be taken or handed over."""

    code = "already_taken"


class LacksSkill(Conflict):
    """The order needs a skill that this person does not have."""

    code = "lacks_skill"


class ShortOfStock(Conflict):
    """There is not enough of the part in this store."""

    code = "short_of_stock"


class PlanNotDraft(Conflict):
    """Only a draft can be accepted or discarded."""

    code = "plan_not_draft"


class PlanOutdated(Conflict):
    """Since the plan was made something changed that it breaks a hard rule by. Plan again."""

    code = "plan_outdated"


class DefinitionChanged(Conflict):
    """Somebody changed the life cycle meanwhile. Load it again and make the change there."""

    code = "definition_changed"
