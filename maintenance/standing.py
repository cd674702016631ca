"""SQL of what was said and still stands, for findings that are judged again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from detectors.base import Finding
from maintenance import store


@dataclass(frozen=True, slots=True)
class Standing:
    """A finding as kept and not withdrawn."""

    finding_id: int
    detector: str
    version: str
    kind: str
    failure_mode: str | None
    subject: str
    started_at: datetime
    at: datetime
    surprise: float
    active: bool
    evidence: Mapping[str, Any]

    @property
    def contributions(self) -> dict[int, float]:
        """Signal id → share."""
        return {signal_id: each.share for signal_id, each in store.evidence_of(self.evidence).items()}


def standing(conn: Connection, asset_id: int, *, since: datetime, until: datetime) -> list[Standing]:
    """Findings of an asset in [since, until] that hold, in the order they were said."""
    rows = conn.execute(
        """select finding_id, detector, version, kind, mode, subject, started_at, at, surprise, active, contributions
           from findings where asset_id = %s and at >= %s and at <= %s and withdrawn_at is null order by finding_id""",
        (asset_id, since, until),
    )
    return [Standing(*row) for row in rows]


def last_is_active(
    conn: Connection, asset_id: int, *, detector: str, kind: str, mode: str, subject: str, until: datetime
) -> bool:
    """Whether the last finding of a detector (about one fault of one sensor) that stands says that it deviates."""
    row = conn.execute(
        """select active from findings where asset_id = %s and detector = %s and kind = %s and at <= %s
             and withdrawn_at is null and (kind = 'machine' or (coalesce(mode, '') = %s and subject = %s))
           order by at desc, finding_id desc limit 1""",
        (asset_id, detector, kind, until, mode, subject),
    ).fetchone()
    return bool(row and row[0])


def withdraw(conn: Connection, finding_ids: Sequence[int], *, at: datetime) -> None:
    """They do not hold with all the data. They stay; the forecasts forget their points."""
    conn.execute("update findings set withdrawn_at = %s where finding_id = any(%s)", (at, list(finding_ids)))
    conn.execute(
        """delete from health_points h using findings f, alarms a
           where f.finding_id = any(%s) and h.alarm_id = a.alarm_id and a.asset_id = f.asset_id
             and h.detector = f.detector and h.at = f.at""",
        (list(finding_ids),),
    )


def renew(conn: Connection, finding_id: int, finding: Finding) -> None:
    """The same finding with the numbers that all the data give."""
    conn.execute(
        """update findings set started_at = %s, surprise = %s, health = %s, contributions = %s, sentence = %s
           where finding_id = %s""",
        (
            finding.started_at,
            min(finding.surprise, store.SURE),
            finding.health,
            Jsonb(store.evidence_json(store.deviations(finding))),
            Jsonb(store.sentence_json(finding)),
            finding_id,
        ),
    )
