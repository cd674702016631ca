"""Policies as people change them: one that opens orders by itself must have shown before what it would have done; one
that proves wrong proposes only from then on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection

from core import log
from maintenance import backtest, gate, grounds, policies, sentences
from maintenance.errors import Unproven
from maintenance.grounds import Ground, Grounds
from maintenance.model import Opening
from maintenance.policies import Kept, Note, Scope
from tickets import notify
from tickets.model import RIGHT_VERDICTS
from tickets.notify import NoticeKind

logger = log.get("gate")

# The newest verdicts in the policy's scope since it was changed; orders of sensors and sources are not its doing.
JUDGED: LiteralString = """
  select count(*) filter (where verdict = any(%(right)s)), count(*) from (
    select v.verdict from verdicts v join assets a using (asset_id) join alarms l on l.alarm_id = v.alarm_id
    where l.raised_at > %(since)s and v.ticket_id is not null and l.kind = 'machine'
      and (%(class)s = '*' or a.class = %(class)s) and (%(mode)s = '*' or l.mode = %(mode)s)
      and (%(asset)s::int is null or a.asset_id = %(asset)s)
    order by v.given_at desc limit %(most)s) as last"""


@dataclass(frozen=True, slots=True)
class Word:
    """A person's word for a change: why, and on which grounds (None: nothing is opened by it)."""

    by: str
    reason: str = ""
    grounds: Grounds | None = None


def create(conn: Connection, scope: Scope, settings: Mapping[str, Any], word: Word, *, now: datetime) -> Kept:
    """A new policy. Raises Unproven, BadPolicy, NotFound for a foreign asset, PolicyTaken."""
    _prove(conn, scope, settings, word)
    return policies.create(conn, scope, settings, by=word.by, now=now, note=_note(word))


def change(
    conn: Connection, policy_id: int, settings: Mapping[str, Any], word: Word, *, version: int, now: datetime
) -> Kept:
    """Other settings from now on. Raises Unproven, Stale, BadPolicy, NotFound."""
    _prove(conn, policies.row(conn, policy_id).scope, settings, word)
    return policies.change(conn, policy_id, settings, version=version, by=word.by, now=now, note=_note(word))


def _prove(conn: Connection, scope: Scope, settings: Mapping[str, Any], word: Word) -> None:
    before, after = policies.applied(conn, scope).policy, policies.checked(conn, scope, settings)
    if not grounds.widens(before, after):
        return
    if word.grounds is None or word.grounds.ground is Ground.SHADOW:
        raise Unproven("Orders would open by themselves otherwise than now. Name a back-test of it, or override.")
    if word.grounds.ground is Ground.OVERRIDE:
        if not word.reason.strip():
            raise Unproven("Say why it may open orders without a back-test.")
        return
    grounds.must_be_done(conn, word.grounds, backtest.config(conn, settings, scope=scope))


def _note(word: Word) -> Note:
    relied = word.grounds
    return Note(word.reason.strip(), relied.ground.value if relied else "", relied.backtest_id if relied else None)


def fall_back(conn: Connection, now: datetime) -> list[Kept]:
    """Policies that open by themselves and whose last verdicts since their change prove that they are seldom right are
    set to review; those are returned."""
    fallen = []
    for kept in policies.rows_of(conn):
        if kept.active and policies.applied(conn, kept.scope).policy.opening is Opening.AUTOMATIC:
            right, judged = _verdicts(conn, kept)
            if gate.upper_bound(right, judged) < gate.WORST:
                fallen.append(_stop(conn, kept, right, judged, now))
    return fallen


def _verdicts(conn: Connection, kept: Kept) -> tuple[int, int]:
    scope = kept.scope
    values = {"since": kept.changed_at, "class": scope.asset_class, "mode": scope.mode, "asset": scope.asset_id}
    row = conn.execute(JUDGED, {**values, "most": gate.FRESH, "right": sorted(RIGHT_VERDICTS)}).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _stop(conn: Connection, kept: Kept, right: int, judged: int, now: datetime) -> Kept:
    settings = {**kept.settings, "opening": Opening.REVIEW.value}
    note = Note(f"{right} of its last {judged} orders were right")
    made = policies.change(conn, kept.policy_id, settings, version=kept.version, by=gate.SYSTEM, now=now, note=note)
    logger.warning("a policy proposes only", policy=kept.policy_id, right=right, of=judged)
    values = {"policy": _name(kept.scope), "right": float(right), "judged": float(judged)}
    notify.tell_of(
        conn,
        notify.planners(conn),
        kind=NoticeKind.ALARM,
        title=sentences.say("gate.policy_title", values),
        body=sentences.say("gate.policy_fallen", values),
        key=f"policy:{made.policy_id}:{made.version}",
        now=now,
    )
    return made


def _name(scope: Scope) -> str:
    asset = "" if scope.asset_id is None else f", {scope.asset_id}"
    return f"{scope.asset_class} / {scope.mode}{asset}"
