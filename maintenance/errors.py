"""What can go wrong in maintenance, in words."""

from __future__ import annotations

from core.errors import Conflict, Invalid, Stale


class IllegalAlarmMove(Conflict):
    """The alarm is not in a state that allows this. Reload and look at its state."""

    code = "illegal_alarm_move"


class BadShelf(Invalid):
    """An alarm is shelved by a named owner, for a reason, until a time in the near future."""

    code = "bad_shelf"


class StaleTuning(Conflict):
    """Somebody else has changed this meanwhile. Reload, look at what they did, and change it again."""

    code = "stale_tuning"


class BadFeed(Invalid):
    """A feed leads from a feeder to something else that does not feed it in turn."""

    code = "bad_feed"


class BadPlan(Invalid):
    """The plan or job plan does not hold together."""

    code = "bad_plan"


class NeverReady(Invalid):
    """What this plan opens could never be ready: a skill, a part or a window that it needs is nowhere to be had."""

    code = "never_ready"


class BadReading(Invalid):
    """A meter only counts up. Say that it was replaced if it starts again from a lower number."""

    code = "bad_reading"


class ForeignModel(Conflict):
    """The kept model of remaining life is of another version or damaged; it is not used. Learn it again."""

    code = "foreign_model"


class BadFailure(Invalid):
    """A failure is recorded for a machine of this site, with a failure mode of its class, at a time that has passed."""

    code = "bad_failure"


class AlreadyDecided(Conflict):
    """This due day of the plan was decided by somebody else at this moment. Nothing is to be done."""

    code = "already_decided"


class BadVerdict(Invalid):
    """A verdict is confirmed, other_fault, nothing_found or sensor, with codes of the catalogue, and has a reason."""

    code = "bad_verdict"


class StaleVerdict(Stale):
    """Somebody corrected this verdict meanwhile. Reload, look at what they said, and correct it again."""

    code = "stale_verdict"


class BadPolicy(Invalid):
    """A setting of the maintenance policy does not fit."""

    code = "bad_policy"


class BadReview(Invalid):
    """This cannot be decided so about a proposal of the review queue."""

    code = "bad_review"


class ReviewDecided(Conflict):
    """Somebody decided about this proposal before you. Nothing more is to be done."""

    code = "review_decided"


class NoSandbox(Invalid):
    """A replay needs a database of its own in the same server, and room on the disk for it."""

    code = "no_sandbox"


class BadReplay(Invalid):
    """A replay goes from a time with samples to a later one that is over."""

    code = "bad_replay"


class BadGate(Invalid):
    """A detector version's standing is changed by a person who says why."""

    code = "bad_gate"


class Unproven(Invalid):
    """What opens orders must have shown before what it would have done: name a back-test, or say why you override."""

    code = "unproven"


class BacktestsWaiting(Conflict):
    """So many back-tests wait already. Let them finish, or cancel one."""

    code = "backtests_waiting"


class BacktestOver(Conflict):
    """This back-test has ended. There is nothing to cancel."""

    code = "backtest_over"
