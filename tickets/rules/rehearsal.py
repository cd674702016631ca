"""Dry run: a rule over the recorded history, without any effect. What would it have done, how often, to which tickets?

The timelines of every ticket that had an event in the last days are replayed from their beginning, row by row, through
the same index and expressions as live. What a rule does is itself an event: chains, limits and the effects of its
actions on later events are not played out.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from tickets import chain
from tickets.model import SYSTEM
from tickets.rules import engine, worlds
from tickets.rules.matching import Index, Verdict, judge
from tickets.rules.model import Definition, Form, Rule, Status, When
from tickets.rules.world import Happening, World

MOST_EXAMPLES = 20
MOST_DAYS = 366
BATCH = 2_000
LONGEST_S = 20.0
COLUMNS = ("ticket_id", "seq", "at", "actor_kind", "actor_id", "actor_name", "kind", "audience", "body")


@dataclass(frozen=True, slots=True)
class Example:
    """One event that the rule would have answered."""

    ticket_id: int
    ref: str
    title: str
    seq: int
    at: datetime
    event: str
    sentence: str = ""


@dataclass(slots=True)
class Report:
    """What would have happened. ``refused`` (of a guard): steps that would have waited for an approval."""

    days: int
    events: int = 0
    asked: int = 0  # events of the kinds that the rule listens to, within the days
    matched: int = 0
    errors: int = 0
    refused: int = 0
    tickets: set[int] = field(default_factory=set)
    per_day: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)
    failures: list[Example] = field(default_factory=list)
    took_s: float = 0.0
    complete: bool = True

    def as_json(self) -> dict[str, Any]:
        """Figures for people and programs."""
        return {
            "days": self.days, "events": self.events, "asked": self.asked, "matched": self.matched,
            "errors": self.errors, "refused": self.refused, "tickets": len(self.tickets),
            "per_day": dict(sorted(self.per_day.items())), "took_s": round(self.took_s, 3), "complete": self.complete,
        }  # fmt: skip


def rehearse(
    conn: Connection, definition: Definition, *, days: int, now: datetime, longest_s: float = LONGEST_S
) -> Report:
    """Replay ``days`` days of this site through the definition; stops after ``longest_s`` with what it has."""
    report = Report(min(max(days, 1), MOST_DAYS))
    began = time.perf_counter()
    rule = Rule(0, 0, Status.ENABLED, definition)
    if definition.when.every is not None:
        _over_open_tickets(conn, rule, report, now)
    else:
        since = now - timedelta(days=report.days)
        _over_history(conn, rule, report, since, lambda: time.perf_counter() - began > longest_s)
    report.took_s = time.perf_counter() - began
    return report


def _over_history(conn: Connection, rule: Rule, report: Report, since: datetime, is_late: Callable[[], bool]) -> None:
    guards = rule.definition.form is Form.GUARD
    index = Index([_as_listener(rule)])
    for world in recorded(conn, since):
        report.events += 1
        if report.events % BATCH == 0 and is_late():
            report.complete = False
            return
        if world.now < since:
            continue
        if guards:
            _guard(rule, world, report)
        elif index.candidates(world):
            report.asked += 1
            _count(report, world, *judge(rule, world))
        elif world.happening.kind in rule.definition.when.kinds:
            report.asked += 1


def _as_listener(rule: Rule) -> Rule:
    definition = rule.definition
    if definition.form is Form.RULE:
        return rule
    return Rule(0, 0, Status.ENABLED, Definition(definition.code, Form.RULE, definition.name, {}, definition.condition,
                                                 when=When(frozenset({"*"}))))  # fmt: skip


def _guard(rule: Rule, world: World, report: Report) -> None:
    """Count tickets for which it would ask, once each, and the steps that it would have held."""
    report.asked += 1
    verdict, sentence = judge(rule, world)
    first = world.ticket_id not in report.tickets
    if verdict is Verdict.ERROR or (verdict is Verdict.MATCHED and first):
        _count(report, world, verdict, sentence)
    before = world.before["status"] if world.before else None
    after = world.row["status"]
    if verdict is Verdict.MATCHED and before is not None and before != after:
        report.refused += rule.definition.guards(source=str(before), target=str(after))


def _count(report: Report, world: World, verdict: Verdict, sentence: str) -> None:
    if verdict is Verdict.NOT:
        return
    example = Example(
        world.ticket_id, str(world.row["ref"]), str(world.row["title"]), world.happening.seq, world.happening.at,
        world.happening.kind, sentence,
    )  # fmt: skip
    if verdict is Verdict.ERROR:
        report.errors += 1
        if len(report.failures) < MOST_EXAMPLES:
            report.failures.append(example)
        return
    report.matched += 1
    report.tickets.add(world.ticket_id)
    report.per_day[world.happening.at.date().isoformat()] += 1
    if len(report.examples) < MOST_EXAMPLES:
        report.examples.append(example)


def _over_open_tickets(conn: Connection, rule: Rule, report: Report, now: datetime) -> None:
    """A rule by the clock: what it would find if it looked now."""
    asset_of = worlds.assets(conn)
    for ticket in engine.open_tickets(conn):
        report.events += 1
        report.asked += 1
        world = worlds.of_tick(ticket, SYSTEM, asset_of, now)
        _count(report, world, *judge(rule, world))


# -- history ----------------------------------------------------------------------------------------------------------


def recorded(conn: Connection, since: datetime) -> Iterator[World]:
    """Every event of every ticket that had one since then, with the row as it was."""
    asset_of = worlds.assets(conn)
    ticket_id, row = 0, dict[str, Any](chain.BLANK)
    for event in history(conn, since):
        if event["ticket_id"] != ticket_id:
            ticket_id, row = event["ticket_id"], dict(chain.BLANK)
        before = dict(row) if event["seq"] > 1 else None
        row = row | _after(event["body"])
        yield World(
            ticket_id=ticket_id, row=row, before=before, happening=_happening(event), asset_of=asset_of, now=event["at"]
        )


def history(conn: Connection, since: datetime) -> Iterator[Mapping[str, Any]]:
    """The timelines of tickets that had an event since then, ticket by ticket, streamed."""
    with conn.cursor(name="rehearsal") as cursor:
        cursor.itersize = BATCH
        cursor.execute(
            """select ticket_id, seq, at, actor_kind, actor_id, actor_name, kind, audience, body from ticket_events
               where ticket_id in (select ticket_id from ticket_events where at >= %s)
               order by ticket_id, seq""",
            (since,),
        )
        for row in cursor:
            yield dict(zip(COLUMNS, row, strict=True))


def _after(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: chain.from_json(name, value) for name, value in body.get("after", {}).items()}


def _happening(event: Mapping[str, Any]) -> Happening:
    return Happening(
        event["kind"], event["seq"], event["at"], event["actor_kind"], event["actor_id"], event["actor_name"],
        event["body"], event["audience"],
    )  # fmt: skip
