"""What is let go without being kept: counted by sender and reason, so that nothing vanishes in silence.

A message is dropped when no site is there to keep it for (a mistyped site in the topic), or when the store refuses even
its quarantine entry. One a minute of each reason is logged as an alarm; all are counted in ``ingest_drops``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import Connection

from core import log
from edge.reasons import Reason

MOST_KINDS = 1_000  # of (site, device): a stranger who makes up names must fill neither the memory nor the disk
ALARM_EVERY_S = 60.0
OTHERS = ("", "")
Kind = tuple[str, str, str]  # site code and device as the topic names them, reason


@dataclass(slots=True)
class Dropped:
    """How many messages of a kind, and where the last one came from."""

    count: int = 0
    topic: str = ""


class Drops:
    """Thread-safe."""

    def __init__(self) -> None:
        self._counts: dict[Kind, Dropped] = {}
        self._known: set[tuple[str, str]] = set()
        self._alarmed: dict[Reason, float] = {}
        self._lock = threading.Lock()
        self._log = log.get("ingest")

    def count(self, reason: Reason, *, site: str, device: str, topic: str) -> None:
        """One more message was let go."""
        with self._lock:
            self._add((*self._who(site, device), str(reason)), 1, topic[:200])
            due = time.monotonic() - self._alarmed.get(reason, -ALARM_EVERY_S) >= ALARM_EVERY_S
            if due:
                self._alarmed[reason] = time.monotonic()
        if due:
            self._log.warning("ingest.dropped", reason=str(reason), topic=topic[:200])

    def take(self) -> dict[Kind, Dropped]:
        """Everything since the last call."""
        with self._lock:
            taken, self._counts = self._counts, {}
        return taken

    def give_back(self, taken: dict[Kind, Dropped]) -> None:
        """They could not be written: they are counted on."""
        with self._lock:
            for kind, each in taken.items():
                self._add(kind, each.count, each.topic)

    def _who(self, site: str, device: str) -> tuple[str, str]:
        who = (site[:64], device[:64])
        if who not in self._known and len(self._known) >= MOST_KINDS:
            return OTHERS
        self._known.add(who)
        return who

    def _add(self, kind: Kind, count: int, topic: str) -> None:
        found = self._counts.setdefault(kind, Dropped())
        found.count += count
        found.topic = topic


def write(conn: Connection, taken: dict[Kind, Dropped]) -> None:
    """Add to ``ingest_drops``; beyond ``MOST_KINDS`` rows, which only restarts can bring, to one for all others."""
    if not taken:
        return
    known = {(site, device) for site, device in conn.execute("select distinct site, device from ingest_drops")}
    summed: dict[Kind, Dropped] = {}
    for (site, device, reason), each in taken.items():
        who = (site, device) if (site, device) in known or len(known) < MOST_KINDS else OTHERS
        known.add(who)
        entry = summed.setdefault((*who, reason), Dropped())
        entry.count, entry.topic = entry.count + each.count, each.topic
    _upsert(conn, [(*kind, each.count, each.topic) for kind, each in sorted(summed.items())])


def _upsert(conn: Connection, rows: Sequence[tuple[str, str, str, int, str]]) -> None:
    """In one order, so that several processes do not wait for each other in a circle."""
    for row in rows:
        conn.execute(
            """insert into ingest_drops as d (site, device, reason, count, topic) values (%s, %s, %s, %s, %s)
               on conflict (site, device, reason) do update set
                 count = d.count + excluded.count, topic = excluded.topic, last_at = now()""",
            tuple(field.replace("\x00", "\ufffd") if isinstance(field, str) else field for field in row),
        )
