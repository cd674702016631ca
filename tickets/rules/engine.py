"""The engine: told of every write in its own transaction, it asks the rules, acts, and keeps the log.

    verb ──written──> on_event ──index──> candidates ──CEL──> matched ──chain, limits──> actions ──> verbs …
A rule never fails the verb that it follows: what goes wrong is a line in its log. Guards are the exception, and they
refuse before anything is written (``tickets.rules.guards``).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime

from psycopg import Connection

import tickets.rules.actions  # noqa: F401 - fills the table of actions
from core.errors import NotFound
from tickets import approvals, notify, store, verbs
from tickets.cause import Cause
from tickets.hooks import Change
from tickets.model import SYSTEM, Own, Ticket
from tickets.notify import NoticeKind
from tickets.rules import acting, chain, family, guards, runs, shelf, timers, worlds
from tickets.rules import store as kept_rules
from tickets.rules.acting import Act, Result
from tickets.rules.chain import DEEPEST, Chain
from tickets.rules.errors import BadExpression, BadRule, ExpressionFailed
from tickets.rules.matching import Verdict, judge
from tickets.rules.model import Again, Log, Rule, Status
from tickets.rules.runs import Outcome
from tickets.rules.timers import Timer
from tickets.rules.world import World

MOST_TICKED = 5_000  # tickets that one tick of a rule looks at


def on_event(conn: Connection, change: Change) -> None:
    """Let the rules and guards see a change. Registered with ``hooks.register_on_event``."""
    library = shelf.current(conn)
    if not library.by_id:
        return
    seen = list(worlds.of_change(conn, change))
    for world in seen:
        begun = chain.of(change.cause, ref=change.ticket.ref, seq=world.happening.seq)
        for rule in library.index.candidates(world):
            consider(conn, rule, world, begun)
    if change.ticket.is_open and seen:
        for guard in library.guards:
            _demand(conn, guard, seen[-1], change.ticket, change.cause)


def consider(conn: Connection, rule: Rule, world: World, begun: Chain) -> None:
    """Ask one rule about one happening, and do what it says."""
    clock = time.perf_counter()
    verdict, sentence = judge(rule, world)
    if verdict is Verdict.MATCHED:
        result = _run(conn, rule, world, begun)
    elif verdict is Verdict.ERROR:
        result = Result(Outcome.ERROR, sentence, [])
    else:
        result = Result(Outcome.NOT, "", [])
    if _is_kept(conn, rule, result.outcome, world.now):
        _note(conn, rule, world, result, begun, clock)


def _note(conn: Connection, rule: Rule, world: World, result: Result, begun: Chain, clock: float) -> None:
    runs.note(
        conn,
        rule,
        world,
        outcome=result.outcome,
        sentence=result.sentence,
        actions=result.done,
        root=begun.root,
        depth=begun.depth,
        took_us=round((time.perf_counter() - clock) * 1e6),
    )


def _run(conn: Connection, rule: Rule, world: World, begun: Chain) -> Result:
    if begun.has(rule.rule_id, world.ticket_id) and rule.definition.limits.again is Again.ONCE:
        return Result(Outcome.REPEATED, "It has run for this ticket in this chain already.", [])
    if begun.depth >= DEEPEST:
        if rule.rule_id not in begun.rule_ids and len(set(begun.rule_ids)) < len(begun.rule_ids):
            return Result(Outcome.ENDLESS, f"Not run: {begun.depth} rules made each other run before it.", [])
        return _endless(conn, rule, begun, world.now)
    limit = runs.over_limit(conn, rule, world)
    if limit is not None:
        return Result(Outcome.LIMITED, limit, [])
    after = rule.definition.when.after
    if after is None:
        return acting.perform(conn, rule, world, actions=rule.definition.actions, chain=begun, path=())
    act = Act(conn, rule, world, acting.actor_of(rule), begun, (), world.now)
    due = timers.keep(act, after=after, path=())
    return Result(Outcome.WAITING, f"Due at {due:%Y-%m-%d %H:%M} UTC, if it still holds then.", [])


def _endless(conn: Connection, rule: Rule, begun: Chain, now: datetime) -> Result:
    """Cut the chain: the rule is stopped and whoever manages the site is told which rules run in a circle.

    A rule that only stands beside somebody else's circle never comes here: it does not run, and stays enabled.
    """
    codes: dict[int, str] = dict(
        conn.execute("select rule_id, code from rules where rule_id = any(%s)", (list(begun.rule_ids),)).fetchall()
    )
    path = " → ".join([*(codes.get(rule_id, str(rule_id)) for rule_id in begun.rule_ids), rule.code])
    said = f"{begun.depth} rules made each other run and this would be one more: {path}. It was stopped."
    kept_rules.set_status(conn, SYSTEM, kept_rules.lock(conn, rule.rule_id), Status.STOPPED, now=now, note=said)
    notify.tell_of(
        conn,
        managers(conn),
        kind=NoticeKind.RULE,
        title={"en": f"The rule {rule.code} was stopped", "zh": f"规则 {rule.code} 已被停止"},
        body={"en": said, "zh": f"规则相互触发超过 {DEEPEST} 层：{path}。已停止。"},
        key=f"rule-stopped:{rule.rule_id}:{rule.version}",
        now=now,
    )
    return Result(Outcome.ENDLESS, said, [])


def managers(conn: Connection) -> list[int]:
    """Users who manage this site."""
    rows = conn.execute(
        """select m.user_id from memberships m join users u using (user_id)
           where m.site_id = current_site() and u.disabled_at is null and m.role in ('manager', 'admin')"""
    )
    return [row[0] for row in rows]


def _is_kept(conn: Connection, rule: Rule, outcome: Outcome, now: datetime) -> bool:
    """Everything that happened; of what did not, once a minute, and plain misses only where the log is ``all``."""
    if outcome is Outcome.NOT:
        return rule.definition.log is Log.ALL
    quiet = outcome in (Outcome.ERROR, Outcome.LIMITED, Outcome.REPEATED)
    return not (quiet and rule.definition.log is Log.MATCHES and runs.told_lately(conn, rule, outcome, now))


# -- guards -----------------------------------------------------------------------------------------------------------


def _demand(conn: Connection, guard: Rule, world: World, ticket: Ticket, cause: Cause | None) -> None:
    """Ask for the approval that the guard will want as soon as its condition holds; a refusal is a line in the log."""
    began = time.perf_counter()
    begun = chain.of(cause, ref=ticket.ref, seq=world.happening.seq)
    try:
        kin = family.of(conn, guard, ticket)
        amount = guards.wanted(guard, world.dearer(kin.others))
        if amount is None or guards.asked(conn, kin, guard, amount):
            return
        with verbs.attempt(conn):
            _ask(conn, guard, world, amount, behind=acting.behind(conn, begun.root))
        result = Result(Outcome.DONE, "", [{"do": "approve", "amount": amount}])
    except ExpressionFailed as error:
        result = Result(Outcome.ERROR, error.message, [])
    except acting.REFUSALS as error:
        result = Result(Outcome.FAILED, acting.sentence(error), [])
    if result.outcome is Outcome.DONE or not runs.told_lately(conn, guard, result.outcome, world.now):
        _note(conn, guard, world, result, begun, began)


def _ask(conn: Connection, guard: Rule, world: World, amount: float, *, behind: Sequence[int]) -> None:
    need, name, up_to = guard.definition.need, guard.definition.name, f"{amount:,.0f}"
    why = {
        "en": name["en"] + (f" (up to {up_to})" if amount else ""),
        "zh": name["zh"] + (f"（不超过 {up_to}）" if amount else ""),
    }
    approvals.demand(
        conn,
        world.ticket_id,
        why=why,
        role=need.role if need else "manager",
        key=guards.key_of(guard, amount),
        behind=behind,
        own=need.own if need else Own.REFUSED,
        actor=acting.actor_of(guard),
        now=world.now,
    )


# -- later and by the clock -------------------------------------------------------------------------------------------


def ring(conn: Connection, timer_id: int, now: datetime) -> None:
    """A timer is due: do its actions if their condition still holds."""
    timer = timers.take(conn, timer_id, now)
    if timer is None:
        return
    rule = _as_scheduled(conn, timer.rule_id, timer.version)
    if rule is None:
        timers.settle(conn, timer_id, state="cancelled", why="The rule is no longer enabled.")
        return
    state, why = _rung(conn, rule, timer, now)
    timers.settle(conn, timer_id, state=state, why=why)


def _rung(conn: Connection, rule: Rule, timer: Timer, now: datetime) -> tuple[str, str]:
    event = store.timeline(conn, timer.ticket_id, after=timer.seq - 1)[0]
    world = worlds.of_event(conn, store.get(conn, timer.ticket_id), event, now)
    condition, actions = timers.at_path(rule, timer.path)
    clock = time.perf_counter()
    try:
        still = condition is None or condition.holds(world)
    except ExpressionFailed as error:
        return "cancelled", error.message
    if not still:
        return "cancelled", "Its condition no longer holds."
    result = acting.perform(conn, rule, world, actions=actions, chain=timer.chain, path=timer.path)
    _note(conn, rule, world, result, timer.chain, clock)
    return "done", result.sentence


def _as_scheduled(conn: Connection, rule_id: int, version: int) -> Rule | None:
    """The rule as it was when the timer was set; None once it is not enabled."""
    rule = shelf.current(conn).by_id.get(rule_id)
    if rule is None or rule.version == version:
        return rule
    form, code = rule.definition.form, rule.code
    try:
        data = kept_rules.definition_at(conn, rule_id, version)
        return shelf.read((rule_id, code, form, version, rule.status, data))
    except (NotFound, BadRule, BadExpression):
        return None


def tick(conn: Connection, now: datetime) -> None:
    """Rules that run by the clock, and timers that nobody rang."""
    for timer_id in timers.overdue(conn, now):
        ring(conn, timer_id, now)
    library = shelf.current(conn)
    for rule in library.index.ticking:
        if _is_due(conn, rule, now):
            _look_at_all(conn, rule, now)


def _is_due(conn: Connection, rule: Rule, now: datetime) -> bool:
    every = rule.definition.when.every
    row = conn.execute("select at from rule_ticks where rule_id = %s for update", (rule.rule_id,)).fetchone()
    if row is not None and every is not None and row[0] <= now < row[0] + every:
        return False
    conn.execute(
        "insert into rule_ticks (rule_id, at) values (%s, %s) on conflict (rule_id) do update set at = excluded.at",
        (rule.rule_id, now),
    )
    return True


def _look_at_all(conn: Connection, rule: Rule, now: datetime) -> None:
    asset_of = worlds.assets(conn)
    for ticket in open_tickets(conn):
        world = worlds.of_tick(ticket, SYSTEM, asset_of, now)
        consider(conn, rule, world, Chain(f"{ticket.ref}#{ticket.event_count}", ()))


def open_tickets(conn: Connection) -> Iterable[Ticket]:
    """The open tickets of the site, newest first, at most MOST_TICKED."""
    cursor, left = None, MOST_TICKED
    while left > 0:
        page = store.find(conn, store.Filter(which=store.Which.OPEN), limit=min(200, left), cursor=cursor)
        yield from page.items
        cursor, left = page.next, left - len(page.items)
        if cursor is None:
            return
