"""Odd values from a real server, and old ones from its history: each stored, kept aside with a reason, or told."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asyncua import ua
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import Connection

from core.database import Database
from core.ports import reserve
from edge.kinds import TagStatus
from edge.opcua import units, values
from ingest import opcua_history
from plant import sources
from plant.model import Quality
from tests.conftest import wait_for_port
from tests.integration.ingest_kit import ROOT, wait_until
from tests.integration.opcua_kit import Plc, configure, hearing, kept, machine, reaches, state

# every step changes one node in one odd way; `good` counts on, so that one sees that the rest is still heard
SERVER = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from asyncua import Server, ua

NAMES = ["nan", "inf", "text", "array", "null", "changing", "huge", "bad", "uncertain", "old", "future", "early"]

ANY = ua.NodeId(ua.ObjectIds.BaseDataType)

async def main(port):
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    space = await server.register_namespace("urn:test")
    nodes = {}
    for name in ["good", *NAMES]:
        nodes[name] = await server.nodes.objects.add_variable(ua.NodeId(name, space), name, 0.0, datatype=ANY)
    late = None
    async with server:
        async def show(name, value, kind=None, status=0, at=None):
            data = ua.DataValue(ua.Variant(value, kind) if kind else ua.Variant(value),
                                ua.StatusCode(status), SourceTimestamp=at or datetime.now(UTC))
            # this server would keep to the first type; others do not
            server.iserver.aspace._nodes[nodes[name].nodeid].attributes[ua.AttributeIds.Value].value = None
            await server.write_attribute_value(nodes[name].nodeid, data)
        number = 0
        while True:
            number += 1
            await show("good", float(number))
            if number == 20:
                late = await server.nodes.objects.add_variable(ua.NodeId("late", space), "late", 7.0)
            if number == 60:
                await server.delete_nodes([nodes["early"]])
            elif number < 60:
                await show("early", float(number))
            await show("nan", float("nan")) if number % 2 else await show("nan", float(number))
            await show("inf", float("inf") if number % 2 else float(number))
            await show("text", "12,5 " + str(number))
            await show("array", [1.0, float(number)])
            await show("null", None, ua.VariantType.Null)
            if number % 3 == 0:
                await show("changing", str(number))
            elif number % 3 == 1:
                await show("changing", number, ua.VariantType.Int64)
            else:
                await show("changing", number % 2 == 0)
            if number == 5:
                await show("huge", "x" * 10_000_000)
            await show("bad", 7.0, status=ua.StatusCodes.BadSensorFailure)
            await show("uncertain", 7.0 + number, status=ua.StatusCodes.UncertainLastUsableValue)
            await show("old", float(number), at=datetime(1601, 1, 1, 0, 0, number % 50 + 1, tzinfo=UTC))
            await show("future", float(number), at=datetime.now(UTC) + timedelta(days=3))
            await asyncio.sleep(0.1)

asyncio.run(main(int(sys.argv[1])))
"""
NAMES = ["nan", "inf", "text", "array", "null", "changing", "huge", "bad", "uncertain", "old", "future", "early"]


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[int]:
    """A server of odd values; its port."""
    port = reserve()
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", SERVER, str(port)], cwd=ROOT, stdout=log, stderr=log)
        try:
            wait_for_port(port, within_s=60)
            yield port
        finally:
            process.kill()
            process.wait(10)


@pytest.mark.slow
def test_every_odd_value_is_stored_or_kept_aside_with_its_reason(
    database: Database, site: int, superuser: Connection, tmp_path: Path, odd: int
) -> None:
    tags = ["good", *NAMES, "late", "never"]
    machine(database, site, tags)
    configure(database, site, f"opc.tcp://127.0.0.1:{odd}/", tags, check_s=1)

    def reasons() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for tag, reason in superuser.execute("select distinct tag, reason from quarantine"):
            found.setdefault(tag, set()).add(reason)
        return found

    def good() -> int:
        return sum(name == "good" for name, *_ in kept(superuser))

    with hearing(database, tmp_path):
        wait_until(lambda: good() > 70, within_s=90, what="hearing the good node through all of it")
        wait_until(lambda: "early" in state(superuser)[1], within_s=30, what="telling that a node is gone")
        detail = state(superuser)[1]
        wait_until(lambda: len(reasons()) >= 8, within_s=60, what="keeping every odd one aside")
    assert state(superuser)[0] == "connected"
    assert "never (BadNodeIdUnknown)" in detail and "late" not in detail
    assert {name for name, *_ in kept(superuser)} >= {"good", "late", "early", "nan", "inf", "changing"}
    assert {tag: why for tag, why in reasons().items() if tag != "nan"} == {
        "inf": {"not_a_number"},
        "text": {"not_a_number"},
        "array": {"not_a_number"},
        "null": {"not_a_number"},
        "changing": {"not_a_number"},
        "huge": {"not_a_number"},
        "old": {"implausible_time"},
        "future": {"implausible_time"},
    }
    rows = superuser.execute(
        "select code, quality, value from samples join signals using (signal_id) where code in ('bad', 'uncertain')"
    ).fetchall()
    assert {(code, quality) for code, quality, _ in rows} == {("bad", Quality.BAD), ("uncertain", Quality.UNCERTAIN)}
    assert all(math.isnan(value) for code, _, value in rows if code == "bad")
    codes = dict(superuser.execute("select tag, name from signal_status").fetchall())
    assert codes["bad"] == "BadSensorFailure"
    assert codes["uncertain"] == "UncertainLastUsableValue"
    assert codes["never"] == codes["early"] == "BadNodeIdUnknown"
    with database.tx(site_id=site) as conn:
        row = conn.execute("select signal_id from signals where code = 'bad'").fetchone()
        assert row is not None
        shown = sources.codes_of(conn, row[0])
    assert [(each.name, each.until_at) for each in shown] == [("BadSensorFailure", None)]


