"""Assets, signals, bindings and devices in a real database."""

from __future__ import annotations

import dataclasses

import pytest
from psycopg import Connection

from core.database import Database, use_site
from plant import assets
from plant.assets import MachineSpec, SignalSpec
from plant.errors import AssetNotFound, BadRange, CodeTaken, QuantityFixed, SignalNotFound
from plant.model import Asset, Binding, Role, Signal
from plant.units import UnknownQuantity, UnknownUnit, WrongUnit

PUMP = MachineSpec(
    code="P-101",
    name="Feed pump",
    asset_class="pump",
    criticality=4,
    location="Hall 2",
    parent_code="LINE-1",
    signals=(
        SignalSpec("vibration", "vibration_velocity", "in/s", "gw-1", "P-101/vibration", low=0.0, high=50.0),
        SignalSpec("state", "state", "", "gw-1", "P-101/state", role=Role.STATE, period_s=60.0),
    ),
)


def test_an_asset_and_a_signal_come_back_as_made(conn: Connection, site: int) -> None:
    asset_id = assets.create_asset(conn, code="P-1", name="泵", asset_class="pump", criticality=5, location="here")
    signal_id = assets.create_signal(
        conn, asset_id=asset_id, code="t", name="Temperature", quantity="temperature", unit="°F", low=32.0, high=212.0
    )
    assert assets.asset(conn, asset_id) == Asset(asset_id, site, None, "P-1", "泵", "pump", 5, "here", "unit")
    kept = Signal(signal_id, site, asset_id, "t", "Temperature", "temperature", "°C", 0.0, 100.0, 1.0, Role.MEASURED)
    assert assets.signal(conn, signal_id) == dataclasses.replace(
        kept, low=pytest.approx(0.0, abs=1e-9), high=pytest.approx(100.0)
    )
    assert assets.signals(conn, asset_id) == assets.signals_of_site(conn) == [assets.signal(conn, signal_id)]


def test_what_does_not_fit_is_refused_and_the_transaction_lives_on(conn: Connection) -> None:
    asset_id = assets.create_asset(conn, code="P-1", name="Pump", asset_class="pump")
    new = {"asset_id": asset_id, "code": "t", "name": "T"}
    with pytest.raises(CodeTaken):
        assets.create_asset(conn, code="P-1", name="Other", asset_class="pump")
    with pytest.raises(AssetNotFound):
        assets.create_asset(conn, code="P-2", name="Child", asset_class="pump", parent_id=999_999)
    with pytest.raises(WrongUnit):
        assets.create_signal(conn, **new, quantity="temperature", unit="bar")
    with pytest.raises(UnknownUnit):
        assets.create_signal(conn, **new, quantity="temperature", unit="warm")
    with pytest.raises(UnknownQuantity):
        assets.create_signal(conn, **new, quantity="warmth", unit="°C")
    with pytest.raises(BadRange):
        assets.create_signal(conn, **new, quantity="temperature", unit="°C", low=2.0, high=2.0)
    signal_id = assets.create_signal(conn, **new, quantity="temperature", unit="°C")
    with pytest.raises(CodeTaken):
        assets.create_signal(conn, **new, quantity="temperature", unit="°C")
    with pytest.raises(WrongUnit):
        assets.bind(conn, source="gw", tag="t", signal_id=signal_id, unit="bar")
    with pytest.raises(SignalNotFound):
        assets.bind(conn, source="gw", tag="t", signal_id=signal_id + 1)
    assert [asset.code for asset in assets.assets(conn)] == ["P-1"]


def test_a_binding_may_be_changed(conn: Connection) -> None:
    asset_id = assets.create_asset(conn, code="P-1", name="Pump", asset_class="pump")
    one, two = (
        assets.create_signal(conn, asset_id=asset_id, code=code, name=code, quantity="temperature", unit="°C")
        for code in ("a", "b")
    )
    first = assets.bind(conn, source="gw", tag="t", signal_id=one)
    assert assets.bindings(conn, one) == [Binding("gw", "t", one, "°C")]
    assert assets.bind(conn, source="gw", tag="t", signal_id=two, unit="°F", scale=0.1, offset=2.0) == first
    assert assets.bindings(conn, one) == []
    assert assets.bindings(conn, two) == [Binding("gw", "t", two, "°F", 0.1, 2.0)]


def test_a_machine_made_twice_is_there_once(conn: Connection) -> None:
    asset_id = assets.ensure_machine(conn, PUMP)
    before = (assets.assets(conn), assets.signals(conn, asset_id))
    assert assets.ensure_machine(conn, PUMP) == asset_id
    assert (assets.assets(conn), assets.signals(conn, asset_id)) == before
    vibration, state = assets.signals(conn, asset_id)
    assert (vibration.unit, vibration.high, state.role, state.period_s) == ("mm/s", 50.0, Role.STATE, 60.0)
    assert assets.bindings(conn, vibration.signal_id)[0].unit == "in/s"
    line = assets.asset_by_code(conn, "LINE-1")
    assert (line.level, assets.asset(conn, asset_id).parent_id) == ("line", line.asset_id)


def test_a_machine_may_change_but_not_what_its_samples_mean(conn: Connection) -> None:
    asset_id = assets.ensure_machine(conn, PUMP)
    renamed = dataclasses.replace(PUMP, name="Second pump", parent_code=None, signals=())
    assert assets.ensure_machine(conn, renamed) == asset_id
    kept = assets.asset(conn, asset_id)
    assert kept.name == "Second pump"
    assert kept.parent_id is not None
    assert len(assets.signals(conn, asset_id)) == 2
    other = dataclasses.replace(PUMP.signals[0], quantity="temperature", unit="°C")
    with pytest.raises(QuantityFixed):
        assets.ensure_machine(conn, dataclasses.replace(PUMP, signals=(other,)))


def test_devices_are_registered_revoked_and_registered_again(conn: Connection) -> None:
    device_id = assets.register_device(conn, "gw-1", secret_hash="one")
    assert assets.revoke_device(conn, device_id)
    assert not assets.revoke_device(conn, device_id)
    assert assets.register_device(conn, "gw-1", secret_hash="two") == device_id
    assert conn.execute("select secret_hash, revoked_at from devices").fetchall() == [("two", None)]


def test_another_site_has_its_own_codes_and_sees_no_others(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        asset_id = assets.ensure_machine(conn, PUMP)
        other = conn.execute("insert into sites (code, name) values ('b', 'B') returning site_id").fetchone()
        assert other is not None
        use_site(conn, other[0])
        assert assets.assets(conn) == []
        with pytest.raises(AssetNotFound):
            assets.asset(conn, asset_id)
        with pytest.raises(AssetNotFound):
            assets.create_asset(conn, code="P-9", name="Child", asset_class="pump", parent_id=asset_id)
        assert assets.ensure_machine(conn, PUMP) != asset_id


def test_every_change_is_told_to_ingest(database: Database, site: int) -> None:
    listener = database.connect(role="millwright_ingest")
    try:
        listener.execute("listen millwright_plant")
        with database.tx(site_id=site) as conn:
            assets.ensure_machine(conn, PUMP)
            assets.register_device(conn, "gw-1", secret_hash="x")
        told = {notice.payload for notice in listener.notifies(timeout=5.0, stop_after=3)}
    finally:
        listener.close()
    assert told == {"signals", "bindings", "devices"}
