"""Security of the simulated OPC UA server: its certificate, who may sign in, and units as the standard codes them."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

URI = "urn:millwright:simulator"
POLICIES = (
    ua.SecurityPolicyType.Basic256Sha256_Sign,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_Sign,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_Sign,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
)
UNITS = "http://www.opcfoundation.org/UA/units/un/cefact"
# UNECE recommendation 20, common codes of the units that the machines use
CODES = {"mm/s": "C16", "m/s2": "MSK", "°C": "CEL", "bar": "BAR", "m3/h": "MQH", "A": "AMP", "kW": "KWT", "rpm": "RPM",
         "%": "P1", "m/s": "MTS", "N.m": "NU", "V": "VLT", "Hz": "HTZ", "mm": "MMT"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Security:
    """``users``: name → password, nobody else may sign in when there are any; ``clients``: DER certificates of clients
    that are accepted, everybody when None; ``user_certs``: DER certificates that may sign in as a user."""

    cert: Path
    key: Path
    users: Mapping[str, str] = field(default_factory=dict)
    clients: Sequence[bytes] | None = None
    user_certs: Sequence[bytes] = ()


def certificate(folder: Path, name: str = "server", *, uri: str = URI, days: float = 365.0) -> tuple[Path, Path]:
    """Make a self-signed certificate and its key in ``folder``; negative ``days``: it expired so long ago."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName(socket.gethostname())])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1000))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / f"{name}.der", folder / f"{name}.pem"
    cert_path.write_bytes(cert.public_bytes(Encoding.DER))
    key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return cert_path, key_path


async def secure(server: Server, security: Security | None) -> None:
    """Offer every policy with this certificate; without security, the endpoint None alone."""
    if security is None:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        return
    await server.set_application_uri(URI)
    server.set_security_policy(list(POLICIES))
    await server.load_certificate(security.cert)
    await server.load_private_key(security.key)
    tokens: list[type] = []
    if security.users:
        tokens.append(ua.UserNameIdentityToken)
    if security.user_certs:
        tokens.append(ua.X509IdentityToken)
    server.set_identity_tokens(tokens or [ua.AnonymousIdentityToken])
    server.iserver.set_user_manager(_Users(security))
    if security.clients is not None:
        server.set_certificate_validator(_only(security.clients))


def unit_information(unit: str) -> ua.EUInformation:
    """A unit as OPC 10000-8 codes it: the bytes of the UNECE code as one number."""
    code = CODES.get(unit, "")
    number = int.from_bytes(code.encode(), "big") if code else -1
    return ua.EUInformation(UNITS, number, ua.LocalizedText(unit), ua.LocalizedText(unit))


class _Users:
    def __init__(self, security: Security) -> None:
        self._security = security

    def get_user(
        self, _server: Any, username: str | None = None, password: Any = None, certificate: Any = None
    ) -> User | None:
        """The user who signs in, or None."""
        security = self._security
        if username is not None:
            given = password.decode() if isinstance(password, bytes) else password
            return User(role=UserRole.User, name=username) if security.users.get(username) == given else None
        if security.user_certs:
            return User(role=UserRole.User) if certificate in security.user_certs else None
        return None if security.users else User(role=UserRole.User)


def _only(clients: Sequence[bytes]) -> Any:
    async def validate(cert: x509.Certificate, _description: Any) -> None:
        if cert.public_bytes(Encoding.DER) not in clients:
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    return validate
