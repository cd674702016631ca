"""What people and time did live, done again in the sandbox by the same verbs. One input is one transaction.

An order or alarm is found again by what it is about: machine, failure mode, kind, and the nearest opening. What cannot
be done again (its order was never opened here, or has another engineer) is refused and counted, never forced. With an
engineer fewer, orders are planned anew and their work is put off to when the others come (``replay.crew``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import Connection

from core.database import Database
from core.errors import MillwrightError, NotFound
from core.jobs import PERIODIC
from core.timers import TIMERS
from detectors.base import Finding, FindingKind, Sentence
from maintenance import policies, review, service
from maintenance.alarms import Shelf
from maintenance.life import failures
from maintenance.replay import crew
from maintenance.replay.model import Change, Input, InputKind, Row
from maintenance.review import Rejection
from tickets import service as tickets
from tickets.model import SYSTEM, Actor, ActorKind

TIMED = ("sla",)  # plans' orders are put in as they were opened
SKIPPED = frozenset({"evidence", "reported_again", "sla_policy"})  # follow from something else that is done again
WORK = frozenset({"transition", "comment"})
GIVEN = (
    "kind", "title", "description", "priority", "asset_id", "mode", "skill", "channel", "requester_id", "fields",
)  # fmt: skip
# the models of remaining life that stood then: the newest of each class and mode; those made later come as inputs
MODELS_OF: LiteralString = """
  update life_models m set retired_at = null where m.number = (
    select max(number) from life_models n
    where n.asset_class = m.asset_class and n.mode = m.mode and n.made_at <= %(now)s)"""


class Acting:
    """Applies inputs to the sandbox; remembers which live order is which here, and what was refused."""

    def __init__(self, sandbox: Database, site_id: int, *, change: Change) -> None:
        self._sandbox, self._site, self._change = sandbox, site_id, change
        self._orders: dict[int, int] = {}
        self._later: dict[int, timedelta] = {}  # live order → so much later its work is done here
        self.applied: Counter[str] = Counter()
        self.refused: list[str] = []
        self._by_kind: Mapping[InputKind, Callable[[Connection, Row, datetime], None]] = {
            InputKind.ROUND: _round,
            InputKind.TICKET: self._ticket,
            InputKind.ALARM: _alarm,
            InputKind.REVIEW: self._review,
            InputKind.POLICY: self._change_policy,
            InputKind.GATE: self._gate,
            InputKind.FAILURE: _failure,
            InputKind.FINDING: _finding,
            InputKind.MODEL: _model,
        }

    def apply(self, put: Input) -> Input | None:
        """Do it at its moment; what the sandbox refuses is noted. What must wait for somebody is given back, to be done
        at its new moment."""
        try:
            with self._sandbox.tx(site_id=self._site) as conn:
                wait = self._wait(conn, put)
                if not wait:
                    self._by_kind[put.kind](conn, put.body, put.at)
            self.applied[put.kind] += not wait
        except MillwrightError as error:
            self.refused.append(f"{put.at.isoformat()} {_what(put)}: {error}")
            return None
        return replace(put, at=put.at + wait, body={**put.body, "waited": True}) if wait else None

    def leave(self, put: Input) -> None:
        """It would be done after the end."""
        self.refused.append(f"{put.at.isoformat()} {_what(put)}: not before the end of the time that is run again")

    def _wait(self, conn: Connection, put: Input) -> timedelta:
        """How much later than live this is done: the missing engineer's work waits for somebody else's time."""
        row = put.body
        if put.kind is not InputKind.TICKET or row.get("waited") or row["verb"] not in WORK:
            return timedelta(0)
        if row["engineer"] not in self._change.without_engineers:
            return timedelta(0)
        if row["ticket_id"] not in self._later:
            stay = crew.give(conn, SYSTEM, self._order(conn, row), now=put.at)
            self._later[row["ticket_id"]] = max(stay.starts - put.at, timedelta(0))
        return self._later[row["ticket_id"]]

    def ring(self, now: datetime) -> None:
        """The clocks of the orders. What they enqueue (notices, escalations) is not run: nothing leaves a sandbox."""
        for name in TIMED:
            with self._sandbox.tx(site_id=self._site) as conn:
                TIMERS[name](conn, now)

    def configure(
        self, versions: Sequence[tuple[int, int | None]], gates: Sequence[tuple[int, str]], now: datetime
    ) -> None:
        """Policies and standings as they were then, and over them the settings of a what-if."""
        with self._sandbox.tx(site_id=self._site) as conn:
            for policy_id, version in versions:
                _set_policy(conn, policy_id, version)
            conn.execute("update life_models set retired_at = %s where retired_at is null", (now,))
            conn.execute(MODELS_OF, {"now": now})
            for gate_id, standing in gates:
                self._gate(conn, {"gate_id": gate_id, "standing": standing}, now)
            if self._change.policy:
                self._over(conn, now)

    # -- orders -------------------------------------------------------------------------------------------------------

    def _ticket(self, conn: Connection, row: Row, now: datetime) -> None:
        verb, body = row["verb"], row["body"]
        if verb in SKIPPED or (verb == "opened" and row["channel"] == "detector"):
            return
        if verb == "opened":
            self._orders[row["ticket_id"]] = _open(conn, row, now)
            return
        ticket_id, actor = self._order(conn, row), _actor(row)
        after = body.get("after", {})
        if verb == "transition":
            fields = {name: body[name] for name in ("verdict", "failure_code", "note", "reason") if body.get(name)}
            tickets.transition(conn, actor, ticket_id, to=body["to"], fields=fields, now=now)
        elif verb == "assigned" and self._change.without_engineers:
            crew.give(conn, actor, ticket_id, now=now)
        elif verb == "assigned":
            tickets.assign(conn, actor, ticket_id, assignee_id=after.get("assignee_id"), now=now)
        elif verb == "edited":
            changes = {name: value for name, value in after.items() if name in ("title", "description", "priority")}
            tickets.patch(conn, actor, ticket_id, changes=changes, now=now)
        elif verb == "deadline":
            due = datetime.fromisoformat(after["resolve_by"])
            tickets.move_deadline(conn, actor, ticket_id, resolve_by=due, reason=body["reason"], now=now)
        elif verb == "comment":
            tickets.comment(conn, actor, ticket_id, text=body["text"], audience="internal", now=now)
        else:
            raise NotFound(f"{verb} is not done again in a replay.")

    def _order(self, conn: Connection, row: Row) -> int:
        """Which order here is the live one."""
        if row["ticket_id"] not in self._orders:
            found = conn.execute(
                """select ticket_id from tickets where asset_id is not distinct from %s and mode is not distinct from %s
                     and kind = %s and ticket_id <> all(%s)
                   order by abs(extract(epoch from opened_at - %s)), ticket_id limit 1""",
                (row["asset_id"], row["mode"], row["kind"], list(self._orders.values()), row["opened_at"]),
            ).fetchone()
            if found is None:
                raise NotFound("The order has not been opened here.")
            self._orders[row["ticket_id"]] = found[0]
        return self._orders[row["ticket_id"]]

    # -- the queue ----------------------------------------------------------------------------------------------------

    def _review(self, conn: Connection, row: Row, now: datetime) -> None:
        found = conn.execute(
            """select review_id, version from review_items where asset_id = %s and mode = %s and state = 'open'
               order by review_id limit 1""",
            (row["asset_id"], row["mode"]),
        ).fetchone()
        if found is None:
            raise NotFound("It has not been proposed here.")
        actor = Actor(ActorKind.PERSON, None, row["by"] or "", "planner")
        if row["state"] == "accepted":
            order = review.accept(conn, actor, found[0], version=found[1], now=now)
            self._orders[row["ticket_id"]] = order.ticket_id
        elif row["state"] == "merged":
            review.merge(conn, actor, found[0], self._orders[row["ticket_id"]], version=found[1], now=now)
        else:
            why, _, reason = (row["reason"] or "").partition(": ")
            review.reject(conn, actor, found[0], why=Rejection(why), reason=reason, version=found[1], now=now)

    # -- policies -----------------------------------------------------------------------------------------------------

    def _change_policy(self, conn: Connection, row: Row, now: datetime) -> None:
        _set_policy(conn, row["policy_id"], row["version"])
        if self._change.policy:
            self._over(conn, now)

    def _over(self, conn: Connection, now: datetime) -> None:
        """The what-if's settings, instead of what the policy with its scope says."""
        scope, settings = self._change.scope, dict(self._change.policy)
        kept = next((each for each in policies.rows_of(conn) if each.scope == scope), None)
        if kept is None:
            policies.create(conn, scope, settings, by="replay", now=now)
        else:
            policies.change(conn, kept.policy_id, settings, version=kept.version, by="replay", now=now)

    def _gate(self, conn: Connection, row: Row, now: datetime) -> None:
        """A detector version's standing; one that the what-if lets stays let."""
        del now
        standing = "live" if row["gate_id"] in self._change.lets else row["standing"]
        conn.execute("update gate_standings set standing = %s where gate_id = %s", (standing, row["gate_id"]))


