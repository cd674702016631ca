"""The words of a replay: what is run again, what is put in, what is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from maintenance.policies import Scope

GENERAL = Scope("*", "*", None)
Row = Mapping[str, Any]


class InputKind(StrEnum):
    """What moved the plant from outside of the judgement."""

    ROUND = "round"  # time: a periodic job that changed something
    REJUDGED = "rejudged"  # late data were brought in
    TICKET = "ticket"  # somebody did something to an order
    ALARM = "alarm"  # … or to an alarm
    REVIEW = "review"  # a planner decided a proposal
    GATE = "gate"  # a detector version was let, or stopped
    FAILURE = "failure"  # a failure was recorded
    POLICY = "policy"  # a maintenance policy was changed
    MODEL = "model"  # a model of remaining life was learnt
    FINDING = "finding"  # said by a detector that does not read samples


@dataclass(frozen=True, slots=True)
class Input:
    """One thing that happened live at a plant time; ``order`` keeps those of one moment apart."""

    at: datetime
    order: int
    kind: InputKind
    body: Row


@dataclass(frozen=True, slots=True)
class Change:
    """What is different from live; nothing = the same configuration."""

    policy: Mapping[str, Any] = field(default_factory=dict)  # settings instead of those of the policy with this scope
    without_engineers: Sequence[str] = ()
    without_parts: Sequence[str] = ()  # one piece less of each
    scope: Scope = GENERAL  # of the settings
    lets: Sequence[int] = ()  # detector versions (gate ids) that may open orders all the time


@dataclass(frozen=True, slots=True)
class Period:
    """Compared from ``start`` to ``end``; run from ``begin`` on, so that the detectors know what they knew."""

    begin: datetime
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """What was run, how fast, and what could not be done again."""

    inputs: Mapping[str, int]  # applied, by kind
    refused: Sequence[str]  # what people did and could not have done here
    samples: int
    seconds: float
    factor: float  # plant time ÷ wall time
