"""The alarm rules of one machine as a detector beside the others: the same live, in a back-test, in a replay. Pure.

Rules are data that people change while the plant runs. Each version judges the rows of its own time only, so a change
needs nothing to be judged again, and a replay judges with what was in force then.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from core.errors import MillwrightError
from detectors.base import Finding, Frame, Judgement
from detectors.classic.judge import Judge, Kept
from detectors.classic.model import InForce
from plant.model import Asset, Signal

NAME = "alarm_rules"
VERSION = "1"


class _Memory(msgspec.Struct, frozen=True):
    kind: str
    rules: dict[str, Kept]  # version's id → memory


class Classic:
    """All alarm rules that concern one machine (see ``Detector``); ``take`` says which are in force."""

    name = NAME
    version = VERSION

    def __init__(self, asset: Asset, signals: Sequence[Signal]) -> None:
        self._asset, self._signals = asset, signals
        self._taken: Sequence[InForce] | None = None
        self._judges: dict[int, Judge] = {}
        self._waiting: dict[str, Kept] = {}  # memories whose rules are yet to be taken

    def take(self, rules: Sequence[InForce]) -> None:
        """Judge by these from now on; a version that stays keeps its timers. Rules for other machines are left out."""
        if rules is self._taken or (self._taken is not None and list(rules) == list(self._taken)):
            self._taken = rules
            return
        self._taken = rules
        known, self._judges = self._judges, {}
        for force in rules:
            judge = known.get(force.version_id)
            if judge is None or judge.force.rule != force.rule:
                judge = self._judge(force)
            if judge is not None:
                judge.force = force
                self._judges[force.version_id] = judge

    def update(self, frame: Frame) -> Judgement:
        """``surprise`` is that of the loudest rule: what rules say is declared, not measured."""
        found: list[Finding] = []
        for version_id in sorted(self._judges):
            found += self._judges[version_id].rows(frame)
        return Judgement(sorted(found, key=lambda each: each.at), (), np.full(len(frame), np.nan))

    def relearn(self, at_us: int) -> None:
        for judge in self._judges.values():
            judge.relearn(at_us)

    def intervene(self, at_us: int) -> None:
        """Somebody worked on it: timers begin anew."""
        self.relearn(at_us)

    def dump(self) -> bytes:
        kept = {str(version_id): self._judges[version_id].dump() for version_id in sorted(self._judges)}
        return msgspec.msgpack.encode(_Memory(f"{NAME} {VERSION}", {**self._waiting, **kept}))

    def load(self, state: bytes) -> None:
        """Memories of rules that are not taken yet wait for them; those of rules that are gone are forgotten."""
        try:
            memory = msgspec.msgpack.decode(state, type=_Memory)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise ValueError(f"no memory of alarm rules: {error}") from error
        if memory.kind != f"{NAME} {VERSION}":
            raise ValueError(f"memory of {memory.kind!r} does not fit {NAME} {VERSION!r}")
        for version_id, kept in memory.rules.items():
            judge = self._judges.get(int(version_id))
            if judge is not None:
                judge.load(kept)
        if self._taken is None:
            self._waiting = memory.rules

    def _judge(self, force: InForce) -> Judge | None:
        """None where the rule is about other machines, or its units no longer fit this one's signals."""
        if not force.rule.fits(self._asset):
            return None
        try:
            judge = Judge(force, self._asset, self._signals)
        except MillwrightError:
            return None
        if not judge.concerns:
            return None
        kept = self._waiting.pop(str(force.version_id), None)
        if kept is not None:
            judge.load(kept)
        return judge
