"""Lists by text, and what somebody is told whose version is old."""

from __future__ import annotations

import pytest
from psycopg import Connection

from core.errors import Stale
from tests.integration import tickets_world
from tests.integration.tickets_world import NOW, World, order, walk
from tickets import listing, service, store
from tickets.store import Filter, Which


@pytest.fixture
def world(conn: Connection, site: int) -> World:
    return tickets_world.build(conn)


@pytest.mark.parametrize(
    ("looked_at", "reach"),
    [(5, 99), (5000, 99), (5000, 3)],
    ids=["by the index", "by reading backwards", "backwards for a while"],
)
def test_text_and_filters_agree_whichever_way_is_taken(
    conn: Connection, world: World, monkeypatch: pytest.MonkeyPatch, looked_at: int, reach: int
) -> None:
    monkeypatch.setattr(listing, "MATCHES", 2)  # several parts
    monkeypatch.setattr(listing, "LOOKED_AT", looked_at)
    monkeypatch.setattr(listing, "REACH", reach)
    monkeypatch.setattr(listing, "COMMON", 1.1)  # nothing is
    for n in range(12):
        order(conn, world, mode=f"m{n}", title=f"轴承 {'odd' if n % 2 else 'even'} 100% {n}", priority=1 + n % 3)

    def found(**wanted: object) -> list[str]:
        page, cursor = [], None
        while True:
            part = store.find(conn, Filter(**wanted), limit=3, cursor=cursor)  # type: ignore[arg-type]
            page += [each.mode or "" for each in part.items]
            cursor = part.next
            if cursor is None:
                return page

    odd = [f"m{n}" for n in (11, 9, 7, 5, 3, 1)]
    assert found(q="odd") == found(q="ODD", which=Which.OPEN) == found(q="轴承 odd", asset_id=world.pump) == odd
    assert found(q="odd", priority=1) == ["m9", "m3"] == found(q="odd", priority=1, which=Which.OPEN)
    assert found(q="0% 1") == ["m11", "m10", "m1"] and found(q="%odd") == [] == found(q="no such")


def test_texts_are_found_newest_first_through_all_parts_of_the_list(
    conn: Connection, world: World, superuser: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "COMMON", 1.1)  # all by the index
    for n, first in enumerate((1_000, 70_000, 140_000, 210_000, 280_000)):
        superuser.execute("select setval(pg_get_serial_sequence('tickets', 'ticket_id'), %s)", (first,))
        order(conn, world, mode=f"a{n}", title="Grinding noise")
        order(conn, world, mode=f"b{n}", title="Grinding noise")

    def found(limit: int) -> list[str]:
        page = store.find(conn, Filter(q="ding noi"), limit=limit)
        rest = store.find(conn, Filter(q="ding noi"), limit=20, cursor=page.next) if page.next else None
        return [each.mode or "" for each in (*page.items, *(rest.items if rest else ()))]

    newest_first = [f"{letter}{n}" for n in (4, 3, 2, 1, 0) for letter in "ba"]
    assert all(found(limit) == newest_first for limit in (1, 2, 3, 5, 9, 10, 11))
    assert [each.mode for each in store.find(conn, Filter(q="ding noi", mode="a0")).items] == ["a0"]


def test_another_site_s_texts_are_not_found(conn: Connection, world: World) -> None:
    order(conn, world, title="Secret of the plant")
    row = conn.execute("insert into sites (code, name) values ('other', 'Other') returning site_id").fetchone()
    assert row and len(store.find(conn, Filter(q="secret")).items) == 1
    conn.execute("select set_config('app.site_id', %s, true)", (str(row[0]),))
    assert store.find(conn, Filter(q="secret")).items == []
    assert conn.execute("select count(*) from ticket_matches('%secret%', 1000, 10)").fetchone() == (0,)


def test_a_stale_version_is_told_who_changed_what(conn: Connection, world: World) -> None:
    ticket = walk(conn, world.lin, order(conn, world), "accepted")
    service.comment(conn, world.planner, ticket.ticket_id, text="No version of its own.", audience="internal", now=NOW)
    service.patch(conn, world.planner, ticket.ticket_id, changes={"title": "Other", "priority": 1}, now=NOW)
    walk(conn, world.lin, store.get(conn, ticket.ticket_id), "arrived")
    with pytest.raises(Stale, match=r"Pat changed .*title.*; Lin changed status") as refused:
        service.patch(conn, world.planner, ticket.ticket_id, changes={"title": "Mine"}, version=ticket.version, now=NOW)
    first, second = refused.value.extra["difference"]
    assert (first["version"], first["by"], first["kind"]) == (ticket.version + 1, "Pat", "edited")
    assert first["changes"]["title"] == {"before": ticket.title, "after": "Other"}
    assert second["changes"]["status"] == {"before": "accepted", "after": "arrived"}
    assert refused.value.extra["current"]["version"] == ticket.version + 2
