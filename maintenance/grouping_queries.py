"""What the screens ask of groups: plain dictionaries in the API's shapes."""

from __future__ import annotations

from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import dict_row

from core.errors import NotFound
from maintenance import sentences
from maintenance.grouping_scan import WIDTHS_S

GROUPS: LiteralString = """
  select g.group_id, g.kind, g.asset_id, a.code as asset_code, g.medium, g.first_at, g.last_at, g.monitored, g.expected,
    g.score, g.made_at, g.ended_at, g.closed_at, g.ticket_id, t.ref, t.status,
    (select count(*) from alarm_group_members m where m.group_id = g.group_id) as members,
    (select count(*) from alarm_group_members m where m.group_id = g.group_id and m.left_at is not null) as broke_out
  from alarm_groups g left join assets a using (asset_id) left join tickets t on t.ticket_id = g.ticket_id """
MEMBERS: LiteralString = """
  select m.alarm_id, m.asset_id, a.code as asset_code, a.name as asset_name, m.onset_at, m.joined_at, m.left_at,
    m.left_why, m.left_how, l.state, l.returned_at, l.health, l.mode
  from alarm_group_members m join alarms l using (alarm_id) join assets a on a.asset_id = m.asset_id
  where m.group_id = %s order by m.left_at is null, m.onset_at, m.alarm_id limit %s"""


def groups(conn: Connection, *, limit: int = 50) -> list[dict[str, Any]]:
    """Groups, those that hold somebody first, then newest first."""
    found = _rows(conn, GROUPS + "order by g.closed_at is not null, g.group_id desc limit %s", limit)
    return [_group(row) for row in found]


def group(conn: Connection, group_id: int, *, limit: int = 2000) -> dict[str, Any]:
    """One group with its members, those who broke out first. Raises NotFound."""
    found = _rows(conn, GROUPS + "where g.group_id = %s", group_id)
    if not found:
        raise NotFound(f"There is no alarm group {group_id} on this site.")
    made = _group(found[0])
    with conn.cursor(row_factory=dict_row) as cursor:
        members = cursor.execute(MEMBERS, (group_id, limit)).fetchall()
    first = found[0]["first_at"]
    return {**made, "who": [_member(row, made["scope"], first) for row in members]}


def _group(row: dict[str, Any]) -> dict[str, Any]:
    scope = row["asset_code"] or sentences.say("group.site")
    lasted_s = (row["last_at"] - row["first_at"]).total_seconds()
    why = {
        "scope": scope,
        "count": row["members"],
        "watched": row["monitored"],
        "seconds": max(1.0, lasted_s),
        "usual": sentences.pace(row["expected"], max(lasted_s, WIDTHS_S[0])),
    }
    ticket = None
    if row["ticket_id"] is not None:
        ticket = {"ticket_id": row["ticket_id"], "ref": row["ref"], "status": row["status"]}
    return {
        **row,
        "scope": {"en": scope, "zh": scope} if isinstance(scope, str) else scope,
        "cause": sentences.say(f"medium.{row['medium'] or 'tree'}"),
        "why": sentences.say("group.why", why),
        "ticket": ticket,
    }


def _member(row: dict[str, Any], scope: dict[str, str], first: Any) -> dict[str, Any]:
    seconds = round((row["onset_at"] - first).total_seconds())
    return {**row, "why": row["left_how"] or sentences.say("group.member", {"seconds": seconds, "scope": scope})}


def _rows(conn: Connection, query: LiteralString, value: int) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, (value,)).fetchall()
