"""SQL of the tags that sources offer: a guess where each belongs, until somebody accepts or dismisses it.

``put(conn, offers, source=…)`` may be called as often as a source tells of its tags: what was decided stays decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from core.errors import Conflict, Invalid, NotFound
from plant import assets as tree
from plant.guess import Guess, Guesser
from plant.model import Asset, Signal
from plant.offers import Offer
from plant.units import canonical, conversion

LONGEST = 512
COLUMNS: LiteralString = """select proposal_id, source, tag, node_id, path, data_type, description, heard_unit,
  heard_quantity, unit, quantity, low, high, period_s, asset_id, asset_code, signal_code, confidence, reasons, seen_at,
  accepted_at, dismissed_at from tag_proposals"""


class NoAsset(Invalid):
    """No asset fits this tag. Name one, or let the missing ones be made."""

    code = "proposal_without_asset"


class SignalTaken(Conflict):
    """Another tag of the same choice, or an existing binding, brings this signal already. Give one another code."""

    code = "signal_taken"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A tag and where it may belong. Open while neither accepted nor dismissed."""

    proposal_id: int
    source: str
    tag: str
    node_id: str | None
    path: str
    data_type: str
    description: str
    heard_unit: str
    heard_quantity: str
    unit: str
    quantity: str
    low: float | None  # in ``heard_unit``
    high: float | None
    period_s: float | None
    asset_id: int | None
    asset_code: str
    signal_code: str
    confidence: float
    reasons: list[str]
    seen_at: datetime
    accepted_at: datetime | None
    dismissed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an acceptance made: tag → signal id, and how much was new."""

    signals: Mapping[str, int]
    made_assets: int
    made_signals: int


def put(conn: Connection, offers: Sequence[Offer], *, source: str) -> int:
    """Propose a place for each offered tag on the current site; returns how many. Decisions taken stay."""
    kept = [each for each in offers if 0 < len(each.tag) <= LONGEST]
    if not kept:
        return 0
    guesser = _guesser(conn)
    rows = [_row(each, guesser.guess(each)) for each in kept]
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    conn.execute(
        """insert into tag_proposals (source, tag, node_id, path, data_type, description, heard_unit, heard_quantity,
             unit, quantity, low, high, period_s, asset_id, asset_code, signal_code, confidence, reasons)
           select %s, * from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
             %s::text[], %s::text[], %s::float8[], %s::float8[], %s::float8[], %s::int[], %s::text[], %s::text[],
             %s::float8[], %s::jsonb[])
           on conflict (site_id, source, tag) do update set node_id = excluded.node_id, path = excluded.path,
             data_type = excluded.data_type, description = excluded.description, heard_unit = excluded.heard_unit,
             heard_quantity = excluded.heard_quantity, unit = excluded.unit, quantity = excluded.quantity,
             low = excluded.low, high = excluded.high, period_s = excluded.period_s, asset_id = excluded.asset_id,
             asset_code = excluded.asset_code, signal_code = excluded.signal_code, confidence = excluded.confidence,
             reasons = excluded.reasons, seen_at = now()""",
        (source, *columns),
    )
    return len(kept)


def refresh(conn: Connection, source: str) -> int:
    """Guess anew where the open proposals of a source belong, assets and signals being what they are now."""
    return put(conn, [_offer(each) for each in listed(conn, source=source)], source=source)


def listed(conn: Connection, *, source: str | None = None, after: int = 0, limit: int | None = None) -> list[Proposal]:
    """Open proposals of the current site, by id."""
    with conn.cursor(row_factory=class_row(Proposal)) as cursor:
        return cursor.execute(
            COLUMNS
            + """ where site_id = current_site() and accepted_at is null and dismissed_at is null
                    and (%s::text is null or source = %s) and proposal_id > %s order by proposal_id limit %s""",
            (source, source, after, limit),
        ).fetchall()


def chosen(conn: Connection, proposal_ids: Sequence[int]) -> list[Proposal]:
    """These proposals, open ones and decided ones, by id. Raises NotFound when one is missing."""
    with conn.cursor(row_factory=class_row(Proposal)) as cursor:
        found = cursor.execute(
            COLUMNS + " where site_id = current_site() and proposal_id = any(%s) order by proposal_id",
            (list(proposal_ids),),
        ).fetchall()
    missing = set(proposal_ids) - {each.proposal_id for each in found}
    if missing:
        raise NotFound(f"There is no proposal {min(missing)} on this site.")
    return found


def accept(conn: Connection, wanted: Sequence[Proposal], *, create_assets: bool = False) -> Accepted:
    """Bind each tag to its signal, which is made if it is missing, and its asset too if ``create_assets``.

    ``wanted`` may have been edited (``dataclasses.replace``). Doing it twice changes nothing. Quarantined samples of
    these tags are released by ingest. Raises NoAsset, SignalTaken, and what ``plant.assets`` and ``plant.units`` raise.
    """
    places, made = _places(conn, wanted, create_assets=create_assets)
    before = len(tree.signals_of_site(conn))
    found: dict[str, int] = {}
    for each in wanted:
        signal_id = _signal(conn, each, places[each.asset_code])
        if signal_id in found.values():
            raise SignalTaken(f"Two tags would both bring {each.asset_code}/{each.signal_code}; {each.tag!r} is one.")
        tree.bind(conn, source=each.source, tag=each.tag, signal_id=signal_id, unit=_unit(each))
        found[each.tag] = signal_id
    conn.execute(
        """update tag_proposals set accepted_at = coalesce(accepted_at, now()), dismissed_at = null
           where site_id = current_site() and proposal_id = any(%s)""",
        ([each.proposal_id for each in wanted],),
    )
    return Accepted(found, made, len(tree.signals_of_site(conn)) - before)


def dismiss(conn: Connection, proposal_ids: Sequence[int]) -> int:
    """Nobody wants these tags; returns how many were open."""
    return conn.execute(
        """update tag_proposals set dismissed_at = now() where site_id = current_site()
           and proposal_id = any(%s) and accepted_at is null and dismissed_at is null""",
        (list(proposal_ids),),
    ).rowcount


def edited(proposal: Proposal, **changes: Any) -> Proposal:
    """A proposal with what a person said instead; another asset code forgets the guessed asset."""
    named = {name: value for name, value in changes.items() if value is not None}
    if "asset_code" in named and named["asset_code"] != proposal.asset_code:
        named["asset_id"] = None
    if "quantity" in named and "unit" not in named:
        named["unit"] = canonical(named["quantity"])
    return replace(proposal, **named)


def _guesser(conn: Connection) -> Guesser:
    """Of the current site alone: ingest sees every site's assets."""
    row = conn.execute("select current_site()").fetchone()
    site_id = row[0] if row else None
    assets: list[Asset] = [each for each in tree.assets(conn) if each.site_id == site_id]
    signals: list[Signal] = [each for each in tree.signals_of_site(conn) if each.site_id == site_id]
    return Guesser(assets, signals)


