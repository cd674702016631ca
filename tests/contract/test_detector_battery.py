"""What every detector must pass: each plugin of ``detectors.algorithms``, and the default chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import registry
from detectors.base import Detector, FindingKind, Frame, Judgement
from detectors.chain import create_chain
from detectors.line import Line
from maintenance import sentences
from maintenance.model import LANGUAGES
from plant.model import Asset, Floats, SampleBatch
from tests.detector_machines import COLUMN, DAY_ROWS, SIGNALS, Life, live

Factory = Callable[[], Detector]


def plugin(name: str) -> Factory:
    """A plugin that concerns no machine unless it is asked for shows what it would be in ``example``."""
    module = registry.load("detectors.algorithms")[name]
    make = getattr(module, "example", module.create)
    return lambda: make(asset_id=1, site_id=1, asset_class="pump", signals=SIGNALS)


def factories() -> dict[str, Factory]:
    """Every detector there is: a file among the algorithms is enough."""
    found: dict[str, Factory] = {name: plugin(name) for name in registry.load("detectors.algorithms")}
    return {**found, "chain": lambda: create_chain(1, 1, "pump", SIGNALS)}


FACTORIES = factories()


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
        make = getattr(module, "example", module.create)
        other = make(asset_id=1, site_id=1, asset_class="pump", signals=SIGNALS[:5])
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


def test_every_finding_is_said_in_every_language_with_what_to_check_and_a_window_to_plot(
    factory: Factory, life: Life
) -> None:
    first, last = life.frame().at_us[[0, -1]] / 1e6
    for finding in factory().update(life.frame()).findings:
        told = sentences.say(finding.sentence.key, finding.sentence.values)
        assert finding.sentence.key in sentences.templates()
        assert all(told[language] and "{" not in told[language] for language in LANGUAGES)
        assert not finding.active or sentences.check(finding.sentence.key, finding.sentence.values)
        assert first - 86_400 <= finding.started_at.timestamp() <= finding.at.timestamp() <= last
        assert finding.at - finding.started_at < timedelta(days=8)


def test_its_state_is_bounded(factory: Factory, life: Life) -> None:
    detector = factory()
    detector.update(life.frame(0, 2_500))
    early = len(detector.dump())
    detector.update(life.frame(2_500, None))
    assert len(detector.dump()) <= early + 64


def test_constant_signals_say_nothing_of_the_machine(factory: Factory, life: Life) -> None:
    frame = life.frame(0, 3_000)
    values = np.repeat(frame.values[:1], len(frame), axis=0)
    values[:, COLUMN["state"]] = 1.0
    still = replace(frame, values=values, state=np.ones(len(frame), np.int16), bad=np.zeros_like(frame.bad))
    assert [f for f in factory().update(still).findings if f.kind is FindingKind.MACHINE] == []


@pytest.mark.parametrize("value", [1e300, -1e300, 1e-310, np.inf, -np.inf])
def test_a_huge_value_does_not_end_judgement(factory: Factory, life: Life, value: float) -> None:
    frame = life.frame(0, 2_000)
    values = frame.values.copy()
    values[1_500, COLUMN["flow"]] = value
    detector = factory()
    surprise = detector.update(replace(frame, values=values)).surprise
    assert not np.isinf(surprise).any()
    assert np.isfinite(factory().update(frame).surprise).any() == np.isfinite(surprise).any()


@pytest.mark.parametrize("hours", [3, 24 * 400])
def test_a_jump_of_the_clock_is_outlived(factory: Factory, life: Life, hours: int) -> None:
    detector = factory()
    detector.update(life.frame(0, 1_500))
    frame = life.frame(1_500, 2_500)
    later = replace(frame, at_us=frame.at_us + hours * 3_600_000_000)
    for finding in detector.update(later).findings:
        assert finding.started_at <= finding.at


ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True, width=64)


@given(st.lists(st.lists(ANY_FLOAT, min_size=8, max_size=8), min_size=1, max_size=12), st.integers(-1, 5))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_never_raises_whatever_comes(factory: Factory, life: Life, rows: list[list[float]], state: int) -> None:
    detector = factory()
    detector.update(life.frame(0, 300))
    frame = life.frame(300, 300 + len(rows))
    odd = replace(frame, values=np.array(rows), state=np.full(len(rows), state, np.int16))
    for finding in detector.update(odd).findings:
        assert sum(finding.contributions.values()) == pytest.approx(1.0)
    detector.update(life.frame(400, 500))
    detector.load(detector.dump())


def test_the_order_of_samples_within_a_stretch_is_irrelevant(life: Life) -> None:
    """What the whole line promises: batches come as they like, as long as they are there."""
    rows, columns = np.nonzero(np.isfinite(life.values[:1_500]))
    batch = SampleBatch(
        (columns + 1).astype(np.int32), life.at_us[rows], life.values[rows, columns], np.zeros(len(rows), np.uint8)
    )
    shuffled = np.random.default_rng(5).permutation(len(rows))
    mixed = SampleBatch(*(getattr(batch, name)[shuffled] for name in SampleBatch.__slots__))
    asset = Asset(1, 1, None, "P-1", "Pump", "pump", 3, "", "unit")
    lines = [Line(asset, list(SIGNALS), position_us=int(life.at_us[0]) - 1, muted_us=0) for _ in range(2)]
    said = [
        line.advance(each, (), until_us=int(life.at_us[1_499]))
        for line, each in zip(lines, (batch, mixed), strict=True)
    ]
    assert said[0].findings == said[1].findings
    assert lines[0].dump() == lines[1].dump()
