"""What a waveform comes to: figures that travel on as samples, and spectra to look at. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from edge import features
from edge.delivery import reading
from plant.model import Quality, Reading, Wave, Waveform
from plant.units import Conversion

MOST_LINES = 800  # of a spectrum that is kept
WITH_UNIT = frozenset({"rms", "envelope"})  # the others have none


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures and spectra of a wave, in the unit that it was heard in."""

    features: Mapping[str, float]
    step_hz: float
    spectrum: npt.NDArray[np.float32]
    envelope: npt.NDArray[np.float32]


def figures(wave: Wave) -> Figures:
    """Once a wave. Raises features.BadWave, which a decoded one never is."""
    values = wave.samples.astype(np.float64) * wave.scale
    _, amplitude = features.amplitude_spectrum(values, wave.rate_hz)
    _, envelope = features.envelope_spectrum(values, wave.rate_hz)
    spectrum, lines = features.coarse(amplitude, MOST_LINES)
    return Figures(
        asdict(features.features(values, wave.rate_hz)),
        lines * wave.rate_hz / len(values),
        spectrum,
        features.coarse(envelope, MOST_LINES)[0],
    )


def tags(wave: Wave) -> Mapping[str, str]:
    """Figure → the tag under which it goes on, if someone has bound it."""
    return {name: f"{wave.tag}/{name}" for name in features.Features.__dataclass_fields__}


def readings(wave: Wave, found: Figures) -> Iterator[Reading]:
    """Each figure as a sample of the wave's time."""
    for name, tag in tags(wave).items():
        unit = wave.unit if name in WITH_UNIT else None
        yield reading(wave.source, tag, wave.at_us, found.features[name], Quality.GOOD, unit)


def kept(wave: Wave, found: Figures, step: Conversion, *, site_id: int, signal_id: int) -> Waveform:
    """The wave in its signal's unit; the samples themselves stay bit by bit."""
    by = abs(step.scale)
    return Waveform(
        site_id,
        signal_id,
        wave.at_us,
        wave.rate_hz,
        wave.samples,
        wave.scale * step.scale,
        step.offset,
        {name: value * by if name in WITH_UNIT else value for name, value in found.features.items()},
        found.step_hz,
        (found.spectrum * by).astype(np.float32),
        (found.envelope * by).astype(np.float32),
    )