def _row(offer: Offer, guess: Guess) -> tuple[Any, ...]:
    """The columns of one proposal, in the order of the insert."""
    said = [_plain(each) for each in (offer.path, offer.data_type, offer.description, offer.unit, offer.quantity)]
    measured = (guess.unit, guess.quantity, offer.low, offer.high, offer.period_s)
    place = (guess.asset_id, guess.asset_code, guess.signal_code, guess.confidence, Jsonb(list(guess.reasons)))
    return (offer.tag, offer.node_id, *said, *measured, *place)


def _offer(each: Proposal) -> Offer:
    return Offer(
        each.tag,
        each.path,
        each.node_id,
        each.data_type,
        each.heard_unit,
        each.heard_quantity,
        each.description,
        each.low,
        each.high,
        each.period_s,
    )


def _places(conn: Connection, wanted: Sequence[Proposal], *, create_assets: bool) -> tuple[dict[str, int], int]:
    """Asset code → id, the missing ones made; how many those were."""
    known = {each.code: each.asset_id for each in tree.assets(conn)}
    before = len(known)
    for each in wanted:
        if each.asset_code in known:
            continue
        if not create_assets or not each.asset_code:
            raise NoAsset(
                f"There is no asset {each.asset_code!r} for the tag {each.tag!r}. Name one, or let the missing be made."
            )
        known[each.asset_code] = tree.create_asset(conn, code=each.asset_code, name=each.asset_code, asset_class="")
    return known, len(known) - before


def _signal(conn: Connection, each: Proposal, asset_id: int) -> int:
    """The signal's id; made if the asset has none of this code."""
    row = conn.execute(
        "select signal_id from signals where asset_id = %s and code = %s", (asset_id, each.signal_code)
    ).fetchone()
    if row is not None:
        return int(row[0])
    low, high = _range(each)
    name = each.description.strip()[:300] or each.signal_code
    return tree.create_signal(
        conn, asset_id=asset_id, code=each.signal_code, name=name, quantity=each.quantity, unit=_unit(each), low=low,
        high=high, period_s=each.period_s or 1.0,
    )  # fmt: skip


def _range(each: Proposal) -> tuple[float | None, float | None]:
    """The sensor's range in the unit heard; none when another unit was said, or it is none."""
    if each.low is None or each.high is None or not each.low < each.high or each.unit != each.heard_unit:
        return None, None
    return each.low, each.high


def _unit(each: Proposal) -> str:
    """The unit heard. Raises UnknownUnit, WrongUnit."""
    conversion(each.quantity, each.unit)
    return each.unit


def _plain(text: str) -> str:
    return text[:2000].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
