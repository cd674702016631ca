"""The figures equal what anybody gets from the raw events, exactly: a slow recomputation over random histories."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from psycopg import Connection

from maintenance import indicators, indicators_store
from maintenance.indicators import Name
from plant import assets
from tickets import chain, hooks, service
from tickets import store as tickets_store
from tickets.model import Actor, ActorKind, Ticket

T0 = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
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
    stood, failed, restored, planned, labour, backlog = Fraction(0), 0, [], 0, 0, 0
    for ticket in tickets:
        inside = since <= ticket.opened_at < until
        repair = ticket.kind.value in ("incident", "corrective") and ticket.asset_id is not None
        real = ticket.status != "cancelled" and ticket.verdict not in ("nothing_found", "sensor")
        down = None if ticket.downtime_s is None else Fraction(ticket.downtime_s) / 3600
        if down is not None and inside and ticket.asset_id:
            stood += down
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
        waits = ticket.status not in ("done", "verifying", "closed", "cancelled") and ticket.kind.value != "request"
        backlog += 60 if waits and ticket.opened_at < until else 0
    failed += sum(since <= at < until for _, at in failures)
    return {
        Name.MTBF: (whole - stood) / failed if failed else None,
        Name.MTTR: sum(restored, Fraction(0)) / len(restored) if restored else None,
        Name.AVAILABILITY: (whole - stood) / whole,
        Name.PLANNED_SHARE: Fraction(planned, labour) if labour else None,
        Name.BACKLOG_WEEKS: Fraction(backlog, 60 * 40),
    }


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
