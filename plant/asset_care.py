"""Changes of one asset that the tree or its weight must bear: moving, level, criticality. SQL on the current site."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import Connection

from core import live
from core.errors import Stale
from plant import import_store, tree_rules
from plant.errors import AssetNotFound, BadCriticality, BadTree
from plant.importing import AssetRow


@dataclass(frozen=True, slots=True)
class Kept(import_store.Kept):
    """An asset with why it matters; ``version`` counts its changes, whoever made them."""

    version: int


def get(conn: Connection, asset_id: int) -> Kept:
    """One asset with why it matters. Raises AssetNotFound."""
    found = import_store.kept(conn, asset_id)
    row = conn.execute("select version from assets where asset_id = %s", (asset_id,)).fetchone()
    if not found or row is None:
        raise AssetNotFound
    return Kept(asset_id, found[0].row, row[0])


def check_place(conn: Connection, *, level: str, parent_id: int | None) -> None:
    """Refuse a new node below one of a lower level. Raises BadTree, AssetNotFound."""
    if parent_id is not None:
        _below(level, get(conn, parent_id).row)


def move(conn: Connection, asset_id: int, *, parent_id: int | None, version: int) -> Kept:
    """Hang an asset, with all below it, under another parent. Raises AssetNotFound, Stale, BadTree."""
    conn.execute("select pg_advisory_xact_lock(hashtext('assets.import'), current_site())")
    kept = _lock(conn, asset_id, version)
    parent = None if parent_id is None else get(conn, parent_id).row
    if parent is not None:
        _below(kept.row.level, parent)
    rows = {each.row.code: each.row.parent for each in import_store.kept(conn)}
    if circles := tree_rules.rings({**rows, kept.row.code: parent.code if parent else None}):
        raise BadTree(f"{' → '.join(circles[0])}: an asset never lies below itself.")
    conn.execute("update assets set parent_id = %s where asset_id = %s", (parent_id, asset_id))
    live.announce(conn, "asset", asset_id)
    return get(conn, asset_id)


def weigh(
    conn: Connection,
    asset_id: int,
    *,
    consequence: int | None,
    likelihood: int | None,
    criticality: int | None,
    reason: str,
    version: int,
) -> Kept:
    """How much an asset matters; without a criticality it is the proposed one. Raises AssetNotFound, Stale,
    BadCriticality."""
    _lock(conn, asset_id, version)
    if (consequence is None) != (likelihood is None):
        raise BadCriticality("Consequence and likelihood go together: give both, or neither and a criticality.")
    proposed = None if consequence is None or likelihood is None else tree_rules.proposal(consequence, likelihood)
    chosen = criticality if criticality is not None else proposed
    if chosen is None:
        raise BadCriticality("Give consequence and likelihood, or a criticality with its reason.")
    if chosen != proposed and not reason.strip():
        raise BadCriticality(f"Criticality {chosen} is not the proposed {proposed}: say why." if proposed else None)
    conn.execute(
        """update assets set consequence = %s, likelihood = %s, criticality = %s, criticality_reason = %s
           where asset_id = %s""",
        (consequence, likelihood, chosen, reason.strip(), asset_id),
    )
    live.announce(conn, "asset", asset_id)
    return get(conn, asset_id)


def _lock(conn: Connection, asset_id: int, version: int) -> Kept:
    conn.execute("select 1 from assets where asset_id = %s for no key update", (asset_id,))
    kept = get(conn, asset_id)
    if kept.version != version:
        raise Stale(current={"asset_id": asset_id, "version": kept.version}, given_version=version)
    return kept


def _below(level: str, parent: AssetRow) -> None:
    if not tree_rules.fits_below(level, parent.level):
        raise BadTree(f"A {level} cannot lie below the {parent.level} {parent.code}.")
