"""A chain of Merkle roots a site: what happened to which ticket cannot be taken back without its showing.

    every minute: tickets whose timeline grew ──(ticket, events, head hash)──> root n ──signed, names root n − 1

A ticket's own chain shows what was changed in it; the roots show a tail, a ticket or a root that was deleted, and a
timeline that was rewritten as a whole. Who can both write the database and sign could still cut the newest roots off:
note a root's number and hash elsewhere now and then, and ask for it (``millwright audit verify --expect``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from core import merkle
from core.seals import Signer
from tickets.chain import canonical, time_text
from tickets.rows import one

MOST_LEAVES = 20_000
FOREVER = 2**63 - 1
PAGE = 100
SHOWN = 20
GENESIS = b""

Leaf = tuple[int, int, bytes]  # ticket, events, hash of its last event


@dataclass(frozen=True, slots=True)
class Root:
    """One link of the chain."""

    site_id: int
    seq: int
    at: datetime
    horizon: int
    leaves: tuple[Leaf, ...]
    root: bytes
    prev_hash: bytes
    hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends."""

    seq: int
    hash: bytes


class _Signing:
    """Who signs in this process; nobody signs nothing."""

    signer: Signer | None = None


def sign_with(signer: Signer | None) -> None:
    """From now on this process signs its roots so."""
    _Signing.signer = signer


# -- writing ----------------------------------------------------------------------------------------------------------


