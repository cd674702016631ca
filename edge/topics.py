"""The topics of the wire: ``mw/v1/{site}/{device}/…``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge.reasons import DecodeError, Reason

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
SUBSCRIPTIONS = ("mw/v1/+/+/#",)  # all of a device's topics: what is published to a wrong one must not vanish
OUTWARD = frozenset({"receipt", "cmd"})  # what is sent to devices, never heard from them
MAX_TAG = 256


@dataclass(frozen=True, slots=True)
class Address:
    """Site code, device name, and the tag of a single sample (None: a batch)."""

    site: str
    device: str
    tag: str | None


def parse(topic: str) -> Address:
    """The address that a data topic names. Raises DecodeError (bad_topic)."""
    parts = topic.split("/", 5)
    if len(parts) < 5 or parts[:2] != ["mw", "v1"] or not (NAME.match(parts[2]) and NAME.match(parts[3])):
        raise DecodeError(Reason.BAD_TOPIC, f"{topic[:200]!r} is no data topic.")
    if parts[4] == "b" and len(parts) == 5:
        return Address(parts[2], parts[3], None)
    if parts[4] == "s" and len(parts) == 6 and parts[5]:
        return Address(parts[2], parts[3], parts[5])
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


def sample(site: str, device: str, tag: str) -> str:
    """Topic of a single sample."""
    return f"mw/v1/{site}/{device}/s/{tag}"


def batch(site: str, device: str) -> str:
    """Topic of a batch."""
    return f"mw/v1/{site}/{device}/b"


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
