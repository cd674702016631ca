"""Orders beside real faults: one rule for live orders, shadow and back-tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from maintenance import scorer
from maintenance.scorer import Fault, Judged, Order

T0 = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)


def order(
    number: int, day: float, *, ended: float | None = None, mode: str = "x", judged: Judged | None = None
) -> Order:
    return Order(number, "A", mode, T0 + day * DAY, None if ended is None else T0 + ended * DAY, judged)


def fault(number: int, day: float, *, mode: str = "x", found: bool = False) -> Fault:
    return Fault(number, "A", mode, T0 + day * DAY, found)


def test_an_order_that_was_done_before_foresaw_nothing_else() -> None:
    """Any order within sixty days counted for any failure: an order for the seal is no warning of the bearing."""
    done = order(1, 0, ended=2, mode="seal_leak", judged=Judged.RIGHT)
    found = scorer.score([done], [fault(7, 20, mode="bearing_wear")])
    assert (found.foreseen, found.failures, found.missed) == (0, 1, (7,))
    assert scorer.score([done], [fault(7, 20, mode="seal_leak")]).foreseen == 1
    assert scorer.score([order(1, 0, mode="seal_leak")], [fault(7, 20, mode="bearing_wear")]).foreseen == 1, (
        "still open"
    )


def test_an_order_judged_wrong_foresaw_nothing() -> None:
    found = scorer.score([order(1, 0, judged=Judged.WRONG)], [fault(7, 5)])
    assert (found.foreseen, found.wrong, found.right) == (0, frozenset({1}), frozenset())


def test_a_fault_counts_for_the_first_order_alone() -> None:
    found = scorer.score([order(1, 0), order(2, 3)], [fault(7, 5)])
    assert (found.right, found.further) == (frozenset({1}), frozenset({2}))
    assert found.leads[7] == 5 * DAY and found.lead_h == 120


def test_a_fault_that_was_found_in_time_has_no_lead_and_is_not_missed() -> None:
    found = scorer.score([order(1, 0)], [fault(7, 5, found=True), fault(8, 60, found=True)])
    assert found.right == {1} and (found.failures, found.lead_h, found.missed) == (0, None, ())


def test_no_longer_than_the_window_and_not_after() -> None:
    assert scorer.score([order(1, 0)], [fault(7, 30)]).foreseen == 1
    assert scorer.score([order(1, 0)], [fault(7, 30.01)]).foreseen == 0
    assert scorer.score([order(1, 5)], [fault(7, 5)]).foreseen == 0, "at the same moment is no warning"


ORDERS = st.lists(
    st.builds(
        Order, st.just(0), st.sampled_from("AB"), st.sampled_from("xy"),
        st.integers(0, 60).map(lambda day: T0 + day * DAY),
        st.one_of(st.none(), st.integers(0, 90).map(lambda day: T0 + day * DAY)),
        st.sampled_from([None, Judged.RIGHT, Judged.WRONG]),
    ),
    max_size=8,
)  # fmt: skip
FAULTS = st.lists(
    st.builds(
        Fault, st.just(0), st.sampled_from("AB"), st.sampled_from("xy"),
        st.integers(0, 90).map(lambda day: T0 + day * DAY), st.booleans(),
    ),
    max_size=8,
)  # fmt: skip


@given(ORDERS, FAULTS)
def test_every_failure_is_foreseen_or_missed_and_no_order_is_two_things(
    orders: list[Order], faults: list[Fault]
) -> None:
    orders = [Order(n, o.machine, o.mode, o.opened_at, o.ended_at, o.judged) for n, o in enumerate(orders)]
    faults = [Fault(n, f.machine, f.mode, f.at, f.found) for n, f in enumerate(faults)]
    found = scorer.score(orders, faults)
    failures = {each.fault_id for each in faults if not each.found}
    assert {*found.leads, *found.missed} == failures and len(found.missed) + found.foreseen == len(failures)
    assert not found.right & found.wrong and not found.further & (found.right | found.wrong)
    assert all(timedelta(0) < lead <= scorer.WINDOW for lead in found.leads.values())
    assert scorer.score(orders[::-1], faults[::-1]) == found or len({o.opened_at for o in orders}) < len(orders)
