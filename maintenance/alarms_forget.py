"""What was kept about alarms goes when nobody asks for it any more; a bite a transaction, once an hour.

alarm_moves, ended alarm_holds     after two years: no report of hygiene looks back further
alarms_told                        after a year
moments                            a year after an alarm cleared that never had an order; those of orders stay
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import LiteralString

from psycopg import Connection

BITE = 20_000  # rows of each kind
MOVES = timedelta(days=730)
TOLD = timedelta(days=365)
MOMENTS = timedelta(days=365)


def forget(conn: Connection, now: datetime) -> int:
    """Take one bite of what is older than it is kept; returns how many rows."""
    older: dict[LiteralString, timedelta] = {OLD_MOVES: MOVES, OLD_HOLDS: MOVES, OLD_TOLD: TOLD, OLD_MOMENTS: MOMENTS}
    return sum(conn.execute(gone, {"before": now - kept, "most": BITE}).rowcount for gone, kept in older.items())


OLD_MOVES: LiteralString = """
  delete from alarm_moves where move_id in (
    select move_id from alarm_moves where at < %(before)s order by at limit %(most)s)"""
OLD_HOLDS: LiteralString = """
  delete from alarm_holds where hold_id in (
    select hold_id from alarm_holds where until < %(before)s order by since limit %(most)s)"""
OLD_TOLD: LiteralString = """
  delete from alarms_told where told_id in (
    select told_id from alarms_told where at < %(before)s order by at limit %(most)s)"""
OLD_MOMENTS: LiteralString = """
  delete from moments where prediction_id in (
    select m.prediction_id from moments m join predictions p using (prediction_id) join alarms l using (alarm_id)
    where m.at < %(before)s and l.state = 'cleared' and l.cleared_at < %(before)s and l.ticket_id is null
    limit %(most)s)"""
