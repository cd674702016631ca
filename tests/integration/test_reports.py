"""Reports: every measure by every dimension runs, and its numbers equal a recomputation in Python."""

from __future__ import annotations

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from psycopg import Connection

from core.database import Database
from core.embedded import EmbeddedServer
from tests import pdf_table
from tests.api_world import cloned
from tests.integration import reports_world
from tests.integration.reports_world import Past
from tests.integration.test_reports_files import cells
from tests.integration.tickets_world import NOW
from tickets import reports, reports_schedule, reports_top, saved, store, views_custom
from tickets.errors import InvalidFields
from tickets.model import Event, Ticket
from tickets.reports import ReportTooLarge
from tickets.reports_catalogue import MEASURES, dimensions
from tickets.saved import Kind, Sharing
from tickets.store import Filter
from tickets.views_filter import Moment

ZONE = ZoneInfo("Asia/Shanghai")
MOMENT = Moment(NOW, ZONE)
PERIOD = {"from": "2026-01-10T00:00:00Z", "until": "now"}
SINCE = datetime.fromisoformat("2026-01-10T00:00:00+00:00")


@pytest.fixture(scope="module")
def past(server: EmbeddedServer) -> Iterator[tuple[Database, int, Past]]:
    with cloned(server) as database:
        with database.tx() as conn:
            row = conn.execute(
                "insert into sites (code, name, timezone) values ('p', 'P', 'Asia/Shanghai') returning site_id"
            ).fetchone()
        assert row
        with database.tx(site_id=row[0]) as conn:
            made = reports_world.build(conn, tickets=70)
            conn.execute(
                """insert into labour (ticket_id, engineer_id, began_at, minutes, rate, cost, client_id, made_at,
                     by_name) select ticket_id, %s, opened_at, 10 + ticket_id %% 50, 1, 1, 'client-' || ticket_id,
                     opened_at, 'x'
                   from tickets where ticket_id %% 3 = 0""",
                (made.world.lin_id,),
            )
        yield database, row[0], made


@pytest.fixture
def at(past: tuple[Database, int, Past]) -> Iterator[tuple[Connection, Past]]:
    database, site, made = past
    with database.tx(site_id=site) as conn:
        yield conn, made


# -- the same in Python, from the timelines ----------------------------------------------------------------------------

Story = tuple[Ticket, list[Event]]


def moved(story: Story, to: str) -> int:
    return sum(each.kind == "transition" and each.body["to"] == to for each in story[1])


def is_verified(story: Story) -> bool:
    return any(
        each.kind == "transition"
        and (each.body["from"], each.body["to"], each.actor.kind) == ("verifying", "closed", "system")
        for each in story[1]
    )


def hours(later: datetime | None, earlier: datetime) -> float:
    assert later
    return (later - earlier).total_seconds() / 3600


def p90(values: list[float]) -> float:
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=10, method="inclusive")[8]


def mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def middle(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def high(values: list[float]) -> float | None:
    return p90(values) if values else None


def is_failure(t: Ticket) -> bool:
    return t.kind in ("corrective", "incident") and t.asset_id is not None


Of = Callable[[Story], Any]


def ALL(_story: Story) -> bool:  # noqa: N802 - a constant that is called
    return True


def ONE(_story: Story) -> int:  # noqa: N802
    return 1


PYTHON: dict[str, tuple[str, Of, Of, Callable[[list[float]], float | None]]] = {
    "opened": ("opened_at", ALL, ONE, math.fsum),
    "open": ("opened_at", lambda s: s[0].is_open, ONE, math.fsum),
    "overdue": (
        "opened_at",
        lambda s: s[0].is_open and s[0].resolve_by and s[0].resolve_by < (s[0].done_at or NOW),
        ONE,
        math.fsum,
    ),
    "closed": ("closed_at", lambda s: s[0].status == "closed", ONE, math.fsum),
    "cancelled": ("closed_at", lambda s: s[0].status == "cancelled", ONE, math.fsum),
    "failures": ("opened_at", lambda s: is_failure(s[0]), ONE, math.fsum),
    "backlog_age_mean": ("opened_at", lambda s: s[0].is_open, lambda s: hours(NOW, s[0].opened_at), mean),
    "backlog_age_p90": ("opened_at", lambda s: s[0].is_open, lambda s: hours(NOW, s[0].opened_at), high),
    "response_median": ("responded_at", ALL, lambda s: 60 * hours(s[0].responded_at, s[0].opened_at), middle),
    "response_p90": ("responded_at", ALL, lambda s: 60 * hours(s[0].responded_at, s[0].opened_at), high),
    "resolution_median": ("done_at", ALL, lambda s: hours(s[0].done_at, s[0].opened_at), middle),
    "resolution_p90": ("done_at", ALL, lambda s: hours(s[0].done_at, s[0].opened_at), high),
    "response_kept": ("responded_at", lambda s: s[0].respond_by, lambda s: s[0].responded_at <= s[0].respond_by, mean),
    "resolution_kept": ("done_at", lambda s: s[0].resolve_by, lambda s: s[0].done_at <= s[0].resolve_by, mean),
    "first_time_fix": (
        "closed_at",
        lambda s: s[0].status == "closed" and s[0].done_at,
        lambda s: moved(s, "reopened") == 0 and moved(s, "arrived") <= 1,
        mean,
    ),
    "reopen_rate": ("closed_at", lambda s: s[0].status == "closed", lambda s: moved(s, "reopened") > 0, mean),
    "reopenings": ("closed_at", ALL, lambda s: moved(s, "reopened"), math.fsum),
    "verified": ("closed_at", is_verified, ONE, math.fsum),
    "verified_share": (
        "closed_at",
        lambda s: s[0].status == "closed" and s[0].kind in ("preventive", "corrective"),
        is_verified,
        mean,
    ),
    "nothing_found_share": ("done_at", lambda s: s[0].verdict, lambda s: s[0].verdict == "nothing_found", mean),
    "cost": ("opened_at", ALL, lambda s: s[0].cost, math.fsum),
    "cost_mean": ("opened_at", ALL, lambda s: s[0].cost, mean),
    "downtime": ("opened_at", lambda s: s[0].downtime_s is not None, lambda s: s[0].downtime_s / 3600, math.fsum),
    "downtime_mean": ("opened_at", lambda s: s[0].downtime_s is not None, lambda s: s[0].downtime_s / 3600, mean),
    "mttr": ("done_at", lambda s: is_failure(s[0]), lambda s: hours(s[0].done_at, s[0].opened_at), mean),
    "labour": ("opened_at", ALL, lambda s: (10 + s[0].ticket_id % 50) / 60 * (s[0].ticket_id % 3 == 0), math.fsum),
}  # fmt: skip


def local(found: datetime, form: str) -> str:
    return found.astimezone(ZONE).strftime(form)


def text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value).lower() if isinstance(value, bool) else str(value)


GROUPS: dict[str, Callable[[Ticket, datetime], list[str | None]]] = {
    "day": lambda _, at: [local(at, "%Y-%m-%d")],
    "week": lambda _, at: [local(at, "%G-W%V")],
    "month": lambda _, at: [local(at, "%Y-%m")],
    "quarter": lambda _, at: [f"{local(at, '%Y')}-Q{(int(local(at, '%m')) + 2) // 3}"],
    "weekday": lambda _, at: [local(at, "%u")],
    "hour": lambda _, at: [local(at, "%H")],
    "asset": lambda t, _: [{1: "P-101", 2: "M-201"}.get(t.asset_id or 0)],
    "area": lambda t, _: ["HALL-A" if t.asset_id == 1 else None],
    "location": lambda t, _: ["Hall A" if t.asset_id == 1 else None],
    "class": lambda t, _: [{1: "pump", 2: "motor"}.get(t.asset_id or 0)],
    "criticality": lambda t, _: ["3" if t.asset_id else None],
    "engineer": lambda t, _: [t.assignee_name],
    "requester": lambda t, _: ["Requester" if t.requester_id else None],
    "tags": lambda t, _: list(t.tags) or [None],
    "unassigned": lambda t, _: [text(t.assignee_id is None)],
}


