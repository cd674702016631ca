"""Error and maintenance logs → component orders."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks import logs as bench
from detectors.event_hazard import LogHazard, LogOrder, MachineLog, Words, features, moments, outcome


def machine(number: int, rng: np.random.Generator) -> MachineLog:
    """Code ``x`` comes 20 h before component ``a`` fails; at other times, on a younger one, it means nothing."""
    errors: list[tuple[float, str]] = []
    replaced: list[tuple[float, str]] = [(0.0, "a"), (0.0, "b")]
    failed: list[tuple[float, str]] = []
    at = 0.0
    for _ in range(8):
        errors += [(at + float(rng.uniform(10, 250)), "x") for _ in range(2)]
        errors += [(at + float(rng.uniform(0, 500)), "y") for _ in range(2)]
        errors.append((at + 480.0, "x"))
        at += 500.0
        failed.append((at, "a"))
        replaced.append((at, "a"))
    return MachineLog(f"m{number}", "one", 5.0, sorted(errors), sorted(replaced), failed)


def plant(seed: int, count: int) -> list[MachineLog]:
    rng = np.random.default_rng(seed)
    return [machine(number, rng) for number in range(count)]


def test_an_old_component_with_its_code_gets_an_order_and_a_young_one_none() -> None:
    model = LogHazard.fit(plant(1, 12))
    unseen = plant(2, 6)
    scored = outcome(unseen, [order for log in unseen for order in model.orders(log)])
    assert scored.recall >= 0.95 and scored.precision >= 0.9
    assert not any(order.component == "b" for log in unseen for order in model.orders(log))


def test_nothing_after_a_moment_changes_what_was_said_at_it() -> None:
    logs = plant(3, 6)
    whole = logs[0]
    cut_at = 2000.0

    def before(events: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
        return [each for each in events if each[0] <= cut_at]

    cut = MachineLog("m0", "one", 5.0, before(whole.errors), before(whole.replaced), [])
    words = Words.of(logs)
    rows = len(moments(cut))
    for part in words.components:
        assert np.array_equal(features(whole, words)[part][:rows], features(cut, words)[part])


@pytest.mark.parametrize(
    ("second_h", "replaced_h", "orders_h"),
    [
        (481.0, None, [480.0]),  # said again
        (500.0, None, [480.0]),  # … within the day
        (510.0, None, [480.0, 510.0]),  # the day is over
        (490.0, 485.0, [480.0]),  # on a new component it means nothing
        (965.0, 485.0, [480.0, 965.0]),  # the new one is old by now
    ],
)
def test_one_order_a_component_until_it_is_replaced_or_a_day_has_passed(
    second_h: float, replaced_h: float | None, orders_h: list[float]
) -> None:
    new = [] if replaced_h is None else [(replaced_h, "a")]
    log = MachineLog("z", "one", 5.0, [(480.0, "x"), (second_h, "x")], [(0.0, "a"), (0.0, "b"), *new], [])
    assert [(each.component, each.at_h) for each in fitted().orders(log)] == [("a", at) for at in orders_h]


@functools.cache
def fitted() -> LogHazard:
    return LogHazard.fit(plant(1, 12))


def test_the_score_counts_each_failure_and_each_order_once() -> None:
    log = MachineLog("m", "one", 1.0, [], [], [(100.0, "a"), (200.0, "a"), (100.0, "b")])
    orders = [LogOrder("m", "a", at, 0.9) for at in (76.0, 90.0, 150.0, 200.0)] + [LogOrder("n", "b", 99.0, 0.9)]
    scored = outcome([log], orders)
    assert (scored.failures, scored.announced, scored.orders, scored.right) == (3, 1, 5, 2)


def test_logs_without_a_failure_give_no_order() -> None:
    log = MachineLog("m", "one", 1.0, [(1.0, "x")], [(0.5, "a")], [])
    assert LogHazard.fit([log, log, log, log]).orders(log) == []


def test_the_published_logs_are_read_and_their_machines_held_back() -> None:
    folder = Path(os.environ.get("MILLWRIGHT_DATA", "")) / "azure_pdm_logs"
    if not os.environ.get("MILLWRIGHT_DATA") or not folder.is_dir():
        pytest.skip("MILLWRIGHT_DATA does not name a folder with azure_pdm_logs")
    logs = bench.read(folder)[:20]
    judged, orders = bench.held_back(logs, seed=0, folds=1)
    assert len(judged) == 4 and {order.machine for order in orders} <= {log.machine for log in judged}
