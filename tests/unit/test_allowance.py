"""A flood of bad messages is counted in full and kept in part."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.reasons import Reason
from ingest.allowance import Allowance
from ingest.resolve import Entry

ENTRIES = st.builds(
    lambda source, reason, readings: Entry(0, 1, reason, source, "t", "topic", b"payload", "why", readings),
    st.sampled_from(["a", "b"]),
    st.sampled_from([Reason.MALFORMED, Reason.NOT_A_NUMBER, Reason.UNKNOWN_TAG]),
    st.integers(1, 5),
)


@given(st.lists(st.lists(ENTRIES, max_size=12), max_size=5))
def test_no_reading_is_uncounted_and_no_kind_floods(flushes: list[list[Entry]]) -> None:
    allowance = Allowance(a_minute=4)
    whole: dict[tuple[str, Reason], int] = {}
    for entries in flushes:
        found = allowance.trim(entries, now_s=30.0)
        assert sum(each.readings for each in found) == sum(each.readings for each in entries)
        for each in found:
            whole[each.source, each.reason] = whole.get((each.source, each.reason), 0) + bool(each.payload)
        kinds = {(each.source, each.reason) for each in entries}
        assert len([each for each in found if not each.payload]) <= len(kinds)
    assert all(count <= 4 for (_, reason), count in whole.items() if reason is not Reason.UNKNOWN_TAG)
    sent = [each for entries in flushes for each in entries if each.reason is Reason.UNKNOWN_TAG]
    assert sum(count for (_, reason), count in whole.items() if reason is Reason.UNKNOWN_TAG) == len(sent)


def test_every_minute_is_a_new_one() -> None:
    allowance = Allowance(a_minute=1)
    entry = Entry(0, 1, Reason.MALFORMED, "a", "t", "topic", b"payload", "why", 2)
    assert [bool(each.payload) for each in allowance.trim([entry] * 3, now_s=59.9)] == [True, False]
    assert allowance.trim([entry], now_s=60.0) == [entry]
    (summed,) = allowance.trim([entry, entry], now_s=61.0)
    assert summed.readings == 4
    assert "4 more within a minute were counted" in summed.detail


def test_bytes_are_bounded_of_each_kind_and_of_a_site() -> None:
    def kept(*sources: str) -> list[bool]:
        entries = [Entry(0, 1, Reason.MALFORMED, each, "t", "topic", b"x" * 40, "why", 1) for each in sources]
        allowance = Allowance(bytes_a_minute=100, site_bytes_a_minute=150)
        return sorted((bool(each.payload) for each in allowance.trim(entries, now_s=1.0)), reverse=True)

    assert kept("a", "a", "a") == [True, True, False]
    assert kept("a", "a", "b", "c") == [True, True, True, False]
