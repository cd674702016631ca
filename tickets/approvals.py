"""Approvals that somebody demanded: until they are given, a ticket goes no further, whoever asks.

demand ──> pending ──decide──> approved
              ▲ └────────────> declined
              └──ask_again────────┘
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from tickets import service, store, words
from tickets.errors import AlreadyDecided, NotAllowed, OwnApproval
from tickets.model import CLOSED, SYSTEM, VERIFYING, Actor, ActorKind, Late, Own, Text, Ticket
from tickets.notify import NoticeKind, planners, tell
from tickets.rows import one
from tickets.verbs import verb

APPROVERS = frozenset({"engineer", "planner", "manager", "admin"})
GUARD = "guard:"  # begins the names of approvals that guards ask for: what they cover is counted by the guard itself
SELECT: LiteralString = """
  select a.approval_id, a.ticket_id, t.ref, t.title, a.why, a.role, a.user_id, u.name, a.demanded_by, a.demanded_at,
         a.state, a.decided_by, a.decided_at, a.reason, a.asked_by, a.own
  from approvals a join tickets t using (ticket_id) left join users u on u.user_id = a.user_id """


class State(StrEnum):
    """Where an approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Approval:
    """One demanded approval, by a role or by one person."""

    approval_id: int
    ticket_id: int
    ref: str
    title: str
    why: Text
    role: str | None
    user_id: int | None
    user_name: str | None
    demanded_by: str
    demanded_at: datetime
    state: State
    decided_by: str | None
    decided_at: datetime | None
    reason: str
    asked_by: tuple[int, ...]
    own: Own

    def is_own(self, actor: Actor) -> bool:
        """Whether the actor asked for it, or made the change that needs it, and may therefore not give it."""
        return self.own is Own.REFUSED and actor.actor_id in self.asked_by

    def is_for(self, actor: Actor) -> bool:
        """Whether the actor is who decides: a person, by name or by role. No machine approves."""
        if actor.kind is not ActorKind.PERSON:
            return False
        return actor.actor_id == self.user_id if self.user_id is not None else actor.role == self.role


@verb
def demand(
    conn: Connection,
    ticket_id: int,
    why: Text | str,
    *,
    role: str | None = None,
    user_id: int | None = None,
    key: str = "",
    behind: Sequence[int] = (),
    own: Own | str = Own.REFUSED,
    actor: Actor = SYSTEM,
    now: datetime,
) -> Approval:
    """Ask a role (or a person) of this site to approve the ticket; the same ``key`` asks once and never again.

    Without a key it is the reason. ``behind``: the users whose change needs it; neither they nor the actor may give it
    unless ``own`` is allowed. Raises InvalidFields, NotFound, TicketClosed.
    """
    said = _why(why)
    named = key or f"{role or user_id}:{said['en']}"[:500]
    _check_approver(conn, role, user_id)
    askers = _askers(behind, actor)
    ticket = store.lock(conn, ticket_id)
    row = conn.execute(
        """insert into approvals (ticket_id, key, why, role, user_id, demanded_by, demanded_at, asked_by, own)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (ticket_id, key) do nothing returning approval_id""",
        (ticket_id, named, Jsonb(said), role, user_id, actor.name, now, askers, Own(own).value),
    ).fetchone()
    if row is None:
        return _of_key(conn, ticket_id, named)
    approval = get(conn, row[0])
    details = {"approval_id": approval.approval_id, "why": said, "of": approval.user_name or role}
    details |= {"key": named, "role": role, "user_id": user_id, "asked_by": askers, "own": Own(own).value}
    ticket = service.record(conn, actor, ticket_id, kind="approval_demanded", details=details, now=now)
    _ask(conn, approval, ticket, now)
    return approval


@verb
def decide(
    conn: Connection, actor: Actor, approval_id: int, *, state: State | str, reason: str = "", now: datetime
) -> Approval:
    """Approve or decline (then with a reason).

    Raises NotAllowed, OwnApproval, AlreadyDecided, InvalidFields, NotFound.
    """
    decision = _decision(state)
    said = words.text("reason", reason, longest=500, needed=decision is State.DECLINED)
    ticket = store.lock(conn, get(conn, approval_id).ticket_id)
    approval = get(conn, approval_id)
    if not approval.is_for(actor):
        raise NotAllowed(f"This is for {approval.user_name or approval.role} to approve.")
    if decision is State.APPROVED and approval.is_own(actor):
        raise OwnApproval
    if approval.state is not State.PENDING:
        raise AlreadyDecided(f"{approval.decided_by} has {approval.state.value} it already.")
    conn.execute(
        "update approvals set state = %s, decided_by = %s, decided_at = %s, reason = %s where approval_id = %s",
        (decision.value, actor.name, now, said, approval_id),
    )
    details = {"approval_id": approval_id, "why": approval.why, "reason": said}
    ticket = service.record(
        conn, actor, ticket.ticket_id, kind=f"approval_{decision.value}", details=details, late=Late.TAKEN, now=now
    )
    _tell_decision(conn, ticket, approval_id, decision, actor, now)
    if decision is State.APPROVED:
        _close_what_waited(conn, ticket, now)
    return get(conn, approval_id)


@verb
def ask_again(conn: Connection, actor: Actor, approval_id: int, *, now: datetime) -> Approval:
    """Put a declined approval before its approvers once more. Raises NotAllowed, AlreadyDecided, NotFound."""
    if actor.part not in service.PLANNERS:
        raise NotAllowed("Only planners ask for an approval again.")
    ticket = store.lock(conn, get(conn, approval_id).ticket_id)
    approval = get(conn, approval_id)
    if approval.state is not State.DECLINED:
        raise AlreadyDecided(f"It is {approval.state.value}; only what was declined is asked for again.")
    askers = _askers(approval.asked_by, actor)
    conn.execute(
        "update approvals set state = 'pending', decided_at = null, asked_by = %s where approval_id = %s",
        (askers, approval_id),
    )
    details = {"approval_id": approval_id, "why": approval.why, "of": approval.user_name or approval.role}
    details["asked_by"] = askers
    ticket = service.record(conn, actor, ticket.ticket_id, kind="approval_demanded", details=details, now=now)
    approval = get(conn, approval_id)
    _ask(conn, approval, ticket, now)
    return approval


