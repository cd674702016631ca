"""What can go wrong with an alarm rule, in words."""

from __future__ import annotations

from core.errors import Conflict, Invalid


class BadAlarmRule(Invalid):
    """The alarm rule does not hold together. `errors` says what is wrong where."""

    code = "bad_alarm_rule"


class StaleAlarmRule(Conflict):
    """Somebody else has changed this alarm rule meanwhile. Reload, look at what they did, and change it again."""

    code = "stale_alarm_rule"


class NotPreviewed(Conflict):
    """Nobody has looked at what this version would have raised. Preview it over recorded history, then enable it."""

    code = "alarm_rule_not_previewed"


class AlarmRuleExists(Conflict):
    """Another alarm rule has this code. Choose another code, or change that rule."""

    code = "alarm_rule_exists"