def _set_policy(conn: Connection, policy_id: int, version: int | None) -> None:
    """The policy as that version says; None: it does not exist yet."""
    conn.execute(
        """update maintenance_policies p set settings = coalesce(v.settings, '{}'), active = coalesce(v.active, false)
           from (select 1) as one left join maintenance_policy_versions v on v.policy_id = %(id)s and v.version = %(nr)s
           where p.policy_id = %(id)s""",
        {"id": policy_id, "nr": version},
    )


def _open(conn: Connection, row: Row, now: datetime) -> int:
    """An order that a person, a plan or a rule opened."""
    after: dict[str, Any] = row["body"]["after"]
    given = {name: after[name] for name in GIVEN if after.get(name) is not None}
    return tickets.open(conn, _actor(row), **given, now=now).ticket.ticket_id


def _actor(row: Row) -> Actor:
    kind = ActorKind(row["actor_kind"])
    role = row["role"] or "planner" if kind in (ActorKind.PERSON, ActorKind.AGENT) else None
    return Actor(kind, row["actor_id"], row["actor_name"], role)


def _round(conn: Connection, row: Row, now: datetime) -> None:
    PERIODIC[row["name"]].handler(conn, {}, now)


def _alarm(conn: Connection, row: Row, now: datetime) -> None:
    found = conn.execute(
        """select alarm_id from alarms where asset_id = %s and kind = %s and mode = %s and raised_at <= %s
           order by (state = 'cleared'), abs(extract(epoch from raised_at - %s)), alarm_id limit 1""",
        (row["asset_id"], row["kind"], row["mode"], now, row["raised_at"]),
    ).fetchone()
    if found is None:
        raise NotFound("The alarm has not been raised here.")
    detail = row["detail"]
    if row["what"] == "acknowledged":
        service.acknowledge(conn, row["by"], found[0], now=now)
    elif row["what"] == "unshelved":
        service.unshelve(conn, row["by"], found[0], now=now)
    else:
        until = datetime.fromisoformat(detail["until"])
        shelf = Shelf(detail.get("shelf", Shelf.TIMED))
        service.shelve(conn, row["by"], found[0], until=until, reason=detail["reason"], now=now, shelf=shelf)


