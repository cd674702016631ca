"""The library and the sentences are whole in every language, and refuse what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from maintenance import library, sentences
from maintenance.model import LANGUAGES, Reason
from plant.units import QUANTITIES

WANTED = {
    "pump": {"bearing_wear", "cavitation", "impeller_wear", "seal_leak"},
    "motor": {"bearing_outer_race", "winding_insulation", "imbalance", "misalignment"},
    "compressor": {"valve_leak", "cooler_fouling", "bearing_wear"},
    "conveyor": {"belt_slip", "idler_bearing", "misalignment"},
    "turbofan": {"hpc_degradation"},
}
GOOD = """
asset_class = "generic"
name = { en = "Machine", zh = "设备" }
skill = "mechanical"
lead_h = 24
cost = { planned = 1, failure = 2, currency = "EUR" }
[[mode]]
code = "unknown"
name = { en = "Unknown", zh = "未知" }
mechanism = "6.4 unknown"
checks = { en = ["Look."], zh = ["检查。"] }
signature = [{ words = [], quantity = "temperature", direction = "up", weight = 1 }]
"""


def has_chinese(text: str) -> bool:
    return any("\u4e00" <= letter <= "\u9fff" for letter in text)


@pytest.mark.parametrize("asset_class", library.classes())
def test_every_class_is_whole(asset_class: str) -> None:
    modes = library.modes(asset_class)
    assert modes[-1].code == "unknown" and len(modes) >= 2
    assert has_chinese(library.class_name(asset_class)["zh"])
    for mode in modes:
        assert mode.asset_class == asset_class
        assert has_chinese(mode.name["zh"]) and mode.name["en"].isascii()
        assert mode.checks["zh"] and len(mode.checks["zh"]) == len(mode.checks["en"])
        assert all(map(has_chinese, mode.checks["zh"]))
        assert 0 < mode.cost.planned < mode.cost.failure and mode.skill and mode.typical_lead_h > 0
        assert mode.mechanism[:3].replace(".", "").isdigit()
        assert bool(mode.symptoms) == (mode.code != "unknown")
        assert all(symptom.quantity in {*QUANTITIES, "*"} for symptom in mode.symptoms)


@pytest.mark.parametrize("asset_class", WANTED)
def test_the_simulated_machines_have_their_modes(asset_class: str) -> None:
    assert WANTED[asset_class] <= {mode.code for mode in library.modes(asset_class)}


def test_a_class_nobody_described_has_the_generic_modes() -> None:
    assert library.modes("sausage_stuffer") == library.modes("generic")
    assert library.mode("pump", "a person's own word").code == "unknown"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('direction = "up"', 'direction = "sideways"'),
        ("weight = 1 ", "weight = 0 "),
        ("planned = 1", "planned = -1"),
        ("planned = 1", "plan = 1"),
        ('zh = "未知"', 'de = "Unbekannt"'),
        ('code = "unknown"', 'code = "other"'),
        ('code = "unknown"', ""),
        ("lead_h = 24", ""),
        ("[[mode]]", "[[mode"),
    ],
)
def test_a_library_that_does_not_fit_is_refused_with_a_sentence(tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "generic.toml").write_text(GOOD, "utf-8")
    assert library.load(tmp_path)["generic"][0].code == "unknown"
    bad = tmp_path / "bad"
    bad.mkdir()
    assert old in GOOD
    (bad / "generic.toml").write_text(GOOD.replace(old, new), "utf-8")
    with pytest.raises(library.LibraryError, match="generic"):
        library.load(bad)


DETECTORS_SAY = {
    "drift", "multivariate", "recovered", "silent", "bad_quality", "out_of_range", "stuck", "spike", "jump",
    "sensor_recovered",
}  # fmt: skip


def test_all_that_detectors_say_has_a_sentence() -> None:
    assert set(sentences.templates()) >= DETECTORS_SAY


@pytest.mark.parametrize("key", sentences.templates())
def test_every_sentence_has_both_languages_with_the_same_blanks(key: str) -> None:
    variants = sentences.templates()[key]
    assert set(variants) == set(LANGUAGES)
    assert len(variants["en"]) == len(variants["zh"]) > 0
    for english, chinese in zip(variants["en"], variants["zh"], strict=True):
        assert sentences.blanks(english) == sentences.blanks(chinese)


def test_a_sentence_is_filled_as_far_as_its_values_go() -> None:
    full = {"signal": "vibration", "value": 4.23456, "unit": "mm/s", "expected": 2.0}
    assert sentences.say("drift", full)["en"].startswith("vibration reads 4.23 mm/s; 2 mm/s")
    band = {**full, "low": 1.5, "high": 2.5, "hours": 7.0}
    assert (
        "1.5 to 2.5 mm/s" in sentences.say("drift", band)["en"]
        and "已偏离 7 小时" in sentences.say("drift", band)["zh"]
    )
    assert sentences.say("drift", {"signal": "vibration"})["en"] == "vibration drifts away from its normal value."
    assert sentences.say("drift")["en"] == "A signal drifts away from its normal value."
    assert sentences.say("no such key", full) == sentences.say("generic")


def test_values_may_be_in_both_languages_and_numbers_stay_short() -> None:
    why = Reason("changed", {"mode": {"en": "Bearing wear", "zh": "轴承磨损"}, "percent": 71.234})
    said = sentences.reason(why, group="diagnosis")
    assert "Bearing wear (71.2 %)" in said["en"] and "轴承磨损（71.2 %）" in said["zh"]
    assert sentences.number(18000.4) == "18 000"
