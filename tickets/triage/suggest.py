"""What triage offers for one ticket: the likeliest answers with confidence and reasons in words; or nothing. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tickets.model import Text
from tickets.triage.clues import WORD, Clue
from tickets.triage.learner import Guess, Learner

LEAST_CONFIDENCE = 0.5  # below it nothing is offered as the answer
LEAST_LESSONS = 20
MOST = 3
OWN = "field."  # the site's own fields
FIELDS: Mapping[str, Text] = {
    "kind": {"en": "Kind", "zh": "类型"},
    "channel": {"en": "Reported by", "zh": "上报渠道"},
    "asset": {"en": "Machine", "zh": "设备"},
    "class": {"en": "Kind of machine", "zh": "设备类别"},
    "mode": {"en": "Failure mode", "zh": "故障模式"},
    "requester": {"en": "Requester", "zh": "报修人"},
    "tag": {"en": "Tag", "zh": "标签"},
}


class Target(StrEnum):
    """What is suggested."""

    ENGINEER = "engineer"
    SKILL = "skill"  # the group that can do it
    PRIORITY = "priority"
    MODE = "mode"


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer. ``label`` is an engineer's id, a skill, a priority 1…5 or a failure mode."""

    label: str
    confidence: float
    reasons: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """``answer`` is the first choice if triage is sure enough of it, else None: then the choices are only hints."""

    target: Target
    answer: str | None
    choices: tuple[Choice, ...]
    lessons: int


def suggestion(
    target: Target, learner: Learner, clues: Mapping[Clue, float], *, among: Collection[str] | None = None
) -> Suggestion:
    """The likeliest answers (of those that still count: ``among``); none before enough tickets were closed."""
    found = learner.suggest(clues, most=len(learner.labels)) if learner.lessons >= LEAST_LESSONS else ()
    guesses = [each for each in found if among is None or each.label in among][:MOST]
    sure = bool(guesses) and guesses[0].confidence >= LEAST_CONFIDENCE
    return Suggestion(target, guesses[0].label if sure else None, tuple(map(_choice, guesses)), learner.lessons)


def _choice(guess: Guess) -> Choice:
    return Choice(guess.label, guess.confidence, tuple(map(_reason, guess.reasons)))


def _reason(clue: Clue) -> Text:
    if clue.field == WORD:
        return {"en": f"The text says “{clue.value}…”", "zh": f"文字中提到“{clue.value}”"}
    name = FIELDS.get(clue.field, {"en": clue.field.removeprefix(OWN), "zh": clue.field.removeprefix(OWN)})
    return {"en": f"{name['en']}: {clue.value}", "zh": f"{name['zh']}：{clue.value}"}
