"""The verb that adds up what was sent and where it ended."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import datetime
from typing import Any

from api import pipeline
from api.commands.parts import instance_of
from api.commands.people import site_of
from core.errors import Invalid, NotFound
from core.settings import settings
from ingest import reconcile as books
from ingest.reconcile import Account
from plant import bindings

COLUMNS = ("sent", "stored", "quarantined", "twins", "dropped", "repeated", "difference")


def reconcile(argv: list[str]) -> int:
    """Exit code 0 when every source balances to the reading, else 1 with what is missing by name."""
    parser = argparse.ArgumentParser(
        prog="millwright reconcile", description="Does everything that was sent add up? Exit code 1 when it does not."
    )
    parser.add_argument("--site", help="site code (default: the first site)")
    parser.add_argument("--source", help="this source alone")
    parser.add_argument("--since", metavar="TIME", help="RFC 3339 time, to the hour: only what was heard since")
    parser.add_argument("--json", action="store_true", help="for programs")
    chosen = parser.parse_args(argv)
    database = instance_of(settings()).database
    with database.tx() as conn:
        site_id = site_of(conn, chosen.site)
    with database.tx(site_id=site_id) as conn:
        if chosen.source is not None and not bindings.is_known(conn, chosen.source):
            raise NotFound(f"There is no source {chosen.source!r} on this site. See `millwright reconcile` without it.")
        found = books.accounts(conn, source=chosen.source, since=_time(chosen.since))
        dropped = pipeline.dropped(conn)
    sys.stdout.write(_json(found, dropped) if chosen.json else _table(found, dropped))
    return int(not all(each.balances for each in found))


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"--since {text!r} is no RFC 3339 time, like 2026-01-31T08:00:00Z.") from error
    if found.tzinfo is None:
        raise Invalid(f"--since {text!r} has no zone: add Z or an offset like +08:00.")
    return found


def _json(found: list[Account], dropped: list[pipeline.Dropped]) -> str:
    def row(each: Account) -> dict[str, Any]:
        return {**asdict(each), "difference": each.difference, "balances": each.balances}

    let_go = [{**asdict(each), "last_at": each.last_at.isoformat()} for each in dropped]
    return json.dumps({"sources": [row(each) for each in found], "dropped": let_go}) + "\n"


def _table(found: list[Account], dropped: list[pipeline.Dropped]) -> str:
    width = max((len(each.source) for each in found), default=6)
    lines = [f"{'source':<{width}} " + " ".join(f"{name:>12}" for name in COLUMNS)]
    for each in found:
        lines.append(f"{each.source:<{width}} " + " ".join(f"{getattr(each, name):>12,}" for name in COLUMNS))
        lines += [f"  missing: messages {hole.low:,} to {hole.high:,} of epoch {hole.epoch}" for hole in each.missing]
        if each.missing and each.waiting:
            lines.append(f"  {each.waiting:,} batches still wait at the sender: look again once they have come.")
    for drop in dropped:
        lines.append(f"dropped: {drop.count:,} messages of {drop.site or '?'}/{drop.device or '?'} ({drop.reason})")
    bad = [each.source for each in found if not each.balances]
    lines.append(f"Does not add up: {', '.join(bad)}." if bad else "Everything that was sent adds up.")
    return "\n".join(lines) + "\n"
