"""A payload with its sender's signature: what a gateway's batches travel in. Pure.

    envelope = b"\\xe7MW" ‖ version (1) ‖ HMAC-SHA256 (32 bytes) ‖ payload

The signature covers a fixed prefix (so that the key signs nothing else by accident), the topic's length, the topic and
the payload: an envelope moved to another site, device or leaf does not open. One that is sent again opens again; that
it is stored once is the business of its epoch and number.

Gateway and server derive the key from the device's password (RFC 8018, PBKDF2-HMAC-SHA256, ``ITERATIONS`` rounds, the
site and the device as salt), so the server keeps no password, and one key serves one device of one site.
"""

from __future__ import annotations

import hashlib
import hmac
import struct

from edge.reasons import DecodeError, Reason

MAGIC = b"\xe7MW"  # 0xE7 followed by M is no UTF-8: an envelope is never taken for JSON, nor JSON for an envelope
VERSION = 1
ITERATIONS = 50_000
KEY_BYTES = 32
SIGNATURE_BYTES = 32
HEADER = MAGIC + bytes([VERSION])
OVERHEAD = len(HEADER) + SIGNATURE_BYTES  # bytes that an envelope is larger than its payload
DOMAIN = b"millwright envelope 1\x00"
SALT = b"millwright envelope key 1\x00"


def key_of(password: str, *, site: str, device: str) -> bytes:
    """The 32-byte key of a device; takes about 20 ms on purpose, so derive it once and keep it."""
    salt = SALT + site.encode() + b"/" + device.encode()
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS, KEY_BYTES)


def seal(key: bytes, topic: str, payload: bytes) -> bytes:
    """``payload`` in an envelope for ``topic`` alone."""
    return HEADER + _signature(key, topic, payload) + payload


def open(key: bytes, topic: str, envelope: bytes) -> bytes:  # noqa: A001 - the opposite of seal
    """The payload that the holder of ``key`` sealed for ``topic``. Raises DecodeError (bad_signature)."""
    payload = envelope[OVERHEAD:]
    found = envelope[len(HEADER) : OVERHEAD]
    whole = len(envelope) >= OVERHEAD and envelope.startswith(HEADER)
    if not (hmac.compare_digest(found, _signature(key, topic, payload)) and whole):
        raise DecodeError(Reason.BAD_SIGNATURE, _complaint(envelope))
    return payload


def is_sealed(payload: bytes) -> bool:
    """Whether it has the form of an envelope, of whatever version; says nothing of the signature."""
    return payload.startswith(MAGIC)


def _signature(key: bytes, topic: str, payload: bytes) -> bytes:
    name = topic.encode("utf-8", "surrogatepass")
    return hmac.digest(key, b"".join((DOMAIN, struct.pack("!I", len(name)), name, payload)), "sha256")


def _complaint(envelope: bytes) -> str:
    if not is_sealed(envelope):
        return "The message is in no envelope."
    if not envelope.startswith(HEADER):
        return (
            f"The envelope is of version {envelope[len(MAGIC)] if len(envelope) > len(MAGIC) else '?'}, not {VERSION}."
        )
    return "The signature does not fit this key, topic and content."
