"""One machine in one transaction: what its judgement reads is read once, what it writes of its alarms is written late.

    Turn ──> scene: the asset, and of which rare things (policies, mutes, verdicts …) there are any at all
         ──> once(key, read): what else is asked for, remembered until ``forget``
         ──> save: an alarm's numbers, written at the end, or at once when its life moves

The asset is locked, so that nobody else judges it; its alarms are locked when they are read. See docs/adr/0011.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, LiteralString, TypeVar, cast

from psycopg import Connection

from core.errors import NotFound
from detectors.base import Finding, FindingKind
from maintenance import diagnose, learning, learning_store, libraries, library, orders, policies, store, verdicts
from maintenance.learning import Learnt
from maintenance.learning_store import Knowledge
from maintenance.model import Decision, Mode, Policy
from maintenance.policies import Applied, Scope
from maintenance.store import KeptAlarm
from plant import assets
from plant.model import Asset, Signal

T = TypeVar("T")


class Groups(StrEnum):
    """Whether alarms wait for the order of their common cause; off only to show what that is good for."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class _Scene:
    """Whether there are any: on the site, of the asset's class, of the asset."""

    policies: bool
    library: bool
    learnt: bool
    mutes: bool
    verdicts: bool
    repairs: bool


class Turn:
    """The judgement of one machine in one transaction. Close it at the end; an error closes nothing."""

    def __init__(self, conn: Connection, asset_id: int, *, groups: Groups = Groups.ON) -> None:
        """Raises NotFound."""
        self.conn, self.groups = conn, groups
        row = conn.execute(SCENE, (asset_id,)).fetchone()
        if row is None:
            raise NotFound(f"There is no asset {asset_id} on this site.")
        self.asset = Asset(*row[:9])
        self._scene = _Scene(*row[9:])
        self._memory: dict[Hashable, Any] = {}
        self._alarms: dict[int, KeptAlarm] = {}
        self._since: dict[FindingKind, datetime] = {}
        self._unsaved: set[int] = set()
        self._health: dict[tuple[int, str, datetime], float] = {}

    def close(self) -> None:
        """Write what is not written yet."""
        self.flush()

    # -- reading ------------------------------------------------------------------------------------------------------

    def once(self, key: Hashable, read: Callable[[], T]) -> T:
        """What was read under this key before, or is read now."""
        if key not in self._memory:
            self._memory[key] = read()
        return cast("T", self._memory[key])

    def put(self, key: Hashable, value: object) -> None:
        """What :meth:`once` gives for this key from now on."""
        self._memory[key] = value

    def drop(self, key: Hashable) -> None:
        """It has changed: the next one reads it again."""
        self._memory.pop(key, None)

    def forget(self) -> None:
        """Much may have changed: everything but the machine itself is read again."""
        self.flush()
        self._memory.clear()
        self._alarms.clear()
        self._since.clear()

    @cached_property
    def signals(self) -> list[Signal]:
        return assets.signals(self.conn, self.asset.asset_id)

    @cached_property
    def modes(self) -> tuple[Mode, ...]:
        """The failure modes of the class."""
        name = self.asset.asset_class
        return libraries.modes(self.conn, name) if self._scene.library else library.modes(name)

    @cached_property
    def knowledge(self) -> Knowledge:
        """What is known of the machine's faults, with the signals that each mode expects."""
        known = learning_store.learnt(self.conn, self.asset) if self._scene.learnt else Learnt({}, {})
        modes = learning.signatures(self.modes, known)
        return Knowledge(modes, learning.priors(modes, known), diagnose.expectations(modes, self.signals))

    def mode(self, code: str) -> Mode:
        return library.pick(self.modes, code)

    def applied(self, mode: str, *, base: Policy) -> Applied:
        """The maintenance policy in force for a mode (``*``: whatever the mode)."""
        if not self._scene.policies:
            return Applied(base, ())
        scope = Scope(self.asset.asset_class, mode, self.asset.asset_id)
        return self.once(("applied", mode, base), lambda: policies.applied(self.conn, scope, base=base))

    def precision(self, detector: str, policy: Policy, *, mode: str) -> float:
        """How often such an alarm is right: see :func:`maintenance.verdicts.belief`."""
        if not self._scene.verdicts:
            return verdicts.believed((), policy)
        here = self.asset.asset_id
        read = lambda: verdicts.belief(self.conn, detector, here, mode, policy)  # noqa: E731
        return self.once(("belief", detector, mode, policy.precision_prior), read)

    def mutes(self, kind: FindingKind, at: datetime) -> list[tuple[Any, ...]]:
        """What people muted of it and still holds."""
        return store.mutes(self.conn, self.asset.asset_id, kind, at) if self._scene.mutes else []

    def repaired_at(self) -> datetime | None:
        """When its last verified repair was done."""
        if not self._scene.repairs:
            return None
        return self.once("repaired", lambda: store.repaired_at(self.conn, self.asset.asset_id))

    # -- alarms -------------------------------------------------------------------------------------------------------

    def known(self, kind: FindingKind, *, since: datetime) -> list[KeptAlarm]:
        """The machine's alarms that are open or cleared after ``since``, oldest first, locked after their orders."""
        if kind not in self._since or since < self._since[kind]:
            self._load(kind, since)
        found = sorted(self._alarms.items())
        return [each for _, each in found if each.kind is kind and _recent(each, since)]

    def add(self, kept: KeptAlarm) -> KeptAlarm:
        """A new alarm with its id."""
        made = store.add_alarm(self.conn, kept)
        self._alarms[made.alarm_id] = made = _as_read(made)
        return made

    def save(self, kept: KeptAlarm) -> KeptAlarm:
        """Keep what has changed of it: its numbers in time, a move of its life at once."""
        before = self._alarms.get(kept.alarm_id)
        self._alarms[kept.alarm_id] = kept = _as_read(kept)
        self._unsaved.add(kept.alarm_id)
        if before is None or _life(before) != _life(kept):
            self.flush()
        return kept

    def add_health(self, alarm_id: int, finding: Finding) -> None:
        """A point of its health; the worse of two at the same time counts."""
        key = (alarm_id, finding.detector, finding.at)
        self._health[key] = min(finding.health, self._health.get(key, finding.health))

    def decide(self, kept: KeptAlarm, decision: Decision, *, at: datetime, prediction_id: int | None) -> None:
        """Keep a decision when it says something new."""
        key = ("decided", kept.alarm_id)
        said = store.Said.of(decision, prediction_id)
        if self.once(key, lambda: store.last_decision(self.conn, kept.alarm_id)) != said:
            store.keep_decision(self.conn, kept, decision, at=at, prediction_id=prediction_id)
            self.put(key, said)

    def flush(self) -> None:
        """Write what is not written yet."""
        for alarm_id in sorted(self._unsaved):
            store.save_alarm(self.conn, self._alarms[alarm_id])
        self._unsaved.clear()
        if self._health:
            store.add_health(self.conn, self._health)
            self._health.clear()

    def _load(self, kind: FindingKind, since: datetime) -> None:
        self.flush()
        found = store.alarms_of(self.conn, self.asset.asset_id, kind, since=since)
        for ticket_id in sorted({each.ticket_id for each in found if each.ticket_id is not None}):
            orders.lock(self.conn, ticket_id)
        self._alarms |= {each.alarm_id: each for each in store.lock_alarms(self.conn, [x.alarm_id for x in found])}
        self._since[kind] = since


