"""The asset tree, its signals, tag bindings and devices. SQL; every function works on the current site.

A change of devices, signals or bindings is told to ingest by a trigger (``NOTIFY millwright_plant``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import Connection

from plant.errors import AssetNotFound, BadRange, CodeTaken, QuantityFixed, SignalNotFound
from plant.model import Asset, Binding, Role, Signal
from plant.units import canonical, conversion

ASSET: LiteralString = (
    "select asset_id, site_id, parent_id, code, name, class, criticality, location, level from assets"
)
SIGNAL: LiteralString = (
    "select signal_id, site_id, asset_id, code, name, quantity, unit, low, high, period_s, role from signals"
)


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """A signal as someone wishes it, with the tag that brings it. ``unit`` is the unit heard; limits are canonical."""

    code: str
    quantity: str
    unit: str
    source: str
    tag: str
    name: str = ""
    low: float | None = None
    high: float | None = None
    period_s: float = 1.0
    role: Role = Role.MEASURED
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """A machine as someone wishes it."""

    code: str
    name: str
    asset_class: str
    criticality: int = 3
    location: str = ""
    level: str = "unit"
    parent_code: str | None = None
    signals: Sequence[SignalSpec] = ()


def assets(conn: Connection) -> list[Asset]:
    """Every asset of the site, by code."""
    return [Asset(*row) for row in conn.execute(ASSET + " order by code")]


def assets_of(conn: Connection, asset_ids: Collection[int]) -> dict[int, Asset]:
    """These assets of the site by id."""
    rows = conn.execute(ASSET + " where asset_id = any(%s)", (list(asset_ids),)) if asset_ids else ()
    return {row[0]: Asset(*row) for row in rows}


def asset(conn: Connection, asset_id: int) -> Asset:
    """One asset. Raises AssetNotFound."""
    row = conn.execute(ASSET + " where asset_id = %s", (asset_id,)).fetchone()
    if row is None:
        raise AssetNotFound
    return Asset(*row)


def asset_by_code(conn: Connection, code: str) -> Asset:
    """One asset. Raises AssetNotFound."""
    row = conn.execute(ASSET + " where code = %s", (code,)).fetchone()
    if row is None:
        raise AssetNotFound(f"There is no asset {code!r} on this site.")
    return Asset(*row)


def signals(conn: Connection, asset_id: int) -> list[Signal]:
    """The asset's signals in the order they were made."""
    return [_signal(row) for row in conn.execute(SIGNAL + " where asset_id = %s order by signal_id", (asset_id,))]


def signals_of_site(conn: Connection) -> list[Signal]:
    """Every signal of the site, by asset and in the order they were made."""
    return [_signal(row) for row in conn.execute(SIGNAL + " order by asset_id, signal_id")]


def signal(conn: Connection, signal_id: int) -> Signal:
    """One signal. Raises SignalNotFound."""
    row = conn.execute(SIGNAL + " where signal_id = %s", (signal_id,)).fetchone()
    if row is None:
        raise SignalNotFound
    return _signal(row)


def bindings(conn: Connection, signal_id: int) -> list[Binding]:
    """Which tags bring a signal."""
    rows = conn.execute(
        """select source, tag, signal_id, unit, scale, "offset" from bindings
           where signal_id = %s order by binding_id""",
        (signal_id,),
    )
    return [Binding(*row) for row in rows]


def create_asset(
    conn: Connection,
    *,
    code: str,
    name: str,
    asset_class: str,
    parent_id: int | None = None,
    criticality: int = 3,
    location: str = "",
    level: str = "unit",
) -> int:
    """Add a node to the tree; returns its id. Raises CodeTaken, and AssetNotFound for a parent of another site."""
    if parent_id is not None:
        asset(conn, parent_id)
    row = conn.execute(
        """insert into assets (code, name, class, parent_id, criticality, location, level)
           values (%s, %s, %s, %s, %s, %s, %s) on conflict (site_id, code) do nothing returning asset_id""",
        (code, name, asset_class, parent_id, criticality, location, level),
    ).fetchone()
    if row is None:
        raise CodeTaken(f"There is an asset {code!r} already.")
    return int(row[0])


def create_signal(
    conn: Connection,
    *,
    asset_id: int,
    code: str,
    name: str,
    quantity: str,
    unit: str,
    low: float | None = None,
    high: float | None = None,
    period_s: float = 1.0,
    role: Role = Role.MEASURED,
) -> int:
    """Add a signal; returns its id. It is kept in the canonical unit of its quantity, whatever ``unit`` is.

    ``low`` and ``high`` are in ``unit``. Raises AssetNotFound, CodeTaken, BadRange, and what ``plant.units`` raises.
    """
    asset(conn, asset_id)
    step = conversion(quantity, unit)
    low, high = (None if limit is None else limit * step.scale + step.offset for limit in (low, high))
    _check_range(low, high)
    row = conn.execute(
        """insert into signals (asset_id, code, name, quantity, unit, low, high, period_s, role)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (asset_id, code) do nothing returning signal_id""",
        (asset_id, code, name, quantity, canonical(quantity), low, high, period_s, Role(role)),
    ).fetchone()
    if row is None:
        raise CodeTaken(f"The asset has a signal {code!r} already.")
    return int(row[0])