def groups_of(name: str, ticket: Ticket, at: datetime) -> list[str | None]:
    if name in GROUPS:
        return GROUPS[name](ticket, at)
    if not name.startswith("fields."):
        return [text(getattr(ticket, name))]
    found = ticket.fields.get(name.removeprefix("fields."))
    return [text(bool(found))] if name in ("fields.wet", "fields.crane") else [text(found)]


def recomputed(stories: list[Story], measure: str, names: list[str]) -> dict[tuple[str | None, ...], float | None]:
    basis, only, value, aggregate = PYTHON[measure]
    found: dict[tuple[str | None, ...], list[float]] = defaultdict(list)
    for story in stories:
        at = getattr(story[0], basis)
        if at is None or not SINCE <= at < NOW or (measure not in ("downtime", "downtime_mean") and not only(story)):
            continue
        keys: list[tuple[str | None, ...]] = [()]
        for name in names:
            keys = [(*key, group) for key in keys for group in groups_of(name, story[0], at)]
        for key in keys:
            found[key] += [float(value(story))] if only(story) else []
    return {key: aggregate(values) for key, values in found.items()}


def stories_of(conn: Connection) -> list[Story]:
    tickets = store.find(conn, Filter(), limit=200).items
    return [(each, store.timeline(conn, each.ticket_id)) for each in tickets]


def ran(conn: Connection, measure: str, names: list[str], **more: Any) -> dict[tuple[str | None, ...], float | None]:
    asked = {"measures": [measure], "dimensions": names, "period": PERIOD, "limit": 2000, **more}
    result = reports.run(conn, reports.check(conn, asked), moment=MOMENT)
    return {row[:-1]: row[-1] for row in result.rows}


def same(one: dict[Any, float | None], other: dict[Any, float | None]) -> bool:
    return one.keys() == other.keys() and all(
        (one[key] is None) == (other[key] is None) and math.isclose(one[key] or 0, other[key] or 0, abs_tol=1e-6)
        for key in one
    )


def test_every_number_equals_its_recomputation(at: tuple[Connection, Past]) -> None:
    conn, _ = at
    stories = stories_of(conn)
    names = list(dimensions(views_custom.known(conn)))
    tried, wrong, filled = 0, [], set()
    for measure in PYTHON:
        for name in names:
            sql, python = ran(conn, measure, [name]), recomputed(stories, measure, [name])
            tried += 1
            filled |= {measure} if any(sql.values()) else set()
            if not same(sql, python):
                wrong.append((measure, name, sql, python))
    assert wrong == []
    assert tried >= 200 and filled == set(PYTHON)
    assert set(MEASURES) - set(PYTHON) == {"mtbf"}


@pytest.mark.parametrize("names", [["tags", "priority"], ["week", "kind"], ["asset", "mode"], []], ids=str)
def test_a_pivot_equals_its_recomputation(at: tuple[Connection, Past], names: list[str]) -> None:
    conn, _ = at
    stories = stories_of(conn)
    for measure in ("opened", "resolution_p90", "cost", "reopen_rate"):
        assert same(ran(conn, measure, names), recomputed(stories, measure, names)), measure


def test_a_filter_narrows_a_report(at: tuple[Connection, Past]) -> None:
    conn, _ = at
    wanted = [{"field": "priority", "op": "le", "value": 2}, {"field": "fields.colour", "op": "filled"}]
    fitting = [story for story in stories_of(conn) if story[0].priority <= 2 and story[0].fields.get("colour")]
    assert fitting
    assert same(ran(conn, "cost", ["class"], filter=wanted), recomputed(fitting, "cost", ["class"]))


