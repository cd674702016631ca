"""What work costs apart from how busy the machine is: processor time here and in the database, and statements sent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection, Cursor

BACKENDS = "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"


@dataclass(slots=True)
class Cost:
    """Seconds of this process and of the database's backends (None where the system does not tell)."""

    process_s: float = 0.0
    backend_s: float | None = None


@contextmanager
def measured(superuser: Connection) -> Iterator[Cost]:
    """The cost of the block; backends that end within it are not counted."""
    cost, before, began = Cost(), _spent(superuser), time.process_time()
    yield cost
    cost.process_s = time.process_time() - began
    after = _spent(superuser)
    if before is not None and after is not None:
        cost.backend_s = sum(spent - before.get(pid, 0.0) for pid, spent in after.items())


def _spent(superuser: Connection) -> dict[int, float] | None:
    """Seconds on a processor by backend."""
    found: dict[int, float] = {}
    for (pid,) in superuser.execute(BACKENDS).fetchall():
        try:
            found[pid] = int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[0]) / 1e9
        except (OSError, ValueError, IndexError):
            return None
    return found


@contextmanager
def statements(conn: Connection) -> Iterator[list[str]]:
    """What is sent on the connection within the block."""
    sent: list[str] = []

    class Counting(Cursor[Any]):
        def execute(self, query: Any, *args: Any, **kwargs: Any) -> Counting:
            sent.append(query if isinstance(query, str) else query.as_string(conn))
            super().execute(query, *args, **kwargs)
            return self

    kept, conn.cursor_factory = conn.cursor_factory, Counting
    try:
        yield sent
    finally:
        conn.cursor_factory = kept
