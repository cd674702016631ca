"""Marks never pass what is not durable, whatever the order of acks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.opcua.book import ALL, Book


def test_a_tag_behind_does_not_advance_until_it_is_settled() -> None:
    book = Book({"a": 100})
    stretch = book.begin()
    assert (stretch.join("a"), stretch.join("new")) == (100, None)
    stretch.lag(5)
    stretch.sent()
    stretch.acked({"a": 200, "new": 210}, heard_us=220)
    assert (book.mark("a"), book.mark("new")) == (100, 210)
    stretch.settle("a")
    assert book.mark("a") == 200
    stretch.quiet(300)
    assert book.mark("a") == 295
    assert book.take_changed() == {ALL: 295}


def test_a_refused_tag_keeps_its_mark_while_the_others_go_on() -> None:
    book = Book({"gone": 100, "here": 100})
    stretch = book.begin()
    for tag in ("gone", "here"):
        stretch.join(tag)
        stretch.settle(tag)
    stretch.excuse("gone")
    stretch.lag(0)
    stretch.quiet(500)
    assert (book.mark("gone"), book.mark("here")) == (100, 500)
    assert stretch.join("gone") == 100


def test_nothing_is_known_of_a_server_whose_clock_was_never_compared() -> None:
    book = Book({})
    stretch = book.begin()
    stretch.join("a")
    stretch.quiet(500)
    assert book.mark("a") is None


def test_a_server_is_not_complete_while_something_waits() -> None:
    book = Book({})
    stretch = book.begin()
    stretch.join("a")
    stretch.lag(0)
    stretch.sent()
    stretch.quiet(500)
    assert book.mark("a") is None
    stretch.acked({"a": 400}, heard_us=450)
    assert book.mark("a") == 450


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1000)), max_size=40))
def test_an_unsettled_gap_holds_the_mark(steps: list[tuple[int, int]]) -> None:
    book = Book({"a": 50})
    stretch = book.begin()
    stretch.join("a")
    stretch.join("b")
    for action, us in steps:
        if action == 0:
            stretch.sent()
            stretch.acked({"a": us, "b": us}, heard_us=us)
        elif action == 1:
            stretch.lag(us)
        else:
            stretch.quiet(us)
        assert book.mark("a") == 50
