"""Checklists: typed answers, outcomes, conditions, and what keeps an order from being done."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickets import checklist
from tickets.checklist import Given, Judged, Outcome
from tickets.checklists import library
from tickets.errors import InvalidFields


def text(words: str) -> dict[str, str]:
    return {"en": words, "zh": words}


def line(code: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"code": code, "type": kind, "text": text(code), **more}


YES_NO = [{"value": "good", "label": text("good")}, {"value": "bad", "label": text("bad"), "outcome": "failed"}]
ITEMS = [
    line("running", "tick", on_failure="note"),
    line("heat", "number", unit="°C", low=5, high=80, when={"item": "running", "relation": "is", "value": True}),
    line("hot", "photo", when={"item": "heat", "relation": "above", "value": 70}),
    line("seal", "choice", choices=YES_NO, photo="on_failure"),
    line("where", "text", when={"item": "seal", "relation": "outcome", "value": "failed"}),
    line("remark", "text", need="optional"),
]
LIST = checklist.parse(text("Round"), ITEMS)


def judged(code: str, **given: Any) -> Judged:
    return checklist.judge(LIST.item(code), Given(**given))


@pytest.mark.parametrize(
    ("code", "value", "outcome"),
    [
        ("running", True, "ok"),
        ("running", False, "failed"),
        ("heat", 80, "ok"),
        ("heat", 80.1, "failed"),
        ("heat", 4.9, "failed"),
        ("seal", "bad", "failed"),
        ("where", "at the gland", "ok"),
    ],
)
def test_the_outcome_follows_from_the_answer(code: str, value: Any, outcome: str) -> None:
    assert judged(code, value=value).outcome == outcome


@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("running", {"value": "yes"}),
        ("running", {"value": 1}),
        ("heat", {"value": True}),
        ("heat", {"value": float("nan")}),
        ("heat", {"value": "80"}),
        ("seal", {"value": "so so"}),
        ("where", {"value": "  "}),
        ("hot", {}),
        ("heat", {"value": 99, "outcome": Outcome.OK}),
        ("heat", {"outcome": Outcome.NOT_APPLICABLE}),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(code: str, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidFields) as caught:
        judged(code, **given)
    assert len(caught.value.message) > 15


def test_a_person_may_fail_a_good_line_or_leave_one_out_with_a_reason() -> None:
    assert judged("heat", value=20, outcome=Outcome.FAILED).outcome is Outcome.FAILED
    left = judged("heat", outcome=Outcome.NOT_APPLICABLE, note="No sensor here")
    assert (left.outcome, left.value) == (Outcome.NOT_APPLICABLE, None)


def open_lines(**answers: Judged) -> dict[str, str]:
    return {each.item.code: (each.lacks or {})["en"] for each in checklist.lacking(LIST, answers)}


def test_conditions_decide_which_lines_are_asked() -> None:
    assert open_lines() == {"running": "no answer", "seal": "no answer"}
    running = judged("running", value=True)
    assert set(open_lines(running=running)) == {"heat", "seal"}
    warm, hot = judged("heat", value=60), judged("heat", value=75)
    assert set(open_lines(running=running, heat=warm)) == {"seal"}
    assert open_lines(running=running, heat=hot) == {"hot": "no answer", "seal": "no answer"}
    stopped = judged("running", value=False)
    assert set(open_lines(running=stopped, heat=hot)) == {"seal"}  # the old answer counts for nothing


def test_a_mandatory_photo_is_missed_until_it_is_there() -> None:
    done = {"running": judged("running", value=False), "where": judged("where", value="gland")}
    bad = judged("seal", value="bad")
    assert open_lines(**done, seal=bad) == {"seal": "no photo"}
    assert open_lines(**done, seal=judged("seal", value="bad", photos=1)) == {}
    assert open_lines(**done, seal=judged("seal", value="good")) == {}
    assert open_lines(**done, seal=judged("seal", outcome=Outcome.NOT_APPLICABLE, note="no seal")) == {}


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        ([], "1 to 200 lines"),
        ("abc", "1 to 200 lines"),
        ([line("a", "tick"), line("a", "tick")], "used twice"),
        ([line("a", "guess")], "not of the right shape"),
        ([line("a", "tick", colour="red")], "has no 'colour'"),
        ([{"code": "a", "type": "tick", "text": {"en": "only"}}], "needs en and zh"),
        ([line("a", "choice", choices=YES_NO[:1])], "2 to 20 different"),
        ([line("a", "tick", choices=YES_NO)], "only a choice"),
        ([line("a", "tick", high=3)], "only a number"),
        ([line("a", "number", low=3, high=2)], "above the upper"),
        ([line("a", "number", low=float("inf"))], "limits are numbers"),
        ([line("a", "tick", when={"item": "b", "relation": "is", "value": True}), line("b", "tick")], "no earlier"),
        ([line("a", "tick"), line("b", "tick", when={"item": "a", "relation": "is", "value": 3})], "never hold"),
        (
            [line("a", "tick"), line("b", "tick", when={"item": "a", "relation": "above", "value": True})],
            "compare numb",
        ),
        ([line("a", "tick"), line("b", "tick", when={"item": "a", "relation": "outcome", "value": "x"})], "one of"),
    ],
)
def test_a_checklist_that_does_not_hold_together_is_refused(items: Any, sentence: str) -> None:
    with pytest.raises(InvalidFields, match=sentence):
        checklist.parse(text("Round"), items)


def test_what_is_kept_is_what_was_parsed() -> None:
    assert checklist.parse(LIST.title, checklist.as_json(LIST.items)) == LIST


def test_every_shipped_checklist_holds_together() -> None:
    shipped = library()
    assert {data["asset_class"] for data in shipped.values()} == {"pump", "motor", "compressor", "conveyor"}
    for data in shipped.values():
        made = checklist.parse(data["title"], data["items"])
        if data["kind"] != "inspection":  # nobody is kept from finishing a repair by a list they did not ask for
            assert checklist.lacking(made, {}) == []


values = st.one_of(
    st.booleans(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["good", "bad", "x"])
)


@given(st.dictionaries(st.sampled_from([item["code"] for item in ITEMS]), st.tuples(values, st.integers(0, 2))))
def test_answering_all_that_lacks_always_ends(tries: dict[str, tuple[Any, int]]) -> None:
    answers: dict[str, Judged] = {}
    for code, (value, photos) in tries.items():
        try:
            answers[code] = judged(code, value=value, photos=photos)
        except InvalidFields:
            continue
    for _ in range(len(ITEMS) + 1):
        lacking = checklist.lacking(LIST, answers)
        if not lacking:
            return
        for each in lacking:
            answers[each.item.code] = Judged(Outcome.NOT_APPLICABLE, None, "left out")
    raise AssertionError("it never ends")
