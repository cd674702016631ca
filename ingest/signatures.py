"""Whether a payload is what its sender signed. Pure.

A device either may sign or must (``devices.signing``); a gateway must unless it was registered otherwise. What a device
that must sign sends without an envelope, and what comes in an envelope that does not open, is quarantined whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from edge import envelope
from edge.delivery import Raw
from edge.reasons import DecodeError, Reason

UNSIGNED_CODECS = frozenset({"health"})  # how a gateway fares is no measurement


class Signing(StrEnum):
    """OPTIONAL: what is signed is verified. REQUIRED: what is not signed is refused."""

    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A device's key, and whether it must use it; ``secret`` is None for a device of before keys were kept."""

    secret: bytes | None
    signing: Signing = Signing.OPTIONAL

    def __repr__(self) -> str:
        return f"Key({self.signing})"


Keys = Mapping[tuple[int, str], Key]  # (site_id, device) → key
NO_KEY = Key(None)


def opened(raw: Raw, *, site_id: int, device: str, topic: str, keys: Keys) -> bytes:
    """The payload of ``raw`` without its envelope. Raises DecodeError: bad_signature, unsigned.

    An envelope is opened wherever it comes (a waveform on its own topic too), a plain payload on the signed topic is
    none. A device nobody knows has no key; that it is unknown is said later, of the whole message.
    """
    if raw.signed or envelope.is_sealed(raw.payload):
        return _open(keys.get((site_id, device), NO_KEY), topic, raw.payload)
    if raw.codec not in UNSIGNED_CODECS and must_sign(keys, site_id=site_id, device=device):
        raise DecodeError(Reason.UNSIGNED, f"{device} must sign what it sends; this message is in no envelope.")
    return raw.payload


def must_sign(keys: Keys, *, site_id: int, device: str) -> bool:
    """Whether nothing that this device says without a signature may be kept (Sparkplug has none)."""
    return keys.get((site_id, device), NO_KEY).signing is Signing.REQUIRED


def _open(key: Key, topic: str, payload: bytes) -> bytes:
    if key.secret is None:
        raise DecodeError(
            Reason.BAD_SIGNATURE, "No key is kept for this device: give it a new password (`millwright device rotate`)."
        )
    return envelope.open(key.secret, topic, payload)
