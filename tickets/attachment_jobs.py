"""Background job of attachments: files that no row names are collected."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import Connection

from core import clock
from core.jobs import every
from core.settings import settings
from tickets import attachments
from tickets.files import Files, root_of

COLLECT_S = 3600.0


@every(seconds=COLLECT_S, name="attachments.collect")
def collect(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a handler's signature
    """Files are dated by the wall, whatever the plant's clock says."""
    attachments.collect(conn, Files(root_of(settings())), wall_now=clock.wall_now())
