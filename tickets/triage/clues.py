"""What of a ticket may tell where it belongs: its fields one by one, and the words of its text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from tickets.knowledge import terms

WORD = "word"
ALWAYS = "always"  # what holds for every ticket carries the frequency of the answers
MOST_WORDS = 200
WORDS_WEIGH = 2.0  # all words of a text together, as one field weighs 1


@dataclass(frozen=True, slots=True, order=True)
class Clue:
    """One thing that is so: field ``category`` is ``seal``, the text has the ``word`` leak."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of a ticket before anybody looked at it. An empty value says nothing."""

    text: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


def clues(case: Case) -> dict[Clue, float]:
    """What speaks of the case, and how loudly: 1 for a field; the words of a long text share their voice."""
    known = {Clue(name, value): 1.0 for name, value in case.fields.items() if value}
    words = dict.fromkeys(islice((Clue(WORD, each.stem) for each in terms.terms(case.text)), MOST_WORDS))
    share = WORDS_WEIGH / len(words) ** 0.5 if words else 0.0
    return {Clue(ALWAYS, ""): 1.0, **known, **dict.fromkeys(words, share)}
