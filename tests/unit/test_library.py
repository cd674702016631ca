"""A library is a data file that a person can add: whole, or refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from maintenance import library
from maintenance.library_file import LONGEST, LibraryError, parse
from tickets import failure_codes

EIGHT = ("pump", "motor", "gearbox", "compressor", "fan", "conveyor", "cnc_spindle", "heat_exchanger")
GOOD = """
asset_class = "crane"
name = { en = "Crane", zh = "起重机" }
skill = "mechanical"
lead_h = 24
cost = { planned = 1, failure = 2, currency = "EUR" }
[[mode]]
code = "rope_wear"
name = { en = "Rope wear", zh = "钢丝绳磨损" }
mechanism = "2.4 wear"
checks = { en = ["Look."], zh = ["检查。"] }
signature = [{ words = ["Load"], quantity = "force", direction = "up", weight = 1, alert = 5, unit = "kN" }]
[[mode]]
code = "brake_wear"
name = { en = "Brake wear", zh = "制动磨损" }
mechanism = "2.4 wear"
caused_by = ["rope_wear"]
checks = { en = ["Look."], zh = ["检查。"] }
signature = [{ words = [], quantity = "temperature", direction = "up", weight = 1 }]
"""


@pytest.mark.parametrize("asset_class", EIGHT)
def test_the_eight_classes_are_complete(asset_class: str) -> None:
    modes = [mode for mode in library.modes(asset_class) if mode.code != "unknown"]
    assert len(modes) >= 5
    mechanisms = {each.code for each in failure_codes.shipped() if each.part is failure_codes.Part.MECHANISM}
    causes = {each.code for each in failure_codes.shipped() if each.part is failure_codes.Part.CAUSE}
    for mode in modes:
        assert mode.mechanism.split()[0] in mechanisms and mode.cause in causes
        assert mode.iso_mode != "OTH"
        for language in ("en", "zh"):
            assert mode.effect[language] and mode.article[language] and mode.lockout[language] and mode.parts[language]
        assert len(mode.parts["en"]) == len(mode.parts["zh"]) and len(mode.lockout["en"]) == len(mode.lockout["zh"])


@pytest.mark.parametrize("asset_class", EIGHT)
def test_each_mode_is_recognised_by_its_own_signature(asset_class: str) -> None:
    from maintenance.diagnose import diagnose
    from maintenance.model import Deviation
    from plant.model import Role, Signal

    modes = library.modes(asset_class)
    for mode in modes[:-1]:
        signals = [
            Signal(n, 1, 1, "_".join(each.words[:1]) or "x", "", each.quantity, "", None, None, 60, Role.MEASURED)
            for n, each in enumerate(mode.symptoms)
        ]
        total = sum(each.weight for each in mode.symptoms)
        seen = {n: Deviation(each.weight / total, each.direction) for n, each in enumerate(mode.symptoms)}
        assert diagnose(seen, signals, modes)[0].mode == mode.code


def test_a_good_file_is_read() -> None:
    made = parse(GOOD, "crane.toml")
    assert [mode.code for mode in made.modes] == ["rope_wear", "brake_wear"]
    assert made.modes[0].symptoms[0].words == ("load",) and made.modes[0].iso_mode == "OTH"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('[[mode]]\ncode = "brake_wear"', '[[mode]]\ncode = "rope_wear"', "two modes 'rope_wear'"),
        ('caused_by = ["rope_wear"]', 'caused_by = ["brake_wear"]', "circle"),
        ('caused_by = ["rope_wear"]', 'caused_by = ["gravity"]', "'gravity', which this file has not"),
        ('unit = "kN"', 'unit = "furlong"', "no unit 'furlong'"),
        ('unit = "kN"', 'unit = "mm/s"', "unit of vibration_velocity"),
        ('quantity = "force"', 'quantity = "luck"', "no quantity 'luck'"),
        ("planned = 1", "planned = -1", "never negative"),
        ("planned = 1", "planned = nan", "never negative"),
        ("failure = 2", "failure = true", "never negative"),
        ("lead_h = 24", "lead_h = -24", "positive number of hours"),
        ("weight = 1,", "weight = inf,", "a weight is a number"),
        ('mechanism = "2.4 wear"', 'mechanism = "wear"', "ISO 14224"),
        ('skill = "mechanical"', 'skill = "mechanical"\ncolour = "red"', "'colour' is not known here"),
        ('zh = "起重机"', 'fr = "Grue"', "no name in zh"),
        ('asset_class = "crane"', 'asset_class = "../crane"', "asset_class"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(LibraryError, match="crane") as refused:
        parse(GOOD.replace(old, new, 1), "crane.toml")
    assert said in refused.value.message


def test_a_long_circle_and_a_wide_mesh_of_causes_are_judged_at_once() -> None:
    def mode(number: int, causes: list[str]) -> str:
        return (
            f'[[mode]]\ncode = "m{number}"\nname = {{ en = "M", zh = "模" }}\nmechanism = "2.4"\ncaused_by = {causes}\n'
            'checks = { en = ["Look."], zh = ["看。"] }\n'
            'signature = [{ words = [], quantity = "flow", direction = "up", weight = 1 }]\n'
        )

    head = GOOD.split("[[mode]]")[0]
    mesh = head + "".join(mode(n, [f"m{k}" for k in range(n)]) for n in range(100))
    assert len(parse(mesh, "x.toml").modes) == 100
    ring = head + "".join(mode(n, [f"m{(n + 1) % 100}"]) for n in range(100))
    with pytest.raises(LibraryError, match="circle"):
        parse(ring, "x.toml")


def test_nonsense_is_refused_not_crashed_on() -> None:
    for text in ("", "=", "mode = 3", "[mode]\na=1", "[[mode]]", "x = " + "[" * 5000, "a" * (LONGEST + 1), "mode=[1]"):
        with pytest.raises(LibraryError):
            parse(text, "x.toml")


def test_a_file_in_the_data_directory_is_a_class_and_a_broken_one_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.settings import settings

    monkeypatch.setenv("MILLWRIGHT_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    try:
        assert "crane" not in library.classes()
        (tmp_path / "libraries").mkdir()
        (tmp_path / "libraries" / "crane.toml").write_text(GOOD, "utf-8")
        (tmp_path / "libraries" / "other.toml").write_text(GOOD.replace("-", "") + "x", "utf-8")
        assert [mode.code for mode in library.modes("crane")] == ["rope_wear", "brake_wear", "unknown"]
        assert list(library.refused()) == ["other.toml"]
        (tmp_path / "libraries" / "generic.toml").write_text(GOOD.replace('"crane"', '"generic"'), "utf-8")
        assert "generic.toml" in library.refused() and library.modes("pump")[-1].code == "unknown"
    finally:
        settings.cache_clear()
