"""The words of the doctor's report. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """FAIL: something does not work. WARN: it works, but not as it should."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: a sentence on how things are, and what to do (empty when all is well)."""

    name: str
    state: State
    sentence: str
    remedy: str = ""
