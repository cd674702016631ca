"""Waveforms of high rate with their figures and spectra. SQL.

``conn`` of ``write`` is the ingest role's, of all others the app role's on one site. Retention takes a wave's samples
first (``plant.retention``); its spectra stay.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.types.json import Jsonb

from plant.errors import WaveformNotFound
from plant.model import Floats, Waveform
from plant.times import from_us

KINDS: Mapping[str, np.dtype[Any]] = {"i2": np.dtype("<i2"), "f4": np.dtype("<f4")}


@dataclass(frozen=True, slots=True)
class Head:
    """A waveform in a list. ``has_samples`` is False once retention has taken them."""

    wave_id: int
    signal_id: int
    at: datetime
    rate_hz: float
    n: int
    unit: str
    features: Mapping[str, float]
    has_samples: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """A whole waveform. ``values`` float64[n] in ``head.unit``, None once they are gone.

    ``spectrum`` and ``envelope`` float64[k]: the highest amplitude in each step of ``step_hz`` from 0 Hz on.
    """

    head: Head
    values: Floats | None
    step_hz: float
    spectrum: Floats
    envelope: Floats


def write(conn: Connection, waves: Sequence[Waveform]) -> int:
    """Keep waveforms, each (signal, time) once; returns how many are new."""
    new = 0
    for wave in waves:
        encoding = "f4" if wave.samples.dtype == np.float32 else "i2"
        new += conn.execute(
            """insert into waveforms (site_id, signal_id, at, rate_hz, n, unit, encoding, scale, shift, payload,
                 features, step_hz, spectrum, envelope)
               select %s, signal_id, %s, %s, %s, unit, %s, %s, %s, %s, %s, %s, %s, %s from signals where signal_id = %s
               on conflict (signal_id, at) do nothing""",
            (
                wave.site_id,
                from_us(wave.at_us),
                wave.rate_hz,
                len(wave.samples),
                encoding,
                wave.scale,
                wave.shift,
                zlib.compress(wave.samples.astype(KINDS[encoding]).tobytes(), 6),
                Jsonb(dict(wave.features)),
                wave.step_hz,
                wave.spectrum.tolist(),
                wave.envelope.tolist(),
                wave.signal_id,
            ),
        ).rowcount
    return new


def of_signal(conn: Connection, signal_id: int, *, before: datetime | None = None, limit: int = 50) -> list[Head]:
    """The signal's waveforms, newest first, without samples."""
    rows = conn.execute(
        """select wave_id, signal_id, at, rate_hz, n, unit, features, payload is not null from waveforms
           where signal_id = %s and (%s::timestamptz is null or at < %s) order by at desc limit %s""",
        (signal_id, before, before, limit),
    )
    return [Head(*row) for row in rows]


def read(conn: Connection, wave_id: int) -> Kept:
    """One waveform with samples and spectra. Raises WaveformNotFound."""
    row = conn.execute(
        """select wave_id, signal_id, at, rate_hz, n, unit, features, payload is not null,
             encoding, scale, shift, payload, step_hz, spectrum, envelope
           from waveforms where wave_id = %s""",
        (wave_id,),
    ).fetchone()
    if row is None:
        raise WaveformNotFound
    encoding, scale, shift, payload, step_hz, spectrum, envelope = row[8:]
    values = None
    if payload is not None:
        values = np.frombuffer(zlib.decompress(payload), KINDS[encoding]).astype(np.float64) * scale + shift
    return Kept(Head(*row[:8]), values, step_hz, np.array(spectrum, np.float64), np.array(envelope, np.float64))
