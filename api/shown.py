"""How assets, failure modes, tickets and contributions are named wherever they are mentioned."""

from __future__ import annotations

from typing import Annotated

from psycopg import Connection
from pydantic import Field

from api.shapes import Output, Words
from maintenance import queries


class AssetShown(Output):
    asset_id: int
    code: str
    name: str
    criticality: int
    location: str = ""


class ModeShown(Output):
    code: str
    name: Words


class TicketShown(Output):
    ticket_id: int
    ref: str
    status: str


class Contribution(Output):
    """How much of the surprise a signal explains; ``direction`` +1 rises, -1 falls, 0 not known."""

    signal_id: int
    code: str
    share: Annotated[float, Field(ge=0, le=1)]
    direction: int


def mode_shown(conn: Connection, asset_class: str, code: str | None) -> ModeShown | None:
    """A failure mode with its name in every language."""
    return None if code is None else ModeShown.model_validate(queries.mode_json(conn, asset_class, code))