def extend(conn: Connection, now: datetime) -> int:
    """Cover every ticket whose timeline grew since the last root; returns how many it were."""
    conn.execute("select pg_advisory_xact_lock(hashtext('audit_roots'), current_site())")
    site_id, horizon = one(conn, "select current_site(), pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    last = conn.execute("select seq, hash, horizon from audit_roots order by seq desc limit 1").fetchone()
    seq, previous, low = last or (0, GENESIS, 0)
    leaves = _grown(conn, low, horizon)
    for start in range(0, len(leaves), MOST_LEAVES):
        seq += 1
        made = _root(site_id, seq, now, horizon, leaves[start : start + MOST_LEAVES], previous)
        _keep(conn, made)
        previous = made.hash
    if leaves:
        _set_head(conn, site_id, Head(seq, previous))
    return len(leaves)


def _grown(conn: Connection, low: int, horizon: int) -> list[Leaf]:
    """Transactions before the horizon have all ended, so that none is passed over.

    A database that was restored into a new server counts its transactions anew: then everything is covered again.
    """
    span = (low, horizon) if low <= horizon else (0, FOREVER)
    rows = conn.execute(
        """select distinct on (ticket_id) ticket_id, seq, hash from ticket_events
           where txid >= %s::bigint and txid < %s::bigint order by ticket_id, seq desc""",
        span,
    )
    return [(ticket_id, seq, bytes(digest)) for ticket_id, seq, digest in rows]


def _root(site_id: int, seq: int, at: datetime, horizon: int, leaves: Sequence[Leaf], previous: bytes) -> Root:
    top = merkle.root(map(_content, leaves))
    blank = Root(site_id, seq, at, horizon, tuple(leaves), top, previous, b"", b"")
    digest = root_hash(blank)
    return Root(site_id, seq, at, horizon, tuple(leaves), top, previous, digest, _signature(digest))


def root_hash(root: Root) -> bytes:
    """sha256 over the canonical JSON of everything but the hash and the signature; the leaves are in the root."""
    content = {
        "site_id": root.site_id,
        "seq": root.seq,
        "at": time_text(root.at),
        "horizon": root.horizon,
        "leaves": len(root.leaves),
        "root": root.root.hex(),
        "prev": root.prev_hash.hex(),
    }
    return hashlib.sha256(canonical(content).encode()).digest()


def _content(leaf: Leaf) -> bytes:
    ticket_id, events, digest = leaf
    return canonical([ticket_id, events, digest.hex()]).encode()


def _signature(content: bytes) -> bytes:
    return _Signing.signer.sign(content) if _Signing.signer else b""


def _head_content(site_id: int, head: Head) -> bytes:
    return canonical({"site_id": site_id, "seq": head.seq, "hash": head.hash.hex()}).encode()


def _keep(conn: Connection, root: Root) -> None:
    ids, counts, hashes = zip(*root.leaves, strict=True)
    conn.execute(
        """insert into audit_roots (seq, at, horizon, ticket_ids, event_counts, head_hashes, root, prev_hash, hash,
             signature) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            root.seq,
            root.at,
            root.horizon,
            list(ids),
            list(counts),
            list(hashes),
            root.root,
            root.prev_hash,
            root.hash,
            root.signature,
        ),
    )


def _set_head(conn: Connection, site_id: int, head: Head) -> None:
    conn.execute(
        """insert into audit_heads (seq, hash, signature) values (%s, %s, %s)
           on conflict (site_id) do update
             set seq = excluded.seq, hash = excluded.hash, signature = excluded.signature""",
        (head.seq, head.hash, _signature(_head_content(site_id, head))),
    )


# -- verifying --------------------------------------------------------------------------------------------------------


def problems(conn: Connection, *, signer: Signer | None, ticket_id: int | None = None) -> Iterator[str]:
    """What does not hold in the current site's chain of roots, and between it and the timelines, as sentences.

    ``ticket_id``: compare the timeline of this ticket alone. ``signer`` None leaves the signatures unchecked.
    """
    seq, previous = 0, GENESIS
    unsigned: list[int] = []
    for root in _roots(conn):
        yield from _link_problems(root, seq, previous)
        yield from _leaf_problems(conn, root, ticket_id)
        if signer and not signer.signed(root.hash, root.signature):
            unsigned.append(root.seq)
        seq, previous = root.seq, root.hash
    if unsigned:
        yield f"Root {_span(unsigned)} {'is' if len(unsigned) == 1 else 'are'} not signed with this instance's key."
    yield from _head_problems(conn, Head(seq, previous), signer)


def head(conn: Connection) -> Head | None:
    """Where the chain ends: its number and hash, to be noted elsewhere."""
    row = conn.execute("select seq, hash from audit_roots order by seq desc limit 1").fetchone()
    return Head(row[0], bytes(row[1])) if row else None


def expected(conn: Connection, seq: int, begins: str) -> str | None:
    """What is wrong when root ``seq`` is not the one whose hash (hex) was noted as beginning so; None when it is."""
    row = conn.execute("select hash from audit_roots where seq = %s", (seq,)).fetchone()
    if row is None:
        return f"Root {seq} was noted elsewhere and is gone."
    return None if bytes(row[0]).hex().startswith(begins) else f"Root {seq} is not the one that was noted elsewhere."


def _roots(conn: Connection) -> Iterator[Root]:
    after = -1
    while rows := conn.execute(
        """select site_id, seq, at, horizon, ticket_ids, event_counts, head_hashes, root, prev_hash, hash, signature
           from audit_roots where seq > %s order by seq limit %s""",
        (after, PAGE),
    ).fetchall():
        yield from map(_read, rows)
        after = rows[-1][1]


def _read(row: tuple[Any, ...]) -> Root:
    site_id, seq, at, horizon, ids, counts, hashes, *rest = row
    leaves = tuple((ident, count, bytes(digest)) for ident, count, digest in zip(ids, counts, hashes, strict=False))
    return Root(site_id, seq, at, horizon, leaves, *map(bytes, rest))


def _link_problems(root: Root, before: int, previous: bytes) -> Iterator[str]:
    if root.seq != before + 1:
        yield f"Root {_span(range(before + 1, root.seq))} {'is' if root.seq == before + 2 else 'are'} missing."
    elif root.prev_hash != previous:
        yield f"Root {root.seq} does not follow the root before it."
    if root.hash != root_hash(root) or root.root != merkle.root(map(_content, root.leaves)):
        yield f"Root {root.seq} was changed."


def _leaf_problems(conn: Connection, root: Root, ticket_id: int | None) -> Iterator[str]:
    """Compare what the root saw with what is there; the database compares, so that only differences travel."""
    ids, counts, hashes = zip(*root.leaves, strict=True) if root.leaves else ((), (), ())
    rows = conn.execute(
        """select u.ticket_id, u.events, t.ref, e.hash from unnest(%s::int[], %s::int[], %b::bytea[])
             as u(ticket_id, events, hash)
           left join ticket_events e on e.ticket_id = u.ticket_id and e.seq = u.events
           left join tickets t on t.ticket_id = u.ticket_id
           where (e.hash is distinct from u.hash or t.ticket_id is null) and (%s::int is null or u.ticket_id = %s)
           order by u.ticket_id limit %s""",
        (list(ids), list(counts), list(hashes), ticket_id, ticket_id, SHOWN),
    ).fetchall()
    for ident, events, ref, found in rows:
        saw = f"root {root.seq} saw {events} events of it"
        if ref is None:
            yield f"Ticket {ident} was deleted: {saw}."
        elif found is None:
            yield f"{ref}: the end of its timeline was deleted: {saw}."
        else:
            yield f"{ref}: its timeline was rewritten: event {events} is not the one that root {root.seq} saw."


def _head_problems(conn: Connection, end: Head, signer: Signer | None) -> Iterator[str]:
    row = conn.execute("select site_id, seq, hash, signature from audit_heads").fetchone()
    if row is None:
        if end.seq:
            yield "The head of the chain of roots was deleted."
        return
    site_id, noted = row[0], Head(row[1], bytes(row[2]))
    if noted.seq > end.seq:
        yield f"Root {_span(range(end.seq + 1, noted.seq + 1))} at the end of the chain was deleted."
    elif noted != end:
        yield "The head of the chain of roots is not its last root."
    if signer and not signer.signed(_head_content(site_id, noted), bytes(row[3])):
        yield "The head of the chain of roots is not signed with this instance's key."


def _span(numbers: Sequence[int]) -> str:
    """``5`` or ``5 to 9``."""
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
