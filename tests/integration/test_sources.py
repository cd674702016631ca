"""The verb `source`: what it keeps is what ingest reads, and what does not fit is one sentence."""

from __future__ import annotations

import argparse

import pytest
from psycopg import Connection

from api.commands.sources import opcua_config
from core.errors import Invalid, MillwrightError, NotFound
from edge.sources import opcua
from plant import sources


def told(*nodes: str, allow_none: bool = False, security: str | None = None) -> argparse.Namespace:
    return argparse.Namespace(node=list(nodes), allow_none=allow_none, security=security)


def test_a_source_is_kept_changed_and_forgotten(conn: Connection) -> None:
    config = opcua_config(told("temp=ns=2;s=Temp", "load=ns=2;i=7", allow_none=True))
    assert opcua.options(config).nodes == {"ns=2;s=Temp": "temp", "ns=2;i=7": "load"}
    sources.put(conn, name="line-3", kind="opcua", url="opc.tcp://127.0.0.1:4840", config=config)
    sources.put(conn, name="line-3", kind="opcua", url="opc.tcp://127.0.0.1:4841", config=config)
    found = sources.listed(conn)
    assert [(each.name, each.url, each.enabled) for each in found] == [("line-3", "opc.tcp://127.0.0.1:4841", True)]
    assert found[0].config == config
    sources.remove(conn, "line-3")
    assert sources.listed(conn) == []
    with pytest.raises(NotFound):
        sources.remove(conn, "line-3")


@pytest.mark.parametrize("node", ["temp", "=ns=2;s=Temp", "temp="])
def test_a_node_that_cannot_be_read_is_refused(node: str) -> None:
    with pytest.raises(Invalid, match="TAG=NODE_ID"):
        opcua_config(told(node, allow_none=True))


def test_no_security_is_refused_unless_allowed_by_name() -> None:
    with pytest.raises(MillwrightError, match="allow_none"):
        opcua_config(told("temp=ns=2;s=Temp"))
