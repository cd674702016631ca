"""The simulated OPC UA server, seen by a real client."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import Client, ua

from simulators.machines import PHYSICS
from simulators.machines.base import Build, Machine
from simulators.machines.duty import Duty
from simulators.machines.faults import SensorFault, SensorKind
from simulators.opcua_server import OpcUaPlant
from simulators.plantclock import started_at

START_US = 1_767_225_600_000_000


def pump() -> Machine:
    silent = SensorFault("flow", SensorKind.SILENT, START_US + 30_000_000)
    build = Build("P-101", 5, 1.0, Duty(stops_per_day=0.0), 1)
    return Machine(build, PHYSICS["pump"](5), start_us=START_US, sensor_faults=(silent,))


class Heard:
    """Collects data changes until one of a time has come."""

    def __init__(self) -> None:
        self.values: list[ua.DataValue] = []

    def datachange_notification(self, node: object, value: object, data: object) -> None:
        self.values.append(data.monitored_item.Value)  # type: ignore[attr-defined]


def test_a_client_sees_values_times_status_and_history() -> None:
    plant = OpcUaPlant(pump(), started_at(START_US + 20_000_000, factor=20.0), period_s=0.2, history=15)
    plant.start()
    try:
        asyncio.run(look(plant))
    finally:
        plant.stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", plant.port)) != 0


async def look(plant: OpcUaPlant) -> None:
    truth = pump().advance(START_US + 4_000_000_000)  # more than 3 minutes of the wall: a slow client sees later values
    expected = dict(zip(truth.at_us.tolist(), truth.values["bearing_temp"].tolist(), strict=True))
    async with Client(plant.endpoint) as client:
        folder = await client.nodes.objects.get_child(["2:P-101"])
        names = {(await node.read_browse_name()).Name for node in await folder.get_children()}
        assert names == {s.code for s in pump().physics.signals}
        heard = Heard()
        subscription = await client.create_subscription(50, heard)
        node = client.get_node(plant.node_id("bearing_temp"))
        await subscription.subscribe_data_change(node, queuesize=100)
        await until(lambda: len(heard.values) >= 12)
        await subscription.delete()
        for value in heard.values:
            assert value.Value is not None and value.SourceTimestamp is not None
            assert value.Value.Value == expected[in_us(value.SourceTimestamp)]
        flow = client.get_node(plant.node_id("flow"))

        async def status() -> int:
            return (await flow.read_data_value(raise_on_bad_status=False)).StatusCode.value

        deadline = asyncio.get_running_loop().time() + 10
        while await status() != ua.StatusCodes.BadSensorFailure:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.05)
        start = datetime.fromtimestamp(START_US / 1e6, UTC)
        past = await node.read_raw_history(start, start + timedelta(seconds=14))
        assert {in_us(v.SourceTimestamp): v.Value.Value for v in past} == {
            at: value for at, value in expected.items() if at <= START_US + 14_000_000
        }


async def until(true: object, *, within_s: float = 10.0) -> None:
    deadline = asyncio.get_running_loop().time() + within_s
    while not true():  # type: ignore[operator]
        assert asyncio.get_running_loop().time() < deadline, "timeout"
        await asyncio.sleep(0.02)


def in_us(at: datetime | None) -> int:
    assert at is not None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1_000_000)


def test_a_port_in_use_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        plant = OpcUaPlant(pump(), started_at(START_US, factor=1.0), port=taken.getsockname()[1])
        with pytest.raises(RuntimeError, match="did not start"):
            plant.start()
        plant.stop()
