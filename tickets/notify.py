"""Notices to people: one row a person and effect, written in the transaction of what they tell.

The key makes an effect happen once: telling it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from core import live
from core.errors import NotFound
from tickets.beside import Beside
from tickets.model import Text, Ticket


class NoticeKind(StrEnum):
    """What a notice is about."""

    ASSIGNED = "assigned"
    WITHDRAWN = "withdrawn"
    UNASSIGNED = "unassigned"
    SLA_WARNING = "sla_warning"
    SLA_BREACHED = "sla_breached"
    SLA_ESCALATED = "sla_escalated"
    SLA_WITHDRAWN = "sla_withdrawn"
    REOPENED = "reopened"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    NEEDS_PERSON = "needs_person"
    LAG = "lag"
    REPORT = "report"
    STOCK_LOW = "stock_low"
    RULE = "rule"
    MENTIONED = "mentioned"
    COMMENTED = "commented"
    MOVED = "moved"
    APPROVAL = "approval"
    DECIDED = "decided"
    ALARM = "alarm"
    FLOOD = "flood"
    REPLAN = "replan"


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice in somebody's inbox."""

    notification_id: int
    at: datetime
    kind: str
    ticket_id: int | None
    title: Text
    body: Text
    read_at: datetime | None


TITLES: Mapping[NoticeKind, Text] = {
    NoticeKind.ASSIGNED: {"en": "{ref} is yours", "zh": "{ref} 已指派给您"},
    NoticeKind.WITHDRAWN: {"en": "{ref} is no longer yours", "zh": "{ref} 已转给他人"},
    NoticeKind.UNASSIGNED: {"en": "{ref} has nobody", "zh": "{ref} 无人可派"},
    NoticeKind.SLA_WARNING: {"en": "{ref}: {clock} time is running out", "zh": "{ref}：{clock_zh}时限将到"},
    NoticeKind.SLA_BREACHED: {"en": "{ref}: {clock} time is over", "zh": "{ref}：{clock_zh}已超时"},
    NoticeKind.SLA_ESCALATED: {"en": "{ref}: {clock} time was over long ago", "zh": "{ref}：{clock_zh}超时升级"},
    NoticeKind.SLA_WITHDRAWN: {"en": "{ref}: {clock} time was kept after all", "zh": "{ref}：{clock_zh}实未超时"},
    NoticeKind.REOPENED: {"en": "{ref} was reopened", "zh": "{ref} 已重新打开"},
    NoticeKind.CLOSED: {"en": "{ref} is closed", "zh": "{ref} 已关闭"},
    NoticeKind.NEEDS_PERSON: {"en": "{ref}: please decide", "zh": "{ref}：请人工判断"},
    NoticeKind.RULE: {"en": "{ref}", "zh": "{ref}"},
    NoticeKind.CANCELLED: {"en": "{ref} was cancelled", "zh": "{ref} 已取消"},
    NoticeKind.MENTIONED: {"en": "{ref} names you", "zh": "{ref} 提到了您"},
    NoticeKind.COMMENTED: {"en": "{ref}: a comment", "zh": "{ref}：新评论"},
    NoticeKind.MOVED: {"en": "{ref} has moved on", "zh": "{ref} 状态已更新"},
    NoticeKind.APPROVAL: {"en": "{ref} needs your approval", "zh": "{ref} 需要您审批"},
    NoticeKind.DECIDED: {"en": "{ref}: the approval is decided", "zh": "{ref}：审批已有结果"},
}
CLOCK_ZH = {"response": "响应", "update": "更新", "resolution": "解决"}
STOPS = (("en", ". "), ("zh", "。"))


def tell(
    conn: Connection,
    users: Iterable[int | None],
    *,
    kind: NoticeKind,
    ticket: Ticket,
    key: str,
    now: datetime,
    extra: Text | None = None,
    clock: str = "",
) -> int:
    """Put one notice into each user's inbox, once for a ``key``; returns how many were new. None is nobody.

    The body is the ticket's title and the sentence ``extra``; ``clock`` names the SLA clock where the title has one.
    """
    return _put(conn, users, ticket.ticket_id, kind=kind, key=key, words=_words(kind, ticket, extra, clock), now=now)


