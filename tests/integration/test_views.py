"""Lists: a filter equals the same test in Python, pages add up in every order, views are kept."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from core.database import Database
from core.embedded import EmbeddedServer
from core.errors import Invalid, NotFound, Stale
from tests.api_world import cloned
from tests.integration import reports_world, tickets_world
from tests.integration.reports_world import Past
from tests.integration.tickets_world import NOW
from tickets import export, saved, saved_bodies, store, views
from tickets.errors import InvalidFields, NotAllowed
from tickets.export import BOM, Column
from tickets.model import Ticket
from tickets.saved import Kind, NameTaken, Sharing
from tickets.store import Filter
from tickets.views import Viewer


@pytest.fixture(scope="module")
def past(server: EmbeddedServer) -> Iterator[tuple[Database, int, Past]]:
    """One seeded past for the tests that only read."""
    with cloned(server) as database:
        with database.tx() as conn:
            row = conn.execute("insert into sites (code, name) values ('p', 'P') returning site_id").fetchone()
        assert row
        with database.tx(site_id=row[0]) as conn:
            made = reports_world.build(conn)
        yield database, row[0], made


@pytest.fixture
def at(past: tuple[Database, int, Past]) -> Iterator[tuple[Connection, Past]]:
    database, site, made = past
    with database.tx(site_id=site) as conn:
        yield conn, made


def listed(conn: Connection, viewer: Viewer, conditions: Any, **more: Any) -> list[int]:
    asked = views.ask(conn, viewer, filter=conditions, **more)
    return [row.ticket_id for row in views.page(conn, viewer, asked, moment=views.moment(conn, NOW), limit=200).rows]


def every(conn: Connection) -> list[Ticket]:
    return store.find(conn, Filter(), limit=200).items


def where(field: str, op: str, value: Any = None) -> dict[str, Any]:
    return {"field": field, "op": op, "value": value}


Test = Callable[[Ticket], Any]
FILTERS: list[tuple[list[dict[str, Any]], Test]] = [
    ([where("priority", "in", [1, 2])], lambda t: t.priority in (1, 2)),
    ([where("priority", "between", [2, 4])], lambda t: 2 <= t.priority <= 4),
    ([where("kind", "eq", "incident")], lambda t: t.kind == "incident"),
    ([where("kind", "ne", "incident")], lambda t: t.kind != "incident"),
    ([where("status", "not_in", ["closed", "cancelled"])], lambda t: t.is_open),
    ([where("open", "is", False)], lambda t: not t.is_open),
    ([where("title", "contains", "SEAL")], lambda t: "seal" in t.title.lower()),
    ([where("title", "starts", "=SUM(")], lambda t: t.title.startswith("=SUM(")),
    ([where("title", "contains", "%")], lambda t: "%" in t.title),
    ([where("asset", "eq", "P-101")], lambda t: t.asset_id == 1),
    ([where("asset", "empty")], lambda t: t.asset_id is None),
    ([where("area", "eq", "HALL-A")], lambda t: t.asset_id == 1),
    ([where("mode", "filled")], lambda t: t.mode is not None),
    ([where("mode", "ne", "leak.1")], lambda t: t.mode != "leak.1"),
    ([where("tags", "any", ["oil", "night"])], lambda t: {"oil", "night"} & set(t.tags)),
    ([where("tags", "all", ["oil", "night"])], lambda t: {"oil", "night"} <= set(t.tags)),
    ([where("tags", "none", ["oil"])], lambda t: "oil" not in t.tags),
    ([where("tags", "empty")], lambda t: not t.tags),
    ([where("cost", "gt", 500)], lambda t: t.cost > 500),
    ([where("downtime_h", "le", 5)], lambda t: t.downtime_s is not None and t.downtime_s <= 18000),
    ([where("safety", "is", True)], lambda t: t.safety),
    ([where("unassigned", "is", True)], lambda t: t.assignee_id is None),
    ([where("mine", "is", True)], lambda t: t.assignee_name == "Lin"),
    ([where("engineer", "in", ["Wang"])], lambda t: t.assignee_name == "Wang"),
    (
        [where("overdue", "is", True)],
        lambda t: t.resolve_by and t.resolve_by < (t.done_at or t.closed_at or NOW),
    ),
    ([where("opened_at", "ge", "now-20d")], lambda t: t.opened_at >= NOW - timedelta(days=20)),
    (
        [where("opened_at", "between", ["2026-02-01T00:00:00+08:00", "today-3d"])],
        lambda t: "2026-01-31T16" <= t.opened_at.isoformat() < "2026-02-27",
    ),
    ([where("closed_at", "empty")], lambda t: t.closed_at is None),
    ([where("fields.colour", "eq", "red")], lambda t: t.fields.get("colour") == "red"),
    ([where("fields.crew", "ge", 5)], lambda t: t.fields.get("crew", 0) >= 5),
    ([where("fields.wet", "is", True)], lambda t: t.fields.get("wet")),
    ([where("fields.seen", "lt", "2026-03-01T00:00:00Z")], lambda t: "seen" in t.fields),
    ([where("requester_id", "filled"), where("priority", "lt", 3)], lambda t: t.requester_id and t.priority < 3),
    ([], lambda _t: True),
]


@pytest.mark.parametrize(("conditions", "test"), FILTERS, ids=[str(each[0])[:60] for each in FILTERS])
def test_a_filter_equals_the_same_test_in_python(
    at: tuple[Connection, Past], conditions: list[dict[str, Any]], test: Test
) -> None:
    conn, past = at
    wanted = [each.ticket_id for each in every(conn) if test(each)]
    assert listed(conn, past.lin, conditions) == wanted
    assert len(wanted) < past.tickets or not conditions


SORTS = [["priority"], ["-priority", "opened_at"], ["-closed_at"], ["mode", "-cost"], ["engineer"], ["fields.crew"],
         ["overdue", "title"], ["-downtime_h", "asset"], []]  # fmt: skip


@pytest.mark.parametrize("sort", SORTS, ids=str)
@pytest.mark.parametrize("size", [1, 7])
def test_pages_add_up_to_the_whole(at: tuple[Connection, Past], sort: list[str], size: int) -> None:
    conn, past = at
    asked = views.ask(conn, past.planner, sort=sort)
    moment = views.moment(conn, NOW)
    cursor, seen = None, []
    while True:
        part = views.page(conn, past.planner, asked, moment=moment, limit=size, cursor=cursor)
        seen += [row.ticket_id for row in part.rows]
        cursor = part.next
        if cursor is None:
            break
    assert seen == listed(conn, past.planner, [], sort=sort)
    assert len(seen) == len(set(seen)) == len(every(conn)) == views.count(conn, past.planner, asked, moment=moment)


def test_what_is_opened_meanwhile_neither_repeats_nor_hides_a_row(conn: Connection) -> None:
    world = tickets_world.build(conn)
    viewer, moment = Viewer(world.planner.actor_id or 0, None), views.moment(conn, NOW)
    made = [tickets_world.order(conn, world, mode=f"m{n}", priority=n % 3 + 1).ticket_id for n in range(6)]
    asked = views.ask(conn, viewer, sort=["priority"])
    first = views.page(conn, viewer, asked, moment=moment, limit=3)
    tickets_world.order(conn, world, mode="new", priority=1)
    rest = views.page(conn, viewer, asked, moment=moment, limit=9, cursor=first.next)
    assert sorted(row.ticket_id for row in first.rows + rest.rows) == sorted(made)


BAD = [
    ({"filter": [{"field": "site_id", "op": "eq", "value": 1}]}, "no field"),
    ({"filter": [{"field": "title; drop table tickets", "op": "eq", "value": "x"}]}, "no field"),
    ({"filter": [where("priority", "contains", "1")]}, "compared by"),
    ({"filter": [where("priority", "eq", "1")]}, "number"),
    ({"filter": [where("opened_at", "ge", "yesterday")]}, "RFC 3339"),
    ({"filter": [where("opened_at", "ge", "2026-01-01T00:00:00")]}, "RFC 3339"),
    ({"filter": [where("kind", "in", [])]}, "list of 1"),
    ({"filter": [where("opened_at", "between", ["now"])]}, "beginning and an end"),
    ({"filter": {"field": "kind"}}, "list of at most"),
    ({"filter": [where("kind", "eq", "x")] * 31}, "list of at most"),
    ({"filter": [{"field": ["kind"], "op": "eq"}]}, "no field"),
    ({"filter": [where("title", "eq", "\x00")]}, "text"),
    ({"sort": ["tags"]}, "not sorted"),
    ({"sort": ["-nothing"]}, "not sorted"),
    ({"columns": ["head_hash"]}, "no field"),
]


@pytest.mark.parametrize(("asked", "said"), BAD, ids=[str(each[0])[:50] for each in BAD])
def test_what_does_not_fit_is_refused_by_name(at: tuple[Connection, Past], asked: dict[str, Any], said: str) -> None:
    conn, past = at
    with pytest.raises(InvalidFields, match=said):
        views.ask(conn, past.planner, **asked)


def test_a_cursor_of_another_order_is_refused(at: tuple[Connection, Past]) -> None:
    conn, past = at
    moment = views.moment(conn, NOW)
    part = views.page(conn, past.planner, views.ask(conn, past.planner, sort=["cost"]), moment=moment, limit=1)
    for cursor in (part.next, "x", "e30", "W10", "WyIiLCB0cnVlXQ"):
        with pytest.raises(Invalid):
            views.page(conn, past.planner, views.ask(conn, past.planner), moment=moment, cursor=cursor)


def test_a_requester_lists_the_own_and_filters_by_what_they_see(at: tuple[Connection, Past]) -> None:
    conn, past = at
    wanted = [each.ticket_id for each in every(conn) if each.requester_id == past.requester.user_id]
    assert 0 < len(wanted) < past.tickets
    assert listed(conn, past.requester, []) == wanted
    for field in ("cost", "tags", "engineer", "fields.colour"):
        with pytest.raises(InvalidFields):
            views.ask(conn, past.requester, filter=[where(field, "filled")])


def test_words_narrow_a_list(at: tuple[Connection, Past]) -> None:
    conn, past = at
    wanted = [each.ticket_id for each in every(conn) if "轴承" in each.title and each.priority < 4]
    assert wanted
    assert listed(conn, past.planner, [where("priority", "lt", 4)], text="轴承") == wanted


def test_a_file_has_every_row_and_no_formula(at: tuple[Connection, Past]) -> None:
    conn, past = at
    asked = views.ask(conn, past.planner, columns=["ref", "title", "cost", "opened_at", "tags", "fields.wet"])
    moment = views.moment(conn, NOW)
    rows = (list(row.values.values()) for row in views.rows(conn, past.planner, asked, moment=moment))
    heads = [Column(name, asked.fields[name].label["zh"], asked.fields[name].unit) for name in asked.columns]
    text = b"".join(export.csv_lines(heads, rows, zone=moment.zone, bom=BOM)).decode()
    assert text.startswith("\ufeff编号,标题,费用 (currency)")
    read = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert len(read) == len(every(conn)) + 1
    formulas = [row[1] for row in read if "SUM" in row[1]]
    assert formulas and all(each.startswith("'=") for each in formulas)
    assert [row[2] for row in read[1:]] == [repr(each.cost) for each in every(conn)]


ASCII_CELLS = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "  =1", "\n=1"]
ALIKE_CELLS = ["＝1", "＋1", "－1", "＠x", "﹦1", "⁺1", "−1", "\u3000＝1", "\u200b=1", "\ufeff=1", "\x00=1"]


@pytest.mark.parametrize("cell", [*ASCII_CELLS, *ALIKE_CELLS])
def test_a_cell_is_neutral(cell: str) -> None:
    assert export.csv_cell(cell, NOW.tzinfo) == "'" + cell  # type: ignore[arg-type]
    assert export.csv_cell(-1.5, NOW.tzinfo) == "-1.5"  # type: ignore[arg-type]
    assert export.neutral("泵 =1") == "泵 =1"


# what people keep -----------------------------------------------------------------------------------------------------


def test_a_view_is_kept_shared_changed_and_forgotten(conn: Connection) -> None:
    world = tickets_world.build(conn)
    viewer = Viewer(world.planner.actor_id or 0, None)
    body = saved_bodies.checked(conn, viewer, Kind.VIEW, {"sort": ["-cost"], "filter": [where("open", "is", True)]})
    mine = saved.keep(conn, world.planner, kind=Kind.VIEW, name="Dear", audience=Sharing.PRIVATE, body=body, now=NOW)
    with pytest.raises(NameTaken):
        saved.keep(conn, world.planner, kind=Kind.VIEW, name="Dear", audience=Sharing.PRIVATE, body=body, now=NOW)
    assert saved.mine(conn, world.lin, kind=Kind.VIEW) == []
    with pytest.raises(NotFound):
        saved.get(conn, world.lin, mine.saved_id)
    shared = saved.change(conn, world.planner, mine.saved_id, changes={"audience": Sharing.SHARED}, version=1, now=NOW)
    assert [each.name for each in saved.mine(conn, world.lin, kind=Kind.VIEW)] == ["Dear"]
    saved.set_default(conn, world.lin, kind=Kind.VIEW, saved_id=shared.saved_id)
    assert saved.default(conn, world.lin, kind=Kind.VIEW) == shared.saved_id
    with pytest.raises(NotAllowed):
        saved.change(conn, world.lin, mine.saved_id, changes={"name": "x"}, version=2, now=NOW)
    with pytest.raises(Stale):
        saved.change(conn, world.planner, mine.saved_id, changes={"name": "x"}, version=1, now=NOW)
    saved.delete(conn, world.planner, mine.saved_id)
    assert saved.default(conn, world.lin, kind=Kind.VIEW) is None


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Kind.VIEW, {"filter": [where("nothing", "eq", 1)]}),
        (Kind.VIEW, {"colour": "red"}),
        (Kind.REPORT, {"measures": []}),
        (Kind.REPORT, {"measures": ["opened"], "dimensions": ["moon"]}),
        (Kind.DASHBOARD, {"tiles": []}),
        (Kind.DASHBOARD, {"tiles": [{"title": "x", "chart": "pie", "width": 1, "report": {"measures": ["opened"]}}]}),
    ],
)
def test_a_body_that_does_not_fit_is_not_kept(at: tuple[Connection, Past], kind: Kind, body: dict[str, Any]) -> None:
    conn, past = at
    with pytest.raises(InvalidFields):
        saved_bodies.checked(conn, past.planner, kind, body)
