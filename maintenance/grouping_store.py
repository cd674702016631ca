"""SQL of groups and their members, and of what a scan looks at. The only writer of these tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from core import locks
from detectors.base import FindingKind
from maintenance.grouping_scan import SITE, Burst, Onset, Scope, Topology

PRIOR = timedelta(days=30)  # believed of a machine before anything is known: one alarm in this time
GROUP: LiteralString = """select group_id, kind, asset_id, medium, first_at, last_at, monitored, expected, score,
  profile, profiled_at, ticket_id, made_at, ended_at, spread_s, closed_at from alarm_groups """


@dataclass(frozen=True, slots=True)
class Group:
    """A group as kept."""

    group_id: int
    kind: str
    asset_id: int | None
    medium: str
    first_at: datetime
    last_at: datetime
    monitored: int
    expected: float
    score: float
    profile: Mapping[str, Any]
    profiled_at: datetime | None
    ticket_id: int | None
    made_at: datetime
    ended_at: datetime | None
    spread_s: float
    closed_at: datetime | None

    @property
    def scope(self) -> Scope:
        return Scope(self.asset_id or SITE, self.medium)

    def burst(self) -> Burst:
        """As the scan would say it, without its members."""
        first, last = self.first_at.timestamp(), self.last_at.timestamp()
        return Burst(self.scope, (), 0, first, last, self.expected, self.score)


@dataclass(frozen=True, slots=True)
class Member:
    """A member and how its alarm stands. ``deviates``: this very deviation goes on."""

    alarm_id: int
    asset_id: int
    asset_class: str
    onset_at: datetime
    left_at: datetime | None
    deviates: bool
    returned_at: datetime | None
    health: float
    contributions: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Membership:
    """That a deviation is, or was, held by a group."""

    group_id: int
    active: bool


def lock(conn: Connection) -> None:
    """One maker of groups a site, to the end of the transaction."""
    conn.execute("select pg_advisory_xact_lock(%s, current_site())", (locks.GROUPS,))


def membership(conn: Connection, alarm_id: int, onset_at: datetime) -> Membership | None:
    """Of this deviation of the alarm; None: it was never grouped."""
    row = conn.execute(
        """select group_id, left_at is null from alarm_group_members where alarm_id = %s and onset_at = %s
           order by group_id desc limit 1""",
        (alarm_id, onset_at),
    ).fetchone()
    return None if row is None else Membership(*row)


def group(conn: Connection, group_id: int) -> Group | None:
    with conn.cursor(row_factory=class_row(Group)) as cursor:
        return cursor.execute(GROUP + "where group_id = %s", (group_id,)).fetchone()


def near(conn: Connection, kind: FindingKind, *, since: datetime, until: datetime) -> list[Group]:
    """Groups that hold somebody and began in this time."""
    with conn.cursor(row_factory=class_row(Group)) as cursor:
        return cursor.execute(
            GROUP + "where closed_at is null and kind = %s and first_at between %s and %s order by group_id",
            (kind.value, since, until),
        ).fetchall()


def holding(conn: Connection) -> list[Group]:
    """Every group that holds somebody."""
    with conn.cursor(row_factory=class_row(Group)) as cursor:
        return cursor.execute(GROUP + "where closed_at is null order by group_id").fetchall()


def loose(conn: Connection, kind: FindingKind, *, since: datetime, until: datetime) -> list[Onset]:
    """Open alarms that began in this time and were never in a group for it, with what they are about."""
    rows = conn.execute(LOOSE, {"kind": kind.value, "since": since, "until": until}).fetchall()
    ids = sorted({int(row[3]) for row in rows if row[3]})
    known = conn.execute("select signal_id, quantity from signals where signal_id = any(%s)", (ids,))
    quantity: dict[int, str] = dict(known.fetchall())
    return [
        Onset(alarm_id, asset_id, onset.timestamp(), silent or quantity.get(int(first or 0), ""), raised.timestamp())
        for alarm_id, asset_id, onset, first, silent, raised in rows
    ]


def machines(conn: Connection, kind: FindingKind, *, since: datetime, until: datetime, most: int) -> int:
    """On how many machines, ``most`` at most, alarms of :func:`loose` began in this time."""
    asked = {"kind": kind.value, "since": since, "until": until, "most": most}
    row = conn.execute(
        "select count(*) from (select distinct l.asset_id " + FREE + " limit %(most)s) m",  # noqa: S608 - our own text
        asked,
    ).fetchone()
    return row[0] if row else 0


def topology(conn: Connection) -> Topology:
    """The site's tree and feeds; machines are assets that have signals."""
    parents: dict[int, int | None] = dict(conn.execute("select asset_id, parent_id from assets").fetchall())
    feeds: dict[int, list[tuple[int, str]]] = {}
    said = conn.execute("select asset_id, feeder_id, medium from asset_feeds order by asset_id, feeder_id, medium")
    for asset_id, feeder, medium in said:
        feeds.setdefault(asset_id, []).append((feeder, medium))
    watched = frozenset(row[0] for row in conn.execute("select distinct asset_id from signals"))
    return Topology(parents, feeds, watched)


