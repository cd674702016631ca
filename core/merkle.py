"""One hash for many things, by the tree of RFC 6962: a leaf and a node can never be taken for each other. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

LEAF, NODE = b"\x00", b"\x01"


def leaf(content: bytes) -> bytes:
    """The hash of one thing."""
    return hashlib.sha256(LEAF + content).digest()


def root(contents: Iterable[bytes]) -> bytes:
    """The hash of all, in their order; of nothing it is the hash of nothing."""
    level = [leaf(content) for content in contents]
    if not level:
        return hashlib.sha256().digest()
    while len(level) > 1:
        paired = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]  # an odd one goes up as it is: RFC 6962's split at a power of two
    return level[0]


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(NODE + left + right).digest()
