"""The vibration table against real waveforms."""

from __future__ import annotations

import numpy as np
import pytest

from edge.features import envelope_spectrum
from simulators.machines import vibration as v
from simulators.machines.base import Build, Machine
from simulators.machines.duty import Duty
from simulators.machines.faults import Fault
from simulators.machines.motor import Motor, Waves

START_US = 1_767_225_600_000_000


@pytest.mark.parametrize("source", list(v.Source))
@pytest.mark.parametrize(("severity", "load"), [(0.0, 0.8), (0.07, 0.6), (0.25, 1.0), (0.6, 0.9), (1.0, 0.75)])
def test_table_matches_real_waveforms(source: v.Source, severity: float, load: float) -> None:
    rng = np.random.default_rng(5)
    real = np.array([v.measure(v.waveform(v.Shake(load, {source: severity}), rng)) for _ in range(150)]).T
    many = np.full(4000, 1.0)
    drawn = v.table(source).draw(many * severity, many * load, rng.standard_normal((4, 4000)))
    assert drawn.mean(axis=1) == pytest.approx(real.mean(axis=1), rel=0.09)
    slack = 0.03 * real.mean(axis=1)  # how many turns fit the window sets the last per cent of the scatter
    for i, name in enumerate(v.FEATURES):
        assert drawn[i].std() == pytest.approx(real[i].std(), rel=0.6, abs=slack[i]), name


def test_outer_race_damage_shows_at_its_pass_frequency() -> None:
    rng = np.random.default_rng(1)
    load = 0.8
    bpfo = v.BPFO * float(v.speed_rpm(load)) / 60.0

    def line(severity: float) -> float:
        wave = v.waveform(v.Shake(load, {v.Source.RACE: severity}), rng)
        hz, amplitude = envelope_spectrum(wave, v.RATE_HZ, band=v.BAND_HZ)
        near = np.abs(hz - bpfo) <= 5.0
        return float(amplitude[near].max() / np.median(amplitude[(hz > 30) & (hz < 400)]))

    assert np.median([line(0.0) for _ in range(9)]) < 6.0
    assert np.median([line(0.3) for _ in range(9)]) > 10.0


def test_only_a_bearing_raises_envelope_and_kurtosis() -> None:
    rng = np.random.default_rng(2)

    def mean(severities: dict[v.Source, float]) -> dict[str, float]:
        rows = [v.measure(v.waveform(v.Shake(0.8, severities), rng)) for _ in range(20)]
        return dict(zip(v.FEATURES, np.mean(rows, axis=0), strict=True))

    sound, race = mean({}), mean({v.Source.RACE: 0.3})
    heavy = mean({v.Source.IMBALANCE: 0.5})
    assert race["envelope"] > 5 * sound["envelope"] and race["kurtosis"] > 2 * sound["kurtosis"]
    assert heavy["envelope"] == pytest.approx(sound["envelope"], rel=0.1)
    assert heavy["vibration"] > 3 * sound["vibration"]
    assert sound["kurtosis"] == pytest.approx(3.0, abs=0.2)


def test_a_live_motor_computes_what_a_fast_one_draws() -> None:
    def motor(waves: Waves) -> dict[str, float]:
        build = Build("M-1", 4, 60.0, Duty(stops_per_day=0.0), 1)
        fault = Fault("bearing_outer_race", START_US - 10**12, START_US + 10**12)
        machine = Machine(build, Motor(4, waves=waves), start_us=START_US, faults=(fault,))
        seen = machine.advance(START_US + 120 * 60_000_000).values
        return {name: float(np.mean(seen[name])) for name in v.FEATURES}

    assert motor(Waves.TABLE) == pytest.approx(motor(Waves.REAL), rel=0.12)


def test_a_live_motor_does_not_mind_chunks() -> None:
    def motor() -> Machine:
        build = Build("M-1", 4, 1.0, Duty(stops_per_day=0.0), 1)
        return Machine(build, Motor(4, waves=Waves.REAL), start_us=START_US)

    whole, cut = motor().advance(START_US + 40_000_000), motor()
    parts = [cut.advance(START_US + 40_000_000, max_rows=n) for n in (1, 7, 33)]
    assert np.array_equal(whole.values["envelope"], np.concatenate([p.values["envelope"] for p in parts]))