def rate_s(conn: Connection, kind: FindingKind, *, at: datetime, machines: int) -> float:
    """Alarms a machine and second, as a rule: those of the last month that had no common cause, and one for each."""
    row = conn.execute(
        """select count(*) from alarms l where l.kind = %s and l.raised_at > %s and l.raised_at <= %s
             and not exists (select 1 from alarm_group_members m where m.alarm_id = l.alarm_id)""",
        (kind.value, at - PRIOR, at - timedelta(hours=2)),
    ).fetchone()
    seen = row[0] if row else 0
    return float((seen + max(machines, 1)) / (2 * max(machines, 1) * PRIOR.total_seconds()))


def add(
    conn: Connection, kind: FindingKind, burst: Burst, *, monitored: int, first: datetime, last: datetime, now: datetime
) -> Group:
    """A new group without members."""
    with conn.cursor(row_factory=class_row(Group)) as cursor:
        made = cursor.execute(
            """insert into alarm_groups (kind, asset_id, medium, first_at, last_at, monitored, expected, score, made_at)
               values (%s, %s, %s, %s, %s, %s, %s, %s, %s) returning group_id, kind, asset_id, medium, first_at,
                 last_at, monitored, expected, score, profile, profiled_at, ticket_id, made_at, ended_at, spread_s,
                 closed_at""",
            (
                kind.value,
                burst.scope.asset_id or None,
                burst.scope.medium,
                first,
                last,
                monitored,
                burst.expected,
                burst.score,
                now,
            ),
        ).fetchone()
    if made is None:
        raise RuntimeError("insert … returning gave no row")
    return made


def join(conn: Connection, group_id: int, alarm_ids: Iterable[int], *, now: datetime) -> int:
    """Make alarms members, as they stand; returns how many are new. Widens the group's time."""
    joined = conn.execute(JOIN, {"group": group_id, "alarms": list(alarm_ids), "now": now}).rowcount
    conn.execute(
        """update alarm_groups g set first_at = least(g.first_at, m.first), last_at = greatest(g.last_at, m.last)
           from (select min(onset_at) as first, max(onset_at) as last from alarm_group_members where group_id = %s) m
           where g.group_id = %s""",
        (group_id, group_id),
    )
    return joined


def mark(conn: Connection, group_id: int) -> None:
    """Show in the list of alarms what holds its members; one that is being judged just now is marked by that."""
    conn.execute(
        """update alarms set held = 'grouped' where alarm_id in (
             select l.alarm_id from alarms l join alarm_group_members m using (alarm_id)
             where m.group_id = %s and m.left_at is null and l.onset_at = m.onset_at and l.held = ''
               and l.state <> 'cleared' for update of l skip locked)""",
        (group_id,),
    )


def leave(
    conn: Connection, group_id: int, alarm_ids: Sequence[int], *, why: str, how: Mapping[str, str], now: datetime
) -> None:
    """They are held no longer, with the reason."""
    conn.execute(
        """with gone as (update alarm_group_members set left_at = %(now)s, left_why = %(why)s, left_how = %(how)s
             where group_id = %(group)s and alarm_id = any(%(alarms)s) and left_at is null returning alarm_id, asset_id)
           insert into alarm_moves (alarm_id, asset_id, at, what, severity, detail)
             select alarm_id, gone.asset_id, %(now)s, 'broke_out', l.severity, %(how)s
             from gone join alarms l using (alarm_id)""",
        {"group": group_id, "alarms": list(alarm_ids), "why": why, "how": Jsonb(dict(how)), "now": now},
    )


