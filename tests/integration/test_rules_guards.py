"""Guards: dear orders wait for finance, whichever way they are moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from psycopg import Connection

from core.errors import Conflict
from tests.integration.tickets_world import NOW, World, build, user, walk
from tickets import approvals, bulk, conversion, gates, lifecycle, links, merging, service, store
from tickets.errors import ApprovalPending, OwnApproval
from tickets.hooks import only
from tickets.model import SYSTEM, Actor, ActorKind, Step, Ticket
from tickets.rules import engine, exchange, forms, guards, rehearsal, runs
from tickets.rules import service as rules
from tickets.rules.errors import BadRule, GuardUnclear, NeedsApproval
from tickets.rules.model import Form
from tickets.rules.runs import Outcome

DEAR = {
    "name": {"en": "Spending above 1,000", "zh": "超过一千的支出"},
    "leaving": ["new"],
    "entering": ["done", "closed"],
    "if": "ticket.cost > 1000",
    "approval": {"topic": "finance", "role": "manager", "amount": "ticket.cost"},
}


@pytest.fixture
def world(conn: Connection) -> Iterator[World]:
    built = build(conn)
    with only(on_event=engine.on_event):
        yield built


@pytest.fixture
def manager(conn: Connection, world: World) -> Actor:
    found = Actor(ActorKind.PERSON, user(conn, "mia"), "Mia", "manager")
    conn.execute(
        "insert into memberships (user_id, site_id, role) values (%s, current_site(), 'manager')", (found.actor_id,)
    )
    return found


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests take demanded approvals away, so that the guards alone hold; who else misses them is not asked."""
    monkeypatch.setattr(gates, "LOST", "select 1 where %s is null")


def guard(conn: Connection, manager: Actor, **changes: Any) -> int:
    kept = rules.make(conn, manager, code="dear", form=Form.GUARD, definition={**DEAR, **changes}, now=NOW)
    rules.enable(conn, manager, kept.rule_id, now=NOW)
    return kept.rule_id


def spend(conn: Connection, world: World, ticket: Ticket, cost: float) -> Ticket:
    changes = {"cost": cost}
    return service.record(conn, world.planner, ticket.ticket_id, kind="cost", details={}, changes=changes, now=NOW)


def request(conn: Connection, world: World, *, cost: float = 0.0, **changes: Any) -> Ticket:
    wanted: dict[str, Any] = {"kind": "request", "title": "A new gearbox", "now": NOW}
    ticket = service.open(conn, world.planner, **{**wanted, **changes}).ticket
    return spend(conn, world, ticket, cost) if cost else ticket


def test_a_dear_ticket_waits_for_finance_and_then_goes_on(conn: Connection, world: World, manager: Actor) -> None:
    guard(conn, manager)
    cheap, dear = request(conn, world, cost=1000), request(conn, world, cost=1000.01)
    assert service.assign(conn, world.planner, cheap.ticket_id, assignee_id=world.lin_id, now=NOW).status == "assigned"
    with pytest.raises(Conflict, match="approval"):
        service.assign(conn, world.planner, dear.ticket_id, assignee_id=world.lin_id, now=NOW)
    (asked,) = approvals.of(conn, dear.ticket_id)
    assert (asked.role, asked.why["en"]) == ("manager", "Spending above 1,000 (up to 1,250)")
    approvals.decide(conn, manager, asked.approval_id, state="approved", now=NOW)
    moved = service.assign(conn, world.planner, dear.ticket_id, assignee_id=world.lin_id, now=NOW)
    assert moved.status == "assigned"
    walk(conn, world.lin, moved, "accepted", "arrived", "done")


