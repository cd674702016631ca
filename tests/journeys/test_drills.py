"""The drills at smoke size: kills, power cuts, freezes; each beside a control that must fail."""

from __future__ import annotations

import shutil

import pytest

from benchmarks.drills import burst, disk, freeze, poison, powercut, restore, schema, telemetry
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


def test_poison_is_told_and_delays_no_good_message() -> None:
    found = poison.run(1, SEED)
    assert (found["good_lost"], found["bad_untold"], found["ingest_failed"]) == (0, 0, 0)
    assert found["next_good_s.max"] <= 1.0


def test_a_sender_that_changes_its_mind_loses_nothing() -> None:
    found = schema.run(3, SEED)
    assert (found["untold"], found["steps_wrong"], found["wrong_values"]) == (0, 0, 0)


def test_a_burst_is_held_in_bounded_memory_and_counted() -> None:
    found = burst.run(5.0, SEED)
    assert (found["uncounted"], found["unalarmed"]) == (0, 0)
    assert found["growth_mb.ingest"] < 150


def test_a_database_comes_back_to_a_moment_and_from_the_base_backup_alone_it_does_not() -> None:
    found = restore.run(5, 0.5)
    assert (found["lost_before_point"], found["found_after_point"]) == (0, 0)
    assert found["control_lost"]
