"""Terms of texts and questions."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickets import search_text
from tickets.search_text import Word


def test_a_text_is_found_by_words_codes_and_pairs() -> None:
    found = search_text.terms("Bearing P-101 磨损 WO-2026-000123")
    assert {"bearing", "p-101", "p101", "101", "磨损", "损", "wo-2026-000123", "000123", "123"} <= set(found)


def test_width_and_case_make_no_difference() -> None:
    assert search_text.terms("ＰＵＭＰ") == search_text.terms("pump") == search_text.terms("Pump")


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("bearing", "bearing", 0),
        ("baering", "bearing", 1),
        ("bearng", "bearing", 1),
        ("bearinggg", "bearing", 2),
        ("a", "bearing", 3),
    ],
)
def test_slips(one: str, other: str, distance: int) -> None:
    assert search_text.slips(one, other, 2) == distance


@given(st.text(max_size=8), st.text(max_size=8))
def test_slips_go_both_ways(one: str, other: str) -> None:
    assert search_text.slips(one, other, 3) == search_text.slips(other, one, 3)
    assert (search_text.slips(one, other, 3) == 0) == (one == other)


def test_a_short_word_has_no_neighbours_and_a_number_neither() -> None:
    assert [search_text.spellable(word) for word in ("bearing", "oil", "p101", "轴承轴承")] == [
        True,
        False,
        False,
        False,
    ]


def test_questions() -> None:
    assert search_text.strict(["pump", "轴承磨"]) == "'pump':* & ('轴承':* & '承磨':*)"
    assert search_text.tolerant([Word("baering", ("bearing",))]) == "('baering':* | 'bearing':*)"
    assert search_text.lenient([Word("a")]) == ""
    assert "('轴承':*)" in search_text.tolerant([Word("轴承磨")])


def test_the_excerpt_shows_the_place() -> None:
    assert "needle" in search_text.excerpt("hay " * 100 + "needle" + " hay" * 100, ["needle"])


@pytest.mark.parametrize(
    ("markdown", "read"),
    [
        ("## Make it safe\n- Stop, **lock and tag**.", "Make it safe\nStop, lock and tag."),
        ("> See [the plan](http://x/y) and ![a valve](12)", "See the plan and a valve"),
        ("*now* `P-101` ~~old~~ __hot__", "now P-101 old hot"),
        ("2 * 3 * 4 mm, -5 °C, a_b_c", "2 * 3 * 4 mm, -5 °C, a_b_c"),
        ("先**断电**。", "先断电。"),
    ],
)
def test_an_excerpt_of_a_guide_shows_no_marks(markdown: str, read: str) -> None:
    assert search_text.plain(markdown) == read


@pytest.mark.parametrize("mark", ["[", "**", "`", "*a", "![](", "- "])
def test_hostile_marks_take_no_time(mark: str) -> None:
    text = "\n".join([mark * (search_text.LONGEST_LINE // len(mark))] * 50 + [mark * 50_000])
    began = time.process_time()
    search_text.plain(text)
    assert time.process_time() - began < 2
