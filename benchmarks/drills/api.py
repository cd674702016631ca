"""kill -9 of the web server and of the database while people write: a 2xx is durable, a retry has one effect.

Every writer keeps a ledger of what it was answered. What got no answer is sent again with its Idempotency-Key until
there is one; some of what was answered is sent again too, and must get the same ticket. At the end ledger and database
are compared both ways, the audit is verified, and then a thousand single tamperings are tried, each undone again.
The control takes no notice of the key and does not wait for the disk: it must double, and may lose.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg import Connection

from benchmarks.hostile_wire import CUT, Wire
from benchmarks.served import Build, Served
from core.clock import wall_now
from core.errors import NotFound
from core.seals import Seal
from tickets import audit, roots

WRITERS = 6
AGAIN_SHARE = 0.1
DATABASE_EVERY = 4  # each fourth kill is the database's
PAUSE_S = (0.0, 0.5)
WORK_S = 60.0
SEAL = Seal("the drill's", purpose="audit")
GOALS = {"lost": "== 0", "double": "== 0", "refused": "== 0", "audit_gaps": "== 0", "control_double": ">= 1"}
UNSYNCED = {"synchronous_commit": "off"}


@dataclass(slots=True)
class Ledger:
    """What one writer was told: title → ticket, text of a comment → ticket; how often a retry got another ticket."""

    tickets: dict[str, int] = field(default_factory=dict)
    comments: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    different: int = 0
    refused: list[str] = field(default_factory=list)

    @property
    def writes(self) -> int:
        """How many were answered."""
        return len(self.tickets) + len(self.comments)


class Writer(threading.Thread):
    """Opens tickets and comments on them until told to stop; gives up on nothing."""

    def __init__(self, up: Served, number: int, seed: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.up, self.number, self.stop = up, number, stop
        self.chance = random.Random(f"{seed}/{number}")  # noqa: S311
        self.ledger = Ledger()

    def run(self) -> None:
        """One change after another."""
        turn = 0
        with Wire(self.up.port) as line:
            while not self.stop.is_set():
                turn += 1
                name = f"{self.number}-{turn}"
                if turn % 3 or not self.ledger.tickets:
                    self._open(line, f"ticket {name}")
                else:
                    self._comment(line, f"comment {name}")

    def _open(self, line: Wire, title: str) -> None:
        made = self._until_answered(line, "/api/v1/tickets", {"kind": "request", "title": title}, key=title)
        if made is not None:
            self.ledger.tickets[title] = int(made["ticket_id"])

    def _comment(self, line: Wire, text: str) -> None:
        ticket_id = self.chance.choice(list(self.ledger.tickets.values()))
        if self._until_answered(line, f"/api/v1/tickets/{ticket_id}/comments", {"text": text}, key=text) is not None:
            self.ledger.comments[text] = ticket_id

    def _until_answered(self, line: Wire, path: str, body: dict[str, str], *, key: str) -> dict[str, Any] | None:
        """The answer, which a second sending must repeat; None when it was refused."""
        found = self._send(line, path, body, key)
        if found is not None and self.chance.random() < AGAIN_SHARE:
            again = self._send(line, path, body, key)
            self.ledger.different += again is None or again.get("ticket_id") != found.get("ticket_id")
        return found

    def _send(self, line: Wire, path: str, body: dict[str, str], key: str) -> dict[str, Any] | None:
        headers = {
            "Authorization": f"Bearer {self.up.tokens['planner']}",
            "Content-Type": "application/json",
            "Idempotency-Key": key.replace(" ", "-"),
        }
        while True:
            status, answer = CUT, b""
            with suppress(OSError):
                status, _, answer = line.ask("POST", path, headers, json.dumps(body).encode())
            if 200 <= status < 300:
                found: dict[str, Any] = json.loads(answer)
                return found
            if status not in (CUT, 503):
                self.ledger.refused.append(f"{status} {answer[:200]!r}")
                return None
            self.ledger.retries += 1
            time.sleep(0.05)


@dataclass(slots=True)
class Told:
    """What a run found; the database is still there while its block lasts."""

    lost: int
    double: int
    writes: int
    retries: int
    refused: int


@contextmanager
def ran(kills: int, seed: int, *, build: Build = Build.HONEST) -> Iterator[tuple[Served, Told]]:
    """Kill so many times while six people write; then compare."""
    chance, stop = random.Random(seed), threading.Event()  # noqa: S311
    with Served(build=build, settings={} if build is Build.HONEST else UNSYNCED) as up:
        writers = [Writer(up, number, seed, stop) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        for number in range(kills):
            _work(writers)
            time.sleep(chance.uniform(*PAUSE_S))
            _kill(up, database=number % DATABASE_EVERY == DATABASE_EVERY - 1)
        _work(writers)
        stop.set()
        for writer in writers:
            writer.join(60)
        yield up, _compare(up, [writer.ledger for writer in writers])


def _work(writers: list[Writer]) -> None:
    """Wait until some more was answered: a kill during the start would prove nothing. Raises TimeoutError."""
    until, mark = time.monotonic() + WORK_S, sum(writer.ledger.writes for writer in writers) + WRITERS
    while sum(writer.ledger.writes for writer in writers) < mark:
        if time.monotonic() > until:
            raise TimeoutError(f"nobody was answered within {WORK_S:.0f} s")
        time.sleep(0.01)


def _kill(up: Served, *, database: bool) -> None:
    """And start again at once; from the main thread, with which the child would end."""
    if database:
        up.kill_database()
        up.cluster.start()
    else:
        up.kill()
        up.start()


def _compare(up: Served, ledgers: list[Ledger]) -> Told:
    with up.database.tx(site_id=up.site_id) as conn:
        titles = Counter(row[0] for row in conn.execute("select title from tickets where title like 'ticket %'"))
        ids = dict(conn.execute("select title, ticket_id from tickets where title like 'ticket %'").fetchall())
        query = "select body->>'text' from ticket_events where kind = 'comment' and body->>'text' like 'comment %'"
        texts = Counter(row[0] for row in conn.execute(query))
    for line in [refused for ledger in ledgers for refused in ledger.refused][:5]:
        print(f"  ! {line}")
    lost = sum(ids.get(title) is None for ledger in ledgers for title in ledger.tickets)
    lost += sum(not texts[text] for ledger in ledgers for text in ledger.comments)
    more = sum(found - 1 for found in (*titles.values(), *texts.values()))
    return Told(
        lost=lost,
        double=more + sum(ledger.different for ledger in ledgers),
        writes=sum(ledger.writes for ledger in ledgers),
        retries=sum(ledger.retries for ledger in ledgers),
        refused=sum(len(ledger.refused) for ledger in ledgers),
    )


def figures(kills: int, tamperings: int, seed: int) -> dict[str, float | None]:
    """As the issue names them; the control is killed a fifth as often."""
    with ran(kills, seed) as (up, told):
        print(f"  {told}", flush=True)
        roots.sign_with(SEAL)
        with up.database.tx(site_id=up.site_id) as conn:
            roots.extend(conn, wall_now())
            gaps = [
                *audit.tickets(conn, now=wall_now()).problems,
                *audit.numbers(conn),
                *roots.problems(conn, signer=SEAL),
            ]
        for problem in gaps[:5]:
            print(f"  ! {problem}")
        detected = tampered(up, tamperings, seed)
        roots.sign_with(None)
    with ran(max(5, kills // 5), seed, build=Build.FORGETFUL) as (_, control):
        print(f"  control: {control}", flush=True)
    return {
        "kills": kills,
        "writes": told.writes,
        "retries": told.retries,
        "lost": told.lost,
        "double": told.double,
        "refused": told.refused,
        "audit_gaps": len(gaps),
        "tamperings": tamperings,
        "tamperings_detected": detected,
        "control_writes": control.writes,
        "control_lost": control.lost,
        "control_double": control.double,
    }


# -- tampering, as somebody who owns the whole database ----------------------------------------------------------------

TAMPERINGS: dict[str, LiteralString] = {
    "an event's body": "update ticket_events set body = body || '{\"x\": 1}' where ticket_id = %(t)s and seq = %(s)s",
    "an event's person": "update ticket_events set actor_name = 'Eve' where ticket_id = %(t)s and seq = %(s)s",
    "an event's time": "update ticket_events set at = at - interval '1 hour' where ticket_id = %(t)s and seq = %(s)s",
    "an event's kind": "update ticket_events set kind = kind || 'x' where ticket_id = %(t)s and seq = %(s)s",
    "an event's hash": "update ticket_events set hash = sha256(hash) where ticket_id = %(t)s and seq = %(s)s",
    "an event gone": "delete from ticket_events where ticket_id = %(t)s and seq = %(s)s",
    "a timeline gone": "delete from ticket_events where ticket_id = %(t)s",
    "a ticket gone": "delete from tickets where ticket_id = %(t)s",
    "a title": "update tickets set title = title || '.' where ticket_id = %(t)s",
    "a status": "update tickets set status = 'closed' where ticket_id = %(t)s",
    "a priority": "update tickets set priority = priority %% 5 + 1 where ticket_id = %(t)s",
    "a count": "update tickets set event_count = event_count - 1 where ticket_id = %(t)s",
    "a leaf of a root": "update audit_roots set event_counts[1] = event_counts[1] + 1 where seq = 1",
    "a root gone": "delete from audit_roots where seq = 1",
}


def tampered(up: Served, count: int, seed: int) -> int:
    """How many of so many single changes the audit finds; each is undone again."""
    chance, missed, found = random.Random(seed), Counter[str](), 0  # noqa: S311
    with psycopg.connect(up.superuser, autocommit=True) as conn:
        conn.execute("set session_replication_role = replica")  # no trigger and no foreign key stands in the way
        conn.execute("select set_config('app.site_id', %s, false)", (str(up.site_id),))
        events = conn.execute("select ticket_id, seq from ticket_events").fetchall()
        for _ in range(count):
            name, (ticket_id, seq) = chance.choice(list(TAMPERINGS)), chance.choice(events)
            with conn.transaction(force_rollback=True):
                changed = conn.execute(TAMPERINGS[name], {"t": ticket_id, "s": seq}).rowcount
                shown = changed > 0 and _shows(conn, ticket_id)
            found += shown
            missed[name] += not shown
    for name, times in (+missed).items():
        print(f"  ! not detected: {name}, {times} times")
    return found


def _shows(conn: Connection, ticket_id: int) -> bool:
    """Whether the audit says anything against this ticket, the numbers or the roots."""
    with suppress(NotFound):
        if audit.ticket(conn, ticket_id, now=wall_now()).problems:
            return True
    return any(roots.problems(conn, signer=SEAL, ticket_id=ticket_id)) or any(audit.numbers(conn))
