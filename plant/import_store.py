"""An import of assets against the database: what is known, the plan, and doing it, all or nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from core import live
from plant import importing
from plant.errors import BadImport
from plant.import_signals import SignalRow
from plant.importing import AssetRow, Change, Item, Known, Plan
from plant.units import canonical

MOST_SHOWN = 100  # problems in the answer of a refused import


@dataclass(frozen=True, slots=True)
class Kept:
    """An asset with why it matters."""

    asset_id: int
    row: AssetRow


def known(conn: Connection, classes: Collection[str]) -> Known:
    """The site's assets and signals as a table would say them."""
    assets = {each.row.code: each.row for each in kept(conn)}
    signals = {
        (row[0], row[1]): SignalRow(*row)
        for row in conn.execute(
            """select a.code, s.code, s.name, s.quantity, s.low, s.high, s.period_s, s.role
               from signals s join assets a using (asset_id) order by a.code, s.signal_id"""
        )
    }
    return Known(assets, signals, frozenset(classes))


def kept(conn: Connection, asset_id: int | None = None) -> list[Kept]:
    """Every asset of the site by code, or the one."""
    rows = conn.execute(
        """select a.asset_id, a.code, a.name, coalesce(a.name_zh, ''), p.code, a.level, a.class, a.criticality,
             a.consequence, a.likelihood, a.criticality_reason, a.location
           from assets a left join assets p on p.asset_id = a.parent_id
           where %s::int is null or a.asset_id = %s order by a.code""",
        (asset_id, asset_id),
    )
    return [Kept(row[0], AssetRow(*row[1:])) for row in rows]


def look(conn: Connection, rows: Sequence[Sequence[str]], classes: Collection[str]) -> Plan:
    """What an import of these rows would do. Changes nothing."""
    return importing.plan(rows, known(conn, classes))


def apply(conn: Connection, rows: Sequence[Sequence[str]], classes: Collection[str]) -> Plan:
    """Do it in the caller's transaction; the same file again changes nothing. Raises BadImport, nothing done."""
    conn.execute("select pg_advisory_xact_lock(hashtext('assets.import'), current_site())")
    made = look(conn, rows, classes)
    if made.problems:
        told = [{"row": each.row, "column": each.column, **each.message} for each in made.problems[:MOST_SHOWN]]
        first = made.problems[0]
        where = f"row {first.row}, column {first.column}" if first.column else f"row {first.row}"
        raise BadImport(
            f"{len(made.problems)} problems; nothing was changed. First: {where}: {first.message['en']}",
            problems=told,
            count=len(made.problems),
        )
    write(conn, made.items)
    return made


def write(conn: Connection, items: Sequence[Item]) -> None:
    """Create and change what the items say, parents first."""
    ids: dict[str, int] = dict(conn.execute("select code, asset_id from assets").fetchall())
    for item in items:
        if item.change is Change.UNCHANGED:
            continue
        if isinstance(item.wanted, AssetRow):
            ids[item.asset] = _asset(conn, item.wanted, ids)
            live.announce(conn, "asset", ids[item.asset])
        else:
            _signal(conn, item.wanted, ids[item.asset])


def _asset(conn: Connection, row: AssetRow, ids: dict[str, int]) -> int:
    found: Any = conn.execute(
        """insert into assets (code, name, name_zh, parent_id, level, class, criticality, consequence, likelihood,
             criticality_reason, location) values (%s, %s, nullif(%s, ''), %s, %s, %s, %s, %s, %s, %s, %s)
           on conflict (site_id, code) do update set name = excluded.name, name_zh = excluded.name_zh,
             parent_id = excluded.parent_id, level = excluded.level, class = excluded.class,
             criticality = excluded.criticality, consequence = excluded.consequence,
             likelihood = excluded.likelihood, criticality_reason = excluded.criticality_reason,
             location = excluded.location
           returning asset_id""",
        (
            row.code, row.name, row.name_zh, ids[row.parent] if row.parent else None, row.level, row.asset_class,
            row.criticality, row.consequence, row.likelihood, row.reason, row.location,
        ),
    ).fetchone()  # fmt: skip
    return int(found[0])


def _signal(conn: Connection, row: SignalRow, asset_id: int) -> None:
    conn.execute(
        """insert into signals (asset_id, code, name, quantity, unit, low, high, period_s, role)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
           on conflict (asset_id, code) do update set name = excluded.name, low = excluded.low, high = excluded.high,
             period_s = excluded.period_s, role = excluded.role""",
        (
            asset_id, row.code, row.name, row.quantity, canonical(row.quantity), row.low, row.high, row.period_s,
            row.role,
        ),
    )  # fmt: skip
