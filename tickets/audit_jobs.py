"""The job that covers every minute's changes with a signed Merkle root."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import Connection

from core.jobs import every
from tickets import roots

ROOT_S = 60.0


@every(seconds=ROOT_S, name="audit.root")
def cover(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a handler's signature
    """One root more, if any timeline grew."""
    roots.extend(conn, now)
