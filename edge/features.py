"""Vibration waveform → the few numbers that travel. Pure.

Overall figures follow ISO 13373-1 (RMS, crest factor, kurtosis); the envelope figure demodulates a carrier band, as
rolling-bearing diagnosis does (Randall & Antoni, "Rolling element bearing diagnostics", MSSP 25, 2011).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MIN_SAMPLES = 16


class BadWave(ValueError):
    """The waveform cannot be judged: too short, not one-dimensional or not finite."""


@dataclass(frozen=True, slots=True)
class Features:
    """Figures of one waveform. ``rms`` and ``envelope`` have the wave's unit, ``crest`` and ``kurtosis`` none.

    ``kurtosis`` is 3 for Gaussian noise and 1.5 for a sine; ``crest`` is peak / RMS (√2 for a sine); ``envelope`` is
    the RMS of the envelope's alternating part within the carrier band. A wave at rest has 0, 0, 0 and 0.
    """

    rms: float
    crest: float
    kurtosis: float
    envelope: float


def features(wave: npt.ArrayLike, rate_hz: float, *, band: tuple[float, float] | None = None) -> Features:
    """Features of ``wave`` (float[n], n ≥ 16) sampled at ``rate_hz``; the mean is taken off first.

    ``band`` is the carrier band of the envelope in Hz, ``rate_hz / 8 … rate_hz * 0.45`` unless given. Raises BadWave.
    """
    centred = _centred(wave)
    rms = float(np.sqrt(np.mean(centred**2)))
    if rms == 0.0:
        return Features(0.0, 0.0, 0.0, 0.0)
    alternating = _alternating_envelope(centred, rate_hz, band)
    return Features(
        rms=rms,
        crest=float(np.max(np.abs(centred))) / rms,
        kurtosis=float(np.mean((centred / rms) ** 4)),
        envelope=float(np.sqrt(np.mean(alternating**2))),
    )


def band_energies(wave: npt.ArrayLike, rate_hz: float, edges_hz: npt.ArrayLike) -> Floats:
    """Mean square per band, float64[k-1] for k ascending edges: together the wave's variance if they span 0 … rate/2.

    By Parseval's theorem over the one-sided spectrum; a line on an edge counts to the band above, the last edge to
    its own band. Raises BadWave.
    """
    centred = _centred(wave)
    power = np.abs(np.fft.rfft(centred)) ** 2 / len(centred) ** 2
    power[1 : (len(centred) + 1) // 2] *= 2.0  # all but the mean and, at even length, rate / 2 have a mirror image
    lines = np.arange(len(power)) * rate_hz / len(centred)  # exact at rate / 2, unlike rfftfreq
    return np.histogram(lines, bins=np.asarray(edges_hz, np.float64), weights=power)[0].astype(np.float64)


def envelope_spectrum(
    wave: npt.ArrayLike, rate_hz: float, *, band: tuple[float, float] | None = None
) -> tuple[Floats, Floats]:
    """(frequency Hz, amplitude) of the envelope within the carrier band; both float64[n//2+1]. Raises BadWave."""
    centred = _centred(wave)
    alternating = _alternating_envelope(centred, rate_hz, band)
    amplitude: Floats = np.abs(np.fft.rfft(alternating)) * (2.0 / len(centred))
    frequency: Floats = np.fft.rfftfreq(len(centred), 1.0 / rate_hz).astype(np.float64)
    return frequency, amplitude


def amplitude_spectrum(wave: npt.ArrayLike, rate_hz: float) -> tuple[Floats, Floats]:
    """(frequency Hz, amplitude), both float64[n//2+1]: a sine of amplitude A has A at its line. Raises BadWave.

    Under a Hann window with its gain taken out, so that a line between two bins loses at most 1.5 dB and does not leak.
    """
    centred = _centred(wave)
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(len(centred)) / len(centred))
    amplitude: Floats = np.abs(np.fft.rfft(centred * window)) * (2.0 / window.sum())
    return np.fft.rfftfreq(len(centred), 1.0 / rate_hz).astype(np.float64), amplitude


def coarse(amplitude: Floats, most: int) -> tuple[npt.NDArray[np.float32], int]:
    """At most ``most`` steps of equally many lines, each with its highest, so that no peak is lost; and how many."""
    lines = max(1, -(-len(amplitude) // most))
    highest = np.maximum.reduceat(amplitude, np.arange(0, len(amplitude), lines))
    return highest.astype(np.float32), lines


def _centred(wave: npt.ArrayLike) -> Floats:
    samples = np.asarray(wave, np.float64)
    if samples.ndim != 1 or len(samples) < MIN_SAMPLES:
        raise BadWave(f"A waveform is one row of at least {MIN_SAMPLES} samples, not of shape {samples.shape}.")
    if not np.isfinite(samples).all():
        raise BadWave("The waveform holds NaN or infinity.")
    centred: Floats = samples - samples.mean()
    return centred


def _alternating_envelope(centred: Floats, rate_hz: float, band: tuple[float, float] | None) -> Floats:
    """|analytic signal| within the band, less its mean: one transform forth and one back."""
    low, high = band or (rate_hz / 8.0, rate_hz * 0.45)
    if not 0.0 <= low < high <= rate_hz / 2.0:
        raise BadWave(f"The band {low}…{high} Hz does not lie within 0…{rate_hz / 2.0} Hz.")
    spectrum = np.fft.fft(centred)
    lines = np.fft.fftfreq(len(centred), 1.0 / rate_hz)
    spectrum[(lines < low) | (lines > high)] = 0.0
    envelope = np.abs(np.fft.ifft(2.0 * spectrum))
    return np.asarray(envelope - envelope.mean(), np.float64)
