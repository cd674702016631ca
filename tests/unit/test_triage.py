"""Triage learns from what was closed, the same way every time, and is silent while it is not sure."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickets.triage import learner as learners
from tickets.triage.clues import ALWAYS, MOST_WORDS, WORD, Case, Clue, clues
from tickets.triage.learner import Learner, Pace
from tickets.triage.suggest import LEAST_LESSONS, Target, suggestion

SMALL = Pace(rows=256)
CASES = st.builds(Case, st.text(max_size=40), st.dictionaries(st.sampled_from("abc"), st.text(max_size=5)))
LESSONS = st.lists(st.tuples(CASES, st.sampled_from(["x", "y", "z", "w"])), max_size=25)


def taught(lessons: list[tuple[Case, str]], pace: Pace = SMALL) -> Learner:
    learner = Learner(pace)
    for case, label in lessons:
        learner.learn(clues(case), label)
    return learner


def test_the_documented_example() -> None:
    assert doctest.testmod(learners).failed == 0


def test_clues_are_fields_and_words_in_both_languages() -> None:
    found = clues(Case("Seals leaking 漏油", {"class": "pump", "mode": ""}))
    assert set(found) == {
        Clue(ALWAYS, ""),
        Clue("class", "pump"),
        Clue(WORD, "seal"),
        Clue(WORD, "leak"),
        Clue(WORD, "漏油"),
    }
    assert found[Clue("class", "pump")] == 1 and found[Clue(WORD, "seal")] == pytest.approx(2 / 3**0.5)
    assert len(clues(Case(" ".join(f"w{n}" for n in range(10_000))))) == MOST_WORDS + 1
    assert clues(Case("😀")) == {Clue(ALWAYS, ""): 1.0}


def test_nothing_learnt_nothing_said() -> None:
    assert Learner().suggest(clues(Case("oil"))) == ()
    few = taught([(Case("oil"), "x")] * (LEAST_LESSONS - 1))
    assert suggestion(Target.SKILL, few, clues(Case("oil"))).choices == ()


def test_an_answer_comes_with_its_reasons_and_not_without_confidence() -> None:
    lessons = [
        (Case("oil leaks", {"class": "pump"}), "mechanical"),
        (Case("no signal", {"class": "drive"}), "electrical"),
    ]
    learner = taught(lessons * 30)
    said = suggestion(Target.SKILL, learner, clues(Case("leaks again", {"class": "pump"})))
    assert said.answer == "mechanical" and said.choices[0].confidence > 0.8
    assert {"en": "Kind of machine: pump", "zh": "设备类别：pump"} in said.choices[0].reasons
    assert {"en": "The text says “leak…”", "zh": "文字中提到“leak”"} in said.choices[0].reasons
    torn = suggestion(Target.SKILL, taught([(Case(), label) for label in "abc"] * 30), clues(Case()))
    assert torn.answer is None and len(torn.choices) == 3


def test_it_follows_a_change() -> None:
    old, new = (Case(fields={"class": "pump"}), "lin"), (Case(fields={"class": "pump"}), "wang")
    assert taught([old] * 100 + [new] * 60).suggest(clues(old[0]))[0].label == "wang"


@settings(max_examples=40, deadline=None)
@given(LESSONS, CASES)
def test_the_same_lessons_make_the_same_answer_and_asking_teaches_nothing(
    lessons: list[tuple[Case, str]], case: Case
) -> None:
    one, other = taught(lessons), Learner(SMALL)
    for known, label in lessons:
        other.suggest(clues(case))
        other.learn(clues(known), label)
    assert one.suggest(clues(case)) == other.suggest(clues(case))


@settings(max_examples=40, deadline=None)
@given(LESSONS, CASES)
def test_confidences_are_shares_of_what_was_seen(lessons: list[tuple[Case, str]], case: Case) -> None:
    found = taught(lessons).suggest(clues(case), most=10)
    assert {each.label for each in found} == {label for _, label in lessons}
    assert sum(each.confidence for each in found) == pytest.approx(1 if lessons else 0, abs=0.01)
    assert [each.confidence for each in found] == sorted((each.confidence for each in found), reverse=True)


def test_memory_is_bounded_whatever_people_write() -> None:
    learner = taught([(Case(f"word{n} other{n}"), f"label{n % 7}") for n in range(2000)])
    assert learner.suggest(clues(Case("word1")))[0].label.startswith("label")
    assert all(np.isfinite(each.confidence) for each in learner.suggest(clues(Case("word1"))))
