"""A host's view of an edge node: scenes from the standard, and any channel that loses, doubles and overtakes."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.codecs import sparkplug as codec
from edge.codecs.sparkplug import DataType, Metric, Payload
from edge.reasons import Reason
from edge.sparkplug import topics
from edge.sparkplug.host import Ask, Event, Host, Whose
from edge.sparkplug.memory import Memory
from edge.sparkplug.outcomes import Born, Keep, Learnt, Life, Limits, Mark, Missed, Told
from edge.sparkplug.rebirths import MOST_VAIN, Bucket, Wish
from edge.sparkplug.topics import Topic, Verb
from plant.model import Quality, Reading

LIMITS = Limits(reorder_s=2.0, hold_s=15.0, doubt_s=10.0)
REBIRTH_S = 5.0
WHOSE = Whose("plant", "n1")


@dataclass
class World:
    """A host and one node whose messages are made by hand; the clock is ours."""

    host: Host = field(default_factory=lambda: Host(LIMITS, rebirth_s=REBIRTH_S))
    now_s: float = 100.0
    events: list[Event] = field(default_factory=list)
    all: list[Event] = field(default_factory=list)
    acked: int = 0

    def hear(
        self, verb: Verb, metrics: Sequence[Metric] = (), *, seq: int | None, device: str | None = None
    ) -> list[Event]:
        self.now_s += 0.01
        payload = Payload(round(self.now_s * 1000) * 1000, seq, tuple(metrics))
        return self.raw(Topic("plant", verb, "n1", device), codec.encode(payload))

    def raw(self, topic: Topic, payload: bytes) -> list[Event]:
        found = self.host.hear(topic, payload, heard_us=self.us, now_s=self.now_s, ack=self._ack)
        return self._note([event for _, event in found])

    def wait(self, seconds: float) -> list[Event]:
        found: list[Event] = []
        until = self.now_s + seconds
        while self.now_s < until:
            self.now_s += 0.1
            found += [event for _, event in self.host.tick(self.now_s, self.us)]
        return self._note(found)

    @property
    def us(self) -> int:
        return round(self.now_s * 1e6)

    @property
    def life(self) -> Life:
        return self.host._nodes[WHOSE].session.life

    @property
    def expected(self) -> int:
        session = self.host._nodes[WHOSE].session._session
        return -1 if session is None else session.next_seq

    def _ack(self) -> None:
        self.acked += 1

    def _note(self, found: list[Event]) -> list[Event]:
        self.events += found
        self.all += found
        return found


def bd(number: int) -> Metric:
    return codec.metric("bdSeq", DataType.INT64, number)


def born(name: str, alias: int, value: float = 0.0, unit: str = "") -> Metric:
    return codec.metric(name, DataType.DOUBLE, value, alias=alias, properties={"engUnit": unit} if unit else None)


def told(alias: int, value: float) -> Metric:
    return Metric(alias=alias, field="double_value", value=value)


def readings(events: Sequence[Event]) -> list[Reading]:
    return [
        r for each in events if isinstance(each, Keep | Mark) for message in each.messages for r in message.readings
    ]


def values(events: Sequence[Event]) -> list[tuple[str, float]]:
    return [(reading.tag, value) for reading in readings(events) for value in reading.values.tolist()]


def reasons(events: Sequence[Event]) -> list[Reason]:
    return [f.reason for each in events if isinstance(each, Keep) for message in each.messages for f in message.faults]


def asks(events: Sequence[Event]) -> int:
    return sum(isinstance(each, Ask) for each in events)


def alive(number: int = 7) -> World:
    """A node with one metric of its own and a device with another."""
    world = World()
    world.hear(Verb.NBIRTH, [bd(number), born("load", 1, unit="%")], seq=0)
    world.hear(Verb.DBIRTH, [born("temp", 2, 20.0, "Deg C")], seq=1, device="P1")
    world.events.clear()
    return world


def test_births_give_values_units_and_offers() -> None:
    world = World()
    first = world.hear(Verb.NBIRTH, [bd(0), born("load", 1, 5.0, "%")], seq=0)
    second = world.hear(Verb.DBIRTH, [born("temp", 2, 20.0, "Deg C")], seq=1, device="P1")
    assert [(r.source, r.tag, r.unit) for r in readings([*first, *second])] == [
        ("n1", "load", "%"),
        ("n1", "P1/temp", "°C"),
    ]
    offers = [offer for each in second if isinstance(each, Born) for offer in each.offers]
    assert [(each.tag, each.unit, each.data_type) for each in offers] == [("P1/temp", "°C", "DOUBLE")]
    assert any(isinstance(each, Told) and each.is_live for each in first)
    assert world.life is Life.LIVE
    assert asks(world.events) == 0


def test_data_are_read_by_alias_and_the_sequence_wraps() -> None:
    world = alive()
    for count in range(600):
        world.hear(Verb.DDATA, [told(2, float(count))], seq=(2 + count) % 256, device="P1")
    assert values(world.events) == [("P1/temp", float(count)) for count in range(600)]
    assert asks(world.events) == 0


def test_a_death_makes_every_metric_stale() -> None:
    world = alive()
    found = world.hear(Verb.NDEATH, [bd(7)], seq=None)
    assert {reading.tag for reading in readings(found)} == {"load", "P1/temp"}
    assert all(math.isnan(reading.values[0]) and reading.quality[0] == Quality.BAD for reading in readings(found))
    assert all(reading.at_us[0] == world.us for reading in readings(found))
    assert any(isinstance(each, Told) and not each.is_live for each in found)
    again = world.hear(Verb.NDEATH, [bd(7)], seq=None)  # the will after a death that was said
    assert readings(again) == []
    assert world.acked == 0  # only what carries nothing may be acked by the source itself


def test_a_late_death_of_an_older_session_kills_nobody() -> None:
    world = alive(8)
    world.hear(Verb.NDEATH, [bd(7)], seq=None)
    assert world.life is Life.LIVE
    found = world.hear(Verb.NDATA, [told(1, 3.0)], seq=2)
    assert values(found) == [("load", 3.0)]
    later = world.wait(30)
    assert world.life is Life.LIVE
    assert asks(later) == 0


def test_a_death_of_another_session_and_then_silence_is_a_death() -> None:
    world = alive(8)
    world.hear(Verb.NDEATH, [bd(9)], seq=None)
    found = world.wait(30)
    assert asks(found) >= 1
    assert world.life is Life.DEAD
    assert {reading.tag for reading in readings(found)} == {"load", "P1/temp"}


def test_a_device_dies_alone() -> None:
    world = alive()
    found = world.hear(Verb.DDEATH, [], seq=2, device="P1")
    assert [reading.tag for reading in readings(found)] == ["P1/temp"]
    assert values(world.hear(Verb.NDATA, [told(1, 1.0)], seq=3)) == [("load", 1.0)]
    assert asks(world.hear(Verb.DDATA, [told(2, 1.0)], seq=4, device="P1")) == 1


def test_messages_that_overtook_others_are_put_in_order() -> None:
    world = alive()
    assert values(world.hear(Verb.NDATA, [told(1, 2.0)], seq=3)) == []
    world.now_s -= 0.02  # sent before it
    found = world.hear(Verb.NDATA, [told(1, 1.0)], seq=2)
    assert values(found) == [("load", 1.0), ("load", 2.0)]
    assert asks(world.wait(30)) == 0


def test_a_number_of_another_round_fills_no_gap() -> None:
    world = alive()
    world.hear(Verb.NDATA, [told(1, 3.0)], seq=3)
    assert values(world.hear(Verb.NDATA, [told(1, 2.0)], seq=2)) == []  # sent after the one that waits for it
    assert world.life is Life.LOST


def test_a_gap_asks_for_rebirth_and_the_birth_frees_what_was_held() -> None:
    world = alive()
    born_us = world.us
    world.hear(Verb.NDATA, [told(1, 2.0)], seq=3)
    world.hear(Verb.DDATA, [told(2, 21.0)], seq=4, device="P1")
    found = world.wait(3)
    assert asks(found) == 1
    assert world.life is Life.LOST
    world.hear(Verb.NBIRTH, [bd(7), born("load", 1, unit="%")], seq=0)
    assert [each for each in world.events if isinstance(each, Missed)] == [Missed(born_us, world.us, 1)]
    world.hear(Verb.DBIRTH, [born("temp", 2, unit="Deg C")], seq=1, device="P1")
    assert ("load", 2.0) in values(world.events)
    assert ("P1/temp", 21.0) in values(world.events)
    assert reasons(world.events) == []


def test_held_data_whose_aliases_mean_something_else_now_go_to_quarantine() -> None:
    world = alive()
    world.hear(Verb.NDATA, [told(1, 2.0)], seq=3)
    world.wait(3)
    world.hear(Verb.NBIRTH, [bd(7), born("other", 1)], seq=0)
    assert ("load", 2.0) not in values(world.events)
    assert ("other", 2.0) not in values(world.events)
    assert reasons(world.events) == [Reason.NO_BIRTH]


def test_an_unknown_alias_asks_and_then_goes_to_quarantine() -> None:
    world = alive()
    assert asks(world.hear(Verb.NDATA, [told(99, 2.0)], seq=2)) == 1
    assert values(world.hear(Verb.NDATA, [told(1, 3.0)], seq=3)) == [("load", 3.0)]
    world.wait(20)
    assert reasons(world.events) == [Reason.NO_BIRTH]


def test_data_before_any_birth_wait_for_it() -> None:
    world = World()
    named = codec.metric("load", DataType.DOUBLE, 4.0)
    assert asks(world.hear(Verb.NDATA, [named], seq=9)) == 1
    assert world.acked == 0
    world.hear(Verb.NBIRTH, [bd(1), born("load", 1, unit="%")], seq=0)
    assert [(r.tag, r.unit, r.values[0]) for r in readings(world.events)][-1] == ("load", "%", 4.0)


def test_data_that_name_themselves_are_kept_when_no_birth_ever_comes() -> None:
    world = World()
    world.hear(Verb.NDATA, [codec.metric("load", DataType.DOUBLE, 4.0), told(3, 5.0)], seq=9)
    world.wait(20)
    assert values(world.events) == [("load", 4.0)]
    assert reasons(world.events) == [Reason.NO_BIRTH]


def test_after_our_own_absence_every_birth_is_asked_for_again() -> None:
    world = alive()
    world.host.forget()
    assert asks(world.wait(1)) == 1
    world.hear(Verb.NDATA, [told(1, 2.0)], seq=200)
    world.hear(Verb.NBIRTH, [bd(7), born("load", 1, unit="%")], seq=0)
    assert ("load", 2.0) in values(world.events)  # the same session says the same


def test_an_alias_of_another_session_is_nobody_after_our_absence() -> None:
    world = alive()
    world.host.forget()
    world.hear(Verb.NDATA, [told(1, 2.0)], seq=200)
    world.hear(Verb.NBIRTH, [bd(8), born("load", 1, unit="%")], seq=0)
    assert reasons(world.events) == [Reason.NO_BIRTH]


def test_births_that_an_earlier_run_followed_free_what_is_held() -> None:
    before = alive()
    learnt = {each.device: each.raw for each in before.all if isinstance(each, Learnt)}
    world = World()
    world.host.recall(WHOSE, learnt[None], {"P1": learnt["P1"]}, world.now_s)
    assert asks(world.wait(1)) == 1
    world.hear(Verb.DDATA, [told(2, 33.0)], seq=200, device="P1")
    world.hear(Verb.NBIRTH, [bd(7), born("load", 1, unit="%")], seq=0)
    world.hear(Verb.DBIRTH, [born("temp", 2, unit="Deg C")], seq=1, device="P1")
    assert ("P1/temp", 33.0) in values(world.events)
    dead = World()
    dead.host.recall(WHOSE, learnt[None], {"P1": learnt["P1"]}, dead.now_s)
    assert {reading.tag for reading in readings(dead.hear(Verb.NDEATH, [bd(7)], seq=None))} == {"load", "P1/temp"}


def test_a_memory_gives_back_what_belongs_together(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "births")
    memory.save("g", "n", None, b"one")
    memory.save("g", "n", "P1", b"of one")
    memory.save("g", "n", None, b"two")
    memory.save("g", "n", "P2", b"of two")
    memory.save("g", "other", None, b"three")
    (tmp_path / "births" / "junk.birth").write_bytes(b"\xff\x00")
    found = {each.node: (each.raw, each.devices) for each in Memory(tmp_path / "births").load()}
    assert found == {"n": (b"two", {"P2": b"of two"}), "other": (b"three", {})}
    assert list(Memory(None).load()) == []
    (tmp_path / "file").write_text("")
    Memory(tmp_path / "file").save("g", "n", None, b"x")  # cannot be written: is not remembered


def test_a_device_that_is_not_born_again_falls_silent() -> None:
    world = alive()
    world.hear(Verb.NBIRTH, [bd(7), born("new", 1)], seq=0)
    assert [r.tag for r in readings(world.events) if math.isnan(r.values[0])] == ["load"]
    found = world.wait(20)
    assert [r.tag for r in readings(found) if math.isnan(r.values[0])] == ["P1/temp"]


def test_the_same_message_once_more_is_acked_and_not_kept_twice() -> None:
    world = alive()
    payload = codec.encode(Payload(round(world.now_s * 1000) * 1000, 2, (told(1, 3.0),)))
    topic = Topic("plant", Verb.NDATA, "n1")
    assert values(world.raw(topic, payload)) == [("load", 3.0)]
    (again,) = world.raw(topic, payload)
    assert isinstance(again, Keep)
    assert again.messages == ()
    assert asks(world.wait(10)) == 0


def test_historical_values_take_the_lane_of_history() -> None:
    world = alive()
    old = Metric(alias=1, field="double_value", value=1.0, at_us=5_000, is_historical=True)
    (keep,) = world.hear(Verb.NDATA, [old, told(1, 2.0)], seq=2)
    assert isinstance(keep, Keep)
    assert [(str(m.lane), m.readings[0].values.tolist()) for m in keep.messages] == [
        ("live", [2.0]),
        ("history", [1.0]),
    ]


def test_a_message_without_a_number_is_refused() -> None:
    world = alive()
    world.hear(Verb.NDATA, [told(1, 2.0)], seq=None)
    world.hear(Verb.NDATA, [told(1, 2.0)], seq=256)
    assert reasons(world.events) == [Reason.BAD_SEQUENCE, Reason.BAD_SEQUENCE]


def test_what_cannot_be_read_goes_to_quarantine() -> None:
    world = alive()
    world.raw(Topic("plant", Verb.NDATA, "n1"), b"\xff\xff")
    assert reasons(world.events) == [Reason.MALFORMED]


def test_commands_are_not_data() -> None:
    world = alive()
    assert world.raw(Topic("plant", Verb.NCMD, "n1"), b"junk") == []
    assert world.acked == 1


def test_memory_is_bounded_and_nothing_is_dropped() -> None:
    world = World()
    world.host.limits = Limits(held_messages=50)
    for count in range(500):
        world.hear(Verb.NDATA, [told(1, float(count))], seq=count % 256)
    assert len(world.host._nodes[WHOSE].session._held) <= 50
    world.wait(20)
    kept = [each for each in world.events if isinstance(each, Keep)]
    assert len(kept) == 500
    assert set(reasons(world.events)) == {Reason.NO_BIRTH}


def test_a_wish_waits_longer_each_time_and_gives_up_on_the_dead() -> None:
    wish = Wish(5.0)
    times = []
    for tenth in range(100_000):
        now_s = tenth / 10
        if wish.may_ask(now_s):
            wish.asked(now_s)
            times.append(now_s)
    assert len(times) == MOST_VAIN
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(5.0)
    wish.heard()
    assert wish.may_ask(20_000.0)


def test_all_nodes_together_are_not_asked_at_once() -> None:
    bucket = Bucket()
    assert sum(bucket.take(10.0) for _ in range(1000)) == 20
    assert sum(bucket.take(11.0) for _ in range(1000)) == 20


@pytest.mark.parametrize(
    "text",
    [
        "spBv1.0/g/NDATA",
        "spBv1.0/g/NDATA/n/d",
        "spBv1.0/g/DDATA/n",
        "spBv1.0/STATE/host",
        "spAv1.0/g/NDATA/n",
        "spBv1.0//NDATA/n",
        "spBv1.0/g/NDATA/n\x07",
        "spBv1.0/g/X/n",
    ],
)
def test_other_topics_are_nobodys(text: str) -> None:
    assert topics.parse(text) is None


def test_topics_are_read_and_written() -> None:
    for text in ("spBv1.0/g/NBIRTH/n", "spBv1.0/g/DDATA/n/d"):
        assert str(topics.parse(text)) == text


METRICS = 6
DEVICE = "P1"
Flying = tuple[Topic, bytes, int]  # …, how many metrics


class Edge:
    """A node that gives its aliases anew with every birth; a value says which metric it is of."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.bd_seq = chance.randrange(256)
        self.seq = self.count = 0
        self.ms = 1_700_000_000_000
        self.alias: dict[str, dict[int, int]] = {"": {}, DEVICE: {}}

    def births(self) -> list[Flying]:
        self.seq = 0
        numbers = self.chance.sample(range(1, 2 * METRICS + 1), 2 * METRICS)
        self.alias = {"": dict(enumerate(numbers[:METRICS])), DEVICE: dict(enumerate(numbers[METRICS:]))}
        return [self._birth(Verb.NBIRTH, "", [bd(self.bd_seq)]), self._birth(Verb.DBIRTH, DEVICE, [])]

    def restart(self) -> tuple[Flying, list[Flying]]:
        self.ms += 5
        death = (Topic("plant", Verb.NDEATH, "n1"), codec.encode(Payload(0, None, (bd(self.bd_seq),))), 0)
        self.bd_seq = (self.bd_seq + 1) % 256
        return death, self.births()

    def data(self) -> Flying:
        device = self.chance.choice(["", DEVICE])
        some = self.chance.sample(range(METRICS), self.chance.randint(1, 3))
        metrics = [told(self.alias[device][index], self._value(device, index)) for index in some]
        verb = Verb.DDATA if device else Verb.NDATA
        return self._said(verb, device, metrics, len(metrics))

    def _birth(self, verb: Verb, device: str, more: list[Metric]) -> Flying:
        own = [born(f"m{index}", alias, self._value(device, index)) for index, alias in self.alias[device].items()]
        return self._said(verb, device, [*more, *own], METRICS)

    def _value(self, device: str, index: int) -> float:
        self.count += 1
        return (index + (100 if device else 0)) * 1e6 + self.count

    def _said(self, verb: Verb, device: str, metrics: Sequence[Metric], count: int) -> Flying:
        self.ms += self.chance.randint(1, 40)
        payload = codec.encode(Payload(self.ms * 1000, self.seq, tuple(metrics)))
        self.seq = (self.seq + 1) % 256
        return Topic("plant", verb, "n1", device or None), payload, count


