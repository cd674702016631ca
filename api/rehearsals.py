"""A dry run: the request is done in its transaction, answered, and undone. ``Dry-Run: 1`` asks for it.

Only rights whose routes do everything in their transaction (jobs and notices included) may be rehearsed.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext

from psycopg import Connection
from starlette.requests import Request

from core.database import rehearsal
from core.errors import Invalid

HEADER, THROUGH = "dry-run", "x-acting-through"
ACTIONS = frozenset({
    "ticket.create", "ticket.edit", "ticket.transition", "ticket.assign", "ticket.comment", "dispatch.plan",
})  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}")


class NoDryRun(Invalid):
    """This request cannot be tried without doing it. Leave the Dry-Run header out."""

    code = "no_dry_run"


def asked(request: Request) -> bool:
    """Whether the request is a dry run. Raises Invalid for a value that says neither."""
    value = request.headers.get(HEADER, "0")
    if value not in ("0", "1"):
        raise Invalid("The Dry-Run header must be 1 or 0.")
    return value == "1"


def refuse(request: Request, action: str | None) -> None:
    """Raise NoDryRun for a dry run of a right that is none of those, before anything is done."""
    if asked(request) and action not in ACTIONS:
        raise NoDryRun


def of(conn: Connection, request: Request, action: str | None) -> AbstractContextManager[None]:
    """What the request's work happens within. Raises NoDryRun where the right is none of those."""
    if not asked(request):
        return nullcontext()
    refuse(request, action)
    return rehearsal(conn)


def through(request: Request) -> str:
    """The program that acts for the caller, as it calls itself; empty: they act by themselves. Raises Invalid."""
    value = request.headers.get(THROUGH, "")
    if value and not NAME.fullmatch(value):
        raise Invalid(f"The {THROUGH} header must have 1 to 40 letters, digits, spaces, dots or dashes.")
    return value
