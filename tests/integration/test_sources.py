"""The verb `source`: what it keeps is what ingest reads, and what does not fit is one sentence."""

from __future__ import annotations

import argparse
import stat
from pathlib import Path

import pytest
from psycopg import Connection

from api import sources as doors
from api.commands import tags
from api.commands.sources import config_of
from core.errors import Invalid, MillwrightError, NotFound
from edge.sources import opcua
from plant import sources
from plant.assets import register_device


def told(*nodes: str, allow_none: bool = False, security: str | None = None, **more: object) -> argparse.Namespace:
    plain = {"kind": "opcua", "user_certificate": None, "user_key": None, "set": []}
    return argparse.Namespace(node=list(nodes), allow_none=allow_none, security=security, **plain | more)


def test_a_source_is_kept_changed_and_forgotten(conn: Connection) -> None:
    config = config_of(told("temp=ns=2;s=Temp", "load=ns=2;i=7", allow_none=True))
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


def test_nodes_are_added_once_and_change_their_tag(conn: Connection) -> None:
    config = config_of(told("temp=ns=2;s=Temp", allow_none=True))
    sources.add(conn, name="line-3", kind="opcua", url="opc.tcp://127.0.0.1:4840", config=config)
    assert sources.add_nodes(conn, "line-3", {"P-1/temp": "ns=2;s=Temp", "P-1/load": "ns=2;s=Load"}) == 2
    assert sources.add_nodes(conn, "line-3", {"P-1/load": "ns=2;s=Load"}) == 0
    found = opcua.options(sources.get(conn, "line-3").config)
    assert found.nodes == {"ns=2;s=Temp": "P-1/temp", "ns=2;s=Load": "P-1/load"}
    with pytest.raises(sources.SourceExists):
        sources.add(conn, name="line-3", kind="opcua", url="opc.tcp://127.0.0.1:4840", config=config)


@pytest.mark.parametrize("node", ["temp", "=ns=2;s=Temp", "temp="])
def test_a_node_that_cannot_be_read_is_refused(node: str) -> None:
    with pytest.raises(Invalid, match="TAG=NODE_ID"):
        config_of(told(node, allow_none=True))


def test_no_security_is_refused_unless_allowed_by_name() -> None:
    with pytest.raises(MillwrightError, match="allow_none"):
        doors.check("opcua", "opc.tcp://127.0.0.1:4840", config_of(told("temp=ns=2;s=Temp")))


@pytest.mark.parametrize(
    ("kind", "url", "why"),
    [("smoke", "opc.tcp://h:1", "no kind"), ("opcua", "http://h:1", "opc.tcp://HOST"), ("opcua", "opc.tcp://", "HOST")],
)
def test_a_kind_or_url_that_does_not_fit_says_why(kind: str, url: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        doors.check(kind, url, {"nodes": [], "allow_none": True})


def test_security_and_further_keys_come_from_the_options() -> None:
    config = config_of(told(security="Basic256Sha256", set=["silence_s=5", "history=false"]))
    found = opcua.options(config)
    assert (found.policy, found.mode, found.silence_s, found.history) == ("Basic256Sha256", "SignAndEncrypt", 5, False)
    with pytest.raises(Invalid, match="KEY=JSON"):
        config_of(told(set=["silence_s"]))


def test_a_password_lies_in_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / doors.keep_secret(tmp_path, "plant", "line-3", "secret")
    assert path.read_text() == "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["线 1", "n" * 70, "", "a b", "a/b"])
def test_a_name_that_no_topic_can_carry_is_refused(conn: Connection, name: str) -> None:
    with pytest.raises(Invalid, match="cannot name a source"):
        sources.add(conn, name=name, kind="opcua", url="opc.tcp://127.0.0.1:4840", config={})


def test_a_source_does_not_take_a_living_device_s_name(conn: Connection, site: int) -> None:
    register_device(conn, "press-7", secret_hash="x")
    with pytest.raises(sources.DeviceName):
        sources.put(conn, name="press-7", kind="opcua", url="opc.tcp://127.0.0.1:4840", config={})


def test_a_forgotten_source_is_not_lost_for_ever(conn: Connection, superuser: Connection, site: int) -> None:
    sources.add(conn, name="line-3", kind="opcua", url="opc.tcp://127.0.0.1:4840", config={})
    superuser.execute(
        "insert into source_status (site_id, source, state, detail) values (%s, 'line-3', 'lost', 'refused')", (site,)
    )
    assert sources.standings(conn)["line-3"].state == "lost"
    sources.remove(conn, "line-3")
    assert sources.standings(conn) == {}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["move", "press-7"], "Say the new name"),
        (["move", "press-7", "--to-tag", "x"], "Name the tag"),
        (["move", "press-7", "a", "--to-source", "源 1"], "cannot name a source"),
        (["move", "press-7", "a", "--to-tag", "a\nb"], "cannot name a tag"),
        (["bind", "press-7", "a\tb", "P-1/x"], "cannot name a tag"),
    ],
)
def test_a_tag_verb_says_what_it_cannot_do(conn: Connection, argv: list[str], said: str) -> None:
    asked = tags._parser().parse_args(argv)
    with pytest.raises(Invalid, match=said):
        tags._ACTIONS[asked.verb](conn, asked)
