"""Search over everything: both languages, slips of the pen, rights, what was written a moment ago."""

from __future__ import annotations

import pytest
from psycopg import Connection, errors

from core.database import Database
from tests.integration import tickets_world
from tests.integration.tickets_world import NOW, World
from tickets import search, seed, service
from tickets.search import Reader

CREW = Reader()


@pytest.fixture
def world(conn: Connection) -> World:
    return tickets_world.build(conn)


def refs(conn: Connection, text: str, reader: Reader = CREW) -> list[str]:
    return [hit.code for hit in search.search(conn, text, reader=reader, kinds=("ticket",)).hits]


@pytest.mark.parametrize(
    "text",
    ["bearing", "BEARING wear", "bear", "baering", "bearign waer", "P-101", "p101", "泵轴承", "泵轴成磨损", "磨", "1"],
)
def test_a_ticket_is_found(conn: Connection, world: World, text: str) -> None:
    found = tickets_world.order(conn, world, title="Bearing wear on P-101 泵轴承磨损")
    assert refs(conn, text) == [found.ref]


@pytest.mark.parametrize("text", ["", "  ", "%", "'", "gearbox", "齿轮", "& | !", "a:*", "\\"])
def test_nothing_fits(conn: Connection, world: World, text: str) -> None:
    tickets_world.order(conn, world, title="Bearing wear on P-101 泵轴承磨损")
    assert refs(conn, text) == []


def test_the_answer_says_what_was_meant_and_where(conn: Connection, world: World) -> None:
    tickets_world.order(conn, world, title="Order", description="x " * 200 + "the coupling is loose")
    answer = search.search(conn, "coupilng", reader=CREW)
    assert answer.meant == {"coupilng": ("coupling",)}
    assert {hit.state for hit in answer.hits if hit.kind == "ticket"} == {"assigned"}
    assert "coupling" in search.search(conn, "coupling", reader=CREW, kinds=("ticket",)).hits[0].text


def test_one_of_many_words_may_be_missing(conn: Connection, world: World) -> None:
    found = tickets_world.order(conn, world, title="Bearing wear on P-101")
    assert refs(conn, "bearing wear spaceship") == [found.ref]


def test_everything_is_found(conn: Connection, world: World) -> None:
    kinds = {
        text: {hit.kind for hit in search.search(conn, text, reader=CREW).hits}
        for text in ("M-201", "Wang", "轴承磨损")
    }
    assert kinds["M-201"] == {"asset"}
    assert kinds["Wang"] == {"engineer"}
    assert "article" in kinds["轴承磨损"]


def test_a_heading_comes_before_a_text(conn: Connection, world: World) -> None:
    other = tickets_world.order(
        conn, world, kind="incident", asset_id=None, mode=None, title="Seal", description="gland"
    )
    first = tickets_world.order(
        conn, world, kind="incident", asset_id=None, mode=None, title="Gland", description="seal"
    )
    last = tickets_world.order(
        conn, world, kind="incident", asset_id=None, mode=None, title="Seal", description="gland"
    )
    assert refs(conn, "gland") == [first.ref, last.ref, other.ref]


def test_what_changes_is_found_anew(conn: Connection, world: World) -> None:
    found = tickets_world.order(conn, world, title="Squeaking")
    assert refs(conn, "coupling") == []
    service.patch(conn, world.planner, found.ticket_id, changes={"title": "Coupling"}, now=NOW)
    assert (refs(conn, "coupling"), refs(conn, "squeaking")) == ([found.ref], [])
    conn.execute("update assets set name = 'Feed pump' where asset_id = %s", (world.pump,))
    assert [hit.code for hit in search.search(conn, "feed", reader=CREW, kinds=("asset",)).hits] == ["P-101"]


def test_a_requester_finds_the_own_and_what_is_said_to_them(conn: Connection, world: World) -> None:
    mine = service.open(
        conn, world.requester, kind="request", title="Noise", requester_id=world.requester.actor_id, now=NOW
    ).ticket
    tickets_world.order(conn, world, title="Noise at P-101")
    service.comment(conn, world.planner, mine.ticket_id, text="suspicious", audience="internal", now=NOW)
    service.comment(conn, world.planner, mine.ticket_id, text="tomorrow", audience="requester", now=NOW)
    reader = Reader(world.requester.actor_id)
    assert refs(conn, "noise", reader) == [mine.ref]
    assert (refs(conn, "suspicious", reader), refs(conn, "tomorrow", reader)) == ([], [mine.ref])
    assert refs(conn, "suspicious") == [mine.ref]
    assert {hit.kind for hit in search.search(conn, "P-101 Lin Noise", reader=reader).hits} <= {"ticket"}
    assert refs(conn, "noise", Reader(world.planner.actor_id)) == []


def test_another_site_finds_nothing_and_the_index_is_out_of_reach(database: Database, site: int) -> None:
    with database.tx() as conn:
        row = conn.execute("insert into sites (code, name) values ('other', 'Other') returning site_id").fetchone()
    assert row
    with database.tx(site_id=site) as conn:
        world = tickets_world.build(conn)
        tickets_world.order(conn, world, title="Secret sauce")
        assert len(refs(conn, "secret")) == 1
    with database.tx(site_id=row[0]) as conn:
        assert search.search(conn, "secret P-101", reader=CREW).hits == ()
        assert conn.execute("select * from search_near(array['__s', '_se', 'sec'], 5)").fetchall() == []
    for table in ("search_documents", "search_words"):
        with pytest.raises(errors.InsufficientPrivilege), database.tx(site_id=site) as conn:
            conn.execute(f"select * from {table}")  # type: ignore[arg-type]  # noqa: S608


def test_the_newest_and_the_older_ones_add_up(conn: Connection, world: World) -> None:
    made = [tickets_world.order(conn, world, mode=f"m{n}", title="Gland").ticket_id for n in range(6)]
    search.keep_up(conn, {}, NOW)
    query = "select object_id from search_find('ticket', %s::tsquery, null, %s, 9, %s)"
    for nearby in (0, 1, 3, 100):
        for most in (1, 4, 9):
            found = [row[0] for row in conn.execute(query, ("gland:*", most, nearby))]
            assert found == sorted(made, reverse=True)[:most], (nearby, most)


def test_a_backlog_is_indexed_in_bites(conn: Connection, world: World) -> None:
    search.keep_up(conn, {}, NOW)
    seed.seed_site(conn)
    tickets_world.order(conn, world)
    assert search.index(conn, most=1) == 1
    search.keep_up(conn, {}, NOW)
    assert conn.execute("select count(*) from search_dirty").fetchone() == (0,)