def members(conn: Connection, group_id: int) -> list[Member]:
    """Everybody who is or was held by it, by onset."""
    with conn.cursor(row_factory=class_row(Member)) as cursor:
        return cursor.execute(MEMBERS, (group_id,)).fetchall()


def save(
    conn: Connection,
    group_id: int,
    *,
    profile: Mapping[str, object],
    now: datetime,
    ended_at: datetime | None,
    spread_s: float,
    closed_at: datetime | None,
) -> None:
    conn.execute(
        """update alarm_groups set profile = %s, profiled_at = %s, ended_at = %s, spread_s = %s, closed_at = %s
           where group_id = %s""",
        (Jsonb(dict(profile)), now, ended_at, spread_s, closed_at, group_id),
    )


def widen(conn: Connection, group_id: int, scope: Scope, *, monitored: int) -> None:
    """More belongs to it than was thought."""
    conn.execute(
        "update alarm_groups set asset_id = %s, medium = %s, monitored = %s where group_id = %s",
        (scope.asset_id or None, scope.medium, monitored, group_id),
    )


def carry(conn: Connection, group_id: int, ticket_id: int) -> None:
    """The order that looks for the common cause."""
    conn.execute("update alarm_groups set ticket_id = %s where group_id = %s", (ticket_id, group_id))


def single_orders(conn: Connection) -> list[tuple[int, int]]:
    """(order of a member alone, order of its group): opened for the same deviation, and nobody has begun."""
    return conn.execute(
        """select distinct l.ticket_id, g.ticket_id from alarm_groups g
           join alarm_group_members m on m.group_id = g.group_id and m.left_at is null
           join alarms l on l.alarm_id = m.alarm_id and l.onset_at = m.onset_at
           join tickets one on one.ticket_id = l.ticket_id and one.status in ('new', 'assigned')
             and one.kind = 'sensor-fault'
           join tickets common on common.ticket_id = g.ticket_id and common.status in ('new', 'assigned', 'accepted')
           where g.closed_at is null and l.ticket_id <> g.ticket_id order by 1"""
    ).fetchall()


FREE: LiteralString = """
  from alarms l where l.onset_at between %(since)s and %(until)s and l.kind = %(kind)s and l.state <> 'cleared'
    and l.mode not like 'source:%%'
    and not exists (select 1 from alarm_group_members m where m.alarm_id = l.alarm_id and m.onset_at = l.onset_at)"""
LOOSE: LiteralString = (
    """select l.alarm_id, l.asset_id, l.onset_at,
    (select key from jsonb_each(l.contributions) order by (value->>'share')::float8 desc, key limit 1),
    case when l.mode like '%%:silent' then 'silent' else '' end, l.raised_at
  """  # noqa: S608 - our own text
    + FREE
    + " order by l.alarm_id"
)
JOIN: LiteralString = """
  with come as (insert into alarm_group_members (group_id, alarm_id, asset_id, onset_at, joined_at)
    select %(group)s, alarm_id, asset_id, onset_at, %(now)s from alarms where alarm_id = any(%(alarms)s)
    on conflict (group_id, alarm_id) do update set onset_at = excluded.onset_at
      where alarm_group_members.left_at is null returning alarm_id, asset_id)
  insert into alarm_moves (alarm_id, asset_id, at, what, severity, detail)
    select alarm_id, come.asset_id, %(now)s, 'grouped', l.severity, jsonb_build_object('group', %(group)s::int)
    from come join alarms l using (alarm_id)"""
MEMBERS: LiteralString = """
  select m.alarm_id, m.asset_id, a.class as asset_class, m.onset_at, m.left_at,
    l.returned_at is null and l.state <> 'cleared' and l.onset_at = m.onset_at as deviates,
    case when l.onset_at = m.onset_at then l.returned_at end as returned_at, l.health, l.contributions
  from alarm_group_members m join alarms l using (alarm_id) join assets a on a.asset_id = m.asset_id
  where m.group_id = %s order by m.onset_at, m.alarm_id"""
