"""The drills at smoke size: kills, power cuts, freezes; each beside a control that must fail."""

from __future__ import annotations

import shutil

import pytest

from benchmarks.drills import disk, freeze, powercut, telemetry
from benchmarks.drills.parts import Build
from tests.conftest import missing

KILLS, SAMPLES, SEED = 20, 5_000, 3
CUTS = 2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def _mosquitto() -> None:
    if not (shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")):
        missing("mosquitto", "Install it: apt-get install mosquitto")


def test_kill_9_of_every_part_loses_doubles_and_alters_nothing() -> None:
    found = telemetry.run(KILLS, SAMPLES, SEED, outage_s=4.0)
    assert found.verdict.samples >= SAMPLES
    assert (found.verdict.lost, found.verdict.doubled, found.verdict.altered) == (0, 0, 0)
    assert found.drain_ratio is not None
    assert found.drain_ratio >= 2


def test_a_gateway_that_trusts_the_broker_loses() -> None:
    assert telemetry.run(telemetry.CONTROL_KILLS[0], 500, SEED, build=Build.ACKED).verdict.lost > 0


@pytest.mark.skipif(disk.why_not() is not None, reason=str(disk.why_not()))
def test_power_cuts_lose_nothing_and_lazy_builds_lose() -> None:
    found = powercut.run(CUTS, SEED)
    assert (found.verdict.lost, found.verdict.doubled, found.verdict.altered) == (0, 0, 0)
    assert found.spool.lost > 0
    assert found.database.lost > 0


def test_what_is_frozen_or_swallowed_comes_back() -> None:
    found = freeze.run(4.0, SEED)
    assert (found["lost"], found["doubled"], found["altered"]) == (0, 0, 0)
