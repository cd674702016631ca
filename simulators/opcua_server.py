"""Simulated machines behind an OPC UA server: one node a signal, with unit, range, source times, status codes, history.

Loopback only: a stand-in for a controller in tests and demos, never for the plant floor. Anonymous and without security
unless told otherwise.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

from asyncua import Node, Server, ua

from core.ports import reserve
from simulators.machines.base import Columns, Machine, SignalSpec
from simulators.opcua_security import Security, secure, unit_information
from simulators.plantclock import PlantClock

NAMESPACE = "urn:millwright:simulators"
HISTORY_VALUES = 20_000  # kept per node, in memory


class OpcUaPlant:
    """Serves one machine, or several. ``start`` returns when clients may connect; ``stop`` when the port is free again.

    Nodes: ``Objects/{machine code}/{signal code}`` with string ids ``ns=2;s={machine code}/{signal code}``. A silent
    sensor keeps its last value with status BadSensorFailure.
    """

    def __init__(
        self,
        machine: Machine | Sequence[Machine],
        clock: PlantClock,
        *,
        port: int | None = None,
        period_s: float = 1.0,
        history: int = 0,
        security: Security | None = None,
    ) -> None:
        self.port = reserve() if port is None else port
        self.endpoint = f"opc.tcp://127.0.0.1:{self.port}/millwright/"
        self._machines = [machine] if isinstance(machine, Machine) else list(machine)
        self._security = security
        self._clock = clock
        self._period_s = period_s
        self._history = history  # rows made and stored before clients may connect
        self._last: dict[str, float] = {}
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name=f"opcua {self.port}", daemon=True)

    def node_id(self, signal: str) -> str:
        """Text form of the node id of a signal of the first machine."""
        return f"ns=2;s={self._machines[0].build.code}/{signal}"

    def start(self, *, timeout_s: float = 20.0) -> None:
        """Raises RuntimeError when the server does not come up."""
        self._thread.start()
        if not self._ready.wait(timeout_s) or self._failure is not None or not self._thread.is_alive():
            raise RuntimeError(f"The OPC UA server did not start: {self._failure or 'timeout'}") from self._failure

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.is_alive():
            self._thread.join(15.0)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (OSError, ua.UaError) as error:
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = Server()
        await server.init()
        server.set_endpoint(self.endpoint)
        server.set_server_name("Millwright simulator")
        await secure(server, self._security)
        space = await server.register_namespace(NAMESPACE)
        served = [(machine, await _make_nodes(server, space, machine)) for machine in self._machines]
        async with server:
            for machine, nodes in served:
                for node in nodes.values():
                    await server.iserver.enable_history_data_change(node, period=None, count=HISTORY_VALUES)
                await self._publish(server, nodes, machine.advance(self._first_us(machine), max_rows=self._history))
            self._ready.set()
            while not self._stop.is_set():
                for machine, nodes in served:
                    await self._publish(server, nodes, machine.advance(self._clock.now_us()))
                await _sleep_or(self._stop, self._period_s)

    def _first_us(self, machine: Machine) -> int:
        return self._clock.now_us() if self._history else machine.next_us - 1

    async def _publish(self, server: Server, nodes: dict[str, Node], columns: Columns) -> None:
        """Write every row, oldest first, with its own source time."""
        for row, at_us in enumerate(columns.at_us.tolist()):
            at = datetime.fromtimestamp(at_us / 1e6, UTC)
            for signal, node in nodes.items():
                value = float(columns.values[signal][row])
                good = not math.isnan(value)
                key = str(node.nodeid.Identifier)
                self._last[key] = value if good else self._last.get(key, 0.0)
                await server.write_attribute_value(node.nodeid, _data_value(self._last[key], at, good=good))


async def _make_nodes(server: Server, space: int, machine: Machine) -> dict[str, Node]:
    """A folder a machine, a node a signal; signal code → node."""
    code = machine.build.code
    folder = await server.nodes.objects.add_folder(ua.NodeId(code, space), ua.QualifiedName(code, space))
    nodes = {}
    for spec in machine.physics.signals:
        name = ua.QualifiedName(spec.code, space)
        node = await folder.add_variable(ua.NodeId(f"{code}/{spec.code}", space), name, math.nan)
        await _describe(node, spec)
        nodes[spec.code] = node
    return nodes


async def _describe(node: Node, spec: SignalSpec) -> None:
    """What a browsing client may know: text, unit and range, as an AnalogItem has them (OPC 10000-8)."""
    text = ua.Variant(ua.LocalizedText(spec.name["en"]), ua.VariantType.LocalizedText)
    await node.write_attribute(ua.AttributeIds.Description, ua.DataValue(text))
    await node.add_property(ua.NodeId(), ua.QualifiedName("EngineeringUnits", 0), unit_information(spec.unit))
    await node.add_property(ua.NodeId(), ua.QualifiedName("EURange", 0), ua.Range(spec.low, spec.high))


def _data_value(value: float, at: datetime, *, good: bool) -> ua.DataValue:
    status = ua.StatusCodes.Good if good else ua.StatusCodes.BadSensorFailure
    return ua.DataValue(
        ua.Variant(value, ua.VariantType.Double),
        StatusCode=ua.StatusCode(status),
        SourceTimestamp=at,
        ServerTimestamp=at,
    )


async def _sleep_or(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