def _model(conn: Connection, row: Row, now: datetime) -> None:
    """A model of remaining life stands from now on in the place of the one before it."""
    key = (row["asset_class"], row["mode"])
    conn.execute(
        "update life_models set retired_at = %s where asset_class = %s and mode = %s and retired_at is null",
        (now, *key),
    )
    conn.execute("update life_models set retired_at = null where life_model_id = %s", (row["life_model_id"],))


def _failure(conn: Connection, row: Row, now: datetime) -> None:
    failures.record(
        conn, row["by"], row["asset_id"], mode=row["mode"], failed_at=row["failed_at"], note=row["note"], now=now
    )


def _finding(conn: Connection, row: Row, now: datetime) -> None:
    """What was said by a detector that reads no samples."""
    said: Mapping[str, Any] = row["contributions"]
    finding = Finding(
        detector=row["detector"],
        version=row["version"],
        kind=FindingKind(row["kind"]),
        asset_id=row["asset_id"],
        site_id=0,
        failure_mode=row["mode"],
        started_at=row["started_at"],
        at=row["judged_at"],
        surprise=row["surprise"],
        active=row["active"],
        contributions={int(key): value["share"] for key, value in said.items()},
        directions={int(key): value["direction"] for key, value in said.items()},
        health=row["health"],
        sentence=Sentence(row["sentence"].get("key", ""), row["sentence"].get("values", {})),
    )
    service.on_finding(conn, finding, now)


def drop_engineer(conn: Connection, name: str) -> None:
    """One technician fewer. Raises NotFound."""
    found = conn.execute("update engineers set active = false where name = %s and active", (name,))
    if found.rowcount == 0:
        raise NotFound(f"There is no active engineer {name!r} on this site.")


def drop_part(conn: Connection, code: str) -> None:
    """One spare fewer, where most are on hand. Raises NotFound."""
    found = conn.execute(
        """update stock_levels set on_hand = on_hand - 1 where (store_id, part_id) = (
             select l.store_id, l.part_id from stock_levels l join parts p using (part_id)
             where p.code = %s and l.on_hand - l.reserved >= 1 order by l.on_hand desc, l.store_id limit 1)""",
        (code,),
    )
    if found.rowcount == 0:
        raise NotFound(f"There is no spare {code!r} on hand that could be fewer.")


def _what(put: Input) -> str:
    parts = [put.kind.value, *(str(put.body[name]) for name in ("verb", "what", "state", "name") if put.body.get(name))]
    return " ".join(parts)
