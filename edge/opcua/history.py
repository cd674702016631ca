"""Raw history of nodes, page by page: continuation points, a deadline a call, a pause after each so that the server
keeps breathing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua

from edge.opcua.session import within
from edge.opcua.values import One, name_of, one

CALL_S = 30.0
NODES_A_CALL = 10
VALUES_A_NODE = 2_000  # a call
LONGEST_PAUSE_S = 1.0
ACCESS_CHUNK = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_POINT = {ua.StatusCodes.BadNoContinuationPoints, ua.StatusCodes.BadContinuationPointInvalid}
# the whole call is refused: for good, or because it asks for too much at once
_NEVER = {
    ua.StatusCodes.BadServiceUnsupported,
    ua.StatusCodes.BadHistoryOperationUnsupported,
    ua.StatusCodes.BadHistoryOperationInvalid,
    ua.StatusCodes.BadNotImplemented,
    ua.StatusCodes.BadUserAccessDenied,
}
_TOO_MUCH = {ua.StatusCodes.BadTooManyOperations, ua.StatusCodes.BadResponseTooLarge}


@dataclass(frozen=True, slots=True)
class Page:
    """Some values of a tag, oldest first; ``refused`` tells instead that its history cannot be read, and why."""

    tag: str
    values: Sequence[One] = ()
    refused: str = ""


@dataclass(frozen=True, slots=True)
class _Ask:
    tag: str
    node_id: ua.NodeId
    start_us: int
    point: bytes | None = None


async def unreadable(session: Any, nodes: Mapping[str, ua.NodeId]) -> set[str]:
    """Tags whose node says that its history may not be read, or that it has none."""
    found: set[str] = set()
    tags = list(nodes)
    for start in range(0, len(tags), ACCESS_CHUNK):
        chunk = tags[start : start + ACCESS_CHUNK]
        asked = session.read_attributes([nodes[tag] for tag in chunk], ua.AttributeIds.UserAccessLevel)
        for tag, data in zip(chunk, await within(asked, CALL_S, "asking for access levels"), strict=True):
            level = data.Value.Value if data.StatusCode.is_good() and data.Value is not None else None
            if isinstance(level, int) and not level & 1 << ua.AccessLevel.HistoryRead:
                found.add(tag)
    return found


async def read(
    session: Any, nodes: Mapping[str, ua.NodeId], starts_us: Mapping[str, int], end_us: int
) -> AsyncIterator[Page]:
    """Every value of each tag from its start to ``end_us``, both inclusive; some may come twice.

    Raises ServerAway when a call takes too long, and what asyncua raises when the connection is lost.
    """
    asks = [_Ask(tag, nodes[tag], starts_us[tag]) for tag in nodes]
    while asks:
        asks.sort(key=lambda each: each.start_us)
        group = [each for each in asks if each.start_us == asks[0].start_us][:NODES_A_CALL]
        asks = [each for each in asks if each not in group]
        began = time.monotonic()
        results, refused = await _call(session, group, end_us)
        for page in refused:
            yield page
        for ask, result in results:
            page, more = _page(ask, result)
            if page.values or page.refused:
                yield page
            asks.extend(more)
        await asyncio.sleep(min(time.monotonic() - began, LONGEST_PAUSE_S))


async def _call(
    session: Any, group: Sequence[_Ask], end_us: int
) -> tuple[list[tuple[_Ask, ua.HistoryReadResult]], list[Page]]:
    """One call for a few nodes; node by node when the server finds it too much."""
    try:
        results = await within(session.history_read(_parameters(group, end_us)), CALL_S, "reading history")
    except ua.UaStatusCodeError as error:
        if error.code in _TOO_MUCH and len(group) > 1:
            parts = [await _call(session, [each], end_us) for each in group]
            return [each for found, _ in parts for each in found], [each for _, told in parts for each in told]
        if error.code in _NEVER | _TOO_MUCH:
            return [], [Page(each.tag, refused=name_of(error.code)) for each in group]
        raise
    return list(zip(group, results, strict=True)), []


def _parameters(group: Sequence[_Ask], end_us: int) -> ua.HistoryReadParameters:
    details = ua.ReadRawModifiedDetails()
    details.IsReadModified = False
    details.StartTime = _stamp(group[0].start_us)
    details.EndTime = _stamp(end_us)
    details.NumValuesPerNode = VALUES_A_NODE
    details.ReturnBounds = False
    parameters = ua.HistoryReadParameters()
    parameters.HistoryReadDetails = details
    parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    parameters.ReleaseContinuationPoints = False
    for each in group:
        wanted = ua.HistoryReadValueId()
        wanted.NodeId = each.node_id
        wanted.ContinuationPoint = each.point
        parameters.NodesToRead.append(wanted)
    return parameters


def _page(ask: _Ask, result: ua.HistoryReadResult) -> tuple[Page, list[_Ask]]:
    """What a node answered, and what is still to be asked of it."""
    code = result.StatusCode.value
    if code in _NO_POINT and ask.point is not None:
        return Page(ask.tag), [_Ask(ask.tag, ask.node_id, ask.start_us)]
    if code >> 31:
        return Page(ask.tag, refused=name_of(code)), []
    data = getattr(result.HistoryData, "DataValues", None) or []
    values = sorted((one(each) for each in data), key=lambda each: each.at_us or 0)
    last_us = max((each.at_us for each in values if each.at_us is not None), default=ask.start_us)
    page = Page(ask.tag, values)
    if result.ContinuationPoint and result.ContinuationPoint != ask.point:
        return page, [_Ask(ask.tag, ask.node_id, ask.start_us, result.ContinuationPoint)]
    if (result.ContinuationPoint or len(values) >= VALUES_A_NODE) and last_us > ask.start_us:
        return page, [_Ask(ask.tag, ask.node_id, last_us)]  # it stopped at our limit without saying so
    return page, []


def _stamp(us: int) -> datetime:
    """OPC UA times as asyncua takes them: UTC."""
    return _EPOCH + timedelta(microseconds=us)
