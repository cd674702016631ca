"""Back-tests as they are asked for, run and kept: one at a time a site, each in a process of its own.

waiting ──start──> running ──finish──> done
   │                  ├──fail, or no beat for STILL──> failed
   └──────cancel──────┴──> cancelled       (its process sees it at its next beat and ends)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from core import live
from core.errors import NotFound
from maintenance import backtest
from maintenance.errors import BacktestOver, BacktestsWaiting
from maintenance.policies import Scope
from maintenance.replay import run as running
from maintenance.replay.model import Change, Period

CHANNEL = "backtests"
WAITING_MOST = 5  # unfinished ones of a site
STILL = timedelta(seconds=120)  # wall time without a beat after which nobody runs it
ROW: LiteralString = """
  select backtest_id, config_hash, config, from_at, until_at, state, progress, reached_at, why, result, made_by,
         made_at, ended_at
  from backtests """


class State(StrEnum):
    """How far a back-test is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be judged: settings instead of those of the policy with this scope (none: the policies in force), with
    these detector versions let, over the last days."""

    settings: Mapping[str, Any]
    scope: Scope
    lets: Sequence[int]
    days: float


@dataclass(frozen=True, slots=True)
class Kept:
    """A back-test. ``progress`` is a share; ``reached_at`` the plant time it has come to; ``result`` of one done."""

    backtest_id: int
    config_hash: str
    config: dict[str, Any]
    from_at: datetime
    until_at: datetime
    state: str
    progress: float
    reached_at: datetime | None
    why: str
    result: dict[str, Any] | None
    made_by: str
    made_at: datetime
    ended_at: datetime | None


def ask(conn: Connection, asked: Asked, *, by: str, now: datetime) -> Kept:
    """Put it into the queue. Raises BadPolicy, BadReplay, NotFound, BacktestsWaiting."""
    found = backtest.config(conn, asked.settings, scope=asked.scope, lets=asked.lets)
    period = running.period(conn, start=None, end=now, days=asked.days)
    refuse_more(conn)
    return _told(conn, insert(conn, {**found, "let_ids": list(asked.lets)}, period, by=by, now=now))


def refuse_more(conn: Connection) -> None:
    """Raise BacktestsWaiting when so many are unfinished; until the transaction ends nobody else adds one."""
    conn.execute("select pg_advisory_xact_lock(hashtext('backtests'), current_site())")
    row = conn.execute("select count(*) from backtests where state in ('waiting', 'running')").fetchone()
    if row and row[0] >= WAITING_MOST:
        raise BacktestsWaiting


def insert(conn: Connection, found: Mapping[str, Any], period: Period, *, by: str, now: datetime) -> int:
    """A row that waits, of a configuration (``let_ids`` beside it); returns its id."""
    hashed = {name: value for name, value in found.items() if name != "let_ids"}
    row = conn.execute(
        """insert into backtests (config_hash, config, from_at, until_at, made_by, made_at)
           values (%s, %s, %s, %s, %s, %s) returning backtest_id""",
        (backtest.config_hash(hashed), Jsonb(dict(found)), period.start, period.end, by, now),
    ).fetchone()
    conn.execute("select pg_notify(%s, '')", (CHANNEL,))
    return int(row[0]) if row else 0


def listed(conn: Connection, *, config_hash: str | None = None, limit: int = 100) -> list[Kept]:
    """The last back-tests (of a configuration), newest first."""
    with conn.cursor(row_factory=class_row(Kept)) as cursor:
        return cursor.execute(
            ROW + "where %(hash)s::text is null or config_hash = %(hash)s order by backtest_id desc limit %(limit)s",
            {"hash": config_hash, "limit": limit},
        ).fetchall()


def get(conn: Connection, backtest_id: int) -> Kept:
    """One back-test. Raises NotFound."""
    with conn.cursor(row_factory=class_row(Kept)) as cursor:
        found = cursor.execute(ROW + "where backtest_id = %s", (backtest_id,)).fetchone()
    if found is None:
        raise NotFound(f"There is no back-test {backtest_id} on this site.")
    return found


def cancel(conn: Connection, backtest_id: int, *, now: datetime) -> Kept:
    """Stop it, or do not begin it. Raises NotFound, BacktestOver."""
    get(conn, backtest_id)
    if not _end(conn, backtest_id, State.CANCELLED, now=now):
        raise BacktestOver
    return get(conn, backtest_id)


# -- the process that runs it -----------------------------------------------------------------------------------------


def next_waiting(conn: Connection) -> int | None:
    """The one to begin now: the oldest that waits, when none runs."""
    row = conn.execute(
        """select min(backtest_id) from backtests where state = 'waiting'
             and not exists (select 1 from backtests where state = 'running')"""
    ).fetchone()
    return row[0] if row else None


def start(conn: Connection, backtest_id: int) -> Kept | None:
    """Take it; None when somebody else did, it was cancelled, or another one runs."""
    conn.execute("select pg_advisory_xact_lock(hashtext('backtests'), current_site())")
    return take(conn, backtest_id) if next_waiting(conn) is not None else None


def take(conn: Connection, backtest_id: int) -> Kept | None:
    """Take it whatever else runs; None when it does not wait any more."""
    taken = conn.execute(
        """update backtests set state = 'running', beat_at = clock_timestamp()
           where backtest_id = %s and state = 'waiting'""",
        (backtest_id,),
    )
    return _told(conn, backtest_id) if taken.rowcount else None


def beat(conn: Connection, backtest_id: int, *, progress: float, reached_at: datetime | None) -> bool:
    """It is still being run, and so far; False: it is to end, somebody cancelled it."""
    done = conn.execute(
        """update backtests set beat_at = clock_timestamp(), progress = %s, reached_at = %s
           where backtest_id = %s and state = 'running'""",
        (min(max(progress, 0.0), 1.0), reached_at, backtest_id),
    )
    if done.rowcount:
        live.announce(conn, "gate", backtest_id)
    return bool(done.rowcount)


def finish(conn: Connection, backtest_id: int, result: Mapping[str, Any], *, now: datetime) -> bool:
    """Keep its result; False when it was cancelled meanwhile."""
    return _end(conn, backtest_id, State.DONE, result=result, now=now)


def fail(conn: Connection, backtest_id: int, why: str, *, now: datetime) -> bool:
    """Keep why it could not be run; False when it had ended."""
    return _end(conn, backtest_id, State.FAILED, why=why, now=now)


def give_up(conn: Connection, now: datetime) -> int:
    """End those whose process went without a word; returns how many."""
    rows = conn.execute(
        "select backtest_id from backtests where state = 'running' and beat_at < clock_timestamp() - %s", (STILL,)
    ).fetchall()
    why = "Its process ended without a word, perhaps with the machine. Start it again."
    return sum(fail(conn, each, why, now=now) for (each,) in rows)


def change_of(kept: Kept) -> Change:
    """What its replay changes."""
    return Change(kept.config["settings"], scope=Scope(**kept.config["scope"]), lets=kept.config["let_ids"])


def _end(
    conn: Connection,
    backtest_id: int,
    state: State,
    *,
    now: datetime,
    result: Mapping[str, Any] | None = None,
    why: str = "",
) -> bool:
    done = conn.execute(
        """update backtests set state = %s, result = %s, why = %s, ended_at = %s,
             progress = case when %s then 1 else progress end
           where backtest_id = %s and state in ('waiting', 'running')""",
        (state, None if result is None else Jsonb(dict(result)), why, now, state is State.DONE, backtest_id),
    )
    live.announce(conn, "gate", backtest_id)
    return bool(done.rowcount)


def _told(conn: Connection, backtest_id: int) -> Kept:
    live.announce(conn, "gate", backtest_id)
    return get(conn, backtest_id)
