"""Where a webhook may go, and how its messages are signed. Pure but for the names that are looked up.

A name is resolved once and every address of it must be allowed; the connection then goes to that very address, so that
a name that answers differently the second time gains nothing. Signatures follow the public Standard Webhooks form.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from tickets.rules.errors import BadTarget

PREFIX = "whsec_"
LONGEST_URL = 2_000
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
CARRIES_ANOTHER = tuple(ipaddress.IPv6Network(text) for text in ("64:ff9b::/96", "2002::/16", "2001::/32"))


@dataclass(frozen=True, slots=True)
class Target:
    """A checked address: connect to ``address``, speak to ``host``."""

    url: str
    scheme: str
    host: str
    port: int
    path: str
    address: str


def parse(url: str) -> SplitResult:
    """The parts of an address that could be called at all. Raises BadTarget."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadTarget(f"{url[:100]!r} is no address.") from error
    if parts.scheme not in ("https", "http") or not parts.hostname or len(url) > LONGEST_URL or port == 0:
        raise BadTarget("A webhook's address looks like https://host/path.")
    if parts.username or parts.password or not url.isascii() or any(c.isspace() or not c.isprintable() for c in url):
        raise BadTarget("A webhook's address holds no user name, no blanks and ASCII letters alone.")
    return parts


def networks(text: str) -> tuple[Network, ...]:
    """Networks by commas, as the setting has them. Raises BadTarget."""
    try:
        return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise BadTarget(f"The setting webhook_networks does not fit: {error}.") from error


def locate(url: str, *, allowed: Sequence[Network], resolve: Resolve | None = None) -> Target:
    """The address to connect to. Raises BadTarget for one inside the plant that the setting does not allow."""
    parts = parse(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = [ipaddress.ip_address(text) for text in (resolve or look_up)(host, port)]
    if not found:
        raise BadTarget(f"The name {host!r} has no address.")
    for address in found:
        _refuse(address, host, parts.scheme, allowed)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(url, parts.scheme, host, port, path, str(found[0]))


def look_up(host: str, port: int) -> list[str]:
    """Every address of a name. Raises BadTarget."""
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BadTarget(f"The name {host!r} cannot be resolved.") from error
    return list(dict.fromkeys(str(row[4][0]).split("%")[0] for row in rows))


def _refuse(address: Address, host: str, scheme: str, allowed: Sequence[Network]) -> None:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    real = mapped or address
    if any(real in network for network in allowed if network.version == real.version):
        return
    hidden = isinstance(real, ipaddress.IPv6Address) and any(real in network for network in CARRIES_ANOTHER)
    if hidden or not real.is_global or real.is_multicast or real.is_reserved:
        raise BadTarget(
            f"{host} is {real}, inside the plant or this machine. An administrator may allow its network in the "
            "setting webhook_networks."
        )
    if scheme != "https":
        raise BadTarget(f"{host} is outside the plant: use https.")


# -- signatures -------------------------------------------------------------------------------------------------------


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def signature(secret: str, *, message_id: str, timestamp: int, body: str) -> str:
    """``v1,<base64>`` of HMAC-SHA256 over id, time and body."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{message_id}.{timestamp}.{body}".encode()
    return "v1," + encode(hmac.new(key, signed, hashlib.sha256).digest())
