"""What sources and tags may be called, so that what is kept can also be heard. Pure."""

from __future__ import annotations

import re

from core.errors import Invalid

SOURCE = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
LONGEST_TAG = 256


def source(name: str) -> str:
    """The name of a device or source: a part of topics. Raises Invalid."""
    if not SOURCE.match(name):
        raise Invalid(f"{name[:80]!r} cannot name a source: use 1 to 64 letters (A-Z), digits, - and _.")
    return name


def tag(name: str) -> str:
    """The name of a tag. Raises Invalid."""
    if not name or len(name) > LONGEST_TAG or not name.isprintable():
        raise Invalid(f"{name[:60]!a} cannot name a tag: it needs 1 to {LONGEST_TAG} printable characters.")
    return name
