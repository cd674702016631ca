"""What is declared of a machine for judging its vibration: speed, standing, bearings. SQL on the current site.

Geometry is kept as somebody gave it; what it means is judged above (``detectors.vibration``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import Stale
from plant import assets, telemetry
from plant.errors import VibrationUndeclared, WrongSpeedSignal
from plant.model import Quality

HELD_S = 60.0  # a measured speed stands for this long, or for two of its periods


@dataclass(frozen=True, slots=True)
class Declared:
    """``speed_rpm`` counts where ``speed_signal_id`` is None or silent; ``version`` 0: not declared before."""

    asset_id: int
    speed_rpm: float
    speed_signal_id: int | None
    power_kw: float | None
    shaft_height_mm: float | None
    foundation: str | None
    bearings: Sequence[Mapping[str, Any]]
    version: int = 0


def get(conn: Connection, asset_id: int) -> Declared:
    """What is declared of an asset. Raises AssetNotFound, VibrationUndeclared."""
    assets.asset(conn, asset_id)
    row = conn.execute(
        """select asset_id, speed_rpm, speed_signal_id, power_kw, shaft_height_mm, foundation, bearings, version
           from vibration_machines where asset_id = %s""",
        (asset_id,),
    ).fetchone()
    if row is None:
        raise VibrationUndeclared
    return Declared(*row)


def put(conn: Connection, wanted: Declared) -> Declared:
    """Declare, or declare anew what had ``wanted.version``. Raises AssetNotFound, WrongSpeedSignal, Stale."""
    assets.asset(conn, wanted.asset_id)
    if wanted.speed_signal_id is not None:
        speed = assets.signal(conn, wanted.speed_signal_id)
        if speed.quantity != "rotational_speed":
            raise WrongSpeedSignal(f"The signal {speed.code!r} is of quantity {speed.quantity}, not rotational_speed.")
    row = conn.execute(
        """insert into vibration_machines as kept (asset_id, speed_rpm, speed_signal_id, power_kw, shaft_height_mm,
             foundation, bearings) select %s, %s, %s, %s, %s, %s, %s
           where %s = 0 or exists (select 1 from vibration_machines where asset_id = %s)
           on conflict (asset_id) do update set speed_rpm = excluded.speed_rpm,
             speed_signal_id = excluded.speed_signal_id, power_kw = excluded.power_kw,
             shaft_height_mm = excluded.shaft_height_mm, foundation = excluded.foundation,
             bearings = excluded.bearings, version = kept.version + 1
           where kept.version = %s returning version""",
        (
            *(wanted.asset_id, wanted.speed_rpm, wanted.speed_signal_id, wanted.power_kw, wanted.shaft_height_mm),
            *(wanted.foundation, Jsonb([dict(each) for each in wanted.bearings])),
            *(wanted.version, wanted.asset_id, wanted.version),
        ),
    ).fetchone()
    if row is None:
        raise Stale
    return get(conn, wanted.asset_id)


def speed_at(conn: Connection, declared: Declared, at_us: int) -> float:
    """Speed in revolutions a minute at a time: as measured just before it (0 while it stands), else as declared."""
    if declared.speed_signal_id is None:
        return declared.speed_rpm
    signal = assets.signal(conn, declared.speed_signal_id)
    held_us = round(max(HELD_S, 2 * signal.period_s) * 1e6)
    heard = telemetry.read_frame_samples(conn, [signal.signal_id], at_us - held_us, at_us)
    good = np.flatnonzero((heard.quality != Quality.BAD) & np.isfinite(heard.value))
    return abs(float(heard.value[good[-1]])) if len(good) else declared.speed_rpm
