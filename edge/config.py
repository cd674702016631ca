"""The gateway's one TOML file → a checked configuration. Looks at files, never at the network.

[gateway]   site, device, spool, spool_mb, min_free_mb, batch_samples, linger_s, drain_samples_s
[broker]    host, port, user, password or password_file, sign, tls, ca_file, cert_file, key_file
[[sources]] kind (a module of edge.sources), name, url, and what the kind needs
"""

from __future__ import annotations

import os
import ssl
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from edge import tls
from edge.errors import GatewayConfig, SourceConfig
from edge.kinds import check_url, kinds
from edge.pulse import Wanted
from edge.spool import NEEDED_MB, free_bytes
from edge.topics import NAME

DEFAULTS = {
    "spool": "gateway.spool",
    "spool_mb": 1024,
    "min_free_mb": 100,
    "batch_samples": 1000,
    "linger_s": 0.5,
    "drain_samples_s": 50_000,
}
MOST = {"spool_mb": 1e9, "min_free_mb": 1e9, "batch_samples": 10_000, "linger_s": 60, "drain_samples_s": 1e9}
BROKER = {"host", "port", "user", "password", "password_file", "sign", "tls", "ca_file", "cert_file", "key_file"}
FILES = ("ca_file", "cert_file", "key_file")
PORT, TLS_PORT = 1883, 8883
SQLITE = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True)
class Broker:
    host: str
    port: int
    user: str | None
    password: str | None
    sign: bool = False
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Gateway:
    site: str
    device: str
    spool: Path
    spool_bytes: int
    min_free_bytes: int
    batch_samples: int
    linger_s: float
    drain_samples_s: float
    broker: Broker
    sources: tuple[Wanted, ...]


class Surroundings(StrEnum):
    """Whether the disk of the spool is looked at too: a gateway that runs waits for it instead."""

    IGNORED = "ignored"
    CHECKED = "checked"


