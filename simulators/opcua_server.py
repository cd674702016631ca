"""A simulated machine behind an OPC UA server: one node a signal, with source times, status codes and history.

Loopback only, no security, anonymous: a stand-in for a controller in tests and demos, never for the plant floor.
"""

from __future__ import annotations

import asyncio
import math
import socket
import threading
from datetime import UTC, datetime

from asyncua import Node, Server, ua

from simulators.machines.base import Columns, Machine
from simulators.plantclock import PlantClock

NAMESPACE = "urn:millwright:simulators"
HISTORY_VALUES = 20_000  # kept per node, in memory


class OpcUaPlant:
    """Serves one machine. ``start`` returns when clients may connect; ``stop`` when the port is free again.

    Nodes: ``Objects/{machine code}/{signal code}`` with string ids ``ns=2;s={machine code}/{signal code}``. A silent
    sensor keeps its last value with status BadSensorFailure.
    """

    def __init__(
        self, machine: Machine, clock: PlantClock, *, port: int | None = None, period_s: float = 1.0, history: int = 0
    ) -> None:
        self.port = free_port() if port is None else port
        self.endpoint = f"opc.tcp://127.0.0.1:{self.port}/millwright/"
        self._machine = machine
        self._clock = clock
        self._period_s = period_s
        self._history = history  # rows made and stored before clients may connect
        self._last: dict[str, float] = {}
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name=f"opcua {machine.build.code}", daemon=True)

    def node_id(self, signal: str) -> str:
        """Text form of a signal's node id."""
        return f"ns=2;s={self._machine.build.code}/{signal}"

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
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        nodes = await self._make_nodes(server)
        async with server:
            for node in nodes.values():
                await server.iserver.enable_history_data_change(node, period=None, count=HISTORY_VALUES)
            await self._publish(server, nodes, self._machine.advance(self._first_us(), max_rows=self._history))
            self._ready.set()
            while not self._stop.is_set():
                await self._publish(server, nodes, self._machine.advance(self._clock.now_us()))
                await _sleep_or(self._stop, self._period_s)

    def _first_us(self) -> int:
        return self._clock.now_us() if self._history else self._machine.next_us - 1

    async def _make_nodes(self, server: Server) -> dict[str, Node]:
        space = await server.register_namespace(NAMESPACE)
        code = self._machine.build.code
        folder = await server.nodes.objects.add_folder(ua.NodeId(code, space), ua.QualifiedName(code, space))
        nodes = {}
        for spec in self._machine.physics.signals:
            name = ua.QualifiedName(spec.code, space)
            nodes[spec.code] = await folder.add_variable(ua.NodeId(f"{code}/{spec.code}", space), name, math.nan)
        return nodes

    async def _publish(self, server: Server, nodes: dict[str, Node], columns: Columns) -> None:
        """Write every row, oldest first, with its own source time."""
        for row, at_us in enumerate(columns.at_us.tolist()):
            at = datetime.fromtimestamp(at_us / 1e6, UTC)
            for signal, node in nodes.items():
                value = float(columns.values[signal][row])
                good = not math.isnan(value)
                self._last[signal] = value if good else self._last.get(signal, 0.0)
                await server.write_attribute_value(node.nodeid, _data_value(self._last[signal], at, good=good))


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


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
