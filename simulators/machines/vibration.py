"""Vibration waveforms of an electric motor and what is measured from them. Pure, seeded.

A real waveform costs a millisecond; a plant at speed asks for thousands a second. So the features of real waveforms
are measured once over severity and load (``table``), and fast plants draw from that table; live ones compute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

import numpy as np

from edge.features import features
from simulators.machines.faults import Floats

RATE_HZ = 12_800.0
SAMPLES = 3_200  # a quarter of a second
RATED_RPM = 1_485.0
BPFO = 3.58  # outer-race passes per revolution (a 6208 bearing)
BAND_HZ = (2_000.0, 5_000.0)  # carrier band around the housing's resonance
RESONANCE_HZ, DECAY_S = 3_200.0, 0.0012
G_MM_S2 = 9_806.65
FEATURES = ("vibration", "crest", "kurtosis", "envelope")

IMPACT_G = 28.0  # peak of one impact at severity 1
SOUND_MM_S = 1.7  # 1x velocity of a sound motor, RMS
IMBALANCE_LIMIT, MISALIGNMENT_LIMIT, RACE_LIMIT = 11.2, 9.0, 5.0  # mm/s, mm/s, gE


class Source(StrEnum):
    """What shakes."""

    RACE = "bearing_outer_race"
    IMBALANCE = "imbalance"
    MISALIGNMENT = "misalignment"


@dataclass(frozen=True, slots=True)
class Shake:
    """Condition of the motor while the waveform is taken; severities 0..1."""

    load: float
    severities: Mapping[Source, float] = field(default_factory=dict)


def speed_rpm(load: float | Floats) -> float | Floats:
    """Shaft speed for a load (the drive slows down with the demand)."""
    return RATED_RPM * (0.75 + 0.25 * load)


def waveform(shake: Shake, rng: np.random.Generator) -> Floats:
    """Housing acceleration in g, float64[SAMPLES] at RATE_HZ."""
    race = shake.severities.get(Source.RACE, 0.0)
    turn_hz = float(speed_rpm(shake.load)) / 60.0
    t = np.arange(SAMPLES) / RATE_HZ
    noise = 0.40 * (0.6 + 0.5 * shake.load) * (1.0 + 4.0 * race)
    wave: Floats = (
        noise * np.diff(rng.standard_normal(SAMPLES + 1)) / np.sqrt(2.0)
    )  # gear and flow noise is high-pitched
    for order, velocity in _lines(shake, race):
        omega = 2 * np.pi * turn_hz * order
        amplitude = velocity * np.sqrt(2.0) * omega / G_MM_S2
        wave += amplitude * np.sin(omega * t + rng.uniform(0.0, 2 * np.pi))
    return wave + _impacts(race * (0.7 + 0.3 * shake.load), turn_hz, rng)


def measure(acceleration: Floats) -> Floats:
    """float64[4] in the order of FEATURES: velocity RMS (10-1000 Hz, mm/s), crest, kurtosis, envelope (gE)."""
    found = features(acceleration, RATE_HZ, band=BAND_HZ)
    velocity = features(_velocity(acceleration), RATE_HZ)
    return np.array([velocity.rms, found.crest, found.kurtosis, found.envelope])


@dataclass(frozen=True, slots=True)
class Table:
    """Log features of one source over severity x load: mean and Cholesky factor of their scatter."""

    severity: Floats
    load: Floats
    mean: Floats  # [severity, load, 4]
    root: Floats  # [severity, load, 4, 4]

    def draw(self, severity: Floats, load: Floats, noise: Floats) -> Floats:
        """Features float64[4, n] for severities and loads float64[n] and standard normal noise float64[4, n]."""
        i, u = _cell(self.severity, severity)
        j, v = _cell(self.load, load)
        out = np.zeros((4, len(load)))
        root = self.root[i, j]
        for di, wi in ((0, 1.0 - u), (1, u)):
            for dj, wj in ((0, 1.0 - v), (1, v)):
                out += (wi * wj) * self.mean[i + di, j + dj].T
        for column in range(4):
            out += root[:, :, column].T * noise[column]
        return np.exp(out)


@cache
def table(source: Source, *, takes: int = 24) -> Table:
    """Measure ``takes`` real waveforms per cell; about a quarter of a second once a process and source."""
    severity = np.array([0.0, 0.02, 0.05, 0.1, 0.18, 0.3, 0.5, 0.75, 1.0])
    load = np.array([0.3, 0.75, 1.15])
    rng = np.random.default_rng([20_816, list(Source).index(source)])
    mean = np.empty((len(severity), len(load), 4))
    root = np.empty((len(severity), len(load), 4, 4))
    for i, s in enumerate(severity):
        for j, share in enumerate(load):
            shake = Shake(float(share), {source: float(s)})
            logs = np.log([measure(waveform(shake, rng)) for _ in range(takes)])
            mean[i, j] = logs.mean(axis=0)
            root[i, j] = np.linalg.cholesky(np.cov(logs.T) + 1e-9 * np.eye(4))
    return Table(severity, load, mean, root)


def _lines(shake: Shake, race: float) -> list[tuple[float, float]]:
    """(order of the shaft speed, velocity RMS in mm/s): imbalance at 1x, misalignment at 2x, damage at BPFO."""
    usual = SOUND_MM_S * (0.85 + 0.15 * shake.load)
    heavy = shake.severities.get(Source.IMBALANCE, 0.0) * (IMBALANCE_LIMIT - SOUND_MM_S)
    skew = shake.severities.get(Source.MISALIGNMENT, 0.0)
    return [
        (1.0, usual + heavy + 0.35 * skew * MISALIGNMENT_LIMIT),
        (2.0, 0.3 * usual + 0.88 * skew * MISALIGNMENT_LIMIT),
        (BPFO, 4.5 * race),
        (2 * BPFO, 2.0 * race),
    ]


def _impacts(strength: float, turn_hz: float, rng: np.random.Generator) -> Floats:
    """Balls rolling over the spall: decaying bursts at the resonance, one per outer-race pass, with a little slip."""
    if strength <= 0.0:
        return np.zeros(SAMPLES)
    gap = RATE_HZ / (BPFO * turn_hz)
    count = int(SAMPLES / gap) + 2
    hits = np.rint((np.arange(count) - rng.uniform()) * gap + rng.normal(0.0, 0.01 * gap, count))
    t = np.arange(int(8 * DECAY_S * RATE_HZ)) / RATE_HZ
    burst = IMPACT_G * strength * np.exp(-t / DECAY_S) * np.sin(2 * np.pi * RESONANCE_HZ * t)
    margin = 2 * int(gap) + len(burst)
    wave = np.zeros(SAMPLES + 2 * margin)
    for hit, size in zip(hits.astype(int) + margin, rng.normal(1.0, 0.15, count), strict=True):
        wave[hit : hit + len(burst)] += size * burst
    return wave[margin : margin + SAMPLES]


def _velocity(acceleration: Floats) -> Floats:
    """Velocity in mm/s by integration in the frequency domain, 10-1000 Hz as ISO 20816-1 asks."""
    spectrum = np.fft.rfft(acceleration * G_MM_S2)
    hz = np.fft.rfftfreq(len(acceleration), 1.0 / RATE_HZ)
    inside = (hz >= 10.0) & (hz <= 1000.0)
    spectrum[~inside] = 0.0
    spectrum[inside] /= 2j * np.pi * hz[inside]
    return np.fft.irfft(spectrum, len(acceleration))


def _cell(grid: Floats, values: Floats) -> tuple[np.ndarray[tuple[int], np.dtype[np.intp]], Floats]:
    """Lower grid index and the share of the way to the next one, held inside the grid."""
    inside = np.clip(values, grid[0], grid[-1])
    index = np.clip(np.searchsorted(grid, inside, side="right") - 1, 0, len(grid) - 2)
    return index, (inside - grid[index]) / (grid[index + 1] - grid[index])
