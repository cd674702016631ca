"""What a server offers: a walk over its address space, with limits, and what each variable says of itself."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from asyncua import ua

from core.errors import MillwrightError
from edge.opcua import units
from edge.opcua.line import node_of
from edge.opcua.session import STEP_S, ServerAway, left, opened, quiet, refusal, within
from edge.sources.opcua import Options
from edge.topics import MAX_TAG
from plant.offers import Offer

NODES_A_CALL = 100
PROPERTIES = ("EngineeringUnits", "EURange")
SERVER = ua.NodeId(ua.ObjectIds.Server)  # its own diagnostics are no measurements
NUMERIC = {
    ua.ObjectIds.Boolean: "Boolean",
    ua.ObjectIds.SByte: "SByte",
    ua.ObjectIds.Byte: "Byte",
    ua.ObjectIds.Int16: "Int16",
    ua.ObjectIds.UInt16: "UInt16",
    ua.ObjectIds.Int32: "Int32",
    ua.ObjectIds.UInt32: "UInt32",
    ua.ObjectIds.Int64: "Int64",
    ua.ObjectIds.UInt64: "UInt64",
    ua.ObjectIds.Float: "Float",
    ua.ObjectIds.Double: "Double",
    ua.ObjectIds.Number: "Number",
    ua.ObjectIds.Integer: "Integer",
    ua.ObjectIds.UInteger: "UInteger",
}


class NothingThere(MillwrightError):
    """The server has no node of this path or id. Browse without it to see what there is."""

    code = "no_such_node"
    status = 404


@dataclass(frozen=True, slots=True)
class Limits:
    """When a walk ends, whatever is left."""

    nodes: int = 20_000
    depth: int = 12
    seconds: float = 20.0


@dataclass(slots=True)
class Found:
    """Numeric variables, and whether there may be more (a limit was reached)."""

    offers: list[Offer] = field(default_factory=list)
    looked_at: int = 0
    cut: str = ""  # which limit ended the walk


@dataclass(frozen=True, slots=True)
class _Place:
    node_id: ua.NodeId
    path: tuple[str, ...]


@dataclass(slots=True)
class _Variable:
    place: _Place
    properties: dict[str, ua.NodeId] = field(default_factory=dict)


def browse(
    url: str, chosen: Options, folder: Path, *, name: str, under: str | None = None, limits: Limits | None = None
) -> Found:
    """Connect, walk, part. ``under``: a path of browse names below Objects ("Line 1/P-101"), or a node id.

    Raises SourceConfig (what to change), ServerAway, NothingThere.
    """
    quiet()
    return asyncio.run(_browse(url, chosen, folder, name=name, under=under, limits=limits or Limits()))


async def _browse(url: str, chosen: Options, folder: Path, *, name: str, under: str | None, limits: Limits) -> Found:
    try:
        session = await opened(url, chosen, folder, name=name, now=datetime.fromtimestamp(time.time(), UTC))
    except MillwrightError:
        raise
    except Exception as error:
        raise ServerAway(f"The server at {url} cannot be reached: {str(error) or type(error).__name__}.") from error
    try:
        walk = _Walk(session.client, limits)
        return await walk.run(under)
    except MillwrightError:
        raise
    except Exception as error:
        raise (refusal(error, chosen, folder) or ServerAway(f"Browsing ended early: {error}.")) from error
    finally:
        await left(session.client)


class _Walk:
    """Breadth first, so that a limit cuts what lies deepest; a node that is met twice is looked at once."""

    def __init__(self, client: Any, limits: Limits) -> None:
        self.client, self.limits = client, limits
        self.session: Any = client.uaclient.session
        self.deadline = time.monotonic() + limits.seconds
        self.found = Found()
        self.uris: list[str] = []
        self._met: set[ua.NodeId] = {SERVER}
        self._variables: list[_Variable] = []

    async def run(self, under: str | None) -> Found:
        self.uris = await within(self.client.get_namespace_array(), STEP_S, "asking for its namespaces")
        start = await self._start(under)
        waiting = deque([start])
        self._met.add(start.node_id)
        while waiting and not self._over():
            group = [waiting.popleft() for _ in range(min(NODES_A_CALL, len(waiting)))]
            for place, references in zip(group, await self._children(group), strict=True):
                waiting.extend(self._sort(place, references))
        for begin in range(0, len(self._variables), NODES_A_CALL):
            if time.monotonic() > self.deadline:
                self.found.cut = self.found.cut or "time"
                break
            await self._describe(self._variables[begin : begin + NODES_A_CALL])
        _tell_apart(self.found)
        return self.found

    def _over(self) -> bool:
        if self.found.looked_at >= self.limits.nodes:
            self.found.cut = "nodes"
        elif time.monotonic() > self.deadline:
            self.found.cut = "time"
        return bool(self.found.cut)

    async def _start(self, under: str | None) -> _Place:
        """Where to begin. Raises NothingThere."""
        objects = _Place(ua.NodeId(ua.ObjectIds.ObjectsFolder), ())
        if not under:
            return objects
        if "=" in under.split(";", 1)[0]:
            return _Place(node_of(under, self.uris), ())
        place = objects
        for step in [each for each in under.split("/") if each]:
            references = (await self._children([place]))[0]
            wanted = [each for each in references if step in (each.BrowseName.Name, each.DisplayName.Text)]
            if not wanted:
                raise NothingThere(f"The server has no {step!r} below {'/'.join(place.path) or 'Objects'}.")
            place = _Place(wanted[0].NodeId, (*place.path, _step(wanted[0])))
        return place

    async def _children(self, places: Sequence[_Place]) -> list[list[ua.ReferenceDescription]]:
        """References of each node, continuation points followed."""
        parameters = ua.BrowseParameters()
        parameters.View.Timestamp = ua.get_win_epoch()
        parameters.RequestedMaxReferencesPerNode = 1_000
        parameters.NodesToBrowse = [_wanted(each.node_id) for each in places]
        results = await within(self.session.browse(parameters), STEP_S, "browsing")
        found = [list(each.References or []) for each in results]
        points = [(index, each.ContinuationPoint) for index, each in enumerate(results) if each.ContinuationPoint]
        while points and not self._over():
            more = ua.BrowseNextParameters()
            more.ReleaseContinuationPoints = False
            more.ContinuationPoints = [point for _, point in points]
            results = await within(self.session.browse_next(more), STEP_S, "browsing on")
            for (index, _), each in zip(points, results, strict=True):
                found[index].extend(each.References or [])
            points = [
                (index, each.ContinuationPoint)
                for (index, _), each in zip(points, results, strict=True)
                if each.ContinuationPoint
            ]
        return found

    def _sort(self, place: _Place, references: Sequence[ua.ReferenceDescription]) -> list[_Place]:
        """Variables are kept, places further down are returned."""
        further: list[_Place] = []
        for each in references:
            if each.NodeId in self._met or len(place.path) >= self.limits.depth:
                continue
            if self.found.looked_at >= self.limits.nodes:
                break
            if each.BrowseName.Name in PROPERTIES and each.BrowseName.NamespaceIndex == 0:
                continue
            self._met.add(each.NodeId)
            self.found.looked_at += 1
            below = _Place(each.NodeId, (*place.path, _step(each)))
            if each.NodeClass == ua.NodeClass.Variable:
                if each.TypeDefinition != ua.NodeId(ua.ObjectIds.PropertyType):
                    self._variables.append(_Variable(below))
                    further.append(below)
            elif each.NodeClass == ua.NodeClass.Object:
                further.append(below)
        return further

    async def _describe(self, variables: Sequence[_Variable]) -> None:
        """Read what the variables say of themselves; those that hold numbers become offers."""
        told = await self._read(variables)
        numeric = [(each, facts) for each, facts in zip(variables, told, strict=True) if facts[0] is not None]
        properties = await self._properties([each for each, _ in numeric])
        for (each, (data_type, text, sampling)), about in zip(numeric, properties, strict=True):
            self.found.offers.append(self._offer(each.place, str(data_type), text, sampling, about))

    async def _read(self, variables: Sequence[_Variable]) -> list[tuple[str | None, str, float | None]]:
        """Data type (None: holds no single number), description, sampling interval in s, of each."""
        wanted = (
            ua.AttributeIds.DataType,
            ua.AttributeIds.ValueRank,
            ua.AttributeIds.Description,
            ua.AttributeIds.MinimumSamplingInterval,
        )
        ids = [each.place.node_id for each in variables]
        columns = []
        for attribute in wanted:
            asked = self.session.read_attributes(ids, attribute)
            columns.append([_value(each) for each in await within(asked, STEP_S, "reading attributes")])
        return [_facts(*row) for row in zip(*columns, strict=True)]

    async def _properties(self, variables: Sequence[_Variable]) -> list[dict[str, Any]]:
        """EngineeringUnits and EURange of each, where it has them."""
        paths = [_property(each.place.node_id, name) for each in variables for name in PROPERTIES]
        if not paths:
            return []
        asked = self.session.translate_browsepaths_to_nodeids(paths)
        targets = [
            each.Targets[0].TargetId if each.StatusCode.is_good() and each.Targets else None
            for each in await within(asked, STEP_S, "looking for units")
        ]
        there = [each for each in targets if each is not None]
        values = iter(await self._values(there))
        flat = [None if each is None else next(values) for each in targets]
        return [dict(zip(PROPERTIES, flat[start : start + 2], strict=True)) for start in range(0, len(flat), 2)]

    async def _values(self, ids: Sequence[ua.NodeId]) -> list[Any]:
        if not ids:
            return []
        asked = self.session.read_attributes(list(ids), ua.AttributeIds.Value)
        return [_value(each) for each in await within(asked, STEP_S, "reading units")]

    def _offer(self, place: _Place, data_type: str, text: str, sampling: float | None, about: dict[str, Any]) -> Offer:
        unit, (low, high) = about.get("EngineeringUnits"), _range(about.get("EURange"))
        shown = getattr(getattr(unit, "DisplayName", None), "Text", None)
        path = "/".join(place.path)
        return Offer(
            path[-MAX_TAG:],
            path,
            self._text(place.node_id),
            data_type,
            units.unit(getattr(unit, "UnitId", None), shown),
            "state" if data_type == "Boolean" else "",
            text,
            low,
            high,
            sampling,
        )

    def _text(self, node_id: ua.NodeId) -> str:
        """A node id that names its namespace by URI: indexes may change when the server starts again."""
        text = str(node_id.to_string())
        index = node_id.NamespaceIndex
        if index == 0 or index >= len(self.uris):
            return text
        return f"nsu={quote(self.uris[index], safe=':/.-_')};{text.partition(';')[2]}"


def _wanted(node_id: ua.NodeId) -> ua.BrowseDescription:
    wanted = ua.BrowseDescription()
    wanted.NodeId = node_id
    wanted.BrowseDirection = ua.BrowseDirection.Forward
    wanted.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
    wanted.IncludeSubtypes = True
    wanted.NodeClassMask = ua.NodeClass.Object | ua.NodeClass.Variable
    wanted.ResultMask = ua.BrowseResultMask.All
    return wanted


def _property(node_id: ua.NodeId, name: str) -> ua.BrowsePath:
    path = ua.BrowsePath()
    path.StartingNode = node_id
    element = ua.RelativePathElement()
    element.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HasProperty)
    element.IncludeSubtypes = True
    element.IsInverse = False
    element.TargetName = ua.QualifiedName(name, 0)
    path.RelativePath.Elements = [element]
    return path


def _step(reference: ua.ReferenceDescription) -> str:
    """One step of a path: the browse name, without what would not fit into a tag."""
    name = (reference.BrowseName.Name or reference.DisplayName.Text or "?").replace("/", "_")
    return "".join(each if each.isprintable() else "_" for each in name)[:200]


def _value(data: ua.DataValue) -> Any:
    return data.Value.Value if data.StatusCode.is_good() and data.Value is not None else None


def _facts(data_type: Any, rank: Any, text: Any, sampling: Any) -> tuple[str | None, str, float | None]:
    known = isinstance(data_type, ua.NodeId) and data_type.NamespaceIndex == 0
    name = NUMERIC.get(data_type.Identifier) if known else None
    scalar = not isinstance(rank, int) or rank < 0
    period_s = sampling / 1000 if isinstance(sampling, int | float) and sampling > 0 else None
    return (name if scalar else None), str(getattr(text, "Text", None) or ""), period_s


def _range(limits: Any) -> tuple[float | None, float | None]:
    low, high = (getattr(limits, name, None) for name in ("Low", "High"))
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return None, None
    return (float(low), float(high)) if math.isfinite(low + high) and low < high else (None, None)


def _tell_apart(found: Found) -> None:
    """Two nodes of one path get tags of their own."""
    met: dict[str, int] = {}
    for index, each in enumerate(found.offers):
        met[each.tag] = met.get(each.tag, 0) + 1
        if met[each.tag] > 1:
            changed = Offer(
                f"{each.tag[: MAX_TAG - 6]}~{met[each.tag]}", each.path, each.node_id, each.data_type, each.unit,
                each.quantity, each.description, each.low, each.high, each.period_s,
            )  # fmt: skip
            found.offers[index] = changed
