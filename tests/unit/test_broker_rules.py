"""Who may say and hear what, and the `$7$` password strings."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.broker_rules import (
    INGEST,
    SIMULATOR,
    Access,
    BrokerNameInvalid,
    allowed,
    covers,
    device_name,
    hash_password,
    mosquitto_acl,
    password_file,
    verify_password,
)

LEVEL = st.text("abc", min_size=1, max_size=2)


@pytest.mark.parametrize(
    ("user", "access", "topic", "expected"),
    [
        ("gw", Access.WRITE, "mw/v1/plant/gw/s/P-101/vibration", True),
        ("gw", Access.WRITE, "mw/v1/plant/gw/b", True),
        ("gw", Access.WRITE, "mw/v1/plant/other/b", False),
        ("gw", Access.WRITE, "mw/v1/plant/gw", True),  # `#` includes its parent level
        ("gw", Access.WRITE, "mw/v1/gw/b", False),
        ("gw", Access.WRITE, "mw/v1/plant/sim-floor/cmd/P-101", False),
        ("gw", Access.READ, "mw/v1/plant/gw/receipt", True),
        ("gw", Access.READ, "mw/v1/+/gw/#", True),
        ("gw", Access.READ, "mw/v1/plant/+/receipt", False),
        ("gw", Access.READ, "mw/v1/#", False),
        ("gw", Access.READ, "#", False),
        ("gw", Access.READ, "$SYS/broker/version", False),
        ("gw", Access.READ, "mw/v1/plant/sim-floor/cmd/P-101", True),
        ("gw", Access.READ, "mw/v1/+/sim-floor/cmd/#", True),
        (SIMULATOR, Access.WRITE, "mw/v1/plant/sim-floor/cmd/P-101", True),
        (SIMULATOR, Access.WRITE, "mw/v1/plant/gw/b", False),
        (INGEST, Access.READ, "mw/v1/+/+/s/#", True),
        (INGEST, Access.READ, "$SYS/broker/version", True),
        (INGEST, Access.READ, "#", False),
        (INGEST, Access.WRITE, "mw/v1/plant/gw/receipt", True),
        (INGEST, Access.WRITE, "mw/v1/plant/gw/b", False),
        ("gw", Access.WRITE, "spBv1.0/plant/NBIRTH/gw", True),
        ("gw", Access.WRITE, "spBv1.0/plant/DDATA/gw/pump", True),
        ("gw", Access.WRITE, "spBv1.0/plant/NBIRTH/other", False),
        ("gw", Access.WRITE, "spBv1.0/plant/NBIRTH/gw/pump", False),
        ("gw", Access.WRITE, "spBv1.0/plant/DDATA/other/gw", False),
        ("gw", Access.WRITE, "spBv1.0/gw/DDATA/gw", False),
        ("gw", Access.WRITE, "spBv1.0/plant/NCMD/gw", False),
        ("gw", Access.WRITE, "spBv1.0/STATE/host", False),
        ("gw", Access.READ, "spBv1.0/plant/NCMD/gw", True),
        ("gw", Access.READ, "spBv1.0/+/DCMD/gw/+", True),
        ("gw", Access.READ, "spBv1.0/plant/NCMD/other", False),
        ("gw", Access.READ, "spBv1.0/plant/NDATA/other", False),
        ("gw", Access.READ, "spBv1.0/STATE/host", True),
        (INGEST, Access.READ, "spBv1.0/#", True),
        (INGEST, Access.WRITE, "spBv1.0/STATE/millwright", True),
        (INGEST, Access.WRITE, "spBv1.0/plant/NCMD/gw", True),
        (INGEST, Access.WRITE, "spBv1.0/plant/NDATA/gw", False),
        (INGEST, Access.WRITE, "spBv1.0/plant/DCMD/gw/pump", False),
        ("+", Access.WRITE, "mw/v1/plant/gw/b", False),
        ("", Access.READ, "mw/v1/plant//receipt", False),
    ],
)
def test_rules(user: str, access: Access, topic: str, expected: bool) -> None:
    assert allowed(user, access, topic) is expected


@given(st.lists(LEVEL | st.just("+"), min_size=1, max_size=4), st.lists(LEVEL, min_size=1, max_size=4))
def test_covering_a_topic_is_mqtt_matching(levels: list[str], topic: list[str]) -> None:
    matches = len(levels) == len(topic) and all(a in ("+", b) for a, b in zip(levels, topic, strict=True))
    assert covers("/".join(levels), "/".join(topic)) is matches


@given(st.lists(LEVEL | st.just("+"), min_size=1, max_size=4))
def test_a_filter_lies_in_itself_and_under_a_hash(levels: list[str]) -> None:
    rule = "/".join(levels)
    assert covers(rule, rule)
    assert covers("#", rule)
    assert not covers(rule, "#")


def test_password_round_trip_and_form() -> None:
    kept = hash_password("geheim 轴承")
    _, kind, iterations, salt, digest = kept.split("$")
    assert (kind, iterations, len(salt), len(digest)) == ("7", "101", 16, 88)
    assert verify_password("geheim 轴承", kept)
    assert not verify_password("geheim", kept)
    assert hash_password("geheim 轴承") != kept


def test_password_against_rfc_style_vector() -> None:
    """PBKDF2-HMAC-SHA512, 'password', 'salt', 1 round: the published test vector."""
    known = (
        "867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252"
        "c02d470a285a0501bad999bfe943c08f050235d7d68b1da55e63f73b60a57fce"
    )
    kept = "$7$1$c2FsdA==$" + base64.b64encode(bytes.fromhex(known)).decode()
    assert verify_password("password", kept)
    assert not verify_password("passwore", kept)


@pytest.mark.parametrize("kept", ["", "plain", "$6$1$c2FsdA==$aaaa", "$7$x$c2FsdA==$aaaa", "$7$1$?$aaaa", "$7$1$aa$"])
def test_strange_password_strings_verify_nothing(kept: str) -> None:
    assert not verify_password("", kept)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a+", "#", "a:b", "a\n", "x" * 65, INGEST, SIMULATOR])
def test_names_no_device_may_have(name: str) -> None:
    with pytest.raises(BrokerNameInvalid):
        device_name(name)


def test_password_file_refuses_to_be_broken_out_of() -> None:
    assert password_file([("b", "$7$2"), ("a", "$7$1")]) == "a:$7$1\nb:$7$2\n"
    with pytest.raises(BrokerNameInvalid):
        password_file([("a\nroot", "$7$1")])


def test_acl_file_names_every_rule() -> None:
    text = mosquitto_acl()
    assert "pattern write mw/v1/+/%u/#\n" in text
    assert f"user {INGEST}\ntopic read mw/v1/#\n" in text