def test_time_between_failures(at: tuple[Connection, Past]) -> None:
    conn, _ = at
    failures = [t for t, _ in stories_of(conn) if is_failure(t) and SINCE <= t.opened_at < NOW]
    stood = sum((t.downtime_s or 0) / 3600 for t in failures)
    assets = len({t.asset_id for t in failures})
    found = ran(conn, "mtbf", [])[()]
    assert found == pytest.approx((assets * hours(NOW, SINCE) - stood) / len(failures))
    pump = [t for t in failures if t.asset_id == 1]
    stood = sum((t.downtime_s or 0) / 3600 for t in pump)
    assert ran(conn, "mtbf", ["asset"])["P-101",] == pytest.approx((hours(NOW, SINCE) - stood) / len(pump))


def test_several_measures_stand_side_by_side(at: tuple[Connection, Past]) -> None:
    conn, _ = at
    asked = {"measures": ["closed", "mttr", "opened"], "dimensions": ["kind"], "period": PERIOD, "sort": "-opened"}
    result = reports.run(conn, reports.check(conn, asked), moment=MOMENT)
    assert [row[3] for row in result.rows] == sorted((row[3] for row in result.rows), reverse=True)
    assert result.totals[2] == sum(row[3] for row in result.rows)
    limited = reports.run(conn, reports.check(conn, asked | {"limit": 2}), moment=MOMENT)
    assert (limited.rows, limited.cut) == (result.rows[:2], len(result.rows) - 2)


