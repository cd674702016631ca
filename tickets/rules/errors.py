"""What the rules refuse, each with a sentence to act on."""

from __future__ import annotations

from core.errors import Conflict, Invalid, MillwrightError


class BadExpression(Invalid):
    """The expression cannot be used."""

    code = "bad_expression"


class BadRule(Invalid):
    """The rule does not hold together."""

    code = "bad_rule"


class RuleWithoutEnd(Invalid):
    """These rules would make each other run without end."""

    code = "rule_without_end"


class RuleConflict(Conflict):
    """The rule cannot become that from what it is now."""

    code = "rule_conflict"


class NeedsApproval(Conflict):
    """This step waits for an approval."""

    code = "needs_approval"


class GuardUnclear(Conflict):
    """A guard could not be judged, so the step is refused. Give the ticket what the guard asks about."""

    code = "guard_unclear"


class BadTarget(Invalid):
    """This webhook address is refused."""

    code = "bad_webhook"


class ExpressionFailed(MillwrightError):
    """The expression could not be evaluated."""

    code = "expression_failed"
    status = 422