def bind(
    conn: Connection,
    *,
    source: str,
    tag: str,
    signal_id: int,
    unit: str | None = None,
    scale: float = 1.0,
    offset: float = 0.0,
) -> int:
    """Let a source's tag bring a signal, instead of any it brought before; returns the binding's id.

    ``unit`` is the unit heard, the signal's own if None. Samples of the tag that wait in quarantine are released by
    ingest within seconds. Raises SignalNotFound, UnknownUnit, WrongUnit.
    """
    found = signal(conn, signal_id)
    unit = found.unit if unit is None else unit
    conversion(found.quantity, unit)
    row = conn.execute(
        """insert into bindings (source, tag, signal_id, unit, scale, "offset") values (%s, %s, %s, %s, %s, %s)
           on conflict (site_id, source, tag) do update
             set signal_id = excluded.signal_id, unit = excluded.unit, scale = excluded.scale,
               "offset" = excluded."offset"
           returning binding_id""",
        (source, tag, signal_id, unit, scale, offset),
    ).fetchone()
    return int(_only(row))


def ensure_machine(conn: Connection, spec: MachineSpec) -> int:
    """Make the machine, its signals and bindings as ``spec`` says, or change them to it; returns the asset's id.

    Doing it twice changes nothing. A parent that is missing is made as a plain line. Signals that ``spec`` does not
    name stay. Raises QuantityFixed, BadRange, and what ``plant.units`` raises.
    """
    asset_id = _ensure_asset(conn, spec)
    for each in spec.signals:
        signal_id = _ensure_signal(conn, asset_id, each)
        bind(
            conn,
            source=each.source,
            tag=each.tag,
            signal_id=signal_id,
            unit=each.unit,
            scale=each.scale,
            offset=each.offset,
        )
    return asset_id


def register_device(conn: Connection, name: str, *, secret_hash: str) -> int:
    """Register a device, or give a known (also a revoked) one a new secret; returns its id."""
    row = conn.execute(
        """insert into devices (name, secret_hash) values (%s, %s)
           on conflict (site_id, name) do update set secret_hash = excluded.secret_hash, revoked_at = null
           returning device_id""",
        (name, secret_hash),
    ).fetchone()
    return int(_only(row))


def revoke_device(conn: Connection, device_id: int) -> bool:
    """From now on nothing of the device is kept; True when it was registered."""
    found = conn.execute(
        "update devices set revoked_at = now() where device_id = %s and revoked_at is null", (device_id,)
    )
    return found.rowcount == 1


def _ensure_asset(conn: Connection, spec: MachineSpec) -> int:
    parent_id = None if spec.parent_code is None else _ensure_parent(conn, spec.parent_code)
    row = conn.execute(
        """insert into assets (code, name, class, parent_id, criticality, location, level)
           values (%s, %s, %s, %s, %s, %s, %s)
           on conflict (site_id, code) do update set name = excluded.name, class = excluded.class,
             parent_id = coalesce(excluded.parent_id, assets.parent_id), criticality = excluded.criticality,
             location = excluded.location, level = excluded.level
           returning asset_id""",
        (spec.code, spec.name, spec.asset_class, parent_id, spec.criticality, spec.location, spec.level),
    ).fetchone()
    return int(_only(row))


def _ensure_parent(conn: Connection, code: str) -> int:
    conn.execute(
        "insert into assets (code, name, level) values (%s, %s, 'line') on conflict (site_id, code) do nothing",
        (code, code),
    )
    return asset_by_code(conn, code).asset_id


def _ensure_signal(conn: Connection, asset_id: int, spec: SignalSpec) -> int:
    unit = canonical(spec.quantity)
    _check_range(spec.low, spec.high)
    row = conn.execute(
        """insert into signals (asset_id, code, name, quantity, unit, low, high, period_s, role)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
           on conflict (asset_id, code) do update set name = excluded.name, low = excluded.low, high = excluded.high,
             period_s = excluded.period_s, role = excluded.role
           returning signal_id, quantity""",
        (
            asset_id,
            spec.code,
            spec.name or spec.code,
            spec.quantity,
            unit,
            spec.low,
            spec.high,
            spec.period_s,
            Role(spec.role),
        ),
    ).fetchone()
    if row is not None and row[1] != spec.quantity:
        raise QuantityFixed(f"The signal {spec.code!r} is of quantity {row[1]} and cannot become {spec.quantity}.")
    return int(_only(row))


def _check_range(low: float | None, high: float | None) -> None:
    if low is not None and high is not None and not low < high:
        raise BadRange(f"The lower limit {low} does not lie below the upper limit {high}.")


def _signal(row: tuple[Any, ...]) -> Signal:
    columns: list[Any] = [*row[:-1], Role(row[-1])]
    return Signal(*columns)


def _only(row: tuple[Any, ...] | None) -> Any:
    """The first column of a row that ``returning`` always gives."""
    if row is None:
        raise RuntimeError("insert … returning gave no row")
    return row[0]
