"""Why may this open orders? A back-test of just this configuration, what was shown in shadow, or an override.

Asked when a detector's version is let, and when a policy makes orders open by themselves otherwise than before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from psycopg import Connection

from maintenance import backtest, backtest_runs
from maintenance.backtest_runs import State
from maintenance.errors import Unproven
from maintenance.model import Opening, Policy
from maintenance.policy_values import shown

SHADOW_WINDOW = timedelta(days=90)
SHADOW_ORDERS = 10  # so many that it would have opened are something to judge by
MUTE_TO_ORDERS = frozenset({"deadline_share", "deadline_least_h", "deadline_move", "shelve_most_h"})


class Ground(StrEnum):
    """What a person who lets something relies on."""

    BACKTEST = "backtest"
    SHADOW = "shadow"
    OVERRIDE = "override"


@dataclass(frozen=True, slots=True)
class Grounds:
    """A ground, and the back-test that is named."""

    ground: Ground
    backtest_id: int | None = None


def must_be_done(conn: Connection, grounds: Grounds, configuration: Mapping[str, Any]) -> None:
    """Raise Unproven unless the back-test that is named is done and judged just this configuration."""
    if grounds.backtest_id is None:
        raise Unproven("Name the back-test that shows it.")
    kept = backtest_runs.get(conn, grounds.backtest_id)
    if kept.state != State.DONE:
        raise Unproven(f"Back-test {kept.backtest_id} is {kept.state}: wait until it is done, or run another.")
    if kept.config_hash != backtest.config_hash(configuration):
        raise Unproven(
            f"Back-test {kept.backtest_id} judged another configuration. Settings, detectors or policies have "
            "changed since: run it again."
        )


def must_have_shown(orders: int) -> None:
    """Raise Unproven when a version would have opened too few orders in shadow to judge it by."""
    if orders < SHADOW_ORDERS:
        raise Unproven(
            f"In shadow it would have opened {orders} orders; {SHADOW_ORDERS} are wanted. Run a back-test, wait, or "
            "override with a reason."
        )


def widens(before: Policy, after: Policy) -> bool:
    """Whether orders open by themselves under ``after``, and otherwise than under ``before``. Pure."""
    was, will = shown(before), shown(after)
    same = all(was[name] == will[name] for name in will if name not in MUTE_TO_ORDERS)
    return after.opening is Opening.AUTOMATIC and not same
