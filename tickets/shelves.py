"""SQL of the movements of shelves: appended to a chain while the shelf's row is locked, and verified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, LiteralString

from psycopg import Connection

from tickets import shelf_chain
from tickets.shelf_chain import Move, Standing

PART = 500  # shelves
MOVES: LiteralString = """
  select seq, store_id, part_id, ticket_id, kind, quantity, price, at, user_id, on_hand, reserved, prev_hash, hash
  from stock_moves where (store_id, part_id) = (%s, %s) order by seq nulls first, move_id"""
INSERT: LiteralString = """
  insert into stock_moves (seq, store_id, part_id, ticket_id, kind, quantity, price, at, user_id, on_hand, reserved,
    prev_hash, hash)
  values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
LEVELS: LiteralString = """
  select l.store_id, l.part_id, p.code || '@' || s.code, l.on_hand, l.reserved, l.moves, l.head_hash
  from stock_levels l join parts p using (part_id) join stores s using (store_id)"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found on some shelves; the next begin after ``last``, None at the end. ``uncovered``: movements of an
    older version, which no chain holds."""

    problems: tuple[str, ...]
    shelves: int
    moves: int
    last: tuple[int, int] | None
    uncovered: int


def append(conn: Connection, move: Move) -> None:
    """Write a movement whose shelf is locked; its own number follows the level's."""
    sealed = replace(move, hash=shelf_chain.move_hash(move))
    conn.execute(INSERT, tuple(getattr(sealed, name) for name in Move.__slots__))
    conn.execute(
        "update stock_levels set moves = %s, head_hash = %s where store_id = %s and part_id = %s",
        (sealed.seq, sealed.hash, sealed.store_id, sealed.part_id),
    )


def verify(conn: Connection, after: tuple[int, int] = (0, 0), *, part: int = PART) -> Seen:
    """Verify the next shelves of the current site; one that seems wrong is read again with its row locked."""
    query = LEVELS + " where (l.store_id, l.part_id) > (%s, %s) order by l.store_id, l.part_id limit %s"
    found: list[str] = []
    moves, uncovered = 0, 0
    last = None
    levels = conn.execute(query, (*after, part)).fetchall()
    for store_id, part_id, *row in levels:
        last = (store_id, part_id)
        chain, older = _moves(conn, store_id, part_id)
        if list(shelf_chain.problems(_standing(row), chain)):
            found += _locked(conn, store_id, part_id)
        moves, uncovered = moves + len(chain), uncovered + older
    return Seen(tuple(found), len(levels), moves, last, uncovered)


def orphans(conn: Connection) -> Iterator[str]:
    """Shelves that were deleted with movements left."""
    rows = conn.execute(
        """select distinct store_id, part_id from stock_moves m where not exists (
             select 1 from stock_levels l where (l.store_id, l.part_id) = (m.store_id, m.part_id)) limit 20"""
    )
    for store_id, part_id in rows:
        yield f"The level of part {part_id} in store {store_id} was deleted and movements of it are left."


def _locked(conn: Connection, store_id: int, part_id: int) -> list[str]:
    query = LEVELS + " where (l.store_id, l.part_id) = (%s, %s) for share of l"
    row = conn.execute(query, (store_id, part_id)).fetchone()
    return [] if row is None else list(shelf_chain.problems(_standing(row[2:]), _moves(conn, store_id, part_id)[0]))


def _moves(conn: Connection, store_id: int, part_id: int) -> tuple[list[Move], int]:
    """The chained movements of a shelf, and how many are of an older version."""
    rows = conn.execute(MOVES, (store_id, part_id)).fetchall()
    chained = [_move(row) for row in rows if row[0] is not None]
    return chained, len(rows) - len(chained)


def _move(row: Sequence[Any]) -> Move:
    values: dict[str, Any] = dict(zip(Move.__slots__, row, strict=True))
    return Move(**values | {"prev_hash": bytes(values["prev_hash"]), "hash": bytes(values["hash"])})


def _standing(row: Sequence[Any]) -> Standing:
    name, on_hand, reserved, moves, head = row
    return Standing(name, on_hand, reserved, moves, bytes(head))
