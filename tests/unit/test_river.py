"""river's estimators as a detector: any of them, exact twins without pickles, refused in words."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from core import settings as settings_module
from detectors.algorithms import river_adapter
from detectors.algorithms.river_adapter import River
from detectors.river_models import EPOCH, Pair, RiverMissing, UnknownEstimator, kept_rows, model
from tests.detector_machines import SIGNALS, Life, live

ANY = (
    "anomaly.HalfSpaceTrees", "anomaly.LODA", "anomaly.OneClassSVM", "anomaly.LocalOutlierFactor",
    "anomaly.GaussianScorer", "anomaly.StandardAbsoluteDeviation", "drift.ADWIN", "drift.KSWIN", "drift.PageHinkley",
)  # fmt: skip


@pytest.fixture(scope="module")
def life() -> Life:
    return live(3, 2)


@pytest.mark.parametrize("name", ANY)
def test_an_estimator_is_the_same_after_its_rows_are_fed_again(name: str) -> None:
    pytest.importorskip("river")
    rows = np.random.default_rng(1).normal(size=(60, 2)).astype(np.float32)
    whole, again = Pair(name, 2), Pair(name, 2)
    for i, row in enumerate(rows[:40]):
        whole.feed(row, i)
    again.begin(rows[:40], 40)
    told = [(whole.feed(row, i), again.feed(row, i)) for i, row in enumerate(rows[40:], 40)]
    np.testing.assert_array_equal([one for one, _ in told], [other for _, other in told])


def test_the_elder_is_replaced_and_its_rows_forgotten() -> None:
    assert [kept_rows(n) for n in (1, EPOCH, 2 * EPOCH, 2 * EPOCH + 1, 3 * EPOCH, 3 * EPOCH + 1)] == [
        1, EPOCH, 2 * EPOCH, EPOCH + 1, 2 * EPOCH, EPOCH + 1,
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [150, EPOCH, EPOCH + 1, 2 * EPOCH, 2 * EPOCH + 1, 2_400])
def test_a_twin_goes_on_alike_wherever_it_is_taken(life: Life, rows: int) -> None:
    pytest.importorskip("river")

    def new() -> River:
        return river_adapter.example(asset_id=1, site_id=1, asset_class="pump", signals=SIGNALS)

    made = new()
    made.update(life.frame(0, rows))
    twin = new()
    twin.load(made.dump())
    one, other = made.update(life.frame(rows, rows + 300)), twin.update(life.frame(rows, rows + 300))
    np.testing.assert_allclose(one.surprise, other.surprise, rtol=0, atol=1e-9, equal_nan=True)
    assert len(made.dump()) == len(new().dump())


def test_unknown_estimators_and_a_missing_river_are_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("os.system", "anomaly.NoSuch", "anomaly.QuantileFilter", "HalfSpaceTrees"):
        with pytest.raises(UnknownEstimator, match=r"estimator"):
            model(name, 1)
    for name in [each for each in sys.modules if each.split(".")[0] == "river"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "river", None)
    with pytest.raises(RiverMissing, match=r"millwright\[river\]"):
        model("anomaly.HalfSpaceTrees", 1)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MILLWRIGHT_RIVER_ESTIMATORS", "anomaly.HalfSpaceTrees, drift.ADWIN")
    settings_module.settings.cache_clear()
    yield
    settings_module.settings.cache_clear()


def test_it_runs_where_the_setting_names_estimators(asked: None) -> None:
    pytest.importorskip("river")
    made = river_adapter.create(asset_id=1, site_id=1, asset_class="pump", signals=SIGNALS)
    assert made is not None
    assert made.version == "1.anomaly.HalfSpaceTrees+drift.ADWIN"


def test_it_does_not_run_unasked() -> None:
    assert river_adapter.create(asset_id=1, site_id=1, asset_class="pump", signals=SIGNALS) is None
