"""Waveform features against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.features import BadWave, band_energies, envelope_spectrum, features

RATE = 12_800.0
TIME = np.arange(12_800) / RATE


def test_sine_has_its_textbook_figures() -> None:
    found = features(3.0 * np.sin(2 * np.pi * 50 * TIME) + 7.0, RATE)
    assert found.rms == pytest.approx(3.0 / math.sqrt(2), rel=1e-6)
    assert found.crest == pytest.approx(math.sqrt(2), rel=1e-3)
    assert found.kurtosis == pytest.approx(1.5, rel=1e-6)
    assert found.envelope == pytest.approx(0.0, abs=1e-9)  # 50 Hz lies below the carrier band


def test_noise_has_kurtosis_three() -> None:
    assert features(np.random.default_rng(1).normal(size=100_000), RATE).kurtosis == pytest.approx(3.0, abs=0.1)


def test_envelope_is_the_modulation() -> None:
    modulated = (1.0 + 0.5 * np.sin(2 * np.pi * 87 * TIME)) * np.sin(2 * np.pi * 3_000 * TIME)
    assert features(modulated, RATE, band=(2_000, 4_000)).envelope == pytest.approx(0.5 / math.sqrt(2), rel=1e-3)


def test_envelope_spectrum_peaks_at_the_defect_frequency() -> None:
    ring = np.exp(-np.arange(200) / 20.0) * np.sin(2 * np.pi * 3_000 * np.arange(200) / RATE)
    hits = np.zeros(len(TIME))
    hits[(np.arange(99) * RATE / 100).astype(int)] = 1.0
    frequency, amplitude = envelope_spectrum(np.convolve(hits, ring)[: len(TIME)], RATE, band=(2_000, 4_000))
    assert frequency[np.argmax(amplitude[:2_000])] == pytest.approx(100.0, abs=1.0)


def test_impacts_raise_kurtosis_and_crest() -> None:
    noise = np.random.default_rng(2).normal(size=12_800)
    hit = noise.copy()
    hit[::640] += 12.0
    assert features(hit, RATE).kurtosis > features(noise, RATE).kurtosis + 2
    assert features(hit, RATE).crest > features(noise, RATE).crest


def test_rest_is_all_zero() -> None:
    found = features(np.full(64, 9.81), RATE)
    assert (found.rms, found.crest, found.kurtosis, found.envelope) == (0.0, 0.0, 0.0, 0.0)


@given(st.integers(16, 400), st.integers(0, 2**32 - 1))
def test_band_energies_sum_to_the_variance(length: int, seed: int) -> None:
    wave = np.random.default_rng(seed).normal(size=length)
    energies = band_energies(wave, RATE, [0.0, RATE / 8, RATE / 4, RATE / 2])
    assert energies.sum() == pytest.approx(wave.var(), rel=1e-9)


@pytest.mark.parametrize("wave", [[], [1.0] * 15, [[1.0] * 16], [math.nan] * 16, [math.inf] * 16])
def test_a_wave_that_cannot_be_judged_is_refused(wave: list[float]) -> None:
    with pytest.raises(BadWave):
        features(wave, RATE)


def test_a_band_outside_the_spectrum_is_refused() -> None:
    with pytest.raises(BadWave, match="does not lie within"):
        features(TIME, RATE, band=(100.0, RATE))
