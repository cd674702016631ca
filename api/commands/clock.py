"""The verb that shows and sets the plant clock."""

from __future__ import annotations

import argparse
from datetime import datetime

from api.commands.parts import instance_of, say
from core import clock as plant_clock
from core.errors import Invalid
from core.settings import settings


def clock(argv: list[str]) -> int:
    """Show the plant clock; set its speed or its time. Every process follows at once."""
    parser = argparse.ArgumentParser(
        prog="millwright clock", description="The plant clock: 1 is live; a demo or a sandbox may run faster."
    )
    parser.add_argument("--factor", type=float, help="plant seconds a wall second")
    parser.add_argument("--now", help="plant time now, RFC 3339 with zone (default: unchanged)")
    arguments = parser.parse_args(argv)
    instance = instance_of(settings())
    with instance.database.tx() as conn:
        found = plant_clock.load(conn)
        if arguments.factor is not None or arguments.now is not None:
            factor = found.factor if arguments.factor is None else arguments.factor
            if factor <= 0:
                raise Invalid("The factor must be above 0.")
            found = plant_clock.set_clock(conn, plant_now=_time(arguments.now) or found.now(), factor=factor)
    say(f"plant time {found.now():%Y-%m-%d %H:%M:%S} UTC, factor {found.factor:g}")
    return 0


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid("Give the time as in 2026-01-31T08:00:00Z.") from error
    if found.tzinfo is None:
        raise Invalid("The time needs a zone, as in 2026-01-31T08:00:00Z.")
    return found
