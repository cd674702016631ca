"""Alarm rules: parsing, units, timers, groups, memory; a slow reference says what the compiled loop must."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.base import Finding, FindingKind, Frame
from detectors.classic.engine import Classic
from detectors.classic.errors import BadAlarmRule
from detectors.classic.model import AlarmRule, InForce, check_units, parse, plain, read_text, text_of
from maintenance import sentences
from plant.model import Asset, Floats, Role, Signal

MINUTE_US = 60_000_000
ASSET = Asset(1, 1, None, "P-1", "Pump", "pump", 3, "", "unit")
SIGNALS = [
    Signal(1, 1, 1, "temp", "Bearing", "temperature", "°C", None, None, 60.0, Role.MEASURED),
    Signal(2, 1, 1, "flow", "Flow", "flow", "m3/h", None, None, 60.0, Role.MEASURED),
    Signal(3, 1, 1, "state", "State", "state", "", None, None, 60.0, Role.STATE),
]


def rule(*conditions: dict[str, Any], **more: Any) -> AlarmRule:
    return parse({"code": "hot", "name": "Hot bearing", "all": list(conditions), **more})


def high(limit: float = 80.0, for_s: float = 0.0, **more: Any) -> dict[str, Any]:
    return {"kind": "high", "signal": "temp", "unit": "°C", "limit": limit, "for_s": for_s, **more}


def frame(
    temp: Sequence[float] | Floats, flow: float | Sequence[float] = 10.0, state: int = 1, start: int = 1
) -> Frame:
    n = len(temp)
    values = np.column_stack([np.asarray(temp, float), np.full(n, 0.0) + flow, np.full(n, float(state))])
    at_us = (np.arange(n, dtype=np.int64) + start) * MINUTE_US
    return Frame(1, SIGNALS, at_us, values, np.zeros(values.shape, np.bool_), np.full(n, state, np.int16))


def engine(*rules: AlarmRule, from_us: int = 0, until_us: int | None = None) -> Classic:
    made = Classic(ASSET, SIGNALS)
    made.take([InForce(i, 1, each, from_us, until_us) for i, each in enumerate(rules, 1)])
    return made


def told(findings: Sequence[Finding]) -> list[tuple[int, bool]]:
    """(minute, active) of each finding that begins or ends."""
    turns, active = [], False
    for each in findings:
        if each.active != active:
            turns.append((round(each.at.timestamp() / 60), each.active))
            active = each.active
    return turns


def test_a_limit_with_its_dead_band_begins_and_ends() -> None:
    said = engine(rule(high(dead_band=5))).update(frame([79, 81, 79, 76, 75, 74, 81])).findings
    assert told(said) == [(2, True), (5, False), (7, True)]


def test_a_low_limit_looks_down() -> None:
    said = engine(rule(high(10) | {"kind": "low", "dead_band": 2})).update(frame([11, 9, 11, 12.5])).findings
    assert told(said) == [(2, True), (4, False)]
    assert said[0].directions == {1: -1}
    assert said[0].sentence.values["value"] == 9.0


def test_a_duration_is_waited_for_and_begins_anew() -> None:
    said = engine(rule(high(for_s=180))).update(frame([81, 81, 81, 70, 81, 81, 81, 81, 81])).findings
    assert told(said) == [(8, True)]


def test_the_closer_to_the_limit_the_shorter_the_wait() -> None:
    steps = [{"limit": 80, "for_s": 600}, {"limit": 90, "for_s": 120}, {"limit": 100, "for_s": 0}]
    stepped = rule({"kind": "high", "signal": "temp", "unit": "°C", "steps": steps})
    for level, minute in ((85, 11), (95, 3), (101, 1)):
        assert told(engine(stepped).update(frame([level] * 12)).findings) == [(minute, True)]


def test_a_rate_is_a_change_within_its_time() -> None:
    rise = rule({"kind": "rise", "signal": "temp", "unit": "°C", "limit": 5, "over_s": 600})
    slow, fast = (
        np.linspace(20, 40, 61),
        np.concatenate([np.full(20, 20.0), np.linspace(20, 40, 10), np.full(30, 40.0)]),
    )
    assert told(engine(rise).update(frame(slow)).findings) == []
    turns = told(engine(rise).update(frame(fast)).findings)
    assert [active for _, active in turns] == [True, False]
    assert 21 <= turns[0][0] <= 24


def test_missing_data_are_a_sensor_s_fault() -> None:
    missing = rule({"kind": "missing", "signal": "temp", "for_s": 300}, about="sensor")
    said = engine(missing).update(frame([20, *[np.nan] * 8, 20])).findings
    assert told(said) == [(6, True), (10, False)]
    assert said[0].kind is FindingKind.SENSOR
    assert said[0].failure_mode == "silent"


def test_any_of_groups_each_all_of_its_conditions() -> None:
    low_flow = {"kind": "low", "signal": "flow", "unit": "m3/h", "limit": 5}
    both = rule(high(), low_flow)
    either = parse({"code": "hot", "name": "Hot", "any": [{"all": [high()]}, {"all": [low_flow]}]})
    for temp, flow, wanted in ((81, 10, (0, 1)), (20, 4, (0, 1)), (81, 4, (1, 1)), (20, 10, (0, 0))):
        assert tuple(len(told(engine(each).update(frame([temp], flow)).findings)) for each in (both, either)) == wanted
    said = engine(both).update(frame([81], 4)).findings[0]
    assert said.contributions == {1: 0.5, 2: 0.5}


def test_what_is_missing_neither_begins_nor_ends() -> None:
    said = engine(rule(high(for_s=120))).update(frame([81, np.nan, 81, 81, np.nan, np.nan, 70])).findings
    assert told(said) == [(3, True), (7, False)]


def test_nothing_is_judged_while_it_stands_still_if_so_declared() -> None:
    running = rule(high(), while_running=True)
    assert told(engine(running).update(frame([81, 81], state=0)).findings) == []
    assert told(engine(rule(high())).update(frame([81, 81], state=0)).findings) == [(1, True)]


def test_a_version_judges_its_own_time_only() -> None:
    judged = engine(rule(high()), from_us=3 * MINUTE_US, until_us=6 * MINUTE_US).update(frame([81] * 9))
    assert told(judged.findings) == [(3, True), (6, False)]


def test_a_rule_that_stays_keeps_its_timers_when_others_come() -> None:
    first, second = InForce(1, 1, rule(high(for_s=180)), 0, None), InForce(2, 1, rule(high(60), code="warm"), 0, None)
    made = Classic(ASSET, SIGNALS)
    made.take([first])
    made.update(frame([81, 81]))
    made.take([first, second])
    said = made.update(frame([81, 81], start=3)).findings
    assert [(each.detector, round(each.at.timestamp() / 60)) for each in said] == [("rule:warm", 3), ("rule:hot", 4)]


def test_a_repair_ends_what_lasts() -> None:
    made = engine(rule(high(for_s=120)))
    made.update(frame([81] * 4))
    made.relearn(5 * MINUTE_US)
    assert told([*made.update(frame([81], start=6)).findings]) == []
    assert [each.active for each in made.update(frame([81] * 3, start=7)).findings] == [True]


def test_units_are_converted_levels_with_their_offset_and_differences_without() -> None:
    warm = rule(high(176, unit="°F", dead_band=9))
    assert told(engine(warm).update(frame([79.9, 80.1, 75.5, 74.9])).findings) == [(2, True), (4, False)]
    with pytest.raises(BadAlarmRule, match="temperature"):
        check_units(rule(high(unit="bar")), SIGNALS)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"code": "a", "name": "A"}, "any"),
        ({"code": "A b", "name": "A", "all": [high()]}, "code"),
        ({"code": "a", "name": "A", "all": [high() | {"kind": "warm"}]}, "kind"),
        ({"code": "a", "name": "A", "all": [{"kind": "rise", "signal": "temp", "unit": "°C", "limit": 5}]}, "over_s"),
        ({"code": "a", "name": "A", "all": [{"kind": "missing", "signal": "temp", "for_s": 60}]}, "sensor"),
        ({"code": "a", "name": "A", "all": [{"kind": "high", "signal": "temp", "unit": "°C", "steps": [
            {"limit": 80, "for_s": 60}, {"limit": 90, "for_s": 60}]}]}, "shorter"),
        ([1, 2], "object"),
    ],
)  # fmt: skip
def test_what_does_not_hold_together_is_refused_with_a_reason(document: Any, said: str) -> None:
    with pytest.raises(BadAlarmRule, match=said):
        parse(document)


def test_text_and_data_say_the_same() -> None:
    made = parse({
        "code": "hot", "name": '热"轴承"', "asset_class": "pump", "advice": "look at the oil\nfirst", "severity": 1,
        "any": [{"all": [high(for_s=60, dead_band=2.5)]}, {"all": [{"kind": "low", "signal": "flow", "unit": "l/min",
            "steps": [{"limit": 9, "for_s": 60}, {"limit": 3}]}]}],
    })  # fmt: skip
    assert read_text(text_of(made)) == made
    assert parse(plain(made)) == made
    with pytest.raises(BadAlarmRule, match="TOML"):
        read_text("code = ")


def test_every_sentence_is_said_in_both_languages_with_what_to_check() -> None:
    said = engine(rule(high(), advice="Look at the oil.")).update(frame([81.5])).findings[0].sentence
    words = sentences.say(said.key, said.values)
    assert words["en"] == "Hot bearing: Bearing reads 81.5 °C, above 80 °C; it has lasted 0 h. Look at the oil."
    assert "高于 80 °C" in words["zh"]


def _slow(values: Floats, limit: float, band: float, wait: int) -> list[tuple[int, bool]]:
    """The plainest way to say it: one row a minute, nothing missing."""
    turns, on, since, active = [], False, 0, False
    for minute, value in enumerate(values, 1):
        if not on and value > limit:
            on, since = True, minute
        elif on and value <= limit - band:
            on = False
        holds = on and minute - since >= wait
        if holds != active:
            turns.append((minute, holds))
        active = holds
    return turns


floats = st.floats(allow_nan=True, allow_infinity=True, width=64)


@given(st.lists(st.integers(0, 20), max_size=60), st.integers(0, 5), st.integers(0, 4), st.integers(1, 59))
@settings(max_examples=60, deadline=None)
def test_it_agrees_with_the_plainest_way_however_it_is_cut(values: list[int], band: int, wait: int, cut: int) -> None:
    made = rule(high(10, wait * 60.0, dead_band=band))
    whole = engine(made).update(frame(values)).findings if values else []
    assert told(whole) == _slow(np.array(values, float), 10, band, wait)
    parts = engine(made)
    first = parts.update(frame(values[:cut])).findings
    resumed = engine(made)
    resumed.load(parts.dump())
    assert [*first, *resumed.update(frame(values[cut:], start=cut + 1)).findings] == list(whole)


@given(st.lists(floats, min_size=1, max_size=20), st.integers(0, 2**24))
@settings(max_examples=60, deadline=None)
def test_it_never_raises_whatever_comes(values: list[float], jump: int) -> None:
    kinds = ("high", "low", "rise", "fall", "change")
    conditions = [{"kind": kind, "signal": "temp", "unit": "°C", "limit": 5, "over_s": 600} for kind in kinds]
    any_of = parse({"code": "a", "name": "A", "any": [{"all": [each]} for each in conditions]})
    made = engine(any_of)
    for start in (1, 5, 5 + jump):
        for each in made.update(frame(values, start=start)).findings:
            assert sum(each.contributions.values()) == pytest.approx(1.0)
    assert len(made.dump()) <= len(engine(any_of).dump()) + 64
