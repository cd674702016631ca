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
VELOCITY_HZ = (10.0, 1000.0)


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
    """(frequency Hz, amplitude) of the envelope within the carrier band; both float64[n//2+1]. Raises BadWave.

    Under a Hann window like ``amplitude_spectrum``: strong lines of the shaft must not hide weak ones of a bearing.
    """
    return _spectrum(_alternating_envelope(_centred(wave), rate_hz, band), rate_hz)


def amplitude_spectrum(wave: npt.ArrayLike, rate_hz: float) -> tuple[Floats, Floats]:
    """(frequency Hz, amplitude), both float64[n//2+1]: a sine of amplitude A has A at its line. Raises BadWave.

    Under a Hann window with its gain taken out, so that a line between two bins loses at most 1.5 dB and does not leak.
    """
    return _spectrum(_centred(wave), rate_hz)


def velocity(wave: npt.ArrayLike, rate_hz: float, *, band: tuple[float, float] = VELOCITY_HZ) -> Floats:
    """Velocity float64[n] in mm/s of an acceleration in m/s², within ``band`` in Hz. Raises BadWave.

    Integrated in the frequency domain; ISO 20816-1 judges its RMS from 10 (slow machines: 2) to 1000 Hz.
    """
    centred = _centred(wave)
    low, high = band
    if not 0.0 < low < high:
        raise BadWave(f"A band of {low}…{high} Hz cannot be integrated: it must begin above 0 Hz.")
    spectrum = np.fft.rfft(centred)
    hz = np.fft.rfftfreq(len(centred), 1.0 / rate_hz)
    inside = (hz >= low) & (hz <= high)
    spectrum[~inside] = 0.0
    spectrum[inside] *= 1000.0 / (2j * np.pi * hz[inside])
    return np.asarray(np.fft.irfft(spectrum, len(centred)), np.float64)


def order_spectrum(wave: npt.ArrayLike, rate_hz: float, speed_rpm: float) -> tuple[Floats, Floats]:
    """(order of the shaft speed, amplitude) at a constant speed (> 0), float64[n//2+1] each. Raises BadWave."""
    if not 0.0 < speed_rpm < np.inf:
        raise BadWave(f"There are no orders of {speed_rpm!r} revolutions a minute.")
    frequency, amplitude = amplitude_spectrum(wave, rate_hz)
    return frequency * (60.0 / speed_rpm), amplitude


def by_angle(wave: npt.ArrayLike, revolutions: npt.ArrayLike, *, per_revolution: int) -> Floats:
    """The wave at even steps of the shaft's angle: lines of a machine that changes speed stand still. Raises BadWave.

    ``revolutions`` float64[n]: the angle at each sample, rising. The result has ``per_revolution`` samples each whole
    revolution; its spectra with that as their rate are in orders.
    """
    samples, angle = np.asarray(wave, np.float64), np.asarray(revolutions, np.float64)
    if samples.shape != angle.shape or samples.ndim != 1 or not (np.diff(angle) > 0.0).all():
        raise BadWave("Every sample needs an angle, and the angle must rise from sample to sample.")
    turns = int(angle[-1] - angle[0]) if len(angle) else 0
    if turns * per_revolution < MIN_SAMPLES:
        raise BadWave(f"{turns} revolutions are too few for {per_revolution} samples each.")
    even = angle[0] + np.arange(turns * per_revolution) / per_revolution
    return np.asarray(np.interp(even, angle, samples), np.float64)


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


def _spectrum(centred: Floats, rate_hz: float) -> tuple[Floats, Floats]:
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(len(centred)) / len(centred))
    amplitude: Floats = np.abs(np.fft.rfft(centred * window)) * (2.0 / window.sum())
    return np.fft.rfftfreq(len(centred), 1.0 / rate_hz).astype(np.float64), amplitude


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
