"""What detectors said, as it was told. SQL; the only writer of new rows of ``findings``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from detectors.base import Finding
from maintenance import store

Key = tuple[str, str, datetime, bool, str, str]  # detector, kind, at, active, subject, mode


def keep(conn: Connection, said: Sequence[Finding], now: datetime) -> list[bool]:
    """Keep what was said of one asset as told ``now``; returns of each whether it is new.

    What had been kept before (the detector's transaction is being repeated) is not; one that was withdrawn holds again.
    """
    first = {_key(each): each for each in reversed(said)}
    if not first:
        return []
    columns = [list(column) for column in zip(*map(_row, reversed(first.values())), strict=True)]
    found = conn.execute(KEEP, [said[0].asset_id, now, *columns])
    kept = {tuple(row) for row in found}
    fresh = []
    for each in said:
        fresh.append(_key(each) in kept)
        kept.discard(_key(each))
    return fresh


def _key(finding: Finding) -> Key:
    mode = finding.failure_mode or ""
    return finding.detector, finding.kind.value, finding.at, finding.active, store.subject(finding), mode


def _row(finding: Finding) -> tuple[Any, ...]:
    return (
        finding.detector,
        finding.version,
        finding.kind.value,
        finding.failure_mode,
        store.subject(finding),
        finding.started_at,
        finding.at,
        min(finding.surprise, store.SURE),
        finding.active,
        finding.health,
        Jsonb(store.evidence_json(store.deviations(finding))),
        Jsonb(store.sentence_json(finding)),
    )


KEEP: LiteralString = """
  insert into findings (asset_id, told_at, detector, version, kind, mode, subject, started_at, at, surprise, active,
    health, contributions, sentence)
  select %s, %s, f.* from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
    %s::timestamptz[], %s::float8[], %s::boolean[], %s::float8[], %s::jsonb[], %s::jsonb[]) as f
  on conflict (asset_id, detector, kind, at, active, subject, coalesce(mode, ''))
    do update set withdrawn_at = null, started_at = excluded.started_at, surprise = excluded.surprise,
      health = excluded.health, contributions = excluded.contributions, sentence = excluded.sentence,
      told_at = excluded.told_at
    where findings.withdrawn_at is not null
  returning detector, kind, at, active, subject, coalesce(mode, '')"""
