"""What can go wrong in maintenance, in words."""

from __future__ import annotations

from core.errors import Conflict, Invalid


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
