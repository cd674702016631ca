"""Suppression by design: while this machine, its line or what feeds it is in such a state, these alarms mean nothing.

A rule is data. What it suppresses is kept, logged and listed with the rule; never dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import class_row, dict_row

from core.errors import NotFound
from maintenance.errors import StaleTuning
from plant import assets
from plant.model import Asset, Quality

PERIODS = 5  # of its own that a periodic state holds …
LEAST_AGE = timedelta(minutes=15)  # … or this long


@dataclass(frozen=True, slots=True)
class Rule:
    """``whose`` state is looked at: own, parent (the nearest above that tells one) or feeder (any of them)."""

    rule_id: int
    name: str
    asset_class: str
    asset_id: int | None
    mode: str
    whose: str
    states: Sequence[int]

    def fits(self, asset: Asset, mode: str, above: Sequence[int]) -> bool:
        """Whether it speaks of such an alarm; ``above``: the asset itself and what it is a part of."""
        return (
            self.asset_class in ("", asset.asset_class)
            and self.mode in ("", mode)
            and (self.asset_id is None or self.asset_id in above)
        )


def suppressing(conn: Connection, asset: Asset, mode: str, *, now: datetime) -> Rule | None:
    """The first rule that suppresses this alarm at ``now`` (plant time)."""
    rules = enabled(conn)
    if not rules:
        return None
    above = _above(conn, asset.asset_id)
    fitting = [rule for rule in rules if rule.fits(asset, mode, above)]
    if not fitting:
        return None
    states = _states(conn, asset.asset_id, above, now)
    return next((rule for rule in fitting if not states[rule.whose].isdisjoint(rule.states)), None)


def enabled(conn: Connection) -> list[Rule]:
    with conn.cursor(row_factory=class_row(Rule)) as cursor:
        return cursor.execute(
            """select rule_id, name, asset_class, asset_id, mode, whose, states from suppress_rules
               where enabled and retired_at is null order by rule_id"""
        ).fetchall()


def listed(conn: Connection) -> list[dict[str, Any]]:
    """Every rule that is not retired, with how many alarms it suppresses now and ever did."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(LISTED).fetchall()


def add(conn: Connection, by: str, values: Mapping[str, Any], *, now: datetime) -> int:
    """A new rule; returns its id. Raises AssetNotFound."""
    if values.get("asset_id") is not None:
        assets.asset(conn, values["asset_id"])
    row = conn.execute(
        """insert into suppress_rules (name, asset_class, asset_id, mode, whose, states, enabled, made_by, made_at)
           values (%(name)s, %(asset_class)s, %(asset_id)s, %(mode)s, %(whose)s, %(states)s, %(enabled)s,
             %(by)s, %(now)s) returning rule_id""",
        {**values, "by": by, "now": now},
    ).fetchone()
    if row is None:
        raise RuntimeError("insert … returning gave no row")
    return int(row[0])


def change(conn: Connection, rule_id: int, values: Mapping[str, Any], *, version: int) -> None:
    """Raises NotFound, AssetNotFound, StaleTuning when somebody else was first."""
    if values.get("asset_id") is not None:
        assets.asset(conn, values["asset_id"])
    done = conn.execute(
        """update suppress_rules set name = %(name)s, asset_class = %(asset_class)s, asset_id = %(asset_id)s,
             mode = %(mode)s, whose = %(whose)s, states = %(states)s, enabled = %(enabled)s, version = version + 1
           where rule_id = %(rule)s and version = %(version)s and retired_at is null""",
        {**values, "rule": rule_id, "version": version},
    )
    if done.rowcount == 0:
        _known(conn, rule_id)
        raise StaleTuning


def retire(conn: Connection, rule_id: int, *, now: datetime) -> None:
    """It suppresses nothing any more; what it did stays listed. Raises NotFound."""
    _known(conn, rule_id)
    conn.execute("update suppress_rules set retired_at = %s where rule_id = %s", (now, rule_id))


def _known(conn: Connection, rule_id: int) -> None:
    row = conn.execute("select 1 from suppress_rules where rule_id = %s and retired_at is null", (rule_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no suppression rule {rule_id} on this site.")


def _above(conn: Connection, asset_id: int) -> list[int]:
    return [row[0] for row in conn.execute(ABOVE, (asset_id,))]


def _states(conn: Connection, asset_id: int, above: Sequence[int], now: datetime) -> dict[str, set[int]]:
    """Whose → the state codes that hold now."""
    feeders = [row[0] for row in conn.execute("select feeder_id from asset_feeds where asset_id = any(%s)", (above,))]
    asked = {"assets": [*above, *feeders], "now": now, "bad": Quality.BAD, "least": LEAST_AGE, "periods": PERIODS}
    told: dict[int, int] = dict(conn.execute(TOLD, asked).fetchall())
    parent = next((told[each] for each in above[1:] if each in told), None)
    return {
        "own": {told[asset_id]} if asset_id in told else set(),
        "parent": set() if parent is None else {parent},
        "feeder": {told[each] for each in feeders if each in told},
    }


ABOVE: LiteralString = """
  with recursive up as (
    select asset_id, parent_id, 0 as far from assets where asset_id = %s
    union all select a.asset_id, a.parent_id, up.far + 1 from assets a join up on a.asset_id = up.parent_id
      where up.far < 20)
  select asset_id from up order by far"""
LISTED: LiteralString = """
  select r.*, a.code as asset_code,
    (select count(*) from alarm_holds h
       where h.kind = 'suppressed' and h.ref = r.rule_id::text and h.until is null) as now,
    (select count(*) from alarm_holds h where h.kind = 'suppressed' and h.ref = r.rule_id::text) as ever
  from suppress_rules r left join assets a using (asset_id) where r.retired_at is null order by r.rule_id"""
# A state that is told on change holds until its source falls silent, one that is told periodically a few periods.
TOLD: LiteralString = """
  select s.asset_id, v.value::int from signals s join last_values v using (signal_id)
  left join lateral (select b.report, t.state from bindings b
    left join source_status t on t.site_id = b.site_id and t.source = b.source
    where b.signal_id = s.signal_id order by b.binding_id desc limit 1) way on true
  where s.role = 'state' and s.asset_id = any(%(assets)s) and v.quality < %(bad)s
    and v.value between -2147483648 and 2147483647
    and case when way.report = 'periodic'
          then v.at > %(now)s - greatest(%(least)s, %(periods)s * s.period_s * interval '1 second')
          else coalesce(way.state, '') not in ('lost', 'silent', 'misconfigured') end
  order by v.at"""
