"""Maintenance policies as people edit them: all of it, and what cannot be meant is refused."""

from __future__ import annotations

from typing import Any

import pytest

from maintenance import policy_values
from maintenance.errors import BadPolicy
from maintenance.model import Opening, Policy

SHIPPED = Policy()


def test_every_field_of_a_policy_can_be_edited() -> None:
    assert policy_values.complete()


def test_what_is_shown_can_be_sent_back() -> None:
    shown = policy_values.shown(SHIPPED)
    assert policy_values.check(SHIPPED, shown) == SHIPPED


def test_settings_lie_over_what_was() -> None:
    made = policy_values.check(SHIPPED, {"opening": "review", "persist_h": 5, "cost_failure": 9e4, "travel": 120})
    assert made.opening is Opening.REVIEW and made.persist.total_seconds() == 5 * 3600
    assert (made.cost_failure, made.travel, made.horizon) == (9e4, 120, SHIPPED.horizon)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"cost_planned": -1}, "cost_planned is an amount that is not negative"),
        ({"travel": float("nan")}, "travel is an amount"),
        ({"proven": 1.2}, "proven is a number from 0 to 0.999"),
        ({"persist_findings": 2.5}, "persist_findings is a whole number"),
        ({"opening": "maybe"}, "opening is one of automatic, review"),
        ({"horizon_h": None}, "horizon_h is a number"),
        ({"horizon_h": True}, "horizon_h is a number"),
        ({"precision_prior": [4]}, "precision_prior is two numbers"),
        ({"colour": 1}, "no setting 'colour'"),
        ({"cost_planned": 500, "cost_failure": 100}, "cost_failure is below cost_planned"),
        ({"persist_h": 100}, "persist_h is longer than wait_limit_h"),
        ({"parts_lead_h": 10, "expedite": 5, "expedite_h": 20}, "expedite_h is longer than parts_lead_h"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(BadPolicy, match=says):
        policy_values.check(SHIPPED, settings)
