"""Finding documents by what they say: order, fields, both languages, hostile texts."""

from __future__ import annotations

import doctest
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickets.knowledge import ranking, terms
from tickets.knowledge.ranking import Document, Ranking

GUIDES = {
    1: Document("Replace a pump bearing", "Lock out, pull the coupling, press the bearing off."),
    2: Document("Clean the filter", "Close the valve. The pump stops by itself."),
    3: Document("轴承过热怎么办", "检查润滑，更换轴承。", ("bearing",)),
}


def keys(query: str, **options: object) -> list[int]:
    return [found.key for found in Ranking.of(GUIDES).best(query, **options)]  # type: ignore[arg-type]


def test_the_documented_example() -> None:
    assert doctest.testmod(ranking).failed == 0


@pytest.mark.parametrize(
    ("query", "first"),
    [("bearings of the pump are hot", 1), ("filters cleaned", 2), ("轴承太热了", 3), ("dirty filtr", 2), ("润滑", 3)],
)
def test_the_document_that_answers_comes_first(query: str, first: int) -> None:
    assert keys(query)[0] == first


def test_only_those_allowed_and_no_more_than_asked_for() -> None:
    assert keys("pump bearing", among={2}) == [2]
    assert len(keys("pump bearing", most=1)) == 1
    assert keys("pump bearing", among=()) == []


def test_what_matched_is_named_as_it_was_asked() -> None:
    assert Ranking.of(GUIDES).best("Bearings, pumps")[0].words == ("bearings", "pumps")
    assert Ranking.of(GUIDES).best("轴承很烫")[0].words == ("轴承",)


def test_equal_documents_stand_in_the_order_of_their_keys() -> None:
    same = Ranking.of({key: Document("oil leak") for key in ("c", "a", "b")})
    assert [found.key for found in same.best("oil leak")] == ["a", "b", "c"]


@pytest.mark.parametrize("query", ["", " ", "😀", "\x00", "the of and", "的了"])
def test_nothing_asked_finds_nothing(query: str) -> None:
    assert keys(query) == []
    assert Ranking.of({1: Document(query)}).best("pump") == []


def test_an_empty_index_answers() -> None:
    empty: dict[int, Document] = {}
    assert Ranking.of(empty).best("pump") == []


def test_a_megabyte_is_read_within_seconds() -> None:
    long = "pump bearing hot 轴承过热 " * 50_000
    began = time.perf_counter()
    assert Ranking.of({1: Document("x", long), 2: Document(long)}).best(long)
    assert Ranking.of({1: Document("a" * 1_000_000)}).best("a" * 1_000_000)
    assert time.perf_counter() - began < 5


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.integers(), st.builds(Document, st.text(), st.text()), max_size=6), st.text())
def test_any_text_may_be_asked_and_order_of_adding_means_nothing(documents: dict[int, Document], query: str) -> None:
    found = Ranking.of(documents).best(query)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert all(each.score > 0 and each.key in documents for each in found)
    assert {each.key for each in found} == {
        each.key for each in Ranking.of(dict(reversed(documents.items()))).best(query)
    }


@pytest.mark.parametrize(
    "forms",
    ["bearing bearings", "leak leaks leaked leaking", "stop stops stopped stopping", "replace replaced replacing"],
)
def test_forms_of_a_word_have_one_stem(forms: str) -> None:
    assert len({terms.stem(word) for word in forms.split()}) == 1