def carry(conn: Connection, actor: Actor, source: Ticket, into: Ticket, *, now: datetime) -> None:
    """Demand of a ticket what another that ends in it still waits for, or was refused."""
    rows = conn.execute(
        """select key, why, role, user_id, asked_by, own from approvals
           where ticket_id = %s and state <> 'approved' order by 1""",
        (source.ticket_id,),
    ).fetchall()
    for key, why, role, user_id, asked_by, own in rows:
        name = key if key.startswith(GUARD) else f"{key[:480]}@{source.ticket_id}"
        whom = {"role": role, "user_id": user_id}
        demand(conn, into.ticket_id, why, **whom, key=name, behind=asked_by, own=own, actor=actor, now=now)


def get(conn: Connection, approval_id: int) -> Approval:
    """One approval; raises NotFound."""
    missing = f"There is no approval {approval_id} on this site."
    return _read(one(conn, SELECT + "where a.approval_id = %s", (approval_id,), missing=missing))


def of(conn: Connection, ticket_id: int) -> list[Approval]:
    """What was demanded for a ticket, oldest first."""
    return [_read(row) for row in conn.execute(SELECT + "where a.ticket_id = %s order by a.approval_id", (ticket_id,))]


def waiting(conn: Connection, actor: Actor) -> list[Approval]:
    """What waits for this person's decision, oldest first."""
    found = conn.execute(
        SELECT
        + """where a.state = 'pending' and t.status not in ('closed', 'cancelled')
             and (a.user_id = %s or a.role = %s) and (a.own = 'allowed' or not %s = any(a.asked_by))
           order by a.approval_id limit 200""",
        (actor.actor_id, actor.role, actor.actor_id),
    )
    return [_read(row) for row in found]


def _of_key(conn: Connection, ticket_id: int, key: str) -> Approval:
    return _read(one(conn, SELECT + "where a.ticket_id = %s and a.key = %s", (ticket_id, key)))


def _askers(behind: Sequence[int], actor: Actor) -> list[int]:
    own = [actor.actor_id] if actor.actor_id and actor.kind in (ActorKind.PERSON, ActorKind.AGENT) else []
    return sorted({*behind, *own})


def _why(given: Text | str) -> dict[str, str]:
    texts: Mapping[str, Any] = given if isinstance(given, Mapping) else {"en": given, "zh": given}
    return {lang: words.text("why", texts.get(lang) or texts.get("en"), longest=500) for lang in ("en", "zh")}


def _check_approver(conn: Connection, role: str | None, user_id: int | None) -> None:
    if (role is None) == (user_id is None):
        raise words.refuse("role", "An approval is asked of a role or of one person.")
    if role is not None and role not in APPROVERS:
        raise words.refuse("role", f"role is one of {', '.join(sorted(APPROVERS))}.", code="choice")
    if user_id is not None:
        query = "select 1 from memberships where user_id = %s and site_id = current_site()"
        one(conn, query, (user_id,), missing=f"There is no user {user_id} on this site.")


def _decision(given: State | str) -> State:
    if given not in (State.APPROVED, State.DECLINED):
        raise words.refuse("state", "state is approved or declined.", code="choice")
    return State(given)


def _ask(conn: Connection, approval: Approval, ticket: Ticket, now: datetime) -> None:
    users = [approval.user_id] if approval.user_id is not None else _with_role(conn, approval.role or "")
    if approval.own is Own.REFUSED:
        users = [user for user in users if user not in approval.asked_by]
    key = f"approval:{approval.approval_id}:{ticket.event_count}"
    tell(conn, users, kind=NoticeKind.APPROVAL, ticket=ticket, key=key, extra=approval.why, now=now)


def _with_role(conn: Connection, role: str) -> list[int]:
    rows = conn.execute(
        """select m.user_id from memberships m join users u using (user_id)
           where m.site_id = current_site() and u.disabled_at is null and m.role = %s""",
        (role,),
    )
    return [user for (user,) in rows]


def _tell_decision(
    conn: Connection, ticket: Ticket, approval_id: int, decision: State, actor: Actor, now: datetime
) -> None:
    verb_zh = "批准" if decision is State.APPROVED else "拒绝"
    said: Text = {"en": f"{decision.value.capitalize()} by {actor.name}", "zh": f"{actor.name}已{verb_zh}"}
    users = {*planners(conn), ticket.assignee_user_id} - {actor.actor_id}
    key = f"decided:{approval_id}:{ticket.event_count}"
    tell(conn, users, kind=NoticeKind.DECIDED, ticket=ticket, key=key, extra=said, now=now)


def _close_what_waited(conn: Connection, ticket: Ticket, now: datetime) -> None:
    """Telemetry found the machine healthy while the approval was missing: now the order closes."""
    if ticket.status != VERIFYING or any(each.state is not State.APPROVED for each in of(conn, ticket.ticket_id)):
        return
    shown = service.kept_for_approval(conn, ticket)
    if shown is not None:
        service.transition(conn, SYSTEM, ticket.ticket_id, to=CLOSED, fields={"evidence": shown}, now=now)


def _read(row: tuple[Any, ...]) -> Approval:
    values = list(row)
    values[10], values[14], values[15] = State(values[10]), tuple(values[14]), Own(values[15])
    return Approval(*values)
