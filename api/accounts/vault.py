"""What must be readable again is sealed under the instance's own key: a copy of the database alone opens nothing."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import ConfigError

PURPOSE = b"millwright identity"
NONCE = 12


class SealBroken(ConfigError):
    """A stored secret cannot be opened with this instance's key. Put `secrets.json` back as it was when it was made."""

    code = "seal_broken"


class Vault:
    """Seals and opens under a key made from ``secret()``, which is asked for at the first use."""

    def __init__(self, secret: Callable[[], str]) -> None:
        self._secret = secret

    @cached_property
    def _key(self) -> bytes:
        return hmac.digest(self._secret().encode(), PURPOSE, "sha256")

    def seal(self, text: str, *, purpose: str) -> bytes:
        """Nonce and ciphertext (AES-256-GCM), which open for the same purpose alone."""
        nonce = secrets.token_bytes(NONCE)
        return nonce + AESGCM(self._key).encrypt(nonce, text.encode(), purpose.encode())

    def opened(self, sealed: bytes, *, purpose: str) -> str:
        """Raises SealBroken."""
        try:
            return AESGCM(self._key).decrypt(sealed[:NONCE], sealed[NONCE:], purpose.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise SealBroken from error

    def sign(self, content: bytes, *, purpose: str) -> bytes:
        """A tag (HMAC-SHA-256) of the content for a purpose."""
        return hmac.digest(self._key, purpose.encode() + b"\0" + content, "sha256")
