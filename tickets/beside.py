"""What is written in the same statement as the ticket that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql


@dataclass(frozen=True, slots=True)
class Beside:
    """Common table expressions over ``written`` (ticket_id, assignee_id; no row: nothing was), and their parameters.

    ``output``: what of them must be read for it to happen, as a notice is sent by being selected.
    """

    query: sql.Composable
    params: list[Any]
    output: sql.SQL | None = None
