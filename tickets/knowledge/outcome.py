"""What came of the guides: verified repairs after use, and against orders that were held out.

A repair is *verified* when telemetry closed the order and nobody ever reopened it. The hold-out compares orders by how
they were drawn, whether or not the guide was read then; an order that somebody looked a guide up for stays where it was
drawn.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import Connection

from tickets import words
from tickets.knowledge import intervals
from tickets.knowledge.intervals import Difference, Share
from tickets.model import Text

ENOUGH = 30  # orders an arm, finished
MOST_HELD_OUT = 0.5
HOUR_S = 3600.0
VERIFIED: LiteralString = """
  (t.status = 'closed'
   and exists (select 1 from ticket_events e where e.ticket_id = t.ticket_id and e.kind = 'transition'
     and e.actor_kind = 'system' and e.body->>'from' = 'verifying' and e.body->>'to' = 'closed')
   and not exists (select 1 from ticket_events e where e.ticket_id = t.ticket_id and e.kind = 'transition'
     and e.body->>'to' = 'reopened')) """


@dataclass(frozen=True, slots=True)
class Usefulness:
    """A guide's record. ``after_use`` and ``without_use``: verified repairs among the finished orders it was given."""

    article_id: int
    code: str
    title: Text
    pushed: int
    opened: int
    used: int
    rated: int
    rating: float | None
    after_use: Share
    without_use: Share


@dataclass(frozen=True, slots=True)
class ArmShown:
    """Orders of one arm: how many, how many finished, verified repairs, and hours from opening to done."""

    orders: int
    verified: Share
    hours: float | None  # median


@dataclass(frozen=True, slots=True)
class Effect:
    """The push against the hold-out. ``verified`` and ``hours``: pushed minus held out."""

    hold_out: float
    pushed: ArmShown
    held_out: ArmShown
    verified: Difference
    hours: Difference
    sentence: Text


@dataclass(frozen=True, slots=True)
class Settings:
    """The share of orders that get no guide."""

    hold_out: float


def settings(conn: Connection) -> Settings:
    """The site's share; 0 unless somebody set another."""
    row = conn.execute("select hold_out from guide_settings").fetchone()
    return Settings(row[0] if row else 0.0)


def hold_out(conn: Connection, share: float) -> Settings:
    """Hold this share (0 to 0.5) of the orders opened from now on out of the push. Raises InvalidFields."""
    if not 0 <= share <= MOST_HELD_OUT:
        raise words.refuse("hold_out", "hold_out is a share from 0 (every order gets its guides) to 0.5.")
    conn.execute(
        """insert into guide_settings (hold_out) values (%s)
           on conflict (site_id) do update set hold_out = excluded.hold_out""",
        (share,),
    )
    return Settings(share)


def usefulness(conn: Connection, article_id: int | None = None) -> list[Usefulness]:
    """Of every guide that some order had (of one), most used first."""
    query: LiteralString = (
        """with had as (select p.*, t.status = 'closed' as finished, """  # noqa: S608 - fixed text
        + VERIFIED
        + """as verified from article_pushes p join tickets t using (ticket_id)
               where p.arm <> 'held_out' and (%(article)s::int is null or p.article_id = %(article)s))
           select a.article_id, a.code, a.title,
             count(*) filter (where had.arm = 'pushed'), count(had.opened_at), count(had.used_at), count(had.rating),
             avg(had.rating)::float8,
             count(*) filter (where had.finished and had.verified and had.used_at is not null),
             count(*) filter (where had.finished and had.used_at is not null),
             count(*) filter (where had.finished and had.verified and had.used_at is null),
             count(*) filter (where had.finished and had.used_at is null)
           from had join articles a using (article_id) group by a.article_id order by count(had.used_at) desc, a.code"""
    )
    rows = conn.execute(query, {"article": article_id})
    return [Usefulness(*(*row[:8], intervals.share(row[8], row[9]), intervals.share(row[10], row[11]))) for row in rows]


def effect(conn: Connection) -> Effect:
    """What the push changes, measured on orders drawn by chance."""
    query: LiteralString = (
        """select t.ticket_id, min(p.arm), t.status = 'closed', """  # noqa: S608 - fixed text
        + VERIFIED
        + """, extract(epoch from t.done_at - t.opened_at)::float8
           from article_pushes p join tickets t using (ticket_id) where p.arm <> 'looked_up'
           group by t.ticket_id"""
    )
    rows = conn.execute(query).fetchall()
    given = [row for row in rows if row[1] == "pushed"]
    kept = [row for row in rows if row[1] == "held_out"]
    pushed, held = _arm(given), _arm(kept)
    return Effect(
        settings(conn).hold_out,
        pushed,
        held,
        intervals.of_shares(pushed.verified, held.verified),
        intervals.of_means(_hours(given), _hours(kept)),
        _sentence(pushed, held),
    )


def _arm(rows: list[tuple[Any, ...]]) -> ArmShown:
    finished = [row for row in rows if row[2]]
    hours = _hours(rows)
    verified = intervals.share(sum(1 for row in finished if row[3]), len(finished))
    return ArmShown(len(rows), verified, statistics.median(hours) if hours else None)


def _hours(rows: list[tuple[Any, ...]]) -> list[float]:
    return [row[4] / HOUR_S for row in rows if row[2] and row[4] is not None]


def _sentence(pushed: ArmShown, held: ArmShown) -> Text:
    if min(pushed.verified.count, held.verified.count) < ENOUGH:
        have = f"{pushed.verified.count} / {held.verified.count}"
        return {
            "en": f"Too few orders to say: {have} finished with and without guides, {ENOUGH} of each are needed.",
            "zh": f"工单太少，无法下结论：有指南与无指南已完成 {have} 张，各需至少 {ENOUGH} 张。",
        }
    gap = intervals.of_shares(pushed.verified, held.verified)
    low, high = gap.low or 0.0, gap.high or 0.0
    if low > 0:
        return {"en": "Orders with guides are repaired for good more often.", "zh": "有指南的工单修复成功率更高。"}
    if high < 0:
        return {"en": "Orders with guides are repaired for good less often.", "zh": "有指南的工单修复成功率更低。"}
    return {"en": "No difference can be told yet.", "zh": "目前看不出差别。"}
