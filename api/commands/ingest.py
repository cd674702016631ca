"""The verb that runs ingest alone."""

from __future__ import annotations

import argparse

from api.commands.parts import instance_of, stop_event
from core.settings import settings
from ingest import run


def ingest(argv: list[str]) -> int:
    """Hear machines and keep their samples until a signal says stop."""
    parser = argparse.ArgumentParser(prog="millwright ingest", description="Hear machines and keep their samples.")
    parser.add_argument("--worker", type=int, default=1, help="which one this is, of MILLWRIGHT_INGEST_WORKERS")
    chosen = parser.parse_args(argv)
    instance = instance_of(settings())
    access = instance.broker()
    broker = run.Broker(access.host, access.port, access.user, access.password, access.kind)
    place = run.Place(chosen.worker, run.workers(instance.settings.ingest_workers, access.kind))
    run.run(database=instance.database, broker=broker, instance=instance.short_id, stop=stop_event(), place=place)
    return 0
