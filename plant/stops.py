"""SQL of production windows: rules kept by asset, what holds for a machine by the tree above it, costs of standing.

put  change  remove        rules; overlapping ones of an asset are refused
openings  book             when a machine may stop: one machine, or many with few queries
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any, LiteralString

from psycopg import Connection

from core.errors import NotFound, Stale
from plant import windows
from plant.assets import asset as asset_of
from plant.errors import BadWindow
from plant.model import Window
from plant.windows import Kind, Opening, Rule, Weekly

SELECT: LiteralString = """
  select window_id, version, asset_id, kind, cost_h, note, begins, ends, zone, weekdays, opens_min, lasts_min,
         first_day, last_day, every_weeks
  from production_windows """
LINE: LiteralString = """
  with recursive line as (
    select asset_id, parent_id from assets where asset_id = %s
    union select a.asset_id, a.parent_id from assets a join line l on a.asset_id = l.parent_id)
  select asset_id, parent_id, cost_h from line left join stop_costs using (asset_id)"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A rule as it is kept."""

    window_id: int
    version: int
    rule: Rule


@dataclass(frozen=True, slots=True)
class Book:
    """All rules and costs of a site, for questions about many machines."""

    rules: Mapping[int, Sequence[Rule]]
    costs: Mapping[int, float]
    parents: Mapping[int, int | None]

    def line(self, asset_id: int) -> list[int]:
        """The asset and those above it, nearest first."""
        found: list[int] = []
        at: int | None = asset_id
        while at is not None and at not in found:
            found.append(at)
            at = self.parents.get(at)
        return found

    def is_restricted(self, asset_id: int) -> bool:
        """Whether the machine may stop in windows only."""
        return any(rule.kind is Kind.WINDOW for rule in windows.inherited(self.rules, self.line(asset_id)))

    def openings(self, asset_id: int, *, start: datetime, end: datetime) -> list[Opening]:
        """When the machine may stop: see :func:`plant.windows.spread`."""
        line = self.line(asset_id)
        always = next((self.costs[asset] for asset in line if asset in self.costs), 0.0)
        return windows.spread(windows.inherited(self.rules, line), start=start, end=end, always_h=always)

    def common(self, asset_ids: Sequence[int], *, start: datetime, end: datetime) -> list[Window]:
        """When all of them may stop together; without any asset all the time."""
        found = [Window(start, end)]
        for asset_id in asset_ids:
            found = windows.overlap(found, self.openings(asset_id, start=start, end=end))
        return found

    def cost_of(self, asset_ids: Sequence[int], start: datetime, end: datetime) -> float:
        """What it costs that all of them stand from ``start`` to ``end``, where they may."""
        times = ((self.openings(asset_id, start=start, end=end), start, end) for asset_id in asset_ids)
        return sum(windows.stop_cost(*each) or 0.0 for each in times)


# -- asking -----------------------------------------------------------------------------------------------------------


def openings(conn: Connection, asset_id: int, *, start: datetime, end: datetime) -> list[Opening]:
    """When one machine may stop, its own windows or those of the nearest asset above it that has any, and every
    shutdown above; without windows all the time. Raises AssetNotFound."""
    asset_of(conn, asset_id)
    return _book_of(conn, asset_id).openings(asset_id, start=start, end=end)


def book(conn: Connection) -> Book:
    """Everything that the site has declared: to be made once for questions about many machines."""
    costs = {row[0]: row[1] for row in conn.execute("select asset_id, cost_h from stop_costs")}
    parents = {row[0]: row[1] for row in conn.execute("select asset_id, parent_id from assets")}
    return Book(_by_asset(find(conn)), costs, parents)


def _book_of(conn: Connection, asset_id: int) -> Book:
    """What is declared for one machine and those above it: two queries, however large the site is."""
    line = conn.execute(LINE, (asset_id,)).fetchall()
    rows = conn.execute(SELECT + "where asset_id = any(%s) order by window_id", ([row[0] for row in line],))
    costs = {row[0]: row[2] for row in line if row[2] is not None}
    return Book(_by_asset([_kept(row) for row in rows]), costs, {row[0]: row[1] for row in line})


def _by_asset(found: Sequence[Kept]) -> dict[int, list[Rule]]:
    rules: dict[int, list[Rule]] = {}
    for each in found:
        rules.setdefault(each.rule.asset_id, []).append(each.rule)
    return rules


def find(conn: Connection, asset_id: int | None = None) -> list[Kept]:
    """The rules of an asset alone, or of all, in the order they were made."""
    rows = conn.execute(SELECT + "where asset_id = coalesce(%s, asset_id) order by window_id", (asset_id,))
    return [_kept(row) for row in rows]