def read(path: Path, *, surroundings: Surroundings = Surroundings.IGNORED) -> Gateway:
    """The configuration in ``path``. Raises GatewayConfig with every fault, one a line."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise GatewayConfig(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise GatewayConfig(f"{path} is no TOML: {error}.") from None
    faults: list[str] = []
    found = _gateway(document, path.absolute().parent, faults)
    if found.spool.resolve() == path.resolve():
        faults.append("[gateway] spool names this very file")
    if surroundings is Surroundings.CHECKED:
        _disk(found.spool, found.min_free_bytes, faults)
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
    if not isinstance(table["spool"], str) or not table["spool"].strip() or spool.is_dir():
        faults.append("[gateway] spool must name a file")
    elif not os.access(_existing(spool.parent), os.W_OK):
        faults.append(f"[gateway] spool: {spool.parent} cannot be written")
    for name, most in MOST.items():
        _positive(table, name, most, "[gateway]", faults)
    broker = _broker(_table(document.get("broker"), "[broker]", faults), table.get("device"), folder, faults)
    sources = _sources(document.get("sources"), folder, faults)
    if faults:
        return Gateway("", "", spool, 0, 0, 0, 0.0, 0.0, broker, sources)
    return Gateway(
        table["site"],
        table["device"],
        spool,
        int(table["spool_mb"] * 1_000_000),
        int(table["min_free_mb"] * 1_000_000),
        int(table["batch_samples"]),
        float(table["linger_s"]),
        float(table["drain_samples_s"]),
        broker,
        sources,
    )


def _broker(table: Mapping[str, Any], device: Any, folder: Path, faults: list[str]) -> Broker:
    _only(table, BROKER, "[broker]", faults)
    secure = _tls(table, folder, faults)
    host, user = table.get("host"), table.get("user", device)
    port = table.get("port", PORT if secure is None else TLS_PORT)
    if not isinstance(host, str) or not host:
        faults.append("[broker] host is missing")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65_536:
        faults.append("[broker] port must be 1 to 65535")
    password = table.get("password")
    if "password_file" in table:
        password = _secret(folder / str(table["password_file"]), faults)
    if not isinstance(user, str | None) or not isinstance(password, str | None):
        faults.append("[broker] user and password are texts")
    return Broker(
        str(host), port if isinstance(port, int) else 0, user, password, _sign(table, password, faults), secure
    )


def _sign(table: Mapping[str, Any], password: Any, faults: list[str]) -> bool:
    """Batches are signed with a key made of the password, where there is one."""
    sign = table.get("sign", password is not None)
    if not isinstance(sign, bool):
        faults.append("[broker] sign must be true or false")
    elif sign and password is None:
        faults.append("[broker] sign needs the device's password or password_file")
    return sign is True


def _tls(table: Mapping[str, Any], folder: Path, faults: list[str]) -> ssl.SSLContext | None:
    given = {name: folder / str(table[name]) for name in FILES if name in table}
    wanted = table.get("tls", bool(given))
    if not isinstance(wanted, bool):
        faults.append("[broker] tls must be true or false")
    elif given and not wanted:
        faults.append(f"[broker] {' and '.join(given)} need tls = true")
    if wanted is not True:
        return None
    try:
        return tls.context(**given)
    except tls.TlsFiles as error:
        faults.append(f"[broker] {error.message}")
        return None


def _sources(tables: Any, folder: Path, faults: list[str]) -> tuple[Wanted, ...]:
    if not isinstance(tables, list) or not tables:
        faults.append("there is no [[sources]]: the gateway would hear nothing")
        return ()
    found = [_source(table, f"[[sources]] {number}", folder, faults) for number, table in enumerate(tables, 1)]
    names = [each.name for each in found if each is not None]
    if len(set(names)) < len(names):
        faults.append("[[sources]] names must differ")
    return tuple(each for each in found if each is not None)


def _source(table: Any, where: str, folder: Path, faults: list[str]) -> Wanted | None:
    table = dict(_table(table, where, faults))
    named, name, url = (table.pop(key, None) for key in ("kind", "name", "url"))
    if not isinstance(name, str) or not NAME.match(name):
        faults.append(f"{where} name must be 1 to 64 letters, digits, dashes or underscores")
    kind = kinds().get(named) if isinstance(named, str) else None
    if kind is None:
        faults.append(f"{where} kind must be one of {', '.join(kinds())}")
        return None
    _resolve_files(table, where, folder, faults)
    chosen = _checked(lambda: kind.options(table), where, faults)
    _checked(lambda: check_url(kind, str(url)), where, faults)
    return Wanted(str(name), str(named), str(url), chosen)


def _checked(check: Callable[[], object], where: str, faults: list[str]) -> object:
    try:
        return check()
    except SourceConfig as error:
        faults.append(f"{where} {error.message}")
        return None


def _resolve_files(table: dict[str, Any], where: str, folder: Path, faults: list[str]) -> None:
    """What ends in _file is a file, beside ours unless absolute."""
    for name, value in table.items():
        if name.endswith("_file"):
            path = folder / str(value)
            _readable(path, f"{where} {name}", faults)
            table[name] = str(path)


def _table(value: Any, where: str, faults: list[str]) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    faults.append(f"{where} is missing" if value is None else f"{where} must be a table")
    return {}


def _only(table: Mapping[str, Any], known: set[str], where: str, faults: list[str]) -> None:
    faults.extend(f"{where} does not know {name!r}" for name in sorted(set(table) - known))


def _positive(table: Mapping[str, Any], name: str, most: float, where: str, faults: list[str]) -> None:
    value = table[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        faults.append(f"{where} {name} must be a number above 0 and at most {most:g}")


def _readable(path: Path, where: str, faults: list[str]) -> None:
    if not (path.is_file() and os.access(path, os.R_OK)):
        faults.append(f"{where}: {path} cannot be read")


def _secret(path: Path, faults: list[str]) -> str | None:
    try:
        found = path.read_text("utf-8").strip()
    except OSError as error:
        faults.append(f"[broker] password_file: {path} cannot be read: {error.strerror}")
        return None
    except UnicodeDecodeError:
        faults.append(f"[broker] password_file: {path} is no text")
        return None
    if not found:
        faults.append(f"[broker] password_file: {path} is empty")
    return found


def _disk(spool: Path, min_free_bytes: int, faults: list[str]) -> None:
    """Whether the spool can be kept where it is to lie."""
    if not spool.parent.is_dir():
        faults.append(f"[gateway] spool: there is no folder {spool.parent}; make it")
        return
    free, needed = free_bytes(spool) // 1_000_000, min_free_bytes // 1_000_000 + NEEDED_MB
    if free < needed:
        faults.append(f"[gateway] spool: {free:,} MB are free on its disk, {needed:,} are needed (see min_free_mb)")
    with suppress(OSError):
        if spool.is_file() and spool.stat().st_size and _head(spool) != SQLITE:
            faults.append(f"[gateway] spool: {spool} is another kind of file")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(SQLITE))


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
