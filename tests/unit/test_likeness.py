"""How alike two reports sound: the same is 1, nothing in common is 0, the title weighs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickets import likeness


def test_the_title_says_more_than_the_text() -> None:
    other, same = "Fan hums\nThe gearbox of line 2 leaks oil.", "Gearbox leaks oil\nSeen by the night shift."
    found = likeness.scores("Gearbox leaks oil\nPuddle under it.", [other, same])
    assert found[1] > found[0] > 0


@pytest.mark.parametrize("text", ["when", "my", "密封漏油", "Pump P-101 leaks\nat the seal"])
def test_the_same_text_is_wholly_alike(text: str) -> None:
    assert likeness.scores(text, [text, "?"]) == [pytest.approx(1), 0]


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=8))
def test_scores_lie_between_nothing_and_the_same(query: str, candidates: list[str]) -> None:
    found = likeness.scores(query, candidates)
    assert len(found) == len(candidates)
    assert all(0 <= score <= 1 + 1e-9 for score in found)


def test_beyond_those_ranked_again_the_order_of_the_cosine_stands() -> None:
    texts = [f"pump {'noise ' * (n % 5)}{n}" for n in range(2 * likeness.AGAIN)]
    assert max(likeness.scores("pump noise", texts)) <= 1
    assert min(likeness.scores("pump noise", texts)) > 0
