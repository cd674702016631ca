"""The figures equal what anybody gets from the raw events, exactly: a slow recomputation over random histories."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import LiteralString
from zoneinfo import ZoneInfo

import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

from maintenance import indicators, indicators_store
from maintenance.indicators import Name
from plant import assets
from tickets import chain, hooks, service
from tickets import store as tickets_store
from tickets.model import Actor, ActorKind, Ticket

T0 = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
PLANNER = Actor(ActorKind.PERSON, None, "Planner", "planner")
KINDS = ("preventive", "inspection", "corrective", "incident", "request")


def _history(conn: Connection, seed: int) -> list[int]:
    """Thirty days of a small plant: orders that are done, cancelled or left open, labour, downtime, failures."""
    chance = random.Random(seed)
    pumps = [assets.create_asset(conn, code=f"P-{n}", name="Pump", asset_class="pump") for n in range(4)]
    assets.create_signal(
        conn, asset_id=pumps[0], code="v", name="v", quantity="vibration_velocity", unit="mm/s", period_s=60
    )
    engineer = conn.execute("insert into engineers (name) values ('Wang') returning engineer_id").fetchone()
    assert engineer
    for number in range(40):
        at = T0 + timedelta(minutes=chance.randrange(30 * 1440))
        ticket = service.open(
            conn,
            PLANNER,
            kind=chance.choice(KINDS),
            title=f"Job {number}",
            asset_id=chance.choice([*pumps[:3], None]),
            now=at,
        ).ticket
        _lives(conn, chance, ticket, engineer[0], at, number)
    for number in range(6):
        conn.execute(
            """insert into failures (asset_id, mode, failed_at, recorded_by, recorded_at, ticket_id)
               values (%s, 'bearing_wear', %s, 'test', %s, %s)""",
            (chance.choice(pumps[:3]), T0 + timedelta(hours=chance.randrange(720), minutes=number), T0, None),
        )
    return pumps


def _lives(conn: Connection, chance: random.Random, ticket: Ticket, engineer: int, at: datetime, number: int) -> None:
    after = at + timedelta(seconds=chance.randrange(1, 10 * 86_400))
    if chance.random() < 0.5:
        minutes, client = chance.randrange(1, 600), f"client-{ticket.ticket_id:08d}"
        conn.execute(
            """insert into labour (ticket_id, engineer_id, began_at, minutes, rate, cost, client_id, made_at, by_name,
                 voided_at) values (%s, %s, %s, %s, 10, 10, %s, %s, 'Wang', %s)""",
            (ticket.ticket_id, engineer, at, minutes, client, at, at if number % 7 == 0 else None),
        )
    if chance.random() < 0.4:
        stood = {"downtime_s": float(chance.randrange(60, 200_000))}
        service.record(conn, PLANNER, ticket.ticket_id, kind="downtime", details={"n": 1}, changes=stood, now=at)
    if ticket.kind.value == "request" or chance.random() < 0.3:
        return
    if chance.random() < 0.15:
        service.transition(conn, PLANNER, ticket.ticket_id, to="cancelled", fields={"reason": "no"}, now=after)
        return
    service.assign(conn, PLANNER, ticket.ticket_id, assignee_id=engineer, version=None, now=at)
    verdict = chance.choice(["confirmed", "nothing_found"])
    fields = {"note": "done", "verdict": verdict} | ({"failure_code": "other"} if verdict == "confirmed" else {})
    for to in ("accepted", "arrived", "done"):
        service.transition(conn, PLANNER, ticket.ticket_id, to=to, fields=fields if to == "done" else {}, now=after)


def _slowly(conn: Connection, pumps: list[int], since: datetime, until: datetime) -> dict[Name, Fraction | None]:
    """From nothing but timelines, labour and recorded failures; written without a look at the product's."""
    ids = [row[0] for row in conn.execute("select ticket_id from tickets order by 1").fetchall()]
    tickets = [chain.replay(tickets_store.timeline(conn, ident)) for ident in ids]
    failures = conn.execute("select asset_id, failed_at from failures").fetchall()
    known = {pumps[0]} | {t.asset_id for t in tickets if t.asset_id} | {asset for asset, _ in failures}
    whole = Fraction(len(known)) * Fraction((until - since) // timedelta(microseconds=1), 3_600_000_000)
    failed, restored, planned, labour, backlog = 0, [], 0, 0, 0
    down_us: dict[int, set[tuple[int, int]]] = {}
    for ident, ticket in zip(ids, tickets, strict=True):
        inside = since <= ticket.opened_at < until
        repair = ticket.kind.value in ("incident", "corrective") and ticket.asset_id is not None
        real = ticket.status != "cancelled" and ticket.verdict not in ("nothing_found", "sensor")
        down = None if ticket.downtime_s is None else Fraction(ticket.downtime_s) / 3600
        if down is not None and ticket.asset_id:
            begins = (ticket.opened_at - T0) // MICROSECOND
            down_us.setdefault(ticket.asset_id, set()).add((begins, begins + int(down * 3_600_000_000)))
        failed += repair and real and inside
        ended = ticket.done_at is not None and since <= ticket.done_at < until
        if repair and real and ended and ticket.done_at:
            spent = Fraction((ticket.done_at - ticket.opened_at) // timedelta(microseconds=1), 3_600_000_000)
            restored.append(spent if down is None else down)
        minutes = sum(
            row[0]
            for row in conn.execute(
                "select minutes from labour where ticket_id = %s and voided_at is null", (ticket.ticket_id,)
            )
        )
        if ended:
            labour += minutes
            planned += minutes if ticket.kind.value in ("preventive", "inspection") else 0
        past = [event for event in tickets_store.timeline(conn, ident) if event.at < until]
        if past and ticket.kind.value != "request":
            backlog += 0 if chain.replay(past).status in ("done", "verifying", "closed", "cancelled") else 60
    stood = sum((_covered(each, since, until) for each in down_us.values()), Fraction(0))
    failed += sum(since <= at < until for _, at in failures)
    return {
        Name.MTBF: (whole - stood) / failed if failed else None,
        Name.MTTR: sum(restored, Fraction(0)) / len(restored) if restored else None,
        Name.AVAILABILITY: (whole - stood) / whole,
        Name.PLANNED_SHARE: Fraction(planned, labour) if labour else None,
        Name.BACKLOG_WEEKS: Fraction(backlog, 60 * 40),
    }


def _covered(stretches: set[tuple[int, int]], since: datetime, until: datetime) -> Fraction:
    """Hours of the span that lie in one stretch at least: each piece between two ends is in or out."""
    low, high = ((each - T0) // MICROSECOND for each in (since, until))
    ends = sorted({low, high, *(min(max(end, low), high) for each in stretches for end in each)})
    pieces = [
        right - left
        for left, right in pairwise(ends)
        if any(begins <= left and right <= end for begins, end in stretches)
    ]
    return Fraction(sum(pieces), 3_600_000_000)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_figure_equals_the_slow_recomputation_exactly(conn: Connection, seed: int) -> None:
    with hooks.only():
        pumps = _history(conn, seed)
    for since, until in ((T0, T0 + 30 * DAY), (T0 + 5 * DAY, T0 + 12 * DAY), (T0 + 29 * DAY, T0 + 60 * DAY)):
        facts = indicators_store.facts(conn, since=since, until=until)
        wanted = _slowly(conn, pumps, since, until)
        for name, value in wanted.items():
            figure = indicators.of(facts, name)
            below = figure.denominator * figure.per
            assert (Fraction(figure.numerator, below) if below else None) == value, name
            assert figure.value == (None if value is None else figure.numerator / below)
            assert figure.numerator == sum(row.above for row in figure.rows)  # the rows are the figure


def test_due_days_and_visits_count_as_done_in_time_or_not(conn: Connection) -> None:
    with hooks.only():
        asset = assets.create_asset(conn, code="P-1", name="Pump", asset_class="pump")
        ids = [
            service.open(conn, PLANNER, kind="preventive", title=f"PM {n}", asset_id=asset, mode=f"m{n}", now=T0).ticket
            for n in range(3)
        ]
    plan = conn.execute(
        """insert into pm_plans (code, body, since, look_at, made_at, by_name)
           values ('lube', '{"tolerance_days": 2}', %s, %s, %s, 'test') returning plan_id""",
        (T0.date(), T0, T0),
    ).fetchone()
    assert plan
    for n, done in enumerate((3, None, 20)):  # due on days 3, 10, 17; the last one a day too late for its tolerance
        due = T0 + (3 + 7 * n) * DAY
        conn.execute(
            """insert into pm_occurrences (plan_id, cycle, due, state, reason, ticket_id, recorded_at)
               values (%s, %s, %s, 'opened', '{}', %s, %s)""",
            (plan[0], n + 1, due.date(), ids[n].ticket_id, T0),
        )
        if done is not None:
            conn.execute(
                "insert into pm_completions (plan_id, ticket_id, done_at, way) values (%s, %s, %s, 'order')",
                (plan[0], ids[n].ticket_id, T0 + done * DAY + timedelta(hours=1)),
            )
    facts = indicators_store.facts(conn, since=T0, until=T0 + 30 * DAY)
    figure = indicators.of(facts, Name.PM_COMPLIANCE)
    assert [row.above for row in figure.rows] == [1, 0, 0] and figure.denominator == 3


ZONE = ZoneInfo("Asia/Shanghai")
PLAN_DAYS = {"lead_days": 3, "tolerance_days": 4}  # a weekly plan: the days in which two due days may be met overlap
Done = tuple[int | None, datetime]


def _plans(conn: Connection, chance: random.Random) -> dict[int, list[tuple[int | None, date]]]:
    """Weekly plans, some due days with an order of their own; their work done at some time, or not; visits."""
    found: dict[int, list[tuple[int | None, date]]] = {}
    for number in range(3):
        (plan,) = conn.execute(
            """insert into pm_plans (code, body, since, look_at, made_at, by_name)
               values (%s, %s, %s, %s, %s, 'test') returning plan_id""",
            (f"plan-{number}", Jsonb(PLAN_DAYS), T0.date(), T0, T0),
        ).fetchone() or (0,)
        found[plan] = [_due(conn, chance, plan, week) for week in range(4)]
        orders = [ticket for ticket, _ in found[plan] if ticket is not None and chance.random() < 0.7]
        for ticket in [*orders, *[None] * chance.randrange(4)]:
            conn.execute(
                "insert into pm_completions (plan_id, ticket_id, done_at, way) values (%s, %s, %s, %s)",
                (plan, ticket, T0 + timedelta(hours=chance.randrange(900)), "order" if ticket else "person"),
            )
    return found


def _due(conn: Connection, chance: random.Random, plan: int, week: int) -> tuple[int | None, date]:
    ticket = None
    if chance.random() < 0.6:
        ticket = service.open(conn, PLANNER, kind="preventive", title=f"PM {plan} {week}", now=T0).ticket.ticket_id
    due = T0.date() + timedelta(days=4 + 7 * week)
    conn.execute(
        """insert into pm_occurrences (plan_id, cycle, due, state, reason, ticket_id, recorded_at)
           values (%s, %s, %s, %s, '{}', %s, %s)""",
        (plan, week + 1, due, "opened" if ticket else "missed", ticket, T0),
    )
    return ticket, due


def _met(dues: Sequence[tuple[int | None, date]], done: Sequence[Done]) -> int:
    """Of the due days, the most that can be met, by trying every way to give work to days."""

    def days(due: date) -> tuple[datetime, datetime]:
        begins = datetime(due.year, due.month, due.day, tzinfo=ZONE)
        after = due + timedelta(days=1 + PLAN_DAYS["tolerance_days"])
        return begins - timedelta(days=7), datetime(after.year, after.month, after.day, tzinfo=ZONE)

    own = {ticket: at for ticket, at in done if ticket is not None}
    met = {due for ticket, due in dues if ticket in own and own[ticket] < days(due)[1]}
    open_days = [due for ticket, due in dues if ticket not in own]

    def most(works: Sequence[datetime], taken: frozenset[date]) -> set[frozenset[date]]:
        if not works:
            return {taken}
        ways = most(works[1:], taken)
        for due in open_days:
            if due not in taken and days(due)[0] <= works[0] < days(due)[1]:
                ways |= most(works[1:], taken | {due})
        return ways

    ways = most([at for ticket, at in done if ticket is None], frozenset())
    return len(met) + max(len(way) for way in ways)


@pytest.mark.parametrize("seed", range(6))
def test_compliance_equals_a_recomputation_that_tries_every_way(conn: Connection, seed: int) -> None:
    conn.execute("update sites set timezone = %s where site_id = current_site()", (ZONE.key,))
    with hooks.only():
        plans = _plans(conn, random.Random(seed))
    figure = indicators.of(indicators_store.facts(conn, since=T0, until=T0 + 40 * DAY), Name.PM_COMPLIANCE)
    wanted = 0
    for plan, dues in plans.items():
        done = conn.execute("select ticket_id, done_at from pm_completions where plan_id = %s", (plan,)).fetchall()
        wanted += _met(dues, done)
    assert (figure.numerator, figure.denominator) == (wanted, 12)


def test_work_done_once_is_counted_for_one_due_day(conn: Connection) -> None:
    with hooks.only():
        plans = _plans(conn, random.Random(3))
    conn.execute("delete from pm_completions")
    plan, dues = next(iter(plans.items()))
    conn.execute("update pm_occurrences set ticket_id = null, state = 'missed'")
    both = T0 + 7 * DAY  # within the days of the first due day and of the second
    conn.execute("insert into pm_completions (plan_id, done_at, way) values (%s, %s, 'person')", (plan, both))
    figure = indicators.of(indicators_store.facts(conn, since=T0, until=T0 + 40 * DAY), Name.PM_COMPLIANCE)
    assert figure.numerator == 1 and len(dues) == 4


def test_a_due_day_is_the_site_s_day(conn: Connection) -> None:
    conn.execute("update sites set timezone = %s where site_id = current_site()", (ZONE.key,))
    with hooks.only():
        plans = _plans(conn, random.Random(1))
    conn.execute("delete from pm_completions")
    conn.execute("update pm_occurrences set ticket_id = null, state = 'missed'")
    plan, dues = next(iter(plans.items()))
    end = datetime(dues[0][1].year, dues[0][1].month, dues[0][1].day, tzinfo=ZONE) + 5 * DAY
    for at, met in ((end, 0), (end - timedelta(seconds=1), 1)):
        conn.execute("delete from pm_completions")
        conn.execute("insert into pm_completions (plan_id, done_at, way) values (%s, %s, 'person')", (plan, at))
        facts = indicators_store.facts(conn, since=T0, until=T0 + 40 * DAY)
        rows = [row for row in indicators.of(facts, Name.PM_COMPLIANCE).rows if row.at == end]
        assert sum(row.above for row in rows) == met


def test_a_visit_counts_when_its_order_was_done_within_a_day(conn: Connection) -> None:
    engineer = conn.execute("insert into engineers (name) values ('Wang') returning engineer_id").fetchone()
    assert engineer
    wanted = 0
    chance = random.Random(5)
    with hooks.only():
        for number in range(12):
            starts = T0 + timedelta(hours=chance.randrange(24, 400))
            done = None if number % 4 == 0 else starts + timedelta(hours=chance.randrange(-40, 60))
            _visited(conn, engineer[0], number, starts, done)
            near = done is not None and starts - DAY <= done <= starts + timedelta(hours=2) + DAY
            wanted += near
    facts = indicators_store.facts(conn, since=T0, until=T0 + 30 * DAY)
    figure = indicators.of(facts, Name.SCHEDULE_COMPLIANCE)
    assert (figure.numerator, figure.denominator) == (wanted, 12) and 0 < wanted < 12


PLANNED: LiteralString = """
  insert into plans (status, seconds, origin, horizon_s, made_at, accepted_at)
  values ('superseded', 1, %s, 86400, %s, %s) returning plan_id"""


def _visited(conn: Connection, engineer: int, number: int, starts: datetime, done: datetime | None) -> None:
    ticket = service.open(conn, PLANNER, kind="inspection", title=f"Look {number}", now=T0).ticket
    if done is not None:
        service.assign(conn, PLANNER, ticket.ticket_id, assignee_id=engineer, version=None, now=T0)
        for to in ("accepted", "arrived", "done"):
            fields = {"note": "done", "verdict": "nothing_found"} if to == "done" else {}
            service.transition(conn, PLANNER, ticket.ticket_id, to=to, fields=fields, now=done)
    plan = conn.execute(PLANNED, (T0, T0, T0)).fetchone()
    assert plan
    conn.execute(
        "insert into visits (plan_id, ticket_id, engineer_id, starts, ends) values (%s, %s, %s, %s, %s)",
        (plan[0], ticket.ticket_id, engineer, starts, starts + timedelta(hours=2)),
    )


def test_an_order_that_was_closed_later_was_waiting_then(conn: Connection) -> None:
    done_at = T0 + DAY
    with hooks.only():
        _visited(conn, _engineer(conn), 1, T0, done_at)
    for until, waiting in ((done_at, 60), (done_at + timedelta(seconds=1), 0)):
        facts = indicators_store.facts(conn, since=T0 - DAY, until=until)
        assert indicators.of(facts, Name.BACKLOG_WEEKS).numerator == waiting


def _engineer(conn: Connection) -> int:
    (found,) = conn.execute("insert into engineers (name) values ('Li') returning engineer_id").fetchone() or (0,)
    return int(found)
