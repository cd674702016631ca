"""Verdicts make the diagnosis better on cases it has not seen, and wrong ones do little harm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance import learning, library
from maintenance.diagnose import diagnose
from maintenance.learning import Case, Learnt, tally
from maintenance.model import UNKNOWN, Candidate, Deviation, Mode
from plant.model import Floats, Role, Signal

CODES = {
    "pump": [
        ("flow", "flow"), ("pressure", "pressure"), ("suction_x", "pressure"), ("current", "current"),
        ("vibration", "vibration_velocity"), ("axial", "vibration_velocity"), ("bearing_temp", "temperature"),
        ("coupling_temp", "temperature"), ("ambient_noise", "vibration_acceleration"),
    ],
    "motor": [
        ("envelope", "acceleration_envelope"), ("kurtosis", "ratio_1"), ("crest", "ratio_1"),
        ("vibration", "vibration_velocity"), ("winding", "temperature"), ("bearing", "temperature"),
        ("current", "current"), ("torque", "torque"), ("slip", "ratio"), ("voltage", "voltage"),
    ],
}  # fmt: skip
Seen = dict[int, Deviation]


class Plant:
    """Machines of a class whose faults show a little otherwise than the library says, some of them far oftener."""

    def __init__(self, asset_class: str, seed: int, *, otherwise: float, skewed: float) -> None:
        self.rng = np.random.default_rng(seed)
        self.modes = library.modes(asset_class)
        self.signals = [
            Signal(n, 1, 1, code, code, quantity, "", None, None, 60, Role.MEASURED)
            for n, (code, quantity) in enumerate(CODES[asset_class])
        ]
        named = [mode for mode in self.modes if mode.code != UNKNOWN]
        self.truth = {mode.code: self._signature(mode, otherwise) for mode in named}
        self.share = self.rng.dirichlet(np.full(len(named), skewed))

    def _signature(self, mode: Mode, otherwise: float) -> Floats:
        vector = np.zeros(len(self.signals))
        for symptom in mode.symptoms:
            for signal in self.signals:
                if symptom.quantity == signal.quantity and set(symptom.words) & set(signal.code.split("_")):
                    vector[signal.signal_id] += symptom.weight * (symptom.direction or 1)
        vector += otherwise * np.linalg.norm(vector) * self.rng.normal(size=len(vector)) / np.sqrt(len(vector))
        return vector / np.linalg.norm(vector)

    def case(self) -> tuple[str, Seen]:
        mode = list(self.truth)[int(self.rng.choice(len(self.truth), p=self.share))]
        return mode, self.showing(self.truth[mode])

    def novel(self) -> Seen:
        """A pattern that is far from every known one."""
        known = np.array(list(self.truth.values()))
        drawn = self.rng.normal(size=(200, len(self.signals)))
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        return self.showing(drawn[int(np.argmin((drawn @ known.T).max(axis=1)))])

    def showing(self, direction: Floats) -> Seen:
        vector = direction + 0.35 * self.rng.normal(size=len(direction)) / np.sqrt(len(direction))
        shares = np.abs(vector) / np.abs(vector).sum()
        return {
            n: Deviation(float(share), 1 if vector[n] > 0 else -1) for n, share in enumerate(shares) if share > 0.02
        }

    def history(self, count: int, *, wrong: float) -> Learnt:
        cases = []
        for number in range(count):
            mode, seen = self.case()
            if self.rng.random() < wrong:
                mode = str(self.rng.choice(list(self.truth)))
            cases.append(Case(number % 4, mode, learning.profile(seen, self.signals, self.modes)))
        return tally(cases, asset_id=0)

    def top1(self, learnt: Learnt | None, cases: Sequence[tuple[str, Seen]]) -> float:
        return float(np.mean([self.say(learnt, seen)[0].mode == mode for mode, seen in cases]))

    def say(self, learnt: Learnt | None, seen: Seen) -> tuple[Candidate, ...]:
        if learnt is None:
            return diagnose(seen, self.signals, self.modes)
        prior = learning.priors(self.modes, learnt)
        return diagnose(seen, self.signals, learning.signatures(self.modes, learnt), prior=prior)


def scores(
    asset_class: str, seed: int, *, count: int, wrong: float, otherwise: float, skewed: float
) -> tuple[float, float]:
    plant = Plant(asset_class, seed, otherwise=otherwise, skewed=skewed)
    learnt = plant.history(count, wrong=wrong)
    held_out = [plant.case() for _ in range(80)]
    return plant.top1(None, held_out), plant.top1(learnt, held_out)


@pytest.mark.parametrize("asset_class", CODES)
def test_verdicts_make_the_first_guess_better_on_cases_held_out(asset_class: str) -> None:
    pairs = [scores(asset_class, seed, count=60, wrong=0.0, otherwise=0.9, skewed=0.7) for seed in range(100, 103)]
    static, taught = (float(np.mean(column)) for column in zip(*pairs, strict=True))
    assert taught >= static + 0.05


@pytest.mark.parametrize("count", [5, 40])
def test_wrong_verdicts_do_little_harm(count: int) -> None:
    """A tenth of the verdicts name a mode at random; half of the plants are just as the library says."""
    pairs = [
        scores(asset_class, seed, count=count, wrong=0.1, otherwise=otherwise, skewed=5.0)
        for seed in range(100, 103)
        for asset_class in CODES
        for otherwise in (0.0, 0.5)
    ]
    static, taught = (float(np.mean(column)) for column in zip(*pairs, strict=True))
    assert taught >= static - 0.02
    assert all(after >= before - 0.10 for before, after in pairs)


def test_a_new_pattern_stays_unknown_after_any_history() -> None:
    chances: dict[str, list[float]] = {"static": [], "taught": [], "known": []}
    for seed in range(100, 103):
        plant = Plant("pump", seed, otherwise=0.5, skewed=0.7)
        learnt = plant.history(80, wrong=0.1)
        for _ in range(20):
            novel = plant.novel()
            chances["static"].append(_unknown(plant.say(None, novel)))
            chances["taught"].append(_unknown(plant.say(learnt, novel)))
            chances["known"].append(_unknown(plant.say(learnt, plant.case()[1])))
    assert np.mean(chances["taught"]) >= 0.5 > 0.3 >= np.mean(chances["known"])
    assert np.mean(chances["taught"]) >= np.mean(chances["static"]) - 0.1


def test_named_unknown_by_people_it_is_expected_more() -> None:
    modes = library.modes("pump")
    learnt = tally([Case(1, UNKNOWN, {})] * 30)
    assert learning.priors(modes, learnt)[UNKNOWN] > 2 * learning.priors(modes, Learnt())[UNKNOWN]


def test_without_verdicts_nothing_is_other_than_the_library() -> None:
    plant = Plant("pump", 1, otherwise=0.5, skewed=1.0)
    for _ in range(20):
        seen = plant.case()[1]
        assert [each.mode for each in plant.say(None, seen)] == [each.mode for each in plant.say(Learnt(), seen)]


def test_a_machines_own_history_counts_more_than_its_class() -> None:
    modes = library.modes("pump")
    cases = [Case(2, "seal_leak", {})] * 10 + [Case(1, "cavitation", {})] * 4
    here, elsewhere = (learning.priors(modes, tally(cases, asset_id=asset_id)) for asset_id in (1, 3))
    assert here["cavitation"] > elsewhere["cavitation"] and elsewhere["seal_leak"] > elsewhere["cavitation"]


def test_a_signal_that_the_library_does_not_name_is_learnt() -> None:
    modes = library.modes("pump")
    seen = tally([Case(1, "seal_leak", {"humidity:pit": 1.0})] * 40)
    taught = next(mode for mode in learning.signatures(modes, seen) if mode.code == "seal_leak")
    assert max(taught.symptoms, key=lambda each: each.weight).quantity == "humidity"
    assert library.mode("pump", "seal_leak").symptoms[0].quantity == "flow"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([mode.code for mode in library.modes("motor")]),
            st.dictionaries(
                st.sampled_from(["flow:flow", "current:current", "torque:x"]), st.floats(-1, 1), max_size=3
            ),
        ),
        max_size=12,
    )
)
def test_priors_and_probabilities_are_shares_whatever_was_judged(drawn: list[tuple[str, dict[str, float]]]) -> None:
    modes = library.modes("motor")
    learnt = tally([Case(1, mode, profile) for mode, profile in drawn], asset_id=1)
    prior = learning.priors(modes, learnt)
    assert sum(prior.values()) == pytest.approx(1) and min(prior.values()) > 0
    signal = Signal(1, 1, 1, "current", "", "current", "A", None, None, 60, Role.MEASURED)
    found = diagnose({1: Deviation(1.0, 1)}, [signal], learning.signatures(modes, learnt), prior=prior)
    assert sum(each.probability for each in found) == pytest.approx(1)
    weights = {each.mode: each.prior * each.likelihood for each in found}
    total = sum(weights.values())
    assert all(each.probability == pytest.approx(weights[each.mode] / total, abs=1e-4) for each in found)


def _unknown(found: tuple[Candidate, ...]) -> float:
    return next(each.probability for each in found if each.mode == UNKNOWN)
