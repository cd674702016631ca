"""What every detector must pass: each plugin of ``detectors.algorithms``, and the default chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from core import registry
from detectors.base import Detector, FindingKind, Frame, Judgement
from detectors.chain import create_chain
from plant.model import Floats
from tests.detector_machines import COLUMN, DAY_ROWS, SIGNALS, Life, live

Factory = Callable[[], Detector]


def plugin(name: str) -> Factory:
    module = registry.load("detectors.algorithms")[name]
    return lambda: module.create(asset_id=1, site_id=1, asset_class="pump", signals=SIGNALS)


FACTORIES: dict[str, Factory] = {name: plugin(name) for name in registry.load("detectors.algorithms")}
FACTORIES["chain"] = lambda: create_chain(1, 1, "pump", SIGNALS)


@pytest.fixture(params=sorted(FACTORIES))
def factory(request: pytest.FixtureRequest) -> Factory:
    return FACTORIES[str(request.param)]


@pytest.fixture(scope="module")
def life() -> Life:
    """Six days: healthy, then wearing out, with a stuck sensor, missing and bad values."""
    made = live(7, 6, mode="cavitation", onset_day=4.0, wear_days=2.5)
    values = made.values.copy()
    values[3_000:3_400, COLUMN["bearing_temp"]] = values[3_000, COLUMN["bearing_temp"]]
    values[::97, COLUMN["flow"]] = np.nan
    return made.with_values(values)


def flat(judgements: list[Judgement]) -> tuple[list[object], list[object], Floats]:
    return (
        [finding for judgement in judgements for finding in judgement.findings],
        [band for judgement in judgements for band in judgement.bands],
        np.concatenate([judgement.surprise for judgement in judgements]),
    )


def same(one: tuple[list[object], list[object], Floats], other: tuple[list[object], list[object], Floats]) -> bool:
    return one[0] == other[0] and one[1] == other[1] and np.array_equal(one[2], other[2], equal_nan=True)


def test_has_a_name_and_a_version(factory: Factory) -> None:
    detector = factory()
    assert detector.name
    assert detector.version


def test_the_life_gives_it_something_to_say(factory: Factory, life: Life) -> None:
    judgement = factory().update(life.frame())
    assert judgement.findings
    assert len(judgement.surprise) == len(life.at_us)
    assert np.nanmin(judgement.surprise) >= 0.0


@pytest.mark.parametrize("rows", [1, 7, 500])
def test_cutting_the_stream_changes_nothing(factory: Factory, life: Life, rows: int) -> None:
    start = 5_900 if rows == 1 else 0  # row by row only where things happen
    whole, cut = factory(), factory()
    for detector in (whole, cut):
        detector.update(life.frame(0, start))
    once = [whole.update(life.frame(start, None))]
    pieces = [cut.update(life.frame(i, i + rows)) for i in range(start, len(life.at_us), rows)]
    assert same(flat(once), flat(pieces))


@pytest.mark.parametrize("row", [1, 1_500, 3_100, 7_400])
def test_a_dumped_and_loaded_twin_goes_on_alike(factory: Factory, life: Life, row: int) -> None:
    detector = factory()
    detector.update(life.frame(0, row))
    twin = factory()
    twin.load(detector.dump())
    assert same(flat([detector.update(life.frame(row, None))]), flat([twin.update(life.frame(row, None))]))
    assert detector.dump() == twin.dump()


def test_foreign_states_are_refused_with_a_reason(factory: Factory, life: Life) -> None:
    detector = factory()
    detector.update(life.frame(0, 100))
    before = detector.dump()
    others = [b"", b"nonsense", before[:-3]]
    others += [other().dump() for other in FACTORIES.values() if other().name != detector.name]
    for state in others:
        with pytest.raises(ValueError, match=r"\w"):
            detector.load(state)
    assert detector.dump() == before


def test_a_state_of_other_signals_is_refused(factory: Factory) -> None:
    for module in registry.load("detectors.algorithms").values():
        other = module.create(asset_id=1, site_id=1, asset_class="pump", signals=SIGNALS[:5])
        if other is not None and other.name == factory().name:
            with pytest.raises(ValueError, match="shape"):
                factory().load(other.dump())


def test_empty_and_missing_rows_are_harmless(factory: Factory, life: Life) -> None:
    detector = factory()
    detector.update(life.frame(0, 200))
    assert len(detector.update(life.frame(0, 0)).surprise) == 0
    frame = life.frame(200, 260)
    empty = replace(frame, values=np.full_like(frame.values, np.nan), state=np.full(60, -1, np.int16))
    assert not detector.update(empty).findings


def test_bad_values_are_not_used(factory: Factory, life: Life) -> None:
    def spoilt(value: float) -> Frame:
        frame = life.frame(0, 2 * DAY_ROWS)
        values, bad = frame.values.copy(), frame.bad.copy()
        bad[::11, COLUMN["flow"]] = True
        values[bad] = value
        return replace(frame, values=values, bad=bad)

    assert same(flat([factory().update(spoilt(np.nan))]), flat([factory().update(spoilt(1e9))]))


def test_the_frame_is_left_alone(factory: Factory, life: Life) -> None:
    frame = life.frame(0, 3_000)
    before = frame.values.copy()
    factory().update(frame)
    np.testing.assert_array_equal(frame.values, before)


def test_findings_are_well_formed(factory: Factory, life: Life) -> None:
    ids = {signal.signal_id for signal in SIGNALS}
    for finding in factory().update(life.frame()).findings:
        assert sum(finding.contributions.values()) == pytest.approx(1.0)
        assert set(finding.contributions) <= ids
        assert set(finding.contributions) <= set(finding.directions)
        assert 0.0 <= finding.health <= 1.0
        assert finding.started_at <= finding.at
        assert finding.at.tzinfo is not None
        assert np.isfinite(finding.surprise)
        assert finding.sentence.key
        assert all(isinstance(v, str) or np.isfinite(v) for v in finding.sentence.values.values())
        assert (finding.failure_mode is not None) == (finding.kind is FindingKind.SENSOR)


def test_relearning_ends_what_is_active(factory: Factory, life: Life) -> None:
    detector = factory()
    machine = [f for f in detector.update(life.frame()).findings if f.kind is FindingKind.MACHINE]
    detector.relearn(int(life.at_us[-1]))
    ended = [f for f in detector.update(life.frame(0, 0)).findings if f.kind is FindingKind.MACHINE]
    assert [f.active for f in ended] == ([False] if machine and machine[-1].active else [])
