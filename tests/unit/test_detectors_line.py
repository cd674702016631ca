"""One asset's line: cuts, snapshots, replay, requests."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.base import Finding, FindingKind
from detectors.findings import moment
from detectors.line import Action, Line, Request
from plant.model import Asset, Quality, SampleBatch
from tests.detector_machines import COLUMN, DAY_ROWS, MINUTE_US, SIGNALS, START_US, Life, live

ASSET = Asset(1, 1, None, "P-101", "Pump", "pump", 3, "", "unit")
DAY_US = DAY_ROWS * MINUTE_US


@pytest.fixture(scope="module")
def life() -> Life:
    made = live(7, 7, mode="cavitation", onset_day=4.0, wear_days=2.5)
    values = made.values.copy()
    values[3_000:3_400, COLUMN["bearing_temp"]] = values[3_000, COLUMN["bearing_temp"]]
    values[5_000:5_300] = np.nan
    return made.with_values(values)


def samples(life: Life, after_us: int, until_us: int) -> SampleBatch:
    rows, columns = np.nonzero(np.isfinite(life.values) & ((life.at_us > after_us) & (life.at_us <= until_us))[:, None])
    return SampleBatch(
        (columns + 1).astype(np.int32), life.at_us[rows], life.values[rows, columns], np.zeros(len(rows), np.uint8)
    )


def new_line(*, muted_us: int = 0) -> Line:
    return Line(ASSET, SIGNALS, position_us=START_US, muted_us=muted_us)


def run(
    line: Line, life: Life, until_us: int, *, stride_us: int = DAY_US, requests: tuple[Request, ...] = ()
) -> list[Finding]:
    said: list[Finding] = []
    while line.position_us < until_us:
        end = min(line.position_us + stride_us, until_us)
        todo = [request for request in requests if request.at_us > line.position_us]
        said += line.advance(samples(life, line.position_us, end), todo, until_us=end).findings
    return said


END_US = START_US + 7 * DAY_US


def test_strides_do_not_matter(life: Life) -> None:
    whole, cut = new_line(), new_line()
    assert run(whole, life, END_US) == run(cut, life, END_US, stride_us=97 * MINUTE_US + 13)
    assert whole.dump() == cut.dump()


@pytest.mark.parametrize("snapshot_day", [0.5, 3.1, 6.2])
@pytest.mark.parametrize("behind_h", [0, 5])
def test_a_resumed_line_says_the_rest_and_nothing_twice(life: Life, snapshot_day: float, behind_h: int) -> None:
    """``behind_h``: hours judged and said after the snapshot, before the crash."""
    straight = new_line()
    everything = run(straight, life, END_US)
    first = new_line()
    snapshot_us = START_US + int(snapshot_day * DAY_US)
    crashed_us = snapshot_us + behind_h * 60 * MINUTE_US
    said = run(first, life, snapshot_us)
    state = first.dump()
    said += run(first, life, crashed_us)

    resumed = Line(ASSET, SIGNALS, position_us=first.position_us - behind_h * 60 * MINUTE_US, muted_us=crashed_us)
    resumed.load(state)
    said += run(resumed, life, END_US)
    assert said == everything
    assert resumed.dump() == straight.dump()


def test_rows_without_any_sample_are_left_out(life: Life) -> None:
    line = new_line()
    said = line.advance(samples(life, START_US, END_US), [], until_us=END_US)
    assert said.rows == 7 * DAY_ROWS - 300 + 1  # values stand for two rows


def test_a_long_hole_is_crossed_at_once(life: Life) -> None:
    line = new_line()
    line.advance(samples(life, START_US, START_US + DAY_US), [], until_us=START_US + DAY_US)
    line.skip_to(END_US)
    assert line.position_us == START_US + DAY_US  # values still stand
    line.advance(samples(life, END_US, END_US), [], until_us=START_US + 2 * DAY_US)
    line.skip_to(END_US)
    assert line.position_us == END_US - MINUTE_US


def test_an_intervention_is_carried_out_between_two_rows(life: Life) -> None:
    worked_us = START_US + int(6.2 * DAY_US) + 17
    request = Request(5, Action.INTERVENTION, worked_us, done=False)
    line = new_line()
    said = line.advance(samples(life, START_US, END_US), [request], until_us=END_US)
    assert list(said.carried_out) == [5]
    machine = [each for each in said.findings if each.kind is FindingKind.MACHINE and each.detector == "chain"]
    ended = next(finding for finding in machine if not finding.active)
    assert ended.at == moment(worked_us)
    assert all(f.started_at >= ended.at for f in machine[machine.index(ended) + 1 :])


def test_a_late_request_is_carried_out_at_once_and_said(life: Life) -> None:
    line = new_line()
    run(line, life, END_US)
    request = Request(6, Action.INTERVENTION, END_US - 5 * MINUTE_US, done=False)
    said = line.advance(samples(life, END_US, END_US), [request], until_us=END_US)
    assert list(said.carried_out) == [6]
    assert said.findings
    assert not any(finding.active for finding in said.findings)
    assert len({finding.detector for finding in said.findings}) == len(said.findings)


def test_a_request_of_the_future_waits(life: Life) -> None:
    line = new_line()
    request = Request(7, Action.RELEARN, END_US + 1, done=False)
    assert not line.advance(samples(life, START_US, END_US), [request], until_us=END_US).carried_out


def test_bad_samples_do_not_stand(life: Life) -> None:
    line = new_line()
    bad = SampleBatch(
        np.array([4], np.int32), np.array([START_US + 1]), np.array([1e9]), np.array([Quality.BAD], np.uint8)
    )
    line.advance(bad, [], until_us=START_US + MINUTE_US)
    fresh = new_line()
    fresh.advance(bad, [], until_us=START_US + MINUTE_US)
    assert not line._standing[0].any()


def test_a_state_of_other_signals_does_not_fit(life: Life) -> None:
    other = Line(ASSET, SIGNALS[:6], position_us=START_US, muted_us=0)
    assert other.version != new_line().version
    with pytest.raises(ValueError, match="shape"):
        new_line().load(other.dump())
