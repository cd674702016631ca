"""Who is silent: one tag, a source, many at once; never because of us."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.faults import Elsewhere
from ingest.hearing import NEVER, Attention, Hearing, Key, Tag
from ingest.silence import End, Judge, Kind, Opened, Scope, Standing, Subject

SITE = 1
STEP_S = 0.2


class World:
    """Sources that send their tags every so many seconds, and a judge that looks every 0.2 s."""

    def __init__(self, periods: Mapping[str, Iterable[float | None]], *, assets_each: int = 1) -> None:
        self.hearing = Hearing()
        self.judge = Judge(self.hearing)
        self.tags: list[Tag] = []
        self.sends: dict[int, float] = {}
        for source, each in periods.items():
            for index, every in enumerate(each):
                signal_id = len(self.tags)
                self.tags.append(Tag(SITE, source, signal_id, index * assets_each, every))
                self.sends[signal_id] = every or 1.0
        self.hearing.plan(self.tags, {})
        self.newest = np.full(len(self.tags), NEVER)
        self.now = 0.0
        self.mute: set[int] = set()
        self.standing: dict[Subject, Standing] = {}
        self.opened: list[tuple[float, Opened]] = []
        self.ended: list[tuple[float, Subject, End]] = []
        self.lost: dict[Key, str] = {}
        self.hearing.hear(self.newest, [])

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.step()

    def step(self) -> None:
        before, self.now = self.now, round(self.now + STEP_S, 6)
        heard = set()
        for tag in self.tags:
            every = self.sends[tag.signal_id]
            if tag.signal_id not in self.mute and int(self.now / every + 1e-9) > int(before / every + 1e-9):
                self.newest[tag.signal_id] = int(self.now * 1e6)
                heard.add((SITE, tag.source))
        self.hearing.listened = self.now
        self.hearing.hear(self.newest, heard)
        verdict = self.judge.judge(self.standing, self.lost, recent={SITE: len(self.opened)})
        for subject, how in verdict.ended:
            self.standing.pop(subject)
            self.ended.append((self.now, subject, how))
            if subject.kind is not Kind.TAG:
                self.hearing.forgive([(SITE, tag.source) for tag in self.tags])
        for each in verdict.opened:
            covers = frozenset(each.detail.get("sources", ()))
            self.standing[each.subject] = Standing(self.hearing.listened, each.scope, covers)
            self.opened.append((self.now, each))

    def silence(self, *sources: str) -> None:
        self.mute |= {tag.signal_id for tag in self.tags if tag.source in sources}

    def subjects(self) -> list[Subject]:
        return [each.subject for _, each in self.opened]


def test_a_silent_source_is_said_within_two_of_its_intervals_and_over_when_it_is_back() -> None:
    world = World({"a": [1.0, 1.0], "b": [1.0]})
    world.run(20)
    assert world.opened == []
    world.silence("a")
    world.run(5)
    ((at, fault),) = world.opened
    assert fault.subject == Subject(Kind.SOURCE, SITE, "a") and fault.detail["tags"] == 2
    assert at - 20 <= 2.0 and fault.expected_s <= 1.2
    world.mute.clear()
    world.run(3)
    assert [(subject, how) for _, subject, how in world.ended] == [(fault.subject, End.HEARD)]
    assert len(world.opened) == 1


def test_a_silent_tag_of_a_living_source_is_said_of_the_tag() -> None:
    world = World({"a": [1.0, 1.0, 1.0], "b": [5.0]})
    world.run(20)
    world.mute = {1}
    world.run(3)
    ((at, fault),) = world.opened
    assert fault.subject == Subject(Kind.TAG, SITE, "a", 1) and at - 20 <= 2.0
    world.silence("a")
    world.run(3)
    assert world.subjects()[1:] == [Subject(Kind.SOURCE, SITE, "a")]
    assert (fault.subject, End.COVERED) in [(subject, how) for _, subject, how in world.ended]


def test_slow_and_fast_sources_each_have_their_own_patience() -> None:
    world = World({"fast": [1.0], "slow": [30.0]})
    world.run(120)
    world.silence("fast", "slow")
    world.run(70)
    found = {each.subject.source: at - 120 for at, each in world.opened}
    assert found["fast"] <= 2.0 and found["slow"] <= 60.0


def test_everyone_at_once_is_one_fault_and_those_that_stay_away_get_their_own() -> None:
    world = World({f"d{number}": [1.0] for number in range(30)})
    world.run(20)
    world.silence(*(f"d{number}" for number in range(30)))
    world.run(10)
    assert world.subjects() == [Subject(Kind.MANY, SITE)]
    assert world.opened[0][1].detail["count"] == 30
    world.mute = {3}
    world.run(6)
    assert [subject for _, subject, _ in world.ended] == [Subject(Kind.MANY, SITE)]
    assert world.subjects()[1:] == [Subject(Kind.SOURCE, SITE, "d3")]


def test_senders_that_send_at_the_same_moment_are_told_apart() -> None:
    """One of three dies while the two others are late for once: that is one source, not everybody."""
    world = World({"a": [1.0], "b": [1.0], "c": [1.0]})
    world.run(20)
    world.silence("a")
    world.run(1.0)
    for signal_id in (1, 2):
        world.sends[signal_id] = 1.4  # late for once
    world.run(1.4)
    for signal_id in (1, 2):
        world.sends[signal_id] = 1.0
    world.run(5)
    assert world.subjects() == [Subject(Kind.SOURCE, SITE, "a")]


def test_the_only_fast_one_among_slow_ones_is_one_source() -> None:
    world = World({"fast": [1.0], "s1": [60.0], "s2": [60.0], "s3": [60.0]})
    world.run(300)
    world.silence("fast")
    world.run(20)
    assert world.subjects() == [Subject(Kind.SOURCE, SITE, "fast")]


def test_a_flood_of_single_sources_ends_in_one_fault() -> None:
    world = World({f"d{number}": [1.0] for number in range(40)})
    world.run(20)
    for number in range(12):
        world.silence(f"d{number}")
        world.run(0.6)
    world.run(5)
    kinds = [each.kind for each in world.subjects()]
    assert kinds.count(Kind.SOURCE) <= 5 and Kind.MANY in kinds
    said = {each.source for each in world.subjects()} | set(world.opened[-1][1].detail["sources"])
    assert said >= {f"d{number}" for number in range(12)}


def test_many_tags_of_a_living_gateway_are_one_fault() -> None:
    world = World({"gw": [1.0] * 10, "b": [1.0]}, assets_each=1)
    world.run(20)
    world.mute = set(range(2, 10))
    world.run(3)
    ((_, fault),) = world.opened
    assert (fault.subject, fault.scope) == (Subject(Kind.SOURCE, SITE, "gw"), Scope.PART)
    world.mute.clear()
    world.run(3)
    assert [how for _, _, how in world.ended] == [End.HEARD]


def test_a_tag_that_comes_when_it_changes_is_never_silent_and_a_lost_connection_is() -> None:
    world = World({"plc": [None], "b": [1.0]})
    world.run(20)
    world.silence("plc")
    world.run(100)
    assert world.opened == []
    world.lost = {(SITE, "plc"): "connection refused"}
    world.run(1)
    assert world.subjects() == [Subject(Kind.SOURCE, SITE, "plc")]
    assert world.opened[0][1].detail["why"] == "connection refused"
    world.lost, world.mute = {}, set()
    world.run(3)
    assert [how for _, _, how in world.ended] == [End.HEARD]


def test_one_that_never_sent_or_whose_pace_nobody_knows_is_left_alone() -> None:
    world = World({"new": [1.0], "b": [1.0]})
    world.silence("new")
    world.run(60)
    world.mute.clear()
    world.run(1.0)  # one sample, perhaps of a tag that comes every five minutes
    world.silence("new")
    world.run(300)
    assert world.opened == []


def test_a_slower_sender_than_its_signal_says_is_learnt_and_kept() -> None:
    world = World({"a": [1.0], "b": [1.0]})
    world.sends[0] = 20.0
    world.run(200)
    assert world.opened == []
    again = World({"a": [1.0], "b": [1.0]})
    again.sends[0] = 20.0
    again.newest[0] = 1
    again.hearing.plan(again.tags, world.hearing.paces())
    again.run(100)
    assert again.opened == []


def test_after_a_restart_one_that_was_silent_already_is_found_and_what_stands_is_not_said_again() -> None:
    world = World({"a": [1.0], "b": [1.0]})
    world.newest[:] = 5
    world.hearing = Hearing()
    world.judge = Judge(world.hearing)
    world.hearing.plan(world.tags, {0: 1.0, 1: 1.0})
    world.hearing.hear(world.newest, [])
    world.silence("a")
    world.run(3)
    assert world.subjects() == [Subject(Kind.SOURCE, SITE, "a")]
    world.run(10)
    assert len(world.opened) == 1


def test_an_unbound_source_is_forgotten() -> None:
    world = World({"a": [1.0], "b": [1.0]})
    world.run(10)
    world.silence("a")
    world.run(3)
    world.hearing.plan([tag for tag in world.tags if tag.source != "a"], {})
    world.run(0.4)
    assert [how for _, _, how in world.ended] == [End.FORGOTTEN]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([1.0, 2.0, 5.0]), min_size=1, max_size=6), st.integers(0, 5))
def test_whoever_is_silent_is_said_in_time_and_nobody_else(periods: list[float], which: int) -> None:
    which %= len(periods)
    world = World({f"s{index}": [period] for index, period in enumerate(periods)})
    world.run(40)
    assert world.opened == []
    world.silence(f"s{which}")
    began = world.now
    world.run(3 * periods[which])
    quiet = [each for at, each in world.opened if at - began <= 2.0 * periods[which] + STEP_S]
    assert quiet, world.opened
    named = {each.subject.source for each in quiet} | {s for each in quiet for s in each.detail.get("sources", ())}
    assert f"s{which}" in named
    if len(periods) < 3:
        assert named == {f"s{which}"}


def test_our_own_absence_is_not_listened_time() -> None:
    attention = Attention(settle_s=1.0, longest_s=1.0)
    assert attention.turn(0.0, hears=True) == 0
    assert attention.turn(0.5, hears=True) == 0
    assert attention.turn(1.2, hears=True) == 0.7
    assert attention.turn(1.4, hears=False) == 0
    assert attention.turn(2.0, hears=True) == 0
    assert attention.turn(2.9, hears=True) == 0
    assert attention.turn(3.5, hears=True) > 0
    assert attention.turn(60.0, hears=True) == 0  # we were stopped ourselves


def test_what_other_processes_heard_counts_once() -> None:
    others = Elsewhere()
    own = np.array([5, NEVER], np.int64)
    assert others.onto(own.copy()).tolist() == own.tolist() and others.take() == set()
    others.ids, others.at_us = np.array([0, 3]), np.array([4, 9])
    others.sources = {(SITE, "a"): datetime(2026, 1, 1, tzinfo=UTC)}
    assert others.onto(own.copy()).tolist() == [5, NEVER, NEVER, 9]
    assert others.take() == {(SITE, "a")}
    others.sources = dict(others.sources)
    assert others.take() == set()
