"""A policy is refused where it would contradict one that lies over it, whichever of the two came first."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from psycopg import Connection

from maintenance import policies
from maintenance.errors import BadPolicy
from maintenance.policies import Scope
from plant import assets

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)


def test_a_general_policy_may_not_break_a_special_one(conn: Connection, site: int) -> None:
    pump = assets.create_asset(conn, code="P-1", name="Pump", asset_class="pump")
    policies.create(conn, Scope("pump"), {"cost_planned": 100.0}, by="Li", now=T0)
    special = policies.create(conn, Scope(asset_id=pump), {"cost_failure": 400.0}, by="Li", now=T0)
    with pytest.raises(BadPolicy, match=f"policy {special.policy_id} .*cost_failure is below"):
        policies.create(conn, Scope("pump", "cavitation"), {"cost_planned": 500.0}, by="Li", now=T0)
    policies.create(conn, Scope("fan"), {"cost_planned": 500.0}, by="Li", now=T0)  # another class: nothing in common


def test_a_change_may_not_break_what_lies_over_it_either(conn: Connection, site: int) -> None:
    general = policies.create(conn, Scope("pump"), {"wait_limit_h": 20}, by="Li", now=T0)
    special = policies.create(conn, Scope("pump", "cavitation"), {"persist_h": 15}, by="Li", now=T0)
    with pytest.raises(BadPolicy, match=f"policy {special.policy_id} .*persist_h is longer"):
        policies.change(conn, general.policy_id, {"wait_limit_h": 10}, version=1, by="Li", now=T0)
    policies.retire(conn, special.policy_id, version=1, by="Li", now=T0)
    assert policies.change(conn, general.policy_id, {"wait_limit_h": 10}, version=1, by="Li", now=T0).version == 2
