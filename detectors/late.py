"""Samples that came after their time was judged: found, gathered, and settled once judged again. SQL.

    ingest_batches ── new since the cursor, at or before what was judged ──> late_stretches ── ripe ──> replay

``conn`` is the app role's, inside a transaction on one site. Samples' times are µs since the epoch, others the wall's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg import Connection

QUIET_S = 5.0  # nothing more has come for so long …
PATIENCE_S = 300.0  # … or it keeps coming since so long: then it is judged


@dataclass(frozen=True, slots=True)
class Stretch:
    """Late samples of one asset that wait to be judged; ``quiet_s`` and ``waited_s`` since the last and the first."""

    asset_id: int
    from_us: int
    until_us: int
    quiet_s: float
    waited_s: float

    @property
    def ripe(self) -> bool:
        """A drain that lasts is judged once, not with every flush; one without end every few minutes."""
        return self.quiet_s >= QUIET_S or self.waited_s >= PATIENCE_S


@dataclass(frozen=True, slots=True)
class Counts:
    """Of a site: assets with late data that wait; stretches judged again so far, and what came of it."""

    waiting: int
    judged: int
    rows: int
    told: int
    withdrawn: int


def note(conn: Connection, judged_us: Mapping[int, int]) -> int:
    """Write down which assets got samples at or before the time they were judged to; returns how many.

    Every flush is looked at once, also one whose transaction was overtaken by others. The first call begins with what
    is stored from then on.
    """
    touched = _touched_since_cursor(conn)
    late = [
        (asset, low, min(high, judged_us[asset]), signals)
        for asset, low, high, signals in touched
        if low <= judged_us.get(asset, -1)
    ]
    for asset_id, from_us, until_us, signals in late:
        conn.execute(
            "insert into late_arrivals (asset_id, signals, from_us, until_us) values (%s, %s, %s, %s)",
            (asset_id, signals, from_us, until_us),
        )
        conn.execute(
            """insert into late_stretches as s (asset_id, from_us, until_us) values (%s, %s, %s)
               on conflict (asset_id) where taken_at is null do update set heard_at = clock_timestamp(),
                 from_us = least(s.from_us, excluded.from_us), until_us = greatest(s.until_us, excluded.until_us)""",
            (asset_id, from_us, until_us),
        )
    return len({asset_id for asset_id, *_ in late})


def _touched_since_cursor(conn: Connection) -> list[tuple[int, int, int, list[int]]]:
    """(asset, earliest, latest, signals) of each flush not looked at before; moves the cursor past them.

    A flush without names held nothing late. Transactions of another server's life (a restored dump) are left out.
    """
    row = conn.execute("select seen::text from late_cursors").fetchone()
    if row is None:
        _move_cursor(conn, "")
        return []
    rows = conn.execute(
        """select pg_current_snapshot()::text, s.asset_id,
             (extract(epoch from min(b.min_at)) * 1000000)::int8, (extract(epoch from max(b.max_at)) * 1000000)::int8,
             array_agg(distinct u.signal_id)
           from ingest_batches b cross join lateral unnest(b.signals) as u(signal_id)
             left join signals s using (signal_id)
           where b.signals is not null and b.xid >= pg_snapshot_xmin(%(seen)s::pg_snapshot)
             and b.xid < pg_snapshot_xmax(pg_current_snapshot()) and not pg_visible_in_snapshot(b.xid, %(seen)s)
           group by b.batch_id, s.asset_id order by b.batch_id, s.asset_id""",
        {"seen": row[0]},
    ).fetchall()
    if rows:
        _move_cursor(conn, rows[0][0])
    return [(asset_id, low, high, signals) for _, asset_id, low, high, signals in rows if asset_id is not None]


def _move_cursor(conn: Connection, snapshot: str) -> None:
    conn.execute(
        """insert into late_cursors (seen) values (coalesce(nullif(%s, '')::pg_snapshot, pg_current_snapshot()))
           on conflict (site_id) do update set seen = excluded.seen""",
        (snapshot,),
    )


def waiting(conn: Connection) -> list[Stretch]:
    """What is not judged again yet, an entry an asset, longest waiting first; one that a dead process took included."""
    rows = conn.execute(
        """select asset_id, min(from_us), max(until_us),
             extract(epoch from clock_timestamp() - max(heard_at))::float8,
             extract(epoch from clock_timestamp() - min(noted_at))::float8
           from late_stretches where judged_at is null group by asset_id order by min(noted_at), asset_id"""
    )
    return [Stretch(*row) for row in rows]


def take(conn: Connection, asset_ids: Iterable[int]) -> dict[int, list[int]]:
    """Begin with all that waits of these assets: asset → its stretches. What comes from now on makes new ones."""
    rows = conn.execute(
        """update late_stretches set taken_at = clock_timestamp() where judged_at is null and asset_id = any(%s)
           returning asset_id, stretch_id""",
        (list(asset_ids),),
    )
    found: dict[int, list[int]] = {}
    for asset_id, stretch_id in rows:
        found.setdefault(asset_id, []).append(stretch_id)
    return found


def settle(
    conn: Connection, stretch_ids: Iterable[int], *, from_us: int, rows: int, told: int = 0, withdrawn: int = 0
) -> None:
    """They were judged again from ``from_us`` on."""
    ids = sorted(stretch_ids)
    conn.execute(
        """update late_stretches set judged_at = clock_timestamp(), judged_from_us = %s,
             rows = case when stretch_id = %s then %s else 0 end, told = case when stretch_id = %s then %s else 0 end,
             withdrawn = case when stretch_id = %s then %s else 0 end
           where stretch_id = any(%s)""",
        (from_us, ids[0], rows, ids[0], told, ids[0], withdrawn, ids),
    )


def counts(conn: Connection) -> Counts:
    """For screens and metrics."""
    row = conn.execute(
        """select count(distinct asset_id) filter (where judged_at is null),
             count(*) filter (where judged_at is not null),
             coalesce(sum(rows), 0), coalesce(sum(told), 0), coalesce(sum(withdrawn), 0) from late_stretches"""
    ).fetchone()
    return Counts(*(int(number) for number in row or (0, 0, 0, 0, 0)))
