"""Deviations → failure modes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance import library
from maintenance.diagnose import affinity, diagnose, distinct, gather
from maintenance.model import Deviation
from plant.model import Role, Signal

QUANTITY = {
    "flow": "flow",
    "pressure": "pressure",
    "discharge_pressure": "pressure",
    "current": "current",
    "vibration": "vibration_velocity",
    "crest": "ratio_1",
    "kurtosis": "ratio_1",
    "envelope": "acceleration_envelope",
    "belt_slip": "ratio",
}
CODES = {
    "pump": ["flow", "pressure", "current", "vibration", "bearing_temp"],
    "motor": ["current", "winding_temp", "vibration", "crest", "kurtosis", "envelope"],
    "compressor": ["discharge_pressure", "discharge_temp", "oil_temp", "current", "vibration", "flow"],
    "conveyor": ["current", "belt_slip", "bearing_temp", "vibration"],
    "turbofan": ["s2", "s3", "s4", "s7", "s11", "s12", "s15", "s20", "s21"],
}


def signals(asset_class: str) -> list[Signal]:
    return [
        Signal(number, 1, 1, code, code, QUANTITY.get(code, "temperature"), "", None, None, 60, Role.MEASURED)
        for number, code in enumerate(CODES[asset_class], 1)
    ]


def deviations(asset_class: str, **shares: float) -> dict[int, Deviation]:
    by_code = {signal.code: signal.signal_id for signal in signals(asset_class)}
    return {by_code[code]: Deviation(abs(share), 1 if share > 0 else -1) for code, share in shares.items()}


def likeliest(asset_class: str, **shares: float) -> str:
    seen = deviations(asset_class, **shares)
    return diagnose(seen, signals(asset_class), library.modes(asset_class))[0].mode


@pytest.mark.parametrize(
    ("asset_class", "mode", "shares"),
    [
        ("pump", "bearing_wear", {"vibration": 0.6, "bearing_temp": 0.4}),
        ("pump", "bearing_wear", {"vibration": 1.0}),
        ("pump", "cavitation", {"pressure": -0.4, "flow": -0.3, "vibration": 0.3}),
        ("pump", "impeller_wear", {"flow": -0.35, "pressure": -0.35, "current": -0.3}),
        ("pump", "seal_leak", {"flow": -0.5, "pressure": -0.5}),
        ("pump", "unknown", {"vibration": -1.0}),
        ("motor", "bearing_outer_race", {"envelope": 0.5, "kurtosis": 0.3, "vibration": 0.2}),
        ("motor", "winding_insulation", {"winding_temp": 0.6, "current": 0.4}),
        ("motor", "imbalance", {"vibration": 1.0}),
        ("motor", "misalignment", {"vibration": 0.6, "current": 0.4}),
        ("compressor", "valve_leak", {"discharge_temp": 0.6, "flow": -0.4}),
        ("compressor", "cooler_fouling", {"oil_temp": 0.6, "discharge_temp": 0.4}),
        ("compressor", "bearing_wear", {"vibration": 1.0}),
        ("conveyor", "belt_slip", {"belt_slip": 0.7, "current": -0.3}),
        ("conveyor", "idler_bearing", {"bearing_temp": 0.6, "vibration": 0.4}),
        ("conveyor", "misalignment", {"vibration": 0.5, "current": 0.5}),
        ("turbofan", "hpc_degradation", {"s4": 0.3, "s11": 0.3, "s12": -0.2, "s7": -0.2}),
        ("turbofan", "unknown", {"s4": -0.3, "s11": -0.3, "s12": 0.2, "s7": 0.2}),
    ],
)
def test_the_signature_is_recognised(asset_class: str, mode: str, shares: dict[str, float]) -> None:
    assert likeliest(asset_class, **shares) == mode


shares = st.dictionaries(
    st.integers(1, 5), st.tuples(st.floats(0.01, 1), st.sampled_from([-1, 0, 1])), min_size=1, max_size=5
)


@given(shares)
def test_probabilities_are_probabilities(drawn: dict[int, tuple[float, int]]) -> None:
    total = sum(share for share, _ in drawn.values())
    seen = {key: Deviation(share / total, way) for key, (share, way) in drawn.items()}
    found = diagnose(seen, signals("pump"), library.modes("pump"))
    assert {each.mode for each in found} == {mode.code for mode in library.modes("pump")}
    assert sum(each.probability for each in found) == pytest.approx(1)
    assert [each.probability for each in found] == sorted((each.probability for each in found), reverse=True)


@given(shares, shares, st.integers(1, 50))
def test_gathered_evidence_stays_a_distribution(
    first: dict[int, tuple[float, int]], second: dict[int, tuple[float, int]], findings: int
) -> None:
    def normed(drawn: dict[int, tuple[float, int]]) -> dict[int, Deviation]:
        total = sum(share for share, _ in drawn.values())
        return {key: Deviation(share / total, way) for key, (share, way) in drawn.items()}

    together = gather(normed(first), normed(second), findings=findings)
    assert sum(each.share for each in together.values()) == pytest.approx(1)
    assert set(together) <= {*first, *second}


def test_one_odd_finding_does_not_overturn_the_evidence() -> None:
    running = deviations("pump", vibration=0.6, bearing_temp=0.4)
    after = gather(running, deviations("pump", flow=-0.5, pressure=-0.5), findings=20)
    assert diagnose(after, signals("pump"), library.modes("pump"))[0].mode == "bearing_wear"


def test_nothing_known_about_the_asset_is_unknown() -> None:
    assert diagnose({7: Deviation(1.0, 1)}, [], library.modes("pump"))[0].mode == "unknown"
    assert diagnose({}, signals("pump"), library.modes("pump"))[0].mode == "unknown"


def test_a_detector_that_names_the_mode_is_believed() -> None:
    seen = deviations("pump", flow=-0.5, pressure=-0.5)
    found = diagnose(seen, signals("pump"), library.modes("pump"), told="cavitation")
    assert found[0].mode == "cavitation" and found[0].probability > 0.9


def test_signals_are_known_by_their_words_in_both_languages() -> None:
    wear = library.mode("pump", "bearing_wear")
    bearing = next(symptom for symptom in wear.symptoms if symptom.quantity == "temperature")

    def of(code: str, name: str) -> float:
        signal = Signal(1, 1, 1, code, name, "temperature", "°C", None, None, 60, Role.MEASURED)
        return affinity(bearing, signal, library.modes("pump"))

    assert of("DE-bearing-T1", "") == 1.0
    assert of("T1", "驱动端轴承温度") == 1.0
    assert 0 < of("T1", "") < 1.0


def test_only_a_clearly_other_fault_is_distinct() -> None:
    machine, modes = signals("motor"), library.modes("motor")

    def separate(running: dict[int, Deviation], fresh: dict[int, Deviation]) -> bool:
        return distinct(
            running,
            fresh,
            running_diagnosis=diagnose(running, machine, modes),
            fresh_diagnosis=diagnose(fresh, machine, modes),
        )

    bearing = deviations("motor", envelope=0.5, kurtosis=0.3, vibration=0.2)
    winding = deviations("motor", winding_temp=0.6, current=0.4)
    assert separate(bearing, winding) and separate(winding, bearing)
    assert not separate(bearing, bearing)
    assert not separate(bearing, deviations("motor", vibration=0.6, current=0.4))
    assert not separate(bearing, deviations("motor", winding_temp=-1.0))  # unknown is in doubt
