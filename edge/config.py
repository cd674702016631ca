"""The gateway's one TOML file → a checked configuration. Looks at files, never at the network.

[gateway]   site, device, spool, spool_mb, batch_samples, linger_s
[broker]    host, port, user, password or password_file
[[sources]] kind = "opcua" | "mqtt", name, url, and what the kind needs
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from edge.errors import GatewayConfig, SourceConfig
from edge.sources import mqtt, opcua
from edge.sources.opcua import Options
from edge.topics import NAME

KINDS = (mqtt.NAME, opcua.NAME)
DEFAULTS = {"spool": "gateway.spool", "spool_mb": 1024, "batch_samples": 1000, "linger_s": 0.5}
MOST_SAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Broker:
    host: str
    port: int
    user: str | None
    password: str | None


@dataclass(frozen=True, slots=True)
class OpcUa:
    name: str
    url: str
    options: Options


@dataclass(frozen=True, slots=True)
class Mqtt:
    """A broker on the floor whose devices speak the house's topics; tags become ``DEVICE/TAG``."""

    name: str
    broker: Broker


@dataclass(frozen=True, slots=True)
class Gateway:
    site: str
    device: str
    spool: Path
    spool_bytes: int
    batch_samples: int
    linger_s: float
    broker: Broker
    sources: tuple[OpcUa | Mqtt, ...]


def read(path: Path) -> Gateway:
    """The configuration in ``path``. Raises GatewayConfig with every fault, one a line."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise GatewayConfig(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise GatewayConfig(f"{path} is no TOML: {error}.") from None
    faults: list[str] = []
    found = _gateway(document, path.parent, faults)
    if faults:
        raise GatewayConfig(f"{path}:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return found


def _gateway(document: Mapping[str, Any], folder: Path, faults: list[str]) -> Gateway:
    _only(document, {"gateway", "broker", "sources"}, "the file", faults)
    table = {**DEFAULTS, **_table(document.get("gateway"), "[gateway]", faults)}
    _only(table, {"site", "device", *DEFAULTS}, "[gateway]", faults)
    faults.extend(
        f"[gateway] {name} must be 1 to 64 letters, digits, dashes or underscores"
        for name in ("site", "device")
        if not isinstance(table.get(name), str) or not NAME.match(table[name])
    )
    spool = folder / str(table["spool"])
    if not os.access(_existing(spool.parent), os.W_OK):
        faults.append(f"[gateway] spool: {spool.parent} cannot be written")
    for name, most in (("spool_mb", 1e9), ("batch_samples", MOST_SAMPLES), ("linger_s", 60)):
        _positive(table, name, most, "[gateway]", faults)
    broker = _broker(_table(document.get("broker"), "[broker]", faults), table.get("device"), folder, faults)
    sources = _sources(document.get("sources"), faults)
    if faults:
        return Gateway("", "", spool, 0, 0, 0.0, broker, sources)
    return Gateway(
        table["site"],
        table["device"],
        spool,
        int(table["spool_mb"] * 1_000_000),
        int(table["batch_samples"]),
        float(table["linger_s"]),
        broker,
        sources,
    )


def _broker(table: Mapping[str, Any], device: Any, folder: Path, faults: list[str]) -> Broker:
    _only(table, {"host", "port", "user", "password", "password_file"}, "[broker]", faults)
    host, port, user = table.get("host"), table.get("port", 1883), table.get("user", device)
    if not isinstance(host, str) or not host:
        faults.append("[broker] host is missing")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65_536:
        faults.append("[broker] port must be 1 to 65535")
    password = table.get("password")
    if "password_file" in table:
        password = _secret(folder / str(table["password_file"]), faults)
    if not isinstance(user, str | None) or not isinstance(password, str | None):
        faults.append("[broker] user and password are texts")
    return Broker(str(host), port if isinstance(port, int) else 0, user, password)


def _sources(tables: Any, faults: list[str]) -> tuple[OpcUa | Mqtt, ...]:
    if not isinstance(tables, list) or not tables:
        faults.append("there is no [[sources]]: the gateway would hear nothing")
        return ()
    found = [_source(table, f"[[sources]] {number}", faults) for number, table in enumerate(tables, 1)]
    names = [each.name for each in found if each is not None]
    if len(set(names)) < len(names):
        faults.append("[[sources]] names must differ")
    return tuple(each for each in found if each is not None)


def _source(table: Any, where: str, faults: list[str]) -> OpcUa | Mqtt | None:
    table = dict(_table(table, where, faults))
    kind, name, url = (table.pop(key, None) for key in ("kind", "name", "url"))
    if not isinstance(name, str) or not NAME.match(name):
        faults.append(f"{where} name must be 1 to 64 letters, digits, dashes or underscores")
    parts = urlsplit(url) if isinstance(url, str) else SplitResult("", "", "", "", "")
    if kind == opcua.NAME:
        return _opcua(table, str(name), url, parts, where, faults)
    if kind == mqtt.NAME:
        return _mqtt(table, str(name), parts, where, faults)
    faults.append(f"{where} kind must be one of {', '.join(KINDS)}")
    return None


def _opcua(
    table: Mapping[str, Any], name: str, url: Any, parts: SplitResult, where: str, faults: list[str]
) -> OpcUa | None:
    if parts.scheme != "opc.tcp" or not parts.hostname:
        faults.append(f"{where} url must read opc.tcp://HOST:PORT/…")
    try:
        return OpcUa(name, str(url), opcua.options(table))
    except SourceConfig as error:
        faults.append(f"{where} {error.message}")
        return None


def _mqtt(table: Mapping[str, Any], name: str, parts: SplitResult, where: str, faults: list[str]) -> Mqtt:
    _only(table, set(), where, faults)
    if parts.scheme != "mqtt" or not parts.hostname:
        faults.append(f"{where} url must read mqtt://USER:PASSWORD@HOST:PORT")
    user, password = (unquote(text) if text else None for text in (parts.username, parts.password))
    return Mqtt(name, Broker(parts.hostname or "", parts.port or 1883, user, password))


def _table(value: Any, where: str, faults: list[str]) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    faults.append(f"{where} is missing" if value is None else f"{where} must be a table")
    return {}


def _only(table: Mapping[str, Any], known: set[str], where: str, faults: list[str]) -> None:
    faults.extend(f"{where} has no {name!r}" for name in sorted(set(table) - known))


def _positive(table: Mapping[str, Any], name: str, most: float, where: str, faults: list[str]) -> None:
    value = table[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        faults.append(f"{where} {name} must be a number above 0 and at most {most:g}")


def _secret(path: Path, faults: list[str]) -> str | None:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"[broker] password_file {path}: {error}")
        return None


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
