"""Whatever is tampered with, by somebody who owns the whole database, shows and is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import pytest
from psycopg import Connection

from api.commands import audit as command
from api.instance import Instance
from core import jobs
from core.database import Database
from core.seals import Seal
from core.settings import Settings
from tests.integration import tickets_world
from tests.integration.tickets_world import NOW, order, walk
from tickets import audit, audit_jobs, chain, roots, service, store

SEAL = Seal("a secret of the test", purpose="audit")


@pytest.fixture
def audited(database: Database, site: int) -> Iterator[Database]:
    """Three orders, two roots: the second one saw the first order again, and the third order for the first time."""
    roots.sign_with(SEAL)
    with database.tx(site_id=site) as conn:
        world = tickets_world.build(conn)
        first = order(conn, world)
        order(conn, world, mode="cavitation")
    with database.tx(site_id=site) as conn:
        assert roots.extend(conn, NOW) == 2
    with database.tx(site_id=site) as conn:
        walk(conn, world.lin, first, "accepted")
        order(conn, world, mode="misalignment")
    assert audit_jobs.ROOT_S <= 60
    jobs.run_periodic(database, "audit.root")
    yield database
    roots.sign_with(None)


def found(database: Database, site: int) -> list[str]:
    with database.tx(site_id=site) as conn:
        part = audit.tickets(conn, now=NOW)
        return [*part.problems, *audit.numbers(conn), *roots.problems(conn, signer=SEAL)]


def test_what_nobody_touched_is_whole_and_each_root_covers_what_is_new(audited: Database, site: int) -> None:
    assert found(audited, site) == []
    with audited.tx(site_id=site) as conn:
        rows = conn.execute("select seq, ticket_ids, event_counts from audit_roots order by seq").fetchall()
        refs = [store.get(conn, ident).ref for ident in rows[1][1]]
        assert roots.extend(conn, NOW) == 0  # nothing new, no root
        head = roots.head(conn)
        assert head and head.seq == 2
        assert roots.expected(conn, 2, head.hash.hex()[:12]) is None
        assert roots.expected(conn, 2, "0" * 12) and roots.expected(conn, 3, "0" * 12)
    assert [(seq, counts) for seq, _, counts in rows] == [(1, [2, 2]), (2, [3, 2])]
    assert refs == ["WO-2026-000001", "WO-2026-000003"]


CASES: list[tuple[str, LiteralString, tuple[str, ...]]] = [
    (
        "event changed",
        "update ticket_events set body = '{}' where ticket_id = 1 and seq = 1",
        ("000001: Event 1 was changed",),
    ),
    (
        "event renamed",
        "update ticket_events set actor_name = 'Eve' where ticket_id = 1 and seq = 2",
        ("000001: Event 2 was changed",),
    ),
    (
        "tail deleted",
        "delete from ticket_events where ticket_id = 1 and seq = 3",
        ("counts 3 events, the timeline has 2", "root 2 saw 3"),
    ),
    ("row changed", "update tickets set priority = 1 where ref = 'WO-2026-000002'", ("000002: The row's priority",)),
    (
        "ticket deleted",
        "delete from tickets where ref = 'WO-2026-000002'",
        (
            "3 tickets were opened and 2 are there; missing: WO-2026-000002",
            "events of it are left",
            "was deleted: root 1",
        ),
    ),
    ("root deleted", "delete from audit_roots where seq = 1", ("Root 1 is missing",)),
    ("last root deleted", "delete from audit_roots where seq = 2", ("Root 2 at the end of the chain was deleted",)),
    ("root changed", "update audit_roots set at = at + interval '1 day' where seq = 1", ("Root 1 was changed",)),
    ("leaf changed", "update audit_roots set event_counts[1] = 1 where seq = 1", ("Root 1 was changed",)),
    ("head deleted", "delete from audit_heads", ("The head of the chain of roots was deleted",)),
    ("head turned back", "update audit_heads set seq = 1", ("head of the chain of roots is not", "not signed")),
]


@pytest.mark.parametrize(("tampering", "sentences"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_tampering_is_named(
    audited: Database, superuser: Connection, site: int, tampering: LiteralString, sentences: tuple[str, ...]
) -> None:
    superuser.execute("set session_replication_role = replica")  # no trigger and no foreign key stands in the way
    assert superuser.execute(tampering).rowcount > 0
    said = "\n".join(found(audited, site))
    assert all(sentence in said for sentence in sentences), said


def test_a_timeline_that_was_rewritten_as_a_whole_shows_against_the_root(
    audited: Database, superuser: Connection, site: int
) -> None:
    """The forger changes an event, computes every hash anew, and makes the row fit."""
    with audited.tx(site_id=site) as conn:
        ticket = store.by_ref(conn, "WO-2026-000002")
        events = store.timeline(conn, ticket.ticket_id)
    previous = chain.GENESIS
    for event in events:
        forged = chain.seal(_with(event, previous))
        superuser.execute(
            "update ticket_events set actor_name = %s, prev_hash = %s, hash = %s where ticket_id = %s and seq = %s",
            (forged.actor.name, forged.prev_hash, forged.hash, forged.ticket_id, forged.seq),
        )
        previous = forged.hash
    superuser.execute("update tickets set head_hash = %s where ticket_id = %s", (previous, ticket.ticket_id))
    with audited.tx(site_id=site) as conn:
        assert store.verify_chain(conn, ticket.ticket_id) == []
    assert found(audited, site) == [
        f"{ticket.ref}: its timeline was rewritten: event 2 is not the one that root 1 saw."
    ]


def _with(event: chain.Event, previous: bytes) -> chain.Event:
    return chain.replace(event, actor=chain.replace(event.actor, name="Eve"), prev_hash=previous)


def test_roots_of_another_key_do_not_pass(audited: Database, site: int) -> None:
    with audited.tx(site_id=site) as conn:
        said = list(roots.problems(conn, signer=Seal("somebody else's", purpose="audit")))
    assert said[0] == "Root 1 to 2 are not signed with this instance's key." and len(said) == 2


def test_a_transaction_that_is_still_running_is_covered_by_a_later_root(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        world = tickets_world.build(conn)
    with database.tx(site_id=site) as slow:
        late = order(slow, world)
        with database.tx(site_id=site) as conn:
            quick = service.open(conn, world.planner, kind="request", title="Quick", now=NOW).ticket
        with database.tx(site_id=site) as conn:
            covered = roots.extend(conn, NOW)
    with database.tx(site_id=site) as conn:
        covered += roots.extend(conn, NOW)
        seen = conn.execute("select unnest(ticket_ids) from audit_roots").fetchall()
    assert covered == 2 and {row[0] for row in seen} == {late.ticket_id, quick.ticket_id}


def test_the_verb_says_it_and_its_exit_code_too(
    audited: Database,
    superuser: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chosen = Settings(data_dir=tmp_path, database_url=audited.app_dsn)
    monkeypatch.setattr(command, "settings", lambda: chosen)
    monkeypatch.setattr(command, "seal_of", lambda _instance: SEAL)
    assert Instance(chosen).data_dir == tmp_path
    assert command.audit(["verify"]) == 0
    assert "plant: 3 tickets with 7 events" in capsys.readouterr().out
    assert command.audit(["verify", "--ticket", "WO-2026-000001"]) == 0
    superuser.execute("update tickets set title = 'Another' where ref = 'WO-2026-000001'")
    assert command.audit(["verify", "--site", "plant"]) == 1
    said = capsys.readouterr().out
    assert "WO-2026-000001: The row's title is not what the timeline says." in said and "1 problems" in said
    assert command.audit(["verify", "--ticket", "WO-2026-000002"]) == 0
    assert command.audit(["verify", "--ticket", "WO-2026-000001", "--expect", "2:00000000"]) == 1
