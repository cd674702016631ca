"""The planner's review queue: an alarm proposes, a planner decides.

    propose   instead      in the transaction of the finding, where the policy (or the gate) asks for a planner
    accept    merge    snooze    reject        what a planner does; all in one transaction, the asset locked first
    end                    the deviation is over before anybody decided

Two planners who decide at once: the first is heard, the other is told who it was and what came of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, LiteralString

from psycopg import Connection
from scipy.special import betaincinv

from core import live
from core.errors import NotFound, Stale
from detectors.base import Finding, FindingKind, Sentence
from maintenance import decide, gate, libraries, mutes, orders, policies, sentences, store
from maintenance.decide import MuteWhy
from maintenance.errors import BadReview, ReviewDecided
from maintenance.gate import Standing
from maintenance.model import Action, Decision, Opening, Policy, Reason
from maintenance.orders import Case
from maintenance.store import KeptAlarm
from plant import assets
from plant.model import Asset
from tickets import service
from tickets import store as tickets_store
from tickets.model import RIGHT_VERDICTS, WRONG_VERDICTS, Actor, Ticket

LONGEST_SNOOZE = timedelta(days=90)
ROW: LiteralString = """
  select review_id, asset_id, alarm_id, prediction_id, mode, state, version, decided_by, ticket_id from review_items """


class Why(StrEnum):
    """Why a planner is asked."""

    POLICY = "policy"
    UNPROVEN = "unproven"
    GATE = "gate"


class Rejection(StrEnum):
    """Why a proposal is none; the first two are labels for the detector."""

    NOTHING_FOUND = "nothing_found"
    SENSOR = "sensor"
    KNOWN = "known"  # it is known and being dealt with
    NOT_WORTH = "not_worth"


@dataclass(frozen=True, slots=True)
class Item:
    """A proposal as kept."""

    review_id: int
    asset_id: int
    alarm_id: int
    prediction_id: int | None
    mode: str
    state: str
    version: int
    decided_by: str | None
    ticket_id: int | None


# -- proposing --------------------------------------------------------------------------------------------------------


def instead(conn: Connection, asset: Asset, finding: Finding, decision: Decision, policy: Policy) -> Decision:
    """The decision, or a proposal in place of opening an order; what runs in shadow does neither."""
    if decision.action is not Action.OPEN:
        return decision
    standing = gate.standing(conn, finding.detector, finding.version, asset)
    if standing is Standing.SHADOW:
        return Decision(Action.NONE, (*decision.reasons, Reason("shadow")))
    if standing is Standing.REVIEW:
        return Decision(Action.PROPOSE, (*decision.reasons, Reason("proposed_gate")))
    if policy.opening is Opening.REVIEW:
        return Decision(Action.PROPOSE, (*decision.reasons, Reason("proposed_policy")))
    lower = proven(conn, finding.detector, asset.asset_id, policy)
    if lower < policy.proven:
        values: dict[str, str | float] = {"proven": 100 * policy.proven, "lower": 100 * lower}
        return Decision(Action.PROPOSE, (*decision.reasons, Reason("proposed_unproven", values)))
    return decision


def proven(conn: Connection, detector: str, asset_id: int, policy: Policy) -> float:
    """The precision that the detector has on this asset with ``proven_share``: a lower bound of the Beta posterior."""
    counts = store.verdict_counts(conn, detector, asset_id)
    right, wrong = policy.precision_prior
    right += sum(counts.get(word, 0) for word in RIGHT_VERDICTS)
    wrong += sum(counts.get(word, 0) for word in WRONG_VERDICTS)
    return float(betaincinv(right, wrong, 1 - policy.proven_share))


def propose(
    conn: Connection, kept: KeptAlarm, decision: Decision, *, loss: float, prediction_id: int, now: datetime
) -> None:
    """Put the alarm into the queue, or bring its item there up to date; a snooze goes on."""
    key = decision.reasons[-1].key.removeprefix("proposed_")
    conn.execute(
        """insert into review_items (asset_id, alarm_id, prediction_id, mode, risk, why, proposed_at, due_at)
           values (%s, %s, %s, %s, %s, %s, %s, %s)
           on conflict (alarm_id) where state = 'open' do update
             set prediction_id = excluded.prediction_id, mode = excluded.mode, risk = excluded.risk,
               why = excluded.why""",
        (kept.asset_id, kept.alarm_id, prediction_id, kept.mode, loss, Why(key).value, now, now),
    )
    live.announce(conn, "alarm", kept.alarm_id)


def end(conn: Connection, alarm_id: int, now: datetime) -> None:
    """The deviation is over: nobody needs to decide any more."""
    conn.execute(
        """update review_items set state = 'ended', decided_at = %s, version = version + 1
           where alarm_id = %s and state = 'open'""",
        (now, alarm_id),
    )


# -- deciding ---------------------------------------------------------------------------------------------------------


def accept(conn: Connection, actor: Actor, review_id: int, *, version: int, now: datetime) -> Ticket:
    """Open the order that was proposed. Raises NotFound, ReviewDecided, Stale."""
    item = _lock(conn, review_id, version)
    kept = store.alarm(conn, item.alarm_id)
    case = _case(conn, kept, item)
    policy = policies.of(conn, case.asset, kept.mode)
    ticket = orders.open_machine(conn, case, now=now, policy=policy).ticket
    _carry(conn, actor, kept, ticket, Reason("accepted", {"by": actor.name}), now)
    _decided(conn, item, "accepted", by=actor.name, now=now, ticket_id=ticket.ticket_id)
    return ticket


def merge(conn: Connection, actor: Actor, review_id: int, ticket_id: int, *, version: int, now: datetime) -> Ticket:
    """Let an open order on the machine, or on another of its line, carry the alarm.

    Raises NotFound, ReviewDecided, Stale, BadReview.
    """
    item = _lock(conn, review_id, version)
    ticket = tickets_store.lock(conn, ticket_id)
    if orders.stage(ticket) not in (decide.OrderStage.PLANNED, decide.OrderStage.WORKING):
        raise BadReview(f"{ticket.ref} is {ticket.status}: an alarm is merged into an order that is open.")
    if not _near(conn, item.asset_id, ticket.asset_id):
        raise BadReview(f"{ticket.ref} is about another line: merge into an order on this machine or its line.")
    kept = store.alarm(conn, item.alarm_id)
    name = libraries.mode(conn, assets.asset(conn, kept.asset_id).asset_class, kept.mode).name
    _carry(conn, actor, kept, ticket, Reason("merged", {"by": actor.name, "mode": name}), now)
    _decided(conn, item, "merged", by=actor.name, now=now, ticket_id=ticket_id)
    return ticket


def snooze(
    conn: Connection, review_id: int, *, owner: str, until: datetime, reason: str, version: int, now: datetime
) -> None:
    """Out of the queue until then; ``owner`` looks at it. Raises NotFound, ReviewDecided, Stale, BadReview."""
    if not owner.strip():
        raise BadReview("A snooze needs an owner: who looks at it?")
    if not now < until <= now + LONGEST_SNOOZE:
        raise BadReview(f"Snooze until a time after now and within {LONGEST_SNOOZE.days} days.")
    item = _lock(conn, review_id, version)
    conn.execute(
        "update review_items set due_at = %s, owner = %s, reason = %s, version = version + 1 where review_id = %s",
        (until, owner.strip(), reason.strip() or None, item.review_id),
    )
    live.announce(conn, "alarm", item.alarm_id)


def reject(
    conn: Connection, actor: Actor, review_id: int, *, why: Rejection, reason: str, version: int, now: datetime
) -> None:
    """It is no order; the alarm is muted, and where nothing is wrong the detector learns it.

    Raises NotFound, ReviewDecided, Stale, BadReview.
    """
    if len(reason.strip()) < 3:
        raise BadReview("Say why it is rejected: the reason teaches the detector and the next planner.")
    item = _lock(conn, review_id, version)
    kept = store.alarm(conn, item.alarm_id)
    if why in (Rejection.NOTHING_FOUND, Rejection.SENSOR):
        _label(conn, kept, item, why, actor.name, now)
    silence = MuteWhy.NOTHING_FOUND if why is Rejection.NOTHING_FOUND else MuteWhy.REJECTED
    mutes.add(conn, kept, silence, now=now)
    _decided(conn, item, "rejected", by=actor.name, now=now, reason=f"{why}: {reason.strip()}")
    said = Decision(Action.NONE, (Reason("rejected", {"reason": reason.strip()}),))
    store.add_decision(conn, kept, said, at=now, prediction_id=item.prediction_id)


# -- inside -----------------------------------------------------------------------------------------------------------


def _lock(conn: Connection, review_id: int, version: int) -> Item:
    """The item, its asset locked before it. Raises NotFound, ReviewDecided, Stale."""
    found = conn.execute("select asset_id from review_items where review_id = %s", (review_id,)).fetchone()
    if found is None:
        raise NotFound(f"There is no proposal {review_id} on this site.")
    store.lock_asset(conn, found[0])
    item = Item(*(conn.execute(ROW + "where review_id = %s for update", (review_id,)).fetchone() or ()))
    if item.state != "open":
        raise _too_late(conn, item)
    if item.version != version:
        raise Stale(version=item.version)
    return item


def _too_late(conn: Connection, item: Item) -> ReviewDecided:
    row = conn.execute("select ref from tickets where ticket_id = %s", (item.ticket_id,)).fetchone()
    order = f" as {row[0]}" if row else ""
    by = f" by {item.decided_by}" if item.decided_by else ""
    return ReviewDecided(
        f"This proposal has been {item.state}{by}{order}. Nothing more is to be done.",
        state=item.state,
        decided_by=item.decided_by,
        ticket_id=item.ticket_id,
    )


def _near(conn: Connection, asset_id: int, other_id: int | None) -> bool:
    """Whether both are one machine, one is part of the other, or both belong to one line."""
    if other_id is None:
        return False
    one, other = (_above(conn, each) for each in (asset_id, other_id))
    return asset_id in other or other_id in one or any(level == "line" and each in other for each, level in one.items())


def _above(conn: Connection, asset_id: int) -> dict[int, str]:
    """The asset and what it is part of: id → level."""
    rows = conn.execute(
        """with recursive up as (
             select asset_id, parent_id, level from assets where asset_id = %s
             union select a.asset_id, a.parent_id, a.level from assets a join up on a.asset_id = up.parent_id)
           select asset_id, level from up""",
        (asset_id,),
    )
    return dict(rows.fetchall())


def _case(conn: Connection, kept: KeptAlarm, item: Item) -> Case:
    """What the order will say: the newest that is known of the alarm."""
    asset, signals = assets.asset(conn, kept.asset_id), assets.signals(conn, kept.asset_id)
    mode = libraries.mode(conn, asset.asset_class, kept.mode)
    made = store.last_prediction(conn, kept.alarm_id)
    row = conn.execute(
        "select reasons from decisions where alarm_id = %s order by decision_id desc limit 1", (kept.alarm_id,)
    ).fetchone()
    reasons = tuple(Reason(each["key"], each.get("values", {})) for each in (row[0] if row else []))
    (loss,) = conn.execute("select risk from review_items where review_id = %s", (item.review_id,)).fetchone() or (0,)
    decision = Decision(Action.OPEN, reasons)
    return Case(asset, signals, kept, _finding(conn, kept), mode, decision, made[2] if made else None, loss)


def _finding(conn: Connection, kept: KeptAlarm) -> Finding:
    """The newest word of the alarm's detector about its machine."""
    row = conn.execute(
        """select version, site_id, at from findings where asset_id = %s and detector = %s and kind = 'machine'
           and withdrawn_at is null order by at desc, finding_id desc limit 1""",
        (kept.asset_id, kept.detector),
    ).fetchone()
    version, site_id, at = row or ("", 0, kept.alarm.last_at)
    return Finding(
        detector=kept.detector,
        version=version,
        kind=FindingKind.MACHINE,
        asset_id=kept.asset_id,
        site_id=site_id,
        failure_mode=None,
        started_at=kept.alarm.started_at,
        at=at,
        surprise=kept.surprise,
        active=True,
        contributions={key: each.share for key, each in kept.evidence.items()},
        directions={key: each.direction for key, each in kept.evidence.items()},
        health=kept.health,
        sentence=Sentence(str(kept.sentence.get("key", "")), kept.sentence.get("values", {})),
    )


