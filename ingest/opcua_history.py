"""History of an OPC UA server's nodes through the lane of old data: the same stretch twice changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from core.database import Database
from core.errors import Invalid
from edge.delivery import Delivery, Message
from edge.kinds import Place
from edge.opcua.fill import Reader
from edge.opcua.line import resolved
from edge.opcua.session import ServerAway, left, opened, quiet
from edge.sources import opcua
from ingest.backfill import BackfillLane, Totals
from plant import sources
from plant.sources import Source


@dataclass(slots=True)
class Report:
    """What became of it. ``no_numbers`` values were skipped; ``missing``: tags without history, and why."""

    totals: Totals = field(default_factory=lambda: Totals(0, 0, 0))
    no_numbers: int = 0
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Store:
    """Takes what the reader hands on, and stores it at once."""

    lane: BackfillLane
    report: Report

    def __call__(self, delivery: Delivery) -> None:
        if isinstance(delivery.content, Message):
            self.report.no_numbers += sum(each.readings for each in delivery.content.faults)
            if delivery.content.readings:
                self.report.totals += self.lane.store(delivery.content.readings)
        delivery.ack()

    def has_room(self) -> bool:
        return True


def backfill(database: Database, *, site_id: int, name: str, start_us: int, end_us: int, folder: Path) -> Report:
    """Read from ``start_us`` to ``end_us`` what the source's nodes have; ``folder`` is the data directory.

    Raises NotFound, Invalid, SourceConfig, ServerAway, and what psycopg raises; then do it again.
    """
    if not start_us < end_us:
        raise Invalid("The beginning must lie before the end.")
    with database.tx(site_id=site_id) as conn:
        source = sources.get(conn, name)
        row = conn.execute("select code from sites where site_id = %s", (site_id,)).fetchone()
    if source.kind != opcua.NAME:
        raise Invalid(f"{name} is no OPC UA source; only those have history to read.")
    report = Report()
    store = _Store(BackfillLane(database, site_id=site_id, source=name), report)
    place = Place(
        str(row[0]) if row else "", "millwright", name, source.url, lambda: time.time_ns() // 1000, folder=folder
    )
    quiet()
    report.missing = asyncio.run(_read(place, source, store, (start_us, end_us)))
    return report


async def _read(place: Place, source: Source, store: _Store, span_us: tuple[int, int]) -> Mapping[str, str]:
    chosen = opcua.options(source.config)
    if not chosen.nodes:
        raise Invalid(f"{place.name} has no nodes yet: `millwright source browse {place.name}`.")
    now = datetime.fromtimestamp(time.time(), UTC)
    try:
        session = await opened(place.url, chosen, place.folder, name=place.name, now=now)
    except OSError as error:
        raise ServerAway(f"The server at {place.url} cannot be reached: {error}.") from error
    try:
        nodes = await resolved(session.client, chosen.nodes)
        reader = Reader(place, session.client.uaclient.session, nodes, store)
        outcome = await reader.read(dict.fromkeys(nodes, span_us[0]), span_us[1], on_done=lambda _tag: None)
        return outcome.missing
    except ConnectionError as error:
        raise ServerAway(f"The connection was lost: {error}. The same command goes on; nothing is doubled.") from error
    finally:
        await left(session.client)
