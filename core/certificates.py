"""X.509 as we need it: an authority of our own, server and client certificates, a revocation list. Pure.

ECDSA over P-256 and SHA-256 throughout (RFC 5480, RFC 5280). Times are arguments; random are keys and serials alone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from core.errors import Invalid

AUTHORITY_LASTS = timedelta(days=3650)
SERVER_LASTS = timedelta(days=397)
CLIENT_LASTS = timedelta(days=730)
RENEW_BEFORE = timedelta(days=30)
SKEW = timedelta(hours=1)  # a gateway's clock may be behind ours
RSA_BITS = 2048

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class CertificateInvalid(Invalid):
    """A certificate, key or request that cannot be used."""

    code = "certificate_invalid"


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"Identity(serial={serial(self.certificate)})"


def new_authority(name: str, *, now: datetime) -> Identity:
    """A self-signed authority that may sign end certificates and revocation lists, nothing else."""
    key = _new_key()
    subject = _name(name)
    builder = _builder(subject, subject, key.public_key(), now - SKEW, now + AUTHORITY_LASTS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Identity(_pem(builder.sign(key, hashes.SHA256())), _private(key))


def issue_server(authority: Identity, names: Sequence[str], *, now: datetime) -> Identity:
    """A certificate for a server that is reached under these host names and addresses."""
    key = _new_key()
    alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
    certificate = _issue(
        authority,
        _name(names[0]),
        key.public_key(),
        (alternatives, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])),
        until=now + SERVER_LASTS,
        now=now,
    )
    return Identity(certificate, _private(key))


def issue_client(authority: Identity, name: str, *, now: datetime) -> Identity:
    """A certificate whose subject is ``name``, with a new key."""
    key = _new_key()
    return Identity(_client(authority, name, key.public_key(), now), _private(key))


def sign_request(authority: Identity, name: str, request: bytes, *, now: datetime) -> bytes:
    """A certificate (PEM) for the key of a request (PEM, PKCS #10). Only its key counts: the subject is ``name``.

    Raises CertificateInvalid.
    """
    try:
        found = x509.load_pem_x509_csr(request)
        key = found.public_key()
        proven = found.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateInvalid("This is no certificate request in PEM (PKCS #10).") from error
    strong = isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) or (
        isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS
    )
    if not (proven and strong and isinstance(key, PublicKey)):
        raise CertificateInvalid("The request's key must be elliptic, Ed25519 or RSA of 2048 bits, and have signed it.")
    return _client(authority, name, key, now)


def revocation_list(authority: Identity, serials: Iterable[str], *, now: datetime) -> bytes:
    """A list (PEM) of the revoked serial numbers (hex). Valid as long as the authority: an old list must lock nobody
    out, the current one is on the broker's own disk."""
    certificate = x509.load_pem_x509_certificate(authority.certificate)
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=certificate.subject, last_update=now - SKEW, next_update=certificate.not_valid_after_utc
    )
    for each in sorted(set(serials)):
        entry = x509.RevokedCertificateBuilder(serial_number=int(each, 16), revocation_date=now).build()
        builder = builder.add_revoked_certificate(entry)
    signed = builder.sign(_signer(authority), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def serial(certificate: bytes) -> str:
    """The serial number in hexadecimal."""
    return f"{x509.load_pem_x509_certificate(certificate).serial_number:x}"


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of the certificate in hexadecimal."""
    return x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex()


def expires(certificate: bytes) -> datetime:
    """When the (first) certificate ends."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def names_of(certificate: bytes) -> frozenset[str]:
    """Host names and addresses that a server certificate is for."""
    try:
        found = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(str(each.value) for each in found.value)


def issued_by(certificate: bytes, authority: bytes) -> bool:
    """Whether the authority signed the certificate."""
    try:
        x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not ours
        return False
    return True


def check_identity(found: Identity, *, now: datetime) -> None:
    """Raise CertificateInvalid unless the key is the certificate's and the certificate has not ended."""
    try:
        certificate = x509.load_pem_x509_certificates(found.certificate)[0]
        key = serialization.load_pem_private_key(found.key, password=None)
    except (ValueError, TypeError, IndexError, UnsupportedAlgorithm) as error:
        raise CertificateInvalid(f"The certificate or its key is no PEM without a password ({error}).") from error
    if _public(certificate.public_key()) != _public(key.public_key()):
        raise CertificateInvalid("The key is not the certificate's.")
    if certificate.not_valid_after_utc <= now:
        raise CertificateInvalid(f"The certificate ended on {certificate.not_valid_after_utc:%Y-%m-%d}.")


def _client(authority: Identity, name: str, key: PublicKey, now: datetime) -> bytes:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    return _issue(authority, _name(name), key, (usage,), until=now + CLIENT_LASTS, now=now)


def _issue(
    authority: Identity,
    subject: x509.Name,
    key: PublicKey,
    more: Iterable[x509.ExtensionType],
    *,
    until: datetime,
    now: datetime,
) -> bytes:
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    builder = _builder(subject, issuer.subject, key, now - SKEW, min(until, issuer.not_valid_after_utc))
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    signer = _signer(authority)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
    )
    for extension in more:
        builder = builder.add_extension(extension, critical=False)
    return _pem(builder.sign(signer, hashes.SHA256()))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, since: datetime, until: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(since).not_valid_after(until)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _signer(authority: Identity) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(authority.key, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateInvalid("The authority's key is not the one that was made for it.")
    return key


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
