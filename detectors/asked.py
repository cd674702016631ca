"""How many alarms a plant asks for at most: of the site, an asset class or an asset; the narrowest counts. SQL.

``conn`` is the app role's, on one site.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg import Connection
from psycopg.rows import class_row

from core.errors import Invalid, NotFound, Stale
from plant.model import Asset

DEFAULT = 1.0
LEAST, MOST = 0.01, 1_000.0
INSERT: LiteralString = """
insert into asked_alarm_rates (class, asset_id, alarms_month, changed_by, changed_at)
values (%(class)s, %(asset)s, %(rate)s, %(by)s, %(now)s) on conflict do nothing returning asked_id"""
UPDATE: LiteralString = """
update asked_alarm_rates set alarms_month = %(rate)s, version = version + 1, changed_by = %(by)s, changed_at = %(now)s
where class is not distinct from %(class)s::text and asset_id is not distinct from %(asset)s::int
  and version = %(version)s returning asked_id"""


class BadAlarmRate(Invalid):
    """Ask for 0.01 to 1000 alarms an asset and month, of the site, one asset class or one asset."""

    code = "bad_alarm_rate"


@dataclass(frozen=True, slots=True)
class Asked:
    """At most ``alarms_month`` alarms of each detector that can be asked, an asset and month of 30 days."""

    asked_id: int
    asset_class: str | None
    asset_id: int | None
    alarms_month: float
    version: int
    changed_by: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Rates:
    """What is asked on a site."""

    site: float
    classes: Mapping[str, float]
    assets: Mapping[int, float]

    def of(self, asset: Asset) -> float:
        """Alarms a month asked of an asset."""
        return self.assets.get(asset.asset_id, self.classes.get(asset.asset_class, self.site))


def rates(conn: Connection) -> Rates:
    """What is asked on the current site."""
    found = listed(conn)
    return Rates(
        site=next((each.alarms_month for each in found if each.asset_class is None and each.asset_id is None), DEFAULT),
        classes={each.asset_class: each.alarms_month for each in found if each.asset_class is not None},
        assets={each.asset_id: each.alarms_month for each in found if each.asset_id is not None},
    )


def listed(conn: Connection) -> list[Asked]:
    """All that was asked on the current site: site, classes, assets."""
    with conn.cursor(row_factory=class_row(Asked)) as cursor:
        return cursor.execute(
            """select asked_id, class as asset_class, asset_id, alarms_month, version, changed_by, changed_at
               from asked_alarm_rates order by asset_id nulls first, class nulls first"""
        ).fetchall()


def ask(
    conn: Connection,
    alarms_month: float,
    *,
    asset_class: str | None,
    asset_id: int | None,
    version: int | None,
    by: str,
    now: datetime,
) -> Asked:
    """Ask for a rate from now on; ``version`` is that of the one it replaces (None: there is none).

    Raises BadAlarmRate, Stale, NotFound (no such asset on this site).
    """
    if not LEAST <= alarms_month <= MOST or (asset_class is not None and asset_id is not None):
        raise BadAlarmRate
    if asset_id is not None and not conn.execute("select 1 from assets where asset_id = %s", (asset_id,)).fetchone():
        raise NotFound(f"There is no asset {asset_id} on this site.")
    found = conn.execute(
        INSERT if version is None else UPDATE,
        {"class": asset_class, "asset": asset_id, "rate": alarms_month, "by": by, "now": now, "version": version},
    ).fetchone()
    if found is None:
        raise Stale
    return next(each for each in listed(conn) if each.asked_id == found[0])


def drop(conn: Connection, asked_id: int, *, version: int) -> None:
    """Ask no longer: the wider one counts again. Raises Stale."""
    gone = conn.execute("delete from asked_alarm_rates where asked_id = %s and version = %s", (asked_id, version))
    if gone.rowcount == 0:
        raise Stale