def _carry(conn: Connection, actor: Actor, kept: KeptAlarm, ticket: Ticket, said: Reason, now: datetime) -> None:
    """The order carries the alarm from now on, and its timeline says who wanted it."""
    body: dict[str, Any] = {"text": sentences.reason(said, group="review"), "alarm_id": kept.alarm_id}
    service.note_evidence(conn, actor, ticket.ticket_id, kind="review", body=body, now=now)
    store.save_alarm(conn, replace(kept, ticket_id=ticket.ticket_id))


def _decided(
    conn: Connection,
    item: Item,
    state: str,
    *,
    by: str,
    now: datetime,
    ticket_id: int | None = None,
    reason: str | None = None,
) -> None:
    conn.execute(
        """update review_items set state = %s, decided_by = %s, decided_at = %s, ticket_id = %s,
             reason = coalesce(%s, reason), version = version + 1 where review_id = %s""",
        (state, by, now, ticket_id, reason, item.review_id),
    )
    live.announce(conn, "alarm", item.alarm_id)


def _label(conn: Connection, kept: KeptAlarm, item: Item, why: Rejection, by: str, now: datetime) -> None:
    """Each rejection is a verdict of its own: an alarm may be proposed, and rejected, again."""
    conn.execute(
        """insert into verdicts (ticket_id, review_id, alarm_id, asset_id, detector, mode, verdict, given_by, given_at)
           values (null, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing""",
        (item.review_id, kept.alarm_id, kept.asset_id, kept.detector, kept.mode, why.value, by, now),
    )
