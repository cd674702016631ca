"""Where a message came from, also when its topic is wrong."""

from __future__ import annotations

import pytest

from edge import topics
from edge.topics import Address


@pytest.mark.parametrize(
    "topic", ["mw/v1/plant/press-7/temperature", "mw/v1/plant/press-7/x/y", "mw/v1/plant/press-7/s/"]
)
def test_a_wrong_topic_of_a_device_has_a_sender(topic: str) -> None:
    assert topics.sender(topic) == Address("plant", "press-7", None)


@pytest.mark.parametrize("topic", ["mw/v1/plant/press-7/receipt", "mw/v1/plant/sim-floor/cmd/P-101"])
def test_what_goes_out_is_not_heard(topic: str) -> None:
    assert topics.sender(topic) is None
    assert topics.is_outward(topic)


@pytest.mark.parametrize("topic", ["mw/v1/plant", "other/v1/plant/press-7/s/a", "mw/v1/pl ant/press-7/x", ""])
def test_strangers_have_none(topic: str) -> None:
    assert topics.sender(topic) is None
    assert not topics.is_outward(topic)
