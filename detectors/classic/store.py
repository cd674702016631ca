"""Alarm rules in the database: what people wrote, and which version judged when. SQL.

``conn`` is the app role's, inside a transaction on one site; times are plant time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import NotFound
from detectors.classic.errors import AlarmRuleExists, BadAlarmRule, NotPreviewed, StaleAlarmRule
from detectors.classic.model import AlarmRule, InForce, parse, plain

ROW: LiteralString = """
  select r.rule_id, r.definition, r.version, r.row_version, r.previewed, r.preview, r.changed_by, r.changed_at,
    v.version, v.from_at, v.enabled_by
  from alarm_rules r left join alarm_rule_versions v on v.rule_id = r.rule_id and v.until_at is null
  where r.retired_at is null """


@dataclass(frozen=True, slots=True)
class Kept:
    """A rule as it is written now, and the version in force, which may be an older one (None: none is)."""

    rule_id: int
    rule: AlarmRule
    version: int
    row_version: int
    previewed: int | None
    preview: Mapping[str, Any] | None
    changed_by: str
    changed_at: datetime
    in_force: int | None
    from_at: datetime | None
    enabled_by: str | None


def in_force(conn: Connection) -> list[InForce]:
    """Every version that judges now or did once, oldest first: late data are judged by what was in force then."""
    rows = conn.execute(
        """select version_id, version, definition, (extract(epoch from from_at) * 1000000)::bigint,
             (extract(epoch from until_at) * 1000000)::bigint from alarm_rule_versions order by version_id"""
    )
    return [InForce(row[0], row[1], parse(row[2]), row[3], row[4]) for row in rows]


def listed(conn: Connection) -> list[Kept]:
    """The site's rules by code."""
    return [_kept(row) for row in conn.execute(ROW + "order by r.code")]


def get(conn: Connection, rule_id: int) -> Kept:
    """Raises NotFound."""
    row = conn.execute(ROW + "and r.rule_id = %s", (rule_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no alarm rule {rule_id} on this site.")
    return _kept(row)


def add(conn: Connection, by: str, rule: AlarmRule, *, now: datetime) -> Kept:
    """A new rule, which judges nothing until it is enabled. Raises AlarmRuleExists."""
    row = conn.execute(
        """insert into alarm_rules (code, definition, changed_by, changed_at) values (%s, %s, %s, %s)
           on conflict (site_id, code) where retired_at is null do nothing returning rule_id""",
        (rule.code, Jsonb(plain(rule)), by, now),
    ).fetchone()
    if row is None:
        raise AlarmRuleExists(f"There is an alarm rule {rule.code!r} already.")
    return get(conn, int(row[0]))


def change(conn: Connection, by: str, rule_id: int, rule: AlarmRule, *, row_version: int, now: datetime) -> Kept:
    """What is written from now on; what is in force stays so until this version is enabled.

    Raises NotFound, StaleAlarmRule, BadAlarmRule (another code).
    """
    kept = lock(conn, rule_id, row_version=row_version)
    if rule.code != kept.rule.code:
        raise BadAlarmRule(f"The code stays {kept.rule.code!r}: verdicts and standing hang on it. Write another rule.")
    conn.execute(
        """update alarm_rules set definition = %s, version = version + 1, changed_by = %s, changed_at = %s
           where rule_id = %s""",
        (Jsonb(plain(rule)), by, now, rule_id),
    )
    return get(conn, rule_id)


def keep_preview(conn: Connection, kept: Kept, found: Mapping[str, Any]) -> None:
    """Somebody has looked at what this version would have raised."""
    conn.execute(
        "update alarm_rules set previewed = %s, preview = %s where rule_id = %s and version = %s",
        (kept.version, Jsonb(found), kept.rule_id, kept.version),
    )


def enable(conn: Connection, by: str, rule_id: int, *, row_version: int, now: datetime) -> Kept:
    """The version that is written judges from ``now`` on. Raises NotFound, StaleAlarmRule, NotPreviewed."""
    kept = lock(conn, rule_id, row_version=row_version)
    if kept.previewed != kept.version:
        raise NotPreviewed
    _stop(conn, by, rule_id, now)
    conn.execute(
        """insert into alarm_rule_versions (rule_id, version, definition, from_at, enabled_by)
           values (%s, %s, %s, %s, %s)""",
        (rule_id, kept.version, Jsonb(plain(kept.rule)), now, by),
    )
    return get(conn, rule_id)


def disable(conn: Connection, by: str, rule_id: int, *, row_version: int, now: datetime) -> Kept:
    """It judges nothing from ``now`` on; what it raised ends. Raises NotFound, StaleAlarmRule."""
    lock(conn, rule_id, row_version=row_version)
    _stop(conn, by, rule_id, now)
    return get(conn, rule_id)


def retire(conn: Connection, by: str, rule_id: int, *, row_version: int, now: datetime) -> None:
    """It is gone from the list; what it judged stays judged. Raises NotFound, StaleAlarmRule."""
    lock(conn, rule_id, row_version=row_version)
    _stop(conn, by, rule_id, now)
    conn.execute("update alarm_rules set retired_at = %s where rule_id = %s", (now, rule_id))


def lock(conn: Connection, rule_id: int, *, row_version: int) -> Kept:
    """The rule as somebody saw it, counted up. Raises NotFound, StaleAlarmRule."""
    kept = get(conn, rule_id)
    changed = conn.execute(
        "update alarm_rules set row_version = row_version + 1 where rule_id = %s and row_version = %s",
        (rule_id, row_version),
    )
    if changed.rowcount != 1:
        raise StaleAlarmRule
    return kept


def _stop(conn: Connection, by: str, rule_id: int, now: datetime) -> None:
    conn.execute(
        """update alarm_rule_versions set until_at = greatest(%s, from_at), disabled_by = %s
           where rule_id = %s and until_at is null""",
        (now, by, rule_id),
    )


def _kept(row: Sequence[Any]) -> Kept:
    rule_id, definition, *rest = row
    return Kept(rule_id, parse(definition), *rest)
