"""`millwright backfill opcua NAME --from --to`: what an OPC UA server's history holds goes into the store, once."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from api.commands.parts import instance_of, say
from api.commands.people import site_of
from core.errors import Invalid
from core.settings import settings
from ingest import opcua_history
from plant.telemetry import to_us

SHOWN = 20


def opcua(argv: list[str]) -> int:
    """Read a source's history; the same stretch twice changes nothing."""
    asked = _parser().parse_args(argv)
    instance = instance_of(settings())
    with instance.database.tx() as conn:
        site_id = site_of(conn, asked.site)
    report = opcua_history.backfill(
        instance.database,
        site_id=site_id,
        name=asked.name,
        start_us=_us(asked.since),
        end_us=_us(asked.until),
        folder=instance.data_dir,
    )
    totals = report.totals
    say(f"{asked.name}: {totals.stored} samples stored, {totals.twins} there already, {totals.quarantined} kept aside")
    if report.no_numbers:
        say(f"{report.no_numbers} values are no numbers and were skipped")
    for tag, why in list(report.missing.items())[:SHOWN]:
        say(f"{tag}: {why}")
    return 1 if report.missing else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="millwright backfill opcua", description="Store what an OPC UA server's history holds, each sample once."
    )
    parser.add_argument("name", help="the source, as `millwright source list` shows it")
    parser.add_argument(
        "--from", dest="since", required=True, metavar="TIME", help="2026-01-31 or 2026-01-31T08:00:00Z"
    )
    parser.add_argument("--to", dest="until", required=True, metavar="TIME", help="likewise; included")
    parser.add_argument("--site", help="site code (default: the first site)")
    return parser


def _us(text: str) -> int:
    """A time as given; without a zone it is UTC. Raises Invalid."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{text!r} is no time. Write 2026-01-31 or 2026-01-31T08:00:00Z.") from None
    return to_us(found if found.tzinfo else found.replace(tzinfo=UTC))