@pytest.mark.parametrize("by", ["cost", "downtime", "count"])
def test_the_worst_problems(at: tuple[Connection, Past], by: str) -> None:
    conn, _ = at
    middle_of = SINCE + (NOW - SINCE) / 2
    found = reports_top.top(conn, by=by, since=middle_of, until=NOW, limit=100)
    figure = {"cost": lambda t: t.cost, "downtime": lambda t: (t.downtime_s or 0) / 3600, "count": lambda _: 1}[by]
    sums: dict[Any, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for t, _ in stories_of(conn):
        if t.asset_id and t.kind != "request" and t.status != "cancelled" and SINCE <= t.opened_at < NOW:
            key = (t.asset_id, t.failure_code or t.mode)
            recent = t.opened_at >= middle_of
            sums[key][0 if recent else 1] += figure(t)
            sums[key][2] += recent
    expected = {key: (now, before) for key, (now, before, count) in sums.items() if count}
    name = {"cost": "cost", "downtime": "downtime_h", "count": "count"}[by]
    assert {(p.asset_id, p.mode): (pytest.approx(getattr(p, name)), pytest.approx(p.before)) for p in found} == expected
    assert [getattr(p, name) for p in found] == sorted((getattr(p, name) for p in found), reverse=True)
    assert sum(p.share for p in found) == pytest.approx(1)


BAD: list[dict[str, Any]] = [
    {}, {"measures": []}, {"measures": ["x"]}, {"measures": ["open"] * 2},
    {"measures": ["open"], "dimensions": ["open"]},
    {"measures": ["open"], "dimensions": ["day", "week", "month"]}, {"measures": ["open"], "limit": 9999},
    {"measures": ["open"], "period": {"from": "now"}}, {"measures": ["open"], "period": {"from": "x", "until": "now"}},
    {"measures": ["open"], "sort": "cost"}, {"measures": ["open"], "sql": "drop"}, {"measures": "open"},
]  # fmt: skip


@pytest.mark.parametrize("asked", BAD, ids=str)
def test_a_report_that_makes_no_sense_is_refused(at: tuple[Connection, Past], asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidFields):
        reports.check(at[0], asked)


def test_a_period_that_ends_before_it_begins_is_refused(at: tuple[Connection, Past]) -> None:
    asked = {"measures": ["open"], "period": {"from": "now", "until": "now-1d"}}
    with pytest.raises(InvalidFields):
        reports.run(at[0], reports.check(at[0], asked), moment=MOMENT)


def test_a_report_that_takes_too_long_is_stopped(at: tuple[Connection, Past], monkeypatch: pytest.MonkeyPatch) -> None:
    conn, _ = at
    monkeypatch.setattr(reports, "WITHIN_S", 0.001)
    asked = {"measures": list(MEASURES)[:6], "dimensions": ["area", "tags"], "period": PERIOD}
    report = reports.check(conn, asked)
    with pytest.raises(ReportTooLarge):
        deadline = time.monotonic() + 20.0
        while time.monotonic() < deadline:  # a quick machine may need several attempts to take longer than 1 ms
            reports.run(conn, report, moment=MOMENT)


# -- files by the clock, opened again ----------------------------------------------------------------------------------

FILED = ("opened", "cost", "resolution_kept", "resolution_p90")


def test_scheduled_files_hold_the_numbers_of_a_recomputation(at: tuple[Connection, Past]) -> None:
    """The XLSX and the PDF that the clock makes are opened again and read, cell by cell."""
    conn, past = at
    stories = stories_of(conn)
    body = {"measures": list(FILED), "dimensions": ["kind", "priority"], "period": PERIOD, "limit": 2000}
    kept = saved.keep(
        conn, past.world.planner, kind=Kind.REPORT, name="Filed", audience=Sharing.PRIVATE, body=body, now=NOW
    )
    expected = [recomputed(stories, measure, ["kind", "priority"]) for measure in FILED]
    for form, read in (("xlsx", of_xlsx), ("pdf", of_pdf)):
        schedule = reports_schedule.add(
            conn, past.world.planner, saved_id=kept.saved_id, format=form, locale="en", every="day", hour=6,
            recipients=[past.world.lin.actor_id or 0], now=NOW,
        )  # fmt: skip
        reports_schedule.make(conn, schedule, due_at=NOW, now=NOW)
        (made,) = reports_schedule.files(conn, past.world.lin, schedule.schedule_id)
        found = read(reports_schedule.content(conn, past.world.lin, made.file_id)[2])
        groups, (total,) = found[:-1], found[-1:]
        assert {(row[0], row[1]) for row in groups} == set().union(*expected) and len(groups) > 10
        assert total[0] == "All" and number(total[2]) == sum(filter(None, expected[0].values()))
        for row in groups:
            key = (row[0], row[1])
            assert fits(number(row[2]) or None, expected[0].get(key)), (form, row)
            assert fits(number(row[3]) or None, expected[1].get(key) or None), (form, row)
            share = expected[2].get(key)
            assert fits(number(row[4]), None if share is None else 100 * share), (form, row)
            assert fits(number(row[5]), expected[3].get(key)), (form, row)


def fits(shown: float | None, expected: float | None) -> bool:
    """As far as a page shows it: two digits."""
    return shown is expected is None or (None not in (shown, expected) and abs(shown - expected) <= 0.005 + 1e-9)  # type: ignore[operator]


def number(cell: str) -> float | None:
    return float(cell.replace(",", "")) if cell else None


def of_pdf(file: bytes) -> list[list[str]]:
    found = pdf_table.rows(file)
    assert found[0][2].startswith("Opened") and found[0][3].endswith("(site currency)"), found[0]
    return found[1:]


def of_xlsx(file: bytes) -> list[list[str]]:
    """Below the heading, each row with all its columns."""
    found = cells(file)
    heads = next(int(name[1:]) for name, (_, value) in found.items() if value.startswith("Opened"))
    last = max(int(name[1:]) for name in found)
    return [[found.get(f"{column}{line}", ("", ""))[1] for column in "ABCDEF"] for line in range(heads + 1, last + 1)]
