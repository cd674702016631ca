"""Denied publishes, read from the broker's log: the right device is counted, whatever ids and topics hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.broker_log import MOST_PACKETS_S, MOST_USERS, NOTE_S, PAUSE_S, Denials, Denied, Load
from core.broker_mosquitto import Trace

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=30)
TRICKS = st.sampled_from(
    [
        "gw-2",
        "",
        "gw-2 (d0, q1, r0, m1, 'x",
        "gw-2 (p2, c1, k60, u'gw-2').",
        "x', ... (5 bytes))",
        " (d0, q0, r0, m0, '",
    ]
)


def connected(client: str, user: str) -> str:
    return f"New client connected from 127.0.0.1:40384 as {client} (p2, c1, k60, u'{user}')."


def denied(client: str, topic: str = "mw/v1/plant/other/b") -> str:
    return f"Denied PUBLISH from {client} (d0, q1, r0, m17, '{topic}', ... (6 bytes))"


def test_a_denied_publish_is_counted_by_device() -> None:
    found = Denials()
    assert found.line(connected("c1", "gw-1")) and found.line(connected("c2", "gw-2"))
    for line in (denied("c1", "first"), denied("c2"), denied("c1", "second")):
        found.line(line)
    assert found.take() == {"gw-1": Denied(2, "second"), "gw-2": Denied(1, "mw/v1/plant/other/b")}
    assert found.take() == {}


@given(client=TEXT | TRICKS, topic=TEXT | TRICKS, victim=TEXT)
def test_nobody_can_be_blamed_for_another(client: str, topic: str, victim: str) -> None:
    found = Denials()
    found.line(connected(victim, "victim"))
    found.line(connected(client, "culprit"))  # whoever connects with a used client id has it from then on
    found.line(denied(client, topic))
    assert set(found.take()) == {"culprit"}


@given(st.lists(TEXT | TRICKS, unique=True, min_size=2, max_size=5), st.data())
def test_the_client_is_found_among_many(clients: list[str], data: st.DataObject) -> None:
    found = Denials()
    for number, client in enumerate(clients):
        found.line(connected(client, f"user-{number}"))
    number = data.draw(st.integers(0, len(clients) - 1))
    found.line(denied(clients[number]))
    assert set(found.take()) == {f"user-{number}"}


def test_a_client_id_that_looks_like_a_log_line_names_nobody_else() -> None:
    found = Denials()
    found.line(connected("x (p2, c1, k60, u'gw-2').", "gw-1"))
    found.line(denied("x (p2, c1, k60, u'gw-2')."))
    found.line("Client " + denied("gw-2") + " disconnected.")
    assert set(found.take()) == {"gw-1"}


def test_the_embedded_brokers_own_form() -> None:
    found = Denials()
    assert found.line("DENIED gw-1 mw/v1/plant/gw 2/b")
    assert found.line("DENIED no/user x") is False
    assert found.take() == {"gw-1": Denied(1, "mw/v1/plant/gw 2/b")}


def test_an_unknown_client_is_counted_nowhere() -> None:
    found = Denials()
    assert not found.line(denied("never-seen"))
    assert found.take() == {}


def test_a_flood_is_one_line_a_minute_and_bounded() -> None:
    now = [0.0]
    found = Denials(now_s=lambda: now[0])
    found.line(connected("c", "gw-1"))
    assert [found.line(denied("c")) for _ in range(1000)] == [True] + [False] * 999
    now[0] = NOTE_S
    assert found.line(denied("c"))
    for number in range(MOST_USERS + 50):
        found.line(f"DENIED u{number} t")
    counts = found.take()
    assert len(counts) == MOST_USERS and counts["gw-1"].count == 1001


def test_what_could_not_be_kept_is_counted_on() -> None:
    found = Denials()
    found.line("DENIED gw-1 a")
    first = found.take()
    found.line("DENIED gw-1 b")
    found.give_back(first)
    found.give_back({"gw-2": Denied(3, "c")})
    assert found.take() == {"gw-1": Denied(2, "b"), "gw-2": Denied(3, "c")}


@pytest.mark.parametrize(
    "line", ["", "Denied PUBLISH from ", "New client connected from", "mosquitto version 2.0.11 running"]
)
def test_other_lines_are_kept_for_people(line: str) -> None:
    found = Denials()
    assert found.line(line) is (not line.startswith("Denied"))
    assert found.take() == {}


def test_a_flood_of_packets_is_not_logged_for_ten_minutes() -> None:
    now = [0.0]
    load = Load(now_s=lambda: now[0])
    packets = 0
    for _ in range(4):
        now[0] += 1
        packets += MOST_PACKETS_S + 1
        assert load.look(packets) is Trace.FULL
    now[0] += 1
    packets += MOST_PACKETS_S + 1
    assert load.look(packets) is Trace.OFF
    now[0] += PAUSE_S - 1
    assert load.look(packets) is Trace.OFF
    now[0] += 1
    assert load.look(packets) is Trace.FULL
    now[0] += 6
    assert load.look(packets + MOST_PACKETS_S) is Trace.FULL


def test_a_restarted_broker_counts_from_zero() -> None:
    now = [0.0]
    load = Load(now_s=lambda: now[0])
    now[0] = 6
    assert load.look(20_000) is Trace.FULL
    now[0] = 12
    assert load.look(100) is Trace.FULL
