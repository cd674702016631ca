"""The drill of the detectors and their orders at smoke size, beside controls that must fail."""

from __future__ import annotations

import pytest

from benchmarks.drills import maintenance

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_kills_leave_no_sample_unjudged_and_races_no_second_order() -> None:
    found = maintenance.figures(6, 24, 3)
    assert (found["orders_per_fault"], found["resume_gap"], found["judged_twice"], found["twin_unmatched"]) == (
        1,
        0,
        0,
        0,
    )
    assert (found["least_orders"], found["most_orders"]) == (1, 1)
    assert (found["twin_difference"] or 0) <= 1e-9
    assert min(found[f"compared.{name}"] or 0 for name in ("bands", "scores", "health")) > 10
    assert (found["control_orders_per_fault"] or 0) > 1
    assert (found["control_resume_gap"] or 0) >= 1 and (found["control_twin_unmatched"] or 0) >= 1
