"""Changes of one asset that the tree or its weight must bear: moving, level, criticality. SQL on the current site."""

from __future__ import annotations

from dataclasses import replace

from psycopg import Connection

from plant import import_store, tree_rules
from plant.errors import AssetNotFound, BadCriticality, BadTree
from plant.import_store import Kept
from plant.importing import AssetRow, Change, Item


def get(conn: Connection, asset_id: int) -> Kept:
    """One asset with why it matters. Raises AssetNotFound."""
    found = import_store.kept(conn, asset_id)
    if not found:
        raise AssetNotFound
    return found[0]


def check_place(conn: Connection, *, level: str, parent_id: int | None) -> None:
    """Refuse a new node below one of a lower level. Raises BadTree, AssetNotFound."""
    if parent_id is not None:
        _below(level, get(conn, parent_id).row)


def move(conn: Connection, asset_id: int, *, parent_id: int | None) -> Kept:
    """Hang an asset, with all below it, under another parent. Raises AssetNotFound, BadTree."""
    conn.execute("select pg_advisory_xact_lock(hashtext('assets.import'), current_site())")
    kept = get(conn, asset_id)
    parent = None if parent_id is None else get(conn, parent_id).row
    if parent is not None:
        _below(kept.row.level, parent)
    rows = {each.row.code: each.row.parent for each in import_store.kept(conn)}
    wanted = replace(kept.row, parent=parent.code if parent else None)
    if circles := tree_rules.rings({**rows, wanted.code: wanted.parent}):
        raise BadTree(f"{' → '.join(circles[0])}: an asset never lies below itself.")
    return _write(conn, kept, wanted)


def weigh(
    conn: Connection,
    asset_id: int,
    *,
    consequence: int | None,
    likelihood: int | None,
    criticality: int | None,
    reason: str,
) -> Kept:
    """How much an asset matters; without a criticality it is the proposed one. Raises AssetNotFound, BadCriticality."""
    kept = get(conn, asset_id)
    if (consequence is None) != (likelihood is None):
        raise BadCriticality("Consequence and likelihood go together: give both, or neither and a criticality.")
    proposed = None if consequence is None or likelihood is None else tree_rules.proposal(consequence, likelihood)
    chosen = criticality if criticality is not None else proposed
    if chosen is None:
        raise BadCriticality("Give consequence and likelihood, or a criticality with its reason.")
    if chosen != proposed and not reason.strip():
        raise BadCriticality(f"Criticality {chosen} is not the proposed {proposed}: say why." if proposed else None)
    wanted = replace(
        kept.row, consequence=consequence, likelihood=likelihood, criticality=chosen, reason=reason.strip()
    )
    return _write(conn, kept, wanted)


def _below(level: str, parent: AssetRow) -> None:
    if not tree_rules.fits_below(level, parent.level):
        raise BadTree(f"A {level} cannot lie below the {parent.level} {parent.code}.")


def _write(conn: Connection, kept: Kept, wanted: AssetRow) -> Kept:
    if wanted != kept.row:
        import_store.write(conn, [Item(0, wanted.code, None, Change.CHANGED, {}, wanted)])
    return replace(kept, row=wanted)
