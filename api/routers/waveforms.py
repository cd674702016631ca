"""Waveforms of high rate, and what frequencies are in them."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import Query
from pydantic import Field

from api.deps import Ctx, router
from api.policies import allow
from api.shapes import BigId, Cursor, Id, Limit, Moment, Output, Page, position
from plant import assets, waveforms
from plant.model import Floats
from plant.times import from_us, to_us

routes = router("telemetry")


class WaveformRow(Output):
    """`features` in the signal's unit where they have one; `has_samples` is false once retention has taken them."""

    wave_id: int
    signal_id: int
    at: Moment
    rate_hz: float
    n: int
    unit: str
    features: Annotated[
        dict[str, float], Field(examples=[{"rms": 2.8, "crest": 3.1, "kurtosis": 2.9, "envelope": 0.4}])
    ]
    has_samples: bool


class Spectrum(Output):
    """Point i: the highest amplitude from i · `step_hz` to (i + 1) · `step_hz`."""

    step_hz: float
    amplitude: list[float]


class WaveformShown(WaveformRow):
    """Point i of the samples begins at i · `step_s`; where a point is several samples, `min` and `max` are theirs."""

    step_s: float
    value: list[float] | None
    min: list[float] | None
    max: list[float] | None
    spectrum: Spectrum
    envelope: Spectrum


@routes.get("/signals/{signal_id}/waveforms", dependencies=[allow("telemetry.read")])
def list_waveforms(ctx: Ctx, signal_id: Id, limit: Limit = 50, cursor: Cursor = None) -> Page[WaveformRow]:
    """The waveforms of a signal, newest first, without their samples."""
    assets.signal(ctx.conn, signal_id)
    before = None if cursor is None else from_us(position(cursor, start=0))
    found = waveforms.of_signal(ctx.conn, signal_id, before=before, limit=limit + 1)
    shown = [WaveformRow.model_validate(each) for each in found[:limit]]
    return Page(items=shown, next=str(to_us(found[limit - 1].at)) if len(found) > limit else None)


@routes.get("/waveforms/{wave_id}", dependencies=[allow("telemetry.read")])
def get_waveform(
    ctx: Ctx, wave_id: BigId, max_points: Annotated[int, Query(ge=100, le=20_000)] = 4_000
) -> WaveformShown:
    """One waveform with its spectrum and envelope spectrum."""
    kept = waveforms.read(ctx.conn, wave_id)
    lines = max(1, -(-kept.head.n // max_points))
    value, low, high = _thinned(kept.values, lines)
    return WaveformShown(
        **WaveformRow.model_validate(kept.head).model_dump(),
        step_s=lines / kept.head.rate_hz,
        value=value,
        min=low,
        max=high,
        spectrum=Spectrum(step_hz=kept.step_hz, amplitude=kept.spectrum.tolist()),
        envelope=Spectrum(step_hz=kept.step_hz, amplitude=kept.envelope.tolist()),
    )


def _thinned(values: Floats | None, lines: int) -> tuple[list[float] | None, list[float] | None, list[float] | None]:
    """Means and extremes of so many samples each; the samples themselves, without extremes, where that is one."""
    if values is None or lines == 1:
        return None if values is None else values.tolist(), None, None
    starts = np.arange(0, len(values), lines)
    counts = np.diff(starts, append=len(values))
    mean: Floats = np.add.reduceat(values, starts) / counts
    return mean.tolist(), np.minimum.reduceat(values, starts).tolist(), np.maximum.reduceat(values, starts).tolist()
