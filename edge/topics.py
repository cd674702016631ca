"""The topics of the wire: ``mw/v1/{site}/{device}/…``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from edge.reasons import DecodeError, Reason

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
SUBSCRIPTIONS = ("mw/v1/+/+/#",)  # all of a device's topics: what is published to a wrong one must not vanish
OUTWARD = frozenset({"receipt", "cmd"})  # what is sent to devices, never heard from them
MAX_TAG = 256


class Leaf(StrEnum):
    """What a data topic carries: ``mw/v1/SITE/DEVICE/{leaf}[/TAG]``."""

    SAMPLE = "s"  # one JSON sample; the topic names the tag
    BATCH = "b"  # JSON columns of many tags
    SIGNED = "g"  # a batch in an envelope with its sender's signature (``edge.envelope``)
    WAVE = "w"  # one waveform of high rate (``edge.codecs.wave``); the topic names the tag
    HEALTH = "health"  # how a gateway is doing


LEAVES = frozenset(Leaf)
TAGGED = frozenset({Leaf.SAMPLE, Leaf.WAVE})


@dataclass(frozen=True, slots=True)
class Address:
    """Site code, device name, what is carried, and the tag where the topic names it (else None)."""

    site: str
    device: str
    tag: str | None
    leaf: Leaf = Leaf.BATCH


def parse(topic: str) -> Address:
    """The address that a data topic names. Raises DecodeError (bad_topic)."""
    parts = topic.split("/", 5)
    if len(parts) < 5 or parts[:2] != ["mw", "v1"] or not (NAME.match(parts[2]) and NAME.match(parts[3])):
        raise DecodeError(Reason.BAD_TOPIC, f"{topic[:200]!r} is no data topic.")
    leaf = Leaf(parts[4]) if parts[4] in LEAVES else None
    if leaf in TAGGED and len(parts) == 6 and parts[5]:
        return Address(parts[2], parts[3], parts[5], leaf)
    if leaf is not None and leaf not in TAGGED and len(parts) == 5:
        return Address(parts[2], parts[3], None, leaf)
    raise DecodeError(Reason.BAD_TOPIC, f"{topic[:200]!r} is no data topic.")


def sender(topic: str) -> Address | None:
    """Who published to a topic under ``mw/v1`` that is no data topic; None for outward topics and strangers."""
    parts = topic.split("/", 5)
    if len(parts) < 5 or parts[:2] != ["mw", "v1"] or not (NAME.match(parts[2]) and NAME.match(parts[3])):
        return None
    return None if parts[4] in OUTWARD else Address(parts[2], parts[3], None)


def is_outward(topic: str) -> bool:
    """Whether the topic carries something to a device: a receipt or a command."""
    parts = topic.split("/", 5)
    return len(parts) >= 5 and parts[:2] == ["mw", "v1"] and parts[4] in OUTWARD


def base(site: str, device: str) -> str:
    """What all topics of a device begin with; a leaf follows."""
    return f"mw/v1/{site}/{device}"


def sample(site: str, device: str, tag: str) -> str:
    """Topic of a single sample."""
    return f"mw/v1/{site}/{device}/s/{tag}"


def batch(site: str, device: str) -> str:
    """Topic of a batch."""
    return f"mw/v1/{site}/{device}/b"


def signed(site: str, device: str) -> str:
    """Topic of a signed batch."""
    return f"mw/v1/{site}/{device}/g"


def wave(site: str, device: str, tag: str) -> str:
    """Topic of a waveform."""
    return f"mw/v1/{site}/{device}/w/{tag}"


def health(site: str, device: str) -> str:
    """Topic on which a gateway says how it is doing."""
    return f"mw/v1/{site}/{device}/health"


def receipt(site: str, device: str) -> str:
    """Topic on which ingest tells a publisher what is durable."""
    return f"mw/v1/{site}/{device}/receipt"


def clean_tag(tag: str) -> str:
    """The tag itself, if it can be kept and shown. Raises DecodeError (hostile_text)."""
    if not tag or len(tag) > MAX_TAG or not tag.isprintable():
        raise DecodeError(
            Reason.HOSTILE_TEXT, f"The tag {tag[:60]!a} is empty, longer than {MAX_TAG} characters or not printable."
        )
    return tag
