"""A gateway's batches: nothing missing, nothing twice, each within its bounds."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.batches import MOST_BYTES, batches, check
from edge.codecs import columns
from edge.delivery import Lane, Message
from edge.reasons import DecodeError
from plant.model import Reading


def reading(tag: str, count: int, unit: str | None = None) -> Reading:
    return Reading("s", tag, np.arange(count), np.arange(count, dtype=np.float64), np.zeros(count, np.uint8), unit)


HEARD = st.lists(
    st.tuples(
        st.sampled_from(list(Lane)),
        st.builds(reading, st.sampled_from("abc"), st.integers(0, 40), st.sampled_from([None, "mm/s"])),
    ),
    max_size=12,
)


@given(heard=HEARD, most=st.integers(1, 50))
def test_every_sample_is_in_one_batch(heard: list[tuple[Lane, Reading]], most: int) -> None:
    found = list(batches(heard, most))
    assert all(0 < sum(len(each.at_us) for each in readings) <= most for _, readings in found if readings)
    assert samples(heard) == samples([(lane, each) for lane, readings in found for each in readings])


def samples(heard: list[tuple[Lane, Reading]]) -> Counter[tuple[object, ...]]:
    return Counter(
        (lane, each.tag, each.unit, at, value)
        for lane, each in heard
        for at, value in zip(each.at_us.tolist(), each.values.tolist(), strict=True)
    )


def test_long_tags_do_not_make_a_batch_too_large() -> None:
    heard = [(Lane.LIVE, reading(f"{number:05}" + "x" * 251, 1)) for number in range(10_000)]
    found = [readings for _, readings in batches(heard, 10_000)]
    assert sum(map(len, found)) == 10_000
    sizes = [len(columns.encode(Message(each, epoch="e" * 16, seq=1))) for each in found]
    assert max(sizes) <= MOST_BYTES


@pytest.mark.parametrize("bad", [reading("x" * 257, 1), reading("a\nb", 1), reading("a", 1, "m\ts"), reading("", 1)])
def test_what_would_spoil_a_batch_is_refused(bad: Reading) -> None:
    with pytest.raises(DecodeError):
        check(bad)
