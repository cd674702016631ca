"""A diagnosis in words: what was believed before looking, and how much better or worse the signals fit. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maintenance import sentences
from maintenance.model import LANGUAGES, UNKNOWN

WORTH_SAYING = 0.05  # a likelihood so near 1 fits neither better nor worse


def why(candidate: Mapping[str, Any]) -> dict[str, str]:
    """prior × likelihood of one mode, as kept with its alarm, in every language; empty texts for an old diagnosis."""
    prior, likelihood = float(candidate.get("prior", 0.0)), float(candidate.get("likelihood", 0.0))
    if prior <= 0 or likelihood <= 0:
        return dict.fromkeys(LANGUAGES, "")
    values = {"prior": 100 * prior, "chance": 100 * float(candidate["probability"])}
    if candidate.get("mode") == UNKNOWN:
        return sentences.say("diagnosis.why_unknown", values)
    if abs(likelihood - 1) <= WORTH_SAYING:
        return sentences.say("diagnosis.why_same", values)
    if likelihood > 1:
        return sentences.say("diagnosis.why_better", {**values, "times": likelihood})
    return sentences.say("diagnosis.why_worse", {**values, "times": 1 / likelihood})