def _recent(kept: KeptAlarm, since: datetime) -> bool:
    return kept.alarm.cleared_at is None or kept.alarm.cleared_at >= since


def _life(kept: KeptAlarm) -> tuple[object, ...]:
    """What others look at, and what the table writes down as a move."""
    life = kept.alarm
    return (life.state, life.returns, life.returned_at, life.onset_at, life.shelved_until, kept.ticket_id, kept.mode)


def _as_read(kept: KeptAlarm) -> KeptAlarm:
    """Its evidence as it would be read again: rounded, in the order in which the database keeps it."""
    return replace(kept, evidence=dict(sorted(store.evidence_of(store.evidence_json(kept.evidence)).items())))


SCENE: LiteralString = """
  select a.asset_id, a.site_id, a.parent_id, a.code, a.name, a.class, a.criticality, a.location, a.level,
    exists (select from maintenance_policies where active),
    exists (select from libraries l where l.asset_class = a.class and l.retired_at is null),
    exists (select from learnt_modes l where l.asset_class = a.class)
      or exists (select from judged_cases c where c.asset_id = a.asset_id),
    exists (select from mutes m where m.asset_id = a.asset_id),
    exists (select from verdicts),
    exists (select from verifications v where v.asset_id = a.asset_id)
  from assets a where a.asset_id = %s"""
