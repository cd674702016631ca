"""What tools answer: bounded, clean, and said to be data."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from api.tools import plain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(JSON)
def test_nothing_hidden_gets_through_and_it_stays_json(value: object) -> None:
    text = plain.answer({"value": value})
    assert len(text) <= plain.MOST_CHARACTERS
    assert json.loads(text)["notice"] == plain.NOTICE
    assert plain.clean(text, len(text)) == text


def test_what_is_too_much_is_cut_and_counted() -> None:
    data = json.loads(plain.answer({"items": [{"text": "x" * 9000}] * 500}))["data"]
    assert data["items"][-1]["left_out"] > 400
    assert "characters left out" in data["items"][0]["text"]
    wide = {str(number): "y" * 200 for number in range(2000)}
    assert "ask for less" in json.loads(plain.answer(wide))["data"]["left_out"]