class Channel:
    """Loses and doubles data, lets data overtake data, and lets a death come late.

    Nothing overtakes a birth, and a birth whose death before it was not heard is lost only when the numbers of its data
    cannot be those that the host waits for: Sparkplug says nothing in a data message of the birth that it belongs to,
    so no host could tell.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.late: list[Flying] = []

    def pass_on(self, sent: list[Flying]) -> list[Flying]:
        kept = [each for each in sent if self.chance.random() > 0.08]
        kept += [each for each in kept if self.chance.random() < 0.03]
        for at in range(len(kept) - 1):
            if self.chance.random() < 0.15:
                kept[at], kept[at + 1] = kept[at + 1], kept[at]
        if self.late and self.chance.random() < 0.5:
            kept.insert(self.chance.randint(0, len(kept)), self.late.pop())
        return kept

    def restart(self, death: Flying, births: list[Flying]) -> list[Flying]:
        if self.chance.random() < 0.4:
            self.late.append(death)  # it comes after the new births
            return births
        return [death, *(each for each in births if self.chance.random() > 0.2)]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_the_channel_does_no_value_goes_to_a_wrong_metric(seed: int) -> None:
    chance = random.Random(seed)
    world, edge, channel = World(), Edge(chance), Channel(chance)
    began, asked, sent = world.now_s, 0, Counter[bytes]()

    def deliver(flying: list[Flying]) -> None:
        nonlocal asked
        for topic, payload, _ in flying:
            sent[payload] += 1
            world.now_s += chance.random() * 0.2
            asked += asks(world.raw(topic, payload))
            asked += asks(world.wait(0.1))

    deliver(edge.births())
    if chance.random() < 0.5:
        for _ in range(150):  # now no seq of a young session is one that the host waits for
            topic, payload, _ = edge.data()
            sent[payload] += 1
            asked += asks(world.raw(topic, payload))
    answered = 0
    for _ in range(40):
        action = chance.random()
        if action < 0.06:
            deliver(channel.restart(*edge.restart()))
        elif action < 0.10:
            world.host.forget()
        elif action < 0.13 and world.expected > 120:
            edge.restart()  # nobody hears of it
        elif action < 0.16:
            asked += asks(world.wait(chance.choice([1, 4, 20])))
        else:
            deliver(channel.pass_on([edge.data() for _ in range(chance.randint(1, 8))]))
        if asked > answered and chance.random() < 0.7:
            answered = asked
            deliver(edge.births())
    deliver(channel.late)
    asked += asks(world.wait(60))
    check_attribution(world)
    kept = Counter(each.heard.raw for each in world.events if isinstance(each, Keep))
    assert kept == sent  # every message is settled exactly once
    assert asked <= 1 + (world.now_s - began) / REBIRTH_S


def check_attribution(world: World) -> None:
    for tag, value in values(world.events):
        if not math.isnan(value):
            which = int(value // 1e6)
            assert tag == (f"{DEVICE}/m{which - 100}" if which >= 100 else f"m{which}")
    for each in world.events:
        if isinstance(each, Keep) and each.heard.topic.verb in (Verb.NDATA, Verb.DDATA) and each.messages:
            stored = sum(len(r.at_us) for message in each.messages for r in message.readings)
            refused = sum(fault.readings for message in each.messages for fault in message.faults)
            assert stored + refused == len(each.heard.payload.metrics)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_after_any_trouble_a_node_that_answers_is_live_again(seed: int) -> None:
    chance = random.Random(seed)
    world, edge, channel = World(), Edge(chance), Channel(chance)
    edge.births()  # nobody heard them
    for _ in range(20):
        sent = (
            channel.restart(*edge.restart())
            if chance.random() < 0.2
            else channel.pass_on([edge.data() for _ in range(4)])
        )
        for topic, payload, _ in sent:
            world.raw(topic, payload)
        world.wait(chance.choice([0.1, 3]))
    for _ in range(200):
        topic, payload, _ = edge.data()
        found = [*world.raw(topic, payload), *world.wait(3)]
        if asks(found):
            for birth in edge.births():
                world.raw(birth[0], birth[1])
        elif world.life is Life.LIVE:
            break
    topic, payload, count = edge.data()
    assert len(values(world.raw(topic, payload))) == count


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), junk=st.binary(max_size=60))
def test_hostile_messages_are_settled_and_nothing_else_happens(seed: int, junk: bytes) -> None:
    """Damaged births, deaths and data in any order: each is settled once, and no exception leaves the host."""
    chance = random.Random(seed)
    world, edge = World(), Edge(chance)
    sent = 0
    for _ in range(12):
        death, births = edge.restart()
        topic, payload, _ = chance.choice([death, *births, edge.data()])
        raw = bytearray(payload)
        for _ in range(chance.randint(0, 3)):
            raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        at = chance.randrange(len(raw) + 1)
        world.raw(topic, bytes(raw[:at]) + junk + bytes(raw[at:]) if chance.random() < 0.3 else bytes(raw))
        world.now_s += chance.random() * 3
        sent += 1
    world.wait(60)
    assert sum(isinstance(each, Keep) for each in world.events) == sent