def get(conn: Connection, window_id: int) -> Kept:
    """Raises NotFound."""
    row = conn.execute(SELECT + "where window_id = %s", (window_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no window {window_id} on this site.")
    return _kept(row)


def cost(conn: Connection, asset_id: int) -> float | None:
    """What an hour of standing costs outside of windows, as declared for this very asset."""
    row = conn.execute("select cost_h from stop_costs where asset_id = %s", (asset_id,)).fetchone()
    return row[0] if row else None


# -- changing ---------------------------------------------------------------------------------------------------------


def put(conn: Connection, rule: Rule) -> Kept:
    """A new rule. Raises BadWindow, AssetNotFound."""
    windows.check(rule)
    _refuse_clash(conn, rule)
    row = conn.execute(
        """insert into production_windows (asset_id, kind, cost_h, note, begins, ends, zone, weekdays, opens_min,
             lasts_min, first_day, last_day, every_weeks)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning window_id""",
        _values(rule),
    ).fetchone()
    if row is None:
        raise RuntimeError("insert … returning gave no row")
    return get(conn, row[0])


def change(conn: Connection, window_id: int, rule: Rule, *, version: int | None) -> Kept:
    """Another rule in its place. Raises NotFound, Stale, BadWindow, AssetNotFound."""
    _lock(conn, window_id, version)
    windows.check(rule)
    _refuse_clash(conn, rule, but=window_id)
    conn.execute(
        """update production_windows set asset_id = %s, kind = %s, cost_h = %s, note = %s, begins = %s, ends = %s,
             zone = %s, weekdays = %s, opens_min = %s, lasts_min = %s, first_day = %s, last_day = %s, every_weeks = %s,
             version = version + 1 where window_id = %s""",
        (*_values(rule), window_id),
    )
    return get(conn, window_id)


def remove(conn: Connection, window_id: int, *, version: int | None) -> None:
    """Take a rule back. Raises NotFound, Stale."""
    _lock(conn, window_id, version)
    conn.execute("delete from production_windows where window_id = %s", (window_id,))


def set_cost(conn: Connection, asset_id: int, cost_h: float | None) -> None:
    """What an hour of standing costs outside of windows; None: as of what is above. Raises BadWindow, AssetNotFound."""
    asset_of(conn, asset_id)
    if cost_h is None:
        conn.execute("delete from stop_costs where asset_id = %s", (asset_id,))
        return
    if not (isfinite(cost_h) and cost_h >= 0):
        raise BadWindow("Standing costs 0 or more an hour. Give a cost that is not negative.")
    conn.execute(
        """insert into stop_costs (asset_id, cost_h) values (%s, %s)
           on conflict (asset_id) do update set cost_h = excluded.cost_h""",
        (asset_id, cost_h),
    )


# -- inside -----------------------------------------------------------------------------------------------------------


def _lock(conn: Connection, window_id: int, version: int | None) -> None:
    conn.execute("select 1 from production_windows where window_id = %s for update", (window_id,))
    standing = get(conn, window_id)
    if version is not None and version != standing.version:
        raise Stale(
            f"The window was changed meanwhile: it is at version {standing.version}. Reload and try again.",
            current={"window_id": window_id, "version": standing.version},
            given_version=version,
        )


def _refuse_clash(conn: Connection, rule: Rule, *, but: int | None = None) -> None:
    """One writer an asset at a time, so that no two windows that overlap can slip in."""
    asset = asset_of(conn, rule.asset_id)
    conn.execute("select 1 from assets where asset_id = %s for no key update", (rule.asset_id,))
    others = [each.rule for each in find(conn, rule.asset_id) if each.window_id != but]
    found = windows.clash(rule, others)
    if found is not None:
        when = f"{found[1].start:%Y-%m-%d %H:%M} UTC"
        raise BadWindow(
            f"{asset.code} has a {rule.kind} that overlaps this one, first on {when}. "
            "Change that one, or choose another time."
        )


def _values(rule: Rule) -> tuple[Any, ...]:
    head = (rule.asset_id, rule.kind.value, rule.cost_h, rule.note)
    if isinstance(rule.when, Window):
        return (*head, rule.when.start, rule.when.end, *(None,) * 7)
    week = rule.when
    pattern = (week.zone, sorted(set(week.weekdays)), week.opens_min, week.lasts_min)
    return (*head, None, None, *pattern, week.first, week.last, week.every_weeks)


def _kept(row: tuple[Any, ...]) -> Kept:
    window_id, version, asset_id, kind, cost_h, note, begins, ends, zone, days, opens, lasts, first, last, weeks = row
    when = Window(begins, ends) if days is None else Weekly(zone, tuple(days), opens, lasts, first, last, weeks)
    return Kept(window_id, version, Rule(asset_id, when, cost_h, Kind(kind), note))
