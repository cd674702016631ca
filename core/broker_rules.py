"""Who may say and hear what on the managed broker, and how its passwords are kept: the same for every broker program.

A password is kept as mosquitto's own ``$7$`` string (PBKDF2-HMAC-SHA512), so one column in the database serves both
brokers. Device secrets are random 192-bit strings, so the iteration count guards little and may stay small: it is paid
on the broker's only thread at every connect.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets as random
from collections.abc import Iterable
from enum import StrEnum

from core.errors import Invalid

INGEST = "millwright-ingest"
SIMULATOR = "sim-floor"
RESERVED = frozenset({INGEST, SIMULATOR})
ITERATIONS = 101  # as mosquitto_passwd takes; at a reload mosquitto pays it once for every open session
USER_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class BrokerNameInvalid(Invalid):
    """A device name is 1 to 64 of A–Z, a–z, 0–9, - and _, and none of the names Millwright uses."""

    code = "broker_name_invalid"


class Access(StrEnum):
    """WRITE: publish. READ: subscribe or receive."""

    WRITE = "write"
    READ = "read"


# Sparkplug B: a device of ours is an edge node there; what it may say is said under its own name
SPARKPLUG_NODE = (
    *((Access.WRITE, f"spBv1.0/+/{kind}/%u") for kind in ("NBIRTH", "NDEATH", "NDATA")),
    *((Access.WRITE, f"spBv1.0/+/{kind}/%u/+") for kind in ("DBIRTH", "DDEATH", "DDATA")),
    (Access.READ, "spBv1.0/+/NCMD/%u"),
    (Access.READ, "spBv1.0/+/DCMD/%u/+"),
    (Access.READ, "spBv1.0/STATE/+"),
)
SPARKPLUG_HOST = (
    (Access.READ, "spBv1.0/#"),
    (Access.WRITE, "spBv1.0/STATE/+"),
    (Access.WRITE, "spBv1.0/+/NCMD/+"),
)
# %u is the user's own name; every user has these
OWN = (
    (Access.WRITE, "mw/v1/+/%u/#"),
    (Access.READ, "mw/v1/+/%u/#"),
    (Access.READ, f"mw/v1/+/{SIMULATOR}/cmd/#"),
    *SPARKPLUG_NODE,
)
MORE = {
    INGEST: (
        (Access.READ, "mw/v1/#"),
        (Access.READ, "$SYS/broker/#"),
        (Access.WRITE, "mw/v1/+/+/receipt"),
        *SPARKPLUG_HOST,
    ),
}


def allowed(user: str, access: Access, topic: str) -> bool:
    """Whether ``user`` may publish to a topic, or subscribe to a topic filter (which must lie within its own)."""
    if not USER_NAME.fullmatch(user):
        return False
    rules = (*OWN, *MORE.get(user, ()))
    return any(kind is access and covers(rule.replace("%u", user), topic) for kind, rule in rules)


def covers(rule: str, topic: str) -> bool:
    """Whether every topic that ``topic`` (a topic or a filter) can mean lies within the filter ``rule``."""
    if topic.startswith("$") != rule.startswith("$"):
        return False
    wanted, given = topic.split("/"), rule.split("/")
    for at, level in enumerate(given):
        if level == "#":
            return True
        if at >= len(wanted) or wanted[at] == "#" or level not in ("+", wanted[at]):
            return False
    return len(wanted) == len(given)


def mosquitto_acl() -> str:
    """The rules as a mosquitto ``acl_file``."""
    lines = [f"pattern {kind} {rule}" for kind, rule in OWN]
    for user, rules in MORE.items():
        lines += ["", f"user {user}", *(f"topic {kind} {rule}" for kind, rule in rules)]
    return "\n".join(lines) + "\n"


def password_file(users: Iterable[tuple[str, str]]) -> str:
    """Lines ``name:hash``, sorted. Raises BrokerNameInvalid for a name that could break out of its line or topic."""
    lines = {name: f"{checked(name)}:{digest}\n" for name, digest in users}
    return "".join(lines[name] for name in sorted(lines))


def checked(name: str) -> str:
    """``name`` when it can be a broker user; raises BrokerNameInvalid."""
    if not USER_NAME.fullmatch(name):
        raise BrokerNameInvalid
    return name


def device_name(name: str) -> str:
    """``name`` when a device may have it (no name of Millwright's own); raises BrokerNameInvalid."""
    if name in RESERVED:
        raise BrokerNameInvalid
    return checked(name)


def new_password() -> str:
    """A random secret for a device: 192 bits, URL-safe."""
    return random.token_urlsafe(24)


def hash_password(password: str, *, salt: bytes | None = None) -> str:
    """``$7$iterations$salt$hash`` as mosquitto_passwd writes it (salt 12 bytes, hash 64 bytes, base64)."""
    salt = random.token_bytes(12) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS, 64)
    return f"$7${ITERATIONS}${_text(salt)}${_text(digest)}"


def verify_password(password: str, kept: str) -> bool:
    """Whether ``password`` is the one of a ``$7$`` string; False for a string of another kind."""
    try:
        _, kind, iterations, salt, digest = kept.split("$")
        if kind != "7":
            return False
        wanted = base64.b64decode(digest, validate=True)
        found = hashlib.pbkdf2_hmac(
            "sha512", password.encode(), base64.b64decode(salt, validate=True), int(iterations), len(wanted)
        )
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(found, wanted)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
