"""Older memories of a detector, kept ever further apart, to be taken up again when late data come. SQL.

Memories are saved every ``SNAPSHOT_ROWS`` rows. The older they are, the further apart they are kept, so that at most
about twice as many rows as the data are late are judged again; ten years of minutes take some two dozen memories.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from psycopg import Connection

from detectors.store import Snapshot


def kept(marks: Sequence[int], *, newest: int) -> list[int]:
    """Which of these memories to keep, ascending, as numbers of spacings since the epoch: the oldest of each span.

    >>> kept(list(range(101)), newest=100)
    [0, 32, 48, 64, 72, 80, 88, 92, 94, 96, 97, 98, 99, 100]
    """
    oldest: dict[tuple[int, int], int] = {}
    for mark in marks:
        stride = _stride(newest - mark)
        oldest.setdefault((stride, mark // stride), mark)
    return list(oldest.values())


def _stride(age: int) -> int:
    return 1 << max(0, age.bit_length() - 2)


def add(conn: Connection, asset_id: int, detector: str, memory: Snapshot, *, spacing_us: int) -> None:
    """Keep a memory, and forget those that stand too close by now. The newest of a spacing counts."""
    conn.execute(
        """insert into detector_history (asset_id, detector, version, watermark_us, state) values (%s, %s, %s, %s, %s)
           on conflict (asset_id, detector, watermark_us) do update set version = excluded.version,
             state = excluded.state""",
        (asset_id, detector, memory.version, memory.watermark_us, zlib.compress(memory.state, 1)),
    )
    rows = conn.execute(
        "select watermark_us from detector_history where asset_id = %s and detector = %s order by watermark_us",
        (asset_id, detector),
    ).fetchall()
    newest_of = {mark // spacing_us: mark for (mark,) in rows}
    stay = {newest_of[mark] for mark in kept(list(newest_of), newest=memory.watermark_us // spacing_us)}
    gone = [mark for (mark,) in rows if mark not in stay]
    conn.execute(
        "delete from detector_history where asset_id = %s and detector = %s and watermark_us = any(%s)",
        (asset_id, detector, gone),
    )


def before(conn: Connection, asset_id: int, detector: str, *, version: str, before_us: int) -> Snapshot | None:
    """The newest memory of this version that knows nothing of ``before_us`` or later."""
    row = conn.execute(
        """select version, watermark_us, state from detector_history
           where asset_id = %s and detector = %s and version = %s and watermark_us < %s
           order by watermark_us desc limit 1""",
        (asset_id, detector, version, before_us),
    ).fetchone()
    return None if row is None else Snapshot(row[0], row[1], zlib.decompress(row[2]))


def since(conn: Connection, asset_id: int, detector: str, *, version: str, since_us: int) -> Snapshot | None:
    """The oldest memory of this version at or after a time."""
    row = conn.execute(
        """select version, watermark_us, state from detector_history
           where asset_id = %s and detector = %s and version = %s and watermark_us >= %s
           order by watermark_us limit 1""",
        (asset_id, detector, version, since_us),
    ).fetchone()
    return None if row is None else Snapshot(row[0], row[1], zlib.decompress(row[2]))


def forget_from(conn: Connection, asset_id: int, detector: str, *, from_us: int) -> None:
    """Drop memories at or after a time: they knew too little."""
    conn.execute(
        "delete from detector_history where asset_id = %s and detector = %s and watermark_us >= %s",
        (asset_id, detector, from_us),
    )
