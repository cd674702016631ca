"""Drops are counted by sender and reason, and a stranger who makes up names fills no memory."""

from __future__ import annotations

from edge.reasons import Reason
from ingest.drops import MOST_KINDS, OTHERS, Drops


def test_each_is_counted_and_taken_once() -> None:
    drops = Drops()
    for _ in range(3):
        drops.count(Reason.UNKNOWN_SITE, site="plnat", device="gw", topic="mw/v1/plnat/gw/b")
    drops.count(Reason.POISON, site="plant", device="gw", topic="t")
    taken = drops.take()
    assert {kind: each.count for kind, each in taken.items()} == {
        ("plnat", "gw", "unknown_site"): 3,
        ("plant", "gw", "poison"): 1,
    }
    assert drops.take() == {}
    drops.give_back(taken)
    drops.count(Reason.POISON, site="plant", device="gw", topic="u")
    assert drops.take()["plant", "gw", "poison"].count == 2


def test_made_up_names_are_counted_together() -> None:
    drops = Drops()
    for number in range(MOST_KINDS + 500):
        drops.count(Reason.UNKNOWN_SITE, site=f"s{number}", device="d", topic="t")
    taken = drops.take()
    assert len(taken) == MOST_KINDS + 1
    assert taken[*OTHERS, "unknown_site"].count == 500
