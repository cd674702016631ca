"""The fleet benchmark: what is chosen before judged engines are seen, and what is kept between pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks import fleet
from benchmarks.fleet import Ordered


def test_a_column_that_moves_on_judged_engines_alone_is_no_signal() -> None:
    """Engine 5 belongs to fold 0; nothing of it may choose what the model of that fold looks at."""
    still, moving = np.zeros((4, 2)), np.column_stack([np.arange(4.0), np.arange(4.0)])
    engines = {1: np.column_stack([np.arange(4.0), np.zeros(4)]), 2: still, 5: moving}
    assert fleet.moved_in([values for unit, values in engines.items() if unit % fleet.FOLDS != 0]) == [0]
    assert fleet.moved_in(list(engines.values())) == [0, 1]


def test_folds_that_were_replayed_are_kept_and_figures_are_of_all(tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    assert fleet._kept(file) == {} and fleet._kept(None) == {}
    fleet._keep(file, 0, [Ordered(5, 200, (170.0,), 1, 0)])
    fleet._keep(file, 1, [Ordered(1, 200, (130.0, 190.0), 2, 1), Ordered(6, 200, (), 0, 0)])
    kept = fleet._kept(file)
    assert kept[0] == [Ordered(5, 200, (170.0,), 1, 0)]
    found = fleet.figures([one for fold in sorted(kept) for one in kept[fold]])
    assert (found["engines"], found["earlier_than_60"], found["second_orders"], found["sensor_orders"]) == (3, 1, 1, 1)
    assert found["ordered_before_failure"] == 100.0 * 2 / 3
