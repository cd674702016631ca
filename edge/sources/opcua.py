"""An OPC UA server's nodes by subscription, gaps from its history. Reads only: nothing is ever written to a server.

This is the door: options and their check. What speaks OPC UA is the package ``edge.opcua``, loaded when a source runs.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from edge.delivery import Emit
from edge.errors import SourceConfig
from edge.kinds import Place
from edge.reasons import DecodeError
from edge.topics import clean_tag

NAME = "opcua"
SCHEMES = ("opc.tcp",)
POLICIES = ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")
MODES = ("SignAndEncrypt", "Sign")
NUMBERS = ("publishing_ms", "sampling_ms", "queue_size", "silence_s", "overlap_s", "settle_s", "most_gap_h", "check_s")
TEXTS = ("user", "password_file", "user_certificate_file", "user_key_file")
FINGERPRINT_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Options:
    """``nodes`` maps node id (``ns=2;s=…`` or ``nsu=URI;s=…``) → tag. ``policy`` None: no security.

    ``trusted``: SHA-256 fingerprints of certificates that the server may show.
    """

    nodes: Mapping[str, str]
    policy: str | None = None
    mode: str = MODES[0]
    allow_none: bool = False
    trusted: tuple[str, ...] = ()
    user: str | None = None
    password_file: str | None = None
    user_certificate_file: str | None = None
    user_key_file: str | None = None
    publishing_ms: float = 250.0
    sampling_ms: float = 100.0
    queue_size: int = 100
    silence_s: float = 10.0
    history: bool = True  # fill gaps from the server's history
    overlap_s: float = 10.0  # read so much more than the gap
    settle_s: float = 1.0  # before history is read, so that the server has written its last values
    most_gap_h: float = 168.0  # older gaps are left to `millwright backfill`
    check_s: float = 60.0  # how often nodes that are refused or gone are looked for


KEYS = ({"security", *Options.__slots__}) - {"policy", "mode"}


def options(config: Mapping[str, Any]) -> Options:
    """The options in a table of configuration. Raises SourceConfig."""
    unknown = set(config) - KEYS
    if "password" in unknown:
        raise SourceConfig("A password is not kept in the configuration: put it into a file, named by `password_file`.")
    if unknown:
        raise SourceConfig(
            f"An OPC UA source does not know {', '.join(sorted(unknown))}; it has {', '.join(sorted(KEYS))}."
        )
    policy, mode = _security(config.get("security"))
    named: dict[str, Any] = {name: _flag(config, name) for name in ("allow_none", "history") if name in config}
    named |= {name: _text(config, name) for name in TEXTS if config.get(name) is not None}
    named |= _numbers(config)
    found = Options(_nodes(config.get("nodes")), policy, mode, trusted=_trusted(config.get("trusted", [])), **named)
    _check(found)
    return found


def _security(table: Any) -> tuple[str | None, str]:
    if table is None:
        return None, MODES[0]
    if not isinstance(table, Mapping) or set(table) - {"policy", "mode"} or "policy" not in table:
        raise SourceConfig('`security` is a table like {policy = "Basic256Sha256", mode = "SignAndEncrypt"}.')
    policy, mode = table["policy"], table.get("mode", MODES[0])
    if policy not in POLICIES or mode not in MODES:
        raise SourceConfig(
            f"`security` knows the policies {', '.join(POLICIES)} and the modes {', '.join(MODES)}; "
            "for a server without security say `allow_none`."
        )
    return str(policy), str(mode)


def _check(found: Options) -> None:
    """What fits alone but not together."""
    if found.policy is None and not found.allow_none:
        raise SourceConfig(
            "Without `security` everybody on the network may read and forge; say `allow_none` to accept."
        )
    if found.policy is not None and found.allow_none:
        raise SourceConfig("`security` and `allow_none` exclude each other.")
    if (found.user is None) != (found.password_file is None):
        raise SourceConfig("`user` and `password_file` belong together.")
    if found.user is not None and (found.policy is None or found.mode != MODES[0]):
        raise SourceConfig("A password travels only encrypted: `security` with the mode SignAndEncrypt.")
    if (found.user_certificate_file is None) != (found.user_key_file is None):
        raise SourceConfig("`user_certificate_file` and `user_key_file` belong together.")
    if found.user is not None and found.user_certificate_file is not None:
        raise SourceConfig("Sign in with a password or with a certificate, not with both.")
    if found.user_certificate_file is not None and found.policy is None:
        raise SourceConfig("A user certificate needs `security`.")


def _flag(config: Mapping[str, Any], name: str) -> bool:
    value = config[name]
    if not isinstance(value, bool):
        raise SourceConfig(f"{name} is true or false.")
    return value


def _text(config: Mapping[str, Any], name: str) -> str:
    value = config[name]
    if not isinstance(value, str) or not value or not value.isprintable():
        raise SourceConfig(f"{name} is a text.")
    return value


def _numbers(config: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: config[name] for name in NUMBERS if name in config}
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
            raise SourceConfig(f"{name} must be a positive number.")
    if "queue_size" in found:
        found["queue_size"] = max(1, int(found["queue_size"]))
    return found


def _trusted(config: Any) -> tuple[str, ...]:
    if not isinstance(config, list) or not all(isinstance(each, str) for each in config):
        raise SourceConfig("`trusted` is a list of fingerprints.")
    plain = tuple(each.replace(":", "").replace(" ", "").lower() for each in config)
    if not all(len(each) == FINGERPRINT_DIGITS and set(each) <= set("0123456789abcdef") for each in plain):
        raise SourceConfig("`trusted` names certificates by their SHA-256 fingerprint: 64 hexadecimal digits.")
    return plain


def _nodes(config: Any) -> dict[str, str]:
    """An empty list is allowed: the nodes are chosen later, by browsing."""
    if not isinstance(config, list):
        raise SourceConfig("`nodes` must be a list of {node_id, tag}.")
    nodes: dict[str, str] = {}
    for each in config:
        if (
            not isinstance(each, Mapping)
            or set(each) != {"node_id", "tag"}
            or not all(isinstance(v, str) for v in each.values())
        ):
            raise SourceConfig("Each node is a table of node_id and tag, both texts.")
        try:
            nodes[each["node_id"]] = clean_tag(each["tag"])
        except DecodeError as error:
            raise SourceConfig(error.message) from None
    if len(set(nodes.values())) != len(config):
        raise SourceConfig("Every node id and every tag may occur once.")
    return nodes


class OpcUaSource:
    """Hears one server. Tells its state (``edge.kinds.State``), gaps and status codes from its own thread."""

    def __init__(self, place: Place, chosen: Options) -> None:
        self.name = place.name
        self._place, self._chosen = place, chosen

    def run(self, emit: Emit, stop: threading.Event) -> None:
        """Hear until ``stop`` is set; survives every loss of the server."""
        line: Callable[..., None] = importlib.import_module("edge.opcua.line").run
        line(self._place, self._chosen, emit, stop)


def create(place: Place, chosen: Options) -> OpcUaSource:
    """An ear at one server. Raises SourceConfig."""
    parts = urlsplit(place.url)
    if parts.username or parts.password:
        raise SourceConfig("Leave user and password out of the url: use `user` and `password_file`.")
    return OpcUaSource(place, chosen)
