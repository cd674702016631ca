"""Several at once: one order a fault, no lost update; and what somebody does behind the program's back is noticed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import Connection

from core.database import Database
from core.errors import Stale
from tests.integration import tickets_world
from tests.integration.tickets_world import HOUR, NOW, World, order, walk
from tickets import service, store
from tickets.hooks import only
from tickets.model import SYSTEM, Opened

WORKERS, FAULTS = 8, 40


@pytest.fixture(autouse=True)
def nothing_registered() -> Iterator[None]:
    with only():
        yield


@pytest.fixture
def world(database: Database, site: int) -> World:
    with database.tx(site_id=site) as conn:
        return tickets_world.build(conn)


def test_eight_workers_that_see_forty_faults_at_once_open_forty_orders(
    database: Database, site: int, world: World
) -> None:
    def work(seed: int) -> list[Opened]:
        faults = list(range(FAULTS))
        random.Random(seed).shuffle(faults)
        opened = []
        for fault in faults:
            with database.tx(site_id=site) as conn:
                opened.append(
                    service.open(
                        conn,
                        world.detector,
                        kind="preventive",
                        title=f"Fault {fault}",
                        asset_id=world.pump,
                        mode=f"m{fault}",
                        skill="mechanical",
                        now=NOW,
                    )
                )
        return opened

    with ThreadPoolExecutor(WORKERS) as pool:
        answers = [opened for worker in pool.map(work, range(WORKERS)) for opened in worker]
    assert len(answers) == WORKERS * FAULTS
    assert sum(opened.created for opened in answers) == FAULTS
    with database.tx(site_id=site) as conn:
        refs = [row[0] for row in conn.execute("select ref from tickets order by ref")]
        assert refs == [f"WO-2026-{number:06d}" for number in range(1, FAULTS + 1)]  # no gap either
        assert store.verify_site(conn) == {}


def test_eight_writers_lose_no_update(database: Database, site: int, world: World) -> None:
    with database.tx(site_id=site) as conn:
        ticket = order(conn, world)
    rounds = 12

    def write(worker: int) -> int:
        done = 0
        while done < rounds:
            with database.tx(site_id=site) as conn:
                seen = store.get(conn, ticket.ticket_id)
            count = int(seen.fields.get("count", 0))
            try:
                with database.tx(site_id=site) as conn:
                    service.patch(
                        conn,
                        world.planner,
                        ticket.ticket_id,
                        changes={"fields": {"count": count + 1, "by": worker}},
                        version=seen.version,
                        now=NOW,
                    )
            except Stale:
                continue
            done += 1
        return done

    with ThreadPoolExecutor(WORKERS) as pool:
        answered = sum(pool.map(write, range(WORKERS)))
    with database.tx(site_id=site) as conn:
        after = store.get(conn, ticket.ticket_id)
        assert after.fields["count"] == answered == WORKERS * rounds
        assert after.version - ticket.version == answered
        assert store.verify_chain(conn, ticket.ticket_id) == []


def test_comments_from_eight_sides_are_all_kept_while_the_engineer_works(
    database: Database, site: int, world: World
) -> None:
    with database.tx(site_id=site) as conn:
        ticket = order(conn, world)

    def talk(worker: int) -> None:
        for number in range(5):
            with database.tx(site_id=site) as conn:
                service.comment(
                    conn, world.wang, ticket.ticket_id, text=f"{worker}/{number}", audience="internal", now=NOW
                )

    with ThreadPoolExecutor(WORKERS) as pool:
        talks = [pool.submit(talk, worker) for worker in range(WORKERS - 1)]
        with database.tx(site_id=site) as conn:
            walk(conn, world.lin, ticket, "accepted", "arrived", "done")
        for future in talks:
            future.result()
    with database.tx(site_id=site) as conn:
        said = [event for event in store.timeline(conn, ticket.ticket_id) if event.kind == "comment"]
        assert len(said) == (WORKERS - 1) * 5
        assert store.verify_chain(conn, ticket.ticket_id) == []


def test_the_application_cannot_rewrite_a_timeline(database: Database, site: int, world: World) -> None:
    with database.tx(site_id=site) as conn:
        ticket = order(conn, world)
    for statement in ("update ticket_events set body = '{}'", "delete from ticket_events"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), database.tx(site_id=site) as conn:
            conn.execute(statement)
    with database.tx(site_id=site) as conn:
        assert store.verify_chain(conn, ticket.ticket_id) == []


TAMPERINGS = {
    "body": 'update ticket_events set body = body || \'{"note": "all well"}\' where seq = 4',
    "author": "update ticket_events set actor_name = 'Wang' where seq = 3",
    "time": "update ticket_events set at = at - interval '1 hour' where seq = 3",
    "tail": "delete from ticket_events where seq = 5",
    "middle": "delete from ticket_events where seq = 3",
    "all": "delete from ticket_events",
    "insert": """insert into ticket_events (site_id, ticket_id, seq, at, actor_kind, actor_name, kind, body,
                   prev_hash, hash)
                 select site_id, ticket_id, seq + 1, at, actor_kind, actor_name, kind, body, hash, hash
                 from ticket_events where seq = 5""",
    "row": "update tickets set status = 'closed'",
    "row time": "update tickets set resolve_by = resolve_by + interval '9 days'",
    "row head": "update tickets set event_count = 4, head_hash = (select hash from ticket_events where seq = 4)",
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_tampering_behind_the_program_is_noticed(
    database: Database, site: int, world: World, superuser: Connection, what: str
) -> None:
    with database.tx(site_id=site) as conn:
        ticket = walk(conn, world.lin, order(conn, world), "accepted", "arrived", "on_hold")
        assert store.verify_site(conn) == {}
    changed = superuser.execute(TAMPERINGS[what])
    assert changed.rowcount > 0
    with database.tx(site_id=site) as conn:
        assert store.verify_chain(conn, ticket.ticket_id)
        assert list(store.verify_site(conn)) == [ticket.ref]


def test_opening_and_closing_in_a_race_always_ends_with_one_answer(database: Database, site: int, world: World) -> None:
    """While some close the order of a fault, others report it: each gets an open order, and at most one lives."""

    def report() -> None:
        for _ in range(10):
            with database.tx(site_id=site) as conn:
                opened = service.open(
                    conn, SYSTEM, kind="sensor-fault", title="x", asset_id=world.pump, mode="sensor:v:stuck", now=NOW
                )
                assert opened.ticket.is_open

    def close() -> None:
        for _ in range(15):
            with database.tx(site_id=site) as conn:
                found = store.open_for(conn, world.pump, "sensor:v:stuck")
                if found is not None and store.lock(conn, found.ticket_id).is_open:
                    service.transition(conn, SYSTEM, found.ticket_id, to="closed", fields={}, now=NOW + HOUR)

    work: list[Callable[[], None]] = [report, report, report, close, close]
    with ThreadPoolExecutor(len(work)) as pool:
        for future in [pool.submit(each) for each in work]:
            future.result()
    with database.tx(site_id=site) as conn:
        alive = conn.execute("select count(*) from tickets where status <> 'closed'").fetchone()
        assert alive is not None
        assert alive[0] <= 1
        assert store.verify_site(conn) == {}