def test_whose_change_needs_the_approval_does_not_give_it(conn: Connection, world: World, manager: Actor) -> None:
    guard(conn, manager)
    mine = request(conn, world)
    changes = {"cost": 5000.0}
    service.record(conn, manager, mine.ticket_id, kind="spent", details={}, changes=changes, now=NOW)
    (asked,) = approvals.of(conn, mine.ticket_id)
    with pytest.raises(OwnApproval):
        approvals.decide(conn, manager, asked.approval_id, state="approved", now=NOW)
    allowed = {**DEAR["approval"], "own": "allowed"}  # type: ignore[dict-item]
    rules.make(conn, manager, code="alone", form=Form.GUARD, definition={**DEAR, "approval": allowed}, now=NOW)
    with pytest.raises(BadRule, match="own"):
        wrong = {**DEAR["approval"], "own": True}  # type: ignore[dict-item]
        rules.make(conn, manager, code="wrong", form=Form.GUARD, definition={**DEAR, "approval": wrong}, now=NOW)
    rules.enable(conn, manager, next(r.rule_id for r in rules.store.every(conn) if r.code == "alone"), now=NOW)
    service.record(conn, manager, mine.ticket_id, kind="spent", details={}, changes={"cost": 6000.0}, now=NOW)
    single = next(each for each in approvals.of(conn, mine.ticket_id) if each.own == "allowed")
    assert approvals.decide(conn, manager, single.approval_id, state="approved", now=NOW).state == "approved"


def test_an_approval_covers_its_amount_only(conn: Connection, world: World, manager: Actor) -> None:
    guard(conn, manager)
    dear = request(conn, world, cost=1100)
    (asked,) = approvals.of(conn, dear.ticket_id)
    approvals.decide(conn, manager, asked.approval_id, state="approved", now=NOW)
    ticket = service.assign(conn, world.planner, dear.ticket_id, assignee_id=world.lin_id, now=NOW)
    ticket = walk(conn, world.lin, ticket, "accepted", "arrived")
    ticket = spend(conn, world, ticket, 1200)
    assert len(approvals.of(conn, dear.ticket_id)) == 1  # within what was approved
    ticket = spend(conn, world, ticket, 90_000)
    with pytest.raises(Conflict, match="approval"):
        walk(conn, world.lin, ticket, "done")
    assert len(approvals.of(conn, dear.ticket_id)) == 2


def _transition(conn: Connection, ticket: Ticket, world: World, manager: Actor) -> object:
    admin = Actor(ActorKind.PERSON, manager.actor_id, "Root", "admin")
    return service.transition(conn, admin, ticket.ticket_id, to="assigned", now=NOW)


def _assign(conn: Connection, ticket: Ticket, world: World, manager: Actor) -> object:
    return service.assign(conn, world.planner, ticket.ticket_id, assignee_id=world.lin_id, now=NOW)


def _routing(conn: Connection, ticket: Ticket, world: World, manager: Actor) -> object:
    return service.assign(conn, SYSTEM, ticket.ticket_id, now=NOW)


def _as_a_rule(conn: Connection, ticket: Ticket, world: World, manager: Actor) -> object:
    actor = Actor(ActorKind.RULE, 1, "sly")
    return service.assign(conn, actor, ticket.ticket_id, assignee_id=world.lin_id, now=NOW)


def _as_an_agent(conn: Connection, ticket: Ticket, world: World, manager: Actor) -> object:
    agent = Actor(ActorKind.AGENT, manager.actor_id, "Agent", "admin")
    return service.assign(conn, agent, ticket.ticket_id, assignee_id=world.lin_id, now=NOW)


def _record(conn: Connection, ticket: Ticket, world: World, manager: Actor) -> object:
    changes = {"status": "assigned"}
    return service.record(conn, SYSTEM, ticket.ticket_id, kind="import", details={}, changes=changes, now=NOW)


def _record_and_lower(conn: Connection, ticket: Ticket, world: World, manager: Actor) -> object:
    """The cost is hidden in the same step."""
    changes = {"status": "closed", "cost": 0.0}
    return service.record(conn, SYSTEM, ticket.ticket_id, kind="import", details={}, changes=changes, now=NOW)


def _store(conn: Connection, ticket: Ticket, world: World, manager: Actor) -> object:
    return store.save(conn, ticket, SYSTEM, NOW, Step("sly", {"status": "closed"}))


def _in_two_steps(conn: Connection, ticket: Ticket, world: World, manager: Actor) -> object:
    """Lowered and raised again around the step, in one write."""
    return store.save(
        conn, ticket, SYSTEM, NOW, Step("a", {"cost": 0.0}), Step("b", {"status": "closed"}), Step("c", {"cost": 5e4})
    )