@pytest.mark.slow
def test_the_same_day_of_history_twice_changes_nothing(
    database: Database, site: int, superuser: Connection, tmp_path: Path
) -> None:
    names = [f"n{index}" for index in range(4)]
    day_us = int((datetime.now(UTC) - timedelta(days=2)).timestamp()) * 1_000_000
    rows = [(f"n{number % 4}", day_us + number * 1_000_000, float(number)) for number in range(5000)]
    (tmp_path / "ledger").write_text("".join(f"{name} {us} {value}\n" for name, us, value in rows))
    plc = Plc(tmp_path)
    plc.start()
    machine(database, site, names)
    configure(database, site, f"opc.tcp://127.0.0.1:{plc.port}/", names)
    span = {"start_us": day_us, "end_us": day_us + 4999 * 1_000_000, "folder": tmp_path}
    try:
        first = opcua_history.backfill(database, site_id=site, name="plc", **span)
        second = opcua_history.backfill(database, site_id=site, name="plc", **span)
    finally:
        plc.kill()
    assert (first.totals.stored, first.missing) == (5000, {})
    assert (second.totals.stored, second.totals.quarantined) == (0, 0)
    assert sorted(kept(superuser)) == sorted(rows)


def test_a_node_id_that_cannot_be_read_is_a_wrong_configuration(
    database: Database, site: int, superuser: Connection, tmp_path: Path
) -> None:
    plc = Plc(tmp_path)
    plc.start()
    configure(database, site, f"opc.tcp://127.0.0.1:{plc.port}/", [], nodes=[{"node_id": "temperature", "tag": "t"}])
    try:
        with hearing(database, tmp_path):
            assert "'temperature' is no node id" in reaches(superuser, "misconfigured")
    finally:
        plc.kill()


EARLY, LATE = datetime.fromisoformat("1601-01-01"), datetime.fromisoformat("9999-12-31")
variants = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.floats()), st.datetimes()
)
stamps = st.one_of(st.none(), st.datetimes(EARLY, LATE))


@settings(max_examples=500, deadline=None)
@given(variants, stamps, st.integers(0, 2**32 - 1))
def test_any_data_value_is_a_sample_or_a_fault(value: object, stamp: datetime | None, status: int) -> None:
    data = ua.DataValue(ua.Variant(None), ua.StatusCode(status), SourceTimestamp=stamp)
    object.__setattr__(data, "Value", ua.Variant.__new__(ua.Variant))
    object.__setattr__(data.Value, "Value", value)
    found = values.one(data)
    readings, faults = values.gather("plc", [("t", found)], int(time.time() * 1e6))
    assert len(readings) + len(faults) == 1
    assert found.quality == min(status >> 30, 2)
    if readings and found.quality is not Quality.BAD:
        assert readings[0].values[0] == value or math.isnan(readings[0].values[0])
    if faults:
        assert len(faults[0].detail) < 200


@given(st.lists(st.sampled_from([0, 0x80000000, 0x408F0000]), max_size=30))
def test_stretches_of_codes_cover_what_is_not_good(codes: list[int]) -> None:
    row = [values.One(index, 0.0, Quality.GOOD, code) for index, code in enumerate(codes)]
    found: list[TagStatus] = list(values.stretches("t", row))
    for index, code in enumerate(codes[:-1]):  # where the last one ends nobody knows
        inside = [each.code for each in found if each.at_us <= index < (each.until_us or 0)]
        assert inside == ([code] if code else [])


@pytest.mark.parametrize(
    ("unit_id", "shown", "unit"),
    [
        (int.from_bytes(b"CEL", "big"), "°C", "°C"),
        (int.from_bytes(b"C16", "big"), "whatever", "mm/s"),
        (int.from_bytes(b"4K", "big"), None, "mA"),
        (-1, "bar", "bar"),
        (None, "deg C", "°C"),
        (12345, "furlong", ""),
        (None, None, ""),
        (2**40, "", ""),
    ],
)
def test_units_come_from_the_code_or_the_name(unit_id: int | None, shown: str | None, unit: str) -> None:
    assert units.unit(unit_id, shown) == unit