def _words(kind: NoticeKind, ticket: Ticket, extra: Text | None, clock: str) -> dict[str, dict[str, str]]:
    title = {
        lang: text.format(ref=ticket.ref, clock=clock, clock_zh=CLOCK_ZH.get(clock, clock))
        for lang, text in TITLES[kind].items()
    }
    body = {lang: ticket.title if extra is None else f"{ticket.title}{stop}{extra[lang]}" for lang, stop in STOPS}
    return {"title": title, "body": body}


def beside(
    users: Iterable[int | None],
    *,
    kind: NoticeKind,
    ticket: Ticket,
    key: str,
    now: datetime,
    extra: Text | None = None,
) -> Beside | None:
    """Like :func:`tell` of a ticket that is being opened, for the statement that writes it."""
    people = _people(users)
    if not people:
        return None
    body = Jsonb(_words(kind, ticket, extra, ""))
    return Beside(BESIDE, [people, key, kind.value, body, now], SHOWN)


BESIDE = sql.SQL(
    """noted as (insert into notifications (user_id, ticket_id, key, kind, body, at)
         select unnest(%s::int[]), written.ticket_id, %s, %s, %s::jsonb, %s::timestamptz from written
         on conflict (site_id, user_id, key) do nothing returning notification_id),
       shown as (select pg_notify({}, json_build_object('site', current_site(), 'topic', 'notification',
         'id', notification_id)::text)::text as sent from noted)"""
).format(sql.Literal(live.CHANNEL))
SHOWN = sql.SQL(", (select count(sent) from shown)")


def tell_of(
    conn: Connection, users: Iterable[int | None], *, kind: NoticeKind, title: Text, body: Text, key: str, now: datetime
) -> int:
    """Like :func:`tell`, of something that has no ticket."""
    return _put(conn, users, None, kind=kind, key=key, words={"title": title, "body": body}, now=now)


def _put(
    conn: Connection,
    users: Iterable[int | None],
    ticket_id: int | None,
    *,
    kind: NoticeKind,
    key: str,
    words: Mapping[str, Text],
    now: datetime,
) -> int:
    people = _people(users)
    if not people:
        return 0
    body = Jsonb({name: dict(text) for name, text in words.items()})
    told = conn.execute(
        """with told as (
             insert into notifications (user_id, ticket_id, key, kind, body, at)
             select unnest(%s::int[]), %s::int, %s, %s, %s::jsonb, %s::timestamptz
             on conflict (site_id, user_id, key) do nothing returning notification_id)
           select pg_notify(%s, json_build_object('site', current_site(), 'topic', 'notification',
             'id', notification_id)::text) from told""",
        (people, ticket_id, key, kind.value, body, now, live.CHANNEL),
    )
    return told.rowcount


def _people(users: Iterable[int | None]) -> list[int]:
    return sorted({user for user in users if user is not None})


def planners(conn: Connection) -> list[int]:
    """Users who plan on this site; where there is none, its managers and administrators."""
    rows = conn.execute(
        """select m.user_id, m.role from memberships m join users u using (user_id)
           where m.site_id = current_site() and u.disabled_at is null and m.role in ('planner', 'manager', 'admin')"""
    ).fetchall()
    return [user for user, role in rows if role == "planner"] or [user for user, _ in rows]


def watchers(conn: Connection) -> list[int]:
    """Users who look after the instance: planners and administrators."""
    rows = conn.execute(
        """select distinct m.user_id from memberships m join users u using (user_id)
           where m.site_id = current_site() and u.disabled_at is null and m.role in ('planner', 'admin') order by 1"""
    )
    return [row[0] for row in rows]


def inbox(
    conn: Connection, user_id: int, *, unread_only: bool = False, limit: int = 50, before: int | None = None
) -> list[Notice]:
    """A user's notices on this site, newest first; ``before`` a notification id."""
    rows = conn.execute(
        """select notification_id, at, kind, ticket_id, body->'title', body->'body', read_at from notifications
           where user_id = %s and (not %s or read_at is null) and (%s::int is null or notification_id < %s)
           order by notification_id desc limit %s""",
        (user_id, unread_only, before, before, limit),
    )
    return [Notice(*row) for row in rows]


def mark_read(conn: Connection, user_id: int, notification_id: int, *, now: datetime) -> None:
    """The user has seen it; raises NotFound for somebody else's."""
    updated = conn.execute(
        "update notifications set read_at = coalesce(read_at, %s) where notification_id = %s and user_id = %s",
        (now, notification_id, user_id),
    )
    if updated.rowcount == 0:
        raise NotFound(f"You have no notice {notification_id} on this site.")
