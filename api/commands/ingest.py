"""The verb that runs ingest alone."""

from __future__ import annotations

from api.commands.parts import start, stop_event
from ingest import run


def ingest(argv: list[str]) -> int:
    """Hear machines and keep their samples until a signal says stop."""
    instance = start("ingest", "Hear machines and keep their samples.", argv)
    access = instance.broker()
    broker = run.Broker(access.host, access.port, access.user, access.password, access.kind)
    run.run(database=instance.database, broker=broker, instance=instance.short_id, stop=stop_event())
    return 0
