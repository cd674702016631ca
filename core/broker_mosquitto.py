"""mosquitto's configuration file: which doors it has, and how it keeps messages. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from core.certificates import Identity

HOST = "127.0.0.1"
PACKET_BYTES = 2 * 1024 * 1024
QUEUE_BYTES = 256 * 1024 * 1024
# not 0 for "no limit": several mosquitto 2.0 then drop QoS 0 (#1956), everything (#2879) or the connection (#3244)
QUEUE_MESSAGES = 100_000_000
EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to
SERVER_CERTIFICATE, SERVER_KEY, AUTHORITY, REVOKED = "server.crt", "server.key", "ca.crt", "revoked.crl"


class Plain(StrEnum):
    """Where MQTT without TLS is spoken: on this machine alone, or also on the listening address."""

    LOOPBACK = "loopback"
    OUTSIDE = "outside"


class Trace(StrEnum):
    """FULL: every packet is logged, the only level at which mosquitto names a denied publish."""

    OFF = "off"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Listeners:
    """What the broker listens on beside plain MQTT on loopback; a port that is None is not opened.

    ``tls_port`` asks for a password, ``certificate_port`` for a certificate of our authority. ``given`` is the server's
    certificate where it is not ours, ``names`` are more names that ours shall be good for.
    """

    address: str = HOST
    plain: Plain = Plain.LOOPBACK
    tls_port: int | None = None
    certificate_port: int | None = None
    given: Identity | None = None
    names: tuple[str, ...] = ()

    @property
    def encrypted(self) -> bool:
        """Whether any listener speaks TLS."""
        return self.tls_port is not None or self.certificate_port is not None

    @property
    def plain_addresses(self) -> tuple[str, ...]:
        if self.plain is Plain.LOOPBACK or self.address == HOST:
            return (HOST,)
        return (self.address,) if self.address in EVERYWHERE else (HOST, self.address)


def configuration(home: Path, port: int, listeners: Listeners, *, inflight: int, trace: Trace = Trace.OFF) -> str:
    """No anonymous user anywhere; queues bounded by bytes, not by mosquitto's 1,000 messages."""
    return f"""\
{_listeners(home, port, listeners)}
allow_anonymous false
password_file {home}/users
acl_file {home}/rules
persistence true
persistence_location {home}/
autosave_interval 60
persistent_client_expiration 30d
max_queued_messages {QUEUE_MESSAGES}
max_queued_bytes {QUEUE_BYTES}
max_inflight_messages {inflight}
max_packet_size {PACKET_BYTES}
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
log_type notice
{"log_type debug" if trace is Trace.FULL else ""}
log_timestamp_format %Y-%m-%dT%H:%M:%S
"""


def _listeners(home: Path, port: int, listeners: Listeners) -> str:
    parts = [f"listener {port} {address}" for address in listeners.plain_addresses]
    server = _server(home)
    if listeners.tls_port is not None:
        parts.append(f"listener {listeners.tls_port} {listeners.address}\n{server}")
    if listeners.certificate_port is not None:
        parts.append(f"listener {listeners.certificate_port} {listeners.address}\n{server}\n{_certificates(home)}")
    return "\n".join(parts)


def _server(home: Path) -> str:
    """TLS from 1.2 on. The user is the client id too: nobody can end another's session by taking its client id, and a
    device's session can be found by its name (mosquitto itself ends none whose certificate was revoked)."""
    return f"""\
certfile {home}/{SERVER_CERTIFICATE}
keyfile {home}/{SERVER_KEY}
tls_version tlsv1.2
use_username_as_clientid true"""


def _certificates(home: Path) -> str:
    """The certificate's subject is the user."""
    return f"""\
cafile {home}/{AUTHORITY}
crlfile {home}/{REVOKED}
require_certificate true
use_identity_as_username true"""
