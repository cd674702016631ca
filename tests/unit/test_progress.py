"""What a process does not know to be durable is exactly what its ranges leave out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.receipts import MOST_SEQ, Progress


@given(seqs=st.sets(st.integers(1, 60)))
def test_unknown_is_the_rest(seqs: set[int]) -> None:
    spans = Progress((seq, seq) for seq in sorted(seqs)).unknown()
    assert {seq for low, high in spans for seq in range(low, min(high, 100) + 1)} == set(range(1, 101)) - seqs
    assert spans[-1][1] == MOST_SEQ


def test_with_many_gaps_only_the_first_are_asked_for() -> None:
    spans = Progress((seq, seq) for seq in range(1, 1001, 2)).unknown(most=10)
    assert spans == [*((seq, seq) for seq in range(2, 20, 2)), (1000, MOST_SEQ)]
