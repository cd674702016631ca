"""Our application instance certificate, and which server certificates are trusted. Files only, no network.

``FOLDER/pki/opcua/own/`` holds ``key.pem`` (0600) and ``cert.der``, made at first use; ``cert.der`` is for the server's
administrator. A server is trusted by the SHA-256 fingerprint of its certificate, and by nothing else.
"""

from __future__ import annotations

import re
import secrets
import shutil
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from core.errors import MillwrightError
from edge.errors import SourceConfig

OWN = Path("pki") / "opcua" / "own"
VALID = timedelta(days=5 * 365)
SOON = timedelta(days=30)
KEY_BITS = 3072
FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class UntrustedServer(SourceConfig):
    """The server shows a certificate that nobody has accepted."""

    code = "untrusted_server"


class BadCertificate(MillwrightError):
    """This is no certificate that can be read."""

    code = "bad_certificate"
    status = 422


@dataclass(frozen=True, slots=True)
class Own:
    """Our certificate and key."""

    cert: Path
    key: Path
    uri: str  # our applicationUri, as the certificate says
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person must see to decide about a server's certificate."""

    fingerprint: str  # SHA-256, hex
    subject: str
    issuer: str
    uris: tuple[str, ...]
    not_before: datetime
    not_after: datetime


def own(folder: Path, *, now: datetime) -> Own:
    """Our certificate, made if there is none yet. Raises SourceConfig when the folder cannot be used."""
    home = folder / OWN
    try:
        if not (home / "cert.der").exists():
            _make(home, now)
        shown = show((home / "cert.der").read_bytes())
    except OSError as error:
        raise SourceConfig(f"The OPC UA certificate in {home} cannot be used: {error.strerror}.") from error
    uri = shown.uris[0] if shown.uris else ""
    return Own(home / "cert.der", home / "key.pem", uri, shown.fingerprint)


def show(der: bytes) -> Shown:
    """What a certificate says. Raises BadCertificate."""
    try:
        cert = x509.load_der_x509_certificate(der)
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
    except x509.ExtensionNotFound:
        uris = ()
    except ValueError as error:
        raise BadCertificate(f"The server's certificate cannot be read: {error}.") from error
    return Shown(
        cert.fingerprint(hashes.SHA256()).hex(),
        cert.subject.rfc4514_string(),
        cert.issuer.rfc4514_string(),
        uris,
        cert.not_valid_before_utc,
        cert.not_valid_after_utc,
    )


def fingerprint(text: str) -> str:
    """A fingerprint as people write it (colons, capitals) in our form. Raises SourceConfig."""
    plain = re.sub(r"[\s:]", "", text).lower().removeprefix("sha256")
    if not FINGERPRINT.fullmatch(plain):
        raise SourceConfig("A trusted certificate is named by its SHA-256 fingerprint: 64 hexadecimal digits.")
    return plain


def check_trust(shown: Shown, trusted: tuple[str, ...], *, name: str) -> None:
    """Raises UntrustedServer with what to do: an unknown certificate, or another than the accepted one."""
    if shown.fingerprint in trusted:
        return
    known = "It is not the one that was accepted: the server was set up anew, or somebody stands between. "
    raise UntrustedServer(
        f"The server shows the certificate {shown.subject} with fingerprint {shown.fingerprint}. "
        + (known if trusted else "Nobody has accepted it yet. ")
        + f"Compare it at the server, then accept it with `millwright source trust {name}`."
    )


def warnings(shown: Shown, *, application_uri: str, now: datetime) -> list[str]:
    """What is not as it should be with a certificate that is trusted."""
    found = []
    if now > shown.not_after:
        found.append(f"The server's certificate expired on {shown.not_after:%Y-%m-%d}; renew it at the server.")
    elif now > shown.not_after - SOON:
        found.append(f"The server's certificate expires on {shown.not_after:%Y-%m-%d}.")
    if now < shown.not_before:
        found.append(f"The server's certificate is valid only from {shown.not_before:%Y-%m-%d}; check the clocks.")
    if application_uri and application_uri not in shown.uris:
        found.append(f"The server calls itself {application_uri}, which its certificate does not say.")
    return found


def _make(home: Path, now: datetime) -> None:
    """Key and certificate appear together or not at all; who comes second takes what is there."""
    home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = home.with_name(f"own.{secrets.token_hex(4)}")
    fresh.mkdir(mode=0o700)
    key = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
    path = fresh / "key.pem"
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (fresh / "cert.der").write_bytes(_certificate(key, now).public_bytes(Encoding.DER))
    try:
        fresh.rename(home)
    except OSError:
        shutil.rmtree(fresh)
        if not (home / "cert.der").exists():
            raise


def _certificate(key: rsa.RSAPrivateKey, now: datetime) -> x509.Certificate:
    """A self-signed application instance certificate (OPC 10000-6 §6.2.2)."""
    host = socket.gethostname()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Millwright@{host}"[:64])])
    uri = f"urn:{host}:millwright:{secrets.token_hex(4)}"
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName(host)]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256())
