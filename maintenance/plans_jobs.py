"""What plans do by themselves: importing ``maintenance.plans`` registers the timer that opens their orders; meters are
read from their signals here. Once a site, by one worker at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import Connection

from core.jobs import every
from maintenance import meters, plans  # noqa: F401 - its timer


@every(seconds=60, name="maintenance.meters")
def read_meters(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    meters.collect(conn, now)
