"""What avoided downtime is worth is counted carefully, the same every time, and never hides what was wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from maintenance.ledger import Line, Record, ledger

T0 = datetime(2026, 3, 2, tzinfo=UTC)
SURE = {"chain": Record(40, 40)}
LINE = Line(1, "WO-1", 1, "wear", "chain", "1", T0, T0, T0 + timedelta(days=7), 0.5, 10_000, 1_000, "EUR", False, False)
AMOUNTS = st.floats(0, 1e6)


def test_the_expected_saving_is_the_chance_times_the_loss_less_the_work() -> None:
    found = ledger([LINE], SURE)
    assert abs(found.sums["EUR"].expected - (40.5 / 41 * 0.5 * 10_000 - 1_000)) < 1e-9
    assert (found.sums["EUR"].low, found.sums["EUR"].high) == (-1_000, 9_000)  # one machine fails or does not


def test_false_orders_and_repairs_that_did_not_hold_are_costs() -> None:
    for bad in (replace(LINE, false=True), replace(LINE, failed_after=True)):
        worth = ledger([bad], SURE).sums["EUR"]
        assert (worth.expected, worth.low, worth.high) == (-1_000, -1_000, -1_000)
    assert ledger([LINE], {"chain": Record(1, 4)}).sums["EUR"].expected < ledger([LINE], SURE).sums["EUR"].expected
    assert ledger([LINE], {}).sums["EUR"].expected == 0.5 * 0.5 * 10_000 - 1_000  # nobody judged: believed half


def test_the_interval_of_many_is_narrower_than_the_sum_of_intervals_and_covers() -> None:
    lines = [replace(LINE, ticket_id=n) for n in range(40)]
    worth = ledger(lines, SURE).sums["EUR"]
    assert 40 * -1_000 < worth.low < worth.expected < worth.high < 40 * 9_000
    assert worth.high - worth.low < 0.35 * 40 * 10_000
    doubtful = ledger(lines, {"chain": Record(3, 6)}).sums["EUR"]
    share = (doubtful.high - doubtful.low) / (worth.high - worth.low)
    assert share > 1.2  # what is known less of the detector is known less of the saving


@given(st.lists(st.tuples(st.floats(0, 1), AMOUNTS, AMOUNTS, st.sampled_from(["EUR", "CNY"])), max_size=12))
def test_sums_are_the_lines_and_never_change(parts: list[tuple[float, float, float, str]]) -> None:
    lines = [
        replace(LINE, ticket_id=n, p_fail=p, loss=loss, cost=cost, currency=currency)
        for n, (p, loss, cost, currency) in enumerate(parts)
    ]
    found = ledger(lines, SURE)
    assert found == ledger(lines, SURE)
    for currency, worth in found.sums.items():
        mine = [each.expected for line, each in found.lines if line.currency == currency]
        assert worth.expected == sum(mine) and worth.low <= worth.expected <= worth.high
