"""The movements of a shelf (a part in a store) as a chain: each names the one before it. Pure.

movement n:  hash = sha256(canonical JSON of every column, the previous hash included)
level:       moves = n, head_hash = hash of movement n, on_hand and reserved as after it
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tickets.chain import canonical, time_text
from tickets.held_compare import same

GENESIS = b""
SIGN: Mapping[str, int] = {"receive": 1, "correct": 1, "return": 1, "consume": -1, "reserve": 0, "release": 0}


@dataclass(frozen=True, slots=True)
class Move:
    """One movement; ``quantity`` in the part's unit, ``price`` of one, ``on_hand`` and ``reserved`` after it."""

    seq: int
    store_id: int
    part_id: int
    ticket_id: int | None
    kind: str
    quantity: float
    price: float
    at: datetime
    user_id: int | None
    on_hand: float
    reserved: float
    prev_hash: bytes
    hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a level says of its shelf."""

    name: str  # part@store
    on_hand: float
    reserved: float
    moves: int
    head_hash: bytes


def move_hash(move: Move) -> bytes:
    """sha256 over the canonical JSON of every field but the hash itself."""
    content = {
        "seq": move.seq,
        "shelf": [move.store_id, move.part_id],
        "ticket_id": move.ticket_id,
        "move": [move.kind, move.quantity, move.price],
        "at": time_text(move.at),
        "user_id": move.user_id,
        "after": [move.on_hand, move.reserved],
        "prev": move.prev_hash.hex(),
    }
    return hashlib.sha256(canonical(content).encode()).digest()


def problems(level: Standing, moves: Sequence[Move]) -> Iterator[str]:
    """What does not hold about a shelf whose chained movements these are, oldest first."""
    last: Move | None = None
    for number, move in enumerate(moves, start=1):
        before = GENESIS if last is None else last.hash
        if move.seq != number or move.prev_hash != before:
            yield f"{level.name}: a movement was deleted, added or put elsewhere before number {move.seq}."
            return
        if move_hash(move) != move.hash:
            yield f"{level.name}: movement {move.seq} was changed."
        if last is not None and not same(last.on_hand + SIGN[move.kind] * move.quantity, move.on_hand):
            yield f"{level.name}: movement {move.seq} does not lead from {last.on_hand:g} to {move.on_hand:g} on hand."
        last = move
    yield from _standing(level, last)


def _standing(level: Standing, last: Move | None) -> Iterator[str]:
    if last is None:
        if level.moves or level.head_hash:
            yield f"{level.name}: its {level.moves:,} movements were deleted."
        return
    if (level.moves, level.head_hash) != (last.seq, last.hash):
        yield f"{level.name}: {level.moves:,} movements were made and {last.seq:,} are there, or the last was changed."
    for column, kept, held in (("on_hand", level.on_hand, last.on_hand), ("reserved", level.reserved, last.reserved)):
        if not same(held, kept):
            yield f"{level.name}: stock_levels.{column} is {kept:g}; its movements say {held:g}."
