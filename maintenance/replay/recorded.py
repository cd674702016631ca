"""What moved the plant from outside of the judgement, read from what was recorded. SQL; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import LiteralString

from psycopg import Connection
from psycopg.rows import dict_row

from maintenance.replay.model import Input, InputKind

# what people did to orders; and the opening of orders that no detector opened. An engineer's own name comes with it
TICKETS: LiteralString = """
  select e.at, e.event_id as nr, e.actor_kind, e.actor_id, e.actor_name, e.kind as verb, e.body, t.ticket_id,
    t.asset_id, t.mode, t.kind, t.opened_at, t.channel, m.role, g.name as engineer
  from ticket_events e join tickets t using (ticket_id) left join engineers g on g.engineer_id = t.assignee_id
    left join memberships m on m.user_id = e.actor_id and m.site_id = t.site_id
  where e.at > %(begin)s and e.at <= %(end)s
    and (e.actor_kind in ('person', 'agent') or (e.kind = 'opened' and t.channel <> 'detector')
      or (e.actor_kind = 'system' and e.kind = 'edited' and e.body->'escalation' is not null))"""
ALARMS: LiteralString = """
  select m.at, m.move_id as nr, m.what, m.by, m.detail, m.asset_id, a.kind, a.mode, a.raised_at, a.shelved_until,
    a.shelve_reason
  from alarm_moves m join alarms a using (alarm_id)
  where m.at > %(begin)s and m.at <= %(end)s and m.what in ('acknowledged', 'shelved', 'unshelved')"""
REVIEWS: LiteralString = """
  select decided_at as at, review_id as nr, r.state, decided_by as by, reason, r.asset_id, r.mode, r.ticket_id, a.kind
  from review_items r join alarms a using (alarm_id)
  where decided_at > %(begin)s and decided_at <= %(end)s and r.state in ('accepted', 'merged', 'rejected')"""
POLICIES: LiteralString = """
  select changed_at as at, v.policy_id * 1000 + v.version as nr, v.policy_id, v.version, v.settings, v.active
  from maintenance_policy_versions v where changed_at > %(begin)s and changed_at <= %(end)s"""
FAILURES: LiteralString = """
  select recorded_at as at, failure_id as nr, asset_id, mode, failed_at, note, recorded_by as by
  from failures where recorded_at > %(begin)s and recorded_at <= %(end)s"""
GATES: LiteralString = """
  select c.changed_at as at, change_id as nr, gate_id, c.standing from gate_changes c
  where c.changed_at > %(begin)s and c.changed_at <= %(end)s"""
MODELS: LiteralString = """
  select made_at as at, life_model_id as nr, life_model_id, asset_class, mode from life_models
  where made_at > %(begin)s and made_at <= %(end)s"""
MARKS: LiteralString = """
  select at, mark_id as nr, what, name, asset_id, from_at, until_at from replay_marks
  where at > %(begin)s and at <= %(end)s"""
# what was said by those who read no samples, at the moment at which it was said
OTHERS: LiteralString = """
  select told_at as at, finding_id as nr, asset_id, detector, version, kind, mode, started_at, at as judged_at,
    surprise, active, health, contributions, sentence
  from findings where told_at > %(begin)s and told_at <= %(end)s and detector = any(%(others)s)"""
SOURCES: Sequence[tuple[InputKind, LiteralString]] = (
    (InputKind.TICKET, TICKETS),
    (InputKind.ALARM, ALARMS),
    (InputKind.REVIEW, REVIEWS),
    (InputKind.POLICY, POLICIES),
    (InputKind.GATE, GATES),
    (InputKind.FAILURE, FAILURES),
    (InputKind.FINDING, OTHERS),
    (InputKind.MODEL, MODELS),
)


def inputs(conn: Connection, begin: datetime, end: datetime, *, others: Sequence[str]) -> list[Input]:
    """Everything that was put in from ``begin`` to ``end``, by time. ``others``: detectors that read no samples."""
    found = list(_marks(conn, begin, end))
    values = {"begin": begin, "end": end, "others": list(others)}
    for kind, statement in SOURCES:
        with conn.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(statement, values).fetchall()
        found += [Input(row["at"], row["nr"], kind, row) for row in rows]
    return sorted(found, key=lambda each: (each.at, RANK[each.kind], each.order))


# at one moment: first what people did, then what time did with it
RANK = {kind: rank for rank, kind in enumerate((
    InputKind.POLICY, InputKind.GATE, InputKind.MODEL, InputKind.REJUDGED, InputKind.FINDING, InputKind.TICKET,
    InputKind.ALARM, InputKind.REVIEW, InputKind.FAILURE, InputKind.ROUND,
))}  # fmt: skip


def _marks(conn: Connection, begin: datetime, end: datetime) -> Iterator[Input]:
    with conn.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(MARKS, {"begin": begin, "end": end}):
            yield Input(row["at"], row["nr"], InputKind(row["what"]), row)


def told(conn: Connection, begin: datetime, end: datetime) -> dict[tuple[object, ...], tuple[datetime, int]]:
    """Finding → when it was acted on, and its place among those of one moment."""
    rows = conn.execute(
        """select asset_id, detector, kind, coalesce(mode, ''), at, active, subject, told_at, finding_id from findings
           where told_at > %s and told_at <= %s""",
        (begin, end),
    )
    return {tuple(row[:7]): (row[7], row[8]) for row in rows}


def lag_s(conn: Connection) -> float:
    """Seconds from a row to when its finding is acted on, as usual here."""
    row = conn.execute(
        """select percentile_cont(0.5) within group (order by extract(epoch from told_at - at)) from findings
           where told_at is not null"""
    ).fetchone()
    return float(row[0]) if row and row[0] is not None else 0.0


def policies_at(conn: Connection, begin: datetime) -> list[tuple[int, int | None]]:
    """(policy, the version in force at that time; None: there was none yet)."""
    return conn.execute(
        """select p.policy_id, (select max(v.version) from maintenance_policy_versions v
             where v.policy_id = p.policy_id and v.changed_at <= %s)
           from maintenance_policies p order by 1""",
        (begin,),
    ).fetchall()


def gates_at(conn: Connection, begin: datetime) -> list[tuple[int, str]]:
    """(detector version, its standing at that time; its first one where it was not heard yet)."""
    return conn.execute(
        """select g.gate_id, coalesce(
             (select c.standing from gate_changes c where c.gate_id = g.gate_id and c.changed_at <= %s
              order by change_id desc limit 1),
             (select c.standing from gate_changes c where c.gate_id = g.gate_id order by change_id limit 1), g.standing)
           from gate_standings g order by 1""",
        (begin,),
    ).fetchall()