def _disabled_by_a_planner(conn: Connection, ticket: Ticket, world: World, manager: Actor) -> object:
    (rule,) = rules.store.every(conn)
    return rules.disable(conn, world.planner, rule.rule_id, now=NOW)


def _applied_by_a_planner(conn: Connection, ticket: Ticket, world: World, manager: Actor) -> object:
    text = exchange.export(conn).replace("> 1000", "> 9999999")
    return exchange.apply(conn, world.planner, text, now=NOW)


WAYS: list[Callable[[Connection, Ticket, World, Actor], object]] = [
    _transition, _assign, _routing, _as_a_rule, _as_an_agent, _record, _record_and_lower, _store, _in_two_steps,
    _disabled_by_a_planner, _applied_by_a_planner,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
def test_no_way_leads_round_a_guard(
    conn: Connection, world: World, manager: Actor, way: Callable[[Connection, Ticket, World, Actor], object]
) -> None:
    guard(conn, manager)
    ticket = request(conn, world, cost=50_000)
    # without the approvals that were asked: the guard alone has to hold
    conn.execute("delete from approvals where ticket_id = %s", (ticket.ticket_id,))
    with pytest.raises((NeedsApproval, lifecycle.NotAllowed, lifecycle.IllegalTransition)) as refused:
        way(conn, ticket, world, manager)
    assert way in (_transition, _disabled_by_a_planner, _applied_by_a_planner) or refused.type is NeedsApproval
    assert store.get(conn, ticket.ticket_id).status == "new"


def test_a_ticket_that_is_dear_when_it_opens_stays_new_without_anybody(
    conn: Connection, world: World, manager: Actor
) -> None:
    guard(conn, manager, **{"if": "ticket.priority == 1", "approval": {"role": "manager"}})
    opened = service.open(conn, world.detector, kind="corrective", title="x", priority=1, skill="mechanical", now=NOW)
    assert (opened.ticket.status, opened.ticket.assignee_id) == ("new", None)
    (asked,) = approvals.of(conn, opened.ticket.ticket_id)
    approvals.decide(conn, manager, asked.approval_id, state="approved", now=NOW)
    assert service.assign(conn, world.planner, opened.ticket.ticket_id, now=NOW).status == "assigned"


def test_a_guard_that_cannot_be_judged_refuses_with_a_sentence(conn: Connection, world: World, manager: Actor) -> None:
    guard(conn, manager, **{"if": "fields.crane > 1000"})
    ticket = request(conn, world)
    with pytest.raises(GuardUnclear, match=r"has\(fields\.crane\)"):
        service.assign(conn, world.planner, ticket.ticket_id, assignee_id=world.lin_id, now=NOW)
    cancelled = service.transition(
        conn, world.planner, ticket.ticket_id, to="cancelled", fields={"reason": "not needed"}, now=NOW
    )
    assert cancelled.status == "cancelled"  # giving up is always free


def test_a_guard_with_nobody_to_ask_still_holds_and_fails_no_verb(conn: Connection, world: World) -> None:
    rule_id = guard(conn, Actor(ActorKind.PERSON, None, "Mia", "manager"))
    ticket = request(conn, world, cost=50_000)
    (run,) = runs.listed(conn, rule_id=rule_id)
    assert run.outcome in (Outcome.FAILED, Outcome.DONE)
    assert guards.holds(conn, ticket, to="assigned", actor=SYSTEM, now=NOW)


def test_a_part_of_a_dear_order_is_a_ticket_of_its_own(conn: Connection, world: World, manager: Actor) -> None:
    guard(conn, manager)
    parent, part = request(conn, world, cost=5000), request(conn, world, cost=10)
    links.set_parent(conn, world.planner, part.ticket_id, parent_id=parent.ticket_id, now=NOW)
    assert guards.holds(conn, store.get(conn, parent.ticket_id), to="assigned", actor=SYSTEM, now=NOW)
    assert not guards.holds(conn, store.get(conn, part.ticket_id), to="assigned", actor=SYSTEM, now=NOW)


def test_a_dry_run_of_a_guard_counts_what_it_would_have_held(conn: Connection, world: World, manager: Actor) -> None:
    dear, cheap = request(conn, world, cost=2000), request(conn, world, cost=20)
    for ticket in (dear, cheap):
        service.assign(conn, world.planner, ticket.ticket_id, assignee_id=world.lin_id, now=NOW)
    report = rehearsal.rehearse(conn, forms.parse("dear", Form.GUARD, DEAR), days=30, now=NOW)
    assert (report.matched, report.tickets, report.refused) == (1, {dear.ticket_id}, 1)


def order(conn: Connection, world: World, *, cost: float = 0.0) -> Ticket:
    """Stays new: nobody has its skill."""
    ticket = request(conn, world, kind="corrective", skill="welding", description="Oil at the shaft.")
    return spend(conn, world, ticket, cost) if cost else ticket


def refuse(conn: Connection, world: World, ticket_id: int) -> None:
    """The guard alone holds it, whatever was asked of whom."""
    conn.execute("delete from approvals")
    with pytest.raises(NeedsApproval):
        service.assign(conn, world.planner, ticket_id, assignee_id=world.lin_id, now=NOW)


def approve(conn: Connection, manager: Actor, ticket_id: int) -> None:
    for each in approvals.of(conn, ticket_id):
        if each.state is approvals.State.PENDING:
            approvals.decide(conn, manager, each.approval_id, state="approved", now=NOW)


@pytest.mark.parametrize(("merged", "standing"), [(5000, 10), (10, 5000), (600, 600)])
def test_a_merge_hides_no_cost(conn: Connection, world: World, manager: Actor, merged: float, standing: float) -> None:
    guard(conn, manager)
    gone, kept = order(conn, world, cost=merged), order(conn, world, cost=standing)
    merging.merge(conn, world.planner, gone.ticket_id, into_id=kept.ticket_id, now=NOW)
    assert [each.state for each in approvals.of(conn, kept.ticket_id)].count(approvals.State.PENDING) >= 1
    approve(conn, manager, kept.ticket_id)
    assert not guards.holds(conn, store.get(conn, kept.ticket_id), to="assigned", actor=SYSTEM, now=NOW)
    refuse(conn, world, kept.ticket_id)


def test_a_merge_into_a_third_still_counts_the_first(conn: Connection, world: World, manager: Actor) -> None:
    guard(conn, manager)
    tickets = [order(conn, world, cost=400) for _ in range(3)]
    for gone, kept in pairwise(tickets):
        merging.merge(conn, world.planner, gone.ticket_id, into_id=kept.ticket_id, now=NOW)
    refuse(conn, world, tickets[-1].ticket_id)


def test_a_merge_takes_along_what_was_waited_for(conn: Connection, world: World, manager: Actor) -> None:
    gone, kept = order(conn, world), order(conn, world)
    for ticket in (gone, kept):  # each for a matter of its own
        approvals.demand(conn, ticket.ticket_id, "Hot work", role="manager", key="hot", now=NOW)
    approve(conn, manager, kept.ticket_id)
    merging.merge(conn, world.planner, gone.ticket_id, into_id=kept.ticket_id, now=NOW)
    with pytest.raises(ApprovalPending):
        service.assign(conn, world.planner, kept.ticket_id, assignee_id=world.lin_id, now=NOW)


def test_a_conversion_waits_with_its_request(conn: Connection, world: World, manager: Actor) -> None:
    guard(conn, manager)
    dear = request(conn, world, cost=5000)
    with pytest.raises(ApprovalPending):
        conversion.convert(conn, world.planner, dear.ticket_id, now=NOW)
    conn.execute("delete from approvals")
    with pytest.raises(NeedsApproval):
        conversion.convert(conn, world.planner, dear.ticket_id, now=NOW)


def test_an_order_counts_what_its_request_has_cost(conn: Connection, world: World, manager: Actor) -> None:
    guard(conn, manager, **{"if": "ticket.kind != 'request' && ticket.cost > 1000"})
    dear = request(conn, world, cost=5000, skill="mechanical")
    opened = conversion.convert(conn, world.planner, dear.ticket_id, now=NOW).ticket
    assert (opened.status, opened.cost) == ("new", 0)  # routing would have given it to Lin
    assert [each.role for each in approvals.of(conn, opened.ticket_id)] == ["manager"]
    refuse(conn, world, opened.ticket_id)


def test_a_split_off_order_waits_with_the_one_that_it_comes_from(
    conn: Connection, world: World, manager: Actor
) -> None:
    guard(conn, manager)
    dear = order(conn, world, cost=5000)
    with pytest.raises(ApprovalPending):
        merging.split(conn, world.planner, dear.ticket_id, seqs=[1], title="Half", now=NOW)
    conn.execute("delete from approvals")
    half = merging.split(conn, world.planner, dear.ticket_id, seqs=[1], title="Half", now=NOW).ticket
    assert half.status == "new"
    refuse(conn, world, half.ticket_id)


@pytest.mark.parametrize("cost", ["ticket.cost", "ticket['cost']", "ticket . cost"])
def test_however_a_guard_names_the_cost_it_sees_the_familys(
    conn: Connection, world: World, manager: Actor, cost: str
) -> None:
    guard(
        conn, manager, **{"if": f"{cost} > 1000", "approval": {"topic": "finance", "role": "manager", "amount": cost}}
    )
    whole = order(conn, world, cost=600)
    half = merging.split(conn, world.planner, whole.ticket_id, seqs=[1], title="Half", now=NOW).ticket
    half = spend(conn, world, walk(conn, world.planner, half, "accepted", "arrived"), 600)
    assert len(approvals.of(conn, half.ticket_id)) == 1
    with pytest.raises(NeedsApproval):
        service.assign(conn, world.planner, whole.ticket_id, assignee_id=world.lin_id, now=NOW)


def test_two_halves_below_the_limit_are_dear_together(conn: Connection, world: World, manager: Actor) -> None:
    guard(conn, manager)
    whole = order(conn, world, cost=600)
    half = merging.split(conn, world.planner, whole.ticket_id, seqs=[1], title="Half", now=NOW).ticket
    assert half.status == "assigned"  # nothing holds it yet
    half = walk(conn, world.planner, half, "accepted", "arrived")
    half = spend(conn, world, half, 600)
    (asked,) = approvals.of(conn, half.ticket_id)
    assert asked.why["en"] == "Spending above 1,000 (up to 1,250)"
    assert approvals.of(conn, whole.ticket_id) == []  # asked once for both
    with pytest.raises(NeedsApproval):
        service.assign(conn, world.planner, whole.ticket_id, assignee_id=world.lin_id, now=NOW)
    approve(conn, manager, half.ticket_id)
    service.assign(conn, world.planner, whole.ticket_id, assignee_id=world.lin_id, now=NOW)
    assert walk(conn, world.planner, store.get(conn, half.ticket_id), "done").status == "done"


@pytest.mark.parametrize("changes", [{"assign": 0}, {"transition": {"to": "assigned"}}], ids=["assign", "transition"])
def test_many_at_once_go_round_no_guard(
    conn: Connection, world: World, manager: Actor, changes: dict[str, Any]
) -> None:
    guard(conn, manager)
    dear = order(conn, world, cost=5000)
    conn.execute("delete from approvals")
    wanted = {**changes, "assign": world.wang_id} if "assign" in changes else changes
    chosen = [bulk.Chosen(dear.ticket_id, dear.version)]
    _, (row,) = bulk.apply(conn, world.planner, chosen=chosen, changes=wanted, how=bulk.How.EACH, now=NOW)
    assert row.refused
    assert store.get(conn, dear.ticket_id).assignee_id == dear.assignee_id


@pytest.mark.parametrize(
    ("amount", "rounded"), [(0, 0), (1, 1), (1000.01, 1250), (1250, 1250), (1700, 2000), (99_000, 100_000), (5, 5)]
)
def test_amounts_are_rounded_up_to_what_people_approve(amount: float, rounded: float) -> None:
    assert guards.ceiling(amount) == rounded
