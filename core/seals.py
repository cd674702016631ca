"""Signatures of this instance (Ed25519), under a key for each purpose, made from its one signing secret."""

from __future__ import annotations

import hmac
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Signer(Protocol):
    """Signs, and tells its own signatures."""

    def sign(self, content: bytes) -> bytes: ...

    def signed(self, content: bytes, signature: bytes) -> bool:
        """Whether this is our signature of the content."""


class Seal:
    """A signer; ``public`` (hex) is what others check its signatures with."""

    def __init__(self, secret: str, *, purpose: str) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(hmac.digest(secret.encode(), purpose.encode(), "sha256"))

    @property
    def public(self) -> str:
        return self._key.public_key().public_bytes_raw().hex()

    def sign(self, content: bytes) -> bytes:
        return self._key.sign(content)

    def signed(self, content: bytes, signature: bytes) -> bool:
        try:
            self._key.public_key().verify(signature, content)
        except InvalidSignature:
            return False
        return True
